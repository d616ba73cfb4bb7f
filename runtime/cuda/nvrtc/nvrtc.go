// Package nvrtc compiles CUDA C++ by NVIDIA's NVRTC, which it loads at run time:
// neither cgo nor a driver nor a GPU is needed, and a program with this package
// starts where there is no CUDA.
//
// NVRTC compiles one program at a time in a process, however many threads ask. A
// Pool compiles in several processes.
package nvrtc

import (
	"errors"
	"fmt"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unsafe"

	"wrnc/runtime/cuda/dlopen"
	"wrnc/runtime/cuda/toolkit"
)

// Options returns how wrnc's kernels are compiled. Contraction is off because a
// kernel says fma where one rounding is meant, and must give the same bits as the
// same text on the CPU.
func Options() []string { return []string{"--std=c++17", "--fmad=false"} }

// Source is a text to compile.
type Source struct {
	Name    string            // stands in messages, as in kernel.cu(3): error
	Text    string            // the .cu text
	Headers map[string]string // what it can #include, by name
	Arch    string            // sm_90, sm_90a; compute_90 for PTX alone
	Options []string          // what Options returns, usually
}

// Result is a compiled text.
type Result struct {
	PTX   []byte
	CUBIN []byte        // empty for a compute_ architecture
	Log   string        // warnings
	Time  time.Duration // of NVRTC's work
}

// CompileError is a text that NVRTC rejects.
type CompileError struct {
	Name, Arch string
	Log        string // NVRTC's messages, with places
}

func (e *CompileError) Error() string {
	return fmt.Sprintf("%s does not compile for %s:\n%s", e.Name, e.Arch, e.Log)
}

// ArchError is an architecture that this NVRTC does not know.
type ArchError struct {
	Arch, Version, Newest string
}

func (e *ArchError) Error() string {
	return fmt.Sprintf("NVRTC %s does not know %s; the newest that it knows is %s", e.Version, e.Arch, e.Newest)
}

// Compiler is an NVRTC library.
type Compiler struct {
	lib          *library
	path         string
	major, minor int
	archs        []int
}

// Open loads NVRTC from a path, or from where toolkits lie where path is empty.
func Open(path string) (*Compiler, error) {
	if path != "" {
		return open(path)
	}
	candidates, err := toolkit.Machine().Libraries()
	if err != nil {
		return nil, err
	}
	var tried []error
	damaged := false // a library is there and cannot be loaded
	for _, candidate := range candidates {
		c, err := open(candidate)
		if err == nil {
			return c, nil
		}
		tried = append(tried, err)
		damaged = damaged || !errors.Is(err, ErrAbsent) && !dlopen.Absent(err)
	}
	const text = "NVRTC, which compiles kernels, %s; %s. Tried:\n%w"
	if damaged {
		return nil, fmt.Errorf(text, "cannot be loaded", remedy, errors.Join(tried...))
	}
	return nil, absent{fmt.Errorf(text, "was not found", remedy, errors.Join(tried...))}
}

// ErrAbsent is what an error of Open is where there is no NVRTC, rather than one that
// does not work or is not where WRNC_NVRTC says.
var ErrAbsent = errors.New("there is no NVRTC")

// absent makes an error ErrAbsent.
type absent struct{ error }

func (a absent) Is(target error) bool { return target == ErrAbsent }
func (a absent) Unwrap() error        { return a.error }

// Remedy says where to get NVRTC.
func Remedy() string { return remedy }

// remedy is where to get NVRTC from. The numbers are CUDA's: the driver must know it.
const remedy = "pip install nvidia-cuda-nvrtc (for CUDA 12: nvidia-cuda-nvrtc-cu12), conda install -c conda-forge cuda-nvrtc, " +
	"or apt-get install cuda-nvrtc-13-0 from NVIDIA's repository gets it, and WRNC_NVRTC can name its file or folder"

