package inspect

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Manifest is the facts of all texts as a file that is kept and reviewed. A change
// of the code generator that should change no kernel leaves it untouched; another
// shows line by line which kernels it changed, and what that cost in registers.
type Manifest struct {
	Compiler string // its release
	Headers  []Header
	Lines    []Line
}

// Header is a file that texts include, with the hash of its text.
type Header struct{ Name, Hash string }

// Line is a text.
type Line struct {
	Hash, Name string
	Costs      []Cost
	Networks   []string
}

// Cost is what a text needs on an architecture.
type Cost struct {
	Arch                      string
	Registers, Shared, Blocks int
}

// Manifest makes the manifest of reports.
func (i *Inspector) Manifest(reports []Report) *Manifest {
	m := &Manifest{Compiler: i.release}
	for name, text := range i.headers {
		m.Headers = append(m.Headers, Header{name, Hash(text)})
	}
	slices.SortFunc(m.Headers, func(a, b Header) int { return strings.Compare(a.Name, b.Name) })
	for _, r := range reports {
		line := Line{Hash: r.Hash, Name: r.Name, Networks: r.Networks}
		for _, f := range r.Facts {
			line.Costs = append(line.Costs, Cost{f.Arch, f.Registers, f.Shared, f.Blocks})
		}
		m.Lines = append(m.Lines, line)
	}
	return m
}

const preamble = `# What the CUDA compiler makes of each kernel text. A line: hash and name of the
# text; for each architecture registers a thread, bytes of shared memory a block
# and blocks on a multiprocessor; the networks that use it.
`

// String prints the manifest as its file.
func (m *Manifest) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%scompiler %s\n", preamble, m.Compiler)
	for _, h := range m.Headers {
		fmt.Fprintf(&b, "header %s %s\n", h.Hash, h.Name)
	}
	for _, l := range m.Lines {
		fmt.Fprintf(&b, "kernel %s\n", l)
	}
	return b.String()
}

func (l Line) String() string {
	fields := []string{l.Hash + " " + l.Name}
	for _, c := range l.Costs {
		fields = append(fields, fmt.Sprintf("%s %d %d %d", c.Arch, c.Registers, c.Shared, c.Blocks))
	}
	return strings.TrimSuffix(strings.Join(append(fields, strings.Join(l.Networks, " ")), " | "), " ")
}

// ParseManifest reads what String prints.
func ParseManifest(text string) (*Manifest, error) {
	m := &Manifest{}
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(line)
		kind, rest, _ := strings.Cut(line, " ")
		words := strings.Fields(rest)
		var err error
		switch {
		case line == "" || kind[0] == '#':
		case kind == "compiler" && len(words) == 1:
			m.Compiler = rest
		case kind == "header" && len(words) == 2:
			m.Headers = append(m.Headers, Header{Hash: words[0], Name: words[1]})
		case kind == "kernel":
			var l Line
			l, err = parseLine(rest)
			m.Lines = append(m.Lines, l)
		default:
			err = errors.New("expected compiler, header or kernel")
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w: %s", number, err, line)
		}
	}
	return m, nil
}

func parseLine(text string) (Line, error) {
	fields := strings.Split(text, "|")
	head := strings.Fields(fields[0])
	if len(head) != 2 || len(fields) < 2 {
		return Line{}, errors.New("expected hash, name, costs and networks")
	}
	l := Line{Hash: head[0], Name: head[1], Networks: strings.Fields(fields[len(fields)-1])}
	for _, field := range fields[1 : len(fields)-1] {
		words := strings.Fields(field)
		if len(words) != 4 {
			return Line{}, errors.New("expected an architecture and three numbers")
		}
		c := Cost{Arch: words[0]}
		for n, where := range []*int{&c.Registers, &c.Shared, &c.Blocks} {
			var err error
			if *where, err = strconv.Atoi(words[1+n]); err != nil {
				return Line{}, err
			}
		}
		l.Costs = append(l.Costs, c)
	}
	return l, nil
}

// Hold compares the manifest with the file, or with update writes the file. The
// error lists every line that differs.
//
// Another release of the compiler may allocate other registers, and an older one
// knows fewer architectures. Then texts, shared memory and networks are compared,
// and numbers that are the compiler's choice are not.
func (m *Manifest) Hold(path string, update bool) error {
	if update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		return os.WriteFile(path, []byte(m.String()), 0o644)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("%w; -update writes it", err)
	}
	kept, err := ParseManifest(string(text))
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	differences := kept.differences(m)
	if len(differences) == 0 {
		return nil
	}
	return fmt.Errorf("%s differs from the kernels; -update rewrites it, to be reviewed:\n%s", path, strings.Join(differences, "\n"))
}

// differences lists what is new in another manifest, and what of this one is no
// longer in it.
func (m *Manifest) differences(now *Manifest) []string {
	comparable := func(l Line) string { return l.String() }
	if m.Compiler != now.Compiler {
		comparable = func(l Line) string {
			if len(l.Costs) > 0 {
				// Shared memory is the same on all of them: the text says it.
				l.Costs = []Cost{{Arch: "any", Shared: l.Costs[0].Shared}}
			}
			return l.String()
		}
	}
	entries := func(m *Manifest) []string {
		var out []string
		for _, h := range m.Headers {
			out = append(out, "header "+h.Hash+" "+h.Name)
		}
		for _, l := range m.Lines {
			out = append(out, "kernel "+comparable(l))
		}
		return out
	}
	before, after := entries(m), entries(now)
	var out []string
	for _, entry := range before {
		if !slices.Contains(after, entry) {
			out = append(out, "- "+entry)
		}
	}
	for _, entry := range after {
		if !slices.Contains(before, entry) {
			out = append(out, "+ "+entry)
		}
	}
	// A line twice, by a merge perhaps, would hide behind its twin.
	if len(out) == 0 && len(before) != len(after) {
		out = append(out, fmt.Sprintf("%d entries in the file, %d now", len(before), len(after)))
	}
	return out
}
