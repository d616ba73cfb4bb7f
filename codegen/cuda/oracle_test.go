package cuda

import (
	"fmt"
	"maps"
	"math"

	"wrnc/compiler/ir"
	"wrnc/compiler/ir/interp"
)

// compare holds what a region yielded to the interpreter. What follows from another
// yield is computed from that as the kernels left it: an element that they rounded
// to the other side then makes no difference to what comes after, and sums over
// rounded elements are held to the tolerance of sums.
func (g *rig) compare(r *region, n int, given map[*ir.Value]*interp.Tensor) error {
	known := maps.Clone(given)
	for _, v := range r.n.Body.Yields {
		b := r.buffer(g.p, g.f, v)
		raw, err := g.m.Read(g.mem[b], sized(g.p.Buffers[b], n))
		if err != nil {
			return err
		}
		t := v.Type
		if g.p.Buffers[b].Batched {
			t = ir.T(t.DType, append([]int{n}, t.Dims[1:]...)...)
		}
		g.yields = append(g.yields, raw)
		known[v] = &interp.Tensor{Type: t, F: floatsOf(g.p.Buffers[b].Type.DType, raw)}
	}
	for i, v := range r.n.Body.Yields {
		f, names := r.result(i, g.p, g.f)
		in := map[string]*interp.Tensor{samplesName: interp.New(ir.T(ir.F32, n, 1, 1, 1))}
		for v, name := range names {
			in[name] = known[v]
		}
		want, err := interp.Run(f, in, in, interp.Options{})
		if err != nil {
			return fmt.Errorf("the interpreter: %w", err)
		}
		if err := agree(want.Returns[0], known[v].F, r.tolerance(i)); err != nil {
			g.find(numerics, "result %d, %v: %v", i, v.Type, err)
		}
	}
	return nil
}

// Tolerances, relative to the largest element of a result, or of its row where a
// result has several numbers for each channel. Where nothing but Map ops lie between
// memory and memory it is zero: they agree to the bit. A Channel op rounds a few
// times, where the interpreter rounds once. A sum in f32 of terms in another order
// differs in its last bits; rounded to bf16, in its last.
const (
	tolChannel = 2e-6
	tolSum     = 3e-5
	tolTF32    = 1.0 / 1024
	tolBF16    = 1.0 / 128
)

// tolerance of result i, given what it is computed from.
func (r *region) tolerance(i int) float64 {
	of := map[*ir.Value]float64{} // none: exact
	for _, m := range r.leadingTo(i) {
		t := 0.0
		for _, a := range m.Args {
			t = max(t, of[a])
		}
		switch m.Op.Class() {
		case ir.Channel:
			t = max(t, tolChannel)
		case ir.Root, ir.Reduce, ir.Opaque:
			if m.Op != ir.MaxPool && m.Op != ir.MaxPoolGrad {
				t = max(t, tolSum)
			}
		}
		if m.Op == ir.Convert && t > 0 {
			t = max(t, map[ir.DType]float64{ir.BF16: tolBF16, ir.TF32: tolTF32}[m.Attrs.To])
		}
		for _, v := range m.Results {
			of[v] = t
		}
	}
	return of[r.n.Body.Yields[i]]
}

// agree compares elements; tolerance 0 asks for the same values.
func agree(want *interp.Tensor, got []float64, tolerance float64) error {
	if len(want.F) != len(got) {
		return fmt.Errorf("%d elements, expected %d", len(got), len(want.F))
	}
	row := max(1, len(want.F))
	if want.Type.Rank() == 2 {
		row = want.Type.Dims[1]
	}
	// Squared deviations far below the square of their mean have lost their digits to
	// the rounding of what they are computed from: those rows are held to a
	// ten-thousandth of the first row's square at least.
	head := 0.0
	for first := 0; first < len(got); first += row {
		scale := 1e-6
		for _, w := range want.F[first : first+row] {
			scale = max(scale, math.Abs(w))
		}
		if first > 0 {
			scale = max(scale, 1e-4*head*head)
		} else {
			head = scale
		}
		for i, w := range want.F[first : first+row] {
			if got := got[first+i]; !(math.Abs(got-w) <= tolerance*scale) && got != w {
				return fmt.Errorf("element %d is %v, the interpreter says %v (largest %v, tolerance %v)", first+i, got, w, scale, tolerance)
			}
		}
	}
	return nil
}
