// Package harness executes CUDA kernels on a CPU, from the text that a GPU gets,
// and checks what they do: out of bounds and uninitialised accesses, misalignment,
// races, barriers that not all threads reach, asynchronous copies used too early.
// It is for tests; it needs g++ and an amd64 machine.
//
//	h, err := harness.New(dir)          // compiles the runtime, once for each dir
//	module, err := h.Compile("scale", text)
//	machine, err := h.Start()           // one process with its own memory
//	x, err := machine.Alloc(4*n, true)
//	report, err := machine.Launch(harness.Launch{Module: module, Entry: "scale", Blocks: 8, Threads: 128, Args: args})
//	if err := report.Err(); err != nil { ... }
//
// The runtime is C++, in kernels/emu. A text is compiled to a shared object, with a
// call before each access to memory; the runner loads it and executes blocks one
// after another, their threads as fibers.
package harness

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"wrnc/kernels"
)

// ErrNoCompiler says that this machine cannot compile kernels for the harness.
var ErrNoCompiler = errors.New("the harness needs g++ on an amd64 Linux machine")

// runtimeFlags compile the runner. Kernels call back into it, so it exports its symbols.
var runtimeFlags = []string{
	"-std=c++17", "-O2", "-march=x86-64-v3", "-ffp-contract=fast", "-fno-strict-aliasing", "-Wall", "-Wextra",
	"-rdynamic",
}

// kernelFlags compile a kernel's text.
//
//   - -fsanitize=thread is what has every access call the runtime, --wrap does it for
//     copies that the compiler makes calls of. -nostdlib keeps the sanitizer's own
//     library out; what the text calls is in the runner.
//   - -fsanitize=bounds and the others call the runtime where an index leaves a local
//     array, and where the arithmetic of an index goes wrong.
//   - -ffp-contract=off is --fmad=false of NVRTC.
//   - Uninitialised variables hold a pattern, which as a float is -1.7e38.
//   - -g1 is enough to tell lines from addresses.
//   - -O2 takes half as long again to compile, and kernels run no faster. GCC does not
//     know #pragma unroll; obeying it would take twice as long.
var kernelFlags = []string{
	"-std=c++17", "-O1", "-march=x86-64-v3", "-ffp-contract=off", "-fno-strict-aliasing", "-ftrivial-auto-var-init=pattern",
	"-fsanitize=thread", "--param", "tsan-instrument-func-entry-exit=0",
	"-fsanitize=bounds,signed-integer-overflow,shift,integer-divide-by-zero",
	"-fPIC", "-shared", "-nostdlib", "-fno-plt", "-g1", "-Wl,--wrap=memcpy,--wrap=memmove,--wrap=memset",
	"-Wall", "-Wextra", "-Wno-unknown-pragmas", "-Wno-unused-function", "-Werror=uninitialized", "-Werror=return-type",
}

// Harness compiles kernels into a folder, and starts machines that run them.
// Its methods may be called by several goroutines at once.
type Harness struct {
	dir     string // of everything that is kept
	include string // holds the texts that kernels include
	runner  string
	key     string // of all that a module depends on beside its own text

	mu       sync.Mutex
	building map[string]*building
}

// building is one compilation that several may wait for.
type building struct {
	once sync.Once
	err  error
}

// Module is a compiled text.
type Module struct {
	Name string
	path string
}

// New prepares dir, compiling the runner into it if it is not there yet. Processes
// may share a folder: nothing in it is ever changed, only added, and removed when
// nobody has used it for a week.
func New(dir string) (*Harness, error) {
	if runtime.GOARCH != "amd64" || runtime.GOOS != "linux" {
		return nil, ErrNoCompiler
	}
	version, err := exec.Command("g++", "--version").Output()
	if err != nil {
		return nil, ErrNoCompiler
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}

	sources, sum, err := texts()
	if err != nil {
		return nil, err
	}
	h := &Harness{
		dir:      dir,
		include:  filepath.Join(dir, "include-"+sum),
		key:      hash(string(version), sum, strings.Join(kernelFlags, " ")),
		building: map[string]*building{},
	}
	if err := h.add(h.include, func(to string) error { return unpack(to, sources) }); err != nil {
		return nil, err
	}
	h.runner = filepath.Join(dir, "runner-"+hash(string(version), sum, strings.Join(runtimeFlags, " ")))
	if err := h.add(h.runner, h.buildRunner); err != nil {
		return nil, err
	}
	return h, h.forget()
}

