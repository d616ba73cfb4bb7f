package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"time"

	"wrnc/bench"
	"wrnc/compiler/plan"
	"wrnc/runtime"
)

// kernelsRecord is what the kernels of a program take, beside this machine's peaks.
// The times are the least that were measured: of each kernel the work of all workers
// divided by their number. So they add up: kernels, waiting and outside are the whole.
type kernelsRecord struct {
	PeakGFLOPs float64       `json:"peak_gflops"` // operations a nanosecond, with all threads
	PeakGBs    float64       `json:"peak_gbs"`    // bytes a nanosecond, with all threads
	Whole      float64       `json:"whole_ms"`    // the fastest step while kernels were timed
	Waiting    float64       `json:"waiting_ms"`  // workers without a unit while a launch ended
	Outside    float64       `json:"outside_ms"`  // between launches
	Kinds      []kernelTotal `json:"kinds"`       // the longest first
}

// kernelTotal is a kind of kernels and those of it, the longest first; or one kernel.
type kernelTotal struct {
	Name    string        `json:"name"`
	MS      float64       `json:"ms"`
	Share   float64       `json:"share"` // of the whole
	GFLOP   float64       `json:"gflop"`
	MB      float64       `json:"mb"`
	Least   float64       `json:"least_ms"` // at the machine's peaks
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
	timings, err := bench.Turns([]bench.Runner{p, metering{b.meter}}, b.Rounds, networkTurn)
	if err != nil {
		return nil, err
	}
	return newKernelsRecord(p.plan, timer.LaunchTimes(p.function), timings[0].Summarize().Least, b.meter.Measure(), b.on.threads), nil
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

// newKernelsRecord groups the kernels of a plan by kind.
func newKernelsRecord(p *plan.Plan, launches []runtime.LaunchTime, whole float64, peaks bench.Peaks, threads int) *kernelsRecord {
	r := &kernelsRecord{PeakGFLOPs: peaks.FLOPs / 1e9, PeakGBs: peaks.Bytes / 1e9, Whole: 1e3 * whole, Outside: 1e3 * whole}
	kinds := map[plan.Kind]*kernelTotal{}
	for _, l := range launches {
		r.Outside -= milliseconds(l.Least)
		r.Waiting += milliseconds(l.Least)
		for _, t := range l.Kernels {
			k := p.Kernels[t.Kernel]
			cost := p.Cost(k)
			one := kernelTotal{Name: t.Name, MS: milliseconds(t.Least) / float64(threads), GFLOP: cost.FLOPs / 1e9, MB: cost.Bytes / 1e6,
				Least: 1e3 * peaks.Seconds(cost.FLOPs, cost.Bytes)}
			one.Share = one.MS / r.Whole
			r.Waiting -= one.MS
			kind := kinds[k.Kind]
			if kind == nil {
				kind = &kernelTotal{Name: k.Kind.String()}
				kinds[k.Kind] = kind
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

func milliseconds(d time.Duration) float64 { return 1e3 * d.Seconds() }

// longest orders by time, and by name where that is the same.
func longest(a, b kernelTotal) int {
	return cmp.Or(cmp.Compare(b.MS, a.MS), cmp.Compare(a.Name, b.Name))
}

// printKernels prints each kind with its kernels.
func (r benchRecord) printKernels(w io.Writer) {
	k := r.Kernels
	fmt.Fprintf(w, "\n  kernels of %s, %s with a batch of %d: the least times of %d rounds, each the work of all threads divided by their number.\n"+
		"  This machine's peaks: %.4g GFLOP/s in the multiply, %.3g GB/s of memory. Over 100 %%: its operands were in a cache.\n\n",
		r.Program, r.Network, r.Batch, r.Rounds, k.PeakGFLOPs, k.PeakGBs)
	fmt.Fprintf(w, "  %10s %7s %9s %9s %9s %9s %8s  %s\n", "ms", "share", "GFLOP", "MB", "GFLOP/s", "GB/s", "of peak", "kernel")
	for _, kind := range k.Kinds {
		kind.print(w, fmt.Sprintf("%s (kernels: %d)", kind.Name, len(kind.Kernels)))
		kind.printLargest(w)
	}
	for _, rest := range []kernelTotal{{Name: "workers without work at a launch's end", MS: k.Waiting}, {Name: "between launches", MS: k.Outside}, {Name: "the fastest step", MS: k.Whole}} {
		fmt.Fprintf(w, "  %10.4f %5.1f %% %57s%s\n", rest.MS, 100*rest.MS/k.Whole, "", rest.Name)
	}
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
	gflops := ""
	if t.GFLOP > 0 {
		gflops = fmt.Sprintf("%.1f", t.GFLOP/t.MS*1e3)
	}
	fmt.Fprintf(w, "  %10.4f %5.1f %% %9.4f %9.3f %9s %9.1f %6.0f %%  %s\n", t.MS, 100*t.Share, t.GFLOP, t.MB, gflops, t.MB/t.MS, 100*t.Least/t.MS, name)
}
