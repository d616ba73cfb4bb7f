package oracle

import (
	"fmt"
	"math"

	"wrnc/compiler/ir"
	"wrnc/compiler/ir/interp"
)

// Yielded makes a tensor of what was computed for the region's result i of n samples.
func (r *Region) Yielded(i, n int, elems []float64) *interp.Tensor {
	return &interp.Tensor{Type: r.typed(r.Node.Body.Yields[i], n), F: elems}
}

// Check compares the region's results for n samples with the interpreter. known holds
// what the region captures (its node's operands) and what was computed of it (its
// body's yields). What follows from another yield is computed from that as it is: an
// element that was rounded to the other side then makes no difference to what comes
// after, and sums over rounded elements are held to the tolerance of sums.
func (r *Region) Check(n int, known map[*ir.Value]*interp.Tensor) ([]Deviation, error) {
	var list []Deviation
	for i, v := range r.Node.Body.Yields {
		f, names := r.result(i)
		in := map[string]*interp.Tensor{samplesName: interp.New(ir.T(ir.F32, n, 1, 1, 1))}
		for v, name := range names {
			in[name] = known[v]
		}
		want, err := interp.Run(f, in, in, interp.Options{})
		if err != nil {
			return nil, fmt.Errorf("the interpreter: %w", err)
		}
		d, err := Compare(fmt.Sprintf("result %d, %v", i, v.Type), want.Returns[0], known[v].F, r.tolerance(i))
		if err != nil {
			return nil, err
		}
		list = append(list, d)
	}
	return list, nil
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
func (r *Region) tolerance(i int) float64 {
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
	return of[r.Node.Body.Yields[i]]
}

// Deviation is how far a result is from what it must be.
type Deviation struct {
	Name      string
	Tolerance float64 // 0: the same values
	Error     float64 // the largest difference, or that of the whole, relative to Scale; infinite for what is no number
	Element   int     // that is the farthest off
	Got, Want float64
	Scale     float64 // the largest element that Element is held against, or the norm
}

// OK tells whether the error is within the tolerance.
func (d Deviation) OK() bool { return d.Error <= d.Tolerance }

// Worse tells whether d uses more of its tolerance than e.
func (d Deviation) Worse(e Deviation) bool {
	if d.Tolerance == 0 || e.Tolerance == 0 || d.OK() != e.OK() {
		return !d.OK() && (e.OK() || d.Error > e.Error) || d.OK() && e.OK() && e.Tolerance == 0 && d.Tolerance > 0
	}
	return d.Error/d.Tolerance > e.Error/e.Tolerance
}

func (d Deviation) String() string {
	return fmt.Sprintf("%s: element %d is %v, expected %v (scale %v, tolerance %v)", d.Name, d.Element, d.Got, d.Want, d.Scale, d.Tolerance)
}

// Compare compares elements; tolerance 0 asks for the same values.
func Compare(name string, want *interp.Tensor, got []float64, tolerance float64) (Deviation, error) {
	if len(want.F) != len(got) {
		return Deviation{}, fmt.Errorf("%s: %d elements, expected %d", name, len(got), len(want.F))
	}
	row := max(1, len(want.F))
	if want.Type.Rank() == 2 {
		row = want.Type.Dims[1]
	}
	// Squared deviations far below the square of their mean have lost their digits to
	// the rounding of what they are computed from: those rows are held to a
	// ten-thousandth of the first row's square at least.
	worst := Deviation{Name: name, Tolerance: tolerance, Error: -1}
	head := 0.0
	for first := 0; first < len(got); first += row {
		scale := 1e-6
		for _, w := range want.F[first : first+row] {
			scale = max(scale, size(w))
		}
		if first > 0 {
			scale = max(scale, 1e-4*head*head)
		} else {
			head = scale
		}
		for i, w := range want.F[first : first+row] {
			if e := distance(got[first+i], w) / scale; e > worst.Error {
				worst.Error, worst.Element, worst.Got, worst.Want, worst.Scale = e, first+i, got[first+i], w, scale
			}
		}
	}
	worst.Error = max(worst.Error, 0)
	return worst, nil
}

// CompareWhole compares elements by the norm of their differences, relative to the norm
// of what is wanted: Error, and the worst element with the norm as Scale.
func CompareWhole(name string, want *interp.Tensor, got []float64, tolerance float64) (Deviation, error) {
	d, err := Compare(name, want, got, tolerance)
	if err != nil {
		return d, err
	}
	apart, all := 0.0, 0.0
	for i, w := range want.F {
		e := distance(got[i], w)
		apart, all = apart+float64(e*e), all+float64(size(w)*size(w))
	}
	d.Scale = max(math.Sqrt(all), 1e-6)
	d.Error = math.Sqrt(apart) / d.Scale
	return d, nil
}

// size is what a wanted element adds to a scale. That of what is no number, or
// infinite, would leave no error of the others.
func size(w float64) float64 {
	if math.IsNaN(w) || math.IsInf(w, 0) {
		return 0
	}
	return math.Abs(w)
}

// distance of numbers; what is no number, or infinite, is as far as can be from all
// but itself.
func distance(a, b float64) float64 {
	if a == b || math.IsNaN(a) && math.IsNaN(b) {
		return 0
	}
	if d := math.Abs(a - b); !math.IsNaN(d) {
		return d
	}
	return math.Inf(1)
}
