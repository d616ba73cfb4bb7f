//go:build linux || darwin

package main

import "syscall"

// freeSpace is how many bytes a user can still write in a folder.
func freeSpace(dir string) (bytes int64, known bool, err error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, false, err
	}
	return int64(s.Bavail) * int64(s.Bsize), true, nil
}
