package main

import (
	"cmp"
	"slices"
	"strings"

	"wrnc/codegen/cuda"
	"wrnc/compiler/ir"
	"wrnc/compiler/plan"
	"wrnc/dsl/diag"
	kernels "wrnc/kernels/cpu"
	"wrnc/runtime"
	"wrnc/runtime/cpu"
)

// target is a kind of machine that networks are compiled for.
type target struct {
	name string
	arch func(o machineType) (plan.Arch, error)
	emit func(p *plan.Plan, f *ir.Func) ([]plan.Source, error)                         // nil: plans are all there is
	load func(m *ir.Module, plans []*plan.Plan, o machine) (runtime.Executable, error) // nil: networks are built for it and not run
}

// machineType is what --isa and --arch say of a machine; empty where they say nothing.
type machineType struct{ isa, arch string }

// machine is how a target is to run.
type machine struct {
	isa     *kernels.ISA
	threads int
	poison  bool
}

// targets is the table of targets; --target auto takes the first.
func targets() []target {
	return []target{
		{name: "cpu", arch: cpuArch, load: loadCPU},
		{name: "cuda", arch: cudaArch, emit: cuda.Emit},
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

func loadCPU(m *ir.Module, plans []*plan.Plan, o machine) (runtime.Executable, error) {
	program, err := cpu.Load(m, plans, cpu.Options{ISA: o.isa, Threads: o.threads, Poison: o.poison})
	if err != nil {
		return nil, err // not program, which is a typed nil
	}
	return program, nil
}

// targetNames lists the targets that can be built for or, with run, those that
// this program runs on.
func targetNames(run bool) []string {
	var names []string
	for _, t := range targets() {
		if !run || t.load != nil {
			names = append(names, t.name)
		}
	}
	return names
}

// chooseTarget returns the row of --target's value among those that can be built
// for or, to run, those that this program runs on.
func chooseTarget(name string, run bool) (target, error) {
	names := targetNames(run)
	if name == "auto" {
		name = names[0]
	}
	for _, t := range targets() {
		switch {
		case t.name == name && slices.Contains(names, name):
			return t, nil
		case t.name == name:
			return target{}, usagef("--target %s: this version of wrnc builds for %s and does not run on it; leave --target out, or take one of %s", name, name, strings.Join(names, ", "))
		}
	}
	hint := ""
	if near := diag.Nearest(strings.ToLower(name), append(names, "auto")); near != "" {
		hint = ", did you mean " + near + "?"
	}
	return target{}, usagef("--target %s: expected auto or one of %s%s", name, strings.Join(names, ", "), hint)
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
