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

// Network is a compiled network, and how it is planned.
type Network struct {
	Module *ir.Module
	Plan   func(f *ir.Func, arch plan.Arch) (*plan.Plan, error) // such as lower.Plan

	// Other is the same network for a target to compare whole functions with, in the
	// precision that it computes in; nil: none.
	Other *Other
}

// Other is a network on another target.
type Other struct {
	Network
	Target Target
}

// Options choose what is verified, and how.
type Options struct {
	Samples int     // of a call, from 1 to the module's batch
	Seed    uint64  // of the inputs
	Limit   float64 // multiply-adds that the interpreter may take for it all; the rest is left out

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
	of       *subject
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

// subject is a network under way.
type subject struct {
	Network
	plans []*plan.Plan // of its functions, in order

	loaded, other runtime.Executable // once a function is to be called
}

func (s *subject) close() {
	for _, e := range []*runtime.Executable{&s.loaded, &s.other} {
		if *e != nil {
			(*e).Close()
			*e = nil
		}
	}
}

// Run verifies networks, of which several may be one that is compiled for several uses,
// on a target. An error means that the target could not do its work; the report has what
// was compared before.
func Run(ctx context.Context, t Target, nets []Network, o Options) (*Report, error) {
	jobs, err := list(t, nets, o.Samples)
	if err != nil {
		return nil, err
	}
	afford(jobs, o.Limit)
	v := &verifier{target: t, o: o, report: &Report{}}
	for _, j := range jobs {
		defer j.of.close()
	}
	for _, j := range jobs { // first: this compiles all kernels at once
		if j.calls() && j.of.loaded == nil {
			if err := v.load(j.of); err != nil {
				return v.report, err
			}
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

// list plans networks and finds what there is to verify. Regions that differ in names
// alone have the same kernels; the first stands for all.
func list(t Target, nets []Network, samples int) ([]job, error) {
	var regions, whole []job
	first := map[string]int{}
	for _, n := range nets {
		if batch := n.Module.Batch; samples < 1 || samples > batch {
			return nil, fmt.Errorf("%d samples: the network is compiled for 1 to %d", samples, batch)
		}
		s := &subject{Network: n}
		for _, f := range n.Module.Funcs {
			p, err := n.Plan(f, t.Arch)
			if err != nil {
				return nil, err
			}
			s.plans = append(s.plans, p)
			all := job{of: s, function: f.Name, plan: p}
			for _, r := range oracle.Regions(p, f) {
				cost := float64(samples) * r.MACs()
				for _, n := range calls(f, samples) {
					all.macs += float64(n) * r.MACs()
				}
				key, err := r.Key()
				if err != nil {
					return nil, err
				}
				if i, ok := first[key]; ok {
					regions[i].alike++
					continue
				}
				first[key] = len(regions)
				regions = append(regions, job{of: s, function: f.Name, region: r, plan: p, alike: 1, macs: cost})
			}
			whole = append(whole, all)
		}
	}
	return append(regions, whole...), nil
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
	target Target
	o      Options
	report *Report
}

// calls tells whether a job calls a whole function.
func (j job) calls() bool { return j.region == nil && (!j.skip || j.of.Other != nil) }

func (v *verifier) run(j job) error {
	if j.skip {
		v.leaveOut(j)
	}
	switch {
	case j.calls():
		return v.function(j)
	case !j.skip:
		return v.region(j)
	}
	return nil
}

func (v *verifier) leaveOut(j job) {
	left := LeftOut{Function: j.function, MACs: j.macs}
	if j.region != nil {
		left.Region = j.region.Name()
	}
	v.report.LeftOut = append(v.report.LeftOut, left)
}
