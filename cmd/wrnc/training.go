package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"text/tabwriter"
	"time"

	"wrnc/compiler"
	"wrnc/compiler/ir"
	"wrnc/compiler/irgen"
	"wrnc/dsl"
	"wrnc/runtime"
	"wrnc/runtime/data"
	"wrnc/runtime/metrics"
	"wrnc/runtime/train"
)

// job is a training, all choices made.
type job struct {
	net    *dsl.Network
	src    *data.Source
	target target
	on     machine
	fuse   bool
	seed   uint64
	out    string    // folder to keep the run in; "" makes one
	words  io.Writer // what people read
	json   bool      // records go to standard output
}

// trainingFunctions are the functions that a training calls.
func trainingFunctions() []string { return []string{"train", "eval"} }

// train compiles the job's network, says what is to come, trains, and says what
// came of it.
func (s *session) train(j job) error {
	m, ex, planned, err := load(j)
	if err != nil {
		return err
	}
	defer ex.Close()
	if err := announce(j, m, planned); err != nil {
		return err
	}
	ctx, stop := interruptible()
	defer stop()

	normalize := normalization(j.net.Data, j.src.Train)
	options := train.Options{
		Recipe:    recipe(j.net.Train),
		Seed:      j.seed,
		Augment:   augmentation(j.net.Data),
		Normalize: normalize,
		Metadata:  metadata(j.net, normalize),
		Progress:  s.progress(j),
		Now:       s.now,
	}
	estimate, err := train.EstimateRun(ctx, ex, m, j.src, options)
	if err != nil {
		return interrupted(err, "nothing was trained")
	}
	fmt.Fprintf(j.words, "estimated time %s: %.4g ms a step\n", metrics.FormatDuration(estimate.Total), 1e3*estimate.Step.Seconds())

	dir, err := makeRunFolder(j.out, j.net, j.seed)
	if err != nil {
		return err
	}
	options.Dir = dir
	if err := j.facts().write(dir); err != nil {
		return err
	}
	fmt.Fprintf(j.words, "the run is kept in %s\n\n", dir)
	return s.record(ctx, j, m, ex, options)
}

// metadata are the facts about a network that its weights are kept with.
func metadata(net *dsl.Network, n data.Normalize) map[string]string {
	return map[string]string{
		"data": net.Data.Name, "classes": fmt.Sprint(net.Classes), "normalize": net.Data.Normalize.String(), "recipe": net.Train.Recipe,
		"mean": fmt.Sprint(n.Mean), "scale": fmt.Sprint(n.Scale), // a byte becomes (byte - mean) * scale
	}
}

// progress draws where people read.
func (s *session) progress(j job) *metrics.Progress {
	width, isTerminal := terminal(j.words)
	images := j.src.Train.Len()
	if !j.net.Train.KeepShortBatch {
		images -= images % j.net.Train.Batch
	}
	return metrics.NewProgress(metrics.ProgressOptions{
		Out: j.words, Terminal: isTerminal, NoColor: s.noColor, Width: width, Now: s.now,
		RunImages: int64(j.net.Train.Epochs) * int64(images+j.src.Test.Len()),
	})
}

// record trains, with a record of each epoch in the run's folder and, where it
// is asked for, on standard output.
func (s *session) record(ctx context.Context, j job, m *ir.Module, ex runtime.Executable, options train.Options) (err error) {
	file, err := metrics.OpenFile(filepath.Join(options.Dir, "metrics.jsonl"))
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
		return interrupted(err, fmt.Sprintf("the weights after step %d are in %s", sum.Steps, filepath.Join(options.Dir, "last.safetensors")))
	}
	fmt.Fprintf(j.words, "\ntest error %.2f %% after the last epoch, %.2f %% at best (epoch %d); %s in all; kept in %s\n",
		sum.TestError, sum.BestTestError, sum.BestEpoch, metrics.FormatDuration(time.Duration(sum.Seconds*float64(time.Second))), options.Dir)
	return options.Log.Done(metrics.Done{
		Run: options.Dir, Target: j.target.name, Precision: ir.F32.String(), Seed: j.seed,
		TestError: metrics.Number(sum.TestError), BestTestError: metrics.Number(sum.BestTestError), Seconds: metrics.Number(sum.Seconds),
	})
}

// load compiles the job's network and loads it. What was planned must be what
// the target takes, to the byte: the user was told so.
func load(j job) (*ir.Module, runtime.Executable, memory, error) {
	fail := func(err error) (*ir.Module, runtime.Executable, memory, error) { return nil, nil, memory{}, err }
	result, err := compiler.Compile(j.net, compiler.Options{Batch: j.net.Train.Batch, Precision: ir.F32, Fuse: j.fuse, Verify: true})
	if err != nil {
		return fail(err)
	}
	m := result.Module
	arch, err := j.target.arch(machineType{isa: j.on.isa.Name})
	if err != nil {
		return fail(err)
	}
	plans, err := layOut(m, arch, trainingFunctions()...)
	if err != nil {
		return fail(err)
	}
	planned := memoryOf(plans)
	if err := affordable(planned.peak(j.on.threads), meminfo); err != nil {
		return fail(err)
	}
	ex, err := j.target.load(m, plans, j.on)
	if err != nil {
		return fail(err)
	}
	if took := ex.Allocated(); took != planned.peak(j.on.threads) {
		ex.Close()
		return fail(faultError{fmt.Sprintf("the target took %d bytes where %d were planned", took, planned.peak(j.on.threads))})
	}
	return m, ex, planned, nil
}

// announce says what is about to be trained, how, and on what.
func announce(j job, m *ir.Module, planned memory) error {
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
	fmt.Fprintf(t, "target\t%s, %s, threads: %d, f32\n", j.target.name, j.on.isa.Name, j.on.threads)
	fmt.Fprintf(t, "memory\t%s at peak: state %s, activations %s, scratch %s\n", formatBytes(planned.peak(j.on.threads)),
		formatBytes(planned.state), formatBytes(planned.arena), formatBytes(j.on.threads*planned.scratch))
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
func (j job) facts() runFacts {
	r := j.net.Train
	d := j.net.Data
	return runFacts{
		Model: j.net.Name, Dropout: j.net.Dropout, Data: d.Name, Images: j.src.Train.Len(),
		Normalize: d.Normalize.String(), Flip: d.Flip, CropPad: d.CropPad, CropMode: d.CropMode,
		Recipe: r.Recipe, Epochs: r.Epochs, Batch: r.Batch, LR: r.LR, Drops: r.Drops, DropRatio: r.DropRatio, Momentum: r.Momentum, Nesterov: r.Nesterov, Decay: r.WeightDecay,
		Seed: j.seed, Target: j.target.name, ISA: j.on.isa.Name, Precision: ir.F32.String(), Fused: j.fuse,
	}
}

// interruptible returns a context that the first interrupt ends; the second one
// ends the program.
func interruptible() (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, func() {
		stop() // the next signal has its usual effect
	})
	return ctx, stop
}

// interrupted turns the error of an ended context into words.
func interrupted(err error, kept string) error {
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("stopped; %s", kept)
	}
	return err
}
