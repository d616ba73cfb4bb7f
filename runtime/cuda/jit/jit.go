// Package jit compiles kernels for the GPU that is there, and keeps what they
// compile to.
//
//	text, headers, GPU ─ cache ─> image
//	                   └ compiler, several texts at once ─> cache, image
package jit

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"wrnc/runtime/cuda/cache"
	"wrnc/runtime/cuda/nvrtc"
)

// Target is what kernels are compiled for.
type Target struct {
	Major, Minor int // the GPU's compute capability: 9, 0 for sm_90
	Driver       int // the newest CUDA that the driver knows, as it says: 13010 for 13.1
}

// Text is a kernel.
type Text struct {
	Name string // of its entry, for messages
	Text string
}

// Image is what a driver loads.
type Image struct {
	Code []byte // a cubin, or PTX with its final zero
	PTX  bool
}

// Compiler is NVRTC, in whatever process.
type Compiler interface {
	Identity() string // of the library: what it compiles to depends on it
	Version() (major, minor int)
	Archs() []int // 90 for sm_90, ascending
	Parallel() int
	Compile(ctx context.Context, s nvrtc.Source) (*nvrtc.Result, error)
	Rest() // ends the processes that compile; Compile starts new ones
}

// Options are the parts of a JIT. Each may be left out.
type Options struct {
	Cache    *cache.Cache
	Progress func(Progress) // before the first text is compiled and after each; from any goroutine, one at a time
	Note     func(string)   // what a user may want to know, once each
}

// Progress is how far a Compile has come that did not find all in the cache.
type Progress struct {
	Done, Missing int    // of the texts that the cache had not
	Cached        int    // texts that it had
	Arch          string // that is compiled for: sm_90
}

// JIT compiles texts, one call of Compile at a time.
type JIT struct {
	c     Compiler
	o     Options
	noted map[string]bool
}

// New returns a JIT that has the compiler for itself.
func New(c Compiler, o Options) *JIT {
	return &JIT{c: c, o: o, noted: map[string]bool{}}
}

func (j *JIT) note(text string) {
	if j.o.Note != nil && !j.noted[text] {
		j.noted[text] = true
		j.o.Note(text)
	}
}

func (j *JIT) tell(p Progress) {
	if j.o.Progress != nil {
		j.o.Progress(p)
	}
}

// Arch chooses what to compile for: the GPU itself, or the newest architecture
// before it that the compiler knows. Code for one runs on the later ones of its
// generation; for another generation it is PTX, which the driver compiles further.
func (j *JIT) Arch(t Target) (arch string, err error) {
	major, minor := j.c.Version()
	version := fmt.Sprintf("%d.%d", major, minor)
	if t.Driver/1000 < major {
		return "", fmt.Errorf("the driver knows CUDA %s and NVRTC is of CUDA %s: update the driver, or let WRNC_NVRTC name the NVRTC of a CUDA %d",
			cudaVersion(t.Driver), version, t.Driver/1000)
	}
	number := 10*t.Major + t.Minor
	if slices.Contains(j.c.Archs(), number) {
		return fmt.Sprintf("sm_%d", number), nil
	}
	newest := 0
	for _, known := range j.c.Archs() {
		if known < number {
			newest = known
		}
	}
	const oldest = 80
	if newest < oldest {
		return "", fmt.Errorf("NVRTC %s knows no architecture from sm_%d to sm_%d: let WRNC_NVRTC name a newer one", version, oldest, number)
	}
	if newest/10 == t.Major {
		return fmt.Sprintf("sm_%d", newest), nil
	}
	if t.Driver < 1000*major+10*minor {
		return "", fmt.Errorf("NVRTC %s does not know sm_%d, and the driver, which knows CUDA %s, is too old for its PTX: update the driver, or let WRNC_NVRTC name a newer NVRTC",
			version, number, cudaVersion(t.Driver))
	}
	j.note(fmt.Sprintf("NVRTC %s does not know sm_%d; kernels are compiled to PTX for sm_%d, which the driver compiles further", version, number, newest))
	return fmt.Sprintf("compute_%d", newest), nil
}

