package cpu

import (
	"fmt"

	"wrnc/compiler/ir"
	"wrnc/compiler/plan"
	kernels "wrnc/kernels/cpu"
)

// tape is a plan's tape bound to row functions.
type tape struct {
	k     *bound
	grid  plan.Grid
	steps []step
}

type step struct {
	run   func(e *env, s *step)
	dst   plan.Ref
	src   []plan.Ref
	attrs ir.Attrs
}

// env is the row, or the rows, that a tape runs on.
type env struct {
	w      *worker
	k      *bound
	at     int       // linear index of the row's first element in its domain
	sample int       // of the row
	px, c  int       // pixels and channels of the row
	unit   int       // of the kernel, for partials
	seen   int       // pixels of the unit that its partials already hold
	tile   []float32 // where a prologue writes
	result []float32 // the root's row
}

func (k *bound) bindTape(t plan.Tape, g plan.Grid) (*tape, error) {
	b := &tape{k: k, grid: g}
	for _, op := range t.Ops {
		fn, ok := rowFuncs[op.Op]
		if !ok {
			return nil, fmt.Errorf("no row function for %s", op.Op)
		}
		b.steps = append(b.steps, step{run: fn, dst: op.Dst, src: op.Src, attrs: op.Attrs})
	}
	return b, nil
}

// rows runs the tape on n neighbouring rows of its domain, as on one long row.
func (t *tape) rows(e *env, sample, row, n int) {
	g := &t.grid
	e.sample, e.px, e.c = sample, n*g.Px, g.C
	e.at = (sample*g.Rows + row) * g.Px * g.C
	if g.Tail > 0 && row+n == g.Rows {
		e.px -= g.Px - g.Tail
	}
	for i := range t.steps {
		t.steps[i].run(e, &t.steps[i])
	}
}

// begin prepares the worker for a unit of kernel k.
func (w *worker) begin(k *bound, unit int) *env {
	w.env = env{w: w, k: k, unit: unit}
	for i := range k.Reduces {
		clear(w.env.partial(i))
	}
	return &w.env
}

// partial is the current unit's part of a Reduce.
func (e *env) partial(i int) []float32 {
	r := &e.k.Reduces[i]
	buf := e.k.arg(r.Partial)
	n := len(buf) / e.k.Grid.Units(e.k.f.plan.Batch)
	return buf[e.unit*n : (e.unit+1)*n]
}

// f is the memory of an operand: the current row, or a whole vector.
func (e *env) f(r plan.Ref) []float32 {
	n := e.px * e.c
	switch r.Kind {
	case plan.Slot:
		return e.w.floats(e.k.layout.Slots+r.Index*e.k.layout.Stride, n)
	case plan.Row:
		return e.k.arg(r.Index)[e.at : e.at+n]
	case plan.Result:
		return e.result[:n]
	case plan.Tile:
		return e.tile[:n]
	case plan.Pixel:
		return e.k.arg(r.Index)[e.sample*e.c : (e.sample+1)*e.c]
	case plan.Partial:
		return e.partial(r.Index)
	}
	return e.k.arg(r.Index) // Vector, f32 Scalar
}

func (e *env) u64(r plan.Ref) uint64 { return e.k.f.scalars[e.k.args[r.Index]] }

func (e *env) isa() *kernels.ISA { return e.w.p.opts.ISA }

