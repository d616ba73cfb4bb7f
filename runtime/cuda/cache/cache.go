// Package cache keeps what kernels compile to in a folder, so that a network's
// second start need not compile.
//
//	<key>.bin   a line that names the format, the key, the content's hash, the content
//	tmp-*       an entry that is being written
//
// An entry is written aside and renamed, so that another process sees a whole one
// or none. A folder that cannot be used costs time, never an error.
package cache

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// Limit is how many bytes a cache holds where the caller has no other wish: the
// kernels of some hundred networks.
const Limit = 512 << 20

const (
	format   = "wrnc's cache of kernels, form 1\n" // of 32 bytes: what follows stays aligned
	suffix   = ".bin"
	aside    = "tmp-"
	headSize = len(format) + 2*sha256.Size
)

// Key names an entry.
type Key [sha256.Size]byte

// KeyOf hashes all that an entry follows from. The same parts cut differently are
// another key.
func KeyOf(parts ...string) Key {
	h := sha256.New()
	var size [8]byte
	for _, part := range parts {
		binary.LittleEndian.PutUint64(size[:], uint64(len(part)))
		h.Write(size[:])
		h.Write([]byte(part))
	}
	return Key(h.Sum(nil))
}

// Dir is the user's cache: $WRNC_CACHE, or wrnc/kernels in the folder where the
// system has caches.
func Dir() (string, error) {
	if dir := os.Getenv("WRNC_CACHE"); dir != "" {
		return dir, nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("there is no folder for caches, WRNC_CACHE can name one: %w", err)
	}
	return filepath.Join(dir, "wrnc", "kernels"), nil
}

// Cache is a folder of entries, for any number of goroutines and processes.
type Cache struct {
	dir   string
	limit int64
	note  func(string)

	mu         sync.Mutex
	reads      bool
	writes     bool
	noted      bool
	unmeasured int64 // bytes written since the folder was last measured; below 0: it never was
}

// Open opens a folder, or makes it. limit is how many bytes it may hold. note is
// told once if the cache cannot be used, or not in full; it may be nil.
func Open(dir string, limit int64, note func(string)) *Cache {
	c := &Cache{dir: dir, limit: limit, note: note, unmeasured: -1}
	if err := prepare(dir); err != nil {
		c.problem("kernels are compiled anew at each start", err)
		return c
	}
	c.reads, c.writes = true, true
	return c
}

// prepare makes the folder. What lies in it becomes code on a GPU, so nobody else
// may write there.
func prepare(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("others may write to %s; chmod 700 makes it usable", dir)
	}
	return nil
}

// problem tells of the first thing that goes wrong. c.mu is held, or c is new.
func (c *Cache) problem(consequence string, err error) {
	if c.noted || c.note == nil {
		return
	}
	c.noted = true
	c.note(fmt.Sprintf("%s: the cache %s: %v", consequence, c.dir, err))
}

func (c *Cache) path(k Key) string { return filepath.Join(c.dir, hex.EncodeToString(k[:])+suffix) }

// Get returns an entry, or false. One that is damaged or belongs elsewhere is
// removed.
func (c *Cache) Get(k Key) ([]byte, bool) {
	c.mu.Lock()
	reads := c.reads
	c.mu.Unlock()
	if !reads {
		return nil, false
	}
	path := c.path(k)
	file, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false
	}
	if err != nil {
		c.mu.Lock()
		c.problem("a kernel is compiled anew", err)
		c.mu.Unlock()
		return nil, false
	}
	content, ok := decode(k, file)
	if !ok {
		_ = os.Remove(path) // if it stays, it is refused again
		return nil, false
	}
	now := time.Now()
	_ = os.Chtimes(path, now, now) // where that is not allowed, an entry is as old as it is
	return content, true
}

// encode is an entry as its file has it.
func encode(k Key, content []byte) []byte {
	sum := sha256.Sum256(content)
	file := make([]byte, 0, headSize+len(content))
	file = append(append(append(file, format...), k[:]...), sum[:]...)
	return append(file, content...)
}

// decode returns the content of an entry if it is k's and whole.
func decode(k Key, file []byte) ([]byte, bool) {
	rest, ok := bytes.CutPrefix(file, []byte(format))
	if !ok || len(file) < headSize || !bytes.Equal(rest[:len(k)], k[:]) {
		return nil, false
	}
	content := rest[2*sha256.Size:]
	sum := sha256.Sum256(content)
	return content, bytes.Equal(rest[len(k):][:len(sum)], sum[:])
}

// Put keeps an entry. After a failure nothing more is written.
func (c *Cache) Put(k Key, content []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.writes || int64(headSize+len(content)) > c.limit {
		return
	}
	err := c.write(k, content)
	if err == nil {
		err = c.bound(int64(headSize + len(content)))
	}
	if err != nil {
		c.writes = false
		c.problem("compiled kernels are not kept", err)
	}
}

// write writes an entry aside and renames it.
func (c *Cache) write(k Key, content []byte) error {
	f, err := os.CreateTemp(c.dir, aside)
	if err != nil {
		return err
	}
	_, err = f.Write(encode(k, content))
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), c.path(k))
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// bound keeps the folder under its limit. It is measured at the first entry and
// then whenever what was written since may have filled it.
func (c *Cache) bound(written int64) error {
	if c.unmeasured >= 0 {
		if c.unmeasured += written; c.unmeasured < c.limit/8 {
			return nil
		}
	}
	c.unmeasured = 0
	return c.trim()
}

// abandoned is the age of a file aside whose process has surely ended.
const abandoned = time.Hour

// Usage is what lies in a folder.
type Usage struct {
	Entries int
	Bytes   int64
}

// Look says what lies in a folder, and why no Cache can use it; a folder that is not
// there is an fs.ErrNotExist, which Open makes. An entry is written aside and removed.
func Look(dir string) (Usage, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return Usage{}, err
	}
	if !info.IsDir() {
		return Usage{}, fmt.Errorf("%s is no folder", dir)
	}
	if err := prepare(dir); err != nil {
		return Usage{}, err
	}
	var u Usage
	list, err := os.ReadDir(dir)
	if err != nil {
		return u, err
	}
	for _, e := range list {
		if info, err := e.Info(); err == nil && strings.HasSuffix(e.Name(), suffix) { // else removed meanwhile
			u.Entries++
			u.Bytes += info.Size()
		}
	}
	f, err := os.CreateTemp(dir, aside)
	if err != nil {
		return u, err
	}
	return u, errors.Join(f.Close(), os.Remove(f.Name()))
}

// trim removes the entries whose last use is longest ago until an eighth of the
// limit is free. Another process may remove the same ones.
func (c *Cache) trim() error {
	list, err := os.ReadDir(c.dir)
	if err != nil {
		return err
	}
	var entries []fs.FileInfo
	total := int64(0)
	for _, e := range list {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() {
			continue // removed meanwhile, or not ours
		}
		switch name := info.Name(); {
		case strings.HasPrefix(name, aside) && time.Since(info.ModTime()) > abandoned:
			_ = os.Remove(filepath.Join(c.dir, name))
		case strings.HasSuffix(name, suffix):
			entries = append(entries, info)
			total += info.Size()
		}
	}
	if total <= c.limit-c.limit/8 {
		return nil
	}
	slices.SortFunc(entries, func(a, b fs.FileInfo) int {
		return cmp.Or(a.ModTime().Compare(b.ModTime()), strings.Compare(a.Name(), b.Name()))
	})
	for _, e := range entries {
		if total <= c.limit-c.limit/8 {
			break
		}
		if err := os.Remove(filepath.Join(c.dir, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		total -= e.Size()
	}
	return nil
}
