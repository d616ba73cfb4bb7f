// Package driver is a GPU as a [cuda.Driver], over the calls of NVIDIA's libcuda.
//
//	Open    libcuda ─ device ─ context ─ stream, staging
//	Write   source ─ copy ─> staging (pinned, two halves) ─ stream ─> device
//	Upload  the same by a stream and a staging of their own
//	Land    stream, which waits for the uploads, as later uploads do for it
//	Launch  stream, in order with all that came before
//	Load    jit ─> image ─> module, function
//
// A Device may move between goroutines: for the time of a call its thread is locked
// and the context made current on it.
package driver

import (
	"errors"
	"fmt"
	"runtime"

	"wrnc/runtime/cuda"
	"wrnc/runtime/cuda/jit"
	"wrnc/runtime/cuda/libcuda"
)

// oldestMajor is the compute capability from which on kernels run: sm_80.
const oldestMajor = 8

// Options choose a device.
type Options struct {
	Device int

	// JIT returns what compiles texts. It is called by the first Load: a device
	// without kernels needs no compiler.
	JIT func() (*jit.JIT, error)
}

// Info is what a device says of itself.
type Info struct {
	Name         string
	Major, Minor int // of the compute capability
	Memory       int // bytes
	Processors   int // multiprocessors
	Shared       int // bytes of shared memory that a block can have
	Driver       int // the newest CUDA that the driver knows: 13010 for 13.1
	Devices      int // GPUs that the driver finds
}

// Device is an open device. After an error of the device every method returns it
// again, and all that is left to do is Close.
type Device struct {
	api     libcuda.API
	o       Options
	info    Info
	id      libcuda.Device
	context libcuda.Context
	work    lane // all but uploads
	uploads lane
	jit     *jit.JIT

	buffers  map[cuda.Ptr]int // bytes of each allocation
	kernels  map[cuda.Function]*kernel
	last     cuda.Function
	graphs   map[cuda.Graph]graph
	events   map[cuda.Event]bool
	params   *parameters // of a launch; apart, as C may not see memory that points to Go's
	launched launched

	lost   error // what the device said
	closed bool
}

var _ cuda.Driver = (*Device)(nil)

