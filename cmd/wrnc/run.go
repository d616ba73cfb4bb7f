package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"

	"wrnc/compiler/ir"
	"wrnc/dsl"
	"wrnc/runtime/data"
)

// runCommand is `wrnc run`.
type runCommand struct {
	Train     string   `help:"Train on this data: digits, which needs no download, cifar10, cifar100, svhn, or a folder with train and val, each of which has a folder of pictures for every class." placeholder:"DATA"`
	Resume    string   `help:"Go on with the run in this folder, from its newest checkpoint; all else is as it was begun." placeholder:"RUN"`
	Eval      string   `help:"Measure the weights of the run that follows on this data's test pictures." placeholder:"DATA"`
	Infer     string   `help:"Tell what is on the pictures that follow, by the weights of this run." placeholder:"RUN"`
	Network   string   `arg:"" optional:"" name:"file|name" help:"A .wrn file, or a name such as WRN-16-8; by default the paper's best network for the data. With --eval a run's folder or a file of weights, with --infer a picture or a folder of them."`
	More      []string `arg:"" optional:"" name:"picture" help:"With --infer: more pictures."`
	Weights   string   `help:"With --eval and --infer, of a run's folder: best, those with the least test error, which is the default, or last." placeholder:"W"`
	Top       *int     `help:"With --infer: how many classes to print of each picture, the likeliest first; 5 by default." placeholder:"K"`
	Data      string   `help:"Folder that the data's files lie in, by default data." placeholder:"DIR"`
	Epochs    *int     `help:"Epochs to train; the recipe's drops of the rate move in proportion." placeholder:"N"`
	LR        *float64 `help:"Learning rate of the first epoch." placeholder:"X"`
	Batch     *int     `help:"Images in a batch; with --eval by default as trained, with --infer at most 32." placeholder:"N"`
	Limit     *int     `help:"Train on the first N images only." placeholder:"N"`
	Seed      *uint64  `help:"Of weights, order, augmentation and dropout: the same seed gives the same weights, bit for bit; 1 by default." placeholder:"N"`
	Threads   *int     `help:"cpu: worker threads, by default one a CPU; results do not depend on them. A GPU has none." placeholder:"N"`
	Target    string   `help:"auto (the GPU where there is one), cuda or cpu." default:"auto" placeholder:"T"`
	Device    *int     `help:"cuda: the number of the GPU, among those of CUDA_VISIBLE_DEVICES; 0 by default." placeholder:"N"`
	Driver    string   `help:"cuda: what calls NVIDIA's driver: purego, the default, or gorgonia, where wrnc is built with it." placeholder:"D"`
	ISA       string   `name:"isa" help:"cpu: instruction set: auto, avx512, avx2 or go." default:"auto" placeholder:"I"`
	Precision string   `help:"f32, the default; or for cuda tf32 or bf16, which use tensor cores." placeholder:"P"`
	Out       string   `help:"Folder to keep the run in; by default a new one in runs." placeholder:"DIR"`
	SaveEvery *int     `help:"Steps between the checkpoints within an epoch; by default there is one after each epoch." placeholder:"N"`
	KeepEvery *int     `help:"Keep the checkpoints of each Nth epoch for good; else the two newest and that of the best epoch stay." placeholder:"N"`
	FromStep  *int64   `help:"With --resume: go back to the checkpoint of this step; later ones are removed." placeholder:"N"`
	ScaleLR   *float64 `name:"scale-lr" help:"With --resume: multiply all learning rates to come, such as after a divergence." placeholder:"X"`
	OtherPlan bool     `name:"allow-other-plan" help:"With --resume: go on though the instruction set or the plan is another; the results then agree within rounding."`
	NoFuse    bool     `help:"Run every operation as a kernel of its own."`
	NoGraph   bool     `help:"cuda: start kernels one by one, not a whole step as a CUDA graph. Changes no result."`
	Poison    bool     `help:"Fill dead memory with NaN, to find reads of it. Slow."`
	Serve     string   `help:"Show the training live on a page for a browser, at this port of this machine alone; 0 is any free one. HOST:PORT opens it to others." placeholder:"ADDR"`
	JSON      bool     `help:"Print one JSON object an epoch, and one at the end; with --eval one in all, with --infer one a picture. Words go to standard error."`

	kept *networkText // the network of a run that goes on
	page *livePage    // of --serve; nil without
}

