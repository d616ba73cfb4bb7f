package plan_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/compiler/ir"
	"wrnc/compiler/lower"
	"wrnc/compiler/plan"
)

// mutations break the plan of small.ir, each in one way; want lists what the
// error must name.
var mutations = []struct {
	name   string
	mutate func(t *testing.T, p *plan.Plan)
	want   []string
}{
	{"two living buffers overlap", func(t *testing.T, p *plan.Plan) {
		p.Buffers[bufferIndex(t, p, "b.proj.0")].Offset = p.Buffers[bufferIndex(t, p, "conv0.0")].Offset
	}, []string{"conv0.0", "b.proj.0", "while both live"}},
	{"a life too short hides an overlap", func(t *testing.T, p *plan.Plan) {
		b := &p.Buffers[bufferIndex(t, p, "conv0.0")]
		b.Last = b.First
	}, []string{"kernel b.proj", "buffer conv0.0", "outside its life"}},
	{"a dead buffer is read", func(t *testing.T, p *plan.Plan) {
		arg(t, p, "conv0.wgrad", "b.proj.dgrad.0").Buffer = bufferIndex(t, p, "b.conv1.dgrad.0")
	}, []string{"kernel conv0.wgrad", "buffer b.conv1.dgrad.0", "outside its life"}},
	{"an offset off the line", func(t *testing.T, p *plan.Plan) {
		p.Buffers[bufferIndex(t, p, "conv0.0")].Offset += 4
	}, []string{"conv0.0", "multiple of 64"}},
	{"a short arena", func(t *testing.T, p *plan.Plan) { p.Arena -= plan.Align }, []string{"past the end of the arena"}},
	{"a short state", func(t *testing.T, p *plan.Plan) { p.State -= plan.Align }, []string{"bn.run", "past the end of the state"}},
	{"two states overlap", func(t *testing.T, p *plan.Plan) {
		p.Buffers[bufferIndex(t, p, "b.bn0.beta")].Offset = p.Buffers[bufferIndex(t, p, "b.bn0.gamma")].Offset
	}, []string{"b.bn0.gamma", "b.bn0.beta"}},
	{"a buffer smaller than its value", func(t *testing.T, p *plan.Plan) {
		p.Buffers[bufferIndex(t, p, "conv0.0")].Bytes -= plan.Align
	}, []string{"conv0.0", "f32[3,7,7,4]"}},
	{"short scratch", func(_ *testing.T, p *plan.Plan) { p.Scratch -= plan.Align }, []string{"kernel", "bytes of scratch"}},

	{"a launch is missing", func(_ *testing.T, p *plan.Plan) { p.Launches = slices.Delete(p.Launches, 5, 6) }, []string{"kernel b.conv1.finish", "no launch"}},
	{"a kernel runs twice", func(_ *testing.T, p *plan.Plan) {
		p.Launches[3].Kernels = append(p.Launches[3].Kernels, p.Launches[1].Kernels[0])
	}, []string{"kernel conv0 ", "launch 1", "launch 3"}},
	{"two launches are swapped", func(_ *testing.T, p *plan.Plan) {
		p.Launches[3], p.Launches[4] = p.Launches[4], p.Launches[3]
	}, []string{"kernel b.conv1 "}},
	{"a read before the write", func(t *testing.T, p *plan.Plan) {
		p.Launches[3], p.Launches[4] = p.Launches[4], p.Launches[3]
		spread(p)
	}, []string{"kernel b.conv1 ", "buffer b.conv1.packed", "no launch before has written"}},
	{"a read of what a dead buffer has left", func(t *testing.T, p *plan.Plan) {
		p.Launches[3], p.Launches[4] = p.Launches[4], p.Launches[3]
		spread(p)
		dead, b := &p.Buffers[bufferIndex(t, p, "conv0.packed")], &p.Buffers[bufferIndex(t, p, "b.conv1.packed")]
		dead.Offset, dead.Last, b.First = b.Offset, 1, 2
	}, []string{"kernel b.conv1 ", "buffer b.conv1.packed", "bytes", "kernel conv0.pack", "buffer conv0.packed"}},
	{"dependent kernels share a launch", func(_ *testing.T, p *plan.Plan) {
		p.Launches[0].Kernels = append(p.Launches[0].Kernels, p.Launches[1].Kernels...)
		p.Launches = slices.Delete(p.Launches, 1, 2)
		for i := range p.Buffers {
			if b := &p.Buffers[i]; b.Space == plan.Arena {
				b.First, b.Last = max(b.First-1, 0), max(b.Last-1, 0)
			}
		}
	}, []string{"kernel conv0.pack", "kernel conv0 ", "RAW", "conv0.packed"}},

	{"a read declared as a write", func(t *testing.T, p *plan.Plan) { arg(t, p, "b.proj", "conv0.0").Mode = plan.Write }, []string{"kernel b.proj", "buffer conv0.0", "declared write", "reads"}},
	{"a write declared as a read", func(t *testing.T, p *plan.Plan) { arg(t, p, "b.proj", "b.proj.0").Mode = plan.Read }, []string{"kernel b.proj", "buffer b.proj.0", "declared read", "writes"}},
	{"an update declared as a write", func(t *testing.T, p *plan.Plan) { arg(t, p, "conv0.w.update", "conv0.w").Mode = plan.Write }, []string{"kernel conv0.w.update", "buffer conv0.w", "declared write"}},
	{"an input is written", func(t *testing.T, p *plan.Plan) {
		a := arg(t, p, "fc.map.finish", "fc.map.0")
		p.Buffers[a.Buffer] = plan.Buffer{Name: "fc.map.0", Space: plan.Input, Type: p.Buffers[a.Buffer].Type, Bytes: p.Buffers[a.Buffer].Type.Bytes()}
	}, []string{"kernel fc.map.finish", "fc.map.0", "input"}},
	{"a state is written twice", func(t *testing.T, p *plan.Plan) {
		arg(t, p, "b.bn0.beta.update", "b.bn0.beta").Buffer = bufferIndex(t, p, "b.bn0.gamma")
	}, []string{"b.bn0.gamma"}},
	{"an argument of another size", func(t *testing.T, p *plan.Plan) {
		arg(t, p, "b.conv1", "b.proj.0").Buffer = bufferIndex(t, p, "conv0.1")
	}, []string{"kernel b.conv1", "buffer conv0.1", "432"}},
	{"a vector of other channels", func(t *testing.T, p *plan.Plan) {
		arg(t, p, "pool.pool", "b.conv1.2").Buffer = bufferIndex(t, p, "conv0.2")
	}, []string{"kernel pool.pool", "buffer conv0.2", "9 channels"}},
	{"an argument that is not used", func(t *testing.T, p *plan.Plan) {
		k := kernel(t, p, "fc")
		k.Args = append(k.Args, plan.Arg{Buffer: bufferIndex(t, p, "lr"), Mode: plan.Read})
	}, []string{"kernel fc", "never touches", "lr"}},
	{"a buffer is two arguments", func(t *testing.T, p *plan.Plan) {
		k := kernel(t, p, "fc")
		k.Args = append(k.Args, k.Args[1])
	}, []string{"kernel fc", "pool.pool.0", "twice"}},
	{"a register is read before it is written", func(t *testing.T, p *plan.Plan) {
		k := kernel(t, p, "b.conv1")
		k.Prologues[0].Ops[0], k.Prologues[0].Ops[1] = k.Prologues[0].Ops[2], k.Prologues[0].Ops[0]
	}, []string{"kernel b.conv1", "r0", "before it is written"}},
	{"too few registers", func(t *testing.T, p *plan.Plan) { kernel(t, p, "b.conv1").Prologues[0].Slots = 1 }, []string{"kernel b.conv1", "1 registers"}},
	{"a tile that is not filled", func(t *testing.T, p *plan.Plan) { kernel(t, p, "b.proj").Prologues[0].Ops[0].Dst.Kind = plan.Slot }, []string{"kernel b.proj", "no row of the tile"}},
	{"a result where no root is", func(t *testing.T, p *plan.Plan) {
		kernel(t, p, "fc.map").Epilogue.Ops[0].Src[0] = plan.Ref{Kind: plan.Result}
	}, []string{"kernel fc.map", "no root's result"}},
	{"an unknown row function", func(t *testing.T, p *plan.Plan) { kernel(t, p, "fc").Epilogue.Ops[0].Op = "add_channels" }, []string{"kernel fc", "add_channels"}},
	{"a partial is not written", func(t *testing.T, p *plan.Plan) {
		k := kernel(t, p, "conv0")
		k.Epilogue.Ops = k.Epilogue.Ops[:1]
	}, []string{"kernel conv0", "q0", "conv0.bn_stats.partial"}},
	{"partials of other units", func(t *testing.T, p *plan.Plan) { kernel(t, p, "conv0.finish").Reduces[0].Grid.RowsPerUnit = 2 }, []string{"kernel conv0.finish", "conv0.bn_stats.partial"}},
	{"partials of another cut into as many units", func(t *testing.T, p *plan.Plan) { kernel(t, p, "conv0.finish").Reduces[0].Grid.Rows = 8 }, []string{"kernel conv0.finish", "conv0.bn_stats.partial", "kernel conv0 "}},
	{"a channel op without an operand", func(t *testing.T, p *plan.Plan) {
		c := &kernel(t, p, "conv0.finish").Channel[0]
		c.Src = c.Src[:2]
	}, []string{"kernel conv0.finish", "bn_fold"}},
	{"an op that there is not", func(t *testing.T, p *plan.Plan) { kernel(t, p, "conv0.finish").Channel[0].Op = 255 }, []string{"kernel conv0.finish", "op 255"}},
	{"a reduce of another op", func(t *testing.T, p *plan.Plan) { kernel(t, p, "conv0").Reduces[0].Op = ir.ChannelSum }, []string{"kernel conv0", "q0 = bn_stats"}},
	{"a shape that is no convolution", func(t *testing.T, p *plan.Plan) { kernel(t, p, "b.conv1").Conv.Stride = 1 }, []string{"kernel b.conv1", "7x7"}},
	{"a weight packed in another order", func(t *testing.T, p *plan.Plan) { kernel(t, p, "b.conv1.pack").Conv.CBlock = 2 }, []string{"kernel b.conv1", "b.conv1.packed", "that order"}},
	{"other splits", func(t *testing.T, p *plan.Plan) { kernel(t, p, "b.conv1.wgrad").Conv.Splits = 2 }, []string{"kernel b.conv1.wgrad", "b.conv1.wgrad.partial"}},
	{"a grid of other rows", func(t *testing.T, p *plan.Plan) { kernel(t, p, "b.conv1").Grid.Rows = 7 }, []string{"kernel b.conv1", "7 rows"}},
	{"units cut a phase", func(t *testing.T, p *plan.Plan) { kernel(t, p, "b.conv1.dgrad").Grid.RowsPerUnit = 3 }, []string{"kernel b.conv1.dgrad", "multiple of the step 2"}},
	{"another batch", func(t *testing.T, p *plan.Plan) { kernel(t, p, "conv0").Grid.Samples = 4 }, []string{"kernel conv0", "4 samples"}},
	{"a result that does not live on", func(t *testing.T, p *plan.Plan) { p.Buffers[p.Returns[0]].Last-- }, []string{"return", "loss.0"}},
	{"an index past the end", func(t *testing.T, p *plan.Plan) { kernel(t, p, "fc").Args[0].Buffer = len(p.Buffers) }, []string{"kernel fc", "no buffer"}},
}

