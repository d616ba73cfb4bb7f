// Package emulator is a device whose kernels run on the CPU: what programs of
// runtime/cuda are tested on where there is no GPU. Each launch is checked as
// package harness does, and one that breaks a rule fails. It is slow, and needs g++.
package emulator

import (
	"bytes"
	"fmt"
	"runtime"
	"sync"
	"time"

	"wrnc/kernels/harness"
	"wrnc/runtime/cuda"
)

// Options choose among what is legal on a device.
type Options struct {
	Order harness.Order // of blocks, and of the threads of a block
	Seed  uint64        // of harness.Random
	Async harness.Async // when asynchronous copies arrive
}

// Device is a [cuda.Driver]. A kernel fails that reads memory in which no kernel,
// Write or Fill has written since Alloc.
type Device struct {
	o       Options
	h       *harness.Harness
	m       *harness.Machine
	kernels map[cuda.Function]kernel
	graphs  map[cuda.Graph][]cuda.Launch
	events  map[cuda.Event]time.Time // zero: not recorded
	uploads []upload
	last    uint64 // handle of a function, a graph or an event
	total   harness.Counters
}

// upload is one that has not landed.
type upload struct {
	to      cuda.Ptr
	content []byte
}

// kernel is a compiled text.
type kernel struct {
	entry  string
	module *harness.Module
}

var _ cuda.Driver = (*Device)(nil)

// Open starts a device. h compiles its kernels and keeps them, so that a text is
// compiled once for all devices.
func Open(h *harness.Harness, o Options) (*Device, error) {
	m, err := h.Start()
	if err != nil {
		return nil, err
	}
	return &Device{o: o, h: h, m: m, kernels: map[cuda.Function]kernel{}, graphs: map[cuda.Graph][]cuda.Launch{}, events: map[cuda.Event]time.Time{}}, nil
}

// Counters say how much all launches together did.
func (d *Device) Counters() harness.Counters { return d.total }

// Alloc is cuda.Driver's.
func (d *Device) Alloc(bytes int) (cuda.Ptr, error) {
	at, err := d.m.Alloc(bytes, false)
	return cuda.Ptr(at), err
}

// Free is cuda.Driver's.
func (d *Device) Free(p cuda.Ptr) error { return d.m.Free(uint64(p)) }

// Write is cuda.Driver's.
func (d *Device) Write(dst cuda.Ptr, src []byte) error { return d.m.Write(uint64(dst), src) }

// Upload is cuda.Driver's. It happens as late as it may, when Land needs it, and nobody
// has written there before.
func (d *Device) Upload(dst cuda.Ptr, src []byte) error {
	if err := d.m.Poison(uint64(dst), len(src)); err != nil {
		return err
	}
	d.uploads = append(d.uploads, upload{dst, bytes.Clone(src)})
	return nil
}

// Land is cuda.Driver's.
func (d *Device) Land(moves []cuda.Move) error {
	for _, u := range d.uploads {
		if err := d.Write(u.to, u.content); err != nil {
			return err
		}
	}
	d.uploads = nil
	for _, m := range moves {
		content, err := d.m.Read(uint64(m.From), m.Bytes)
		if err != nil {
			return err
		}
		if err := d.Write(m.To, content); err != nil {
			return err
		}
	}
	return nil
}

// Read is cuda.Driver's.
func (d *Device) Read(dst []byte, src cuda.Ptr) error {
	content, err := d.m.Read(uint64(src), len(dst))
	copy(dst, content)
	return err
}

// Fill is cuda.Driver's.
func (d *Device) Fill(p cuda.Ptr, value byte, n int) error {
	return d.m.Write(uint64(p), bytes.Repeat([]byte{value}, n))
}

