package driver

import (
	"fmt"
	"time"
	"unsafe"

	"wrnc/runtime/cuda"
)

// NewEvent is cuda.Driver's.
func (d *Device) NewEvent() (cuda.Event, error) {
	defer d.leave()
	if err := d.enter(); err != nil {
		return 0, err
	}
	var e uintptr
	if err := d.do(cuEventCreate, uintptr(unsafe.Pointer(&e)), eventDefault); err != nil {
		return 0, err
	}
	d.events[cuda.Event(e)] = true
	return cuda.Event(e), nil
}

// FreeEvent is cuda.Driver's.
func (d *Device) FreeEvent(e cuda.Event) error { return d.onEvent(e, true, cuEventDestroy, uintptr(e)) }

// Record is cuda.Driver's.
func (d *Device) Record(e cuda.Event) error {
	return d.onEvent(e, false, cuEventRecord, uintptr(e), d.stream)
}

func (d *Device) onEvent(e cuda.Event, end bool, f function, args ...uintptr) error {
	defer d.leave()
	if err := d.enter(); err != nil {
		return err
	}
	if !d.events[e] {
		return fmt.Errorf("there is no event %#x", uint64(e))
	}
	if err := d.do(f, args...); err != nil {
		return err
	}
	if end {
		delete(d.events, e)
	}
	return nil
}

// Elapsed is cuda.Driver's.
func (d *Device) Elapsed(from, to cuda.Event) (time.Duration, error) {
	defer d.leave()
	if err := d.enter(); err != nil {
		return 0, err
	}
	for _, e := range []cuda.Event{from, to} {
		if !d.events[e] {
			return 0, fmt.Errorf("there is no event %#x", uint64(e))
		}
		if err := d.do(cuEventSynchronize, uintptr(e)); err != nil {
			return 0, err
		}
	}
	var ms float32
	if err := d.do(cuEventElapsedTime, uintptr(unsafe.Pointer(&ms)), uintptr(from), uintptr(to)); err != nil {
		return 0, err
	}
	return time.Duration(float64(ms) * float64(time.Millisecond)), nil
}
