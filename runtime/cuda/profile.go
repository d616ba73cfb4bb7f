package cuda

import (
	"fmt"
	"slices"

	"wrnc/runtime"
)

var _ runtime.Profiler = (*Program)(nil)

// stopwatch times a function's launches by events between its steps, which then start
// one by one. A step's time begins where the one before ends, so that of a kernel that
// is shorter than its start is the start's.
type stopwatch struct {
	events []Event // before the first step, and after each
	times  []runtime.LaunchTime
}

// Profile turns timing on or off. A kernel's time is that of the grid that it is in.
func (p *Program) Profile(on bool) {
	for _, f := range p.order {
		p.freeEvents(f)
		f.watch = nil
		if on {
			f.watch = &stopwatch{times: f.untimed()}
		}
	}
}

// untimed are the function's launches at no time.
func (f *function) untimed() []runtime.LaunchTime {
	grids := make([]int, len(f.plan.Kernels))
	for i, s := range f.steps {
		for _, k := range s.kernels {
			grids[k] = i
		}
	}
	times := make([]runtime.LaunchTime, len(f.plan.Launches))
	for i, l := range f.plan.Launches {
		for _, k := range l.Kernels {
			times[i].Kernels = append(times[i].Kernels, runtime.KernelTime{Name: f.plan.Kernels[k].Name, Kernel: k, Grid: grids[k]})
		}
	}
	return times
}

// freeEvents gives back a function's events. What the driver fails to give back it
// still holds, until it is closed.
func (p *Program) freeEvents(f *function) {
	if f.watch == nil {
		return
	}
	for _, e := range f.watch.events {
		_ = p.d.FreeEvent(e)
	}
	f.watch.events = nil
}

// LaunchTimes returns the times of a function's launches since timing was turned on.
// Those of a function that feeds another one are its own.
func (p *Program) LaunchTimes(function string) []runtime.LaunchTime {
	f := p.funcs[function]
	if f == nil || f.watch == nil {
		return nil
	}
	times := slices.Clone(f.watch.times)
	for i := range times {
		times[i].Kernels = slices.Clone(times[i].Kernels)
	}
	return times
}

// mark records event i of a function that is timed.
func (f *function) mark(i int) error {
	if f.watch == nil {
		return nil
	}
	for i >= len(f.watch.events) {
		e, err := f.p.d.NewEvent()
		if err != nil {
			return fmt.Errorf("making an event: %w", err)
		}
		f.watch.events = append(f.watch.events, e)
	}
	if err := f.p.d.Record(f.watch.events[i]); err != nil {
		return fmt.Errorf("recording an event: %w", err)
	}
	return nil
}

// readTimes counts the call whose launches, from step first on, have ended.
func (f *function) readTimes(first int) error {
	if f.watch == nil {
		return nil
	}
	w := f.watch
	for i := first; i < len(f.steps); {
		begun, launch := i, f.steps[i].launch
		t := &w.times[launch]
		for ; i < len(f.steps) && f.steps[i].launch == launch; i++ {
			took, err := f.p.d.Elapsed(w.events[i], w.events[i+1])
			if err != nil {
				return fmt.Errorf("%s: the time that it took: %w", f.describe(f.steps[i]), err)
			}
			for _, k := range f.steps[i].kernels {
				t.Kernels[slices.Index(f.plan.Launches[launch].Kernels, k)].Add(t.Calls, took)
			}
		}
		took, err := f.p.d.Elapsed(w.events[begun], w.events[i])
		if err != nil {
			return fmt.Errorf("launch %d: the time that it took: %w", launch, err)
		}
		t.Add(t.Calls, took)
		t.Calls++
	}
	return nil
}
