package libcuda

import (
	"errors"
	"fmt"
	"strings"
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

// Is makes what this GPU or its driver cannot do errors.ErrUnsupported, and that there is
// none ErrAbsent.
func (e *Error) Is(target error) bool {
	return target == errors.ErrUnsupported && e.Code == CodeNotSupported || target == ErrAbsent && e.Code == CodeNoDevice
}

// ErrAbsent is what an error is where the machine has no GPU on which kernels run, or no
// driver of one, rather than one that does not work.
var ErrAbsent = errors.New("there is no GPU")

// Absent makes an error ErrAbsent.
func Absent(err error) error { return absent{err} }

type absent struct{ error }

func (a absent) Is(target error) bool { return target == ErrAbsent }
func (a absent) Unwrap() error        { return a.error }

// Codes of CUresult.
const (
	CodeInvalidValue    = 1
	CodeOutOfMemory     = 2
	CodeStub            = 34
	CodeUnavailable     = 46
	CodeNoDevice        = 100
	CodeInvalidImage    = 200
	CodeNoBinary        = 209
	CodeECC             = 214
	CodeInvalidPTX      = 218
	CodePTXVersion      = 222
	CodeIllegalAddress  = 700
	CodeLaunchResources = 701
	CodeTimeout         = 702
	CodeAssert          = 710
	CodeFirstSticky     = 714
	CodeLastSticky      = 719
	CodeNotSupported    = 801
	CodeNotReady        = 802
	CodeMismatch        = 803
	CodeCompat          = 804
	CodeUnknown         = 999
)

// hints say what to do about a code.
var hints = map[int]string{
	CodeOutOfMemory:     "a smaller --batch needs less, and nvidia-smi lists the processes that hold the rest",
	CodeStub:            "this libcuda is the stub of a toolkit; WRNC_LIBCUDA can name the driver's own",
	CodeUnavailable:     "another process has the GPU for itself; nvidia-smi lists it",
	CodeNoDevice:        "look whether nvidia-smi lists one, and whether CUDA_VISIBLE_DEVICES hides it; --target cpu needs none",
	CodeInvalidImage:    "the driver cannot read the kernel; update NVIDIA's driver",
	CodeNoBinary:        "the kernel is compiled for another GPU or a newer driver; update NVIDIA's driver",
	CodeInvalidPTX:      "the driver does not take the kernel's PTX; update NVIDIA's driver",
	CodePTXVersion:      "the driver is older than NVRTC; update NVIDIA's driver, or let WRNC_NVRTC name an older NVRTC",
	CodeECC:             "the GPU's memory is defective or must be reset; see nvidia-smi -q",
	CodeLaunchResources: "the kernel needs more registers or shared memory than a multiprocessor has",
	CodeTimeout:         "the GPU also drives a display, which ends kernels that run for long",
	CodeNotSupported:    "this GPU or its driver cannot do it; update NVIDIA's driver",
	CodeNotReady:        "NVIDIA's fabric manager is not ready; start nvidia-fabricmanager",
	CodeMismatch:        "libcuda and the kernel module are of different releases; restart the machine",
	CodeCompat:          "the forward compatibility package does not support this GPU; remove it from the library path",
	CodeUnknown:         "often the kernel module after a suspend; reload nvidia_uvm or restart the machine",
}

// Sticky tells whether after a code nothing works any more in this process.
func Sticky(code int) bool {
	switch code {
	case CodeECC, CodeIllegalAddress, CodeTimeout, CodeAssert, CodeUnknown:
		return true
	}
	return code >= CodeFirstSticky && code <= CodeLastSticky
}

// Hint says what to do about a code. What is not in the table should not happen.
func Hint(code int) string {
	if h := hints[code]; h != "" {
		return h
	}
	if Sticky(code) {
		return "a kernel is at fault, please report it; a new process can use the GPU"
	}
	return "this is a fault of wrnc, please report it"
}

// NewError is the error of a call that returned a code, and nil where the code is 0.
// name and text are what libcuda says of it; empty where it knows no such code.
func NewError(call string, code int, name, text string) error {
	if code == 0 {
		return nil
	}
	if name == "" {
		name = fmt.Sprintf("error %d", code)
	}
	return &Error{Call: call, Code: code, Name: name, Text: text, Hint: Hint(code)}
}
