package verify

import (
	"math/rand/v2"

	"wrnc/compiler/ir"
	"wrnc/compiler/ir/interp"
	"wrnc/compiler/plan"
	"wrnc/runtime"
)

// region runs a region's kernels alone and compares each of its results.
func (v *verifier) region(j job) error {
	n := v.o.Samples
	alone, err := j.region.Alone()
	if err != nil {
		return err
	}
	f := alone.Func
	p, err := j.of.Plan(f, v.target.Arch)
	if err != nil {
		return err
	}
	ex, err := v.target.Load(f.Module, []*plan.Plan{p})
	if err != nil {
		return err
	}
	defer ex.Close()
	given := j.region.Inputs(n, 0, rand.New(rand.NewPCG(v.o.Seed, 7)))
	in, known := map[string]*interp.Tensor{}, map[*ir.Value]*interp.Tensor{}
	for i, t := range given {
		in[alone.Inputs[i]], known[j.region.Node.Args[i]] = t, t
	}
	if err := setStates(ex, f.Module, in); err != nil {
		return err
	}
	got, err := call(ex, f, in, n)
	if err != nil {
		return err
	}
	for i, y := range alone.Yields {
		elems := got.states[y.State]
		if y.State == "" {
			elems = got.returns[y.Return]
		}
		known[j.region.Node.Body.Yields[i]] = j.region.Yielded(i, n, elems)
	}
	deviations, err := j.region.Check(n, known)
	if err != nil {
		return err
	}
	c := Check{Function: j.function, Region: j.region.Name(), Alike: j.alike, Against: Interpreter, Samples: n}
	for _, k := range j.region.Kernels {
		c.Kernels = append(c.Kernels, j.plan.Kernels[k].Name)
	}
	for _, d := range deviations {
		c.add(d)
	}
	v.report.Checks = append(v.report.Checks, c)
	return nil
}

// results are what a call leaves: its returns, and the states that it assigns.
type results struct {
	returns [][]float64
	states  map[string][]float64
}

// setStates sets the states of a module; those that are not given, which are written
// only, to zeros.
func setStates(ex runtime.Executable, m *ir.Module, state map[string]*interp.Tensor) error {
	for _, s := range m.States {
		values := make([]float32, s.Type.Elems())
		if t := state[s.Name]; t != nil {
			values = narrow(t.F)
		}
		if err := ex.WriteState(s.Name, values); err != nil {
			return err
		}
	}
	return nil
}

// call runs a function on n samples and reads back what it leaves.
func call(ex runtime.Executable, f *ir.Func, in map[string]*interp.Tensor, n int) (*results, error) {
	returns, err := ex.Run(f.Name, inputs(f, in, n))
	if err != nil {
		return nil, err
	}
	r := &results{states: map[string][]float64{}}
	for _, values := range returns {
		r.returns = append(r.returns, widen(values))
	}
	for _, a := range f.Assigns {
		values, err := ex.ReadState(a.State.Name)
		if err != nil {
			return nil, err
		}
		r.states[a.State.Name] = widen(values)
	}
	return r, nil
}

// inputs are the interpreter's, as a target takes them.
func inputs(f *ir.Func, in map[string]*interp.Tensor, n int) runtime.Inputs {
	out := runtime.Inputs{N: n, F32: map[string][]float32{}, Labels: map[string][]int32{}, U64: map[string]uint64{}}
	for _, p := range f.Params {
		t := in[p.Name]
		switch p.Type.DType {
		case ir.S32:
			for _, u := range t.U {
				out.Labels[p.Name] = append(out.Labels[p.Name], int32(u))
			}
		case ir.U64:
			out.U64[p.Name] = t.U[0]
		default:
			out.F32[p.Name] = narrow(t.F)
		}
	}
	return out
}

func narrow(values []float64) []float32 {
	out := make([]float32, len(values))
	for i, x := range values {
		out[i] = float32(x)
	}
	return out
}

func widen(values []float32) []float64 {
	out := make([]float64, len(values))
	for i, x := range values {
		out[i] = float64(x)
	}
	return out
}
