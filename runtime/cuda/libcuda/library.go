package libcuda

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"wrnc/runtime/cuda/dlopen"
)

// function is one of libcuda's, by which a call names it.
type function int

const (
	cuInit function = iota
	cuDriverGetVersion
	cuGetErrorName
	cuGetErrorString
	cuDeviceGetCount
	cuDeviceGet
	cuDeviceGetName
	cuDeviceGetAttribute
	cuDeviceTotalMem
	cuDevicePrimaryCtxRetain
	cuDevicePrimaryCtxRelease
	cuCtxSetCurrent
	cuStreamCreate
	cuStreamDestroy
	cuStreamSynchronize
	cuStreamWaitEvent
	cuEventCreate
	cuEventDestroy
	cuEventRecord
	cuEventSynchronize
	cuEventElapsedTime
	cuMemGetInfo
	cuMemAlloc
	cuMemFree
	cuMemHostAlloc
	cuMemFreeHost
	cuMemcpyHtoDAsync
	cuMemcpyDtoHAsync
	cuMemcpyDtoDAsync
	cuMemsetD8Async
	cuModuleLoadDataEx
	cuModuleUnload
	cuModuleGetFunction
	cuFuncSetAttribute
	cuLaunchKernel
	cuStreamBeginCapture
	cuStreamEndCapture
	cuGraphInstantiate
	cuGraphLaunch
	cuGraphDestroy
	cuGraphExecDestroy
	functions
)

// names are the functions' names in the library. _v2 is what cuda.h means by the
// name without it.
var names = [functions]string{
	cuInit:                    "cuInit",
	cuDriverGetVersion:        "cuDriverGetVersion",
	cuGetErrorName:            "cuGetErrorName",
	cuGetErrorString:          "cuGetErrorString",
	cuDeviceGetCount:          "cuDeviceGetCount",
	cuDeviceGet:               "cuDeviceGet",
	cuDeviceGetName:           "cuDeviceGetName",
	cuDeviceGetAttribute:      "cuDeviceGetAttribute",
	cuDeviceTotalMem:          "cuDeviceTotalMem_v2",
	cuDevicePrimaryCtxRetain:  "cuDevicePrimaryCtxRetain",
	cuDevicePrimaryCtxRelease: "cuDevicePrimaryCtxRelease_v2",
	cuCtxSetCurrent:           "cuCtxSetCurrent",
	cuStreamCreate:            "cuStreamCreate",
	cuStreamDestroy:           "cuStreamDestroy_v2",
	cuStreamSynchronize:       "cuStreamSynchronize",
	cuStreamWaitEvent:         "cuStreamWaitEvent",
	cuEventCreate:             "cuEventCreate",
	cuEventDestroy:            "cuEventDestroy_v2",
	cuEventRecord:             "cuEventRecord",
	cuEventSynchronize:        "cuEventSynchronize",
	cuEventElapsedTime:        "cuEventElapsedTime",
	cuMemGetInfo:              "cuMemGetInfo_v2",
	cuMemAlloc:                "cuMemAlloc_v2",
	cuMemFree:                 "cuMemFree_v2",
	cuMemHostAlloc:            "cuMemHostAlloc",
	cuMemFreeHost:             "cuMemFreeHost",
	cuMemcpyHtoDAsync:         "cuMemcpyHtoDAsync_v2",
	cuMemcpyDtoHAsync:         "cuMemcpyDtoHAsync_v2",
	cuMemcpyDtoDAsync:         "cuMemcpyDtoDAsync_v2",
	cuMemsetD8Async:           "cuMemsetD8Async",
	cuModuleLoadDataEx:        "cuModuleLoadDataEx",
	cuModuleUnload:            "cuModuleUnload",
	cuModuleGetFunction:       "cuModuleGetFunction",
	cuFuncSetAttribute:        "cuFuncSetAttribute",
	cuLaunchKernel:            "cuLaunchKernel",
	cuStreamBeginCapture:      "cuStreamBeginCapture_v2",
	cuStreamEndCapture:        "cuStreamEndCapture",
	cuGraphInstantiate:        "cuGraphInstantiateWithFlags",
	cuGraphLaunch:             "cuGraphLaunch",
	cuGraphDestroy:            "cuGraphDestroy",
	cuGraphExecDestroy:        "cuGraphExecDestroy",
}

// The constants of cuda.h that only the library's own calls need.
const (
	streamNonBlocking     = 1 // CU_STREAM_NON_BLOCKING
	eventDefault          = 0
	eventDisableTiming    = 2 // CU_EVENT_DISABLE_TIMING
	eventWaitDefault      = 0
	hostAllocDefault      = 0
	jitErrorLog           = 5 // CU_JIT_ERROR_LOG_BUFFER
	jitErrorLogBytes      = 6 // CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES
	functionDynamicShared = 8 // CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
	launchParams          = 1 // CU_LAUNCH_PARAM_BUFFER_POINTER
	launchParamsSize      = 2 // CU_LAUNCH_PARAM_BUFFER_SIZE
	launchEnd             = 0 // CU_LAUNCH_PARAM_END
	captureThread         = 1 // CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: other threads do as they please
)

// Load loads libcuda: $WRNC_LIBCUDA or the system's. Its error says in a sentence why
// there is none and what to do.
func Load() (API, error) {
	paths := []string{"libcuda.so.1", "/usr/lib/wsl/lib/libcuda.so.1"}
	if named := os.Getenv("WRNC_LIBCUDA"); named != "" {
		paths = []string{named}
	}
	return loadFirst(paths)
}

// loadFirst loads the first of the paths that can be loaded. Of the errors that none can,
// it tells that of a library which is there.
func loadFirst(paths []string) (API, error) {
	var told error
	for _, path := range paths {
		l, err := open(path)
		if err == nil {
			return l, nil
		}
		var lack *lackError
		if errors.As(err, &lack) {
			return nil, err
		}
		if told == nil || dlopen.Absent(told) && !dlopen.Absent(err) {
			told = err
		}
	}
	if !dlopen.Absent(told) {
		return nil, fmt.Errorf("NVIDIA's driver cannot be loaded, install it anew or use --target cpu: %w", told)
	}
	return nil, Absent(fmt.Errorf("no driver of an NVIDIA GPU was found, install one or use --target cpu: %w", told))
}

// do calls a function and checks its code.
//
//go:uintptrescapes
func (l *library) do(f function, args ...uintptr) error {
	code := l.call(f, args...)
	if code == 0 {
		return nil
	}
	return NewError(names[f], code, l.words(cuGetErrorName, code), l.words(cuGetErrorString, code))
}

// words are what libcuda has to say about a code.
func (l *library) words(f function, code int) string {
	var text unsafe.Pointer
	if l.call(f, uintptr(code), uintptr(unsafe.Pointer(&text))) != 0 || text == nil {
		return ""
	}
	n := 0
	for *(*byte)(unsafe.Add(text, n)) != 0 {
		n++
	}
	return string(unsafe.Slice((*byte)(text), n))
}
