// Package bundle is the form in which plans and kernels for a GPU are kept: a
// folder of texts, which package codegen/glue writes into a Go package and that
// package reads when it starts.
//
//	plans/train.plan       the plan of a function
//	plans/train.kernels    the entry of each of its kernels, one a line, in the plan's order
//	kernels/ENTRY.cu       a kernel's text
//	kernels/conv.cuh       what texts include
package bundle

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"wrnc/compiler/plan"
)

// Bundle is what a GPU runs of a module.
type Bundle struct {
	Plans   []*plan.Plan
	Sources [][]plan.Source   // of each plan's kernels, in their order
	Headers map[string]string // what texts include, by the name that an #include gives
}

const (
	plansFolder   = "plans"
	kernelsFolder = "kernels"
	planSuffix    = ".plan"
	entriesSuffix = ".kernels"
	textSuffix    = ".cu"
	headerSuffix  = ".cuh"
)

// names are those of entries, and of headers without their suffix: what is a name
// to C++ and to any file system.
var names = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,199}$`)

// Files returns the bundle as files, by path with slashes. Only those headers are
// among them that a text includes, or a header that one includes.
func (b *Bundle) Files() (map[string][]byte, error) {
	if len(b.Sources) != len(b.Plans) {
		return nil, fmt.Errorf("texts of %d plans, there are %d", len(b.Sources), len(b.Plans))
	}
	files := map[string][]byte{}
	var texts []string
	for i, p := range b.Plans {
		if len(b.Sources[i]) != len(p.Kernels) {
			return nil, fmt.Errorf("the plan of %s has %d kernels, and there are %d texts", p.Func, len(p.Kernels), len(b.Sources[i]))
		}
		at := path.Join(plansFolder, p.Func+planSuffix)
		if _, twice := files[at]; twice {
			return nil, fmt.Errorf("two plans of %s", p.Func)
		}
		files[at] = []byte(p.String())
		var entries strings.Builder
		for _, s := range b.Sources[i] {
			if !names.MatchString(s.Entry) {
				return nil, fmt.Errorf("the plan of %s: %q is no name of an entry", p.Func, s.Entry)
			}
			fmt.Fprintln(&entries, s.Entry)
			at := path.Join(kernelsFolder, s.Entry+textSuffix)
			if text, known := files[at]; known && string(text) != s.Text {
				return nil, fmt.Errorf("two texts of the entry %s", s.Entry)
			} else if !known {
				files[at] = []byte(s.Text)
				texts = append(texts, at)
			}
		}
		files[path.Join(plansFolder, p.Func+entriesSuffix)] = []byte(entries.String())
	}
	return files, b.addHeaders(files, texts)
}

var include = regexp.MustCompile(`(?m)^[ \t]*#[ \t]*include[ \t]+["<]([^">\n]*)[">]`)

// addHeaders adds all that the files of the list include.
func (b *Bundle) addHeaders(files map[string][]byte, list []string) error {
	for len(list) > 0 {
		at := list[0]
		list = list[1:]
		for _, m := range include.FindAllSubmatch(files[at], -1) {
			name := string(m[1])
			to := path.Join(kernelsFolder, name)
			if _, known := files[to]; known {
				continue
			}
			text, ok := b.Headers[name]
			if !ok || !names.MatchString(strings.TrimSuffix(name, headerSuffix)) || !strings.HasSuffix(name, headerSuffix) {
				return fmt.Errorf("%s includes %q, which is not among the headers", at, name)
			}
			files[to] = []byte(text)
			list = append(list, to)
		}
	}
	return nil
}

// Read reads what Files returns. The files are not trusted: each plan is parsed
// and verified.
func Read(files fs.FS) (*Bundle, error) {
	b := &Bundle{Headers: map[string]string{}}
	plans, err := fs.Glob(files, plansFolder+"/*"+planSuffix)
	if err != nil {
		return nil, err
	}
	if len(plans) == 0 {
		return nil, errors.New("no plans among the files")
	}
	texts := map[string]string{}
	for _, at := range plans {
		p, err := readPlan(files, at)
		if err != nil {
			return nil, err
		}
		sources, err := readSources(files, p, texts)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", at, err)
		}
		b.Plans = append(b.Plans, p)
		b.Sources = append(b.Sources, sources)
	}
	headers, err := fs.Glob(files, kernelsFolder+"/*"+headerSuffix)
	if err != nil {
		return nil, err
	}
	for _, at := range headers {
		text, err := fs.ReadFile(files, at)
		if err != nil {
			return nil, err
		}
		b.Headers[path.Base(at)] = string(text)
	}
	return b, nil
}

func readPlan(files fs.FS, at string) (*plan.Plan, error) {
	text, err := fs.ReadFile(files, at)
	if err != nil {
		return nil, err
	}
	p, err := plan.Parse(at, string(text))
	if err != nil {
		return nil, err
	}
	if p.Func+planSuffix != path.Base(at) {
		return nil, fmt.Errorf("%s: the plan is of %s", at, p.Func)
	}
	if err := p.Verify(); err != nil {
		return nil, fmt.Errorf("%s: %w", at, err)
	}
	return p, nil
}

// readSources reads the texts of a plan's kernels; texts holds those that were
// read before, by entry.
func readSources(files fs.FS, p *plan.Plan, texts map[string]string) ([]plan.Source, error) {
	list, err := fs.ReadFile(files, path.Join(plansFolder, p.Func+entriesSuffix))
	if err != nil {
		return nil, err
	}
	entries := slices.Collect(strings.Lines(string(list)))
	if len(entries) != len(p.Kernels) {
		return nil, fmt.Errorf("%d entries for %d kernels", len(entries), len(p.Kernels))
	}
	var sources []plan.Source
	for _, line := range entries {
		entry := strings.TrimSuffix(line, "\n")
		if !names.MatchString(entry) {
			return nil, fmt.Errorf("%q is no name of an entry", entry)
		}
		text, known := texts[entry]
		if !known {
			content, err := fs.ReadFile(files, path.Join(kernelsFolder, entry+textSuffix))
			if err != nil {
				return nil, err
			}
			text = string(content)
			texts[entry] = text
		}
		sources = append(sources, plan.Source{Entry: entry, Text: text})
	}
	return sources, nil
}
