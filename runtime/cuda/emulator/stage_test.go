package emulator_test

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/compiler/ir"
	"wrnc/compiler/ir/gen"
	"wrnc/runtime"
	"wrnc/runtime/cuda"
	"wrnc/runtime/cuda/emulator"
)

// TestStaged trains, on a short batch in between, and evaluates, with the inputs of each
// call handed over while the one before computes: to the bits of calls that get theirs by
// Run.
func TestStaged(t *testing.T) {
	d := open(t, emulator.Options{})
	b := build(t, "WRN-10-1", 32, 2, ir.F32, true)
	_, state := gen.Inputs(b.m, b.m.Func("train"), rand.New(rand.NewPCG(5, 6)))
	train := func(p *cuda.Program, run func(function string, in, next *runtime.Inputs) [][]float32) map[string][]float32 {
		for name, s := range state {
			require.NoError(t, p.WriteState(name, floats(s)))
		}
		got := map[string][]float32{}
		for _, function := range []string{"train", "eval"} {
			f := b.m.Func(function)
			var steps []*runtime.Inputs
			for step, n := range []int{2, 1, 2} {
				in, _ := gen.Inputs(b.m, f, rand.New(rand.NewPCG(9, uint64(step))))
				call := inputs(f, gen.Cut(in, n))
				call.U64["step"] = uint64(step)
				steps = append(steps, &call)
			}
			for i, in := range steps {
				out := run(function, in, append(steps, nil)[i+1])
				got[function] = append(got[function], out[0]...)
			}
		}
		for _, s := range b.m.States {
			v, err := p.ReadState(s.Name)
			require.NoError(t, err)
			got[s.Name] = v
		}
		return got
	}
	plain := b.load(t, d, cuda.Options{})
	want := train(plain, func(function string, in, _ *runtime.Inputs) [][]float32 {
		out, err := plain.Run(function, *in)
		require.NoError(t, err)
		return out
	})
	require.NotEqual(t, want["train"][:2], want["train"][4:], "the steps differ")
	for _, o := range []cuda.Options{{}, {Poison: true}} {
		p := b.load(t, d, o)
		calls := map[string]*runtime.Series{"train": runtime.NewSeries(p, "train"), "eval": runtime.NewSeries(p, "eval")}
		got := train(p, func(function string, in, next *runtime.Inputs) [][]float32 {
			out, err := calls[function].Run(*in, next)
			require.NoError(t, err)
			return out
		})
		require.Equal(t, want, got, "%+v", o)
	}
}