// Help shows examples.
func (c *runCommand) Help() string {
	return "Examples:\n\n  wrnc run --train digits\n  wrnc run --train cifar10 WRN-16-4 --data ~/cifar --epochs 30 --seed 7" +
		"\n  wrnc run --train svhn --data ~/svhn\n  wrnc run --train ~/flowers WRN-16-2\n  wrnc run --resume runs/WRN-16-4-cifar10-7-1" +
		"\n  wrnc run --eval cifar10 runs/WRN-16-4-cifar10-7-1\n  wrnc run --infer runs/WRN-16-4-cifar10-7-1 cat.png holiday/"
}

// Run trains, and shows it where it is asked for, or uses what was trained.
func (c *runCommand) Run(s *session) (err error) {
	if err := c.flagsFit(); err != nil {
		return err
	}
	switch {
	case c.Eval != "":
		return c.evaluate(s)
	case c.Infer != "":
		return c.infer(s)
	}
	if c.page, err = openPage(c.Serve, c.words(s)); err != nil {
		return err
	}
	return c.page.close(s, c.train(s))
}

// train begins a run, or goes on with one.
func (c *runCommand) train(s *session) error {
	if c.Resume != "" {
		return c.resume(s)
	}
	if err := c.beginning(); err != nil {
		return err
	}
	if c.Out != "" { // made later; refused before the work
		if err := checkOut(c.Out); err != nil {
			return err
		}
	}
	j, err := c.job(s, c.words(s))
	if err != nil {
		return err
	}
	return s.train(j)
}

// beginning refuses what makes no sense for a new run.
func (c *runCommand) beginning() error {
	switch {
	case c.Train == "":
		return usagef("missing flags: --train=DATA, --resume=RUN to go on with a run, or --eval=DATA or --infer=RUN to use one")
	case c.FromStep != nil:
		return usagef("--from-step %d: only --resume RUN goes back to a step", *c.FromStep)
	case c.ScaleLR != nil:
		return usagef("--scale-lr %v: only with --resume RUN; for a new run take --lr", *c.ScaleLR)
	case c.OtherPlan:
		return usagef("--allow-other-plan: only --resume RUN has a plan already")
	}
	return nil
}

// words is where people read.
func (c *runCommand) words(s *session) io.Writer {
	if c.JSON || c.Infer != "" {
		return s.stderr
	}
	return s.stdout
}

// job makes all choices. A line to words tells of each flag that changes something.
func (c *runCommand) job(s *session, words io.Writer) (j job, err error) {
	fail := func(err error) (job, error) { return job{}, err }
	set, err := chooseData("--train", c.Train)
	if err != nil {
		return fail(err)
	}
	err = errors.Join(within("--save-every", c.SaveEvery, 1, math.MaxInt32), within("--keep-every", c.KeepEvery, 1, maxEpochs),
		within("--limit", c.Limit, 1, math.MaxInt32), c.dataFits(set, "--train", c.Train))
	if err != nil {
		return fail(err)
	}
	net, err := c.network(set, words)
	if err != nil {
		return fail(err)
	}
	t, on, err := c.machine(s)
	if err != nil {
		return fail(err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, on.close())
		}
	}()
	src, err := c.source(s, set, net)
	if err != nil {
		return fail(err)
	}
	for _, note := range src.Notes {
		fmt.Fprintf(words, "note: %s\n", harmless(note))
	}
	text, err := c.text(set)
	if err != nil {
		return fail(err)
	}
	choices, err := c.choices(set, net)
	if err != nil {
		return fail(err)
	}
	return job{net: net, text: text, src: src, target: t, on: on, precision: c.precision(), fuse: !c.NoFuse, seed: c.seed(), out: c.Out, words: c.words(s), json: c.JSON, choices: choices, page: c.page}, nil
}

func (c *runCommand) seed() uint64 {
	if c.Seed == nil {
		return 1
	}
	return *c.Seed
}

// precision is the value of --precision, one of precisions.
func (c *runCommand) precision() ir.DType {
	p, _ := ir.ParseDType(cmp.Or(c.Precision, ir.F32.String()))
	return p
}

