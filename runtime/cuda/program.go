// Package cuda runs plans of a GPU: it takes the device's memory, loads the
// kernels' texts, and starts the launches of a plan in order. The device itself
// is behind [Driver].
//
//	Load:  plans, texts  -> memory for all calls, kernels, tables of arguments
//	Run:   inputs -> device; launch, launch, ...; results <- device
//	Stage: inputs of the next call -> device, while it does the launches of this one
//
// What a call launches follows from the function and the number of samples
// alone: addresses never change and the scalars that do (learning rate, seed,
// step) lie in the device's memory as inputs. So the launches of a call are made
// once for each number of samples, and captured as a graph, which starts as one.
package cuda

import (
	"fmt"

	"wrnc/compiler/ir"
	"wrnc/compiler/plan"
	"wrnc/runtime"
)

var _ runtime.Executable = (*Program)(nil)

// Options choose how a program runs.
type Options struct {
	// Headers are what the texts include, by the name that an #include gives.
	Headers map[string]string

	// Poison fills memory with NaN wherever nothing of use lies: the arena and
	// the inputs before a call, each buffer after its last launch. It waits for
	// every launch, so that a fault of the device names its kernel, and checks
	// the counters after a call. For tests; slow.
	Poison bool

	// NoGraphs has launches start one by one.
	NoGraphs bool

	// Feeds are the functions that make parameters of others.
	Feeds []Feed
}

// Program is a module's functions on a device. It makes one call at a time, and
// after an error of the driver none: what lies in the device's memory is then
// unknown, and all that is left to do is Close.
type Program struct {
	d      Driver
	module *ir.Module
	opts   Options
	code   []Function
	funcs  map[string]*function
	order  []*function // as the plans are
	states map[string]plan.Buffer

	state, arena, counters slab
	inputs                 slab // of one call at a time
	incoming               slab // inputs of the next call, on their way
	resident               slab // inputs that are the same for every batch
	tables                 slab // arguments of kernels that run as one grid

	ready  *function // whose prepared steps hold; nil: none
	staged *staged   // the call that is handed over; nil: none

	broken error // what the driver said
	closed bool
}

// slab is memory that was taken as one piece; an empty one has no address.
type slab struct {
	at    Ptr
	bytes int
}

// Memory is what a program takes of a device, in bytes.
type Memory struct {
	State, Arena, Counters int // as planned
	Inputs                 int // the device's copy of one call's inputs
	Incoming               int // and of the next one's
	Resident               int // inputs that are the same for every batch: data sets
	Tables                 int // arguments of kernels that run as one grid
}

