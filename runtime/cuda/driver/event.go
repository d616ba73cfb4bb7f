package driver

import (
	"fmt"
	"time"

	"wrnc/runtime/cuda"
	"wrnc/runtime/cuda/libcuda"
)

// NewEvent is cuda.Driver's.
func (d *Device) NewEvent() (cuda.Event, error) {
	defer d.leave()
	if err := d.enter(); err != nil {
		return 0, err
	}
	e, err := d.api.EventCreate(true)
	if err := d.failed(err); err != nil {
		return 0, err
	}
	d.events[cuda.Event(e)] = true
	return cuda.Event(e), nil
}

// FreeEvent is cuda.Driver's.
func (d *Device) FreeEvent(e cuda.Event) error {
	defer d.leave()
	if err := d.enterFor(e); err != nil {
		return err
	}
	if err := d.failed(d.api.EventDestroy(libcuda.Event(e))); err != nil {
		return err
	}
	delete(d.events, e)
	return nil
}

// Record is cuda.Driver's.
func (d *Device) Record(e cuda.Event) error {
	defer d.leave()
	if err := d.enterFor(e); err != nil {
		return err
	}
	return d.failed(d.api.EventRecord(libcuda.Event(e), d.work.stream))
}

// enterFor enters to use events.
func (d *Device) enterFor(events ...cuda.Event) error {
	if err := d.enter(); err != nil {
		return err
	}
	for _, e := range events {
		if !d.events[e] {
			return fmt.Errorf("there is no event %#x", uint64(e))
		}
	}
	return nil
}

// Elapsed is cuda.Driver's.
func (d *Device) Elapsed(from, to cuda.Event) (time.Duration, error) {
	defer d.leave()
	if err := d.enterFor(from, to); err != nil {
		return 0, err
	}
	for _, e := range []cuda.Event{from, to} {
		if err := d.failed(d.api.EventSynchronize(libcuda.Event(e))); err != nil {
			return 0, err
		}
	}
	ms, err := d.api.EventElapsedTime(libcuda.Event(from), libcuda.Event(to))
	return time.Duration(float64(ms) * float64(time.Millisecond)), d.failed(err)
}
