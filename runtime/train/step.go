package train

import (
	"context"
	"fmt"

	"wrnc/compiler/ir"
	"wrnc/runtime/data"
)

// tally adds up what steps return.
type tally struct {
	loss     float64 // sum over the images
	mistakes float64
	images   int
}

func (t *tally) meanLoss() float64 { return t.loss / float64(t.images) }

// percent is the error rate.
func (t *tally) percent() float64 { return 100 * t.mistakes / float64(t.images) }

// call runs a function on a batch and adds its loss and mistakes to t. It
// returns the batch's mean loss.
func (r *run) call(function string, b *data.Batch, t *tally) (float64, error) {
	r.in.N = b.N
	r.in.Labels["labels"] = b.Labels
	if r.o.Kept {
		r.in.Labels["order"] = b.Index
	} else {
		r.in.F32["images"] = b.Images
	}
	out, err := r.ex.Run(function, r.in)
	if err != nil {
		return 0, err
	}
	if len(out) != 1 || len(out[0]) != 2 {
		return 0, fmt.Errorf("train: function %s does not return the loss and the number of mistakes", function)
	}
	loss := float64(out[0][0])
	t.loss += loss
	t.mistakes += float64(out[0][1])
	t.images += b.N
	return loss / float64(b.N), nil
}

// trainEpoch takes a step for each batch that is left of the epoch.
func (r *run) trainEpoch(ctx context.Context, label string) error {
	t := tally{r.at.Loss, r.at.Mistakes, r.at.Images}
	r.o.Progress.Begin(label, int64(r.trainImages-t.images))
	r.rate[0] = float32(r.rateOf(r.at.Epoch))
	r.in.U64["epoch"] = uint64(r.at.Epoch)
	for b, batch := range r.train.Epoch(r.at.Epoch, r.at.Batch) {
		if err := ctx.Err(); err != nil {
			return err
		}
		r.in.U64["step"] = uint64(r.at.Step)
		loss, err := r.call("train", batch, &t)
		if err != nil {
			return err
		}
		r.at.Step++
		r.at.Batch = b + 1
		r.at.Loss, r.at.Mistakes, r.at.Images = t.loss, t.mistakes, t.images
		if err := r.finite(loss); err != nil {
			return err
		}
		r.o.Progress.Add(int64(batch.N), fmt.Sprintf("loss %.3f", t.meanLoss()))
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
func (r *run) evaluate(ctx context.Context, label string) (tally, error) {
	var t tally
	r.o.Progress.Begin(label, int64(r.testImages))
	for _, b := range r.test.Epoch(0, 0) {
		if err := ctx.Err(); err != nil {
			return t, err
		}
		loss, err := r.call("eval", b, &t)
		if err != nil {
			return t, err
		}
		if err := r.finite(loss); err != nil { // the last step of the epoch broke the weights
			return t, err
		}
		r.o.Progress.Add(int64(b.N), "")
	}
	return t, nil
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