// Load takes memory and loads kernels for plans, all of one module and one GPU.
// sources[i] are the texts of plan i's kernels, in their order. State starts as
// zeros; see [Program.WriteState]. The driver stays the caller's, who closes it
// after the program. If Load fails, it has given back all that it took.
func Load(m *ir.Module, plans []*plan.Plan, sources [][]plan.Source, d Driver, o Options) (*Program, error) {
	p := &Program{d: d, module: m, opts: o, funcs: map[string]*function{}}
	if err := p.check(plans, sources); err != nil {
		return nil, err
	}
	if err := p.load(plans, sources); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

func (p *Program) load(plans []*plan.Plan, sources [][]plan.Source) error {
	codes, err := p.loadTexts(plans, sources)
	if err != nil {
		return err
	}
	for i, pl := range plans {
		f := newFunction(p, pl, sources[i], codes)
		p.funcs[pl.Func] = f
		p.order = append(p.order, f)
		p.state.bytes, p.counters.bytes = max(p.state.bytes, pl.State), max(p.counters.bytes, pl.Counters)
		f.tables = p.tables.bytes
		p.tables.bytes += f.tableBytes * len(f.calls)
	}
	if err := p.joinFeeds(); err != nil {
		return err
	}
	for _, f := range p.order {
		p.arena.bytes = max(p.arena.bytes, f.arena())
	}
	for _, f := range p.order {
		f.countPrepared()
	}
	p.placeInputs()
	p.incoming.bytes = p.inputs.bytes
	if err := p.allocate(); err != nil {
		return err
	}
	for _, f := range p.order {
		if _, err := f.call(f.plan.Batch); err != nil {
			return fmt.Errorf("%s: %w", f.plan.Func, err)
		}
	}
	return p.sync("loading " + p.module.Name)
}

// allocate takes the slabs and clears those whose content means something.
func (p *Program) allocate() error {
	for _, s := range []struct {
		name  string
		slab  *slab
		clear bool
	}{
		{"state", &p.state, true}, {"arena", &p.arena, false}, {"counters", &p.counters, true}, {"inputs", &p.inputs, false}, {"next inputs", &p.incoming, false}, {"data", &p.resident, false}, {"tables", &p.tables, false},
	} {
		if s.slab.bytes == 0 {
			continue
		}
		at, err := p.d.Alloc(s.slab.bytes)
		if err != nil {
			return fmt.Errorf("%s: %d bytes of the device's memory for the %s: %w", p.module.Name, s.slab.bytes, s.name, err)
		}
		s.slab.at = at
		if at == 0 || at%plan.Align != 0 {
			return fmt.Errorf("%s: the %s start at %#x, expected a multiple of %d", p.module.Name, s.name, uint64(at), plan.Align)
		}
		if !s.clear {
			continue
		}
		if err := p.d.Fill(at, 0, s.slab.bytes); err != nil {
			return fmt.Errorf("%s: clearing the %s: %w", p.module.Name, s.name, err)
		}
	}
	return nil
}

// Close gives back the device's memory and the kernels. The program cannot run
// afterwards. What the driver fails to give back it still holds, and gives back
// when it is closed itself.
func (p *Program) Close() {
	if p.closed {
		return
	}
	p.closed = true
	_ = p.d.Sync() // the device may be at work on what goes; that it failed, if it did, was reported
	for _, f := range p.order {
		p.freeEvents(f)
		for i := range f.calls {
			_ = p.discard(&f.calls[i])
		}
	}
	for _, f := range p.code {
		_ = p.d.Unload(f)
	}
	for _, s := range []*slab{&p.state, &p.arena, &p.counters, &p.inputs, &p.incoming, &p.resident, &p.tables} {
		if s.at != 0 {
			_ = p.d.Free(s.at)
		}
	}
}

// Allocated is the number of bytes of state, arena and counters: the planned
// peak. The device's copy of the inputs, data sets and the tables of arguments come
// beside them; see [Program.Memory].
func (p *Program) Allocated() int { return p.state.bytes + p.arena.bytes + p.counters.bytes }

// Memory is all that the program takes of the device, but for the kernels' code.
func (p *Program) Memory() Memory {
	return Memory{State: p.state.bytes, Arena: p.arena.bytes, Counters: p.counters.bytes, Inputs: p.inputs.bytes, Incoming: p.incoming.bytes, Resident: p.resident.bytes, Tables: p.tables.bytes}
}

// ReadState copies a state out.
func (p *Program) ReadState(name string) ([]float32, error) {
	b, err := p.stateBuffer(name)
	if err != nil {
		return nil, err
	}
	values := make([]float32, b.Type.Elems())
	if err := p.d.Read(bytesOf(values), p.state.at+Ptr(b.Offset)); err != nil {
		return nil, p.fail(fmt.Errorf("reading state @%s: %w", name, err))
	}
	return values, nil
}

// WriteState sets a state.
func (p *Program) WriteState(name string, values []float32) error {
	b, err := p.stateBuffer(name)
	if err != nil {
		return err
	}
	if n := b.Type.Elems(); len(values) != n {
		return fmt.Errorf("state @%s has %d elements, found %d", name, n, len(values))
	}
	p.ready = nil
	if err := p.d.Write(p.state.at+Ptr(b.Offset), bytesOf(values)); err != nil {
		return p.fail(fmt.Errorf("writing state @%s: %w", name, err))
	}
	return nil
}

func (p *Program) stateBuffer(name string) (plan.Buffer, error) {
	if err := p.usable(); err != nil {
		return plan.Buffer{}, err
	}
	b, ok := p.states[name]
	if !ok {
		return b, fmt.Errorf("no state @%s in %s", name, p.module.Name)
	}
	return b, nil
}

// usable says why the program can do nothing any more.
func (p *Program) usable() error {
	switch {
	case p.closed:
		return fmt.Errorf("%s: the program is closed", p.module.Name)
	case p.broken != nil:
		return fmt.Errorf("%s: the device failed before: %w", p.module.Name, p.broken)
	}
	return nil
}

// fail keeps an error of the driver, after which the program is of no use.
func (p *Program) fail(err error) error {
	p.broken = err
	return err
}

// sync waits for the device.
func (p *Program) sync(what string) error {
	if err := p.d.Sync(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}
