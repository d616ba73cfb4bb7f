package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	goruntime "runtime"
	"slices"
	"strings"
	"text/tabwriter"

	"wrnc/compiler"
	"wrnc/compiler/ir"
	"wrnc/compiler/lower"
	"wrnc/compiler/plan"
	"wrnc/dsl"
	"wrnc/runtime"
	"wrnc/runtime/cuda/facts"
	"wrnc/runtime/metrics"
	"wrnc/runtime/verify"
)

// verifyCommand is `wrnc verify`.
type verifyCommand struct {
	Network   string  `arg:"" optional:"" name:"file|name" help:"A .wrn file, or a name such as WRN-16-8; by default WRN-10-1 with dropout."`
	Target    string  `help:"auto (the GPU where there is one), cuda or cpu." default:"auto" placeholder:"T"`
	Device    *int    `help:"cuda: the number of the GPU, among those of CUDA_VISIBLE_DEVICES; 0 by default." placeholder:"N"`
	ISA       string  `name:"isa" help:"cpu: instruction set: auto, avx512, avx2 or go." default:"auto" placeholder:"I"`
	Threads   *int    `help:"cpu: worker threads, by default one a CPU." placeholder:"N"`
	Precision string  `help:"f32, the default; or for cuda tf32 or bf16, which use tensor cores." placeholder:"P"`
	Batch     int     `help:"Images in the batch that kernels are planned for, 4 by default." default:"4" placeholder:"N"`
	Samples   *int    `help:"Images to compute with, by default the batch, but at most 4." placeholder:"N"`
	Limit     float64 `help:"Leave out what would take the interpreter more than this in all, in billions of multiply-adds, 10 by default, the dearest first." default:"10" placeholder:"X"`
	Seed      uint64  `help:"Of the random inputs, 1 by default." default:"1" placeholder:"N"`
	NoFuse    bool    `help:"Verify every operation as a kernel of its own."`
	JSON      bool    `help:"Print one JSON object; words go to standard error."`
}

// Help shows examples.
func (c *verifyCommand) Help() string {
	return "On a GPU tries each instruction that kernels rely on. Runs the kernels of each region of the network on random inputs, then whole training steps, evaluation and inference, and compares with " +
		"the interpreter, which is slow and obvious; on a GPU whole functions with the cpu target too. An error is relative to the largest element of a region's result, and is that of the norm of a whole function's. " +
		"Regions with the same kernels are run once. The exit code is 1 if anything disagrees.\n\n" +
		"Examples:\n\n  wrnc verify\n  wrnc verify WRN-16-4 --limit 50\n  wrnc verify WRN-16-8 --target cuda --precision bf16 --batch 128 --samples 3"
}

// verifyFacts is what `wrnc verify --json` prints.
type verifyFacts struct {
	Model     string `json:"model"`
	Target    string `json:"target"`
	ISA       string `json:"isa"`
	Device    string `json:"device,omitempty"`
	Precision string `json:"precision"`
	Batch     int    `json:"batch"`
	Samples   int    `json:"samples"`
	OK        bool   `json:"ok"`

	Instructions []instruction   `json:"instructions,omitempty"` // of a GPU
	Checks       []verifyCheck   `json:"checks"`
	LeftOut      []verifyLeftOut `json:"left_out"`
}

type verifyCheck struct {
	Function  string         `json:"function"`
	Region    string         `json:"region,omitempty"` // none: the function as a whole
	Kernels   []string       `json:"kernels,omitempty"`
	Alike     int            `json:"alike,omitempty"` // regions that have these kernels
	Against   string         `json:"against"`
	Samples   int            `json:"samples"`
	OK        bool           `json:"ok"`
	Error     metrics.Number `json:"error"` // of the worst result, relative to its largest element
	Tolerance float64        `json:"tolerance"`
	Result    string         `json:"result"`
	Element   int            `json:"element"`
	Got       metrics.Number `json:"got"`
	Want      metrics.Number `json:"want"`
}

// instruction is a function of the kernels' prelude, compared with its definition.
type instruction struct {
	Name  string `json:"name"`
	OK    bool   `json:"ok"`
	Wrong string `json:"wrong,omitempty"`
}

type verifyLeftOut struct {
	Function string  `json:"function"`
	Region   string  `json:"region,omitempty"`
	MACs     float64 `json:"macs"` // that the interpreter would need
}

// defaultVerified is what is verified without a network: small, and of every kind of
// kernel that the paper's networks have.
const defaultVerified = "model WRN-10-1\ndropout 0.3\n"