// Load is cuda.Driver's. The harness has the templates and a prelude of its own;
// the texts' headers are left aside.
func (d *Device) Load(t cuda.Texts) ([]cuda.Function, error) {
	modules := make([]*harness.Module, len(t.Kernels))
	failures := make([]error, len(t.Kernels))
	next := make(chan int)
	var wait sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wait.Go(func() {
			for i := range next {
				modules[i], failures[i] = d.h.Compile(t.Kernels[i].Entry, t.Kernels[i].Text)
			}
		})
	}
	for i := range t.Kernels {
		next <- i
	}
	close(next)
	wait.Wait()
	for _, err := range failures {
		if err != nil {
			return nil, err
		}
	}
	var functions []cuda.Function
	for i, m := range modules {
		d.last++
		d.kernels[cuda.Function(d.last)] = kernel{t.Kernels[i].Entry, m}
		functions = append(functions, cuda.Function(d.last))
	}
	return functions, nil
}

// Unload is cuda.Driver's.
func (d *Device) Unload(f cuda.Function) error {
	if _, ok := d.kernels[f]; !ok {
		return fmt.Errorf("there is no function %d", f)
	}
	delete(d.kernels, f)
	return nil
}

// Launch is cuda.Driver's. It waits for the kernel; a rule that the kernel broke is
// its error.
func (d *Device) Launch(f cuda.Function, g cuda.Grid, args []byte) error {
	k, ok := d.kernels[f]
	if !ok {
		return fmt.Errorf("there is no function %d", f)
	}
	report, err := d.m.Launch(harness.Launch{Module: k.module, Entry: k.entry, Blocks: g.Blocks, Threads: g.Threads, Shared: g.Shared, Args: args,
		Order: d.o.Order, Seed: d.o.Seed, Async: d.o.Async})
	if err != nil {
		return err
	}
	d.total.Accesses += report.Accesses
	d.total.Switches += report.Switches
	d.total.Barriers += report.Barriers
	d.total.MMAs += report.MMAs
	d.total.Copies += report.Copies
	return report.Err()
}

// Capture is cuda.Driver's.
func (d *Device) Capture(launches []cuda.Launch) (cuda.Graph, error) {
	var graph []cuda.Launch
	for _, l := range launches {
		if _, ok := d.kernels[l.Function]; !ok {
			return 0, fmt.Errorf("there is no function %d", l.Function)
		}
		l.Args = bytes.Clone(l.Args)
		graph = append(graph, l)
	}
	d.last++
	d.graphs[cuda.Graph(d.last)] = graph
	return cuda.Graph(d.last), nil
}

// Replay is cuda.Driver's.
func (d *Device) Replay(g cuda.Graph) error {
	graph, ok := d.graphs[g]
	if !ok {
		return fmt.Errorf("there is no graph %d", g)
	}
	for _, l := range graph {
		if err := d.Launch(l.Function, l.Grid, l.Args); err != nil {
			return err
		}
	}
	return nil
}

// Discard is cuda.Driver's.
func (d *Device) Discard(g cuda.Graph) error {
	if _, ok := d.graphs[g]; !ok {
		return fmt.Errorf("there is no graph %d", g)
	}
	delete(d.graphs, g)
	return nil
}

// NewEvent is cuda.Driver's.
func (d *Device) NewEvent() (cuda.Event, error) {
	d.last++
	d.events[cuda.Event(d.last)] = time.Time{}
	return cuda.Event(d.last), nil
}

// Record is cuda.Driver's.
func (d *Device) Record(e cuda.Event) error {
	if _, ok := d.events[e]; !ok {
		return fmt.Errorf("there is no event %d", e)
	}
	d.events[e] = time.Now()
	return nil
}

// Elapsed is cuda.Driver's: the time is this machine's.
func (d *Device) Elapsed(from, to cuda.Event) (time.Duration, error) {
	for _, e := range []cuda.Event{from, to} {
		if d.events[e].IsZero() {
			return 0, fmt.Errorf("there is no event %d, or it was never recorded", e)
		}
	}
	return d.events[to].Sub(d.events[from]), nil
}

// FreeEvent is cuda.Driver's.
func (d *Device) FreeEvent(e cuda.Event) error {
	if _, ok := d.events[e]; !ok {
		return fmt.Errorf("there is no event %d", e)
	}
	delete(d.events, e)
	return nil
}

// Sync is cuda.Driver's: nothing is ever under way.
func (d *Device) Sync() error { return nil }

// Close is cuda.Driver's.
func (d *Device) Close() error { return d.m.Close() }
