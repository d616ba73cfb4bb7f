package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"wrnc/compiler"
	"wrnc/compiler/ir"
	"wrnc/compiler/irgen"
	"wrnc/compiler/lower"
	"wrnc/compiler/plan"
	"wrnc/dsl"
	"wrnc/runtime"
	"wrnc/runtime/data"
	"wrnc/runtime/metrics"
	"wrnc/runtime/train"
)

// job is a training, all choices made.
type job struct {
	net       *dsl.Network
	text      networkText // that net was made of
	src       *data.Source
	target    target
	on        machine // closed by train
	precision ir.DType
	fuse      bool
	seed      uint64
	out       string    // folder to keep the run in; "" makes one
	words     io.Writer // what people read
	json      bool      // records go to standard output
	page      *livePage // shows the training; nil where nobody asked for it

	choices runChoices
	resumed *resumption // the run to go on with; nil begins one
}

// trainingFunctions are the functions that a training calls.
func trainingFunctions() []string { return []string{"train", "eval"} }

// train compiles the job's network, says what is to come, trains, and says what
// came of it.
func (s *session) train(j job) (err error) {
	defer func() { err = errors.Join(err, j.on.close()) }()
	l, err := j.layOut()
	if err != nil {
		return err
	}
	m, plans := l.module, l.known
	if j.resumed != nil {
		if err := j.resumed.check(j, plans); err != nil {
			return err
		}
	}
	if err := announce(j, l); err != nil {
		return err
	}
	ex, err := l.load(j.on)
	if err != nil {
		return err
	}
	defer ex.Close()
	ctx, stop := interruptible(func() {
		if _, is := terminal(j.words); is {
			fmt.Fprint(j.words, "\nstopping after this step; once more to stop at once\n")
		}
	})
	defer stop()

	normalize := normalization(j.net.Data, j.src.Train)
	facts, err := metadata(j.net, j.text, j.src.Train.Classes, normalize)
	if err != nil {
		return err
	}
	options := train.Options{
		Recipe:    recipe(j.net.Train),
		Seed:      j.seed,
		Augment:   augmentation(j.net.Data),
		Normalize: normalize,
		Kept:      len(l.kept) > 0,
		Metadata:  facts,
		Identity:  j.identity(plans),
		SaveEvery: orZero(j.choices.SaveEvery),
		KeepEvery: orZero(j.choices.KeepEvery),
		Now:       s.now,
	}
	if j.resumed != nil {
		if err := j.resumed.choose(m, &options); err != nil {
			return err
		}
	}
	options.Progress = s.progress(j, options.From)
	if err := j.page.show(s, j, l, &options); err != nil {
		return err
	}
	estimate, err := train.EstimateRun(ctx, ex, m, j.src, options)
	if err != nil {
		return interrupted(err, "nothing was trained")
	}
	j.page.expect(estimate)
	fmt.Fprintf(j.words, "estimated time %s: %.4g ms a step\n", metrics.FormatDuration(estimate.Total), 1e3*estimate.Step.Seconds())
	if j.resumed != nil {
		options.Dir = j.resumed.dir
		if err := j.resumed.prepare(j, plans, options); err != nil {
			return err
		}
		j.page.keptIn(options.Dir)
		return s.record(ctx, j, m, ex, options)
	}
	dir, unlock, err := beginRun(j, plans)
	if err != nil {
		return err
	}
	options.Dir = dir
	j.page.keptIn(dir)
	fmt.Fprintf(j.words, "the run is kept in %s\n\n", dir)
	return errors.Join(s.record(ctx, j, m, ex, options), unlock())
}

// beginRun makes the folder of a new run, with all that is needed to go on with
// it; run.json is the last of it.
func beginRun(j job, plans []*plan.Plan) (dir string, unlock func() error, err error) {
	fail := func(err error) (string, func() error, error) { return "", nil, err }
	if dir, err = makeRunFolder(j.out, j.net, j.seed); err != nil {
		return fail(err)
	}
	if unlock, err = lockRun(dir); err != nil {
		return fail(err)
	}
	if _, err = os.Stat(filepath.Join(dir, runFile)); err == nil {
		err = fmt.Errorf("%s: another process has trained here; take another folder, since no run is overwritten", dir)
	} else if err = writePlans(dir, plans); err == nil {
		err = j.facts(plans).write(dir)
	}
	if err != nil {
		return fail(errors.Join(err, unlock()))
	}
	return dir, unlock, nil
}

func orZero(v *int) int {
	if v == nil {
		return 0
	}
	return *v
}

// identity is what a checkpoint says of how its numbers were computed.
func (j job) identity(plans []*plan.Plan) map[string]string {
	return map[string]string{
		"target": j.target.name, "isa": j.on.arch().ISA, "precision": j.precision.String(), "fused": fmt.Sprint(j.fuse),
		"batch": fmt.Sprint(j.net.Train.Batch), "plan": planHash(plans),
	}
}