// spread gives every buffer of the arena bytes of its own and a life as long as
// the plan, so that only the order of kernels can be wrong.
func spread(p *plan.Plan) {
	p.Arena = 0
	for i := range p.Buffers {
		if b := &p.Buffers[i]; b.Space == plan.Arena {
			b.Offset, b.First, b.Last = p.Arena, 0, len(p.Launches)
			p.Arena += b.Bytes
		}
	}
}

func TestVerifyMutations(t *testing.T) {
	f, good := small(t)
	require.NoError(t, good.VerifyAgainst(f))
	for _, m := range mutations {
		t.Run(m.name, func(t *testing.T) {
			_, p := small(t)
			m.mutate(t, p)
			err := p.Verify()
			require.Error(t, err)
			for _, w := range m.want {
				require.ErrorContains(t, err, w)
			}
		})
	}
}

// against lists plans that hold together but are not the function's.
var against = []struct {
	name   string
	mutate func(t *testing.T, p *plan.Plan)
	want   []string
}{
	{"another value of the same size", func(t *testing.T, p *plan.Plan) {
		arg(t, p, "conv0.finish", "b.bn0.beta").Buffer = bufferIndex(t, p, "b.bn0.beta.v")
	}, []string{"fusion @conv0", "kernel conv0.finish", "b.bn0.beta.v", "captures no such value"}},
	{"an update of the wrong state", func(t *testing.T, p *plan.Plan) {
		arg(t, p, "bn.gamma.update", "bn.gamma").Buffer, arg(t, p, "bn.beta.update", "bn.beta").Buffer = bufferIndex(t, p, "bn.beta"), bufferIndex(t, p, "bn.gamma")
	}, []string{"bn.gamma"}},
	{"a state is read after its update", func(t *testing.T, p *plan.Plan) {
		// fc.b.update moves in front of fc, which adds fc.b; its gradient is
		// read from a state so that nothing else is wrong
		n := kernelIndex(t, p, "fc.b.update")
		arg(t, p, "fc.b.update", "fc.map.0").Buffer = addState(p, "early", ir.T(ir.F32, 5))
		last := &p.Launches[len(p.Launches)-1]
		last.Kernels = slices.DeleteFunc(last.Kernels, func(k int) bool { return k == n })
		p.Launches[0].Kernels = append(p.Launches[0].Kernels, n)
	}, []string{"fc.b.update", "early"}},
	{"a fusion without its kernel", func(t *testing.T, p *plan.Plan) { dropKernel(t, p, "bn.beta.update") }, []string{"bn.beta"}},
	{"another result", func(t *testing.T, p *plan.Plan) { p.Returns[0] = bufferIndex(t, p, "fc.b") }, []string{"return 0", "fc.b"}},
	{"no result", func(_ *testing.T, p *plan.Plan) { p.Returns = nil }, []string{"returns 0 values, expected 1"}},
	{"a kernel of no fusion", func(t *testing.T, p *plan.Plan) { kernel(t, p, "fc").Region = "elsewhere" }, []string{"kernel fc", "@elsewhere"}},
}

