// Package driver is a GPU as a [cuda.Driver], over NVIDIA's libcuda, which it loads
// at run time: a program with this package needs no cgo and starts where there is no
// driver.
//
//	Open    libcuda ─ device ─ context ─ stream, staging
//	Write   source ─ copy ─> staging (pinned, two halves) ─ stream ─> device
//	Launch  stream, in order with all that came before
//	Load    jit ─> image ─> module, function
//
// A Device may move between goroutines: for the time of a call its thread is locked
// and the context made current on it.
package driver

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"unsafe"

	"wrnc/runtime/cuda"
	"wrnc/runtime/cuda/jit"
)

// oldestDriver is the CUDA of the oldest NVRTC that wrnc loads.
const oldestDriver = 12000

// oldestMajor is the compute capability from which on kernels run: sm_80.
const oldestMajor = 8

// Options choose a device.
type Options struct {
	Device int

	// Library is the path of libcuda; where empty, $WRNC_LIBCUDA or the system's.
	Library string

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
	l       *library
	o       Options
	info    Info
	ordinal int32
	context uintptr
	stream  uintptr
	staging staging
	jit     *jit.JIT

	buffers map[cuda.Ptr]int // bytes of each allocation
	kernels map[cuda.Function]*kernel
	last    cuda.Function
	graphs  map[cuda.Graph]graph
	events  map[cuda.Event]bool
	launch  launch

	lost   error // what the device said
	closed bool
}

var _ cuda.Driver = (*Device)(nil)

