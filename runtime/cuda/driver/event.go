package driver

import (
	"fmt"
	"time"
	"unsafe"
)

// Event is a moment in the order of work, for measuring times on the device.
type Event uintptr

// NewEvent makes an event.
func (d *Device) NewEvent() (Event, error) {
	defer d.leave()
	if err := d.enter(); err != nil {
		return 0, err
	}
	var e uintptr
	if err := d.do(cuEventCreate, uintptr(unsafe.Pointer(&e)), eventDefault); err != nil {
		return 0, err
	}
	d.events[Event(e)] = true
	return Event(e), nil
}

// FreeEvent gives back an event.
func (d *Device) FreeEvent(e Event) error { return d.onEvent(e, true, cuEventDestroy, uintptr(e)) }

// Record makes the event the moment at which all that was asked for so far is done.
func (d *Device) Record(e Event) error {
	return d.onEvent(e, false, cuEventRecord, uintptr(e), d.stream)
}

func (d *Device) onEvent(e Event, end bool, f function, args ...uintptr) error {
	defer d.leave()
	if err := d.enter(); err != nil {
		return err
	}
	if !d.events[e] {
		return fmt.Errorf("there is no event %#x", uintptr(e))
	}
	if err := d.do(f, args...); err != nil {
		return err
	}
	if end {
		delete(d.events, e)
	}
	return nil
}

// Elapsed waits for two recorded events and returns the time between them.
func (d *Device) Elapsed(from, to Event) (time.Duration, error) {
	defer d.leave()
	if err := d.enter(); err != nil {
		return 0, err
	}
	for _, e := range []Event{from, to} {
		if !d.events[e] {
			return 0, fmt.Errorf("there is no event %#x", uintptr(e))
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
