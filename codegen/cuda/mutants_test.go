package cuda

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"wrnc/compiler/ir"
	"wrnc/compiler/plan"
	"wrnc/kernels"
	"wrnc/kernels/harness"
)

// A mutant is a fault seeded into what is otherwise right: a template, or the text
// that is generated for a region. The rig must find it, and by the check that is
// meant for its kind. So the suite says what the checks are worth: a mutant that
// nobody finds is a bug that nobody would find.
type mutant struct {
	name  string
	edits []edit
	at    site
	by    string // the check that finds it: a rule of the harness, one of the rig, or ordered
	short bool   // belongs to the short form
}

// edit replaces a piece of text that occurs as often as said, 0 meaning once: a
// mutant that no longer applies fails. Without a file it is of the generated text.
type edit struct {
	file     string
	old, new string
	times    int
}

// site is where a mutant lives: regions of a sample network that run together, and
// the number of samples.
type site struct {
	net       string
	precision ir.DType
	function  string
	regions   string // names with blanks between them
	n         int
}

func (s site) String() string {
	return fmt.Sprintf("%s %v %s @%s, n=%d", s.net, s.precision, s.function, s.regions, s.n)
}

// schedules are the orders that each mutant runs in.
var schedules = []harness.Launch{
	{Order: harness.Forward, Async: harness.Late},
	{Order: harness.Reverse, Async: harness.Early},
	{Order: harness.Random, Seed: 1, Async: harness.Late},
}

// ordered is the check that results are the same bits in every schedule.
const ordered = "orders"

// swap is an edit of a text that occurs once.
func swap(file, old, new string) []edit { return []edit{{file: file, old: old, new: new}} }

// TestMutants runs the region of each mutant without it, which must be found right,
// and then with it.
func TestMutants(t *testing.T) {
	h := newHarness(t)
	list := mutants
	if !whole() {
		list = slices.DeleteFunc(slices.Clone(list), func(m mutant) bool { return !m.short })
		t.Logf("a short form: %d of %d mutants; WRNC_HARNESS=whole runs all", len(list), len(mutants))
	}
	started := time.Now()
	var sites []site
	at := map[site][]int{}
	for i, m := range list {
		if at[m.at] == nil {
			sites = append(sites, m.at)
		}
		at[m.at] = append(at[m.at], i)
	}
	caught := make([][]string, len(list))
	cache := &programCache{}
	next := make(chan site)
	var wait sync.WaitGroup
	for range 2 {
		wait.Add(1)
		go func() {
			defer wait.Done()
			b := &bench{t: t, h: h, cache: cache}
			defer b.close()
			for s := range next {
				healthy, err := b.run(s, nil)
				if err != nil || len(healthy) > 0 {
					t.Errorf("%v, without a mutant: %v %v", s, healthy, err)
					continue
				}
				for _, i := range at[s] {
					found, err := b.run(s, list[i].edits)
					if err != nil {
						t.Errorf("%s: %v", list[i].name, err)
					}
					caught[i] = found
					switch {
					case len(found) == 0:
						t.Errorf("%s (%v): nothing finds it", list[i].name, s)
					case !slices.Contains(found, list[i].by):
						t.Errorf("%s (%v): found by %s, not by %s", list[i].name, s, strings.Join(found, ", "), list[i].by)
					}
				}
			}
		}()
	}
	for _, s := range sites {
		next <- s
	}
	close(next)
	wait.Wait()
	var table strings.Builder
	missed := 0
	for i, m := range list {
		fmt.Fprintf(&table, "%-72s | %s\n", m.name, strings.Join(caught[i], ", "))
		if !slices.Contains(caught[i], numerics) {
			missed++
		}
	}
	t.Logf("%d mutants in %d regions, %v; numerics alone would miss %d\n%s",
		len(list), len(sites), time.Since(started).Round(time.Second/10), missed, &table)
}

// programCache compiles each network once.
type programCache struct {
	mu       sync.Mutex
	programs map[string][]program
}

func (c *programCache) get(t testing.TB, s site) (program, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := fmt.Sprint(s.net, s.precision)
	if c.programs == nil {
		c.programs = map[string][]program{}
	}
	if c.programs[key] == nil {
		c.programs[key] = programs(t, "../../testdata/nets/"+s.net+".wrn", s.precision, true, DefaultArch)
	}
	for _, g := range c.programs[key] {
		if g.p.Func == s.function {
			return g, nil
		}
	}
	return program{}, fmt.Errorf("%s has no function %s", s.net, s.function)
}

// bench runs mutants one after another, with a new machine after one that dies.
type bench struct {
	t     testing.TB
	h     *harness.Harness
	m     *harness.Machine
	cache *programCache
}

func (b *bench) close() {
	if b.m != nil {
		b.m.Close()
		b.m = nil
	}
}

// run runs a site with some edits in every order, and lists the checks that found
// a fault.
func (b *bench) run(s site, edits []edit) ([]string, error) {
	g, err := b.cache.get(b.t, s)
	if err != nil {
		return nil, err
	}
	var rs []*region
	for _, name := range strings.Fields(s.regions) {
		i := slices.IndexFunc(regions(g.p, g.f), func(r *region) bool { return r.n.Layer == name })
		if i < 0 {
			return nil, fmt.Errorf("%s has no fusion @%s", g.name, name)
		}
		rs = append(rs, regions(g.p, g.f)[i])
	}
	h, src, err := b.seed(g, rs, edits)
	if err != nil {
		return nil, err
	}
	checks := map[string]bool{}
	var bits [][]byte
	for _, opts := range schedules {
		if b.m == nil {
			if b.m, err = b.h.Start(); err != nil {
				return nil, err
			}
			b.m.Timeout = 20 * time.Second
		}
		r := &rig{h: h, m: b.m, p: g.p, f: g.f, src: src, opts: opts}
		err := r.runAll(rs, s.n, 1)
		if err != nil && len(r.found) == 0 {
			return nil, err
		}
		for _, f := range r.found {
			checks[f.check] = true
			if verbose {
				fmt.Printf("\t\t%s: %s\n", f.check, f.text)
			}
			if f.check == died {
				b.close()
			}
		}
		if bits == nil {
			bits = r.yields
		} else if !slices.EqualFunc(bits, r.yields, bytes.Equal) {
			checks[ordered] = true
		}
		if checks[refused] {
			break
		}
	}
	return slices.Sorted(maps.Keys(checks)), nil
}

const verbose = false

// seed makes the edits.
func (b *bench) seed(g program, rs []*region, edits []edit) (*harness.Harness, []plan.Source, error) {
	texts, src := map[string][]byte{}, slices.Clone(g.src)
	for _, e := range edits {
		times := 0
		if e.file == "" {
			for _, r := range rs {
				for _, k := range r.kernels {
					times += strings.Count(src[k].Text, e.old)
					src[k].Text = strings.ReplaceAll(src[k].Text, e.old, e.new)
				}
			}
		} else {
			if texts[e.file] == nil {
				text, err := kernels.Files.ReadFile(e.file)
				if err != nil {
					return nil, nil, err
				}
				texts[e.file] = text
			}
			times = bytes.Count(texts[e.file], []byte(e.old))
			texts[e.file] = bytes.ReplaceAll(texts[e.file], []byte(e.old), []byte(e.new))
		}
		if times != max(1, e.times) {
			return nil, nil, fmt.Errorf("%q occurs %d times in %s, expected %d", e.old, times, e.file, max(1, e.times))
		}
	}
	if len(texts) == 0 {
		return b.h, src, nil
	}
	h, err := b.h.With(texts)
	return h, src, err
}
