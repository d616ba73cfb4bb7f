package main

import (
	"errors"
	"fmt"
	"time"

	"wrnc/runtime/cuda"
)

// driver is a device of memory whose kernels do nothing: it shows that a package
// loads its plans and kernels and starts them.
type driver struct {
	memory   map[uint64][]byte
	next     uint64
	launches int
}

func (d *driver) at(p cuda.Ptr, n int) ([]byte, error) {
	for base, m := range d.memory {
		if at := uint64(p); at >= base && at+uint64(n) <= base+uint64(len(m)) {
			return m[at-base:][:n], nil
		}
	}
	return nil, fmt.Errorf("no memory at %#x", uint64(p))
}

func (d *driver) Alloc(bytes int) (cuda.Ptr, error) {
	d.next += 1 << 32
	d.memory[d.next] = make([]byte, bytes)
	return cuda.Ptr(d.next), nil
}

func (d *driver) Free(p cuda.Ptr) error {
	delete(d.memory, uint64(p))
	return nil
}

func (d *driver) Write(dst cuda.Ptr, src []byte) error {
	m, err := d.at(dst, len(src))
	copy(m, src)
	return err
}

func (d *driver) Upload(dst cuda.Ptr, src []byte) error { return d.Write(dst, src) }

func (d *driver) Land(moves []cuda.Move) error {
	for _, m := range moves {
		from, err := d.at(m.From, m.Bytes)
		if err != nil {
			return err
		}
		if err := d.Write(m.To, from); err != nil {
			return err
		}
	}
	return nil
}

func (d *driver) Read(dst []byte, src cuda.Ptr) error {
	m, err := d.at(src, len(dst))
	copy(dst, m)
	return err
}

func (d *driver) Fill(p cuda.Ptr, value byte, bytes int) error {
	m, err := d.at(p, bytes)
	for i := range m {
		m[i] = value
	}
	return err
}

func (d *driver) Load(t cuda.Texts) ([]cuda.Function, error) {
	functions := make([]cuda.Function, len(t.Kernels))
	for i, k := range t.Kernels {
		if k.Entry == "" || k.Text == "" || t.Headers["device.cuh"] == "" {
			return nil, fmt.Errorf("kernel %d has no text or no prelude", i)
		}
	}
	return functions, nil
}

func (d *driver) Unload(cuda.Function) error { return nil }

func (d *driver) Launch(_ cuda.Function, g cuda.Grid, args []byte) error {
	d.launches++
	if g.Blocks < 1 || len(args) == 0 {
		return fmt.Errorf("launch %d: %d blocks, %d bytes of arguments", d.launches, g.Blocks, len(args))
	}
	return nil
}

// It has no graphs and no clock: launches start one by one, and nothing is timed.
func (d *driver) Capture([]cuda.Launch) (cuda.Graph, error) { return 0, errors.ErrUnsupported }
func (d *driver) Replay(cuda.Graph) error                   { return errors.ErrUnsupported }
func (d *driver) Discard(cuda.Graph) error                  { return errors.ErrUnsupported }
func (d *driver) NewEvent() (cuda.Event, error)             { return 0, errors.ErrUnsupported }
func (d *driver) Record(cuda.Event) error                   { return errors.ErrUnsupported }
func (d *driver) FreeEvent(cuda.Event) error                { return errors.ErrUnsupported }

func (d *driver) Elapsed(_, _ cuda.Event) (time.Duration, error) { return 0, errors.ErrUnsupported }

func (d *driver) Sync() error  { return nil }
func (d *driver) Close() error { return nil }
