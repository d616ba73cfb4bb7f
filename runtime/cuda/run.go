package cuda

import (
	"fmt"

	"wrnc/compiler/ir"
	"wrnc/compiler/plan"
	"wrnc/runtime"
)

// poison is the byte that memory of no use is filled with: every float of such
// bytes is a NaN.
const poison = 0xff

// Run executes a function. The results are views into the program's memory,
// valid until the next call of the function; an activation's result has N
// samples, and bf16 is widened.
func (p *Program) Run(name string, in runtime.Inputs) ([][]float32, error) {
	f, inputs, err := p.checkCall(name, in)
	if err != nil {
		return nil, err
	}
	return f.run(in.N, func() error { return p.write(inputs) }, func() error { return nil })
}

// checkCall returns the function and the inputs of a call, or refuses it.
func (p *Program) checkCall(name string, in runtime.Inputs) (*function, []content, error) {
	f := p.funcs[name]
	if f == nil {
		return nil, nil, fmt.Errorf("%s has no function %s", p.module.Name, name)
	}
	if err := p.usable(); err != nil {
		return nil, nil, err
	}
	if err := f.plan.CheckBatch(in.N); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	inputs, err := f.contents(in)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	if f.feeder != nil {
		more, err := f.feeder.contents(in)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", name, err)
		}
		inputs = append(inputs, more...)
	}
	return f, inputs, nil
}

// write sets inputs in the order of work.
func (p *Program) write(inputs []content) error {
	for _, c := range inputs {
		if err := p.d.Write(c.at, c.bytes); err != nil {
			return fmt.Errorf("writing parameter %s: %w", c.name, err)
		}
	}
	return nil
}

// content is what an input is set to.
type content struct {
	name  string
	at    Ptr
	bytes []byte
}

// contents returns those of every input of a call.
func (f *function) contents(in runtime.Inputs) ([]content, error) {
	if err := f.checkResident(); err != nil {
		return nil, err
	}
	var contents []content
	for i, b := range f.plan.Buffers {
		if b.Space != plan.Input || b.Resident() || f.feeder != nil && i == f.fed {
			continue
		}
		have := 0
		var bytes []byte
		switch b.Type.DType {
		case ir.F32:
			v := in.F32[b.Name]
			have, bytes = len(v), bytesOf(v)
		case ir.S32:
			v := in.Labels[b.Name]
			have, bytes = len(v), bytesOf(v)
			if err := f.plan.CheckLabels(i, v); err != nil {
				return nil, err
			}
		case ir.U64:
			if v, ok := in.U64[b.Name]; ok {
				have, bytes = 1, bytesOf([]uint64{v})
			}
		}
		if want := f.plan.Elems(i, in.N); have != want {
			return nil, fmt.Errorf("parameter %s (%v): expected %d elements for %d samples, found %d", b.Name, b.Type, want, in.N, have)
		}
		contents = append(contents, content{b.Name, Ptr(f.address(i)), bytes})
	}
	return contents, nil
}

// run does a call of n samples: deliver sets its inputs, and what meanwhile does goes on
// while the device computes. An error is the driver's.
func (f *function) run(n int, deliver, meanwhile func() error) ([][]float32, error) {
	results, err := f.attempt(n, deliver, meanwhile)
	if err != nil {
		return nil, f.p.fail(fmt.Errorf("%s: %w", f.plan.Func, err))
	}
	return results, nil
}

func (f *function) attempt(n int, deliver, meanwhile func() error) ([][]float32, error) {
	c, err := f.call(n)
	if err != nil {
		return nil, err
	}
	first := f.held()
	f.p.ready = f // another function's arena is overwritten
	if f.p.opts.Poison {
		if err := f.poisonAll(first); err != nil {
			return nil, err
		}
	}
	if err := deliver(); err != nil {
		return nil, err
	}
	if err := f.start(c, first); err != nil {
		return nil, err
	}
	if err := meanwhile(); err != nil {
		return nil, err
	}
	if err := f.readTimes(first); err != nil {
		return nil, err
	}
	if f.feeder != nil {
		if err := f.feeder.readTimes(0); err != nil {
			return nil, err
		}
	}
	if f.p.opts.Poison {
		if err := f.checkCounters(); err != nil {
			return nil, err
		}
	}
	return f.read(n)
}

// countPrepared counts the steps that a call leaves out while what they wrote holds: those of
// the prepared launches, unless a feeder overwrites it in each call.
func (f *function) countPrepared() {
	if f.feeder != nil && f.feeder.arena() > 0 {
		return
	}
	for f.prepared < len(f.steps) && f.steps[f.prepared].launch < f.plan.Prepared {
		f.prepared++
	}
}

