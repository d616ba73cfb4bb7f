package train

import (
	"context"
	"fmt"

	"wrnc/runtime"
	"wrnc/runtime/data"
)

// Loss is how well a network does on a set of images.
type Loss struct {
	Sum      float64 // of the images' cross entropies, in nats
	Mistakes int     // images whose largest logit is not that of their label
	Images   int
}

// Mean is the mean cross entropy, in nats an image.
func (l Loss) Mean() float64 { return l.Sum / float64(l.Images) }

// Percent is the error rate.
func (l Loss) Percent() float64 { return 100 * float64(l.Mistakes) / float64(l.Images) }

// Add counts the images of another set, too.
func (l *Loss) Add(m Loss) {
	l.Sum += m.Sum
	l.Mistakes += m.Mistakes
	l.Images += m.Images
}

// Measure makes a call of a function whose first result is the sum of the losses and
// the number of mistakes, as those of train and eval are. next is what the call after it
// will be given, as [runtime.Series] has it. The results are views that the next call
// overwrites.
func Measure(calls *runtime.Series, in, next *runtime.Inputs) (Loss, [][]float32, error) {
	out, err := calls.Run(*in, next)
	if err != nil {
		return Loss{}, nil, err
	}
	if len(out) < 1 || len(out[0]) != 2 {
		return Loss{}, nil, fmt.Errorf("train: function %s does not return the loss and the number of mistakes", calls.Function())
	}
	return Loss{Sum: float64(out[0][0]), Mistakes: int(out[0][1]), Images: in.N}, out, nil
}

// inputsOf are a call's inputs that a batch has: its pictures, or their numbers where the
// loader makes none.
func inputsOf(b *data.Batch) *runtime.Inputs {
	in := &runtime.Inputs{N: b.N, F32: map[string][]float32{}, Labels: map[string][]int32{"labels": b.Labels}, U64: map[string]uint64{}}
	if len(b.Images) > 0 {
		in.F32["images"] = b.Images
	} else {
		in.Labels["order"] = b.Index
	}
	return in
}

// evaluated are the inputs of eval for a batch; nil for none.
func evaluated(b *data.Batch) *runtime.Inputs {
	if b == nil {
		return nil
	}
	in := inputsOf(b)
	in.U64["seed"], in.U64["epoch"] = 0, 0
	return in
}

// Evaluate runs the function eval on every batch of a set, the last short one
// included, and returns the sum. After each batch it calls seen with what eval
// returned; an error of seen ends the evaluation.
func Evaluate(ctx context.Context, ex runtime.Executable, set *data.Loader, seen func(b *data.Batch, l Loss, out [][]float32) error) (Loss, error) {
	var sum Loss
	calls := runtime.NewSeries(ex, "eval")
	for b, next := range set.Pairs(0, 0) {
		if err := ctx.Err(); err != nil {
			return sum, err
		}
		l, out, err := Measure(calls, evaluated(b), evaluated(next))
		if err != nil {
			return sum, err
		}
		sum.Add(l)
		if err := seen(b, l, out); err != nil {
			return sum, err
		}
	}
	return sum, nil
}