// Run verifies.
func (c *verifyCommand) Run(s *session) (err error) {
	samples, err := c.samples()
	if err != nil {
		return err
	}
	net, err := c.load()
	if err != nil {
		return err
	}
	words := s.stdout
	if c.JSON {
		words = s.stderr
	}
	flags := runCommand{Target: c.Target, Device: c.Device, ISA: c.ISA, Threads: c.Threads, Precision: c.Precision, JSON: c.JSON}
	t, on, err := flags.machine(s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, on.close()) }()
	precision := flags.precision()
	nets, err := c.networks(net, precision, on)
	if err != nil {
		return err
	}
	if t.name != "cpu" {
		if err := c.besideCPU(net, nets, words); err != nil {
			return err
		}
	}
	options := verify.Options{Samples: samples, Seed: c.Seed, Limit: c.Limit * 1e9, Progress: s.verifying(words)}
	fmt.Fprintf(words, "%s on %s (%s), %v, batches of %d, %d images\n", net.Name, t.name, on.describe(), precision, c.Batch, samples)
	ctx, stop := interruptible(func() {})
	defer stop()
	found := verifyFacts{Model: net.Name, Target: t.name, ISA: on.arch().ISA, Device: on.device(), Precision: precision.String(), Batch: c.Batch, Samples: samples}
	if err := found.tryInstructions(on); err != nil {
		return err
	}
	report, failed := verify.Run(ctx, verified(t.name, on), nets, options)
	if report == nil {
		return failed
	}
	found.fill(report, failed == nil)
	if c.JSON {
		err = s.printJSON(found)
	} else {
		err = found.print(s.stdout)
	}
	if failed == nil && len(found.Checks) == 0 {
		failed = fmt.Errorf("--limit %v: nothing is verified within it; give a higher one", c.Limit)
	}
	return errors.Join(err, interrupted(failed, "what is above was verified"), found.verdict())
}

// samples checks the flags with numbers and returns how many samples to run.
func (c *verifyCommand) samples() (int, error) {
	if err := errors.Join(within("--batch", &c.Batch, 1, maxBatch), within("--samples", c.Samples, 1, c.Batch)); err != nil {
		return 0, err
	}
	if !(c.Limit > 0) || math.IsInf(c.Limit, 0) {
		return 0, usagef("--limit %v: expected a number above 0", c.Limit)
	}
	if c.Samples != nil {
		return *c.Samples, nil
	}
	return min(c.Batch, 4), nil
}

func (c *verifyCommand) load() (*dsl.Network, error) {
	if c.Network == "" {
		return dsl.Load("<the network to verify>", []byte(defaultVerified))
	}
	return loadNetwork(c.Network)
}

// networks compiles a network as a machine runs it: for training, and for inference.
func (c *verifyCommand) networks(net *dsl.Network, precision ir.DType, on machine) ([]verify.Network, error) {
	options := compiler.Options{Batch: c.Batch, Precision: precision, Fuse: !c.NoFuse, Verify: true}
	training, err := compiler.Compile(net, options)
	if err != nil {
		return nil, err
	}
	training.Module.Funcs = slices.DeleteFunc(training.Module.Funcs, func(f *ir.Func) bool { return !slices.Contains(trainingFunctions(), f.Name) })
	options.Fold = folds(on.arch())
	inference, err := compileAlone(net, "infer", options)
	if err != nil {
		return nil, err
	}
	nets := []verify.Network{{Module: training.Module, Plan: lower.Plan}, {Module: inference, Plan: lower.PlanPrepared}}
	for _, n := range nets {
		plans, err := layOut(n.Module, on.arch(), n.Plan)
		if err != nil {
			return nil, err
		}
		if err := on.afford(memoryOf(plans)); err != nil {
			return nil, err
		}
	}
	return nets, nil
}

// verified is a machine as a target.
func verified(name string, on machine) verify.Target {
	return verify.Target{Name: name, Arch: on.arch(), Load: func(m *ir.Module, plans []*plan.Plan) (runtime.Executable, error) {
		return on.load(m, plans, nil)
	}}
}

// besideCPU has the networks compared with those on this machine's processor, which
// computes in f32.
func (c *verifyCommand) besideCPU(net *dsl.Network, nets []verify.Network, words io.Writer) error {
	threads := goruntime.GOMAXPROCS(0)
	if c.Threads != nil {
		threads = *c.Threads
	}
	on, err := openCPU(machineChoice{isa: "auto", threads: threads, precision: ir.F32, words: words})
	if err != nil {
		return err
	}
	others, err := c.networks(net, ir.F32, on)
	for i := range others {
		nets[i].Other = &verify.Other{Network: others[i], Target: verified("cpu", on)}
	}
	return err
}

