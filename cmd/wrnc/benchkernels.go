package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"time"

	"wrnc/bench"
	printer "wrnc/codegen/cuda"
	"wrnc/compiler/plan"
	"wrnc/runtime"
)

// kernelsRecord is what the kernels of a program take, beside the machine's peaks.
// The times are the least that were measured: of each kernel the work of all workers
// divided by their number, on a GPU that of its grid. So they add up: kernels, waiting
// and outside are the whole.
type kernelsRecord struct {
	Peaks      string        `json:"peaks"`       // where they are from: measured, or nominal and of which card
	PeakGFLOPs float64       `json:"peak_gflops"` // operations a nanosecond, with all threads, in the precision that is measured
	PeakGBs    float64       `json:"peak_gbs"`    // bytes a nanosecond, with all threads
	Whole      float64       `json:"whole_ms"`    // the fastest step while kernels were timed
	Waiting    float64       `json:"waiting_ms"`  // workers without a unit while a launch ended
	Outside    float64       `json:"outside_ms"`  // between launches
	Kinds      []kernelTotal `json:"kinds"`       // the longest first
}

// kernelTotal is a kind of kernels and those of it, the longest first; or one kernel, or
// several that are one grid.
type kernelTotal struct {
	Name    string        `json:"name"`
	MS      float64       `json:"ms"`
	Share   float64       `json:"share"` // of the whole
	GFLOP   float64       `json:"gflop"`
	MB      float64       `json:"mb"`
	Least   float64       `json:"least_ms"` // at the peaks
	Kernels []kernelTotal `json:"kernels,omitempty"`
}

// add adds another's time and work.
func (t *kernelTotal) add(o kernelTotal) {
	t.MS += o.MS
	t.Share += o.Share
	t.GFLOP += o.GFLOP
	t.MB += o.MB
	t.Least += o.Least
}

// profile times a program's launches, in turns with the machine's peaks.
func (b *benchSession) profile(p *benchProgram) (*kernelsRecord, error) {
	timer, ok := p.ex.(runtime.Profiler)
	if !ok {
		return nil, fmt.Errorf("--kernels: the %s target cannot time its kernels", b.on.arch().Target)
	}
	timer.Profile(true)
	defer timer.Profile(false)
	runners := []bench.Runner{p}
	if b.meter != nil {
		runners = append(runners, metering{b.meter})
	}
	timings, err := bench.Turns(runners, b.Rounds, networkTurn)
	if err != nil {
		return nil, err
	}
	peaks, err := b.peaks()
	if err != nil {
		return nil, err
	}
	// What is prepared is no part of a step.
	launches := timer.LaunchTimes(p.function)[p.plan.Prepared:]
	return newKernelsRecord(p.plan, launches, timings[0].Summarize().Least, peaks, max(1, b.on.workers())), nil
}

// metering measures peaks as one that takes turns.
type metering struct{ meter *bench.Meter }

// Steps measures once, however many steps there are: the others have their time.
func (m metering) Steps(n int) ([]float64, error) {
	begun := time.Now()
	m.meter.Measure()
	seconds := make([]float64, n)
	for i := range seconds {
		seconds[i] = time.Since(begun).Seconds() / float64(n)
	}
	return seconds, nil
}

// peaks are what a machine does at most.
type peaks struct {
	bench.Peaks        // of the multiply in the precision that is measured
	from        string // measured, or nominal and of which card
	seconds     func(c plan.Cost, math string) float64
}

// peaks returns those of the machine: a processor's were measured, a GPU's are the
// nominal ones of the card that its architecture is planned by.
func (b *benchSession) peaks() (peaks, error) {
	arch := b.on.arch()
	if !arch.OnGPU() {
		measured := b.meter.Measure()
		return peaks{measured, "measured", func(c plan.Cost, _ string) float64 { return measured.Seconds(c.FLOPs, c.Bytes) }}, nil
	}
	card, err := printer.Card(arch.ISA)
	if err != nil {
		return peaks{}, err
	}
	nominal := bench.Peaks{FLOPs: arch.GPU.FLOPs(b.precision.String()), Bytes: arch.GPU.Bandwidth()}
	return peaks{nominal, "nominal, " + card, func(c plan.Cost, math string) float64 {
		seconds, _ := arch.GPU.Seconds(c, math)
		return seconds
	}}, nil
}

// modelRecord is the least time of a program by the cost of its kernels.
type modelRecord struct {
	Least float64 `json:"least_ms"` // of all kernels, one after another
	Share float64 `json:"share"`    // of the median step that was measured
	Peaks string  `json:"peaks"`    // where they are from
}

// model holds what kernels cost at least to a measured step of milliseconds.
func (b *benchSession) model(p *benchProgram, measured float64) (*modelRecord, error) {
	peaks, err := b.peaks()
	if err != nil {
		return nil, err
	}
	m := &modelRecord{Peaks: peaks.from}
	for _, l := range p.plan.Launches[p.plan.Prepared:] {
		for _, k := range l.Kernels {
			m.Least += 1e3 * peaks.seconds(p.plan.Cost(p.plan.Kernels[k]), p.plan.Kernels[k].Block.Math)
		}
	}
	m.Share = m.Least / measured
	return m, nil
}

