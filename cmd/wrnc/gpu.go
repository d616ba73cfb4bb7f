package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	printer "wrnc/codegen/cuda"
	"wrnc/compiler/ir"
	"wrnc/compiler/plan"
	"wrnc/kernels"
	"wrnc/runtime"
	"wrnc/runtime/cuda"
	"wrnc/runtime/cuda/driver"
	"wrnc/runtime/cuda/jit"
	"wrnc/runtime/cuda/libcuda"
	"wrnc/runtime/cuda/libcuda/gorgonia"
)

// gpu is an open GPU.
type gpu interface {
	cuda.Driver
	Info() driver.Info
	MemInfo() (free, total int, err error)
}

// checkDriver refuses a value of --driver that this wrnc does not have.
func checkDriver(name string) error {
	if name == "" {
		return nil
	}
	if err := oneOf("--driver", name, "purego", "gorgonia"); err != nil {
		return err
	}
	if name == "gorgonia" {
		if _, err := gorgonia.Load(); err != nil {
			return usagef("--driver gorgonia: %v", err)
		}
	}
	return nil
}

// loadCalls returns the calls of a value of --driver.
func loadCalls(name string) (libcuda.API, error) {
	if name == "gorgonia" {
		return gorgonia.Load()
	}
	return libcuda.Load()
}

// openDriver opens a GPU by the calls that --driver names, and what compiles its kernels.
// Either alone is of no use.
func openDriver(name string, device int, o jit.Options) (gpu, error) {
	api, err := loadCalls(name)
	if err != nil {
		return nil, err
	}
	var compiler *jit.JIT
	d, err := driver.Open(api, driver.Options{Device: device, JIT: func() (*jit.JIT, error) { return compiler, nil }})
	if err != nil {
		return nil, err // not d, which is a typed nil
	}
	if compiler, err = jit.Start(o); err != nil {
		return nil, errors.Join(fmt.Errorf("%s cannot be used: %w", d.Info().Name, err), d.Close())
	}
	return d, nil
}

// gpuMachine is a GPU of this machine.
type gpuMachine struct {
	gpu
	driver  string // of --driver
	planned plan.Arch
	options cuda.Options
}

func openGPU(o machineChoice) (machine, error) {
	device := 0
	switch {
	case o.isa != "auto":
		return nil, usagef("--isa %s: only --target cpu has instruction sets; the cuda target takes the GPU as it is", o.isa)
	case o.device != nil && *o.device < 0:
		return nil, usagef("--device %d: GPUs are numbered from 0", *o.device)
	case o.device != nil:
		device = *o.device
	}
	d, err := o.gpu(o.driver, device, jit.Options{Note: o.note, Progress: o.compiling})
	if err != nil {
		return nil, err
	}
	fail := func(err error) (machine, error) { return nil, errors.Join(err, d.Close()) }
	name, err := printer.Nearest(d.Info().Major, d.Info().Minor)
	if err != nil {
		return fail(err)
	}
	arch, err := printer.Arch(name)
	if err != nil {
		return fail(err)
	}
	return &gpuMachine{d, o.driver, arch, cuda.Options{Headers: kernels.Headers(), Poison: o.poison, NoGraphs: o.noGraph}}, nil
}

func (o machineChoice) note(text string) { fmt.Fprintf(o.words, "note: %s\n", text) }

// compiling tells of kernels that are being compiled, which takes seconds to minutes.
func (o machineChoice) compiling(p jit.Progress) {
	if p.Done == 0 {
		fmt.Fprintf(o.words, "compiling %d kernels for %s; %d are in the cache\n", p.Missing, p.Arch, p.Cached)
	}
	if _, is := terminal(o.words); is {
		end := ""
		if p.Done == p.Missing {
			end = "\n"
		}
		fmt.Fprintf(o.words, "\r%d of %d%s", p.Done, p.Missing, end)
	}
}

func (g *gpuMachine) arch() plan.Arch { return g.planned }
func (g *gpuMachine) device() string  { return g.Info().Name }
func (g *gpuMachine) workers() int    { return 0 }
func (g *gpuMachine) close() error    { return g.Close() }

func (g *gpuMachine) describe() string {
	by := ""
	if g.driver != "" {
		by = " by " + g.driver
	}
	return fmt.Sprintf("%s, %s%s", g.planned.ISA, g.device(), by)
}

// afford refuses before anything is compiled what the executor could not take later.
func (g *gpuMachine) afford(planned memory) error {
	free, total, err := g.MemInfo()
	if err != nil {
		return err
	}
	if need := planned.peak(0); need > free {
		return fmt.Errorf("this needs %s of the GPU's memory, and %s of %s are free; take a smaller --batch or a smaller network, and see nvidia-smi for the processes that hold the rest",
			formatBytes(need), formatBytes(free), formatBytes(total))
	}
	return nil
}

// reserve is what stays free beside data sets: kernels, the driver's own, and what other
// programs, such as a desktop's, take meanwhile.
const reserve = 256 << 20

func (g *gpuMachine) keeps(planned memory, bytes int) (bool, error) {
	free, _, err := g.MemInfo()
	return planned.peak(0)+bytes+reserve <= free, err
}

// load also writes the data sets that are to be kept, each with the table by which its
// bytes become numbers.
func (g *gpuMachine) load(m *ir.Module, plans []*plan.Plan, kept []keptSet) (runtime.Executable, error) {
	var sources [][]plan.Source
	for _, p := range plans {
		s, err := printer.Emit(p, m.Func(p.Func))
		if err != nil {
			return nil, err
		}
		sources = append(sources, s)
	}
	options := g.options
	for _, k := range kept {
		options.Feeds = append(options.Feeds, cuda.Feed{From: k.loader.Name, To: k.feeds, Parameter: "images"})
	}
	program, err := cuda.Load(m, plans, sources, g.gpu, options)
	if err != nil {
		return nil, err // not program, which is a typed nil
	}
	for _, k := range kept {
		err = errors.Join(err, program.WriteResident(k.loader.Name, "pictures", k.set.Images))
		var values []byte
		for _, v := range k.normalize.Values(k.set.C) {
			values = binary.LittleEndian.AppendUint32(values, math.Float32bits(v))
		}
		err = errors.Join(err, program.WriteResident(k.loader.Name, "values", values))
	}
	if err != nil {
		program.Close()
		return nil, err
	}
	return program, nil
}
