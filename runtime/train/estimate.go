package train

import (
	"context"
	"time"

	"wrnc/compiler/ir"
	"wrnc/runtime"
	"wrnc/runtime/data"
)

// Estimate is how long a run will take, as a few steps of it suggest.
type Estimate struct {
	Step  time.Duration // of training on a full batch
	Test  time.Duration // of evaluating a full batch
	Total time.Duration // of the whole run, or of what is left of it
}

// The work that an estimate may cost: a first call on few images shows how slow
// the network is, then full batches are timed, at most these many and no longer
// than this. A full batch that would take longer by itself is not timed.
const (
	probeImages   = 8
	timedCalls    = 3
	timedDuration = 2 * time.Second
)

// EstimateRun times a few steps of training and of evaluation on the first
// images of src. They change the state of ex; Run sets it anew and so begins as
// if they had not been.
func EstimateRun(ctx context.Context, ex runtime.Executable, m *ir.Module, src *data.Source, o Options) (Estimate, error) {
	r, err := newRun(ex, m, src, o)
	if err != nil {
		return Estimate{}, err
	}
	if err := Initialize(ex, m, o.Seed); err != nil {
		return Estimate{}, err
	}
	at := start()
	if o.From != nil {
		at = o.From.Point
	}
	var est Estimate
	if est.Step, err = r.time(ctx, "train", r.train); err != nil {
		return Estimate{}, err
	}
	if est.Test, err = r.time(ctx, "eval", r.test); err != nil {
		return Estimate{}, err
	}
	// In floating point, because a run of years may not fit a count of steps
	// times a count of nanoseconds; the longest Duration is 292 years.
	perImage := func(d time.Duration, images int) float64 { return float64(d) * float64(images) / float64(m.Batch) }
	total := float64(len(o.Recipe.Epochs)-at.Epoch)*(perImage(est.Step, r.trainImages)+perImage(est.Test, r.testImages)) - perImage(est.Step, at.Images)
	est.Total = time.Duration(min(total, float64(1<<62)))
	return est, nil
}

// time returns how long a function takes on a full batch.
func (r *run) time(ctx context.Context, function string, l *data.Loader) (time.Duration, error) {
	var result time.Duration
	var failure error
	for _, b := range l.Epoch(0, 0) {
		result, failure = r.timeOn(ctx, function, b)
		break
	}
	return result, failure
}

func (r *run) timeOn(ctx context.Context, function string, b *data.Batch) (time.Duration, error) {
	probe := *b
	probe.N = min(b.N, probeImages)
	probe.Images = b.Images[:len(b.Images)/b.N*probe.N]
	probe.Labels, probe.Index = b.Labels[:probe.N], b.Index[:probe.N]
	timed := func(b *data.Batch) (time.Duration, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		begun := r.o.Now()
		_, _, err := Measure(runtime.NewSeries(r.ex, function), r.inputs(b, 0), nil)
		return r.o.Now().Sub(begun), err
	}
	// The first call touches the memory for the first time; it does not count.
	if _, err := timed(&probe); err != nil {
		return 0, err
	}
	small, err := timed(&probe)
	if err != nil {
		return 0, err
	}
	scale := func(d time.Duration, n int) time.Duration {
		return time.Duration(float64(d) * float64(r.m.Batch) / float64(n))
	}
	best := scale(small, probe.N)
	if best > timedDuration {
		return best, nil
	}
	for i, spent := 0, time.Duration(0); i < timedCalls && spent < timedDuration; i++ {
		d, err := timed(b)
		if err != nil {
			return 0, err
		}
		spent += d
		if d = scale(d, b.N); i == 0 || d < best {
			best = d
		}
	}
	return best, nil
}
