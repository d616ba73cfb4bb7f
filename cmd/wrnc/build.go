package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"wrnc/compiler"
	"wrnc/compiler/ir"
	"wrnc/compiler/lower"
	"wrnc/compiler/passes"
	"wrnc/compiler/plan"
	"wrnc/dsl"
)

// buildCommand is `wrnc build`.
type buildCommand struct {
	Network        string   `arg:"" name:"file|name" help:"A .wrn file, a name such as WRN-16-8, or an .ir file."`
	Out            string   `short:"o" help:"Write every stage into this folder." placeholder:"DIR"`
	Emit           string   `help:"Print one stage: ast, ir, fusion (what was fused, and why not), plan, cuda (the kernels' text), or report (all of it as one page of HTML)." placeholder:"STAGE"`
	PrintAfter     []string `help:"Print the IR after a pass, or after all." placeholder:"PASS"`
	PrintPositions bool     `help:"With each value of the IR that --emit, --print-after or -o writes, print its place in the network's text."`
	Target         string   `help:"cuda, the default, which needs no GPU to build for; or cpu." default:"cuda" placeholder:"T"`
	Arch           string   `help:"cuda: the GPU to plan for: sm_80 (the default), sm_86, sm_89, sm_90, sm_100 or sm_120." placeholder:"A"`
	ISA            string   `name:"isa" help:"cpu: the instruction set to plan for, which need not be this machine's: auto (the default), avx512, avx2 or go." placeholder:"I"`
	Precision      string   `help:"f32, the default; or tf32 or bf16, which use tensor cores and of which the cpu target runs neither." default:"f32" placeholder:"P"`
	Batch          *int     `help:"Images in a batch; by default the recipe's." placeholder:"N"`
	Fold           bool     `help:"Fold batch norm by running statistics into the weights before it, once, as run --infer does."`
	NoFuse         bool     `help:"Make every operation a kernel of its own."`
	JSON           bool     `help:"Print the report as one JSON object."`
}

// Help shows examples.
func (c *buildCommand) Help() string {
	return "Examples:\n\n  wrnc build WRN-16-4 -o out\n  wrnc build wrn.wrn --emit fusion\n  wrnc build WRN-28-10 --arch sm_90 --precision bf16 --emit cuda\n  wrnc build out/03-split-bn.ir --emit plan"
}

// stages are --emit's values.
func stages() []string { return []string{"ast", "ir", "fusion", "plan", "cuda", "report"} }

// built is a compiled and planned network, and how it came to be.
type built struct {
	text      []byte       // of the input
	module    *ir.Module   // after the last pass
	after     []passOutput // in order
	decisions []passes.Decision
	plans     []*plan.Plan
	sources   [][]plan.Source // of each plan, where the target has text
}

// passOutput is the IR after a pass.
type passOutput struct{ pass, text string }

// Run compiles, and prints or writes what was asked for.
func (c *buildCommand) Run(s *session) error {
	if c.Emit != "" {
		if err := oneOf("--emit", c.Emit, stages()...); err != nil {
			return err
		}
	}
	switch {
	case c.JSON && c.Emit != "":
		return usagef("--json: it prints the report, and --emit %s one stage; give one of them", c.Emit)
	case c.JSON && len(c.PrintAfter) > 0:
		return usagef("--json: it prints the report, and --print-after the IR; give one of them")
	case c.PrintPositions && c.Emit != "ir" && len(c.PrintAfter) == 0 && c.Out == "":
		return usagef("--print-positions: no IR is printed; add --emit ir, --print-after PASS or -o DIR")
	case c.Emit == "ast":
		return c.emitAST(s.stdout)
	}
	if err := c.checkPasses(); err != nil {
		return err
	}
	b, err := c.build(s.stderr)
	if err != nil {
		return err
	}
	c.printPasses(s.stdout, b.after)
	facts := c.facts(b)
	if c.Out != "" {
		files, err := c.files(b)
		if err != nil {
			return err
		}
		if err := writeBuild(c.Out, files, facts); err != nil {
			return err
		}
	}
	switch {
	case c.Emit != "":
		var text string
		if text, err = c.stage(b); err == nil {
			_, err = io.WriteString(s.stdout, text)
		}
	case c.JSON:
		err = s.printJSON(facts)
	case len(c.PrintAfter) == 0:
		err = facts.print(s.stdout)
	}
	return err
}

