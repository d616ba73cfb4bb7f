package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"wrnc/dsl"
	"wrnc/runtime/checkpoint"
)

// fmtCommand is `wrnc fmt`.
type fmtCommand struct {
	Files []string `arg:"" name:"file" help:"The .wrn files."`
	Write bool     `short:"w" help:"Rewrite files that change, each whole or not at all, and print their names."`
	Check bool     `help:"Change nothing, print the names of files that would change, and exit with 1 if there are any."`
}

// Help shows examples.
func (c *fmtCommand) Help() string {
	return "Prints network files in their canonical layout, comments kept.\n\n" +
		"Examples:\n\n  wrnc fmt my.wrn\n  wrnc fmt -w nets/*.wrn\n  wrnc fmt --check nets/*.wrn"
}

// Run formats every file that parses, and then reports the others.
func (c *fmtCommand) Run(s *session) error {
	if c.Write && c.Check {
		return usagef("--write and --check: give one of them")
	}
	var faults []error
	changed := 0
	for _, path := range c.Files {
		differs, err := c.file(s, path)
		if err != nil {
			faults = append(faults, err)
		}
		if differs {
			changed++
		}
	}
	if last := len(faults) - 1; last >= 0 {
		for _, err := range faults[:last] {
			report(s.stderr, err, nil)
		}
		return faults[last]
	}
	if c.Check && changed > 0 {
		return fmt.Errorf("%d of %d files would change; wrnc fmt -w changes them", changed, len(c.Files))
	}
	return nil
}

// file formats one file and says whether that changed it.
func (c *fmtCommand) file(s *session, path string) (differs bool, err error) {
	if dsl.IsName(path) || isIR(path) {
		return false, fmt.Errorf("%s: expected a .wrn file", path)
	}
	before, err := readNetwork(path)
	if err != nil {
		return false, err
	}
	f, err := dsl.Parse(path, before)
	if err != nil {
		return false, err
	}
	after := dsl.Format(f)
	differs = after != string(before)
	switch {
	case !c.Write && !c.Check:
		_, err = io.WriteString(s.stdout, after)
	case differs:
		if c.Write {
			if err := rewrite(path, after); err != nil {
				return false, err
			}
		}
		_, err = fmt.Fprintln(s.stdout, path)
	}
	return differs, err
}

// rewrite replaces a file's text, behind a link where path is one. The file keeps
// its permissions, and one that may not be written stays as it is.
func rewrite(path, text string) error {
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(target, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("%s: %w", path, plain(err))
	}
	info, err := f.Stat()
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	err = checkpoint.Replace(target, func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	})
	if err != nil {
		return err
	}
	return os.Chmod(target, info.Mode().Perm())
}
