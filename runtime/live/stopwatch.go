package live

import (
	"slices"
	"time"

	"wrnc/runtime"
	"wrnc/runtime/metrics"
)

// maxTimed is how many steps a kernel's time is the median of: a step that another
// program has disturbed does not count, and one of an hour ago no more.
const maxTimed = 25

// stopwatch keeps the times of kernels in the steps that were timed last.
type stopwatch struct {
	steps   int
	kernels [][]time.Duration // by the kernel's number, at most maxTimed each, in a ring
}

// Timed is told how long the launches of a step took.
func (m *Monitor) Timed(launches []runtime.LaunchTime) {
	m.changed(partTimes, func() { m.clocked.add(launches) })
}

// add takes a step. Kernels that share a launch share its time by their work.
func (s *stopwatch) add(launches []runtime.LaunchTime) {
	for _, l := range launches {
		var work time.Duration
		for _, k := range l.Kernels {
			work += k.Sum
		}
		for _, k := range l.Kernels {
			took := time.Duration(float64(l.Sum) * float64(k.Sum) / float64(max(work, 1)))
			s.keep(k.Kernel, took)
		}
	}
	s.steps++
}

func (s *stopwatch) keep(kernel int, took time.Duration) {
	for len(s.kernels) <= kernel {
		s.kernels = append(s.kernels, nil)
	}
	if ring := s.kernels[kernel]; len(ring) == maxTimed {
		ring[s.steps%maxTimed] = took
		return
	}
	s.kernels[kernel] = append(s.kernels[kernel], took)
}

// times is nil where no step was timed.
func (s *stopwatch) times() *times {
	if s.steps == 0 {
		return nil
	}
	t := &times{Steps: min(s.steps, maxTimed)}
	for _, all := range s.kernels {
		t.Kernels = append(t.Kernels, metrics.Number(1e3*median(all).Seconds()))
	}
	return t
}

// median is the lower one of two in the middle; 0 of none.
func median(all []time.Duration) time.Duration {
	if len(all) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(all))[(len(all)-1)/2]
}