func TestVerifyAgainstMutations(t *testing.T) {
	for _, m := range against {
		t.Run(m.name, func(t *testing.T) {
			f, p := small(t)
			m.mutate(t, p)
			require.NoError(t, p.Verify(), "the plan itself must stay sound")
			err := p.VerifyAgainst(f)
			require.Error(t, err)
			for _, w := range m.want {
				require.ErrorContains(t, err, w)
			}
		})
	}
}

func addState(p *plan.Plan, name string, typ ir.Type) int {
	p.Buffers = append(p.Buffers, plan.Buffer{Name: name, Space: plan.State, Type: typ, Offset: p.State, Bytes: plan.Align})
	p.State += plan.Align
	return len(p.Buffers) - 1
}

// dropKernel takes a kernel that nothing depends on out of its launch and the
// list.
func dropKernel(t *testing.T, p *plan.Plan, name string) {
	n := kernelIndex(t, p, name)
	p.Kernels = slices.Delete(p.Kernels, n, n+1)
	for i := range p.Launches {
		ks := slices.DeleteFunc(p.Launches[i].Kernels, func(k int) bool { return k == n })
		for j := range ks {
			if ks[j] > n {
				ks[j]--
			}
		}
		p.Launches[i].Kernels = ks
	}
}

// hazard is a kernel that works in place by one op.
const hazard = `plan "hazard" func=f batch=1
arch target=cpu isa=go chans=8 l1=1024 l2=1024
memory state=64 arena=0 scratch=1024
buffer b0 state s : f32[4,4] offset=0 bytes=64
kernel k0 map inplace {
  a0 = update b0
  grid samples=1 rows=4 px=1 c=4 unit=1 tail=0
  epilogue slots=0
    a0 = OP
}
launch 0 k0
return
`

