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
	f := p.funcs[name]
	if f == nil {
		return nil, fmt.Errorf("%s has no function %s", p.module.Name, name)
	}
	if err := p.usable(); err != nil {
		return nil, err
	}
	if err := f.plan.CheckBatch(in.N); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	content, err := f.contents(in)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	results, err := f.run(in.N, content)
	if err != nil {
		return nil, p.fail(fmt.Errorf("%s: %w", name, err))
	}
	return results, nil
}

// contents returns the bytes of every input, by buffer.
func (f *function) contents(in runtime.Inputs) ([][]byte, error) {
	content := make([][]byte, len(f.plan.Buffers))
	for i, b := range f.plan.Buffers {
		if b.Space != plan.Input {
			continue
		}
		have := 0
		switch b.Type.DType {
		case ir.F32:
			v := in.F32[b.Name]
			have, content[i] = len(v), bytesOf(v)
		case ir.S32:
			v := in.Labels[b.Name]
			have, content[i] = len(v), bytesOf(v)
			if err := f.plan.CheckLabels(i, v); err != nil {
				return nil, err
			}
		case ir.U64:
			if v, ok := in.U64[b.Name]; ok {
				have, content[i] = 1, bytesOf([]uint64{v})
			}
		}
		if want := f.plan.Elems(i, in.N); have != want {
			return nil, fmt.Errorf("parameter %s (%v): expected %d elements for %d samples, found %d", b.Name, b.Type, want, in.N, have)
		}
	}
	return content, nil
}

// run does a call whose inputs are in order.
func (f *function) run(n int, content [][]byte) ([][]float32, error) {
	c, err := f.call(n)
	if err != nil {
		return nil, err
	}
	if f.p.opts.Poison {
		if err := f.poisonAll(); err != nil {
			return nil, err
		}
	}
	for i, bytes := range content {
		if bytes == nil {
			continue
		}
		if err := f.p.d.Write(Ptr(f.address(i)), bytes); err != nil {
			return nil, fmt.Errorf("writing parameter %s: %w", f.plan.Buffers[i].Name, err)
		}
	}
	if err := f.start(c); err != nil {
		return nil, err
	}
	if err := f.p.sync("waiting for the launches"); err != nil {
		return nil, err
	}
	if f.p.opts.Poison {
		if err := f.checkCounters(); err != nil {
			return nil, err
		}
	}
	return f.read(n)
}

// start starts the launches of a call: as one, or one by one.
func (f *function) start(c *call) error {
	if c.graph != 0 {
		if err := f.p.d.Replay(c.graph); err != nil {
			return fmt.Errorf("starting %d launches as one: %w", len(c.launches), err)
		}
		return nil
	}
	for i, l := range c.launches {
		if err := f.p.d.Launch(l.Function, l.Grid, l.Args); err != nil {
			return fmt.Errorf("%s: %w", f.describe(f.steps[i]), err)
		}
		if f.p.opts.Poison {
			if err := f.poisonDead(i); err != nil {
				return err
			}
		}
	}
	return nil
}

// read fetches the results of a call of n samples.
func (f *function) read(n int) ([][]float32, error) {
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

// poisonAll fills everything that a call must write before it reads it.
func (f *function) poisonAll() error {
	for _, s := range []slab{f.p.arena, f.p.inputs} {
		if s.bytes == 0 {
			continue
		}
		if err := f.p.d.Fill(s.at, poison, s.bytes); err != nil {
			return fmt.Errorf("poisoning memory before the call: %w", err)
		}
	}
	return nil
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
