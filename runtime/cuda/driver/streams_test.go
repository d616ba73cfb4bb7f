package driver

import (
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/runtime"
	"wrnc/runtime/cuda"
	"wrnc/runtime/cuda/libcuda"
)

// deaf is a libcuda that does not do the nth wait of one stream for another.
type deaf struct {
	libcuda.API
	nth int
}

func (d *deaf) StreamWaitEvent(s libcuda.Stream, e libcuda.Event) error {
	if d.nth--; d.nth == 0 {
		return nil
	}
	return d.API.StreamWaitEvent(s, e)
}

// TestWaits shows that the fake library finds each wait that is missing between work and
// uploads, and none where all are there.
func TestWaits(t *testing.T) {
	f := newFake(t)
	for missing := range 5 {
		f.reset(0)
		d, err := Open(&deaf{f.api, missing}, f.options(nil))
		require.NoError(t, err)
		p, err := d.Alloc(200)
		require.NoError(t, err)
		for range 2 {
			require.NoError(t, d.Upload(p, make([]byte, 100)))
			require.NoError(t, d.Land([]cuda.Move{{To: p + 100, From: p, Bytes: 100}}))
		}
		require.NoError(t, d.Upload(p, make([]byte, 100)))
		require.NoError(t, d.Close())
		if missing == 0 {
			require.Empty(t, f.left())
			continue
		}
		require.Equal(t, "two streams read and write the same memory, and neither waits for the other\n", f.left(), "without wait %d", missing)
	}
}

// TestOverlap counts the copies that may run beside kernels: what is uploaded while they
// are to run, and not what is written.
func TestOverlap(t *testing.T) {
	f := newFake(t)
	d := f.open(t, nil)
	functions, err := d.Load(cuda.Texts{Kernels: []cuda.Text{text("a", "")}})
	require.NoError(t, err)
	p, err := d.Alloc(200)
	require.NoError(t, err)
	launch := func() { require.NoError(t, d.Launch(functions[0], cuda.Grid{Blocks: 1, Threads: 64}, nil)) }
	move := []cuda.Move{{To: p + 100, From: p, Bytes: 100}}
	require.NoError(t, d.Upload(p, make([]byte, 100)))
	require.NoError(t, d.Land(move))
	launch()
	require.NoError(t, d.Write(p+100, make([]byte, 100)))
	require.Zero(t, f.overlaps(), "in order with the kernel")
	require.NoError(t, d.Upload(p, make([]byte, 100)))
	require.EqualValues(t, 1, f.overlaps(), "which comes after what has landed")
	require.NoError(t, d.Land(move))
	require.NoError(t, d.Upload(p, make([]byte, 100)))
	require.EqualValues(t, 1, f.overlaps(), "the kernel comes before what has landed")
	require.NoError(t, d.Sync())
}

// TestRunAhead has calls whose inputs are known while the one before computes: each of
// them goes over on a stream that need not wait for a kernel, and before the results are
// waited for. By Run, none does.
func TestRunAhead(t *testing.T) {
	f := newFake(t)
	n := build(t)
	p := n.load(t, f)
	pl := n.plans[0]
	count := uint64(len(inputs(pl, 2).F32) + len(inputs(pl, 2).Labels) + len(inputs(pl, 2).U64))
	for range 3 {
		_, err := p.Run(pl.Func, *inputs(pl, 2))
		require.NoError(t, err)
	}
	require.Zero(t, f.overlaps())
	calls := runtime.NewSeries(p, pl.Func)
	for i, samples := range []int{2, 1, 2, 2} {
		var next *runtime.Inputs
		if i < 3 {
			next = inputs(pl, []int{1, 2, 2}[i])
		}
		_, err := calls.Run(*inputs(pl, samples), next)
		require.NoError(t, err)
		require.Equal(t, count*uint64(min(i+1, 3)), f.overlaps(), "after call %d", i)
	}
}
