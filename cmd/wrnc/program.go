package main

import (
	"fmt"
	"slices"

	"wrnc/compiler/ir"
	"wrnc/compiler/irgen"
	"wrnc/compiler/plan"
	"wrnc/runtime"
	"wrnc/runtime/data"
)

// planner is lower.Plan or lower.PlanPrepared.
type planner func(*ir.Func, plan.Arch) (*plan.Plan, error)

// layOut plans functions of a compiled module; no names means all of them.
func layOut(m *ir.Module, arch plan.Arch, lay planner, functions ...string) ([]*plan.Plan, error) {
	if len(functions) == 0 {
		for _, f := range m.Funcs {
			functions = append(functions, f.Name)
		}
	}
	var plans []*plan.Plan
	for _, name := range functions {
		f := m.Func(name)
		if f == nil {
			return nil, fmt.Errorf("%s has no function %s", m.Name, name)
		}
		p, err := lay(f, arch)
		if err != nil {
			return nil, err
		}
		if err := p.VerifyAgainst(f); err != nil {
			return nil, faultError{fmt.Sprintf("the plan of %s breaks a rule: %v", name, err)}
		}
		plans = append(plans, p)
	}
	return plans, nil
}

// laidOut is a compiled module, planned.
type laidOut struct {
	module  *ir.Module
	plans   []*plan.Plan // of the functions that are called
	known   []*plan.Plan // by which a training is known, whether it is shown on a page or not
	kept    []keptSet    // data sets that the machine keeps; none where the host makes the batches
	loaders []*plan.Plan // that make batches of them
}

// keptSet is a data set in the machine's memory, and the function that makes the
// batches of another of it.
type keptSet struct {
	loader    irgen.Loader
	feeds     string
	set       *data.Set
	normalize data.Normalize
}

func bytesOf(kept []keptSet) int {
	bytes := 0
	for _, k := range kept {
		bytes += len(k.set.Images)
	}
	return bytes
}

// load loads what was laid out on a machine. What was planned must be what the target
// takes, to the byte: the user is told so.
func (l *laidOut) load(on machine) (runtime.Executable, error) {
	ex, err := on.load(l.module, slices.Concat(l.plans, l.loaders), l.kept)
	if err != nil {
		return nil, err
	}
	if took, planned := ex.Allocated(), memoryOf(l.plans).peak(on.workers()); took != planned {
		ex.Close()
		return nil, faultError{fmt.Sprintf("the target took %d bytes where %d were planned", took, planned)}
	}
	return ex, nil
}

// start plans functions of a compiled module and loads them on a machine.
func start(m *ir.Module, on machine, lay planner, functions ...string) (runtime.Executable, []*plan.Plan, error) {
	plans, err := layOut(m, on.arch(), lay, functions...)
	if err != nil {
		return nil, nil, err
	}
	if err := on.afford(memoryOf(plans)); err != nil {
		return nil, nil, err
	}
	ex, err := (&laidOut{module: m, plans: plans}).load(on)
	return ex, plans, err
}

// alone returns the module of one function and of the states that it reads: what is
// left of a network when it is no longer trained.
func alone(m *ir.Module, name string) (*ir.Module, error) {
	f := m.Func(name)
	if f == nil {
		return nil, fmt.Errorf("%s has no function %s", m.Name, name)
	}
	read := map[*ir.State]bool{}
	for _, n := range f.Nodes {
		for _, a := range n.Args {
			if a.State != nil {
				read[a.State] = true
			}
		}
	}
	only := &ir.Module{Name: m.Name, Batch: m.Batch}
	for _, s := range m.States {
		if read[s] {
			only.States = append(only.States, s)
		}
	}
	copied := *f
	copied.Module = only
	only.Funcs = []*ir.Func{&copied}
	return only, nil
}

// memory is what plans that share their memory need, in bytes.
type memory struct {
	state, arena, counters, scratch int // scratch is one worker's
}

// memoryOf is the memory of an executable that holds all of the plans.
func memoryOf(plans []*plan.Plan) memory {
	var m memory
	for _, p := range plans {
		m.state, m.arena = max(m.state, p.State), max(m.arena, p.Arena)
		m.counters, m.scratch = max(m.counters, p.Counters), max(m.scratch, p.Scratch)
	}
	return m
}

// peak is the whole for a number of workers.
func (m memory) peak(workers int) int { return m.state + m.arena + m.counters + workers*m.scratch }

// formatBytes prints a size in its largest binary unit.
func formatBytes(n int) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}
	size, i := float64(n), 0
	for size >= 1024 && i < len(units)-1 {
		size /= 1024
		i++
	}
	if i == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", size, units[i])
}

// formatCount prints a number with a comma between thousands.
func formatCount(n int64) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