// TestInPlace tells an update of a unit's own rows from one that other units
// can see half done.
func TestInPlace(t *testing.T) {
	for op, want := range map[string]string{
		"relu a0":            "",
		"add a0, a0":         "",
		"add_channel a0, v0": "kernel inplace: a unit writes buffer s while others read parts of it that are not their own",
	} {
		p, err := plan.Parse("hazard.plan", strings.Replace(hazard, "OP", op, 1))
		require.NoError(t, err)
		if err := p.Verify(); want == "" {
			require.NoError(t, err, op)
		} else {
			require.EqualError(t, err, want)
		}
	}
}

// oldValue is a function whose state is read after the region that computes its
// new value.
const oldValue = `module "old" {batch=2}
state @s : f32[4] role=param init=constant(0)
func train(%x : f32[2,3,3,4], %lr : f32[]) {
  %2 = fusion @step {kind=map} (@s, %lr) {
    %1 = descend @s, @s, %lr : f32[4] #step
    yield %1
  } : f32[4]
  %4 = fusion @use {kind=map} (%x, @s) {
    %3 = add_channel %x, @s : f32[2,3,3,4] #use
    yield %3
  } : f32[2,3,3,4]
  return %4, @s <- %2
}
`

// TestOldValue moves the assignment of a state in front of the last read of its
// old value, in a plan that is sound as such.
func TestOldValue(t *testing.T) {
	m, err := ir.Parse("old.ir", oldValue)
	require.NoError(t, err)
	f := m.Func("train")
	p, err := lower.Plan(f, goCPU)
	require.NoError(t, err)
	require.NoError(t, p.VerifyAgainst(f))
	require.Equal(t, "s.assign", p.Kernels[len(p.Kernels)-1].Name)
	order := []int{kernelIndex(t, p, "step"), kernelIndex(t, p, "s.assign"), kernelIndex(t, p, "use")}
	p.Launches = nil
	for _, k := range order {
		p.Launches = append(p.Launches, plan.Launch{Kernels: []int{k}})
	}
	for i := range p.Buffers {
		if b := &p.Buffers[i]; b.Space == plan.Arena {
			b.First, b.Last = 0, 3
		}
	}
	require.NoError(t, p.Verify())
	require.EqualError(t, p.VerifyAgainst(f), "func train: fusion @use, kernel use: reads buffer s, which holds a state's new value; the fusion captures another value")
}