// Open finds a GPU, or says in a sentence why there is none and what to do.
func Open(o Options) (*Device, error) {
	l, err := find(o)
	if err != nil {
		return nil, err
	}
	d := &Device{l: l, o: o, buffers: map[cuda.Ptr]int{}, kernels: map[cuda.Function]*kernel{}, graphs: map[cuda.Graph]graph{}, events: map[cuda.Event]bool{}}
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

// find loads libcuda.
func find(o Options) (*library, error) {
	paths := []string{"libcuda.so.1", "/usr/lib/wsl/lib/libcuda.so.1"}
	if named := os.Getenv("WRNC_LIBCUDA"); named != "" {
		paths = []string{named}
	}
	if o.Library != "" {
		paths = []string{o.Library}
	}
	var first error
	for _, path := range paths {
		l, err := open(path)
		if err == nil {
			return l, nil
		}
		var lack *lackError
		if errors.As(err, &lack) {
			return nil, err
		}
		if first == nil {
			first = err
		}
	}
	err := fmt.Errorf("no driver of an NVIDIA GPU was found, install one or use --target cpu: %w", first)
	if strings.Contains(first.Error(), "No such file") { // else there is one, which cannot be loaded
		err = absent{err}
	}
	return nil, err
}

// identify asks for what needs no context, and refuses what kernels do not run on.
func (d *Device) identify() error {
	if err := d.l.do(cuInit, 0); err != nil {
		var e *Error
		none := errors.As(err, &e) && e.Code == codeNoDevice
		if err = fmt.Errorf("no GPU: %w", err); none {
			err = absent{err}
		}
		return err
	}
	var version, count, major, minor, processors, shared int32
	if err := d.l.do(cuDriverGetVersion, uintptr(unsafe.Pointer(&version))); err != nil {
		return err
	}
	d.info.Driver = int(version)
	if d.info.Driver < oldestDriver {
		return fmt.Errorf("the driver knows CUDA %s, and kernels are compiled by CUDA %s or newer: update NVIDIA's driver",
			cudaVersion(d.info.Driver), cudaVersion(oldestDriver))
	}
	if err := d.l.do(cuDeviceGetCount, uintptr(unsafe.Pointer(&count))); err != nil {
		return err
	}
	d.info.Devices = int(count)
	switch {
	case count < 1:
		return absent{fmt.Errorf("the driver finds no GPU: %s", hints[codeNoDevice])}
	case d.o.Device < 0 || d.o.Device >= int(count):
		return fmt.Errorf("there is no GPU %d: the driver finds %d, numbered from 0", d.o.Device, count)
	}
	if err := d.l.do(cuDeviceGet, uintptr(unsafe.Pointer(&d.ordinal)), uintptr(d.o.Device)); err != nil {
		return err
	}
	var name [256]byte
	if err := d.l.do(cuDeviceGetName, uintptr(unsafe.Pointer(&name[0])), uintptr(len(name)), uintptr(d.ordinal)); err != nil {
		return err
	}
	d.info.Name, _, _ = strings.Cut(string(name[:]), "\x00")
	var memory uintptr
	if err := d.l.do(cuDeviceTotalMem, uintptr(unsafe.Pointer(&memory)), uintptr(d.ordinal)); err != nil {
		return err
	}
	for _, a := range []struct {
		number uintptr
		value  *int32
	}{{attributeMajor, &major}, {attributeMinor, &minor}, {attributeProcessors, &processors}, {attributeShared, &shared}} {
		if err := d.l.do(cuDeviceGetAttribute, uintptr(unsafe.Pointer(a.value)), a.number, uintptr(d.ordinal)); err != nil {
			return err
		}
	}
	d.info.Memory, d.info.Major, d.info.Minor, d.info.Processors, d.info.Shared = int(memory), int(major), int(minor), int(processors), int(shared)
	if d.info.Major < oldestMajor {
		return absent{fmt.Errorf("%s is an sm_%d%d, and kernels need an sm_80 or newer: use --target cpu", d.info.Name, major, minor)}
	}
	return nil
}

// start takes what every use of the device needs.
func (d *Device) start() error {
	if err := d.l.do(cuDevicePrimaryCtxRetain, uintptr(unsafe.Pointer(&d.context)), uintptr(d.ordinal)); err != nil {
		d.context = 0
		return d.explainContext(err)
	}
	if err := d.l.do(cuCtxSetCurrent, d.context); err != nil {
		return err
	}
	if err := d.l.do(cuStreamCreate, uintptr(unsafe.Pointer(&d.stream)), streamNonBlocking); err != nil {
		d.stream = 0
		return d.explainContext(err)
	}
	return d.staging.allocate(d)
}

// explainContext adds to an error for want of memory how much there would be.
func (d *Device) explainContext(err error) error {
	var e *Error
	if errors.As(err, &e) && e.Code == codeOutOfMemory {
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
	return d.do(cuCtxSetCurrent, d.context)
}

func (d *Device) leave() { runtime.UnlockOSThread() }

// do calls a function of the library between enter and leave. An error of the
// device is kept.
//
//go:uintptrescapes
func (d *Device) do(f function, args ...uintptr) error {
	return d.failed(d.l.do(f, args...))
}

// failed keeps an error after which the device is of no use.
func (d *Device) failed(err error) error {
	var e *Error
	if !errors.As(err, &e) || !sticky(e.Code) {
		return err
	}
	d.lost = err
	if d.launch.count > 0 {
		d.lost = fmt.Errorf("one of %d launches failed, the last of which was %s: %w", d.launch.count, d.launch.last, err)
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
	if err := d.do(cuStreamSynchronize, d.stream); err != nil {
		return err
	}
	d.idle()
	return nil
}

// idle notes that the device has done all that was asked for.
func (d *Device) idle() {
	d.launch.count = 0
	d.staging.idle()
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
		_ = d.l.do(cuCtxSetCurrent, d.context)
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
	try := func(f function, args ...uintptr) {
		if err := d.l.do(f, args...); err != nil && first == nil {
			first = err
		}
	}
	if d.stream != 0 {
		try(cuStreamSynchronize, d.stream)
	}
	for g := range d.graphs {
		try(cuGraphExecDestroy, uintptr(g))
	}
	for _, k := range d.kernels {
		try(cuModuleUnload, k.module)
	}
	for p := range d.buffers {
		try(cuMemFree, uintptr(p))
	}
	for e := range d.events {
		try(cuEventDestroy, uintptr(e))
	}
	d.staging.release(try)
	if d.stream != 0 {
		try(cuStreamDestroy, d.stream)
	}
	if d.context != 0 {
		try(cuCtxSetCurrent, 0)
		try(cuDevicePrimaryCtxRelease, uintptr(d.ordinal))
	}
	return first
}

// cudaVersion is 13.1 for 13010.
func cudaVersion(n int) string { return fmt.Sprintf("%d.%d", n/1000, n%1000/10) }
