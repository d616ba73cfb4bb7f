// Package train is the training loop: it draws the initial state, feeds batches
// to a compiled module, sets the learning rate, and after each epoch measures
// the network on the whole test set and keeps its weights.
//
//	Initialize -> for each epoch: train, train, ... -> eval, eval, ... -> checkpoint -> last.safetensors
//
// Nothing that it computes depends on the time or on the number of threads: the
// same module, seed and recipe give the same weights bit for bit. A run that goes
// on from a [Checkpoint] gives those of one that was never stopped.
package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"time"

	"wrnc/compiler/ir"
	"wrnc/runtime"
	"wrnc/runtime/checkpoint"
	"wrnc/runtime/data"
	"wrnc/runtime/metrics"
)

// Recipe is how long and how fast to train.
type Recipe struct {
	Epochs         []Epoch // one an epoch, in order; at least one
	KeepShortBatch bool    // train on an epoch's last batch where it is short of a full one
}

// Epoch is one epoch's part of a recipe.
type Epoch struct {
	Rate          float64 // learning rate
	ResetVelocity bool    // forget the momentum before the first step
}

// Options say how to train.
type Options struct {
	Recipe    Recipe
	Seed      uint64 // of the initial state, the order, the augmentation and dropout
	Augment   data.Augment
	Normalize data.Normalize

	// Kept says that ex keeps the data sets and makes the batches itself: its functions
	// take the numbers of the pictures, order, and the epoch in place of images.
	Kept bool

	// Dir is the folder, which exists, that the run is kept in: its weights after
	// the last epoch in last.safetensors, those of the epoch with the least test
	// error, the first of equals, in best.safetensors, and checkpoints in a folder
	// of their own.
	Dir      string
	Metadata map[string]string // facts about the run, kept with the weights
	Identity map[string]string // of the plan, kept with checkpoints

	SaveEvery int // steps between the checkpoints within an epoch; 0: only after epochs
	KeepEvery int // epochs between the checkpoints that stay for good; 0: none do

	From      *Checkpoint // where to go on; nil begins. Run takes its states
	RateScale float64     // multiplies the rates of all that is to come; 0 leaves them

	// Write writes a file whole or not at all; nil is checkpoint.Write.
	Write func(path string, tensors []checkpoint.Tensor, metadata map[string]string) error

	// Observer is told how the run goes; nil: nobody is. With one, the module's
	// function eval must return the logits as well, behind the loss.
	Observer Observer

	Log      *metrics.Log      // gets a record an epoch
	Progress *metrics.Progress // draws; must not be nil
	Now      func() time.Time  // the clock, for speeds and durations alone
}

// Summary is what a run gave.
type Summary struct {
	Epochs        []metrics.Epoch // those that were finished
	Steps         int64           // taken in all
	Saved         int64           // the step of the newest checkpoint; 0 where there is none
	TestError     float64         // percent, after the last finished epoch; NaN without one
	BestTestError float64         // percent, the least of all epochs; NaN without one
	BestEpoch     int             // counted from 1; 0 without one
	Seconds       float64
}

// Run trains the module m, loaded as ex, on src. It starts from the seed's
// initial state or from o.From, whatever ex held before. The functions of m are
// those that irgen and autodiff write: train(images, labels, lr, seed, step) and
// eval(images, labels), each returning the sum of the losses and the number of
// mistakes first; m.Batch is the batch. With o.Kept, both take order and epoch in place of
// images, and make the batches that a data.Loader would.
//
// When ctx ends, Run finishes the step, keeps a checkpoint, saves the weights to
// last.safetensors and returns ctx's error. A loss or weights that are not finite
// end it with a *DivergedError, and a file that cannot be written with a
// *SaveError. In all cases the summary holds the epochs that were finished.
func Run(ctx context.Context, ex runtime.Executable, m *ir.Module, src *data.Source, o Options) (Summary, error) {
	r, err := newRun(ex, m, src, o)
	if err != nil {
		return Summary{}, err
	}
	r.begun = o.Now()
	if err = r.begin(); err == nil {
		err = r.epochs(ctx)
	}
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		if saveErr := r.stop(); saveErr != nil {
			err = saveErr
		}
	}
	return r.summary(), err
}

