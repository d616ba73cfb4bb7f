package driver

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unsafe"

	"wrnc/runtime/cuda"
	"wrnc/runtime/cuda/jit"
	"wrnc/runtime/cuda/libcuda"
)

// kernel is a loaded text.
type kernel struct {
	entry           string
	module          libcuda.Module
	handle          libcuda.Function
	threads, shared int
}

// maxParams is the size of the largest struct that a kernel takes.
const maxParams = 4096

// defaultShared is the dynamic shared memory that a function has without asking.
const defaultShared = 48 << 10

// parameters is where the arguments of a launch lie as aligned as a kernel sees them.
type parameters [maxParams / 16][2]uint64

// launched is what was started since the device was last known to be idle.
type launched struct {
	count int
	last  string // entry
}

// Load is cuda.Driver's.
func (d *Device) Load(t cuda.Texts) ([]cuda.Function, error) {
	images, err := d.compile(t)
	if err != nil {
		return nil, err
	}
	defer d.leave()
	if err := d.enter(); err != nil {
		return nil, err
	}
	loaded := make([]*kernel, 0, len(images))
	for i, image := range images {
		k, err := d.loadKernel(t.Kernels[i], image)
		if err != nil {
			for _, k := range loaded {
				_ = d.api.ModuleUnload(k.module) // the error before this one is told
			}
			return nil, fmt.Errorf("kernel %s: %w", t.Kernels[i].Entry, err)
		}
		loaded = append(loaded, k)
	}
	var out []cuda.Function
	for _, k := range loaded {
		d.last++
		d.kernels[d.last] = k
		out = append(out, d.last)
	}
	return out, nil
}

// compile checks what does not need a compiler, and then asks for it.
func (d *Device) compile(t cuda.Texts) ([]jit.Image, error) {
	switch {
	case d.closed:
		return nil, fmt.Errorf("%s is closed", d.info.Name)
	case d.lost != nil:
		return nil, d.lost
	}
	texts := make([]jit.Text, len(t.Kernels))
	for i, k := range t.Kernels {
		if k.Shared > d.info.Shared {
			return nil, fmt.Errorf("kernel %s needs %d bytes of shared memory a block, %s has %d", k.Entry, k.Shared, d.info.Name, d.info.Shared)
		}
		texts[i] = jit.Text{Name: k.Entry, Text: k.Text}
	}
	if len(texts) == 0 {
		return nil, nil
	}
	if d.jit == nil {
		if d.o.JIT == nil {
			return nil, errors.New("the device was opened without a compiler of kernels")
		}
		j, err := d.o.JIT()
		if err != nil {
			return nil, err
		}
		d.jit = j
	}
	return d.jit.Compile(context.Background(), jit.Target{Major: d.info.Major, Minor: d.info.Minor, Driver: d.info.Driver}, texts, t.Headers)
}

// loadKernel makes a module of an image and finds its function. What the driver's own
// compiler says of PTX is part of the error.
func (d *Device) loadKernel(t cuda.Text, image jit.Image) (*kernel, error) {
	module, log, err := d.api.ModuleLoadDataEx(image.Code)
	if err := d.failed(err); err != nil {
		if log = strings.TrimSpace(log); log != "" {
			return nil, fmt.Errorf("%w\n%s", err, log)
		}
		return nil, err
	}
	handle, err := d.api.ModuleGetFunction(module, t.Entry)
	if err == nil && t.Shared > defaultShared {
		err = d.api.FuncSetAttribute(handle, t.Shared)
	}
	if err := d.failed(err); err != nil {
		_ = d.api.ModuleUnload(module)
		return nil, err
	}
	return &kernel{entry: t.Entry, module: module, handle: handle, threads: t.Threads, shared: t.Shared}, nil
}

// Unload is cuda.Driver's.
func (d *Device) Unload(f cuda.Function) error {
	defer d.leave()
	if err := d.enter(); err != nil {
		return err
	}
	k, ok := d.kernels[f]
	if !ok {
		return fmt.Errorf("there is no function %d", f)
	}
	if err := d.failed(d.api.ModuleUnload(k.module)); err != nil {
		return err
	}
	delete(d.kernels, f)
	return nil
}

// Launch is cuda.Driver's.
func (d *Device) Launch(f cuda.Function, g cuda.Grid, args []byte) error {
	defer d.leave()
	if err := d.enter(); err != nil {
		return err
	}
	k, err := d.enqueue(cuda.Launch{Function: f, Grid: g, Args: args})
	if err != nil {
		return err
	}
	d.launched.count++
	d.launched.last = k.entry
	return nil
}

// enqueue puts a launch into the stream, which captures it or does it.
func (d *Device) enqueue(launch cuda.Launch) (*kernel, error) {
	k, ok := d.kernels[launch.Function]
	if !ok {
		return nil, fmt.Errorf("there is no function %d", launch.Function)
	}
	g, args := launch.Grid, launch.Args
	const maxBlocks = 1<<31 - 1
	switch {
	case g.Blocks < 1 || g.Blocks > maxBlocks:
		return nil, fmt.Errorf("kernel %s: a grid of %d blocks", k.entry, g.Blocks)
	case g.Threads != k.threads || g.Shared != k.shared:
		return nil, fmt.Errorf("kernel %s: blocks of %d threads and %d bytes, it was loaded for %d and %d", k.entry, g.Threads, g.Shared, k.threads, k.shared)
	case len(args) > maxParams:
		return nil, fmt.Errorf("kernel %s: %d bytes of arguments, at most %d are possible", k.entry, len(args), maxParams)
	}
	params := unsafe.Pointer(d.params)
	copy(unsafe.Slice((*byte)(params), maxParams), args)
	if err := d.failed(d.api.LaunchKernel(k.handle, g.Blocks, g.Threads, g.Shared, d.work.stream, params, len(args))); err != nil {
		return nil, fmt.Errorf("kernel %s, %d blocks of %d threads: %w", k.entry, g.Blocks, g.Threads, err)
	}
	return k, nil
}
