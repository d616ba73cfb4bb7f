package driver

import (
	"errors"
	"fmt"
	"strings"
	"unsafe"
)

// Error is a call that libcuda refused, or that told of an earlier fault.
type Error struct {
	Call string // such as cuMemAlloc_v2
	Code int
	Name string // such as CUDA_ERROR_OUT_OF_MEMORY
	Text string // what libcuda says that the code means
	Hint string // what to do
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", e.Call, e.Name)
	if e.Text != "" {
		fmt.Fprintf(&b, " (%s)", e.Text)
	}
	fmt.Fprintf(&b, ": %s", e.Hint)
	return b.String()
}

// Is makes what this GPU or its driver cannot do errors.ErrUnsupported.
func (e *Error) Is(target error) bool {
	return target == errors.ErrUnsupported && e.Code == codeNotSupported
}

// ErrAbsent is what an error of Open is where the machine has no GPU on which kernels
// run, or no driver of one, rather than one that does not work.
var ErrAbsent = errors.New("there is no GPU")

// absent makes an error ErrAbsent.
type absent struct{ error }

func (a absent) Is(target error) bool { return target == ErrAbsent }
func (a absent) Unwrap() error        { return a.error }

// Codes of CUresult.
const (
	codeInvalidValue    = 1
	codeOutOfMemory     = 2
	codeStub            = 34
	codeUnavailable     = 46
	codeNoDevice        = 100
	codeInvalidImage    = 200
	codeNoBinary        = 209
	codeECC             = 214
	codeInvalidPTX      = 218
	codePTXVersion      = 222
	codeIllegalAddress  = 700
	codeLaunchResources = 701
	codeTimeout         = 702
	codeAssert          = 710
	codeFirstSticky     = 714
	codeLastSticky      = 719
	codeNotSupported    = 801
	codeNotReady        = 802
	codeMismatch        = 803
	codeCompat          = 804
	codeUnknown         = 999
)

// hints say what to do about a code.
var hints = map[int]string{
	codeOutOfMemory:     "a smaller --batch needs less, and nvidia-smi lists the processes that hold the rest",
	codeStub:            "this libcuda is the stub of a toolkit; WRNC_LIBCUDA can name the driver's own",
	codeUnavailable:     "another process has the GPU for itself; nvidia-smi lists it",
	codeNoDevice:        "look whether nvidia-smi lists one, and whether CUDA_VISIBLE_DEVICES hides it; --target cpu needs none",
	codeInvalidImage:    "the driver cannot read the kernel; update NVIDIA's driver",
	codeNoBinary:        "the kernel is compiled for another GPU or a newer driver; update NVIDIA's driver",
	codeInvalidPTX:      "the driver does not take the kernel's PTX; update NVIDIA's driver",
	codePTXVersion:      "the driver is older than NVRTC; update NVIDIA's driver, or let WRNC_NVRTC name an older NVRTC",
	codeECC:             "the GPU's memory is defective or must be reset; see nvidia-smi -q",
	codeLaunchResources: "the kernel needs more registers or shared memory than a multiprocessor has",
	codeTimeout:         "the GPU also drives a display, which ends kernels that run for long",
	codeNotSupported:    "this GPU or its driver cannot do it; update NVIDIA's driver",
	codeNotReady:        "NVIDIA's fabric manager is not ready; start nvidia-fabricmanager",
	codeMismatch:        "libcuda and the kernel module are of different releases; restart the machine",
	codeCompat:          "the forward compatibility package does not support this GPU; remove it from the library path",
	codeUnknown:         "often the kernel module after a suspend; reload nvidia_uvm or restart the machine",
}

// sticky tells whether after a code nothing works any more in this process.
func sticky(code int) bool {
	switch code {
	case codeECC, codeIllegalAddress, codeTimeout, codeAssert, codeUnknown:
		return true
	}
	return code >= codeFirstSticky && code <= codeLastSticky
}

// hint says what to do about a code. What is not in the table should not happen.
func hint(code int) string {
	if h := hints[code]; h != "" {
		return h
	}
	if sticky(code) {
		return "a kernel is at fault, please report it; a new process can use the GPU"
	}
	return "this is a fault of wrnc, please report it"
}

// check turns a code into an error.
func (l *library) check(f function, code int) error {
	if code == 0 {
		return nil
	}
	return &Error{Call: names[f], Code: code, Name: l.words(cuGetErrorName, code), Text: l.words(cuGetErrorString, code), Hint: hint(code)}
}

// do calls a function and checks its code.
//
//go:uintptrescapes
func (l *library) do(f function, args ...uintptr) error {
	return l.check(f, l.call(f, args...))
}

// words are what libcuda has to say about a code.
func (l *library) words(f function, code int) string {
	var text unsafe.Pointer
	if l.call(f, uintptr(code), uintptr(unsafe.Pointer(&text))) == 0 && text != nil {
		return goString(text)
	}
	if f == cuGetErrorName {
		return fmt.Sprintf("error %d", code)
	}
	return ""
}

// goString copies a C string.
func goString(p unsafe.Pointer) string {
	n := 0
	for *(*byte)(unsafe.Add(p, n)) != 0 {
		n++
	}
	return string(unsafe.Slice((*byte)(p), n))
}