func open(path string) (*Compiler, error) {
	lib, err := load(path)
	if err != nil {
		return nil, err
	}
	c := &Compiler{lib: lib, path: path}
	var major, minor, count int32
	if err := lib.check("nvrtcVersion", lib.version(&major, &minor)); err != nil {
		return nil, err
	}
	c.major, c.minor = int(major), int(minor)
	if err := lib.check("nvrtcGetNumSupportedArchs", lib.numArchs(&count)); err != nil {
		return nil, err
	}
	if count < 1 {
		return nil, fmt.Errorf("%s: NVRTC %s knows no architecture", path, c.Version())
	}
	archs := make([]int32, count)
	if err := lib.check("nvrtcGetSupportedArchs", lib.getArchs(&archs[0])); err != nil {
		return nil, err
	}
	for _, arch := range archs {
		c.archs = append(c.archs, int(arch))
	}
	slices.Sort(c.archs)
	return c, nil
}

// Path is the file or name that the library was loaded by.
func (c *Compiler) Path() string { return c.path }

// Version is NVRTC's version, such as 13.0.
func (c *Compiler) Version() string { return fmt.Sprintf("%d.%d", c.major, c.minor) }

// Archs are the numbers of the architectures that this NVRTC knows, ascending: 90
// stands for sm_90.
func (c *Compiler) Archs() []int { return slices.Clone(c.archs) }

// archName is an architecture with its optional suffix: a for features of this
// one alone, f for those of its family.
var archName = regexp.MustCompile(`^(sm|compute)_([0-9]+)[af]?$`)

// knows returns nil if this NVRTC compiles for the architecture.
func (c *Compiler) knows(arch string) error {
	parts := archName.FindStringSubmatch(arch)
	if parts == nil {
		return fmt.Errorf("%q is no architecture; expected sm_90 or the like", arch)
	}
	number, err := strconv.Atoi(parts[2])
	if err != nil || !slices.Contains(c.archs, number) {
		return &ArchError{Arch: arch, Version: c.Version(), Newest: fmt.Sprintf("sm_%d", c.archs[len(c.archs)-1])}
	}
	return nil
}

// compiling is held while NVRTC works. It would make the others wait all the same,
// but inside the library, where their waiting would count as its time.
var compiling sync.Mutex

// Compile compiles a text.
func (c *Compiler) Compile(s Source) (*Result, error) {
	if err := c.knows(s.Arch); err != nil {
		return nil, err
	}
	var memory pinned
	defer memory.Unpin()
	var names, texts []string
	for name := range s.Headers {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		texts = append(texts, s.Headers[name])
	}
	options := append([]string{"--gpu-architecture=" + s.Arch}, s.Options...)
	for _, text := range slices.Concat([]string{s.Name, s.Text}, names, texts, options) {
		if strings.IndexByte(text, 0) >= 0 {
			return nil, fmt.Errorf("%s: a text for NVRTC has a zero byte", s.Name)
		}
	}

	compiling.Lock()
	defer compiling.Unlock()
	start := time.Now()
	var program uintptr
	rc := c.lib.create(&program, memory.text(s.Text), memory.text(s.Name), int32(len(names)), memory.texts(texts), memory.texts(names))
	if err := c.lib.check("nvrtcCreateProgram", rc); err != nil {
		return nil, err
	}
	defer c.lib.destroy(&program)
	compiled := c.lib.compile(program, int32(len(options)), memory.texts(options))
	log, err := c.output("nvrtcGetProgramLog", program, c.lib.logSize, c.lib.getLog)
	if err != nil {
		return nil, err
	}
	r := &Result{Log: strings.Trim(string(log), "\n\x00 ")}
	if compiled != success {
		err := c.lib.check("nvrtcCompileProgram", compiled)
		if compiled == errorCompilation {
			return nil, &CompileError{Name: s.Name, Arch: s.Arch, Log: r.Log}
		}
		// Such as a wrong option; what is wrong stands in the log.
		return nil, fmt.Errorf("%s for %s: %w\n%s", s.Name, s.Arch, err, r.Log)
	}
	if r.PTX, err = c.output("nvrtcGetPTX", program, c.lib.ptxSize, c.lib.getPTX); err != nil {
		return nil, err
	}
	r.PTX = []byte(strings.TrimRight(string(r.PTX), "\x00"))
	if strings.HasPrefix(s.Arch, "sm_") {
		if r.CUBIN, err = c.output("nvrtcGetCUBIN", program, c.lib.cubinSize, c.lib.getCUBIN); err != nil {
			return nil, err
		}
	}
	r.Time = time.Since(start)
	return r, nil
}

