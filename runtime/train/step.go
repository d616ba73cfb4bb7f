package train

import (
	"context"
	"fmt"

	"wrnc/compiler/ir"
	"wrnc/runtime/data"
)

// call runs a function on a batch.
func (r *run) call(function string, b *data.Batch) (Loss, error) {
	setBatch(&r.in, b)
	l, _, err := Measure(r.ex, function, r.in)
	return l, err
}

// trainEpoch takes a step for each batch that is left of the epoch.
func (r *run) trainEpoch(ctx context.Context, label string) error {
	t := r.at.trained()
	r.o.Progress.Begin(label, int64(r.trainImages-t.Images))
	r.observeStretch(false, r.trainImages, t.Images)
	r.rate[0] = float32(r.rateOf(r.at.Epoch))
	r.in.U64["epoch"] = uint64(r.at.Epoch)
	for b, batch := range r.train.Epoch(r.at.Epoch, r.at.Batch) {
		if err := ctx.Err(); err != nil {
			return err
		}
		l, err := r.step(batch)
		if err != nil {
			return err
		}
		t.Add(l)
		r.at.Step++
		r.at.Batch = b + 1
		r.at.Loss, r.at.Mistakes, r.at.Images = t.Sum, float64(t.Mistakes), t.Images
		r.observeStep(l, t)
		if err := r.finite(l.Mean()); err != nil {
			return err
		}
		r.o.Progress.Add(int64(batch.N), fmt.Sprintf("loss %.3f", t.Mean()))
		// The last step's is made after the test set, when more is known.
		if r.o.SaveEvery > 0 && r.at.Step%int64(r.o.SaveEvery) == 0 && r.at.Batch < r.train.Batches() {
			if err := r.checkpoint(); err != nil {
				return err
			}
		}
	}
	return nil
}

// evaluate measures the network on the whole test set, the last short batch
// included.
func (r *run) evaluate(ctx context.Context, label string) (Loss, error) {
	r.o.Progress.Begin(label, int64(r.testImages))
	r.observeStretch(true, r.testImages, 0)
	return Evaluate(ctx, r.ex, r.test, func(b *data.Batch, l Loss, out [][]float32) error {
		if err := r.finite(l.Mean()); err != nil { // the last step of the epoch broke the weights
			return err
		}
		if err := r.observeTest(b, out); err != nil {
			return err
		}
		r.o.Progress.Add(int64(b.N), "")
		return nil
	})
}

// resetVelocity forgets the momentum, as the authors' code does where the rate
// drops.
func (r *run) resetVelocity() error {
	for _, s := range r.m.States {
		if s.Role != ir.Velocity {
			continue
		}
		if err := r.ex.WriteState(s.Name, make([]float32, s.Type.Elems())); err != nil {
			return err
		}
	}
	return nil
}
