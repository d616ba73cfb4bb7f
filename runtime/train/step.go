package train

import (
	"context"
	"fmt"

	"wrnc/compiler/ir"
	"wrnc/runtime"
	"wrnc/runtime/data"
)

// inputs are those of a call on a batch, after so many steps; nil for no batch.
func (r *run) inputs(b *data.Batch, step int64) *runtime.Inputs {
	if b == nil {
		return nil
	}
	in := inputsOf(b)
	in.F32["lr"] = []float32{float32(r.rateOf(r.at.Epoch))}
	in.U64["seed"], in.U64["epoch"], in.U64["step"] = r.o.Seed, uint64(r.at.Epoch), uint64(step)
	return in
}

// trainEpoch takes a step for each batch that is left of the epoch.
func (r *run) trainEpoch(ctx context.Context, label string) error {
	t := r.at.trained()
	r.o.Progress.Begin(label, int64(r.trainImages-t.Images))
	r.observeStretch(false, r.trainImages, t.Images)
	calls := runtime.NewSeries(r.ex, "train")
	for batch, next := range r.train.Pairs(r.at.Epoch, r.at.Batch) {
		if err := ctx.Err(); err != nil {
			return err
		}
		l, err := r.step(calls, batch, next)
		if err != nil {
			return err
		}
		t.Add(l)
		r.at.Step++
		r.at.Batch++
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
