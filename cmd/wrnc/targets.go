package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"strings"

	"wrnc/codegen/cuda"
	"wrnc/compiler/ir"
	"wrnc/compiler/plan"
	"wrnc/dsl/diag"
	kernels "wrnc/kernels/cpu"
	"wrnc/runtime"
	"wrnc/runtime/cpu"
	"wrnc/runtime/cuda/jit"
)

// target is a kind of machine that networks are compiled for.
type target struct {
	name string
	arch func(o machineType) (plan.Arch, error)
	emit func(p *plan.Plan, f *ir.Func) ([]plan.Source, error) // nil: plans are all there is
	open func(o machineChoice) (machine, error)                // the machine that is here, or why there is none
}

// machineType is what --isa and --arch say of a machine; empty where they say nothing.
type machineType struct{ isa, arch string }

// machineChoice is what the flags of a run say of the machine to train on.
type machineChoice struct {
	isa       string // of --isa; auto where it says nothing
	threads   int
	device    *int   // of --device
	driver    string // of --driver; empty where it says nothing
	precision ir.DType
	poison    bool
	noGraph   bool      // of --no-graph
	words     io.Writer // what people read
	quiet     bool      // auto does not tell why it takes no GPU
	gpu       func(driver string, device int, o jit.Options) (gpu, error)
}

// machine is a machine to train on.
type machine interface {
	// arch is what networks are planned for.
	arch() plan.Arch

	// describe says what it is, for people: "avx2, threads: 2".
	describe() string

	// device is its name, where machines of one architecture have names.
	device() string

	// workers is how many have scratch memory of their own.
	workers() int

	// afford refuses what it has no memory for.
	afford(planned memory) error

	// keeps tells whether there is room for data sets of so many bytes beside what is
	// planned, and functions that make batches of them.
	keeps(planned memory, bytes int) (bool, error)

	// load loads plans, and the data sets to keep.
	load(m *ir.Module, plans []*plan.Plan, kept []keptSet) (runtime.Executable, error)

	// close ends the use of the machine, after that of what was loaded.
	close() error
}

// targets is the table of targets; --target auto takes the first whose machine is here.
func targets() []target {
	return []target{
		{name: "cuda", arch: cudaArch, emit: cuda.Emit, open: openGPU},
		{name: "cpu", arch: cpuArch, open: openCPU},
	}
}

func cpuArch(o machineType) (plan.Arch, error) {
	if o.arch != "" {
		return plan.Arch{}, usagef("--arch %s: only --target cuda has architectures; for the cpu target take --isa", o.arch)
	}
	isa, err := chooseISA(cmp.Or(o.isa, "auto"), kernels.All())
	if err != nil {
		return plan.Arch{}, err
	}
	return cpu.Arch(isa), nil
}

func cudaArch(o machineType) (plan.Arch, error) {
	if o.isa != "" {
		return plan.Arch{}, usagef("--isa %s: only --target cpu has instruction sets; for the cuda target take --arch", o.isa)
	}
	name := cmp.Or(o.arch, cuda.DefaultArch)
	if err := oneOf("--arch", name, cuda.Archs()...); err != nil {
		return plan.Arch{}, err
	}
	return cuda.Arch(name)
}

// cpuMachine is this machine's processor.
type cpuMachine struct {
	isa     *kernels.ISA
	threads int
	poison  bool
}

func openCPU(o machineChoice) (machine, error) {
	if o.precision != ir.F32 {
		return nil, usagef("--precision %v: the cpu target computes in f32; wrnc build --precision %[1]v shows the network in that precision", o.precision)
	}
	if o.device != nil {
		return nil, usagef("--device %d: only --target cuda has devices", *o.device)
	}
	if o.driver != "" {
		return nil, usagef("--driver %s: only --target cuda has a driver", o.driver)
	}
	if o.noGraph {
		return nil, usagef("--no-graph: only --target cuda has graphs")
	}
	isa, err := chooseISA(o.isa, kernels.Available())
	if err != nil {
		return nil, err
	}
	return &cpuMachine{isa, o.threads, o.poison}, nil
}

func (c *cpuMachine) arch() plan.Arch       { return cpu.Arch(c.isa) }
func (c *cpuMachine) describe() string      { return fmt.Sprintf("%s, threads: %d", c.isa.Name, c.threads) }
func (c *cpuMachine) device() string        { return "" }
func (c *cpuMachine) workers() int          { return c.threads }
func (c *cpuMachine) afford(m memory) error { return affordable(m.peak(c.threads), meminfo) }
func (c *cpuMachine) close() error          { return nil }

// keeps: batches are made by the processor anyhow.
func (c *cpuMachine) keeps(memory, int) (bool, error) { return false, nil }

func (c *cpuMachine) load(m *ir.Module, plans []*plan.Plan, _ []keptSet) (runtime.Executable, error) {
	program, err := cpu.Load(m, plans, cpu.Options{ISA: c.isa, Threads: c.threads, Poison: c.poison})
	if err != nil {
		return nil, err // not program, which is a typed nil
	}
	return program, nil
}

// targetNames lists the targets.
func targetNames() []string {
	var names []string
	for _, t := range targets() {
		names = append(names, t.name)
	}
	return names
}

// chooseTarget returns the row of --target's value. That of auto is the first.
func chooseTarget(name string) (target, error) {
	names := targetNames()
	if name == "auto" {
		name = names[0]
	}
	for _, t := range targets() {
		if t.name == name {
			return t, nil
		}
	}
	hint := ""
	near := diag.Nearest(strings.ToLower(name), append(names, "auto"))
	if strings.EqualFold(name, "gpu") { // which is nearer to cpu
		near = "cuda"
	}
	if near != "" {
		hint = ", did you mean " + near + "?"
	}
	return target{}, usagef("--target %s: expected auto or one of %s%s", name, strings.Join(names, ", "), hint)
}

// openTarget returns the row of --target's value and the machine of that kind. auto
// takes the first that is here, and tells why it is none before; a quiet one only where
// the flags do not fit the one that is left.
func openTarget(name string, o machineChoice) (target, machine, error) {
	if name != "auto" {
		t, err := chooseTarget(name)
		if err != nil {
			return target{}, nil, err
		}
		m, err := t.open(o)
		return t, m, err
	}
	all := targets()
	last := all[len(all)-1]
	var notes []string
	for _, t := range all[:len(all)-1] {
		m, err := t.open(o)
		if err == nil {
			return t, m, nil
		}
		if errors.As(err, new(usageError)) {
			continue // the flags are of another target
		}
		why, _, _ := strings.Cut(err.Error(), "\n")
		notes = append(notes, fmt.Sprintf("target %s, not %s: %s", last.name, t.name, why))
	}
	m, err := last.open(o)
	if !o.quiet || err != nil {
		for _, text := range notes {
			o.note(text)
		}
	}
	return last, m, err
}

// precisions are the values of --precision.
func precisions() []string { return []string{"f32", "tf32", "bf16"} }

// chooseISA returns the instruction set of --isa's value among those given: all
// that can be planned for, or those that can run here.
func chooseISA(name string, among []*kernels.ISA) (*kernels.ISA, error) {
	if name == "auto" {
		return kernels.Detect(), nil
	}
	names := []string{"auto"}
	for _, isa := range among {
		if isa.Name == name {
			return isa, nil
		}
		names = append(names, isa.Name)
	}
	for _, isa := range kernels.All() {
		if isa.Name == name {
			return nil, usagef("--isa %s: this machine cannot run it; it runs %s", name, strings.Join(names[1:], ", "))
		}
	}
	return nil, oneOf("--isa", name, names...)
}
