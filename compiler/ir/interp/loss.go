package interp

import (
	"fmt"
	"math"

	"wrnc/compiler/ir"
)

// labels checks that each sample's label is one of the k classes.
func labels(t *Tensor, k int) error {
	for i, l := range t.U {
		if l >= uint64(k) {
			return fmt.Errorf("label of sample %d is %d; there are %d classes, from 0", i, int32(l), k)
		}
	}
	return nil
}

// softmax returns the softmax of a row of logits and the log of the sum of
// their exponentials; shifting by the largest keeps both in range.
func softmax(row []float64) (p []float64, logSum float64) {
	largest := math.Inf(-1)
	for _, v := range row {
		largest = max(largest, v)
	}
	p = make([]float64, len(row))
	sum := 0.0
	for i, v := range row {
		p[i] = math.Exp(v - largest)
		sum += p[i]
	}
	for i := range p {
		p[i] /= sum
	}
	return p, largest + math.Log(sum)
}

// correct reports whether the label has the largest logit; of equal ones the
// first is the largest, and a NaN is never right.
func correct(row []float64, label int) bool {
	for i, v := range row {
		if i < label && !(v < row[label]) || i >= label && !(v <= row[label]) {
			return false
		}
	}
	return true
}

func xent(m *machine, _ *ir.Node, in []*Tensor) ([]*Tensor, error) {
	x, y, out := in[0], in[1], New(ir.T(ir.F32, 2))
	k := x.Type.Channels()
	if err := checkLoss(x, y); err != nil {
		return nil, err
	}
	for i, l := range y.U {
		row := x.F[i*k : (i+1)*k]
		_, logSum := softmax(row)
		out.F[0] += logSum - row[l]
		if !correct(row, int(l)) {
			out.F[1]++
		}
	}
	m.roundAll(out.F)
	return []*Tensor{out}, nil
}

// xentGrad is the gradient of the mean loss over the samples of this run.
func xentGrad(m *machine, _ *ir.Node, in []*Tensor) ([]*Tensor, error) {
	x, y := in[0], in[1]
	k := x.Type.Channels()
	if err := checkLoss(x, y); err != nil {
		return nil, err
	}
	g := New(x.Type.With(ir.F32))
	for i, l := range y.U {
		p, _ := softmax(x.F[i*k : (i+1)*k])
		p[l]--
		for j, v := range p {
			g.F[i*k+j] = m.round(v / float64(len(y.U)))
		}
	}
	return []*Tensor{g}, nil
}

func checkLoss(x, y *Tensor) error {
	if x.Type.Dims[0] != len(y.U) {
		return fmt.Errorf("logits of %d samples, labels of %d", x.Type.Dims[0], len(y.U))
	}
	return labels(y, x.Type.Channels())
}
