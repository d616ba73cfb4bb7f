//go:build gorgonia && cgo && linux

package gorgonia

/*
#cgo CFLAGS: -I/usr/local/cuda/include
#cgo LDFLAGS: -lcuda
#include <cuda.h>

#if CUDA_VERSION < 12000 || CUDA_VERSION >= 13000
#error "gorgonia.org/cu v0.9.6 builds with the cuda.h of CUDA 12: name its folder in CGO_CFLAGS=-I..."
#endif

// launch passes the parameters as they are; those of cu are 8 bytes each.
static CUresult launch(CUfunction f, unsigned blocks, unsigned threads, unsigned shared, CUstream s, void* params, size_t bytes) {
  void* extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, params, CU_LAUNCH_PARAM_BUFFER_SIZE, &bytes, CU_LAUNCH_PARAM_END};
  return cuLaunchKernel(f, blocks, 1, 1, threads, 1, 1, shared, s, NULL, extra);
}
*/
import "C"

import (
	"errors"
	"runtime"
	"strings"
	"unsafe"

	"gorgonia.org/cu"

	"wrnc/runtime/cuda/libcuda"
)

// Load returns the calls. libcuda is loaded with the program, and initialised by cu's
// init, which ends the process where that fails.
func Load() (libcuda.API, error) { return calls{}, nil }

type calls struct{}

// status is the error of a call made here.
func status(call string, code C.CUresult) error {
	if code == C.CUDA_SUCCESS {
		return nil
	}
	var name, text *C.char // NULL where libcuda does not know the code
	C.cuGetErrorName(code, &name)
	C.cuGetErrorString(code, &text)
	return libcuda.NewError(call, int(code), C.GoString(name), C.GoString(text))
}

// passed is the error of a call made by cu.
func passed(call string, err error) error {
	if err == nil {
		return nil
	}
	return status(call, code(cu.Success, err))
}

// code is the code in an error of cu's. The name of the error's type is not exported, but
// those of its values are.
func code[E interface {
	~int
	error
}](_ E, err error) C.CUresult {
	var e E
	if errors.As(err, &e) {
		return C.CUresult(e)
	}
	return C.CUDA_ERROR_UNKNOWN
}

// cu has each handle as a struct around it, whose field is not exported.
var (
	_ [unsafe.Sizeof(uintptr(0))]byte = [unsafe.Sizeof(cu.CUContext{})]byte{}
	_ [unsafe.Sizeof(uintptr(0))]byte = [unsafe.Sizeof(cu.Stream{})]byte{}
	_ [unsafe.Sizeof(uintptr(0))]byte = [unsafe.Sizeof(cu.Event{})]byte{}
	_ [unsafe.Sizeof(uintptr(0))]byte = [unsafe.Sizeof(cu.Module{})]byte{}
	_ [unsafe.Sizeof(uintptr(0))]byte = [unsafe.Sizeof(cu.Function{})]byte{}
	_ [unsafe.Sizeof(uintptr(0))]byte = [unsafe.Sizeof(cu.Graph{})]byte{}
	_ [unsafe.Sizeof(uintptr(0))]byte = [unsafe.Sizeof(cu.ExecGraph{})]byte{}
)

// as is a handle as another type, of the same size.
func as[To, From any](handle From) To { return *(*To)(unsafe.Pointer(&handle)) }

func (calls) Init() error { return status("cuInit", C.cuInit(0)) }

// DriverGetVersion is not by cu.Version, which keeps its error to itself.
func (calls) DriverGetVersion() (int, error) {
	var n C.int
	err := status("cuDriverGetVersion", C.cuDriverGetVersion(&n))
	return int(n), err
}

func (calls) DeviceGetCount() (int, error) {
	n, err := cu.NumDevices()
	return n, passed("cuDeviceGetCount", err)
}

func (calls) DeviceGet(ordinal int) (libcuda.Device, error) {
	d, err := cu.GetDevice(ordinal)
	return libcuda.Device(d), passed("cuDeviceGet", err)
}

