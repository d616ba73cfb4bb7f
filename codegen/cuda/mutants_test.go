package cuda

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"wrnc/compiler/ir"
	"wrnc/compiler/oracle"
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
// the number of samples. Of a site with a shape these are the cheapest that have it.
type site struct {
	net       string
	precision ir.DType
	function  string
	regions   string // names with blanks between them
	n         int
	shape     string  // of shapes
	far       float64 // of a residual from zero
}

func (s site) String() string {
	if s.shape != "" {
		return fmt.Sprintf("%s %s, %s", s.program(), s.function, s.shape)
	}
	return fmt.Sprintf("%s %s @%s, n=%d", s.program(), s.function, s.regions, s.n)
}

// program names the compiled network.
func (s site) program() string { return fmt.Sprint(s.net, " ", s.precision) }

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
	h := harness.NewForTest(t)
	list := mutants
	if !whole() {
		list = slices.DeleteFunc(slices.Clone(list), func(m mutant) bool { return !m.short })
		t.Logf("a short form: %d of %d mutants; WRNC_HARNESS=whole runs all", len(list), len(mutants))
	}
	started := time.Now()
	var sites []site
	at := map[site][]int{}
	compiled := map[string][]program{}
	for i, m := range list {
		if at[m.at] == nil {
			sites = append(sites, m.at)
		}
		at[m.at] = append(at[m.at], i)
		if key := m.at.program(); compiled[key] == nil {
			compiled[key] = programs(t, "../../testdata/nets/"+m.at.net+".wrn", m.at.precision, true, DefaultArch)
		}
	}

	caught := make([]map[string]string, len(list))
	next := make(chan site)
	var wait sync.WaitGroup
	for range 2 {
		wait.Add(1)
		go func() {
			defer wait.Done()
			b := &bench{h: h, nets: compiled}
			defer b.close()
			for s := range next {
				if found, err := b.run(s, nil); err != nil || len(found) > 0 {
					t.Errorf("%v, without a mutant: %v %v", s, err, found)
					continue
				}
				for _, i := range at[s] {
					m := list[i]
					found, err := b.run(s, m.edits)
					caught[i] = found
					switch {
					case err != nil:
						t.Errorf("%s (%v): %v", m.name, s, err)
					case len(found) == 0:
						t.Errorf("%s (%v): nothing finds it", m.name, s)
					case found[m.by] == "":
						t.Errorf("%s (%v): not found by %s, but by %v", m.name, s, m.by, found)
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
	hidden := 0
	for i, m := range list {
		fmt.Fprintf(&table, "%-72s | %s\n", m.name, strings.Join(slices.Sorted(maps.Keys(caught[i])), ", "))
		if caught[i][numerics] == "" {
			hidden++
		}
	}
	t.Logf("%d mutants in %d regions, %v; %d were not seen in any result\n%s",
		len(list), len(sites), time.Since(started).Round(time.Second/10), hidden, &table)
}

// bench runs mutants one after another, with a new machine after one that dies.
type bench struct {
	h    *harness.Harness
	m    *harness.Machine
	nets map[string][]program
}

func (b *bench) close() {
	if b.m != nil {
		b.m.Close()
		b.m = nil
	}
}

// run runs a site with some edits in every schedule. It returns the checks that find
// a fault, with what each says first.
func (b *bench) run(s site, edits []edit) (map[string]string, error) {
	g, rs, n, err := b.find(s)
	if err != nil {
		return nil, err
	}
	h, src, err := b.seed(g, rs, edits)
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	var bits [][]byte
	for _, opts := range schedules {
		if b.m == nil {
			if b.m, err = b.h.Start(); err != nil {
				return nil, err
			}
			b.m.Timeout = 20 * time.Second
		}
		r := &rig{h: h, m: b.m, p: g.p, f: g.f, src: src, opts: opts, far: s.far}
		if err := r.runAll(rs, n, 1); err != nil && len(r.found) == 0 {
			return nil, err
		}
		for _, f := range r.found {
			if found[f.check] == "" {
				found[f.check] = f.text
			}
			if f.check == died {
				b.close()
			}
		}
		if bits == nil {
			bits = r.yields
		} else if r.yields != nil && !slices.EqualFunc(bits, r.yields, bytes.Equal) {
			found[ordered] = "another schedule gives other bits"
		}
		if found[refused] != "" {
			break
		}
	}
	return found, nil
}

// find returns the regions of a site and the number of samples.
func (b *bench) find(s site) (program, []*oracle.Region, int, error) {
	i := slices.IndexFunc(b.nets[s.program()], func(g program) bool { return g.p.Func == s.function })
	if i < 0 {
		return program{}, nil, 0, fmt.Errorf("%s has no function %s", s.net, s.function)
	}
	g := b.nets[s.program()][i]
	all := oracle.Regions(g.p, g.f)
	if s.shape != "" {
		r, n := cheapest(g.p, all, shapes[s.shape])
		if r == nil {
			return g, nil, 0, fmt.Errorf("%s has no region of shape %q", g.name, s.shape)
		}
		return g, []*oracle.Region{r}, n, nil
	}
	var rs []*oracle.Region
	for _, name := range strings.Fields(s.regions) {
		i := slices.IndexFunc(all, func(r *oracle.Region) bool { return r.Name() == name })
		if i < 0 {
			return g, nil, 0, fmt.Errorf("%s has no fusion @%s", g.name, name)
		}
		rs = append(rs, all[i])
	}
	return g, rs, s.n, nil
}

// cheapest returns the region of a shape that costs least, with the fewest samples
// that give it the shape.
func cheapest(p *plan.Plan, rs []*oracle.Region, has func(p *plan.Plan, k *plan.Kernel, n int) bool) (best *oracle.Region, samples int) {
	least := math.Inf(1)
	for _, r := range rs {
		for n := 1; n <= p.Batch && len(r.Kernels) == 1; n++ {
			k := p.Kernels[r.Kernels[0]]
			if !has(p, k, n) {
				continue
			}
			if cost := p.Cost(k).FLOPs * float64(n); cost < least {
				best, samples, least = r, n, cost
			}
			break
		}
	}
	return best, samples
}

// seed makes the edits.
func (b *bench) seed(g program, rs []*oracle.Region, edits []edit) (*harness.Harness, []plan.Source, error) {
	texts, src := map[string][]byte{}, slices.Clone(g.src)
	for _, e := range edits {
		times := 0
		if e.file == "" {
			for _, r := range rs {
				for _, k := range r.Kernels {
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
