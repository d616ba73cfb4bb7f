package cpu_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"wrnc/compiler/ir/gen"
	"wrnc/compiler/lower"
	"wrnc/compiler/plan"
	kernels "wrnc/kernels/cpu"
	"wrnc/runtime"
	"wrnc/runtime/cpu"
)

// started is a small network with a function loaded and the inputs of a call.
func started(t *testing.T, function string, isa *kernels.ISA, threads int) (*cpu.Program, *plan.Plan, runtime.Inputs) {
	m := small(t, "WRN-10-1", "; dropout 0.3", 12, 5, true)
	f := m.Func(function)
	p, err := lower.Plan(f, cpu.Arch(isa))
	require.NoError(t, err)
	prog, err := cpu.Load(m, []*plan.Plan{p}, cpu.Options{ISA: isa, Threads: threads})
	require.NoError(t, err)
	t.Cleanup(prog.Close)
	in, state := gen.Inputs(m, f, rand.New(rand.NewPCG(1, 1)))
	for _, s := range m.States {
		require.NoError(t, prog.WriteState(s.Name, floats(state[s.Name])))
	}
	return prog, p, inputs(f, in)
}

// TestProfile times two steps: every launch and kernel of the plan, in order, with
// times that fit into each other and into the steps'.
func TestProfile(t *testing.T) {
	const threads, calls = 3, 2
	prog, p, in := started(t, "train", kernels.Detect(), threads)
	require.Empty(t, prog.LaunchTimes("train"), "timing is off at first")
	prog.Profile(true)
	prog.Profile(true)
	begun := time.Now()
	for range calls {
		_, err := prog.Run("train", in)
		require.NoError(t, err)
	}
	whole := time.Since(begun)

	times := prog.LaunchTimes("train")
	require.Len(t, times, len(p.Launches))
	total := time.Duration(0)
	for i, l := range times {
		require.Equal(t, calls, l.Calls)
		require.LessOrEqual(t, calls*l.Least, l.Sum)
		require.Positive(t, l.Least)
		total += l.Sum
		var seen []int
		work := runtime.Spent{}
		for _, k := range l.Kernels {
			require.Equal(t, p.Kernels[k.Kernel].Name, k.Name)
			require.Positive(t, k.Least)
			require.LessOrEqual(t, calls*k.Least, k.Sum)
			seen = append(seen, k.Kernel)
			work.Sum += k.Sum
			work.Least += k.Least
		}
		require.Equal(t, p.Launches[i].Kernels, seen)
		require.LessOrEqual(t, work.Sum, threads*l.Sum, "launch %d", i)
		require.LessOrEqual(t, work.Least, threads*l.Least, "launch %d", i)
	}
	require.LessOrEqual(t, total, whole)

	require.Empty(t, prog.LaunchTimes("infer"), "it is not loaded")
	times[0].Kernels[0].Name = "" // it is the caller's
	require.NotEmpty(t, prog.LaunchTimes("train")[0].Kernels[0].Name)
	prog.Profile(true)
	require.Zero(t, prog.LaunchTimes("train")[0].Calls, "from zero")
	prog.Profile(false)
	require.Empty(t, prog.LaunchTimes("train"))
}

// TestProfileChangesNothing requires the same bits with and without timing.
func TestProfileChangesNothing(t *testing.T) {
	var want []float32
	for _, on := range []bool{false, true} {
		prog, _, in := started(t, "train", kernels.Detect(), 2)
		prog.Profile(on)
		for range 2 {
			_, err := prog.Run("train", in)
			require.NoError(t, err)
		}
		got, err := prog.ReadState("g2.b0.conv1.w")
		require.NoError(t, err)
		if !on {
			want = slices.Clone(got)
		}
		require.Equal(t, want, got)
	}
}

// TestCallsTakeNoMemory holds a steady step and an inference to no allocation.
func TestCallsTakeNoMemory(t *testing.T) {
	for _, isa := range kernels.Available() {
		for _, function := range []string{"train", "eval", "infer"} {
			prog, _, in := started(t, function, isa, 2)
			for _, on := range []bool{false, true} {
				prog.Profile(on)
				took := testing.AllocsPerRun(20, func() {
					if _, err := prog.Run(function, in); err != nil {
						t.Fatal(err)
					}
				})
				require.Zero(t, took, "%s, %s, timed: %v", isa.Name, function, on)
			}
		}
	}
}
