package cuda

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/compiler/plan"
	"wrnc/runtime"
)

// fed is tiny with a data set of five pictures, of which load makes step's images.
func fed(t *testing.T) (*tiny, *plan.Plan, Options) {
	x := newTiny(t)
	load, err := plan.Parse("load.plan", read(t, "load.plan"))
	require.NoError(t, err)
	require.NoError(t, load.Verify())
	require.Equal(t, read(t, "load.plan"), load.String())
	return x, load, Options{Feeds: []Feed{{From: "load", To: "step", Parameter: "images"}}}
}

func loadFed(x *tiny, load *plan.Plan, d Driver, o Options) (*Program, error) {
	return Load(x.m, append(x.plans(), load), append(x.sources, []plan.Source{source(load.Kernels[0])}), d, o)
}

// numbers is a call's inputs with the pictures' numbers in place of the pictures.
func numbers(n int) runtime.Inputs {
	in := batch(n)
	delete(in.F32, "images")
	in.Labels["order"] = []int32{4, 0, 3, 1}[:n]
	in.U64["epoch"] = 6
	return in
}

func TestFeeds(t *testing.T) {
	x, load, o := fed(t)
	f := newFake(t)
	p, err := loadFed(x, load, f, o)
	require.NoError(t, err)
	defer func() {
		p.Close()
		f.empty(t)
	}()
	require.Equal(t, max(x.step.Peak(1), x.mean.Peak(1)), p.Allocated(), "the batch is no part of the arena")
	require.Equal(t, 192+4*64+3*64, p.Memory().Inputs)
	require.Equal(t, 64+3072, p.Memory().Resident)

	_, err = p.Run("step", numbers(4))
	require.EqualError(t, err, "step: parameter pictures (u8[5,2,2,3]) of load was never written")
	pictures, values := make([]byte, 60), slices.Repeat([]byte{1, 2, 3, 4}, 768)
	for i := range pictures {
		pictures[i] = byte(i)
	}
	require.EqualError(t, p.WriteResident("load", "pictures", pictures[1:]), "load: parameter pictures (u8[5,2,2,3]) has 60 bytes, found 59")
	require.EqualError(t, p.WriteResident("load", "order", nil), "load has no parameter order that is the same for every batch")
	require.EqualError(t, p.WriteResident("lead", "order", nil), "tiny has no function lead")
	require.NoError(t, p.WriteResident("load", "pictures", pictures))
	require.NoError(t, p.WriteResident("load", "values", values))

	inputs := uint64(p.inputs.at) + 192 + 4*64
	data := uint64(p.resident.at)
	f.kernels["load_entry"] = func(launched) {
		require.Equal(t, pictures, f.at(p.resident.at, 60))
		require.Equal(t, values, f.at(p.resident.at+64, 3072))
		copy(f.at(Ptr(x.ptr(p, "images")), 4), bytesOf([]float32{42}))
	}
	seen := 0
	f.kernels["conv_entry"] = func(launched) {
		require.Equal(t, bytesOf([]float32{42}), f.at(Ptr(x.ptr(p, "images")), 4))
		seen++
	}
	for _, n := range []int{4, 3, 4} {
		f.log, f.replays = nil, 0
		_, err = p.Run("step", numbers(n))
		require.NoError(t, err)
		require.Equal(t, 1, f.replays, "one graph")
		require.Equal(t, []string{"load_entry", "conv_entry", "update_entry", "r.double_entry", "pool_entry", "fold_entry", "mask_entry", "loss_entry"}, f.entries())
		require.Equal(t, []byte(layout{}.u64(data).u64(inputs).u64(inputs+64).u64(inputs+128).u64(data+64).u64(x.ptr(p, "images")).u32(uint32(n)).u32(5)), f.log[0].args)
		require.Equal(t, bytesOf([]int32{4, 0, 3, 1}[:n]), f.at(Ptr(inputs), 4*n))
		require.Equal(t, []byte(layout{}.u64(1<<33).u64(6)), slices.Concat(f.at(Ptr(inputs+64), 8), f.at(Ptr(inputs+128), 8)))
		require.Equal(t, []byte(layout{}.u64(1<<33)), f.at(Ptr(x.ptr(p, "seed")), 8))
	}
	require.Equal(t, 3, seen)

	wrong := numbers(2)
	wrong.Labels["order"] = []int32{0, 5}
	_, err = p.Run("step", wrong)
	require.EqualError(t, err, "step: picture 5 of sample 1: expected 0 to 4")
	_, err = p.Run("mean", batch(2))
	require.NoError(t, err, "what is not fed takes its images")
}

func TestFeedRefusals(t *testing.T) {
	for want, feed := range map[string]Feed{
		"tiny: function load is to feed stop, and there is no plan of one of them": {"load", "stop", "images"},
		"tiny: step has no parameter pictures like the result of load":             {"load", "step", "pictures"},
		"tiny: step has no parameter labels like the result of load":               {"load", "step", "labels"},
		"tiny: function step cannot feed mean":                                     {"step", "mean", "images"},
	} {
		x, load, o := fed(t)
		f := newFake(t)
		o.Feeds = []Feed{feed}
		_, err := loadFed(x, load, f, o)
		require.EqualError(t, err, want)
		f.empty(t)
	}
	x, load, o := fed(t)
	f := newFake(t)
	o.Feeds = append(o.Feeds, Feed{"load", "mean", "images"})
	_, err := loadFed(x, load, f, o)
	require.EqualError(t, err, "tiny: function load cannot feed mean", "its result has one place")
	f.empty(t)
}

// TestEveryFedCallCanFail is TestEveryCallCanFail with a data set.
func TestEveryFedCallCanFail(t *testing.T) {
	for _, poison := range []bool{false, true} {
		for at := 1; ; at++ {
			x, load, o := fed(t)
			o.Poison = poison
			f := newFake(t)
			f.failAt = at
			p, err := loadFed(x, load, f, o)
			if err == nil {
				for _, step := range []func() error{
					func() error { return p.WriteResident("load", "pictures", make([]byte, 60)) },
					func() error { return p.WriteResident("load", "values", make([]byte, 3072)) },
					func() error { _, err := p.Run("step", numbers(4)); return err },
					func() error { _, err := p.Run("step", numbers(3)); return err },
				} {
					if err = step(); err != nil {
						break
					}
				}
				f.closing = len(f.called)
				p.Close()
			}
			f.empty(t)
			if len(f.called) < at {
				require.NoError(t, err)
				break
			}
			if f.closing > 0 && at > f.closing {
				continue
			}
			require.ErrorIs(t, err, errFake, "call %d, %s", at, f.called[at-1])
			require.Regexp(t, `^(tiny|loading tiny|load|mean|step|writing parameter \w+ of load): `, err.Error())
		}
	}
}
