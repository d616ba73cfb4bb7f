package data

import (
	"bufio"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// cifarSet describes a data set in CIFAR's binary layout.
type cifarSet struct {
	name string
	// labels holds how many values each label byte of a record can have; the
	// last one is the class.
	labels []int
	// classes lists the classes in the order of their labels.
	classes []string
	// folder is what the published archive unpacks to.
	folder, archive string
	// files lists the training files in order, then the test one.
	files []binaryFile
}

// binaryFile is one file of a data set in CIFAR's binary layout.
type binaryFile struct {
	name    string
	md5     string // as published; "" where it is not known
	records int
}

// record returns the size of one record in bytes.
func (s cifarSet) record() int { return len(s.labels) + cifarPixels }

func (s cifarSet) size(f binaryFile) int64 { return int64(f.records) * int64(s.record()) }

// open reads the files, which lie in dir or in the archive's folder in it; with
// testOnly the test set's alone, and no other need be there.
func (s cifarSet) open(dir string, testOnly bool) (*Source, error) {
	last := len(s.files) - 1
	needed := s.files
	if testOnly {
		needed = s.files[last:]
	}
	found, err := s.find(dir, needed)
	if err != nil {
		return nil, err
	}
	src := new(Source)
	if !testOnly {
		if src.Train, err = s.readFiles("train", found, s.files[:last]); err != nil {
			return nil, err
		}
	}
	if src.Test, err = s.readFiles("test", found, s.files[last:]); err != nil {
		return nil, err
	}
	return src, nil
}

// find returns the folder that has files of the set; it reads none.
func (s cifarSet) find(dir string, files []binaryFile) (string, error) {
	place := fileSet{name: s.name, folder: s.folder,
		how: fmt.Sprintf("download %s from https://www.cs.toronto.edu/~kriz/cifar.html and unpack it in", s.archive)}
	for _, f := range files {
		place.files = append(place.files, f.name)
	}
	return place.find(dir)
}

// look returns the folder that has all files, after a look at their sizes.
func (s cifarSet) look(dir string) (string, error) {
	found, err := s.find(dir, s.files)
	if err != nil {
		return "", err
	}
	for _, f := range s.files {
		path := filepath.Join(found, f.name)
		info, err := os.Stat(path)
		if err == nil {
			err = s.checkSize(path, f, info.Size())
		}
		if err != nil {
			return "", fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return found, nil
}

// checkSize refuses a file that cannot be the published one.
func (s cifarSet) checkSize(path string, want binaryFile, size int64) error {
	if size == s.size(want) {
		return nil
	}
	return fmt.Errorf("%s: the file has %d bytes; expected %d (%d records of %d bytes): it is incomplete or another file; get it again",
		path, size, s.size(want), want.records, s.record())
}

// readFiles reads files of a folder into one set.
func (s cifarSet) readFiles(part, dir string, files []binaryFile) (*Set, error) {
	set := &Set{Name: s.name + " " + part, Classes: s.classes, H: cifarSide, W: cifarSide, C: cifarChannels}
	for _, f := range files {
		if err := s.readFile(set, filepath.Join(dir, f.name), f); err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return set, nil
}

// readFile appends the pictures of one file to set, after its size and together
// with its MD5 sum, where that is known, have been checked.
func (s cifarSet) readFile(set *Set, path string, want binaryFile) (err error) {
	file, size, err := openRegular(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := s.checkSize(path, want, size); err != nil {
		return err
	}
	// The size is now known to be right, so the memory can be had in one piece.
	set.Images = slices.Grow(set.Images, want.records*cifarPixels)
	set.Labels = slices.Grow(set.Labels, want.records)
	sum := md5.New()
	if err := s.read(bufio.NewReaderSize(io.TeeReader(file, sum), 1<<16), want.records, set); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); want.md5 != "" && got != want.md5 {
		return fmt.Errorf("%s: the file is damaged: its MD5 sum is %s; the published one is %s; get it again", path, got, want.md5)
	}
	return nil
}