// Open takes a GPU into use, or says in a sentence why there is none and what to do.
func Open(api libcuda.API, o Options) (*Device, error) {
	d := &Device{api: api, o: o, buffers: map[cuda.Ptr]int{}, kernels: map[cuda.Function]*kernel{}, graphs: map[cuda.Graph]graph{}, events: map[cuda.Event]bool{}, params: new(parameters)}
	if err := d.identify(); err != nil {
		return nil, err
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := d.start(); err != nil {
		d.release()
		return nil, fmt.Errorf("%s cannot be used: %w", d.info.Name, err)
	}
	return d, nil
}

// identify asks for what needs no context, and refuses what kernels do not run on.
func (d *Device) identify() error {
	if err := d.api.Init(); err != nil {
		return fmt.Errorf("no GPU: %w", err)
	}
	var err error
	if d.info.Driver, err = d.api.DriverGetVersion(); err != nil {
		return err
	}
	if d.info.Driver < libcuda.OldestDriver {
		return fmt.Errorf("the driver knows CUDA %s, and kernels are compiled by CUDA %s or newer: update NVIDIA's driver",
			libcuda.Version(d.info.Driver), libcuda.Version(libcuda.OldestDriver))
	}
	count, err := d.api.DeviceGetCount()
	d.info.Devices = count
	switch {
	case err != nil:
		return err
	case count < 1:
		return libcuda.Absent(fmt.Errorf("the driver finds no GPU: %s", libcuda.Hint(libcuda.CodeNoDevice)))
	case d.o.Device < 0 || d.o.Device >= count:
		return fmt.Errorf("there is no GPU %d: the driver finds %d, numbered from 0", d.o.Device, count)
	}
	if d.id, err = d.api.DeviceGet(d.o.Device); err != nil {
		return err
	}
	if d.info.Name, err = d.api.DeviceGetName(d.id); err != nil {
		return err
	}
	if d.info.Memory, err = d.api.DeviceTotalMem(d.id); err != nil {
		return err
	}
	for _, a := range []struct {
		attribute libcuda.Attribute
		value     *int
	}{{libcuda.Major, &d.info.Major}, {libcuda.Minor, &d.info.Minor}, {libcuda.Processors, &d.info.Processors}, {libcuda.Shared, &d.info.Shared}} {
		if *a.value, err = d.api.DeviceGetAttribute(d.id, a.attribute); err != nil {
			return err
		}
	}
	if d.info.Major < oldestMajor {
		return libcuda.Absent(fmt.Errorf("%s is an sm_%d%d, and kernels need an sm_80 or newer: use --target cpu", d.info.Name, d.info.Major, d.info.Minor))
	}
	return nil
}

// start takes what every use of the device needs.
func (d *Device) start() error {
	context, err := d.api.DevicePrimaryCtxRetain(d.id)
	if err != nil {
		return d.explainContext(err)
	}
	d.context = context
	if err := d.api.CtxSetCurrent(d.context); err != nil {
		return err
	}
	for _, l := range d.lanes() {
		if l.stream, err = d.api.StreamCreate(); err != nil {
			return d.explainContext(err)
		}
		if l.reached, err = d.api.EventCreate(false); err != nil {
			return err
		}
		if err := l.staging.allocate(d.api); err != nil {
			return err
		}
	}
	return nil
}

func (d *Device) lanes() []*lane { return []*lane{&d.work, &d.uploads} }

// explainContext adds to an error for want of memory how much there would be.
func (d *Device) explainContext(err error) error {
	var e *libcuda.Error
	if errors.As(err, &e) && e.Code == libcuda.CodeOutOfMemory {
		e.Hint = fmt.Sprintf("not even a context fits in what other processes leave of its %d bytes; nvidia-smi lists them", d.info.Memory)
	}
	return err
}

// Info says what the device is.
func (d *Device) Info() Info { return d.info }

// enter makes the context current on the goroutine's thread, which stays its own
// until leave.
func (d *Device) enter() error {
	runtime.LockOSThread()
	switch {
	case d.closed:
		return fmt.Errorf("%s is closed", d.info.Name)
	case d.lost != nil:
		return d.lost
	}
	return d.failed(d.api.CtxSetCurrent(d.context))
}

func (d *Device) leave() { runtime.UnlockOSThread() }

// failed passes on the error of a call between enter and leave, and keeps one after
// which the device is of no use.
func (d *Device) failed(err error) error {
	var e *libcuda.Error
	if !errors.As(err, &e) || !libcuda.Sticky(e.Code) {
		return err
	}
	d.lost = err
	if d.launched.count > 0 {
		d.lost = fmt.Errorf("one of %d launches failed, the last of which was %s: %w", d.launched.count, d.launched.last, err)
	}
	return d.lost
}

// Sync is cuda.Driver's.
func (d *Device) Sync() error {
	defer d.leave()
	if err := d.enter(); err != nil {
		return err
	}
	return d.sync()
}

func (d *Device) sync() error {
	for _, l := range d.lanes() {
		if err := d.failed(d.api.StreamSynchronize(l.stream)); err != nil {
			return err
		}
		l.staging.idle()
	}
	d.launched.count = 0
	return nil
}

// Close is cuda.Driver's. What was not given back is given back now. Where the
// device is known to have failed, that is no error any more.
func (d *Device) Close() error {
	if d.closed {
		return nil
	}
	known := d.lost != nil
	defer d.leave()
	err := d.enter()
	if err != nil {
		_ = d.api.CtxSetCurrent(d.context)
	}
	late := d.release()
	d.closed = true
	switch {
	case known:
		return nil
	case err != nil:
		return err
	}
	return late
}

// release gives back all there is, and returns the first thing that went wrong.
func (d *Device) release() error {
	var first error
	try := func(err error) {
		if first == nil {
			first = err
		}
	}
	for _, l := range d.lanes() {
		if l.stream != 0 {
			try(d.api.StreamSynchronize(l.stream))
		}
	}
	for g := range d.graphs {
		try(d.api.GraphExecDestroy(libcuda.GraphExec(g)))
	}
	for _, k := range d.kernels {
		try(d.api.ModuleUnload(k.module))
	}
	for p := range d.buffers {
		try(d.api.MemFree(libcuda.Memory(p)))
	}
	for e := range d.events {
		try(d.api.EventDestroy(libcuda.Event(e)))
	}
	for _, l := range d.lanes() {
		l.release(d.api, try)
	}
	if d.context != 0 {
		try(d.api.CtxSetCurrent(0))
		try(d.api.DevicePrimaryCtxRelease(d.id))
	}
	return first
}
