package runtime

import "time"

// Profiler is an [Executable] that can time the launches of its functions: what
// it starts one after another, each of them one kernel or several side by side.
// It is for the goroutine that runs the executable.
//
// Timing is off until Profile turns it on; then it costs some readings of the
// clock a launch. Neither way does a call take memory.
type Profiler interface {
	// Profile turns timing on, with all times at zero, or off, which forgets them.
	Profile(on bool)

	// LaunchTimes returns the times of a function's launches since timing was
	// turned on, in the order in which they run: none where it is off.
	LaunchTimes(function string) []LaunchTime
}

// LaunchTime is how long a launch took, by the clock of the device.
type LaunchTime struct {
	Calls int // of the function in which it ran, since timing was turned on
	Spent
	Kernels []KernelTime // that share the launch
}

// KernelTime is how long a kernel's own work took. It is that of all workers added
// up, so that with T workers a launch of one kernel takes from a T-th of it upward;
// of a device that does not tell its workers' times, it is the launch's time.
type KernelTime struct {
	Name   string
	Kernel int // its index in the plan's list
	Grid   int // those of a launch with the same number ran as one grid, whose time each of them has
	Spent
}

// Spent is the time of a number of calls.
type Spent struct {
	Sum, Least time.Duration // of all calls; of the fastest
}

// Add counts one more call, of which there were calls before.
func (s *Spent) Add(calls int, d time.Duration) {
	s.Sum += d
	if calls == 0 || d < s.Least {
		s.Least = d
	}
}
