package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"

	"wrnc/codegen/glue"
	"wrnc/kernels"
)

// buildMark is the file by which a folder is known to be a build's, and so may
// be replaced by the next.
const buildMark = "wrnc-build.json"

// textFile is a file of a build; its name is a path with slashes.
type textFile struct{ name, text string }

// files lists a build's files: the input, the IR after each pass, the decisions
// of fusion, the plans, the report, and for a GPU the Go package of the network,
// which has the kernels' texts.
func (c *buildCommand) files(b *built) ([]textFile, error) {
	source := "source.wrn"
	if isIR(c.Network) {
		source = "source.ir"
	}
	files := []textFile{{source, string(b.text)}}
	for i, p := range b.after {
		files = append(files, textFile{fmt.Sprintf("%02d-%s.ir", i, p.pass), p.text})
	}
	files = append(files, textFile{"fusion.txt", b.fusion()})
	for _, p := range b.plans {
		files = append(files, textFile{"plan-" + p.Func + ".txt", p.String()})
	}
	page, err := c.report(b)
	if err != nil {
		return nil, err
	}
	files = append(files, textFile{"report.html", page})
	if _, err := b.module.Classifier(); err != nil || b.sources == nil {
		return files, nil // IR that was written by hand need not be a network
	}
	pkg, err := glue.Package(glue.Input{Module: b.module, Plans: b.plans, Sources: b.sources, Headers: kernels.Headers()})
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(pkg)) {
		files = append(files, textFile{path.Join(glue.Name(b.module.Name), name), string(pkg[name])})
	}
	return files, nil
}

// writeBuild writes a build's files into dir, all or none: into a new folder
// beside it, which then takes its place. A folder that no build made stays.
func writeBuild(dir string, files []textFile, facts buildFacts) (err error) {
	dir = filepath.Clean(dir)
	if err := replaceable(dir); err != nil {
		return err
	}
	fail := func(err error) error { return fmt.Errorf("-o %s: %w", dir, err) }
	mark, err := json.MarshalIndent(facts, "", "  ")
	if err != nil {
		return fail(err)
	}
	files = append(files, textFile{buildMark, string(mark) + "\n"})
	parent, base := filepath.Split(dir)
	if parent != "" {
		if err := os.MkdirAll(parent, 0o777); err != nil {
			return fail(plain(err))
		}
	}
	beside := filepath.Join(parent, "."+base+".partial")
	if err := os.Mkdir(beside, 0o777); errors.Is(err, fs.ErrExist) {
		return fail(fmt.Errorf("%s is in the way: another build writes it, or one was killed; remove it", beside))
	} else if err != nil {
		return fail(plain(err))
	}
	defer func() { err = errors.Join(err, os.RemoveAll(beside)) }()
	for _, f := range files {
		name := filepath.Join(beside, filepath.FromSlash(f.name))
		if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
			return fail(plain(err))
		}
		if err := os.WriteFile(name, []byte(f.text), 0o666); err != nil {
			return fail(plain(err))
		}
	}
	if err := exchange(beside, dir); err != nil {
		return fail(err)
	}
	return nil
}

// replaceable refuses a path at which something other than a build lies. An
// empty folder is fine.
func replaceable(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("-o %s: %w", dir, plain(err))
	case len(entries) == 0:
		return nil
	}
	if _, err := os.Stat(filepath.Join(dir, buildMark)); err != nil {
		return fmt.Errorf("-o %s: the folder is not empty and was not made by wrnc build (it has no %s); take another, or remove it", dir, buildMark)
	}
	return nil
}

// exchange puts the folder fresh at dir. What lay at dir is removed in the end;
// if the exchange fails, it is put back.
func exchange(fresh, dir string) error {
	old := fresh + ".old"
	err := os.Rename(dir, old)
	if errors.Is(err, fs.ErrNotExist) {
		return os.Rename(fresh, dir)
	}
	if err != nil {
		return err
	}
	if err := os.Rename(fresh, dir); err != nil {
		return errors.Join(err, os.Rename(old, dir))
	}
	return os.RemoveAll(old)
}