// held is how many steps, the first ones, the next call can leave out.
func (f *function) held() int {
	if f.p.ready == f {
		return f.prepared
	}
	return 0
}

// start starts the launches of a call from step first on: as one, or one by one.
func (f *function) start(c *call, first int) error {
	if c.graph != 0 && f.watch == nil {
		if err := f.each(c.launches, first, f.prepared); err != nil {
			return err
		}
		if err := f.p.d.Replay(c.graph); err != nil {
			return fmt.Errorf("starting %d launches as one: %w", len(c.before)+len(c.launches)-f.prepared, err)
		}
		return nil
	}
	if f.feeder != nil {
		if err := f.feeder.each(c.before, 0, len(c.before)); err != nil {
			return err
		}
	}
	return f.each(c.launches, first, len(c.launches))
}

// each starts launches one by one, from the one of step first to that before step end.
func (f *function) each(launches []Launch, first, end int) error {
	if err := f.mark(first); err != nil {
		return err
	}
	for i, l := range launches[first:end] {
		i += first
		if err := f.p.d.Launch(l.Function, l.Grid, l.Args); err != nil {
			return fmt.Errorf("%s: %w", f.describe(f.steps[i]), err)
		}
		if err := f.mark(i + 1); err != nil {
			return err
		}
		if f.p.opts.Poison {
			if err := f.poisonDead(i); err != nil {
				return err
			}
		}
	}
	return nil
}

// read fetches the results of a call of n samples, for which it waits.
func (f *function) read(n int) ([][]float32, error) {
	if len(f.results) == 0 {
		return nil, f.p.sync("waiting for the launches")
	}
	results := make([][]float32, len(f.results))
	for i, b := range f.plan.Returns {
		buf := &f.plan.Buffers[b]
		results[i] = f.results[i][:f.plan.Elems(b, n)]
		bytes := bytesOf(results[i])
		if buf.Type.DType == ir.BF16 {
			if need := len(results[i]); cap(f.halves) < need {
				f.halves = make([]uint16, need)
			}
			f.halves = f.halves[:len(results[i])]
			bytes = bytesOf(f.halves)
		}
		if err := f.p.d.Read(bytes, Ptr(f.address(b))); err != nil {
			return nil, fmt.Errorf("reading result %s: %w", buf.Name, err)
		}
		if buf.Type.DType == ir.BF16 {
			widen(results[i], f.halves)
		}
	}
	return results, nil
}

// poisonAll fills everything that a call from step first on must write before it reads it.
func (f *function) poisonAll(first int) error {
	memory := []slab{f.p.inputs}
	if first == 0 {
		memory = append(memory, f.p.arena)
	} else {
		memory = append(memory, f.unprepared()...)
	}
	for _, s := range memory {
		if s.bytes == 0 {
			continue
		}
		if err := f.p.d.Fill(s.at, poison, s.bytes); err != nil {
			return fmt.Errorf("poisoning memory before the call: %w", err)
		}
	}
	return nil
}

// unprepared is the part of the arena that no prepared launch writes in.
func (f *function) unprepared() []slab {
	var memory []slab
	for i, b := range f.plan.Buffers {
		if b.Space == plan.Arena && b.First >= f.plan.Prepared {
			memory = append(memory, slab{Ptr(f.address(i)), b.Bytes})
		}
	}
	return memory
}

// poisonDead waits for step i and, if it ends a launch, fills every buffer of
// the arena that the launch was the last to touch.
func (f *function) poisonDead(i int) error {
	s := f.steps[i]
	if err := f.p.sync(f.describe(s)); err != nil {
		return err
	}
	if i+1 < len(f.steps) && f.steps[i+1].launch == s.launch {
		return nil
	}
	for j, b := range f.plan.Buffers {
		if b.Space != plan.Arena || b.Last != s.launch {
			continue
		}
		if err := f.p.d.Fill(Ptr(f.address(j)), poison, b.Bytes); err != nil {
			return fmt.Errorf("poisoning buffer %s after launch %d: %w", b.Name, s.launch, err)
		}
	}
	return nil
}

// checkCounters requires every counter to be zero again.
func (f *function) checkCounters() error {
	for i, b := range f.plan.Buffers {
		if b.Space != plan.Counter {
			continue
		}
		counts := make([]uint32, b.Type.Elems())
		if err := f.p.d.Read(bytesOf(counts), Ptr(f.address(i))); err != nil {
			return fmt.Errorf("reading counter %s: %w", b.Name, err)
		}
		for j, n := range counts {
			if n != 0 {
				return fmt.Errorf("counter %d of %s is left at %d, expected 0", j, b.Name, n)
			}
		}
	}
	return nil
}
