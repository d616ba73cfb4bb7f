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
	JSON  bool     `help:"Print one JSON object: of each file whether it changes, and without -w and --check its text."`
}

// Help shows examples.
func (c *fmtCommand) Help() string {
	return "Prints network files in their canonical layout, comments kept.\n\n" +
		"Examples:\n\n  wrnc fmt my.wrn\n  wrnc fmt -w nets/*.wrn\n  wrnc fmt --check nets/*.wrn"
}

// fmtFacts is what `wrnc fmt --json` prints: the files that parse.
type fmtFacts struct {
	Files []formattedFile `json:"files"`
}

// formattedFile is a file and whether its layout is another than it was.
type formattedFile struct {
	File    string `json:"file"`
	Changed bool   `json:"changed"`
	Text    string `json:"text,omitempty"` // where neither --write nor --check was given
}

// Run formats every file that parses, and then reports the others.
func (c *fmtCommand) Run(s *session) error {
	if c.Write && c.Check {
		return usagef("--write and --check: give one of them")
	}
	var faults []error
	files := []formattedFile{}
	changed := 0
	for _, path := range c.Files {
		f, err := c.file(s, path)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		files = append(files, f)
		if f.Changed {
			changed++
		}
	}
	if c.JSON {
		if err := s.printJSON(fmtFacts{files}); err != nil {
			return err
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

// file formats one file and, but for --json, prints it or its name.
func (c *fmtCommand) file(s *session, path string) (formattedFile, error) {
	f := formattedFile{File: path}
	if dsl.IsName(path) || isIR(path) {
		return f, fmt.Errorf("%s: expected a .wrn file", path)
	}
	before, err := readNetwork(path, "a .wrn file")
	if err != nil {
		return f, err
	}
	parsed, err := dsl.Parse(path, before)
	if err != nil {
		return f, err
	}
	after := dsl.Format(parsed)
	f.Changed = after != string(before)
	if c.Write && f.Changed {
		if err := rewrite(path, after); err != nil {
			return f, err
		}
	}
	printsText := !c.Write && !c.Check
	switch {
	case c.JSON:
		if printsText {
			f.Text = after
		}
	case printsText:
		_, err = io.WriteString(s.stdout, after)
	case f.Changed:
		_, err = fmt.Fprintln(s.stdout, path)
	}
	return f, err
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
