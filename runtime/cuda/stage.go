package cuda

import (
	"fmt"

	"wrnc/runtime"
)

var _ runtime.Stager = (*Program)(nil)

// staged is a call whose inputs are on the device, or on their way, beside those of the
// call before it.
type staged struct {
	f      *function
	n      int
	inputs []Move // to where they are read
	err    error  // why it cannot run
}

// Stage is runtime.Stager's.
func (p *Program) Stage(name string, in runtime.Inputs) error {
	f, inputs, err := p.checkCall(name, in)
	if err != nil {
		return err
	}
	if err := p.upload(f, in.N, inputs); err != nil {
		return p.fail(fmt.Errorf("%s: %w", name, err))
	}
	return nil
}

// RunStaged is runtime.Stager's.
func (p *Program) RunStaged(next *runtime.Inputs) ([][]float32, error) {
	if err := p.usable(); err != nil {
		return nil, err
	}
	s := p.staged
	if s == nil {
		return nil, fmt.Errorf("%s: no call is staged", p.module.Name)
	}
	p.staged = nil
	if s.err != nil {
		return nil, s.err
	}
	return s.f.run(s.n, func() error {
		if err := p.d.Land(s.inputs); err != nil {
			return fmt.Errorf("moving the parameters to their places: %w", err)
		}
		return nil
	}, func() error {
		if next == nil {
			return nil
		}
		f, inputs, err := p.checkCall(s.f.plan.Func, *next)
		if err != nil {
			p.staged = &staged{err: err}
			return nil
		}
		return p.upload(f, next.N, inputs)
	})
}

// upload stages a call: each input goes to the place among those to come that it has
// among those of a call. Neighbours move as one, with what their alignment leaves between.
func (p *Program) upload(f *function, n int, inputs []content) error {
	s := &staged{f: f, n: n}
	for _, c := range inputs {
		m := Move{To: c.at, From: p.incoming.at + c.at - p.inputs.at, Bytes: len(c.bytes)}
		if err := p.d.Upload(m.From, c.bytes); err != nil {
			return fmt.Errorf("uploading parameter %s: %w", c.name, err)
		}
		if last := len(s.inputs) - 1; last >= 0 && s.inputs[last].end() == m.To {
			s.inputs[last].Bytes = int(m.To-s.inputs[last].To) + m.Bytes
			continue
		}
		s.inputs = append(s.inputs, m)
	}
	p.staged = s
	return nil
}

// end is where the next input can begin.
func (m Move) end() Ptr { return m.To + Ptr(aligned(m.Bytes)) }