// machine opens what the flags say to run on.
func (c *runCommand) machine(s *session) (target, machine, error) {
	fail := func(err error) (target, machine, error) { return target{}, nil, err }
	if c.Precision != "" {
		if err := oneOf("--precision", c.Precision, precisions()...); err != nil {
			return fail(err)
		}
	}
	if err := within("--threads", c.Threads, 1, maxThreads); err != nil {
		return fail(err)
	}
	if err := checkDriver(c.Driver); err != nil {
		return fail(err)
	}
	o := machineChoice{isa: c.ISA, threads: runtime.GOMAXPROCS(0), device: c.Device, driver: c.Driver, precision: c.precision(), poison: c.Poison, noGraph: c.NoGraph, words: c.words(s), gpu: s.gpu,
		quiet: c.Eval != "" || c.Infer != ""}
	if c.Threads != nil {
		o.threads = *c.Threads
	}
	t, m, err := openTarget(c.Target, o)
	if err != nil {
		return fail(c.withoutGPU(err))
	}
	if c.Threads != nil && m.workers() == 0 {
		if c.Target != "auto" {
			return fail(errors.Join(usagef("--threads %d: only --target cpu has worker threads", *c.Threads), m.close()))
		}
		o.note(fmt.Sprintf("--threads %d is for the cpu target; %s has no worker threads", *c.Threads, t.name))
	}
	return t, m, nil
}

// network returns the network to train, with the flags in place of what its
// text says; a line to words tells of each that changes something.
func (c *runCommand) network(set dataSet, words io.Writer) (*dsl.Network, error) {
	net, err := c.load(set)
	if err != nil {
		return nil, err
	}
	for _, note := range net.Notes {
		fmt.Fprint(words, note.String())
	}
	if err := c.override(net, words); err != nil {
		return nil, err
	}
	if net.Train.Runs > 1 {
		fmt.Fprintf(words, "note: the recipe asks for %d runs; this is one of them, with seed %d\n", net.Train.Runs, c.seed())
	}
	return net, nil
}

func (c *runCommand) load(set dataSet) (*dsl.Network, error) {
	var net *dsl.Network
	var err error
	switch {
	case c.kept != nil: // as the run was begun with it
		net, err = dsl.Load(c.kept.Name, []byte(c.kept.Text))
	case c.Network == "":
		net, err = dsl.Load(defaultName(set), []byte(set.network))
	default:
		net, err = loadNetwork(c.Network)
	}
	switch {
	case err != nil:
		return nil, err
	case set.classes > 0:
		return net.WithFolder(set.name, set.folder, set.classes)
	}
	return net.WithData(set.name)
}

func defaultName(set dataSet) string { return "<the network for " + set.name + ">" }

// override puts the flags' values in place of the recipe's.
func (c *runCommand) override(net *dsl.Network, words io.Writer) error {
	if err := errors.Join(within("--epochs", c.Epochs, 1, maxEpochs), within("--batch", c.Batch, 1, maxBatch)); err != nil {
		return err
	}
	if c.LR != nil && !(*c.LR > 0 && *c.LR <= maxRate) {
		return usagef("--lr %v: expected a number above 0 and at most %d", *c.LR, maxRate)
	}
	t := &net.Train
	note := func(flag string, value, replaced any) {
		if value != replaced {
			fmt.Fprintf(words, "note: --%s %v overrides the %v of the %s recipe\n", flag, value, replaced, t.Recipe)
		}
	}
	if c.Epochs != nil {
		note("epochs", *c.Epochs, t.Epochs)
		*t = t.Scaled(*c.Epochs)
	}
	if c.Batch != nil {
		note("batch", *c.Batch, t.Batch)
		t.Batch = *c.Batch
	}
	if c.LR != nil {
		note("lr", *c.LR, t.LR)
		t.LR = *c.LR
	}
	return nil
}

// source reads the data.
func (c *runCommand) source(s *session, set dataSet, net *dsl.Network) (*data.Source, error) {
	src, err := s.open(set, c.folder(set, net), net.Input)
	if err != nil {
		return nil, err
	}
	if s := src.Train; net.Input != [3]int{s.H, s.W, s.C} {
		return nil, fmt.Errorf("the network takes pictures of %dx%dx%d, and those of %s are %dx%dx%d",
			net.Input[0], net.Input[1], net.Input[2], set.name, s.H, s.W, s.C)
	}
	if c.Limit != nil {
		src = limited(src, *c.Limit)
	}
	return src, nil
}

// dataFits refuses --data where the set, which a flag named, has its files elsewhere or
// has none.
func (c *runCommand) dataFits(set dataSet, flag, name string) error {
	switch {
	case c.Data == "":
		return nil
	case set.classes > 0:
		return usagef("--data %s: %s %s is a folder and has the data; leave --data out", c.Data, flag, name)
	case set.folder == "":
		return usagef("--data %s: wrnc makes %s itself and reads no files for it", c.Data, set.name)
	}
	return nil
}

// folder is where the data's files lie; "" where it has none.
func (c *runCommand) folder(set dataSet, net *dsl.Network) string {
	switch {
	case set.folder == "":
		return ""
	case c.Data != "":
		return c.Data
	}
	return cmp.Or(net.Data.Path, set.folder)
}
