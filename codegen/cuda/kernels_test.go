package cuda

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"wrnc/compiler/ir"
	"wrnc/compiler/lower"
	"wrnc/compiler/oracle"
	"wrnc/compiler/plan"
	"wrnc/kernels/harness"
)

// whole tells whether the whole of the harness is to run: every sample network in
// every precision. It takes minutes; without it two small networks stand for all.
func whole() bool { return os.Getenv("WRNC_HARNESS") == "whole" }

// program is a function of a network, planned and printed.
type program struct {
	name string
	p    *plan.Plan
	f    *ir.Func
	src  []plan.Source
}

// programs compiles a network for a GPU.
func programs(t testing.TB, file string, precision ir.DType, fuse bool, name string) []program {
	t.Helper()
	arch, err := Arch(name)
	require.NoError(t, err)
	m := compiled(t, file, precision, fuse)
	var list []program
	for _, f := range m.Funcs {
		p, err := lower.Plan(f, arch)
		require.NoError(t, err)
		src, err := Emit(p, f)
		require.NoError(t, err)
		list = append(list, program{fmt.Sprintf("%s %v %s", strings.TrimSuffix(filepath.Base(file), ".wrn"), precision, f.Name), p, f, src})
	}
	return list
}

// samples is the batch that a region runs with. Where that is cheap the last group of
// samples of a unit is not full, and partials are merged in more than one group.
func samples(p *plan.Plan, r *oracle.Region) int {
	n, macs := 1, 0.0
	for _, i := range r.Kernels {
		k := p.Kernels[i]
		group := max(1, k.Grid.SamplesPerUnit, k.Pixels.SamplesPerUnit)
		if group >= 16 {
			group = 2
		}
		n, macs = max(n, group+1), macs+p.Cost(k).FLOPs/2/float64(p.Batch)
	}
	for n > 1 && macs*float64(n) > 6e7 {
		n--
	}
	for more := n; macs*float64(more) <= 3e7 && more <= min(16, p.Batch); more++ {
		if grouped(p, r, more) {
			return more
		}
	}
	return min(n, p.Batch)
}

// grouped tells whether all merges of a region's partials have two levels for n
// samples, if it has any.
func grouped(p *plan.Plan, r *oracle.Region, n int) bool {
	for _, i := range r.Kernels {
		k := p.Kernels[i]
		if len(k.Reduces) > 0 && k.Grid.Units(n) <= plan.UnitGroup {
			return false
		}
		if s := k.Conv.Splits; k.Kind == plan.WgradSum && s > 1 && k.Pixels.Units(n) <= plan.SplitGroup*ceilDiv(k.Pixels.Units(p.Batch), s) {
			return false
		}
	}
	return true
}

// precisions are those in which a sample network's kernels are executed and pinned:
// f32 of all, and those of tensor cores of three that have kernels of all kinds in
// them: dropout, a 1x1 convolution in a block, channels that are no multiple of eight.
func precisions(file string) []ir.DType {
	switch strings.TrimSuffix(filepath.Base(file), ".wrn") {
	case "wrn-10-1-b13", "wrn-16-1.5", "wrn-16-8":
		return []ir.DType{ir.F32, ir.BF16, ir.TF32}
	case "wrn-18-2-imagenet", "wrn-28-10":
		return []ir.DType{ir.F32, ir.BF16}
	}
	return []ir.DType{ir.F32}
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }

// TestKernels executes every distinct kernel text of the sample networks and
// compares what each region yields with the interpreter.
func TestKernels(t *testing.T) {
	h := harness.NewForTest(t)
	files := nets(t)
	if !whole() {
		files = []string{"../../testdata/nets/wrn-10-1-b13.wrn"}
		t.Log("a short form: one network; WRNC_HARNESS=whole runs all")
	}
	type job struct {
		program
		r *oracle.Region
	}
	var jobs []job
	seen := map[string]bool{}
	for _, file := range files {
		for _, precision := range precisions(file) {
			for _, g := range programs(t, file, precision, true, DefaultArch) {
				for _, r := range oracle.Regions(g.p, g.f) {
					fresh := false
					for _, i := range r.Kernels {
						fresh = fresh || !seen[g.src[i].Entry]
						seen[g.src[i].Entry] = true
					}
					if fresh {
						jobs = append(jobs, job{g, r})
					}
				}
			}
		}
	}
	started := time.Now()
	var wait sync.WaitGroup
	next := make(chan job)
	for range 2 {
		m, err := h.Start()
		require.NoError(t, err)
		defer m.Close()
		wait.Add(1)
		go func() {
			defer wait.Done()
			for j := range next {
				g := &rig{h: h, m: m, p: j.p, f: j.f, src: j.src}
				began := time.Now()
				if err := g.run(j.r, samples(j.p, j.r), 1); err != nil {
					t.Errorf("%s, fusion @%s: %v", j.name, j.r.Name(), err)
				}
				if d := time.Since(began); d > 5*time.Second {
					t.Logf("%s, fusion @%s took %v", j.name, j.r.Name(), d.Round(time.Millisecond))
				}
			}
		}()
	}
	for _, j := range jobs {
		next <- j
	}
	close(next)
	wait.Wait()
	t.Logf("%d kernel texts in %d regions, %v", len(seen), len(jobs), time.Since(started).Round(time.Second))
}

// TestTables runs all regions that share a text whose arguments come from a table in
// one launch.
func TestTables(t *testing.T) {
	h := harness.NewForTest(t)
	m, err := h.Start()
	require.NoError(t, err)
	defer m.Close()
	for _, j := range programs(t, "../../testdata/nets/wrn-10-1.wrn", ir.BF16, true, DefaultArch) {
		tables := map[string][]*oracle.Region{}
		for _, r := range oracle.Regions(j.p, j.f) {
			if len(r.Kernels) == 1 && j.p.Kernels[r.Kernels[0]].Tabled() {
				entry := j.src[r.Kernels[0]].Entry
				tables[entry] = append(tables[entry], r)
			}
		}
		for entry, rs := range tables {
			g := &rig{h: h, m: m, p: j.p, f: j.f, src: j.src}
			require.NoError(t, g.runAll(rs, 2, 1), "%s, %d segments of %s", j.name, len(rs), entry)
		}
	}
}

// TestOrders runs the regions of a small network with threads, blocks and
// asynchronous copies in every order that is legal: the results are the same bits.
func TestOrders(t *testing.T) {
	h := harness.NewForTest(t)
	m, err := h.Start()
	require.NoError(t, err)
	defer m.Close()
	precisions := []ir.DType{ir.BF16}
	if whole() {
		precisions = []ir.DType{ir.F32, ir.BF16, ir.TF32}
	}
	for _, precision := range precisions {
		for _, j := range programs(t, "../../testdata/nets/wrn-10-1.wrn", precision, true, DefaultArch) {
			for _, r := range oracle.Regions(j.p, j.f) {
				var want [][]byte
				for _, opts := range []harness.Launch{
					{Order: harness.Forward, Async: harness.Late},
					{Order: harness.Reverse, Async: harness.Early},
					{Order: harness.Random, Seed: 1, Async: harness.Late},
				} {
					g := &rig{h: h, m: m, p: j.p, f: j.f, src: j.src, opts: opts}
					require.NoError(t, g.run(r, 2, 1), "%s, fusion @%s", j.name, r.Name())
					if want == nil {
						want = g.yields
					}
					require.Equal(t, want, g.yields, "%s, fusion @%s: another order, other bits", j.name, r.Name())
				}
			}
		}
	}
}
