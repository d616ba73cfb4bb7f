package data

import (
	"bufio"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// binaryFile is one file of a data set in CIFAR's binary layout.
type binaryFile struct {
	name    string
	md5     string // as published
	records int
}

func (f binaryFile) size() int64 { return int64(f.records) * cifarRecord }

// cifar10Folder is the folder that the published archive unpacks to.
const cifar10Folder = "cifar-10-batches-bin"

// cifar10Files lists the data set's files: the training ones in order, then
// the test one.
func cifar10Files() []binaryFile {
	return []binaryFile{
		{"data_batch_1.bin", "5dd7e06a14cb22eb9f671a540d1b7c25", 10000},
		{"data_batch_2.bin", "5ea93a67294ea407fff1d09f752e9692", 10000},
		{"data_batch_3.bin", "942cd6a4bcdd0dd3c604fbe906cb4421", 10000},
		{"data_batch_4.bin", "ae636b3ba5c66a11e91e8cb52e771fcb", 10000},
		{"data_batch_5.bin", "53f37980c15c3d472c316c40844f3f0d", 10000},
		{"test_batch.bin", "803d5f7f4d78ea53de84dbe85f74fb6d", 10000},
	}
}

// OpenCIFAR10 reads CIFAR-10 from its six official binary files (data_batch_1.bin
// to data_batch_5.bin and test_batch.bin), which lie in dir or in
// dir/cifar-10-batches-bin: 50,000 training and 10,000 test pictures of 32x32x3.
//
// Each file's size and published MD5 sum are checked; the error names the file
// that is missing or damaged and says where to get it.
func OpenCIFAR10(dir string) (*Source, error) {
	return openCIFAR10(dir, cifar10Files())
}

// openCIFAR10 is OpenCIFAR10 for any list of files, the last of which is the
// test one.
func openCIFAR10(dir string, files []binaryFile) (*Source, error) {
	found, err := findCIFAR10(dir, files)
	if err != nil {
		return nil, err
	}
	last := len(files) - 1
	train, err := readCIFAR10Files("cifar10 train", found, files[:last])
	if err != nil {
		return nil, err
	}
	test, err := readCIFAR10Files("cifar10 test", found, files[last:])
	if err != nil {
		return nil, err
	}
	return &Source{Train: train, Test: test}, nil
}

// findCIFAR10 returns the folder, dir itself or the archive's in it, that has
// all files. The one error says what was missing where.
func findCIFAR10(dir string, files []binaryFile) (string, error) {
	dir = filepath.Clean(dir)
	var looked []string
	for _, d := range []string{dir, filepath.Join(dir, cifar10Folder)} {
		var missing []string
		for _, f := range files {
			if _, err := os.Stat(filepath.Join(d, f.name)); errors.Is(err, fs.ErrNotExist) {
				missing = append(missing, f.name)
			} else if err != nil {
				return "", fmt.Errorf("cifar10: %w", err)
			}
		}
		switch {
		case len(missing) == 0:
			return d, nil
		case len(missing) == len(files):
			looked = append(looked, fmt.Sprintf("%s (none of them)", d))
		default:
			looked = append(looked, fmt.Sprintf("%s (without %s)", d, strings.Join(missing, ", ")))
		}
	}
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = f.name
	}
	return "", fmt.Errorf("cifar10: the data is not there: expected %s; looked in %s; to get them, download cifar-10-binary.tar.gz from https://www.cs.toronto.edu/~kriz/cifar.html and unpack it in %s",
		strings.Join(names, ", "), strings.Join(looked, " and "), dir)
}

// readCIFAR10Files reads files of a folder into one set.
func readCIFAR10Files(name, dir string, files []binaryFile) (*Set, error) {
	set := &Set{Name: name, Classes: cifar10Classes(), H: cifarSide, W: cifarSide, C: cifarChannels}
	for _, f := range files {
		if err := readCIFAR10File(set, filepath.Join(dir, f.name), f); err != nil {
			return nil, fmt.Errorf("cifar10: %w", err)
		}
	}
	return set, nil
}

// readCIFAR10File appends the pictures of one file to set, after its size and
// together with its MD5 sum have been checked.
func readCIFAR10File(set *Set, path string, want binaryFile) (err error) {
	file, err := openRegular(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if info.Size() != want.size() {
		return fmt.Errorf("%s: the file has %d bytes; expected %d (%d records of %d bytes): it is incomplete or another file; get it again",
			path, info.Size(), want.size(), want.records, cifarRecord)
	}
	// The size is now known to be right, so the memory can be had in one piece.
	set.Images = slices.Grow(set.Images, want.records*cifarPixels)
	set.Labels = slices.Grow(set.Labels, want.records)
	sum := md5.New()
	if err := readCIFAR10(bufio.NewReaderSize(io.TeeReader(file, sum), 1<<16), want.records, set); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != want.md5 {
		return fmt.Errorf("%s: the file is damaged: its MD5 sum is %s; the published one is %s; get it again", path, got, want.md5)
	}
	return nil
}

// openRegular opens a file for reading and refuses everything that is not a
// plain file: opening a named pipe, say, would wait for ever.
func openRegular(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file", path)
	}
	return os.Open(path)
}
