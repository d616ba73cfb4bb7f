// Package train is the training loop: it draws the initial state, feeds batches
// to a compiled module, sets the learning rate, and after each epoch measures
// the network on the whole test set and keeps its weights.
//
//	Initialize -> for each epoch: train, train, ... -> eval, eval, ... -> last.safetensors
//
// Nothing that it computes depends on the time or on the number of threads: the
// same module, seed and recipe give the same weights bit for bit.
package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"wrnc/compiler/ir"
	"wrnc/runtime"
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

	// Dir is the folder, which exists, that the weights are kept in: those of
	// the last epoch in last.safetensors, those of the epoch with the least test
	// error, the first of equals, in best.safetensors.
	Dir      string
	Metadata map[string]string // facts about the run, kept with the weights

	Log      *metrics.Log      // gets a record an epoch
	Progress *metrics.Progress // draws; must not be nil
	Now      func() time.Time  // the clock, for speeds and durations alone
}

// Summary is what a run gave.
type Summary struct {
	Epochs        []metrics.Epoch // those that were finished
	Steps         int64           // taken in all
	TestError     float64         // percent, after the last finished epoch; NaN without one
	BestTestError float64         // percent, the least of all epochs; NaN without one
	BestEpoch     int             // counted from 1; 0 without one
	Seconds       float64
}

// DivergedError says that the loss of a step, or of the test set after it, was not finite.
type DivergedError struct {
	Epoch int     // counted from 1
	Step  int64   // of the run, counted from 1
	Loss  float64 // NaN or an infinity
	Kept  int     // the epoch whose weights last.safetensors holds; 0 where there is none
}

// Error says where the loss ceased to be a number, and what to do.
func (e *DivergedError) Error() string {
	kept := "no epoch was finished, so no weights were kept"
	if e.Kept > 0 {
		kept = fmt.Sprintf("the weights after epoch %d are kept", e.Kept)
	}
	return fmt.Sprintf("training diverged: the loss of step %d, in epoch %d, is %v; %s; try a lower learning rate", e.Step, e.Epoch, e.Loss, kept)
}

// Run trains the module m, loaded as ex, on src. It starts from the seed's
// initial state, whatever ex held before. The functions of m are those that
// irgen and autodiff write: train(images, labels, lr, seed, step) and
// eval(images, labels), each returning the sum of the losses and the number of
// mistakes; m.Batch is the batch.
//
// When ctx ends, Run saves the weights as they are to last.safetensors and
// returns ctx's error; a loss that is not finite ends it with a *DivergedError.
// In both cases the summary holds the epochs that were finished.
func Run(ctx context.Context, ex runtime.Executable, m *ir.Module, src *data.Source, o Options) (Summary, error) {
	r, err := newRun(ex, m, src, o)
	if err != nil {
		return Summary{}, err
	}
	if err := Initialize(ex, m, o.Seed); err != nil {
		return Summary{}, err
	}
	begun := o.Now()
	for e := range o.Recipe.Epochs {
		if err = r.epoch(ctx, e); err != nil {
			break
		}
	}
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		if saveErr := r.save(lastFile, len(r.sum.Epochs), nil); saveErr != nil {
			err = saveErr
		}
	}
	r.sum.Seconds = o.Now().Sub(begun).Seconds()
	return r.sum, err
}

// run is a training under way.
type run struct {
	ex    runtime.Executable
	m     *ir.Module
	o     Options
	train *data.Loader
	test  *data.Loader
	in    runtime.Inputs // of the next call
	rate  []float32      // in.F32's learning rate
	sum   Summary

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
		Augment: o.Augment, Normalize: o.Normalize, Prefetch: ahead,
	})
	if err != nil {
		return nil, err
	}
	test, err := data.NewLoader(src.Test, data.LoaderOptions{Batch: m.Batch, Normalize: o.Normalize, Prefetch: ahead})
	if err != nil {
		return nil, err
	}
	r := &run{ex: ex, m: m, o: o, train: train, test: test, rate: make([]float32, 1)}
	r.trainImages = min(src.Train.Len(), train.Batches()*m.Batch)
	r.testImages = src.Test.Len()
	r.in = runtime.Inputs{
		F32:    map[string][]float32{"lr": r.rate},
		Labels: map[string][]int32{},
		U64:    map[string]uint64{"seed": o.Seed},
	}
	r.sum.TestError, r.sum.BestTestError = math.NaN(), math.NaN()
	return r, nil
}

// epoch trains one epoch, counted from 0, measures it and keeps its weights.
func (r *run) epoch(ctx context.Context, e int) error {
	begun := r.o.Now()
	plan := r.o.Recipe.Epochs[e]
	if plan.ResetVelocity {
		if err := r.resetVelocity(); err != nil {
			return err
		}
	}
	label := fmt.Sprintf("epoch %d/%d", e+1, len(r.o.Recipe.Epochs))
	trained, err := r.trainEpoch(ctx, e, label)
	if err != nil {
		r.o.Progress.Finish("")
		return err
	}
	trainSeconds := r.o.Now().Sub(begun).Seconds()
	tested, err := r.evaluate(ctx, label+" test")
	if err != nil {
		r.o.Progress.Finish("")
		return err
	}
	record := metrics.Epoch{
		Epoch:           e + 1,
		Step:            r.sum.Steps,
		LR:              metrics.Number(plan.Rate),
		TrainLoss:       metrics.Number(trained.meanLoss()),
		TrainError:      metrics.Number(trained.percent()),
		TestError:       metrics.Number(tested.percent()),
		ImagesPerSecond: metrics.Number(float64(trained.images) / trainSeconds),
		Seconds:         metrics.Number(r.o.Now().Sub(begun).Seconds()),
	}
	return r.finish(label, record)
}

// finish keeps an epoch's weights, then reports it: who reads of an epoch can
// rely on its weights being there.
func (r *run) finish(label string, record metrics.Epoch) error {
	if err := r.save(lastFile, record.Epoch, &record); err != nil {
		return err
	}
	test := float64(record.TestError)
	if !(test >= r.sum.BestTestError) { // the first epoch compares with NaN
		if err := r.save(bestFile, record.Epoch, &record); err != nil {
			return err
		}
		r.sum.BestTestError, r.sum.BestEpoch = test, record.Epoch
	}
	r.sum.TestError = test
	r.sum.Epochs = append(r.sum.Epochs, record)
	r.o.Progress.Finish(fmt.Sprintf("%s  lr %.4g  loss %.4f  train error %.2f %%  test error %.2f %%  %.0f img/s  %.1fs",
		label, float64(record.LR), float64(record.TrainLoss), float64(record.TrainError), test,
		float64(record.ImagesPerSecond), float64(record.Seconds)))
	return r.o.Log.Epoch(record)
}