func (calls) DeviceGetName(d libcuda.Device) (string, error) {
	name, err := cu.Device(d).Name()
	return name, passed("cuDeviceGetName", err)
}

func (calls) DeviceTotalMem(d libcuda.Device) (int, error) {
	n, err := cu.Device(d).TotalMem()
	return int(n), passed("cuDeviceTotalMem_v2", err)
}

func (calls) DeviceGetAttribute(d libcuda.Device, a libcuda.Attribute) (int, error) {
	n, err := cu.Device(d).Attribute(cu.DeviceAttribute(a))
	return n, passed("cuDeviceGetAttribute", err)
}

func (calls) DevicePrimaryCtxRetain(d libcuda.Device) (libcuda.Context, error) {
	c, err := cu.Device(d).RetainPrimaryCtx()
	return as[libcuda.Context](c), passed("cuDevicePrimaryCtxRetain", err)
}

func (calls) DevicePrimaryCtxRelease(d libcuda.Device) error {
	return passed("cuDevicePrimaryCtxRelease_v2", cu.Device(d).ReleasePrimaryCtx())
}

func (calls) CtxSetCurrent(c libcuda.Context) error {
	return passed("cuCtxSetCurrent", cu.SetCurrentContext(as[cu.CUContext](c)))
}

func (calls) StreamCreate() (libcuda.Stream, error) {
	s, err := cu.MakeStream(cu.NonBlocking)
	return as[libcuda.Stream](s), passed("cuStreamCreate", err)
}

func (calls) StreamDestroy(s libcuda.Stream) error {
	stream := as[cu.Stream](s)
	return passed("cuStreamDestroy_v2", stream.Destroy())
}

func (calls) StreamSynchronize(s libcuda.Stream) error {
	return passed("cuStreamSynchronize", as[cu.Stream](s).Synchronize())
}

func (calls) StreamWaitEvent(s libcuda.Stream, e libcuda.Event) error {
	return passed("cuStreamWaitEvent", as[cu.Stream](s).Wait(as[cu.Event](e), 0))
}

func (calls) EventCreate(timing bool) (libcuda.Event, error) {
	flags := cu.DisableTiming
	if timing {
		flags = cu.DefaultEvent
	}
	e, err := cu.MakeEvent(flags)
	return as[libcuda.Event](e), passed("cuEventCreate", err)
}

func (calls) EventDestroy(e libcuda.Event) error {
	event := as[cu.Event](e)
	return passed("cuEventDestroy_v2", cu.DestroyEvent(&event))
}

func (calls) EventRecord(e libcuda.Event, s libcuda.Stream) error {
	return passed("cuEventRecord", as[cu.Event](e).Record(as[cu.Stream](s)))
}

func (calls) EventSynchronize(e libcuda.Event) error {
	return passed("cuEventSynchronize", as[cu.Event](e).Synchronize())
}

func (calls) EventElapsedTime(from, to libcuda.Event) (float32, error) {
	ms, err := as[cu.Event](from).Elapsed(as[cu.Event](to))
	return float32(ms), passed("cuEventElapsedTime", err)
}

func (calls) MemGetInfo() (free, total int, err error) {
	f, t, err := cu.MemInfo()
	return int(f), int(t), passed("cuMemGetInfo_v2", err)
}

func (calls) MemAlloc(bytes int) (libcuda.Memory, error) {
	m, err := cu.MemAlloc(int64(bytes))
	return libcuda.Memory(m), passed("cuMemAlloc_v2", err)
}

func (calls) MemFree(m libcuda.Memory) error {
	return passed("cuMemFree_v2", cu.MemFree(cu.DevicePtr(m)))
}

func (calls) MemHostAlloc(bytes int) (p unsafe.Pointer, err error) {
	err = status("cuMemHostAlloc", C.cuMemHostAlloc(&p, C.size_t(bytes), 0))
	return p, err
}

func (calls) MemFreeHost(p unsafe.Pointer) error {
	return passed("cuMemFreeHost", cu.MemFreeHost(p))
}

