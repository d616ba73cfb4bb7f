package cuda

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"wrnc/runtime"
)

// TestProfile times launches by a clock that goes a millisecond for each grid.
func TestProfile(t *testing.T) {
	x, load, o := fed(t)
	f := newFake(t)
	p, err := loadFed(x, load, f, o)
	require.NoError(t, err)
	require.NoError(t, p.WriteResident("load", "pictures", make([]byte, 60)))
	require.NoError(t, p.WriteResident("load", "values", make([]byte, 3072)))
	run := func(n int) {
		t.Helper()
		_, err := p.Run("step", numbers(n))
		require.NoError(t, err)
	}
	run(4)
	require.Empty(t, p.LaunchTimes("step"))
	p.Profile(true)
	before := f.replays
	for _, n := range []int{4, 3} {
		run(n)
	}
	require.Equal(t, before, f.replays, "launches start one by one")
	spent := func(ms time.Duration) runtime.Spent {
		return runtime.Spent{Sum: 2 * ms * time.Millisecond, Least: ms * time.Millisecond}
	}
	times := p.LaunchTimes("step")
	require.Len(t, times, len(x.step.Launches))
	for i, l := range times {
		require.Equal(t, 2, l.Calls)
		require.Len(t, l.Kernels, len(x.step.Launches[i].Kernels))
		for j, k := range l.Kernels {
			require.Equal(t, x.step.Launches[i].Kernels[j], k.Kernel)
			require.Equal(t, x.step.Kernels[k.Kernel].Name, k.Name)
			require.Equal(t, spent(1), k.Spent, "of the grid that it is in")
		}
	}
	require.Equal(t, spent(3), times[0].Spent, "conv, both updates as one grid, and r.double")
	grids := map[int]int{}
	for _, k := range times[0].Kernels {
		grids[k.Grid]++
	}
	require.ElementsMatch(t, []int{1, 2, 1}, slices.Collect(maps.Values(grids)))
	require.Equal(t, spent(1), p.LaunchTimes("load")[0].Spent)
	require.Zero(t, p.LaunchTimes("mean")[0].Calls)
	times[0].Kernels[0].Name = "another"
	require.NotEqual(t, times, p.LaunchTimes("step"), "a copy")
	require.Nil(t, p.LaunchTimes("stop"))

	p.Profile(true)
	require.Zero(t, p.LaunchTimes("step")[0].Calls, "from the beginning")
	run(4)
	p.Profile(false)
	require.Empty(t, f.events)
	require.Nil(t, p.LaunchTimes("step"))
	run(4)
	require.Equal(t, before+1, f.replays)
	p.Profile(true)
	run(4)
	p.Close()
	f.empty(t)
}

// TestEveryTimedCallCanFail is TestEveryCallCanFail where launches are timed.
func TestEveryTimedCallCanFail(t *testing.T) {
	for at := 1; ; at++ {
		x, f := newTiny(t), newFake(t)
		p := x.load(t, f, Options{})
		p.Profile(true)
		f.failAt = len(f.called) + at
		_, err := p.Run("step", batch(3))
		begun := len(f.called)
		p.Close()
		f.empty(t)
		if f.failAt > begun {
			require.NoError(t, err)
			return
		}
		require.ErrorIs(t, err, errFake)
		require.Regexp(t, `^step: `, err.Error())
	}
}