// emitAST prints the parsed text, which need not make sense yet.
func (c *buildCommand) emitAST(w io.Writer) error {
	if isIR(c.Network) {
		return usagef("--emit ast: %s is IR already", c.Network)
	}
	name, text := dsl.NameFile, []byte("model "+c.Network)
	if !dsl.IsName(c.Network) {
		var err error
		if text, err = readNetwork(c.Network, fileOrName); err != nil {
			return err
		}
		name = c.Network
	}
	f, err := dsl.Parse(name, text)
	if err != nil {
		return err
	}
	printAST(w, f)
	return nil
}

// build compiles and plans. Notes about the network go to notes.
func (c *buildCommand) build(notes io.Writer) (*built, error) {
	t, err := chooseTarget(c.Target)
	if err != nil {
		return nil, err
	}
	if c.Emit == "cuda" && t.emit == nil {
		return nil, usagef("--emit cuda: the %s target has no CUDA text; take --target cuda", t.name)
	}
	if c.Fold && t.emit != nil && c.plans() {
		return nil, usagef("--fold: the %s target does not fold; take --target cpu, or --emit ir", t.name)
	}
	arch, err := t.arch(machineType{isa: c.ISA, arch: c.Arch})
	if err != nil {
		return nil, err
	}
	if err := oneOf("--precision", c.Precision, precisions()...); err != nil {
		return nil, err
	}
	precision, _ := ir.ParseDType(c.Precision) // one of precisions
	if err := within("--batch", c.Batch, 1, maxBatch); err != nil {
		return nil, err
	}
	b := &built{}
	options := compiler.Options{Precision: precision, Fuse: !c.NoFuse, Fold: c.Fold, Verify: true, After: func(pass string, m *ir.Module) {
		if c.Out != "" || len(c.PrintAfter) > 0 {
			b.after = append(b.after, passOutput{pass, m.Format(ir.PrintOptions{Positions: c.PrintPositions})})
		}
	}}
	result, err := c.compile(b, options, notes)
	if err != nil {
		return nil, err
	}
	b.module = result.Module
	b.decisions = result.Decisions
	if !c.plans() {
		return b, nil
	}
	lay := lower.Plan
	if c.Fold {
		lay = lower.PlanPrepared
	}
	if b.plans, err = layOut(b.module, arch, lay); err != nil {
		return nil, err
	}
	if t.emit != nil {
		for _, p := range b.plans {
			s, err := t.emit(p, b.module.Func(p.Func))
			if err != nil {
				return nil, err
			}
			b.sources = append(b.sources, s)
		}
	}
	return b, nil
}

// plans tells whether anything that was asked for needs the plans. The IR alone
// can be had of networks that no target runs.
func (c *buildCommand) plans() bool {
	return c.Out != "" || c.Emit == "plan" || c.Emit == "cuda" || c.Emit == "report" || c.Emit == "" && (c.JSON || len(c.PrintAfter) == 0)
}

// compile runs the compiler on a network or on IR.
func (c *buildCommand) compile(b *built, o compiler.Options, notes io.Writer) (*compiler.Result, error) {
	if dsl.IsName(c.Network) && !isIR(c.Network) {
		b.text = []byte("model " + c.Network + "\n")
	} else {
		var err error
		if b.text, err = readNetwork(c.Network, fileOrName); err != nil {
			return nil, err
		}
	}
	if isIR(c.Network) {
		if c.Batch != nil {
			return nil, usagef("--batch %d: %s states its batch itself", *c.Batch, c.Network)
		}
		m, err := ir.Parse(c.Network, string(b.text))
		if err != nil {
			return nil, err
		}
		o.Batch = m.Batch
		return compiler.CompileModule(m, o)
	}
	net, err := loadNetwork(c.Network)
	if err != nil {
		return nil, err
	}
	for _, note := range net.Notes {
		fmt.Fprint(notes, note.String())
	}
	o.Batch = net.Train.Batch
	if c.Batch != nil {
		o.Batch = *c.Batch
	}
	return compiler.Compile(net, o)
}

