package cuda

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/runtime"
)

// other is a batch whose images are not those of batch.
func other(n int) *runtime.Inputs {
	in := batch(n)
	for i := range in.F32["images"] {
		in.F32["images"][i] += 100
	}
	in.F32["lr"], in.U64["step"] = []float32{0.25}, 10
	return &in
}

// spoil overwrites inputs, which are the caller's again.
func spoil(in *runtime.Inputs) {
	for _, v := range in.F32 {
		for i := range v {
			v[i] = -1
		}
	}
	for _, v := range in.Labels {
		clear(v)
	}
}

// TestStage requires that the inputs of a call go over after the launches of the call
// before it are started and before its results are waited for, that each call sees its
// own, and that they are the caller's again.
func TestStage(t *testing.T) {
	for name, o := range map[string]Options{"graphs": {}, "launches": {NoGraphs: true}, "poison": {Poison: true}} {
		t.Run(name, func(t *testing.T) {
			x, f := newTiny(t), newFake(t)
			p := x.load(t, f, o)
			defer p.Close()
			var seen []runtime.Inputs
			f.kernels["conv_entry"] = func(l launched) {
				in := runtime.Inputs{F32: map[string][]float32{"images": make([]float32, 12), "lr": {0}}, U64: map[string]uint64{}}
				copy(bytesOf(in.F32["images"]), f.at(Ptr(x.ptr(p, "images")), 48))
				copy(bytesOf(in.F32["lr"]), f.at(Ptr(x.ptr(p, "lr")), 4))
				in.U64["step"] = uint64(f.at(Ptr(x.ptr(p, "step")), 8)[0])
				seen = append(seen, in)
			}
			first := batch(4)
			require.NoError(t, p.Stage("step", first))
			spoil(&first)
			for i, next := range []*runtime.Inputs{other(1), other(4), nil} {
				f.called = nil
				results, err := p.RunStaged(next)
				require.NoError(t, err)
				require.Len(t, results[1], 32*[]int{4, 1, 4}[i])
				require.Equal(t, []int{1, 2, 1}[i], f.moves, "neighbours move as one, and a short batch leaves a gap")
				if next != nil {
					spoil(next)
				}
				if name == "graphs" && i == 1 {
					require.Equal(t, []string{"Capture", "Land", "Replay", "Upload", "Upload", "Upload", "Upload", "Upload", "Read", "Read", "Read"}, without(f.called, "Write", "Discard"))
				}
			}
			require.Len(t, seen, 3)
			for i, want := range []runtime.Inputs{batch(4), *other(1), *other(4)} {
				require.Equal(t, want.F32["images"][:12], seen[i].F32["images"], "call %d", i)
				require.Equal(t, want.F32["lr"], seen[i].F32["lr"], "call %d", i)
				require.Equal(t, want.U64["step"], seen[i].U64["step"], "call %d", i)
			}
			_, err := p.RunStaged(other(2))
			require.EqualError(t, err, "tiny: no call is staged")
		})
	}
}

func without(calls []string, names ...string) []string {
	return slices.DeleteFunc(slices.Clone(calls), func(c string) bool { return slices.Contains(names, c) })
}

// TestStagedIsForgotten: a call that is handed over stays out of the way of all others,
// until it runs or gives way to another.
func TestStagedIsForgotten(t *testing.T) {
	x, f := newTiny(t), newFake(t)
	p := x.load(t, f, Options{})
	defer p.Close()
	first := func() float32 {
		v := make([]float32, 1)
		copy(bytesOf(v), f.at(Ptr(x.ptr(p, "images")), 4))
		return v[0]
	}
	require.NoError(t, p.Stage("step", *other(4)))
	for _, name := range []string{"step", "mean"} {
		_, err := p.Run(name, batch(3))
		require.NoError(t, err)
		require.Zero(t, first())
	}
	require.NoError(t, p.WriteState("p", make([]float32, 5)))
	_, err := p.ReadState("p")
	require.NoError(t, err)
	last := batch(4)
	last.F32["images"][0] = 7
	require.NoError(t, p.Stage("mean", last))
	_, err = p.RunStaged(nil)
	require.NoError(t, err)
	require.EqualValues(t, 7, first(), "in place of the one before")
	require.NoError(t, p.Stage("step", *other(4))) // left to Close
}

