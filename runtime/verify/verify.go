// Package verify holds a target to the interpreter: the kernels of each region of a
// network on inputs of their own, and then its functions as a whole.
//
//	region    random inputs -> its kernels alone -> each result, by the rounding of its ops
//	function  random state  -> steps, evaluation, inference -> results and new state
//
// What goes wrong in a kernel shows in its region, with its name; what goes wrong
// between kernels, such as memory that is reused too early, shows in a function.
package verify

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"wrnc/compiler/ir"
	"wrnc/compiler/lower"
	"wrnc/compiler/oracle"
	"wrnc/compiler/plan"
	"wrnc/runtime"
)

// Target is what is verified.
type Target struct {
	Name string
	Arch plan.Arch
	Load func(m *ir.Module, plans []*plan.Plan) (runtime.Executable, error)
}

// Network is a compiled network for a target.
type Network struct {
	Module *ir.Module
	Target Target
}

// Options choose what is verified, and how.
type Options struct {
	Samples int     // of a call, from 1 to the module's batch
	Seed    uint64  // of the inputs
	Limit   float64 // multiply-adds that the interpreter may take for it all; the rest is left out

	// Other is the same network for a target to compare whole functions with, in the
	// precision that it computes in; nil: none.
	Other *Network

	// Progress is told what is next, and how far it is.
	Progress func(done, all int, next string)
}

// Report is what came of it.
type Report struct {
	Checks  []Check
	LeftOut []LeftOut
}

// OK tells whether everything that was checked is right.
func (r *Report) OK() bool {
	return !slices.ContainsFunc(r.Checks, func(c Check) bool { return !c.OK() })
}

// Check is a region or a function that was compared.
type Check struct {
	Function string
	Region   string // "": the function as a whole
	Kernels  []string
	Alike    int    // regions of the network that have these kernels
	Against  string // the interpreter, or a target
	Samples  int
	Worst    oracle.Deviation
	Wrong    []oracle.Deviation // every result that is off by more than its tolerance
}

// OK tells whether all results are within their tolerances.
func (c Check) OK() bool { return len(c.Wrong) == 0 }

// Name is what was compared.
func (c Check) Name() string { return cmp.Or(c.Region, c.Function) }

// add takes one more result.
func (c *Check) add(d oracle.Deviation) {
	if c.Worst.Name == "" || d.Worse(c.Worst) {
		c.Worst = d
	}
	if !d.OK() {
		c.Wrong = append(c.Wrong, d)
	}
}

// LeftOut is what would have taken the interpreter longer than it may.
type LeftOut struct {
	Function string
	Region   string // "": the function as a whole
	MACs     float64
}

// Interpreter is the name of what everything is compared with.
const Interpreter = "interpreter"

// job is a region or a whole function, and what it costs.
type job struct {
	function string
	region   *oracle.Region // nil: the function as a whole
	plan     *plan.Plan
	alike    int
	macs     float64
	skip     bool
}

func (j job) name() string {
	if j.region != nil {
		return j.region.Name()
	}
	return j.function
}

// Run verifies a network. An error means that the target could not do its work; the
// report has what was compared before.
func Run(ctx context.Context, n Network, o Options) (*Report, error) {
	if o.Samples < 1 || o.Samples > n.Module.Batch {
		return nil, fmt.Errorf("%d samples: the network is compiled for 1 to %d", o.Samples, n.Module.Batch)
	}
	plans, jobs, err := list(n, o.Samples)
	if err != nil {
		return nil, err
	}
	afford(jobs, o.Limit)
	v := &verifier{net: n, o: o, plans: plans, report: &Report{}}
	defer v.close()
	if slices.ContainsFunc(jobs, v.calls) { // first: this compiles all kernels at once
		if err := v.load(); err != nil {
			return v.report, err
		}
	}
	for i, j := range jobs {
		if err := ctx.Err(); err != nil {
			return v.report, err
		}
		if o.Progress != nil {
			o.Progress(i, len(jobs), j.name())
		}
		if err := v.run(j); err != nil {
			return v.report, fmt.Errorf("%s: %w", j.name(), err)
		}
	}
	if o.Progress != nil {
		o.Progress(len(jobs), len(jobs), "")
	}
	return v.report, nil
}

// list plans a network and finds what there is to verify. Regions that differ in
// names alone have the same kernels; the first stands for all.
func list(n Network, samples int) ([]*plan.Plan, []job, error) {
	var plans []*plan.Plan
	var regions, whole []job
	first := map[string]int{}
	for _, f := range n.Module.Funcs {
		p, err := lower.Plan(f, n.Target.Arch)
		if err != nil {
			return nil, nil, err
		}
		plans = append(plans, p)
		all := job{function: f.Name, plan: p}
		for _, r := range oracle.Regions(p, f) {
			cost := float64(samples) * r.MACs()
			all.macs += cost * float64(len(calls(f, samples)))
			key, err := r.Key()
			if err != nil {
				return nil, nil, err
			}
			if i, ok := first[key]; ok {
				regions[i].alike++
				continue
			}
			first[key] = len(regions)
			regions = append(regions, job{function: f.Name, region: r, plan: p, alike: 1, macs: cost})
		}
		whole = append(whole, all)
	}
	return plans, append(regions, whole...), nil
}

// afford marks what is left out: the cheapest jobs that together keep within the
// limit are done.
func afford(jobs []job, limit float64) {
	order := make([]int, len(jobs))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(jobs[a].macs, jobs[b].macs) })
	sum := 0.0
	for _, i := range order {
		sum += jobs[i].macs
		jobs[i].skip = sum > limit
	}
}

// verifier does the jobs.
type verifier struct {
	net    Network
	o      Options
	plans  []*plan.Plan
	report *Report

	loaded, other runtime.Executable // the whole network, once a function is run
}

func (v *verifier) close() {
	for _, e := range []runtime.Executable{v.loaded, v.other} {
		if e != nil {
			e.Close()
		}
	}
}

// calls tells whether a job calls a whole function.
func (v *verifier) calls(j job) bool { return j.region == nil && (!j.skip || v.o.Other != nil) }

func (v *verifier) run(j job) error {
	if j.region != nil {
		if j.skip {
			v.leaveOut(j)
			return nil
		}
		return v.region(j)
	}
	return v.function(j)
}

func (v *verifier) leaveOut(j job) {
	left := LeftOut{Function: j.function, MACs: j.macs}
	if j.region != nil {
		left.Region = j.region.Name()
	}
	v.report.LeftOut = append(v.report.LeftOut, left)
}
