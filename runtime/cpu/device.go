// Package cpu runs plans of the cpu target inside this process: fill, multiply,
// drain, on a fixed set of workers.
//
// A unit of a kernel always computes the same numbers, whichever worker takes
// it and whatever the others do; partial sums belong to units and are merged in
// unit order. So a result does not depend on the number of threads.
package cpu

import (
	"fmt"
	"math"
	"unsafe"

	"wrnc/compiler/ir"
	"wrnc/compiler/plan"
	kernels "wrnc/kernels/cpu"
	"wrnc/runtime"
)

// Options choose how a program runs.
type Options struct {
	ISA     *kernels.ISA
	Threads int  // workers, at least 1
	Poison  bool // fill dead buffers and unused scratch with NaN, to find reads of them
}

// Program is a module's functions, loaded: their state, one arena and one
// scratch a worker. A program makes one call at a time.
type Program struct {
	opts    Options
	module  *ir.Module
	state   []float32
	arena   []float32
	workers []*worker
	pool    *pool
	funcs   map[string]*function
	ready   *function // whose prepared launches need not run again; nil: none
	bytes   int
}

// Arch is what scheduling must know to plan for isa.
func Arch(isa *kernels.ISA) plan.Arch {
	return plan.Arch{Target: "cpu", ISA: isa.Name, Chans: isa.Wide.Chans, Narrow: isa.Narrow.Chans, L1: 32 << 10, L2: 512 << 10}
}

// Load binds plans, all of one module, to memory. State starts as zeros; see
// [Program.WriteState]. A tape that needs a row function which the instruction set
// lacks is an error.
func Load(m *ir.Module, plans []*plan.Plan, o Options) (*Program, error) {
	if o.Threads < 1 {
		return nil, fmt.Errorf("threads: expected at least 1, found %d", o.Threads)
	}
	p := &Program{opts: o, module: m, funcs: map[string]*function{}}
	var state, arena, scratch int
	for _, pl := range plans {
		if pl.Arch.ISA != o.ISA.Name || pl.Arch.Chans != o.ISA.Wide.Chans {
			return nil, fmt.Errorf("the plan of %s is for %s (tiles of %d channels), this machine runs %s (%d): build the plan again", pl.Func, pl.Arch.ISA, pl.Arch.Chans, o.ISA.Name, o.ISA.Wide.Chans)
		}
		state, arena, scratch = max(state, pl.State), max(arena, pl.Arena), max(scratch, pl.Scratch)
	}
	p.state, p.arena = p.alloc(state), p.alloc(arena)
	for range o.Threads {
		p.workers = append(p.workers, &worker{p: p, scratch: p.alloc(scratch)})
	}
	for _, pl := range plans {
		f, err := p.bind(pl)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", pl.Func, err)
		}
		p.funcs[pl.Func] = f
	}
	if o.Poison {
		poison(p.arena)
	}
	p.pool = newPool(p.workers)
	return p, nil
}

// Close ends the workers. The program cannot run afterwards.
func (p *Program) Close() { p.pool.close() }

// Allocated is the number of bytes of state, arena and scratch. A few vectors of
// float64, for merging partial sums and for the softmax, come beside them.
func (p *Program) Allocated() int { return p.bytes }

// alloc returns zeroed memory that starts on a cache line.
func (p *Program) alloc(bytes int) []float32 {
	p.bytes += bytes
	n := bytes / 4
	if n == 0 {
		return nil
	}
	raw := make([]float32, n+plan.Align/4)
	adviseHuge(raw)
	skip := int(-uintptr(unsafe.Pointer(&raw[0]))&(plan.Align-1)) / 4
	return raw[skip : skip+n : skip+n]
}

// ReadState copies a state out.
func (p *Program) ReadState(name string) ([]float32, error) {
	m, err := p.stateMem(name)
	return append([]float32(nil), m...), err
}

// WriteState sets a state.
func (p *Program) WriteState(name string, values []float32) error {
	m, err := p.stateMem(name)
	if err == nil && len(values) != len(m) {
		err = fmt.Errorf("state @%s has %d elements, found %d", name, len(m), len(values))
	}
	if err != nil {
		return err
	}
	copy(m, values)
	p.ready = nil
	return nil
}

func (p *Program) stateMem(name string) ([]float32, error) {
	for _, f := range p.funcs { // any function: all share the state's addresses
		for i, b := range f.plan.Buffers {
			if b.Space == plan.State && b.Name == name {
				return f.mem[i], nil
			}
		}
	}
	return nil, fmt.Errorf("no state @%s in %s", name, p.module.Name)
}

// Run executes a function. The results are views into the program's memory,
// valid until the next call; an activation's result has N samples.
func (p *Program) Run(name string, in runtime.Inputs) ([][]float32, error) {
	f := p.funcs[name]
	if f == nil {
		return nil, fmt.Errorf("%s has no function %s", p.module.Name, name)
	}
	if p.pool.closed {
		return nil, fmt.Errorf("%s: the program is closed", p.module.Name)
	}
	if err := f.plan.CheckBatch(in.N); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err := f.inputs(in); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	f.n = in.N
	first := 0
	if p.ready == f {
		first = f.plan.Prepared
	}
	p.ready = f // another function's arena is overwritten
	for t := first; t < len(f.launches); t++ {
		l := &f.launches[t]
		begun := l.watch.begin()
		p.pool.run(l, f.n)
		l.watch.end(begun)
		if p.opts.Poison {
			f.poisonDead(t)
		}
	}
	for i, b := range f.plan.Returns {
		f.returns[i] = f.mem[b][:f.plan.Elems(b, in.N)]
	}
	return f.returns, nil
}

func (f *function) inputs(in runtime.Inputs) error {
	for i, b := range f.plan.Buffers {
		if b.Space != plan.Input {
			continue
		}
		want := f.plan.Elems(i, in.N)
		have := 1
		switch b.Type.DType {
		case ir.F32:
			v := in.F32[b.Name]
			have, f.mem[i] = len(v), v
		case ir.S32:
			v := in.Labels[b.Name]
			have, f.labels[i] = len(v), v
			if err := f.plan.CheckLabels(i, v); err != nil {
				return err
			}
		case ir.U64:
			v, ok := in.U64[b.Name]
			if f.scalars[i] = v; !ok {
				have = 0
			}
		}
		if have != want {
			return fmt.Errorf("parameter %s (%v): expected %d elements for %d samples, found %d", b.Name, b.Type, want, in.N, have)
		}
	}
	return nil
}

func poison(m []float32) {
	nan := float32(math.NaN())
	for i := range m {
		m[i] = nan
	}
}

// poisonDead overwrites every arena buffer whose last launch was t.
func (f *function) poisonDead(t int) {
	for i, b := range f.plan.Buffers {
		if b.Space == plan.Arena && b.Last == t {
			poison(f.mem[i][:b.Bytes/4])
		}
	}
}