// output asks for the size of an output, then for its bytes.
func (c *Compiler) output(name string, program uintptr, size func(uintptr, *uintptr) int32, get func(uintptr, *byte) int32) ([]byte, error) {
	var n uintptr
	if err := c.lib.check(name+"Size", size(program, &n)); err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, nil
	}
	out := make([]byte, n)
	if err := c.lib.check(name, get(program, &out[0])); err != nil {
		return nil, err
	}
	return out, nil
}

var release = regexp.MustCompile(`release [0-9.]+, V([0-9.]+)`)

// Release is the full version of the compiler, such as 13.0.88, by the PTX.
func (r *Result) Release() string {
	if found := release.FindSubmatch(r.PTX[:min(len(r.PTX), 1024)]); found != nil {
		return string(found[1])
	}
	return "unknown"
}

// pinned is memory that C reads: it stays where it is until Unpin.
type pinned struct{ runtime.Pinner }

// text is a zero-terminated copy of s.
func (p *pinned) text(s string) *byte {
	b := append([]byte(s), 0)
	p.Pin(&b[0])
	return &b[0]
}

// texts is an array of pointers to copies of the texts, nil for none.
func (p *pinned) texts(list []string) **byte {
	if len(list) == 0 {
		return nil
	}
	pointers := make([]*byte, len(list))
	for i, s := range list {
		pointers[i] = p.text(s)
	}
	p.Pin(&pointers[0])
	return &pointers[0]
}

// library holds NVRTC's functions.
type library struct {
	version   func(major, minor *int32) int32
	numArchs  func(count *int32) int32
	getArchs  func(archs *int32) int32
	create    func(program *uintptr, text, name *byte, headers int32, texts, names **byte) int32
	compile   func(program uintptr, count int32, options **byte) int32
	destroy   func(program *uintptr) int32
	logSize   func(program uintptr, size *uintptr) int32
	getLog    func(program uintptr, log *byte) int32
	ptxSize   func(program uintptr, size *uintptr) int32
	getPTX    func(program uintptr, ptx *byte) int32
	cubinSize func(program uintptr, size *uintptr) int32
	getCUBIN  func(program uintptr, cubin *byte) int32
	message   func(code int32) unsafe.Pointer
}

// symbols are the names of the functions, each with its field.
func (l *library) symbols() map[string]any {
	return map[string]any{
		"nvrtcVersion":              &l.version,
		"nvrtcGetNumSupportedArchs": &l.numArchs,
		"nvrtcGetSupportedArchs":    &l.getArchs,
		"nvrtcCreateProgram":        &l.create,
		"nvrtcCompileProgram":       &l.compile,
		"nvrtcDestroyProgram":       &l.destroy,
		"nvrtcGetProgramLogSize":    &l.logSize,
		"nvrtcGetProgramLog":        &l.getLog,
		"nvrtcGetPTXSize":           &l.ptxSize,
		"nvrtcGetPTX":               &l.getPTX,
		"nvrtcGetCUBINSize":         &l.cubinSize,
		"nvrtcGetCUBIN":             &l.getCUBIN,
		"nvrtcGetErrorString":       &l.message,
	}
}

// Codes of nvrtcResult.
const (
	success          = 0
	errorCompilation = 6
)

// check turns a code into an error with NVRTC's name for it.
func (l *library) check(function string, code int32) error {
	if code == success {
		return nil
	}
	return fmt.Errorf("%s: %s", function, cString(l.message(code)))
}

// cString copies a C string that stays where it is.
func cString(p unsafe.Pointer) string {
	if p == nil {
		return "unknown error"
	}
	n := 0
	for *(*byte)(unsafe.Add(p, n)) != 0 {
		n++
	}
	return string(unsafe.Slice((*byte)(p), n))
}
