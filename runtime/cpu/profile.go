package cpu

import (
	"slices"
	"sync/atomic"
	"time"

	"wrnc/runtime"
)

var _ runtime.Profiler = (*Program)(nil)

// stopwatch times the calls of a launch; a nil one does nothing.
type stopwatch struct {
	time    runtime.LaunchTime
	kernels []*timed
}

// timed is a runner that adds up the time of its units.
type timed struct {
	runner
	nanos atomic.Int64 // of all workers in the current call
}

func (k *timed) run(u int, w *worker) {
	begun := time.Now()
	k.runner.run(u, w)
	k.nanos.Add(int64(time.Since(begun)))
}

// Profile turns timing on or off. A kernel's time is what its units took, added up
// over the workers.
func (p *Program) Profile(on bool) {
	for _, f := range p.funcs {
		for t := range f.launches {
			f.launches[t].untime()
			if on {
				f.time(t)
			}
		}
	}
}

// LaunchTimes returns the times of a function's launches since timing was turned on.
func (p *Program) LaunchTimes(function string) []runtime.LaunchTime {
	f := p.funcs[function]
	if f == nil {
		return nil
	}
	var times []runtime.LaunchTime
	for _, l := range f.launches {
		if l.watch != nil {
			t := l.watch.time
			t.Kernels = slices.Clone(t.Kernels)
			times = append(times, t)
		}
	}
	return times
}

// time puts a stopwatch on launch t and its kernels.
func (f *function) time(t int) {
	l := &f.launches[t]
	l.watch = &stopwatch{}
	for i, k := range f.plan.Launches[t].Kernels {
		timer := &timed{runner: l.kernels[i]}
		l.kernels[i] = timer
		l.watch.kernels = append(l.watch.kernels, timer)
		l.watch.time.Kernels = append(l.watch.time.Kernels, runtime.KernelTime{Name: f.plan.Kernels[k].Name, Kernel: k, Grid: i})
	}
}

// untime takes the stopwatch off, if there is one.
func (l *launch) untime() {
	if l.watch == nil {
		return
	}
	for i, k := range l.watch.kernels {
		l.kernels[i] = k.runner
	}
	l.watch = nil
}

// begin returns when the launch begins.
func (w *stopwatch) begin() (begun time.Time) {
	if w != nil {
		begun = time.Now()
	}
	return begun
}

// end counts a call of the launch.
func (w *stopwatch) end(begun time.Time) {
	if w == nil {
		return
	}
	w.time.Add(w.time.Calls, time.Since(begun))
	for i, k := range w.kernels {
		w.time.Kernels[i].Add(w.time.Calls, time.Duration(k.nanos.Swap(0)))
	}
	w.time.Calls++
}
