package train

import (
	"fmt"
	"math"
)

// divergedLoss is the mean loss, in nats an image, beyond which a training is lost
// though its numbers are finite. Guessing among a thousand classes costs 7; a
// network that gives the right class a probability of e^-10000 does not come back.
const divergedLoss = 1e4

// BadValue is a number of a state that is NaN or infinite.
type BadValue struct {
	State string
	Index int // in the order of the state's type
	Value float32
}

// DivergedError says that the loss of a step, or of the test set after it, was not
// finite or beyond all reason, or that weights were not finite.
type DivergedError struct {
	Epoch int       // counted from 1
	Step  int64     // of the run, counted from 1
	Loss  float64   // an image; 0 where the weights were found first
	Bad   *BadValue // the first among the states; nil where all are finite
	Saved int64     // the step of the newest checkpoint; 0 where there is none
}

// Error names the step and the first bad value.
func (e *DivergedError) Error() string {
	what := fmt.Sprintf("the loss of step %d, in epoch %d, is %v", e.Step, e.Epoch, e.Loss)
	switch {
	case e.Bad != nil && e.Loss == 0:
		what = fmt.Sprintf("after step %d, in epoch %d, %s is %v", e.Step, e.Epoch, e.Bad, e.Bad.Value)
	case e.Bad != nil:
		what += fmt.Sprintf(", and the first bad value of the states is %s = %v", e.Bad, e.Bad.Value)
	case !math.IsNaN(e.Loss) && !math.IsInf(e.Loss, 0):
		what += fmt.Sprintf(", beyond %v, while all states are finite", divergedLoss)
	default:
		what += ", while all states are finite"
	}
	kept := "no checkpoint was kept before"
	if e.Saved > 0 {
		kept = fmt.Sprintf("the checkpoint of step %d is kept", e.Saved)
	}
	return fmt.Sprintf("training diverged: %s; %s", what, kept)
}

// String is the number's place: g1.b0.conv1.w[17].
func (b *BadValue) String() string { return fmt.Sprintf("%s[%d]", b.State, b.Index) }

// finite returns a *DivergedError where the loss after the last step is lost.
func (r *run) finite(loss float64) error {
	if loss <= divergedLoss && !math.IsInf(loss, -1) {
		return nil
	}
	err := &DivergedError{Epoch: r.at.Epoch + 1, Step: r.at.Step, Loss: loss, Saved: r.saved}
	for _, s := range r.m.States {
		values, readErr := r.ex.ReadState(s.Name)
		if readErr != nil {
			return readErr
		}
		if i, bad := firstBad(values); bad {
			err.Bad = &BadValue{s.Name, i, values[i]}
			break
		}
	}
	return err
}

// diverged is the error for a bad value where no loss has shown it yet.
func (r *run) diverged(bad BadValue) error {
	epoch := r.at.Epoch
	if r.at.Images > 0 { // it has begun
		epoch++
	}
	return &DivergedError{Epoch: epoch, Step: r.at.Step, Bad: &bad, Saved: r.saved}
}

// firstBad finds the first number that is not finite.
func firstBad(values []float32) (int, bool) {
	for i, v := range values {
		if v-v != 0 { // NaN for a NaN and for an infinity
			return i, true
		}
	}
	return 0, false
}
