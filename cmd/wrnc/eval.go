package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"wrnc/compiler"
	"wrnc/compiler/ir"
	"wrnc/compiler/lower"
	"wrnc/dsl"
	"wrnc/runtime"
	"wrnc/runtime/data"
	"wrnc/runtime/metrics"
	"wrnc/runtime/train"
)

// flagsFit refuses flags that go with another use of `wrnc run` than the one that
// was asked for.
func (c *runCommand) flagsFit() error {
	type flag struct {
		name  string
		given bool
	}
	refuse := func(why string, flags ...flag) error {
		for _, f := range flags {
			if f.given {
				return usagef("%s: %s", f.name, why)
			}
		}
		return nil
	}
	training := []flag{
		{"--train", c.Train != ""}, {"--resume", c.Resume != ""}, {"--epochs", c.Epochs != nil}, {"--lr", c.LR != nil},
		{"--limit", c.Limit != nil}, {"--seed", c.Seed != nil}, {"--out", c.Out != ""}, {"--save-every", c.SaveEvery != nil},
		{"--keep-every", c.KeepEvery != nil}, {"--from-step", c.FromStep != nil}, {"--scale-lr", c.ScaleLR != nil}, {"--allow-other-plan", c.OtherPlan}, {"--serve", c.Serve != ""},
	}
	weights, top := flag{"--weights", c.Weights != ""}, flag{"--top", c.Top != nil}
	more := flag{"a second argument, " + strings.Join(c.More, " "), len(c.More) > 0}
	switch {
	case c.Eval != "" && c.Infer != "":
		return usagef("--eval and --infer: expected one of them")
	case c.Eval != "":
		return refuse("it makes no sense with --eval; leave it out", append(training, top, more)...)
	case c.Infer != "":
		return refuse("it makes no sense with --infer; leave it out", append(training, flag{"--data", c.Data != ""})...)
	}
	return errors.Join(refuse("only with --infer", top, more), refuse("only with --eval or --infer", weights))
}

// evaluation is what `wrnc run --eval` found. Errors are in percent.
type evaluation struct {
	Model           string          `json:"model"`
	Weights         string          `json:"weights"` // their file
	Data            string          `json:"data"`
	Images          int             `json:"images"`
	Loss            metrics.Number  `json:"loss"`
	Error           metrics.Number  `json:"error"`
	Top5            *metrics.Number `json:"top5_error,omitempty"` // of more than five classes
	ImagesPerSecond metrics.Number  `json:"images_per_second"`
	Seconds         metrics.Number  `json:"seconds"`
	Target          string          `json:"target"`
	ISA             string          `json:"isa"`
	Precision       string          `json:"precision"`
	machine         string          // what there is to say of it
}

// evaluate measures trained weights on a data set's test pictures.
func (c *runCommand) evaluate(s *session) (err error) {
	if c.Network == "" {
		return usagef("--eval %s: expected a run's folder or a file of weights behind it", c.Eval)
	}
	set, err := c.evaluationSet()
	if err != nil {
		return err
	}
	target, on, err := c.machine(s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, on.close()) }()
	t, err := openTrained(c.Network, c.Weights)
	if err != nil {
		return err
	}
	if err := c.rebatch(t); err != nil {
		return err
	}
	src, err := s.open(set, c.folder(set, t.net), t.net.Input)
	if err != nil {
		return err
	}
	if err := t.fits(src.Test); err != nil {
		return err
	}
	for _, note := range src.Notes {
		fmt.Fprintf(c.words(s), "note: %s\n", harmless(note))
	}
	m, err := compileAlone(t.net, "eval", compiler.Options{Batch: t.batch, Precision: c.precision(), Fuse: !c.NoFuse, Verify: true})
	if err != nil {
		return err
	}
	addLogits(m.Func("eval"))
	ex, _, err := start(m, on, lower.PlanPrepared)
	if err != nil {
		return err
	}
	defer ex.Close()
	if err := train.SetWeights(t.weights, ex, m); err != nil {
		return err
	}
	found, err := s.measure(ex, t, src.Test)
	if err != nil {
		return err
	}
	found.Data, found.Target, found.ISA, found.Precision, found.machine = set.name, target.name, on.arch().ISA, c.precision().String(), on.describe()
	if c.JSON {
		return s.printJSON(found)
	}
	return found.print(s.stdout)
}