// cudaVersion is 13.1 for 13010.
func cudaVersion(n int) string { return fmt.Sprintf("%d.%d", n/1000, n%1000/10) }

// Compile returns an image of each text, in order. It stops at the first text
// that does not compile.
func (j *JIT) Compile(ctx context.Context, t Target, texts []Text, headers map[string]string) ([]Image, error) {
	if len(texts) == 0 {
		return nil, nil
	}
	arch, err := j.Arch(t)
	if err != nil {
		return nil, err
	}
	images := make([]Image, len(texts))
	keys := j.keys(arch, texts, headers)
	places := map[cache.Key][]int{} // of what is missing
	var missing []int
	cached := 0
	for i, k := range keys {
		if places[k] != nil {
			places[k] = append(places[k], i)
			continue
		}
		if j.o.Cache != nil {
			if code, ok := j.o.Cache.Get(k); ok {
				images[i] = Image{Code: code, PTX: isPTX(arch)}
				cached++
				continue
			}
		}
		places[k] = []int{i}
		missing = append(missing, i)
	}
	progress := Progress{Missing: len(missing), Cached: cached, Arch: arch}
	if err := j.compile(ctx, progress, texts, headers, missing, func(i int, code []byte) {
		for _, at := range places[keys[i]] {
			images[at] = Image{Code: code, PTX: isPTX(arch)}
		}
		if j.o.Cache != nil {
			j.o.Cache.Put(keys[i], code)
		}
	}); err != nil {
		return nil, err
	}
	return images, nil
}

func isPTX(arch string) bool { return strings.HasPrefix(arch, "compute_") }

// keys name what the texts compile to.
func (j *JIT) keys(arch string, texts []Text, headers map[string]string) []cache.Key {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		parts = append(parts, name, headers[name])
	}
	included := cache.KeyOf(parts...)
	options := cache.KeyOf(nvrtc.Options()...)
	major, minor := j.c.Version()
	head := []string{fmt.Sprintf("NVRTC %d.%d", major, minor), j.c.Identity(), string(options[:]), arch, string(included[:])}
	keys := make([]cache.Key, len(texts))
	for i, t := range texts {
		keys[i] = cache.KeyOf(append(head, t.Name, t.Text)...)
	}
	return keys
}

// compile compiles those of the texts that are missing, several at once, and calls
// done for each, one at a time.
func (j *JIT) compile(ctx context.Context, progress Progress, texts []Text, headers map[string]string, missing []int, done func(i int, code []byte)) error {
	if len(missing) == 0 {
		return nil
	}
	defer j.c.Rest() // a training run has no use for them
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	j.tell(progress)
	arch := progress.Arch
	var (
		mu      sync.Mutex
		failure error
		wait    sync.WaitGroup
	)
	next := make(chan int, len(missing))
	for _, i := range missing {
		next <- i
	}
	close(next)
	one := func(i int) error {
		r, err := j.c.Compile(ctx, nvrtc.Source{Name: texts[i].Name + ".cu", Text: texts[i].Text, Headers: headers, Arch: arch, Options: nvrtc.Options()})
		if err != nil {
			return fmt.Errorf("kernel %s: %w", texts[i].Name, err)
		}
		code := r.CUBIN
		if isPTX(arch) {
			code = append(slices.Clone(r.PTX), 0) // as drivers want it
		}
		if len(code) < 2 {
			return fmt.Errorf("kernel %s: NVRTC gave no code for %s", texts[i].Name, arch)
		}
		mu.Lock()
		defer mu.Unlock()
		done(i, code)
		progress.Done++
		j.tell(progress)
		return nil
	}
	for range min(max(j.c.Parallel(), 1), len(missing)) {
		wait.Go(func() {
			for i := range next {
				if ctx.Err() != nil {
					return
				}
				if err := one(i); err != nil {
					mu.Lock()
					if failure == nil || errors.Is(failure, context.Canceled) {
						failure = err
					}
					mu.Unlock()
					cancel()
				}
			}
		})
	}
	wait.Wait()
	if failure == nil && progress.Done < len(missing) {
		return ctx.Err() // the caller's
	}
	return failure
}