// progress draws where people read; from is where the run goes on, or nil.
func (s *session) progress(j job, from *train.Checkpoint) *metrics.Progress {
	width, isTerminal := terminal(j.words)
	images := epochImages(j)
	epochs, done := j.net.Train.Epochs, 0
	if from != nil {
		epochs, done = epochs-from.Point.Epoch, from.Point.Images
	}
	return metrics.NewProgress(metrics.ProgressOptions{
		Out: j.words, Terminal: isTerminal, NoColor: s.noColor, Width: width, Now: s.now,
		RunImages: int64(epochs)*int64(images+j.src.Test.Len()) - int64(done),
	})
}

// epochImages is how many images an epoch trains on.
func epochImages(j job) int {
	images := j.src.Train.Len()
	if !j.net.Train.KeepShortBatch {
		images -= images % j.net.Train.Batch
	}
	return images
}

// record trains, with a record of each epoch in the run's folder and, where it
// is asked for, on standard output.
func (s *session) record(ctx context.Context, j job, m *ir.Module, ex runtime.Executable, options train.Options) (err error) {
	file, err := metrics.OpenFile(filepath.Join(options.Dir, metricsFile))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	writers := []io.Writer{file}
	if j.json {
		writers = append(writers, s.stdout)
	}
	options.Log = metrics.NewLog(writers...)
	sum, err := train.Run(ctx, ex, m, j.src, options)
	if err != nil {
		return advise(err, options.Dir, sum)
	}
	fmt.Fprintf(j.words, "\ntest error %.2f %% after the last epoch, %.2f %% at best (epoch %d); %s in all; kept in %s\n",
		sum.TestError, sum.BestTestError, sum.BestEpoch, metrics.FormatDuration(time.Duration(sum.Seconds*float64(time.Second))), options.Dir)
	err = options.Log.Done(metrics.Done{
		Run: options.Dir, Target: j.target.name, Precision: j.precision.String(), Seed: j.seed,
		TestError: metrics.Number(sum.TestError), BestTestError: metrics.Number(sum.BestTestError), Seconds: metrics.Number(sum.Seconds),
	})
	if err != nil {
		return advise(&train.SaveError{Step: sum.Saved, Err: err}, options.Dir, sum)
	}
	return nil
}

// sets are the job's data sets, to be kept.
func (j job) sets() []keptSet {
	n := normalization(j.net.Data, j.src.Train)
	return []keptSet{
		{irgen.Loader{Name: "load", Pictures: j.src.Train.Len(), Augment: true}, "train", j.src.Train, n},
		{irgen.Loader{Name: "load_test", Pictures: j.src.Test.Len()}, "eval", j.src.Test, n},
	}
}

// layOut compiles and plans the job's network. What is too large for the machine is
// an error. Data sets are kept where there is room; that changes no result, and no
// other plan.
func (j job) layOut() (*laidOut, error) {
	l := &laidOut{}
	options := compiler.Options{Batch: j.net.Train.Batch, Precision: j.precision, Fuse: j.fuse, Verify: true}
	var names []string
	if j.on.arch().OnGPU() {
		l.kept = j.sets()
	}
	for _, k := range l.kept {
		options.Loaders = append(options.Loaders, k.loader)
		names = append(names, k.loader.Name)
	}
	result, err := compiler.Compile(j.net, options)
	if err != nil {
		return nil, err
	}
	l.module = result.Module
	if l.known, err = layOut(l.module, j.on.arch(), lower.Plan, trainingFunctions()...); err != nil {
		return nil, err
	}
	if l.plans = l.known; j.page != nil {
		addLogits(l.module.Func("eval"))
		if l.plans, err = layOut(l.module, j.on.arch(), lower.Plan, trainingFunctions()...); err != nil {
			return nil, err
		}
	}
	planned := memoryOf(l.plans)
	if err := j.on.afford(planned); err != nil {
		return nil, err
	}
	if keeps, err := j.on.keeps(planned, bytesOf(l.kept)); err != nil || !keeps {
		l.kept = nil
		return l, err
	}
	l.loaders, err = layOut(l.module, j.on.arch(), lower.Plan, names...)
	return l, err
}

