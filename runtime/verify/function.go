package verify

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"wrnc/compiler/ir"
	"wrnc/compiler/ir/gen"
	"wrnc/compiler/ir/interp"
	"wrnc/compiler/oracle"
	"wrnc/compiler/plan"
)

// tolerances are those of whole functions: of the norm of a result, or of a state's
// change. Sums in another order differ in their last bits, which decide some ReLUs near
// zero and some roundings to fewer bits. A ReLU that is tipped over changes next to
// nothing in what follows, but a term of each gradient before it. Regions are held to
// their own rounding; what shows here is whether they fit together: an update that is
// missing is an error of 1.
type tolerances struct {
	forward  float64 // of results, and of states that no gradient moves
	backward float64 // of parameters and velocities; infinite: they are not compared
}

var (
	exact32  = tolerances{1e-3, 0.1}
	narrowed = tolerances{0.1, 0.5}         // of numbers that both round to fewer bits alike
	other    = tolerances{0.1, math.Inf(1)} // of fewer bits against f32, whose gradients have other ReLUs
)

// calls are the numbers of samples of the calls by which a function is compared: two, of
// which the second finds what the first has left. Of a function that assigns states the
// second is short by one sample where that leaves two, which a batch norm may need; of
// another one it is a sample alone.
func calls(f *ir.Func, samples int) []int {
	if len(f.Assigns) == 0 {
		return []int{samples, 1}
	}
	return []int{samples, max(samples-1, min(samples, 2))}
}

// function runs a whole function on the target, and compares it with the interpreter,
// unless that is to be left out, and with the other target.
func (v *verifier) function(j job) error {
	f := j.of.Module.Func(j.function)
	in, state := gen.Inputs(j.of.Module, f, rand.New(rand.NewPCG(v.o.Seed, 8)))
	var checks []*Check
	compare := func(against string, n int, t tolerances, want *interp.Result, got *results) error {
		i := slices.IndexFunc(checks, func(c *Check) bool { return c.Against == against })
		if i < 0 {
			i = len(checks)
			checks = append(checks, &Check{Function: j.function, Against: against, Samples: n})
		}
		return checks[i].whole(f, want, got, state, t)
	}
	if err := setStates(j.of.loaded, j.of.Module, state); err != nil {
		return err
	}
	for i, n := range calls(f, v.o.Samples) {
		part := gen.Cut(in, n)
		if step := part["step"]; step != nil {
			part["step"] = interp.Words(step.Type, uint64(i))
		}
		got, err := call(j.of.loaded, f, part, n)
		if err != nil {
			return err
		}
		if !j.skip {
			want, err := interp.Run(f, part, state, interp.Options{})
			if err != nil {
				return fmt.Errorf("the interpreter: %w", err)
			}
			if err := compare(Interpreter, n, tolerancesOf(f), want, got); err != nil {
				return err
			}
		}
		if o := j.of.Other; o != nil {
			want, err := j.of.byOther(f, part, state, n)
			if err != nil {
				return fmt.Errorf("%s: %w", o.Target.Name, err)
			}
			if err := compare(o.Target.Name, n, o.tolerances(f), want, got); err != nil {
				return err
			}
		}
		for name, values := range got.states {
			state[name] = interp.Floats(state[name].Type, values...)
		}
	}
	for _, c := range checks {
		v.report.Checks = append(v.report.Checks, *c)
	}
	return nil
}

// whole compares all that a call leaves, of the states how they changed.
func (c *Check) whole(f *ir.Func, want *interp.Result, got *results, old map[string]*interp.Tensor, t tolerances) error {
	note := func(name string, want *interp.Tensor, got []float64, tolerance float64) error {
		d, err := oracle.CompareWhole(name, want, got, tolerance)
		if err == nil {
			c.add(d)
		}
		return err
	}
	for i, w := range want.Returns {
		if err := note(fmt.Sprintf("result %d, %v", i, w.Type), w, got.returns[i], t.forward); err != nil {
			return err
		}
	}
	for _, a := range f.Assigns {
		tolerance := t.backward
		if a.State.Role == ir.Running {
			tolerance = t.forward
		}
		if math.IsInf(tolerance, 1) {
			continue
		}
		before, after := old[a.State.Name].F, want.State[a.State.Name]
		change := interp.Floats(after.Type, minus(after.F, before)...)
		if least, most := 1e-3*norm(before), norm(change.F); most < least { // lost in the last bits of the state
			tolerance *= least / max(most, 1e-6)
		}
		if err := note("change of @"+a.State.Name, change, minus(got.states[a.State.Name], before), tolerance); err != nil {
			return err
		}
	}
	return nil
}

// minus is a - b; of other lengths it is a, which Compare refuses.
func minus(a, b []float64) []float64 {
	if len(a) != len(b) {
		return a
	}
	d := make([]float64, len(a))
	for i := range a {
		d[i] = a[i] - b[i]
	}
	return d
}

func norm(values []float64) float64 {
	sum := 0.0
	for _, x := range values {
		sum += float64(x * x)
	}
	return math.Sqrt(sum)
}

// tolerancesOf a function as a whole.
func tolerancesOf(f *ir.Func) tolerances {
	for _, n := range f.Nodes {
		if slices.ContainsFunc(n.Body.Nodes, func(b *ir.Node) bool { return b.Op == ir.Convert }) {
			return narrowed
		}
	}
	return exact32
}

// tolerances are those against the other target, whose precision may be another.
func (o *Other) tolerances(f *ir.Func) tolerances {
	if t := tolerancesOf(f); t == tolerancesOf(o.Module.Func(f.Name)) {
		return t
	}
	return other
}

// load loads a whole network, and the other target's.
func (v *verifier) load(s *subject) error {
	loaded, err := v.target.Load(s.Module, s.plans)
	if err != nil {
		return err
	}
	if s.loaded = loaded; s.Other == nil {
		return nil
	}
	var plans []*plan.Plan
	for _, f := range s.Other.Module.Funcs {
		p, err := s.Other.Plan(f, s.Other.Target.Arch)
		if err != nil {
			return err
		}
		plans = append(plans, p)
	}
	other, err := s.Other.Target.Load(s.Other.Module, plans)
	if err == nil {
		s.other = other
	}
	return err
}

// byOther is what the other target makes of a call.
func (s *subject) byOther(f *ir.Func, in, state map[string]*interp.Tensor, n int) (*interp.Result, error) {
	m := s.Other.Module
	if err := setStates(s.other, m, state); err != nil {
		return nil, err
	}
	got, err := call(s.other, m.Func(f.Name), in, n)
	if err != nil {
		return nil, err
	}
	want := &interp.Result{State: map[string]*interp.Tensor{}}
	for i, r := range f.Returns {
		t := r.Type
		if t.Rank() == 4 {
			t = ir.T(t.DType, append([]int{n}, t.Dims[1:]...)...)
		}
		want.Returns = append(want.Returns, interp.Floats(t, got.returns[i]...))
	}
	for _, a := range f.Assigns {
		want.State[a.State.Name] = interp.Floats(a.State.Type, got.states[a.State.Name]...)
	}
	return want, nil
}
