package main

import (
	"strings"

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
	arch func(isa *kernels.ISA) plan.Arch
	load func(m *ir.Module, plans []*plan.Plan, o machine) (runtime.Executable, error)
}

// machine is how a target is to run.
type machine struct {
	isa     *kernels.ISA
	threads int
	poison  bool
}

// targets is the table of targets; --target auto takes the first.
func targets() []target {
	return []target{
		{name: "cpu", arch: cpu.Arch, load: loadCPU},
	}
}

func loadCPU(m *ir.Module, plans []*plan.Plan, o machine) (runtime.Executable, error) {
	program, err := cpu.Load(m, plans, cpu.Options{ISA: o.isa, Threads: o.threads, Poison: o.poison})
	if err != nil {
		return nil, err // not program, which is a typed nil
	}
	return program, nil
}

func targetNames() []string {
	var names []string
	for _, t := range targets() {
		names = append(names, t.name)
	}
	return names
}

// chooseTarget returns the row of --target's value.
func chooseTarget(name string) (target, error) {
	for i, t := range targets() {
		if name == t.name || name == "auto" && i == 0 {
			return t, nil
		}
	}
	names := targetNames()
	if name == "cuda" {
		return target{}, usagef("--target cuda: this version of wrnc has no CUDA target; leave --target out, or take one of %s", strings.Join(names, ", "))
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
