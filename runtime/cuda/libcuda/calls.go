package libcuda

import (
	"runtime"
	"strings"
	"unsafe"
)

func (l *library) Init() error {
	return l.do(cuInit, 0)
}

func (l *library) DriverGetVersion() (int, error) {
	var n int32
	err := l.do(cuDriverGetVersion, uintptr(unsafe.Pointer(&n)))
	return int(n), err
}

func (l *library) DeviceGetCount() (int, error) {
	var n int32
	err := l.do(cuDeviceGetCount, uintptr(unsafe.Pointer(&n)))
	return int(n), err
}

func (l *library) DeviceGet(ordinal int) (d Device, err error) {
	err = l.do(cuDeviceGet, uintptr(unsafe.Pointer(&d)), uintptr(ordinal))
	return d, err
}

func (l *library) DeviceGetName(d Device) (string, error) {
	var name [256]byte
	err := l.do(cuDeviceGetName, uintptr(unsafe.Pointer(&name[0])), uintptr(len(name)), uintptr(d))
	return upToZero(name[:]), err
}

// upToZero is a C string in a buffer.
func upToZero(b []byte) string {
	s, _, _ := strings.Cut(string(b), "\x00")
	return s
}

func (l *library) DeviceTotalMem(d Device) (int, error) {
	var n uintptr
	err := l.do(cuDeviceTotalMem, uintptr(unsafe.Pointer(&n)), uintptr(d))
	return int(n), err
}

func (l *library) DeviceGetAttribute(d Device, a Attribute) (int, error) {
	var n int32
	err := l.do(cuDeviceGetAttribute, uintptr(unsafe.Pointer(&n)), uintptr(a), uintptr(d))
	return int(n), err
}

func (l *library) DevicePrimaryCtxRetain(d Device) (c Context, err error) {
	err = l.do(cuDevicePrimaryCtxRetain, uintptr(unsafe.Pointer(&c)), uintptr(d))
	return c, err
}

func (l *library) DevicePrimaryCtxRelease(d Device) error {
	return l.do(cuDevicePrimaryCtxRelease, uintptr(d))
}

func (l *library) CtxSetCurrent(c Context) error {
	return l.do(cuCtxSetCurrent, uintptr(c))
}

func (l *library) StreamCreate() (s Stream, err error) {
	err = l.do(cuStreamCreate, uintptr(unsafe.Pointer(&s)), streamNonBlocking)
	return s, err
}

func (l *library) StreamDestroy(s Stream) error {
	return l.do(cuStreamDestroy, uintptr(s))
}

func (l *library) StreamSynchronize(s Stream) error {
	return l.do(cuStreamSynchronize, uintptr(s))
}

func (l *library) StreamWaitEvent(s Stream, e Event) error {
	return l.do(cuStreamWaitEvent, uintptr(s), uintptr(e), eventWaitDefault)
}

func (l *library) EventCreate(timing bool) (e Event, err error) {
	flags := uintptr(eventDisableTiming)
	if timing {
		flags = eventDefault
	}
	err = l.do(cuEventCreate, uintptr(unsafe.Pointer(&e)), flags)
	return e, err
}

func (l *library) EventDestroy(e Event) error {
	return l.do(cuEventDestroy, uintptr(e))
}

func (l *library) EventRecord(e Event, s Stream) error {
	return l.do(cuEventRecord, uintptr(e), uintptr(s))
}

func (l *library) EventSynchronize(e Event) error {
	return l.do(cuEventSynchronize, uintptr(e))
}

func (l *library) EventElapsedTime(from, to Event) (ms float32, err error) {
	err = l.do(cuEventElapsedTime, uintptr(unsafe.Pointer(&ms)), uintptr(from), uintptr(to))
	return ms, err
}

func (l *library) MemGetInfo() (free, total int, err error) {
	var f, t uintptr
	err = l.do(cuMemGetInfo, uintptr(unsafe.Pointer(&f)), uintptr(unsafe.Pointer(&t)))
	return int(f), int(t), err
}

func (l *library) MemAlloc(bytes int) (m Memory, err error) {
	err = l.do(cuMemAlloc, uintptr(unsafe.Pointer(&m)), uintptr(bytes))
	return m, err
}

func (l *library) MemFree(m Memory) error {
	return l.do(cuMemFree, uintptr(m))
}

func (l *library) MemHostAlloc(bytes int) (p unsafe.Pointer, err error) {
	err = l.do(cuMemHostAlloc, uintptr(unsafe.Pointer(&p)), uintptr(bytes), hostAllocDefault)
	return p, err
}

