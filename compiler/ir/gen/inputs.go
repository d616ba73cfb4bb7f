package gen

import (
	"fmt"
	"math/rand/v2"

	"wrnc/compiler/ir"
	"wrnc/compiler/ir/interp"
)

// Inputs makes random tensors for every parameter of f, with the module's whole
// batch, and for every state of m: activations of order 1, labels inside the
// classes, numbers of pictures inside the data set, a small learning rate, states around how they start. A running
// state's second row, a variance or a sum of squares, is positive. All floats
// are representable in f32.
func Inputs(m *ir.Module, f *ir.Func, r *rand.Rand) (in, state map[string]*interp.Tensor) {
	in, state = map[string]*interp.Tensor{}, map[string]*interp.Tensor{}
	for _, p := range f.Params {
		in[p.Name] = param(p, limit(f, p), r)
	}
	for _, s := range m.States {
		state[s.Name] = start(s, r)
	}
	return in, state
}

// Cut returns the first n samples of a function's inputs: a short batch. None of
// them is resident.
func Cut(in map[string]*interp.Tensor, n int) map[string]*interp.Tensor {
	out := map[string]*interp.Tensor{}
	for name, t := range in {
		if t.Type.Rank() == 0 {
			out[name] = t
			continue
		}
		dims := append([]int{n}, t.Type.Dims[1:]...)
		short := &interp.Tensor{Type: ir.T(t.Type.DType, dims...)}
		elems := short.Type.Elems()
		if t.F != nil {
			short.F = t.F[:elems]
		} else {
			short.U = t.U[:elems]
		}
		out[name] = short
	}
	return out
}

// limit is the number of things that p may name: the fewest classes of any loss
// that reads it as labels, pictures of any data set that it picks from.
func limit(f *ir.Func, p *ir.Value) int {
	k := 0
	visit := func(n *ir.Node) {
		for i, a := range n.Args {
			if a != p || n.Op == ir.Fusion {
				continue
			}
			c := 0
			switch n.Op.Info().Args[i] {
			case ir.Labels:
				c = n.Args[0].Type.Channels()
			case ir.Order:
				c = n.Args[0].Type.Dims[0]
			}
			if c > 0 && (k == 0 || c < k) {
				k = c
			}
		}
	}
	for _, n := range f.Nodes {
		visit(n)
		if n.Body != nil {
			for _, b := range n.Body.Nodes {
				visit(b)
			}
		}
	}
	return max(k, 1)
}

func param(p *ir.Value, limit int, r *rand.Rand) *interp.Tensor {
	t := interp.New(p.Type)
	for i := range t.F {
		switch {
		case p.Type.DType == ir.U1:
			t.F[i] = float64(r.IntN(2))
		case p.Type.Rank() == 0:
			t.F[i] = single(0.05 + float64(0.1*r.Float64()))
		default:
			t.F[i] = single(r.NormFloat64())
		}
	}
	for i := range t.U {
		switch p.Type.DType {
		case ir.S32:
			t.U[i] = uint64(r.IntN(limit))
		case ir.U8:
			t.U[i] = uint64(r.IntN(256))
		default:
			t.U[i] = r.Uint64()
		}
	}
	return t
}

// start draws a state from its initial distribution; what would start constant
// gets values around the constant, so that nothing is lost in zeros.
func start(s *ir.State, r *rand.Rand) *interp.Tensor {
	t := interp.New(s.Type)
	for i := range t.F {
		a, b := s.Init.A, s.Init.B
		var v float64
		switch s.Init.Kind {
		case ir.Normal:
			v = a * r.NormFloat64()
		case ir.Uniform:
			v = a + float64((b-a)*r.Float64())
		case ir.Constant:
			v = a + float64(0.1*r.NormFloat64())
		case ir.Rows:
			if i < len(t.F)/2 {
				v = a + float64(0.5*r.NormFloat64())
			} else {
				v = b * (0.5 + r.Float64())
			}
		case ir.Identity:
			if c := s.Type.Channels(); i%c == i/c {
				v = a
			}
		default:
			panic(fmt.Sprintf("gen: state @%s has no initial distribution", s.Name))
		}
		t.F[i] = single(v)
	}
	return t
}

func single(v float64) float64 { return float64(float32(v)) }
