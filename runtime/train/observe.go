package train

import (
	"fmt"

	"wrnc/runtime"
	"wrnc/runtime/data"
	"wrnc/runtime/metrics"
)

// Observer is told how a run goes. Its methods are called between two calls of the
// device, by the goroutine that trains: they should be quick, and must not keep the
// slices that they are given. Nothing that they do changes what is computed.
type Observer interface {
	// Begin tells that an epoch's training, or the test after it, begins or goes on.
	Begin(Stretch)
	// Step tells of a step that was taken, and may have lost the training.
	Step(Step)
	// Timed tells how long the launches of one step took. It is called now and then,
	// where the device can tell, before the Step of that step.
	Timed([]runtime.LaunchTime)
	// Tested tells what the network makes of a batch of the test set.
	Tested(Tested)
	// Epoch tells that an epoch is over, and its weights are kept.
	Epoch(metrics.Epoch)
}

// Stretch is an epoch's training, or the test after it.
type Stretch struct {
	Epoch  int     // counted from 1
	Test   bool    // the test
	Step   int64   // steps taken in all
	Images int     // of the stretch
	Done   int     // of these before; not 0 where a run goes on
	Rate   float64 // learning rate of the epoch
}

// Step is a step of training that was taken.
type Step struct {
	Step      int64   // of the run, counted from 1
	Images    int     // of the batch
	Done      int     // images of the epoch that were trained on
	Loss      float64 // of the batch, an image
	MeanLoss  float64 // of the epoch so far, an image
	MeanError float64 // of the epoch so far, percent
}

// Tested is what the network makes of a batch of the test set.
type Tested struct {
	Index  []int32   // [N] the pictures' numbers in the set
	Labels []int32   // [N] their classes
	Logits []float32 // [N, classes]
}

// A step is timed in each timedEvery, and not the first, which touches memory for the
// first time.
const (
	timedEvery = 25
	timedFirst = 2
)

// step takes a step of training, timed if it is one of those. next is the batch of the
// step after it; nil: none.
func (r *run) step(calls *runtime.Series, b, next *data.Batch) (Loss, error) {
	in, nextIn := r.inputs(b, r.at.Step), r.inputs(next, r.at.Step+1)
	profiler, can := r.ex.(runtime.Profiler)
	if r.o.Observer == nil || !can || r.at.Step%timedEvery != timedFirst {
		l, _, err := Measure(calls, in, nextIn)
		return l, err
	}
	profiler.Profile(true)
	defer profiler.Profile(false)
	l, _, err := Measure(calls, in, nextIn)
	if err == nil {
		r.o.Observer.Timed(profiler.LaunchTimes("train"))
	}
	return l, err
}

// observeStep tells the observer of the step that was just taken, and of the epoch's
// sum with it.
func (r *run) observeStep(l, epoch Loss) {
	if r.o.Observer == nil {
		return
	}
	r.o.Observer.Step(Step{
		Step: r.at.Step, Images: l.Images, Done: epoch.Images, Loss: l.Mean(), MeanLoss: epoch.Mean(), MeanError: epoch.Percent(),
	})
}

// observeStretch tells the observer what begins.
func (r *run) observeStretch(test bool, images, done int) {
	if r.o.Observer == nil {
		return
	}
	r.o.Observer.Begin(Stretch{
		Epoch: r.at.Epoch + 1, Test: test, Step: r.at.Step, Images: images, Done: done, Rate: r.rateOf(r.at.Epoch),
	})
}

// observeTest shows the observer what eval returned for a batch.
func (r *run) observeTest(b *data.Batch, out [][]float32) error {
	if r.o.Observer == nil {
		return nil
	}
	if len(out) != 2 || len(out[1]) == 0 || len(out[1])%b.N != 0 {
		return fmt.Errorf("train: function eval does not return the logits of %d images behind the loss, which an observer is to see", b.N)
	}
	r.o.Observer.Tested(Tested{Index: b.Index, Labels: b.Labels, Logits: out[1]})
	return nil
}
