package emulator_test

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	printer "wrnc/codegen/cuda"
	"wrnc/compiler/ir"
	"wrnc/compiler/ir/gen"
	"wrnc/compiler/lower"
	"wrnc/runtime/cuda"
	"wrnc/runtime/cuda/emulator"
)

// TestPrepared holds inference and evaluation that keep what depends on states alone to
// the bits of those that compute it in each call: in the first call and in later ones,
// on a short batch, after a change of a state, and after each other, as they share the
// arena. In bf16 this is batch norm's folding and each weight, narrowed.
func TestPrepared(t *testing.T) {
	const batch = 2
	d := open(t, emulator.Options{})
	b := build(t, "WRN-10-1", 32, batch, ir.BF16, true)
	b.plans, b.sources = b.plans[1:], b.sources[1:] // train has nothing prepared
	plain := b.load(t, d, cuda.Options{})
	ready := &built{m: b.m}
	for _, p := range b.plans {
		f := b.m.Func(p.Func)
		prepared, err := lower.PlanPrepared(f, p.Arch)
		require.NoError(t, err)
		require.Positive(t, prepared.Prepared)
		texts, err := printer.Emit(prepared, f)
		require.NoError(t, err)
		ready.plans, ready.sources = append(ready.plans, prepared), append(ready.sources, texts)
	}
	programs := []*cuda.Program{plain, ready.load(t, d, cuda.Options{}), ready.load(t, d, cuda.Options{Poison: true})}
	in, state := gen.Inputs(b.m, b.m.Func("eval"), rand.New(rand.NewPCG(7, 8)))
	write := func(name string, values []float32) {
		for _, p := range programs {
			require.NoError(t, p.WriteState(name, values))
		}
	}
	for name, s := range state {
		write(name, floats(s))
	}
	full, short := inputs(b.m.Func("eval"), in), inputs(b.m.Func("eval"), gen.Cut(in, 1))
	for i, c := range []struct {
		function string
		short    bool
	}{{"infer", false}, {"infer", true}, {"eval", false}, {"infer", false}, {"infer", false}} {
		if i == 4 {
			w, err := plain.ReadState("conv0.w")
			require.NoError(t, err)
			w[0]++
			write("conv0.w", w)
		}
		args := full
		if c.short {
			args = short
		}
		want, err := plain.Run(c.function, args)
		require.NoError(t, err)
		for _, p := range programs[1:] {
			got, err := p.Run(c.function, args)
			require.NoError(t, err)
			require.Equal(t, want, got, "call %d", i)
		}
	}
}