// newKernelsRecord groups the kernels of a plan by kind.
func newKernelsRecord(p *plan.Plan, launches []runtime.LaunchTime, whole float64, peaks peaks, workers int) *kernelsRecord {
	r := &kernelsRecord{Peaks: peaks.from, PeakGFLOPs: peaks.FLOPs / 1e9, PeakGBs: peaks.Bytes / 1e9, Whole: 1e3 * whole, Outside: 1e3 * whole}
	kinds := map[plan.Kind]*kernelTotal{}
	for _, l := range launches {
		r.Outside -= milliseconds(l.Least)
		r.Waiting += milliseconds(l.Least)
		for _, grid := range grids(l) {
			one := newGridTotal(p, grid, peaks)
			one.MS = milliseconds(grid[0].Least) / float64(workers)
			one.Share = one.MS / r.Whole
			r.Waiting -= one.MS
			of := p.Kernels[grid[0].Kernel].Kind // of all: they have one text
			kind := kinds[of]
			if kind == nil {
				kind = &kernelTotal{Name: of.String()}
				kinds[of] = kind
			}
			kind.add(one)
			kind.Kernels = append(kind.Kernels, one)
		}
	}
	for _, kind := range kinds {
		slices.SortFunc(kind.Kernels, longest)
		r.Kinds = append(r.Kinds, *kind)
	}
	slices.SortFunc(r.Kinds, longest)
	return r
}

// grids lists the kernels of a launch that ran as one grid, each of which has its time.
func grids(l runtime.LaunchTime) [][]runtime.KernelTime {
	var all [][]runtime.KernelTime
	at := map[int]int{}
	for _, k := range l.Kernels {
		i, open := at[k.Grid]
		if !open {
			i = len(all)
			at[k.Grid] = i
			all = append(all, nil)
		}
		all[i] = append(all[i], k)
	}
	return all
}

// newGridTotal adds up what the kernels of a grid have to do.
func newGridTotal(p *plan.Plan, grid []runtime.KernelTime, peaks peaks) kernelTotal {
	total := kernelTotal{Name: grid[0].Name}
	if len(grid) > 1 {
		total.Name += fmt.Sprintf(" and %d more", len(grid)-1)
	}
	for _, t := range grid {
		k := p.Kernels[t.Kernel]
		cost := p.Cost(k)
		total.add(kernelTotal{GFLOP: cost.FLOPs / 1e9, MB: cost.Bytes / 1e6, Least: 1e3 * peaks.seconds(cost, k.Block.Math)})
	}
	return total
}

func milliseconds(d time.Duration) float64 { return 1e3 * d.Seconds() }

// longest orders by time, and by name where that is the same.
func longest(a, b kernelTotal) int {
	return cmp.Or(cmp.Compare(b.MS, a.MS), cmp.Compare(a.Name, b.Name))
}

// printKernels prints each kind with its kernels.
func (r benchRecord) printKernels(w io.Writer) {
	k := r.Kernels
	fmt.Fprintf(w, "\n  kernels of %s, %s with a batch of %d: the least times of %d rounds, %s.\n"+
		"  Peaks, %s: %.4g GFLOP/s in the multiply, %.3g GB/s of memory. Over 100 %%: its operands were in a cache, or Winograd's tiles saved products.\n\n",
		r.Program, r.Network, r.Batch, r.Rounds, r.timed(), k.Peaks, k.PeakGFLOPs, k.PeakGBs)
	fmt.Fprintf(w, "  %10s %7s %9s %9s %9s %9s %10s %8s  %s\n", "ms", "share", "GFLOP", "MB", "GFLOP/s", "GB/s", "least ms", "of peak", "kernel")
	for _, kind := range k.Kinds {
		kind.print(w, fmt.Sprintf("%s (kernels: %d)", kind.Name, len(kind.Kernels)))
		kind.printLargest(w)
	}
	for _, rest := range []kernelTotal{{Name: "workers without work at a launch's end", MS: k.Waiting}, {Name: "between launches", MS: k.Outside}, {Name: "the fastest step", MS: k.Whole}} {
		fmt.Fprintf(w, "  %10.4f %5.1f %% %68s%s\n", rest.MS, 100*rest.MS/k.Whole, "", rest.Name)
	}
}

// timed says whose time a kernel's is.
func (r benchRecord) timed() string {
	if r.Machine.Device != "" {
		return "by events before and after each grid, which starts alone, not as part of a graph"
	}
	return "each the work of all threads divided by their number"
}

// printLargest prints the kernels that matter, and one line for the others.
func (t kernelTotal) printLargest(w io.Writer) {
	var rest kernelTotal
	others := 0
	for _, one := range t.Kernels {
		if one.Share >= printedShare {
			one.print(w, "  "+one.Name)
			continue
		}
		rest.add(one)
		others++
	}
	if others > 0 && others < len(t.Kernels) {
		rest.print(w, fmt.Sprintf("  %d others", others))
	}
}

// printedShare is the share of a step from which a kernel has a line for people.
const printedShare = 0.005

func (t kernelTotal) print(w io.Writer, name string) {
	ofPeak := rate(100*t.Least, t.MS, "%.0f %%")
	fmt.Fprintf(w, "  %10.4f %5.1f %% %9.4f %9.3f %9s %9s %10.4f %8s  %s\n", t.MS, 100*t.Share, t.GFLOP, t.MB,
		rate(1e3*t.GFLOP, t.MS, "%.1f"), rate(t.MB, t.MS, "%.1f"), t.Least, ofPeak, name)
}

// rate is an amount by a time, or nothing where there is none of the one, or so little of
// the other that the clock does not show it.
func rate(amount, ms float64, format string) string {
	if amount == 0 || ms == 0 {
		return ""
	}
	return fmt.Sprintf(format, amount/ms)
}
