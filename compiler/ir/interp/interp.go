// Package interp evaluates any [ir.Func]: slow and obvious, it is the meaning of
// each op and the oracle of every target.
//
// In the float32 mode, which is what a target computes, the result of each op is
// rounded as the op says: affine, affine2, axpy and descend are chains of fused
// multiply-adds, each rounded once; roots and reductions accumulate in float64
// and round once, since the order of their terms is a target's own business;
// Channel ops and the loss are computed in float64 and rounded once per result;
// everything else rounds each sum and product. In the float64 mode nothing is
// rounded and convert is the identity, for tests of gradients by finite differences.
//
// A fusion means its body. A module declared for a batch of N samples runs with
// any n <= N of them: n is the leading dimension of the tensors passed in, and
// element counts of batch norm and the mean of the loss follow it.
package interp

import (
	"fmt"

	"wrnc/compiler/ir"
)

// Options choose how a function is evaluated.
type Options struct {
	Float64 bool                         // no rounding at all
	Trace   func(v *ir.Value, t *Tensor) // called with each value of each node, those of fusion bodies too; may be nil
}

// Result is what a function computes.
type Result struct {
	Returns []*Tensor          // in the order of ir.Func.Returns
	State   map[string]*Tensor // the new values of the states that the function assigns
}

// Run evaluates f. in holds a tensor for each parameter and state one for each
// state that f reads. A tensor has the type declared, but for the leading
// dimension of parameters that are not resident, the batch, which may be smaller
// and is then the same for all of them. Results may share storage with inputs; nothing passed in is
// changed.
//
// It is an error if a tensor is missing or of another shape, if a label is
// outside the classes or a picture outside the data set, if batch norm in training sees a single element a
// channel, or if a value has more than MaxElems elements.
func Run(f *ir.Func, in, state map[string]*Tensor, opt Options) (*Result, error) {
	m := &machine{opt: opt, table: meanings(), batch: f.Module.Batch, state: state, env: map[*ir.Value]*Tensor{}}
	if err := m.bind(f, in); err != nil {
		return nil, fmt.Errorf("func %s: %w", f.Name, err)
	}
	for _, n := range f.Nodes {
		if err := m.eval(n); err != nil {
			return nil, fmt.Errorf("func %s: %w", f.Name, err)
		}
	}
	res := &Result{State: map[string]*Tensor{}}
	for _, v := range f.Returns {
		t, err := m.value(v)
		if err != nil {
			return nil, fmt.Errorf("func %s: return: %w", f.Name, err)
		}
		res.Returns = append(res.Returns, t)
	}
	for _, a := range f.Assigns {
		t, err := m.value(a.Value)
		if err != nil {
			return nil, fmt.Errorf("func %s: @%s: %w", f.Name, a.State.Name, err)
		}
		res.State[a.State.Name] = t
	}
	return res, nil
}

// machine is the state of one run.
type machine struct {
	opt   Options
	table map[ir.Op]meaning
	batch int // N, the module's
	n     int // samples of this run
	state map[string]*Tensor
	env   map[*ir.Value]*Tensor
}

// bind checks the parameters and takes the number of samples from them.
func (m *machine) bind(f *ir.Func, in map[string]*Tensor) error {
	m.n = m.batch
	first := ""
	for _, p := range f.Params {
		t := in[p.Name]
		if t == nil {
			return fmt.Errorf("parameter %%%s : %v has no tensor", p.Name, p.Type)
		}
		want := p.Type
		if p.Type.Rank() > 0 && t.Type.Rank() > 0 && !p.Resident {
			n := t.Type.Dims[0]
			switch {
			case n < 1 || n > m.batch:
				return fmt.Errorf("parameter %%%s has %d samples; the module is declared for 1 to %d", p.Name, n, m.batch)
			case first == "":
				first, m.n = p.Name, n
			case n != m.n:
				return fmt.Errorf("parameter %%%s has %d samples, %%%s has %d", p.Name, n, first, m.n)
			}
			want = withBatch(p.Type, n)
		}
		if err := t.check(want); err != nil {
			return fmt.Errorf("parameter %%%s: %w", p.Name, err)
		}
		m.env[p] = m.leaf(t)
	}
	return nil
}

// value returns the tensor of a value; a state's is checked when it is first read.
func (m *machine) value(v *ir.Value) (*Tensor, error) {
	if t := m.env[v]; t != nil {
		return t, nil
	}
	if v.State == nil {
		return nil, fmt.Errorf("a value is read before it is defined; the module is not verified")
	}
	t := m.state[v.State.Name]
	if t == nil {
		return nil, fmt.Errorf("state @%s : %v has no tensor", v.State.Name, v.Type)
	}
	if err := t.check(v.Type); err != nil {
		return nil, fmt.Errorf("state @%s: %w", v.State.Name, err)
	}
	t = m.leaf(t)
	m.env[v] = t
	return t, nil
}

// eval computes one node, a fusion by its body.
func (m *machine) eval(n *ir.Node) error {
	args := make([]*Tensor, len(n.Args))
	for i, a := range n.Args {
		t, err := m.value(a)
		if err != nil {
			return fmt.Errorf("%s (%s): %w", n.Op, n.Layer, err)
		}
		if fixed(n, i) && !t.Type.SameDims(a.Type) {
			return fmt.Errorf("%s (%s): operand %d, %v, does not depend on the batch, but is a parameter cut to %v with the batch", n.Op, n.Layer, i, a.Type, t.Type)
		}
		args[i] = t
	}
	out, err := m.table[n.Op](m, n, args)
	if err != nil {
		return fmt.Errorf("%s (%s): %w", n.Op, n.Layer, err)
	}
	for i, r := range n.Results {
		m.env[r] = out[i]
		if m.opt.Trace != nil {
			m.opt.Trace(r, out[i])
		}
	}
	return nil
}

// fixed reports whether the operand's shape does not depend on the batch. A
// module may name a parameter there; a short batch then makes no sense.
func fixed(n *ir.Node, operand int) bool {
	if n.Op == ir.Fusion {
		return false
	}
	role := n.Op.Info().Args[operand]
	return role == ir.Weight || role == ir.Vec || role == ir.Pictures || role == ir.Table
}

// fusion evaluates the body in order; what leaves it is what it yields.
func fusion(m *machine, n *ir.Node, _ []*Tensor) ([]*Tensor, error) {
	for _, b := range n.Body.Nodes {
		if err := m.eval(b); err != nil {
			return nil, err
		}
	}
	var out []*Tensor
	for _, y := range n.Body.Yields {
		t, err := m.value(y)
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}
