package jit

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"wrnc/runtime/cuda/cache"
	"wrnc/runtime/cuda/nvrtc"
)

// processes are the most that compile at once: each takes some 200 MB.
const processes = 8

// library is NVRTC: opened here for what it knows, at work in other processes.
type library struct {
	c        *nvrtc.Compiler
	identity string

	mu   sync.Mutex
	pool *nvrtc.Pool // nil while nothing is compiled
}

// Library returns the NVRTC of this machine. Its processes start when the first
// text is to be compiled. The program's main must begin with nvrtc.Worker.
func Library() (Compiler, error) {
	c, err := nvrtc.Open("")
	if err != nil {
		return nil, err
	}
	return &library{c: c, identity: identity(c.Path())}, nil
}

// Start returns a JIT of this machine's NVRTC and, where o names no other, the user's
// cache.
func Start(o Options) (*JIT, error) {
	c, err := Library()
	if err != nil {
		return nil, err
	}
	if o.Cache == nil {
		dir, err := cache.Dir()
		if err == nil {
			o.Cache = cache.Open(dir, cache.Limit, o.Note)
		} else if o.Note != nil {
			o.Note(fmt.Sprintf("kernels are compiled anew at each start: %v", err))
		}
	}
	return New(c, o), nil
}

// identity tells a library from others of its version by its file: NVRTC does not
// say which release of the version it is.
func identity(path string) string {
	if !strings.ContainsRune(path, filepath.Separator) {
		path = mapped(path)
	}
	info, err := os.Stat(path)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%d bytes of %v", info.Size(), info.ModTime().UnixNano())
}

// mapped is the file of a library that this process has loaded by its bare name.
func mapped(name string) string {
	f, err := os.Open("/proc/self/maps")
	if err != nil {
		return ""
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if at := strings.IndexByte(lines.Text(), '/'); at >= 0 && strings.HasPrefix(filepath.Base(lines.Text()[at:]), name) {
			return lines.Text()[at:]
		}
	}
	return ""
}

func (l *library) Identity() string { return l.identity }

func (l *library) Version() (major, minor int) {
	// It is of the form 13.0.
	_, _ = fmt.Sscanf(l.c.Version(), "%d.%d", &major, &minor)
	return major, minor
}

func (l *library) Archs() []int { return l.c.Archs() }

func (l *library) Parallel() int { return min(runtime.NumCPU(), processes) }

func (l *library) Compile(ctx context.Context, s nvrtc.Source) (*nvrtc.Result, error) {
	pool, err := l.working()
	if err != nil {
		return nil, err
	}
	return pool.Compile(ctx, s)
}

// working returns the processes, which it starts.
func (l *library) working() (*nvrtc.Pool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pool == nil {
		pool, err := nvrtc.NewPool(l.Parallel(), nvrtc.Self)
		if err != nil {
			return nil, err
		}
		l.pool = pool
	}
	return l.pool, nil
}

func (l *library) Rest() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pool != nil {
		l.pool.Close()
		l.pool = nil
	}
}