func (l *library) MemFreeHost(p unsafe.Pointer) error {
	return l.do(cuMemFreeHost, uintptr(p))
}

func (l *library) MemcpyHtoDAsync(dst Memory, src unsafe.Pointer, bytes int, s Stream) error {
	return l.do(cuMemcpyHtoDAsync, uintptr(dst), uintptr(src), uintptr(bytes), uintptr(s))
}

func (l *library) MemcpyDtoHAsync(dst unsafe.Pointer, src Memory, bytes int, s Stream) error {
	return l.do(cuMemcpyDtoHAsync, uintptr(dst), uintptr(src), uintptr(bytes), uintptr(s))
}

func (l *library) MemcpyDtoDAsync(dst, src Memory, bytes int, s Stream) error {
	return l.do(cuMemcpyDtoDAsync, uintptr(dst), uintptr(src), uintptr(bytes), uintptr(s))
}

func (l *library) MemsetD8Async(dst Memory, value byte, bytes int, s Stream) error {
	return l.do(cuMemsetD8Async, uintptr(dst), uintptr(value), uintptr(bytes), uintptr(s))
}

func (l *library) ModuleLoadDataEx(image []byte) (m Module, log string, err error) {
	var pins runtime.Pinner
	defer pins.Unpin()
	buffer := make([]byte, LogBytes)
	pins.Pin(&buffer[0])
	options := [2]int32{jitErrorLog, jitErrorLogBytes}
	values := [2]uintptr{uintptr(unsafe.Pointer(&buffer[0])), uintptr(len(buffer))}
	err = l.do(cuModuleLoadDataEx, uintptr(unsafe.Pointer(&m)), uintptr(unsafe.Pointer(&image[0])), uintptr(len(options)),
		uintptr(unsafe.Pointer(&options[0])), uintptr(unsafe.Pointer(&values[0])))
	return m, upToZero(buffer), err
}

func (l *library) ModuleUnload(m Module) error {
	return l.do(cuModuleUnload, uintptr(m))
}

func (l *library) ModuleGetFunction(m Module, name string) (f Function, err error) {
	entry := append([]byte(name), 0)
	err = l.do(cuModuleGetFunction, uintptr(unsafe.Pointer(&f)), uintptr(m), uintptr(unsafe.Pointer(&entry[0])))
	return f, err
}

func (l *library) FuncSetAttribute(f Function, shared int) error {
	return l.do(cuFuncSetAttribute, uintptr(f), functionDynamicShared, uintptr(shared))
}

// launch is what a call of cuLaunchKernel points to. It is part of a library, so that a
// launch allocates nothing; Go does not move it.
type launch struct {
	bytes uintptr
	extra [5]uintptr
}

func (l *library) LaunchKernel(f Function, blocks, threads, shared int, s Stream, params unsafe.Pointer, bytes int) error {
	l.launch.bytes = uintptr(bytes)
	l.launch.extra = [5]uintptr{launchParams, uintptr(params), launchParamsSize, uintptr(unsafe.Pointer(&l.launch.bytes)), launchEnd}
	err := l.do(cuLaunchKernel, uintptr(f), uintptr(blocks), 1, 1, uintptr(threads), 1, 1, uintptr(shared), uintptr(s), 0,
		uintptr(unsafe.Pointer(&l.launch.extra)))
	runtime.KeepAlive(params)
	return err
}

func (l *library) StreamBeginCapture(s Stream) error {
	return l.do(cuStreamBeginCapture, uintptr(s), captureThread)
}

func (l *library) StreamEndCapture(s Stream) (g Graph, err error) {
	err = l.do(cuStreamEndCapture, uintptr(s), uintptr(unsafe.Pointer(&g)))
	return g, err
}

func (l *library) GraphInstantiate(g Graph) (e GraphExec, err error) {
	err = l.do(cuGraphInstantiate, uintptr(unsafe.Pointer(&e)), uintptr(g), 0)
	return e, err
}

func (l *library) GraphDestroy(g Graph) error {
	return l.do(cuGraphDestroy, uintptr(g))
}

func (l *library) GraphLaunch(e GraphExec, s Stream) error {
	return l.do(cuGraphLaunch, uintptr(e), uintptr(s))
}

func (l *library) GraphExecDestroy(e GraphExec) error {
	return l.do(cuGraphExecDestroy, uintptr(e))
}