// checkPasses refuses a --print-after that names nothing.
func (c *buildCommand) checkPasses() error {
	names := []string{"irgen", "autodiff"}
	for _, p := range compiler.Passes() {
		names = append(names, p.Name)
	}
	for _, want := range c.PrintAfter {
		if err := oneOf("--print-after", want, append(names, "all")...); err != nil {
			return err
		}
	}
	return nil
}

// printPasses prints the IR after the passes that were asked for, as text that
// parses back.
func (c *buildCommand) printPasses(w io.Writer, after []passOutput) {
	for _, p := range after {
		if slices.Contains(c.PrintAfter, p.pass) || slices.Contains(c.PrintAfter, "all") {
			fmt.Fprintf(w, "// after %s\n%s\n", p.pass, p.text)
		}
	}
}

// stage is the text that --emit asks for.
func (c *buildCommand) stage(b *built) (string, error) {
	switch c.Emit {
	case "ir":
		return b.module.Format(ir.PrintOptions{Positions: c.PrintPositions}), nil
	case "fusion":
		return b.fusion(), nil
	case "cuda":
		return b.cuda(), nil
	case "report":
		return c.report(b)
	}
	var plans []string
	for _, p := range b.plans {
		plans = append(plans, p.String())
	}
	return strings.Join(plans, "\n"), nil
}

// fusion is what --emit fusion prints: each decision, a line.
func (b *built) fusion() string {
	var w strings.Builder
	for _, d := range b.decisions {
		fmt.Fprintln(&w, d)
	}
	return w.String()
}

// buildFacts is what `wrnc build --json` prints.
type buildFacts struct {
	Model      string      `json:"model"`
	Parameters int         `json:"parameters"`
	Batch      int         `json:"batch"`
	Target     string      `json:"target"`
	ISA        string      `json:"isa"`
	Precision  string      `json:"precision"`
	Fused      bool        `json:"fused"`
	StateBytes int         `json:"state_bytes"`
	Functions  []planFacts `json:"functions"`
}

// planFacts are those of one function.
type planFacts struct {
	Name         string `json:"name"`
	Regions      int    `json:"regions"`
	Kernels      int    `json:"kernels"`
	Launches     int    `json:"launches"`
	Texts        int    `json:"texts,omitempty"` // distinct texts of kernels
	ArenaBytes   int    `json:"arena_bytes"`
	ScratchBytes int    `json:"scratch_bytes"` // of one worker
}

func (c *buildCommand) facts(b *built) buildFacts {
	f := buildFacts{Model: b.module.Name, Parameters: b.module.Params(), Batch: b.module.Batch, Precision: c.Precision, Fused: !c.NoFuse, StateBytes: memoryOf(b.plans).state}
	for i, p := range b.plans {
		f.Target, f.ISA = p.Arch.Target, p.Arch.ISA
		facts := planFacts{
			Name: p.Func, Regions: len(b.module.Func(p.Func).Nodes), Kernels: len(p.Kernels), Launches: len(p.Launches),
			ArenaBytes: p.Arena, ScratchBytes: p.Scratch,
		}
		if b.sources != nil {
			facts.Texts = len(distinct(b.sources[i : i+1]))
		}
		f.Functions = append(f.Functions, facts)
	}
	return f
}

// print writes the facts for people.
func (f buildFacts) print(w io.Writer) error {
	fmt.Fprintf(w, "%s: %s parameters, batch %d, %s, for %s with %s; state %s\n\n",
		f.Model, formatCount(int64(f.Parameters)), f.Batch, f.Precision, f.Target, f.ISA, formatBytes(f.StateBytes))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	last := "scratch a worker"
	if f.Target == "cuda" {
		last = "kernel texts"
	}
	fmt.Fprintf(t, "function\tregions\tkernels\tlaunches\tarena\t%s\t\n", last)
	for _, p := range f.Functions {
		value := formatBytes(p.ScratchBytes)
		if f.Target == "cuda" {
			value = strconv.Itoa(p.Texts)
		}
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%s\t%s\t\n", p.Name, p.Regions, p.Kernels, p.Launches, formatBytes(p.ArenaBytes), value)
	}
	return t.Flush()
}