// begin sets the states and the point.
func (r *run) begin() error {
	if r.o.From == nil {
		if err := Initialize(r.ex, r.m, r.o.Seed); err != nil {
			return err
		}
		return r.scaleRates()
	}
	if err := r.o.From.restore(r.ex, r.m); err != nil {
		return err
	}
	r.at = r.o.From.Point
	r.saved, r.savedEpoch = r.at.Step, r.at.Epoch
	if r.at.Epoch > 0 && r.at.Images == 0 {
		if err := r.keep(); err != nil { // the process may have ended before this was done
			return err
		}
	}
	if err := r.checkBest(); err != nil {
		return err
	}
	if err := r.prune(); err != nil { // likewise
		return &SaveError{r.saved, err}
	}
	return r.scaleRates()
}

// checkBest forgets the best epoch where best.safetensors does not hold it: after
// going back, or where the user took the file away.
func (r *run) checkBest() error {
	if r.at.BestEpoch == 0 {
		return nil
	}
	epoch, err := epochOf(filepath.Join(r.o.Dir, bestFile))
	if err != nil {
		return err
	}
	if epoch != r.at.BestEpoch {
		r.at.BestTestError, r.at.BestEpoch = math.NaN(), 0
	}
	return nil
}

// scaleRates takes the option into the point, and keeps that at once.
func (r *run) scaleRates() error {
	if r.o.RateScale == 0 {
		return nil
	}
	r.at.RateScale *= r.o.RateScale
	r.savedEpoch = -1
	return r.checkpoint()
}

func (r *run) epochs(ctx context.Context) error {
	for r.at.Epoch < len(r.o.Recipe.Epochs) {
		if err := r.epoch(ctx); err != nil {
			return err
		}
	}
	return nil
}

// stop keeps the run in the middle of an epoch.
func (r *run) stop() error {
	if err := r.checkpoint(); err != nil {
		return err
	}
	return r.save(lastFile, r.at.Epoch, nil)
}

func (r *run) summary() Summary {
	sum := Summary{
		Epochs: r.at.Epochs, Steps: r.at.Step, Saved: r.saved,
		TestError: math.NaN(), BestTestError: r.at.BestTestError, BestEpoch: r.at.BestEpoch,
		Seconds: r.seconds(),
	}
	if n := len(r.at.Epochs); n > 0 {
		sum.TestError = float64(r.at.Epochs[n-1].TestError)
	}
	return sum
}

// seconds is the time that the run has taken, in this process and before.
func (r *run) seconds() float64 { return r.at.Seconds + r.o.Now().Sub(r.begun).Seconds() }

// epochSeconds is the time that the epoch's training has taken, likewise.
func (r *run) epochSeconds() float64 {
	return r.at.EpochSeconds + r.o.Now().Sub(r.epochBegun).Seconds()
}

// run is a training under way.
type run struct {
	ex    runtime.Executable
	m     *ir.Module
	o     Options
	train *data.Loader
	test  *data.Loader

	at         Point     // where the run stands; its times are those of processes before
	saved      int64     // the step of the newest checkpoint, 0 without one, and
	savedEpoch int       // its epoch; -1 where the point is not that of a checkpoint
	begun      time.Time // when this process began, and
	epochBegun time.Time // when it began this epoch
	write      func(path string, tensors []checkpoint.Tensor, metadata map[string]string) error

	trainImages, testImages int // of an epoch
}