// announce says what is about to be trained, how, and on what.
func announce(j job, l *laidOut) error {
	planned := memoryOf(l.plans)
	forward, err := irgen.Build(j.net, j.net.Train.Batch)
	if err != nil {
		return err
	}
	fmt.Fprintf(j.words, "%s on %s\n\n", j.net.Name, j.net.Data.Name)
	if err := printRows(j.words, layerRows(forward.Func("infer"), byGroup)); err != nil {
		return err
	}
	r := j.net.Train
	t := tabwriter.NewWriter(j.words, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "\ntraining\t%d epochs of %s images, batch %d, seed %d; %s recipe\n", r.Epochs, formatCount(int64(j.src.Train.Len())), r.Batch, j.seed, r.Recipe)
	fmt.Fprintf(t, "rate\t%s\n", formatRate(r))
	fmt.Fprintf(t, "target\t%s, %s, %v\n", j.target.name, j.on.describe(), j.precision)
	fmt.Fprintf(t, "memory\t%s at peak: state %s, activations %s, scratch %s\n", formatBytes(planned.peak(j.on.workers())),
		formatBytes(planned.state), formatBytes(planned.arena), formatBytes(planned.counters+j.on.workers()*planned.scratch))
	if len(l.kept) > 0 {
		fmt.Fprintf(t, "data\t%s, kept in the GPU's memory, where batches are made of it\n", formatBytes(bytesOf(l.kept)))
	}
	return t.Flush()
}

// formatRate says how the learning rate goes: "0.1; 0.02 from epoch 60; 0.004
// from epoch 120".
func formatRate(r dsl.Train) string {
	text := fmt.Sprintf("%.4g", r.Rate(0))
	for e := 1; e < r.Epochs; e++ {
		if rate := r.Rate(e); rate != r.Rate(e-1) {
			text += fmt.Sprintf("; %.4g from epoch %d", rate, e+1)
		}
	}
	return text
}

// facts are the job's choices, for the run's folder.
func (j job) facts(plans []*plan.Plan) runFacts {
	r := j.net.Train
	d := j.net.Data
	return runFacts{
		Model: j.net.Name, Dropout: j.net.Dropout, Data: d.Name, Images: j.src.Train.Len(), Labels: labelHash(j.src.Train),
		Normalize: d.Normalize.String(), Flip: d.Flip, CropPad: d.CropPad, CropMode: d.CropMode,
		Recipe: r.Recipe, Epochs: r.Epochs, Batch: r.Batch, LR: r.LR, Drops: r.Drops, DropRatio: r.DropRatio, Momentum: r.Momentum, Nesterov: r.Nesterov, Decay: r.WeightDecay,
		Seed: j.seed, Target: j.target.name, ISA: j.on.arch().ISA, Device: j.on.device(), Precision: j.precision.String(), Fused: j.fuse,
		Plan: planHash(plans), Choices: j.choices, Network: j.text,
	}
}

// interruptible returns a context that the first interrupt ends, after which it
// calls told; the second one ends the program.
func interruptible(told func()) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	silent := context.AfterFunc(ctx, func() {
		stop() // the next signal has its usual effect
		told()
	})
	return ctx, func() {
		silent()
		stop()
	}
}

// interrupted turns the error of an ended context into words.
func interrupted(err error, kept string) error {
	if errors.Is(err, context.Canceled) {
		return stoppedError{kept}
	}
	return err
}

// stoppedError is an interrupt's, in words.
type stoppedError struct{ kept string }

func (e stoppedError) Error() string { return "stopped; " + e.kept }

// Unwrap tells an interrupt from other errors.
func (stoppedError) Unwrap() error { return context.Canceled }

// advise says what to do where a training has ended early.
func advise(err error, dir string, sum train.Summary) error {
	again := "wrnc run --resume " + shellWord(dir)
	var diverged *train.DivergedError
	var unsaved *train.SaveError
	switch {
	case errors.As(err, &diverged) && diverged.Saved == 0:
		return fmt.Errorf("%w; begin again at a lower rate by: %s --scale-lr 0.1", err, again)
	case errors.As(err, &diverged):
		return fmt.Errorf("%w; go on from there at a lower rate by: %s --scale-lr 0.1%s", err, again, earlier(dir))
	case errors.As(err, &unsaved):
		return fmt.Errorf("%w; free some space or make the folder writable, then go on by: %s", err, again)
	case sum.Saved > 0 && !errors.Is(err, context.Canceled): // the machine
		return fmt.Errorf("%w; the checkpoint of step %d is kept, go on by: %s", err, sum.Saved, again)
	}
	return interrupted(err, fmt.Sprintf("the weights after step %d are in %s; go on by: %s", sum.Steps, filepath.Join(dir, "last.safetensors"), again))
}

// earlier says how to go back further than to the newest checkpoint.
func earlier(dir string) string {
	kept, err := train.Checkpoints(dir)
	if err != nil || len(kept) < 2 {
		return "; or begin another run with a lower --lr"
	}
	return fmt.Sprintf("; or from further back, with --from-step %d", kept[len(kept)-2].Step)
}

// shellWord quotes a path for a shell where that is needed.
func shellWord(path string) string {
	plain := func(r rune) bool {
		return r > 127 || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune(`/\._-+:,@%`, r)
	}
	if path != "" && strings.TrimFunc(path, plain) == "" {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