// measure runs eval on a whole set, in the batches in which training does.
func (s *session) measure(ex runtime.Executable, t *trained, set *data.Set) (evaluation, error) {
	const top = 5
	fail := func(err error) (evaluation, error) { return evaluation{}, err }
	loader, err := data.NewLoader(set, data.LoaderOptions{Batch: t.batch, Normalize: t.normalize, Prefetch: 2})
	if err != nil {
		return fail(err)
	}
	ctx, stop := interruptible(func() {})
	defer stop()
	width, isTerminal := terminal(s.stderr)
	progress := metrics.NewProgress(metrics.ProgressOptions{Out: s.stderr, Terminal: isTerminal, NoColor: s.noColor, Width: width, Now: s.now})
	progress.Begin("eval", int64(set.Len()))
	begun := s.now()
	misses := 0
	loss, err := train.Evaluate(ctx, ex, loader, func(b *data.Batch, _ train.Loss, out [][]float32) error {
		misses += outside(top, out[1], b.Labels)
		progress.Add(int64(b.N), "")
		return nil
	})
	progress.Finish("")
	if err != nil {
		return fail(interrupted(err, "not all pictures were measured"))
	}
	if mean := loss.Mean(); math.IsNaN(mean) || math.IsInf(mean, 0) {
		return fail(fmt.Errorf("%s: the loss is %v; the weights are damaged, or of a training that diverged", t.weights.Path, mean))
	}
	seconds := s.now().Sub(begun).Seconds()
	found := evaluation{
		Model: t.net.Name, Weights: t.weights.Path, Images: loss.Images,
		Loss: metrics.Number(loss.Mean()), Error: metrics.Number(loss.Percent()),
		ImagesPerSecond: metrics.Number(float64(loss.Images) / seconds), Seconds: metrics.Number(seconds),
	}
	if t.net.Classes > top {
		error5 := metrics.Number(100 * float64(misses) / float64(loss.Images))
		found.Top5 = &error5
	}
	return found, nil
}

// rebatch takes --batch. Sums over other batches round otherwise.
func (c *runCommand) rebatch(t *trained) error {
	if err := within("--batch", c.Batch, 1, maxBatch); err != nil {
		return err
	}
	if c.Batch != nil {
		t.batch = *c.Batch
	}
	return nil
}

// evaluationSet returns the data set of --eval.
func (c *runCommand) evaluationSet() (dataSet, error) {
	set, err := chooseData("--eval", c.Eval)
	if err != nil {
		return dataSet{}, err
	}
	set.measure = true
	return set, c.dataFits(set, "--eval", c.Eval)
}

// fits tells whether the network sorts what the set has.
func (t *trained) fits(set *data.Set) error {
	if size := [3]int{set.H, set.W, set.C}; t.net.Input != size {
		return fmt.Errorf("%s: the network takes pictures of %dx%dx%d, and those of %s are %dx%dx%d",
			t.weights.Path, t.net.Input[0], t.net.Input[1], t.net.Input[2], set.Name, size[0], size[1], size[2])
	}
	if len(set.Classes) > t.net.Classes {
		return fmt.Errorf("%s: the network has %d classes, and %s has %d", t.weights.Path, t.net.Classes, set.Name, len(set.Classes))
	}
	for i, name := range set.Classes {
		if i < len(t.classes) && t.classes[i] != name {
			return fmt.Errorf("%s: class %d of the network is %s, and of %s it is %s; expected the classes that it was trained on",
				t.weights.Path, i, t.class(i), set.Name, name)
		}
	}
	return nil
}

// compileAlone compiles a network and returns one of its functions.
func compileAlone(net *dsl.Network, function string, o compiler.Options) (*ir.Module, error) {
	result, err := compiler.Compile(net, o)
	if err != nil {
		return nil, err
	}
	return alone(result.Module, function)
}

// addLogits makes a compiled eval return the logits behind the loss, which it
// computes in any case: no number changes.
func addLogits(f *ir.Func) {
	for _, n := range f.Nodes {
		for _, m := range n.Body.Nodes {
			if m.Op == ir.Xent {
				f.Returns = append(slices.Clip(f.Returns), m.Args[0])
			}
		}
	}
}

// outside counts the samples whose label is not among the k classes of the largest
// logits, of equals the first.
func outside(k int, logits []float32, labels []int32) int {
	classes, count := len(logits)/len(labels), 0
	for i, label := range labels {
		row := logits[i*classes : (i+1)*classes]
		rank := 0
		for class, v := range row {
			if own := row[label]; v > own || v == own && class < int(label) {
				rank++
			}
		}
		if rank >= k {
			count++
		}
	}
	return count
}

// print writes the findings for people.
func (e evaluation) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "%s on %s, weights %s\n\n", e.Model, e.Data, e.Weights)
	fmt.Fprintf(t, "loss\t%.4f\n", float64(e.Loss))
	fmt.Fprintf(t, "error\t%.2f %%\n", float64(e.Error))
	if e.Top5 != nil {
		fmt.Fprintf(t, "top-5 error\t%.2f %%\n", float64(*e.Top5))
	}
	fmt.Fprintf(t, "images\t%s, %.0f img/s, %s\n", formatCount(int64(e.Images)), float64(e.ImagesPerSecond), metrics.FormatDuration(time.Duration(float64(e.Seconds)*float64(time.Second))))
	fmt.Fprintf(t, "target\t%s, %s, %s\n", e.Target, e.machine, e.Precision)
	return t.Flush()
}