func newRun(ex runtime.Executable, m *ir.Module, src *data.Source, o Options) (*run, error) {
	if len(o.Recipe.Epochs) == 0 {
		return nil, fmt.Errorf("train: a recipe of no epochs; expected at least 1")
	}
	// Two batches ahead: one that is ready while another is made.
	const ahead = 2
	train, err := data.NewLoader(src.Train, data.LoaderOptions{
		Batch: m.Batch, Seed: o.Seed, Shuffle: true, DropLast: !o.Recipe.KeepShortBatch,
		Augment: o.Augment, Normalize: o.Normalize, NumbersOnly: o.Kept, Prefetch: ahead,
	})
	if err != nil {
		return nil, err
	}
	test, err := data.NewLoader(src.Test, data.LoaderOptions{Batch: m.Batch, Normalize: o.Normalize, NumbersOnly: o.Kept, Prefetch: ahead})
	if err != nil {
		return nil, err
	}
	r := &run{ex: ex, m: m, o: o, train: train, test: test, at: start(), savedEpoch: -1, write: o.Write}
	if r.write == nil {
		r.write = checkpoint.Write
	}
	r.trainImages = min(src.Train.Len(), train.Batches()*m.Batch)
	r.testImages = src.Test.Len()
	return r, nil
}

// epoch trains what is left of the epoch, measures it and keeps its weights.
func (r *run) epoch(ctx context.Context) error {
	r.epochBegun = r.o.Now()
	plan := r.o.Recipe.Epochs[r.at.Epoch]
	if plan.ResetVelocity && r.at.Batch == 0 {
		if err := r.resetVelocity(); err != nil {
			return err
		}
	}
	label := fmt.Sprintf("epoch %d/%d", r.at.Epoch+1, len(r.o.Recipe.Epochs))
	if err := r.trainEpoch(ctx, label); err != nil {
		r.o.Progress.Finish("")
		return err
	}
	trainSeconds := r.epochSeconds()
	tested, err := r.evaluate(ctx, label+" test")
	if err != nil {
		r.o.Progress.Finish("")
		return err
	}
	trained := r.at.trained()
	return r.finish(label, metrics.Epoch{
		Epoch:           r.at.Epoch + 1,
		Step:            r.at.Step,
		LR:              metrics.Number(r.rateOf(r.at.Epoch)),
		TrainLoss:       metrics.Number(trained.Mean()),
		TrainError:      metrics.Number(trained.Percent()),
		TestError:       metrics.Number(tested.Percent()),
		ImagesPerSecond: metrics.Number(float64(trained.Images) / trainSeconds),
		Seconds:         metrics.Number(r.epochSeconds()),
	})
}

// rateOf is the learning rate of an epoch.
func (r *run) rateOf(epoch int) float64 { return r.o.Recipe.Epochs[epoch].Rate * r.at.RateScale }

// finish ends an epoch: it moves the run to the next one, keeps a checkpoint and
// the weights, and then reports it. Who reads of an epoch can rely on its weights
// being there.
func (r *run) finish(label string, record metrics.Epoch) error {
	test := float64(record.TestError)
	if !(test >= r.at.BestTestError) { // the first epoch compares with NaN
		r.at.BestTestError, r.at.BestEpoch = test, record.Epoch
	}
	r.at.Epochs = append(r.at.Epochs, record)
	r.at.Epoch++
	r.at.Batch, r.at.Loss, r.at.Mistakes, r.at.Images, r.at.EpochSeconds = 0, 0, 0, 0, 0
	if err := r.checkpoint(); err != nil {
		return err
	}
	if err := r.keep(); err != nil {
		return err
	}
	r.o.Progress.Finish(fmt.Sprintf("%s  lr %.4g  loss %.4f  train error %.2f %%  test error %.2f %%  %.0f img/s  %.1fs",
		label, float64(record.LR), float64(record.TrainLoss), float64(record.TrainError), test,
		float64(record.ImagesPerSecond), float64(record.Seconds)))
	if r.o.Observer != nil {
		r.o.Observer.Epoch(record)
	}
	if err := r.o.Log.Epoch(record); err != nil {
		return &SaveError{r.saved, err}
	}
	return nil
}

// keep saves the weights of the epoch that has just ended, which the point knows.
func (r *run) keep() error {
	record := &r.at.Epochs[r.at.Epoch-1]
	if err := r.save(lastFile, record.Epoch, record); err != nil {
		return err
	}
	if r.at.BestEpoch != record.Epoch {
		return nil
	}
	return r.save(bestFile, record.Epoch, record)
}
