package cuda

import (
	"fmt"

	"wrnc/compiler/ir"
	"wrnc/compiler/plan"
)

// Feed is a function whose result is a parameter of another, in a call of which it
// runs first: one that takes a batch out of a data set in the device's memory. Who
// calls To gives From's parameters in place of that one.
type Feed struct {
	From, To  string // functions
	Parameter string // of To
}

// joinFeeds connects the functions of the options' feeds: a result of From lies where
// To reads its parameter, so that nothing is copied.
func (p *Program) joinFeeds() error {
	for _, feed := range p.opts.Feeds {
		from, to := p.funcs[feed.From], p.funcs[feed.To]
		if from == nil || to == nil {
			return fmt.Errorf("%s: function %s is to feed %s, and there is no plan of one of them", p.module.Name, feed.From, feed.To)
		}
		if len(from.plan.Returns) != 1 || from.tableBytes > 0 || to.feeder != nil || from.feeds != nil {
			return fmt.Errorf("%s: function %s cannot feed %s", p.module.Name, feed.From, feed.To)
		}
		result := from.plan.Returns[0]
		for i, b := range to.plan.Buffers {
			r := from.plan.Buffers[result]
			if b.Space == plan.Input && b.Name == feed.Parameter && b.Type.Equal(r.Type) && b.Batched == r.Batched && r.Space == plan.Arena {
				to.feeder, to.fed = from, i
				from.feeds = to
			}
		}
		if to.feeder == nil {
			return fmt.Errorf("%s: %s has no parameter %s like the result of %s", p.module.Name, feed.To, feed.Parameter, feed.From)
		}
	}
	return nil
}

// arena is how much of the arena a function needs: a result that lies elsewhere is no
// part of it.
func (f *function) arena() int {
	if f.feeds == nil {
		return f.plan.Arena
	}
	bytes := 0
	for i, b := range f.plan.Buffers {
		if b.Space == plan.Arena && i != f.plan.Returns[0] {
			bytes = max(bytes, b.Offset+b.Bytes)
		}
	}
	return bytes
}

// placeInputs gives every input a place: those of a call share theirs with those of
// other functions' calls; those that are the same for every batch are there once.
func (p *Program) placeInputs() {
	for _, f := range p.order {
		if f.feeds == nil {
			p.inputs.bytes = max(p.inputs.bytes, f.place(0))
		}
	}
	base := p.inputs.bytes
	for _, f := range p.order {
		if f.feeds != nil { // beside those of the function that it feeds
			p.inputs.bytes = max(p.inputs.bytes, f.place(base))
		}
		for i := range f.plan.Buffers {
			if b := &f.plan.Buffers[i]; b.Resident() {
				f.inputs[i] = p.resident.bytes
				p.resident.bytes += aligned(b.Type.Bytes())
			}
		}
	}
}

// place lays a call's inputs out from an offset on, and returns where they end.
func (f *function) place(offset int) int {
	for i := range f.plan.Buffers {
		if b := &f.plan.Buffers[i]; b.Space == plan.Input && !b.Resident() {
			f.inputs[i] = offset
			offset += aligned(b.Type.Bytes())
		}
	}
	return offset
}

// WriteResident sets a parameter that is the same for every batch, such as a data set:
// the bytes of its elements in order, those of a float little-endian.
func (p *Program) WriteResident(function, parameter string, content []byte) error {
	if err := p.usable(); err != nil {
		return err
	}
	f := p.funcs[function]
	if f == nil {
		return fmt.Errorf("%s has no function %s", p.module.Name, function)
	}
	for i := range f.plan.Buffers {
		b := &f.plan.Buffers[i]
		if !b.Resident() || b.Name != parameter {
			continue
		}
		if len(content) != b.Type.Bytes() {
			return fmt.Errorf("%s: parameter %s (%v) has %d bytes, found %d", function, parameter, b.Type, b.Type.Bytes(), len(content))
		}
		if err := p.d.Write(Ptr(f.address(i)), content); err != nil {
			return p.fail(fmt.Errorf("writing parameter %s of %s: %w", parameter, function, err))
		}
		f.written[i] = true
		return nil
	}
	return fmt.Errorf("%s has no parameter %s that is the same for every batch", function, parameter)
}

// checkResident refuses a call before all of them are written.
func (f *function) checkResident() error {
	for i := range f.plan.Buffers {
		if b := &f.plan.Buffers[i]; b.Resident() && !f.written[i] {
			return fmt.Errorf("parameter %s (%v) of %s was never written", b.Name, b.Type, f.plan.Func)
		}
	}
	return nil
}

// input tells whether the target takes an input of a type.
func input(b *plan.Buffer) bool {
	t := b.Type.DType
	return t == ir.F32 || t == ir.S32 || t == ir.U64 || t == ir.U8 && b.Resident()
}
