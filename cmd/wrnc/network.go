package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"wrnc/compiler/ir"
	"wrnc/dsl"
)

// maxFile bounds the files that are read: that of package ir, whose texts are
// the longest.
const maxFile = ir.MaxText

// loadNetwork returns the network of a FILE or NAME argument.
func loadNetwork(arg string) (*dsl.Network, error) {
	if isIR(arg) {
		return nil, fmt.Errorf("%s: this is IR, which only wrnc build takes; expected a .wrn file or a name such as WRN-16-8", arg)
	}
	if dsl.IsName(arg) {
		return dsl.FromName(arg)
	}
	text, err := readNetwork(arg, fileOrName)
	if err != nil {
		return nil, err
	}
	return dsl.Load(arg, text)
}

// fileOrName is what most commands expect of an argument.
const fileOrName = "a .wrn file or a name such as WRN-16-8"

// readNetwork reads a file of text. An argument that is neither a file nor a
// name, where one is expected, gets one message about both.
func readNetwork(path, expected string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && expected == fileOrName && filepath.Base(path) == path && filepath.Ext(path) == "":
		return nil, fmt.Errorf("%s: no such file, and no network's name, which is written as WRN-16-8", path)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", path, plain(err))
	case info.IsDir():
		return nil, fmt.Errorf("%s: this is a folder; expected %s", path, expected)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s: this is no ordinary file", path)
	case info.Size() > maxFile:
		return nil, fmt.Errorf("%s: the file has %d bytes; at most %d are read", path, info.Size(), maxFile)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, plain(err))
	}
	return text, nil
}

// plain takes the operation and the path off a file error, for a message that
// begins with the path.
func plain(err error) error {
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		return pathError.Err
	}
	return err
}

// isIR tells a file of IR text by its name.
func isIR(arg string) bool { return strings.EqualFold(filepath.Ext(arg), ".ir") }

// fileName turns a network's name into one that no shell asks quotes for:
// WRN-40-2-B(3,1,3) becomes WRN-40-2-B313.
func fileName(name string) string {
	return strings.NewReplacer("(", "", ")", "", ",", "").Replace(name)
}
