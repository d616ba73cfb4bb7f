// Package libcuda is what wrnc asks of NVIDIA's driver, call by call. [Load] makes the
// calls without cgo, in a library that it loads at run time; gorgonia makes the same
// ones by another package.
package libcuda

import (
	"fmt"
	"unsafe"
)

// API is libcuda. A method is the function of its name, with the arguments that wrnc
// varies; its error is an [Error]. With an error the other results mean nothing.
//
// An API is for one goroutine at a time. All but the first group need a context, which
// is current on the thread that CtxSetCurrent was called on.
type API interface {
	Init() error
	DriverGetVersion() (int, error) // 13010 for 13.1
	DeviceGetCount() (int, error)
	DeviceGet(ordinal int) (Device, error)
	DeviceGetName(d Device) (string, error)
	DeviceTotalMem(d Device) (bytes int, err error)
	DeviceGetAttribute(d Device, a Attribute) (int, error)
	DevicePrimaryCtxRetain(d Device) (Context, error)
	DevicePrimaryCtxRelease(d Device) error
	CtxSetCurrent(c Context) error

	StreamCreate() (Stream, error) // which does not wait for the default stream
	StreamDestroy(s Stream) error
	StreamSynchronize(s Stream) error
	StreamWaitEvent(s Stream, e Event) error // with all that it is asked for later, until the event as it was recorded last

	EventCreate(timing bool) (Event, error)
	EventDestroy(e Event) error
	EventRecord(e Event, s Stream) error
	EventSynchronize(e Event) error
	EventElapsedTime(from, to Event) (ms float32, err error)

	MemGetInfo() (free, total int, err error)
	MemAlloc(bytes int) (Memory, error)
	MemFree(m Memory) error
	MemHostAlloc(bytes int) (unsafe.Pointer, error)
	MemFreeHost(p unsafe.Pointer) error
	MemcpyHtoDAsync(dst Memory, src unsafe.Pointer, bytes int, s Stream) error // src is MemHostAlloc's
	MemcpyDtoHAsync(dst unsafe.Pointer, src Memory, bytes int, s Stream) error // dst is MemHostAlloc's
	MemcpyDtoDAsync(dst, src Memory, bytes int, s Stream) error
	MemsetD8Async(dst Memory, value byte, bytes int, s Stream) error

	// ModuleLoadDataEx takes a cubin, or PTX that ends with a 0. Where it fails, log is
	// what the driver's own compiler says.
	ModuleLoadDataEx(image []byte) (m Module, log string, err error)
	ModuleUnload(m Module) error
	ModuleGetFunction(m Module, name string) (Function, error)

	// FuncSetAttribute lets a function have bytes of dynamic shared memory.
	FuncSetAttribute(f Function, shared int) error

	// LaunchKernel takes the parameters as their bytes, which begin at a multiple of 16.
	LaunchKernel(f Function, blocks, threads, shared int, s Stream, params unsafe.Pointer, bytes int) error

	StreamBeginCapture(s Stream) error // of what this thread does
	StreamEndCapture(s Stream) (Graph, error)
	GraphInstantiate(g Graph) (GraphExec, error)
	GraphDestroy(g Graph) error
	GraphLaunch(e GraphExec, s Stream) error
	GraphExecDestroy(e GraphExec) error
}

// Handles of libcuda's. 0 is none, but of devices.
type (
	Device    int32
	Context   uintptr
	Stream    uintptr
	Event     uintptr
	Memory    uint64
	Module    uintptr
	Function  uintptr
	Graph     uintptr
	GraphExec uintptr
)

// Attribute is what a device can be asked for.
type Attribute int32

const (
	Processors Attribute = 16 // CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT
	Major      Attribute = 75 // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR
	Minor      Attribute = 76
	Shared     Attribute = 97 // CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN
)

// OldestDriver is the CUDA of the oldest NVRTC that wrnc loads.
const OldestDriver = 12000

// LogBytes are read of what the driver's compiler says.
const LogBytes = 8 << 10

// Version is 13.1 for 13010.
func Version(n int) string { return fmt.Sprintf("%d.%d", n/1000, n%1000/10) }