// verifying draws progress where people look on.
func (s *session) verifying(words io.Writer) func(done, all int, next string) {
	width, is := terminal(words)
	if !is {
		return nil
	}
	return func(done, all int, next string) {
		line := fmt.Sprintf("%d of %d  %s", done, all, next)
		if done == all {
			line = ""
		}
		fmt.Fprintf(words, "\r%-*.*s\r", max(width-1, 0), max(width-1, 0), line)
	}
}

// tryInstructions holds a GPU to what kernels rely on.
func (f *verifyFacts) tryInstructions(on machine) error {
	g, is := on.(*gpuMachine)
	if !is {
		return nil
	}
	results, err := facts.Check(g.gpu, g.options.Headers)
	for _, r := range results {
		f.Instructions = append(f.Instructions, instruction{r.Name, r.Wrong == "", r.Wrong})
	}
	return err
}

// wrong are the names of what disagrees.
func (f *verifyFacts) wrong() []string {
	var list []string
	for _, i := range f.Instructions {
		if !i.OK {
			list = append(list, i.Name)
		}
	}
	for _, c := range f.Checks {
		if !c.OK {
			list = append(list, cmp.Or(c.Region, "the whole of "+c.Function))
		}
	}
	return list
}

// fill takes the report over; whole tells whether it is of all that was to be verified.
func (f *verifyFacts) fill(r *verify.Report, whole bool) {
	f.Checks, f.LeftOut = []verifyCheck{}, []verifyLeftOut{}
	for _, c := range r.Checks {
		d := c.Worst
		f.Checks = append(f.Checks, verifyCheck{Function: c.Function, Region: c.Region, Kernels: c.Kernels, Alike: c.Alike, Against: c.Against, Samples: c.Samples, OK: c.OK(),
			Error: metrics.Number(d.Error), Tolerance: d.Tolerance, Result: d.Name, Element: d.Element, Got: metrics.Number(d.Got), Want: metrics.Number(d.Want)})
	}
	f.OK = whole && len(f.Checks) > 0 && len(f.wrong()) == 0
	for _, l := range r.LeftOut {
		f.LeftOut = append(f.LeftOut, verifyLeftOut{Function: l.Function, Region: l.Region, MACs: l.MACs})
	}
}

// print writes the table.
func (f *verifyFacts) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if len(f.Instructions) > 0 {
		fmt.Fprintln(t, "\ninstructions")
	}
	for _, i := range f.Instructions {
		fmt.Fprintf(t, "%s\t%s\n", i.Name, cmp.Or(i.Wrong, "ok"))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(t, "\nfunction\tregion\tkernels\talike\t     error\ttolerance\t\tworst result")
	for _, c := range f.Checks {
		region, kernels, alike, verdict := c.Region, fmt.Sprint(len(c.Kernels)), fmt.Sprint(c.Alike), "ok"
		if region == "" {
			region, kernels, alike = "(whole, against the "+c.Against+")", "", ""
		}
		worst := c.Result
		if !c.OK {
			verdict = "WRONG"
			worst = fmt.Sprintf("%s: element %d is %v, expected %v", c.Result, c.Element, float64(c.Got), float64(c.Want))
		}
		allowed := "exact"
		if c.Tolerance > 0 {
			allowed = fmt.Sprintf("%.2g", c.Tolerance)
		}
		fmt.Fprintf(t, "%s\t%s\t%7s\t%5s\t%10s\t%9s\t%s\t%s\n", c.Function, region, kernels, alike, fmt.Sprintf("%.2g", float64(c.Error)), allowed, verdict, worst)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	regions := 0
	for _, c := range f.Checks {
		regions += c.Alike
	}
	fmt.Fprintf(w, "\n%d regions verified%s\n", regions, f.leftOut())
	return nil
}

// leftOut says what the limit left out.
func (f *verifyFacts) leftOut() string {
	if len(f.LeftOut) == 0 {
		return ""
	}
	var names []string
	macs := 0.0
	for _, l := range f.LeftOut {
		names = append(names, cmp.Or(l.Region, "the whole of "+l.Function))
		macs += l.MACs
	}
	return fmt.Sprintf("; left out by --limit, which %.3g more would take in: %s", math.Ceil(macs/1e8)/10, strings.Join(names, ", "))
}

// verdict is an error where something disagrees.
func (f *verifyFacts) verdict() error {
	wrong := f.wrong()
	if len(wrong) == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d comparisons disagree: %s; please report it with this output and that of wrnc doctor", len(wrong), len(f.Checks)+len(f.Instructions), strings.Join(wrong, ", "))
}