// TestStagedRefusals: what is wrong with a call is its own error, and what is handed over
// beside it runs.
func TestStagedRefusals(t *testing.T) {
	x, f := newTiny(t), newFake(t)
	p := x.load(t, f, Options{})
	wrong := other(3)
	wrong.Labels["labels"][1] = 8
	const want = "step: label 8 of sample 1: expected 0 to 7"
	require.NoError(t, p.Stage("step", batch(4)))
	require.EqualError(t, p.Stage("step", *wrong), want)
	require.EqualError(t, p.Stage("train", *wrong), "tiny has no function train")
	calls := len(f.called)
	results, err := p.RunStaged(wrong)
	require.NoError(t, err)
	require.Len(t, results, 3)
	require.NotContains(t, f.called[calls:], "Upload")
	calls = len(f.called)
	_, err = p.RunStaged(other(3))
	require.EqualError(t, err, want)
	require.Len(t, f.called, calls, "what is refused does not reach the driver")
	_, err = p.RunStaged(nil)
	require.EqualError(t, err, "tiny: no call is staged")
	_, err = p.Run("step", batch(4))
	require.NoError(t, err, "and the program goes on")
	p.Close()
	require.EqualError(t, p.Stage("step", batch(4)), "tiny: the program is closed")
	_, err = p.RunStaged(nil)
	require.EqualError(t, err, "tiny: the program is closed")
	f.empty(t)
}

// TestEveryStagedCallCanFail is TestEveryCallCanFail where calls are handed over, of
// functions that are fed and of others.
func TestEveryStagedCallCanFail(t *testing.T) {
	for at := 1; ; at++ {
		x, load, o := fed(t)
		f := newFake(t)
		p, err := loadFed(x, load, f, o)
		require.NoError(t, err)
		require.NoError(t, p.WriteResident("load", "pictures", make([]byte, 60)))
		require.NoError(t, p.WriteResident("load", "values", make([]byte, 3072)))
		f.failAt = len(f.called) + at
		short, full := numbers(3), numbers(4)
		calls := []func() error{
			func() error { return p.Stage("step", full) },
			func() error { _, err := p.RunStaged(&short); return err },
			func() error { _, err := p.RunStaged(&full); return err },
			func() error { return p.Stage("mean", batch(4)) },
			func() error { _, err := p.RunStaged(other(2)); return err },
			func() error { _, err := p.RunStaged(nil); return err },
		}
		for i := 0; err == nil && i < len(calls); i++ {
			err = calls[i]()
		}
		begun := len(f.called)
		if err != nil {
			_, again := p.RunStaged(nil)
			require.ErrorContains(t, again, "the device failed before")
		}
		p.Close()
		f.empty(t)
		if f.failAt > begun {
			require.NoError(t, err)
			require.Greater(t, at, 30)
			return
		}
		require.ErrorIs(t, err, errFake)
		require.Regexp(t, `^(step|mean): `, err.Error())
	}
}

// TestStageAndFeeds hands over the numbers of pictures in place of pictures.
func TestStageAndFeeds(t *testing.T) {
	x, load, o := fed(t)
	f := newFake(t)
	p, err := loadFed(x, load, f, o)
	require.NoError(t, err)
	defer p.Close()
	require.EqualError(t, p.Stage("step", numbers(4)), "step: parameter pictures (u8[5,2,2,3]) of load was never written")
	require.NoError(t, p.WriteResident("load", "pictures", make([]byte, 60)))
	require.NoError(t, p.WriteResident("load", "values", make([]byte, 3072)))
	var orders [][]byte
	f.kernels["load_entry"] = func(launched) {
		orders = append(orders, slices.Clone(f.at(p.inputs.at+192+4*64, 8)))
	}
	require.NoError(t, p.Stage("step", numbers(4)))
	next := numbers(2)
	next.Labels["order"] = []int32{2, 4}
	_, err = p.RunStaged(&next)
	require.NoError(t, err)
	_, err = p.RunStaged(nil)
	require.NoError(t, err)
	require.Equal(t, [][]byte{bytesOf([]int32{4, 0}), bytesOf([]int32{2, 4})}, orders)
}