// rowFuncs is the table from an op of a tape to its row function. The names of
// single ops are those of the IR's op table; joined ones come from lower's
// second table.
var rowFuncs = map[string]func(e *env, s *step){
	"copy":      copyRow,
	"relu":      func(e *env, s *step) { e.isa().Relu(e.f(s.dst), e.f(s.src[0]), e.px*e.c) },
	"relu_grad": func(e *env, s *step) { e.isa().ReluGrad(e.f(s.dst), e.f(s.src[0]), e.f(s.src[1]), e.px*e.c) },
	"add":       func(e *env, s *step) { e.isa().Add(e.f(s.dst), e.f(s.src[0]), e.f(s.src[1]), e.px*e.c) },
	"mul":       func(e *env, s *step) { e.isa().Mul(e.f(s.dst), e.f(s.src[0]), e.f(s.src[1]), e.px*e.c) },
	"scale": func(e *env, s *step) {
		e.isa().Scale(e.f(s.dst), e.f(s.src[0]), float32(s.attrs.Alpha), e.px*e.c)
	},
	"sigmoid": func(e *env, s *step) { e.isa().Sigmoid(e.f(s.dst), e.f(s.src[0]), e.px*e.c) },
	"sigmoid_grad": func(e *env, s *step) {
		e.isa().SigmoidGrad(e.f(s.dst), e.f(s.src[0]), e.f(s.src[1]), e.px*e.c)
	},
	"add_channel": func(e *env, s *step) {
		e.isa().AddChannel(e.f(s.dst), e.f(s.src[0]), e.f(s.src[1]), e.px, e.c)
	},
	"affine": func(e *env, s *step) { e.isa().Affine(e.f(s.dst), e.f(s.src[0]), e.f(s.src[1]), e.px, e.c) },
	"affine2": func(e *env, s *step) {
		e.isa().Affine2(e.f(s.dst), e.f(s.src[0]), e.f(s.src[1]), e.f(s.src[2]), e.px, e.c)
	},
	"affine_relu": func(e *env, s *step) { e.isa().AffineRelu(e.f(s.dst), e.f(s.src[0]), e.f(s.src[1]), e.px, e.c) },
	"affine_relu_grad": func(e *env, s *step) {
		e.isa().AffineReluGrad(e.f(s.dst), e.f(s.src[0]), e.f(s.src[1]), e.f(s.src[2]), e.px, e.c)
	},
	"axpy": func(e *env, s *step) {
		e.isa().Axpy(e.f(s.dst), float32(s.attrs.Alpha), e.f(s.src[0]), e.f(s.src[1]), e.px*e.c)
	},
	"descend": func(e *env, s *step) {
		e.isa().Axpy(e.f(s.dst), -e.f(s.src[2])[0], e.f(s.src[1]), e.f(s.src[0]), e.px*e.c)
	},
	"dropout_mask": func(e *env, s *step) {
		e.isa().DropoutMask(words(e.f(s.dst)), uint64(e.at), e.px*e.c, e.u64(s.src[0]), e.u64(s.src[1]), s.attrs.StreamID(), uint32(s.attrs.KeepThreshold()))
	},
	"mask_scale": func(e *env, s *step) {
		e.isa().MaskScale(e.f(s.dst), e.f(s.src[0]), words(e.f(s.src[1])), e.px*e.c, float32(s.attrs.KeepScale()))
	},
	"avgpool_grad": poolGradRow,
	"bn_stats":     func(e *env, s *step) { e.isa().BNStats(e.f(s.dst), e.seen, e.f(s.src[0]), e.px, e.c) },
	"bn_grad_stats": func(e *env, s *step) {
		e.isa().BNGradStats(e.f(s.dst), e.f(s.src[0]), e.f(s.src[1]), e.f(s.src[2])[:e.c], e.px, e.c)
	},
	"channel_sum": func(e *env, s *step) { e.isa().SumRows(e.f(s.dst), e.f(s.src[0]), e.px, e.c) },
}

// copyRow has nothing to do where the root's result lies in its home.
func copyRow(e *env, s *step) {
	if dst, src := e.f(s.dst), e.f(s.src[0]); &dst[0] != &src[0] {
		copy(dst, src)
	}
}

// poolGradRow spreads the gradient of a mean over the picture's row.
func poolGradRow(e *env, s *step) {
	dst, g := e.f(s.dst), e.f(s.src[0])
	area := float32(s.attrs.Height * s.attrs.Width)
	for i, v := range g {
		dst[i] = v / area
	}
	for p := 1; p < e.px; p++ {
		copy(dst[p*e.c:(p+1)*e.c], dst[:e.c])
	}
}