// kept is how long what nobody uses stays in a folder.
const kept = 7 * 24 * time.Hour

// forget removes what has not been used for long. A file's time is that of its last
// use, see add.
func (h *Harness) forget() error {
	entries, err := os.ReadDir(h.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > kept {
			os.RemoveAll(filepath.Join(h.dir, e.Name())) // or another process does
		}
	}
	return nil
}

// texts returns all files that a kernel or the runner is compiled from, and their hash.
func texts() (map[string][]byte, string, error) {
	sources := map[string][]byte{}
	sum := sha256.New()
	err := fs.WalkDir(kernels.Files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if name != path.Base(name) && path.Dir(name) != "emu" {
			return nil // another target's
		}
		text, err := kernels.Files.ReadFile(name)
		if err != nil {
			return err
		}
		sources[name] = text
		fmt.Fprintf(sum, "%s %d\n%s", name, len(text), text)
		return nil
	})
	return sources, hex.EncodeToString(sum.Sum(nil))[:16], err
}

func unpack(to string, sources map[string][]byte) error {
	for name, text := range sources {
		file := filepath.Join(to, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (h *Harness) buildRunner(to string) error {
	sources, err := filepath.Glob(filepath.Join(h.include, "emu", "*.cpp"))
	if err != nil {
		return err
	}
	args := append(append([]string{}, runtimeFlags...), sources...)
	return compile(h.dir, append(args, "-ldl", "-lm", "-o", to)...)
}

// add makes a file or folder that does not exist yet, by calling build with a name
// beside it. Whoever comes second finds the finished one: a rename is atomic.
func (h *Harness) add(name string, build func(to string) error) error {
	now := time.Now()
	if err := os.Chtimes(name, now, now); err == nil {
		return nil
	}
	if err := os.MkdirAll(h.dir, 0o700); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(h.dir, "building-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	made := filepath.Join(tmp, filepath.Base(name))
	if err := build(made); err != nil {
		return err
	}
	if err := os.Rename(made, name); err != nil {
		if _, found := os.Stat(name); found == nil {
			return nil // another process was faster
		}
		return err
	}
	return nil
}

func compile(dir string, args ...string) error {
	cmd := exec.Command("g++", args...)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("g++: %w\n%s", err, stderr.String())
	}
	return nil
}

func hash(parts ...string) string {
	sum := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(sum, "%d\n%s", len(p), p)
	}
	return hex.EncodeToString(sum.Sum(nil))[:16]
}

// Compile compiles a kernel's text. The same text is compiled once for each folder.
// The name is for people: it appears in errors and in the files' names.
func (h *Harness) Compile(name, source string) (*Module, error) {
	m := &Module{Name: name, path: filepath.Join(h.dir, fileName(name)+"-"+hash(h.key, source)+".so")}
	h.mu.Lock()
	b := h.building[m.path]
	if b == nil {
		b = &building{}
		h.building[m.path] = b
	}
	h.mu.Unlock()
	b.once.Do(func() {
		b.err = h.add(m.path, func(to string) error { return h.compileKernel(name, source, to) })
	})
	if b.err != nil {
		return nil, fmt.Errorf("kernel %s: %w", name, b.err)
	}
	return m, nil
}

func (h *Harness) compileKernel(name, source, to string) error {
	text := filepath.Join(filepath.Dir(to), fileName(name)+".cu")
	if err := os.WriteFile(text, []byte(source), 0o644); err != nil {
		return err
	}
	args := append([]string{}, kernelFlags...)
	args = append(args, "-I", h.include, "-I", filepath.Join(h.include, "emu"), "-x", "c++", filepath.Base(text), "-o", to)
	return compile(filepath.Dir(text), args...)
}

// fileName replaces what does not belong into a file's name.
func fileName(name string) string {
	return strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || r == '.' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' {
			return r
		}
		return '_'
	}, name)
}
