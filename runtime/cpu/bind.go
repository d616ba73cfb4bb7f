package cpu

import (
	"fmt"

	"wrnc/compiler/ir"
	"wrnc/compiler/plan"
)

// function is a plan bound to memory.
type function struct {
	p        *Program
	plan     *plan.Plan
	n        int         // samples of the current call
	mem      [][]float32 // by buffer
	labels   [][]int32   // by buffer: labels
	scalars  []uint64    // by buffer: seed, step
	launches []launch
	returns  [][]float32
}

// launch is a set of kernels whose units share the workers.
type launch struct {
	kernels []runner
	watch   *stopwatch // nil unless launches are timed
}

// runner is a kernel bound to memory: its units may run in any order, at the
// same time, on any worker.
type runner interface {
	units(n int) int
	run(u int, w *worker)
}

// bound is what all runners share.
type bound struct {
	*plan.Kernel
	f      *function
	layout plan.Layout
	strip  int   // rows that row functions get at a time
	args   []int // buffer of each argument
	pro    []*tape
	epi    *tape
}

func (k *bound) units(n int) int { return k.Kernel.Units(n) }

// arg is the memory of an argument.
func (k *bound) arg(i int) []float32 { return k.f.mem[k.args[i]] }

func (p *Program) bind(pl *plan.Plan) (*function, error) {
	f := &function{p: p, plan: pl, mem: make([][]float32, len(pl.Buffers)), labels: make([][]int32, len(pl.Buffers)),
		scalars: make([]uint64, len(pl.Buffers)), returns: make([][]float32, len(pl.Returns))}
	for i, b := range pl.Buffers {
		var space []float32
		switch b.Space {
		case plan.State:
			space = p.state
		case plan.Arena:
			space = p.arena
		default:
			if t := b.Type.DType; t != ir.F32 && t != ir.S32 && t != ir.U64 {
				return nil, fmt.Errorf("parameter %s: the cpu target takes f32, s32 and u64, found %v", b.Name, b.Type)
			}
			continue
		}
		if b.Offset < 0 || b.Offset%plan.Align != 0 || b.Bytes < b.Type.Bytes() || b.Offset/4+b.Bytes/4 > len(space) {
			return nil, fmt.Errorf("buffer %s: %d bytes at %d do not fit the %v space of %d bytes", b.Name, b.Bytes, b.Offset, b.Space, 4*len(space))
		}
		f.mem[i] = space[b.Offset/4 : b.Offset/4+b.Type.Elems() : b.Offset/4+b.Bytes/4]
	}
	for _, l := range pl.Launches {
		var bl launch
		for _, i := range l.Kernels {
			r, err := f.kernel(pl.Kernels[i])
			if err != nil {
				return nil, fmt.Errorf("kernel %s: %w", pl.Kernels[i].Name, err)
			}
			bl.kernels = append(bl.kernels, r)
		}
		f.launches = append(f.launches, bl)
	}
	return f, nil
}

func (f *function) kernel(k *plan.Kernel) (runner, error) {
	b := &bound{Kernel: k, f: f, layout: k.Layout(), strip: k.Strip()}
	for _, a := range k.Args {
		b.args = append(b.args, a.Buffer)
	}
	for i, t := range k.Prologues {
		bt, err := b.bindTape(t, k.PrologueGrid(i))
		if err != nil {
			return nil, err
		}
		b.pro = append(b.pro, bt)
	}
	var err error
	if b.epi, err = b.bindTape(k.Epilogue, k.Grid); err != nil {
		return nil, err
	}
	switch k.Kind {
	case plan.Pack:
		return &packKernel{b}, nil
	case plan.Conv:
		return newConv(b)
	case plan.Wgrad:
		return newWgrad(b)
	case plan.Sum:
		return &sumKernel{b}, nil
	case plan.Map:
		return &mapKernel{b}, nil
	case plan.Pool:
		return &poolKernel{b}, nil
	case plan.Finish:
		return newFinish(b)
	case plan.Xent:
		f.p.reserve(k.Grid.C)
		return &xentKernel{b}, nil
	case plan.XentGrad:
		f.p.reserve(k.Grid.C)
		return &xentGradKernel{b}, nil
	case plan.MaxPool:
		return &maxPoolKernel{b}, nil
	case plan.MaxPoolGrad:
		return &maxPoolGradKernel{b}, nil
	}
	return nil, fmt.Errorf("unknown kind %d", k.Kind)
}