func (calls) MemcpyHtoDAsync(dst libcuda.Memory, src unsafe.Pointer, bytes int, s libcuda.Stream) error {
	return passed("cuMemcpyHtoDAsync_v2", cu.MemcpyHtoDAsync(cu.DevicePtr(dst), src, int64(bytes), as[cu.Stream](s)))
}

func (calls) MemcpyDtoHAsync(dst unsafe.Pointer, src libcuda.Memory, bytes int, s libcuda.Stream) error {
	return passed("cuMemcpyDtoHAsync_v2", cu.MemcpyDtoHAsync(dst, cu.DevicePtr(src), int64(bytes), as[cu.Stream](s)))
}

func (calls) MemcpyDtoDAsync(dst, src libcuda.Memory, bytes int, s libcuda.Stream) error {
	return passed("cuMemcpyDtoDAsync_v2", cu.MemcpyDtoDAsync(cu.DevicePtr(dst), cu.DevicePtr(src), int64(bytes), as[cu.Stream](s)))
}

func (calls) MemsetD8Async(dst libcuda.Memory, value byte, bytes int, s libcuda.Stream) error {
	return passed("cuMemsetD8Async", cu.MemsetD8Async(cu.DevicePtr(dst), value, int64(bytes), as[cu.Stream](s)))
}

func (calls) ModuleLoadDataEx(image []byte) (libcuda.Module, string, error) {
	var pins runtime.Pinner
	defer pins.Unpin()
	buffer := make([]byte, libcuda.LogBytes)
	pins.Pin(&buffer[0]) // cu hands libcuda its address as a number
	m, err := cu.LoadDataEx(string(image), &cu.JITErrorLogBuffer{Buffer: buffer})
	log, _, _ := strings.Cut(string(buffer), "\x00")
	return as[libcuda.Module](m), log, passed("cuModuleLoadDataEx", err)
}

func (calls) ModuleUnload(m libcuda.Module) error {
	return passed("cuModuleUnload", as[cu.Module](m).Unload())
}

func (calls) ModuleGetFunction(m libcuda.Module, name string) (libcuda.Function, error) {
	f, err := as[cu.Module](m).Function(name)
	return as[libcuda.Function](f), passed("cuModuleGetFunction", err)
}

func (calls) FuncSetAttribute(f libcuda.Function, shared int) error {
	return status("cuFuncSetAttribute", C.cuFuncSetAttribute(as[C.CUfunction](f), C.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, C.int(shared)))
}

func (calls) LaunchKernel(f libcuda.Function, blocks, threads, shared int, s libcuda.Stream, params unsafe.Pointer, bytes int) error {
	return status("cuLaunchKernel", C.launch(as[C.CUfunction](f), C.uint(blocks), C.uint(threads), C.uint(shared), as[C.CUstream](s), params, C.size_t(bytes)))
}

func (calls) StreamBeginCapture(s libcuda.Stream) error {
	return status("cuStreamBeginCapture_v2", C.cuStreamBeginCapture(as[C.CUstream](s), C.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL))
}

func (calls) StreamEndCapture(s libcuda.Stream) (libcuda.Graph, error) {
	var g C.CUgraph
	err := status("cuStreamEndCapture", C.cuStreamEndCapture(as[C.CUstream](s), &g))
	return as[libcuda.Graph](g), err
}

func (calls) GraphInstantiate(g libcuda.Graph) (libcuda.GraphExec, error) {
	var e C.CUgraphExec
	err := status("cuGraphInstantiateWithFlags", C.cuGraphInstantiateWithFlags(&e, as[C.CUgraph](g), 0))
	return as[libcuda.GraphExec](e), err
}

func (calls) GraphDestroy(g libcuda.Graph) error {
	return passed("cuGraphDestroy", as[cu.Graph](g).Destroy())
}

func (calls) GraphLaunch(e libcuda.GraphExec, s libcuda.Stream) error {
	return status("cuGraphLaunch", C.cuGraphLaunch(as[C.CUgraphExec](e), as[C.CUstream](s)))
}

func (calls) GraphExecDestroy(e libcuda.GraphExec) error {
	return passed("cuGraphExecDestroy", as[cu.ExecGraph](e).Destroy())
}
