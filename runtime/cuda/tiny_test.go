package cuda

import (
	"encoding/binary"
	"math"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/compiler/ir"
	"wrnc/compiler/plan"
	"wrnc/runtime"
)

// tiny is a module of two functions, planned for a GPU by hand: step has every
// kind of argument, two kernels of one text in one launch, and a counter; mean
// has the images alone.
type tiny struct {
	m       *ir.Module
	step    *plan.Plan
	mean    *plan.Plan
	sources [][]plan.Source // of step, of mean
}

func read(t *testing.T, file string) string {
	text, err := os.ReadFile("testdata/" + file)
	require.NoError(t, err)
	return string(text)
}

func newTiny(t *testing.T) *tiny {
	m, err := ir.Parse("tiny.ir", read(t, "tiny.ir"))
	require.NoError(t, err)
	x := &tiny{m: m}
	x.step, err = plan.Parse("step.plan", read(t, "step.plan"))
	require.NoError(t, err)
	x.mean, err = plan.Parse("mean.plan", read(t, "mean.plan"))
	require.NoError(t, err)
	for _, p := range x.plans() {
		var list []plan.Source
		for _, k := range p.Kernels {
			list = append(list, source(k))
		}
		x.sources = append(x.sources, list)
	}
	return x
}

func (x *tiny) plans() []*plan.Plan { return []*plan.Plan{x.step, x.mean} }

func (x *tiny) load(t *testing.T, d Driver, o Options) *Program {
	p, err := Load(x.m, x.plans(), x.sources, d, o)
	require.NoError(t, err)
	return p
}

// batch is a call's inputs; images are 0, 1, 2, ...
func batch(n int) runtime.Inputs {
	images := make([]float32, n*2*2*3)
	for i := range images {
		images[i] = float32(i)
	}
	labels := make([]int32, n)
	for i := range labels {
		labels[i] = int32(7 - i)
	}
	return runtime.Inputs{N: n, F32: map[string][]float32{"images": images, "lr": {0.5}},
		Labels: map[string][]int32{"labels": labels}, U64: map[string]uint64{"seed": 1 << 33, "step": 9}}
}

// layout writes fields as C++ does.
type layout []byte

func (l layout) u64(v uint64) layout { return binary.LittleEndian.AppendUint64(l, v) }
func (l layout) u32(v uint32) layout { return binary.LittleEndian.AppendUint32(l, v) }
func (l layout) f32(v float32) layout {
	return binary.LittleEndian.AppendUint32(l, math.Float32bits(v))
}

// ptr is the address of a buffer of step's plan.
func (x *tiny) ptr(p *Program, buffer string) uint64 {
	inputs := map[string]int{"images": 0, "labels": 192, "lr": 256, "seed": 320, "step": 384}
	for _, b := range x.step.Buffers {
		if b.Name == buffer {
			switch b.Space {
			case plan.State:
				return uint64(p.state.at) + uint64(b.Offset)
			case plan.Arena:
				return uint64(p.arena.at) + uint64(b.Offset)
			case plan.Counter:
				return uint64(p.counters.at) + uint64(b.Offset)
			}
			return uint64(p.inputs.at) + uint64(inputs[buffer])
		}
	}
	panic(buffer)
}

func (x *tiny) pointers(p *Program, names ...string) layout {
	var l layout
	for _, n := range names {
		l = l.u64(x.ptr(p, n))
	}
	return l
}
