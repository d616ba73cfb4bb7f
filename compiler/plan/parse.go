package plan

import (
	"fmt"
	"strconv"
	"strings"

	"wrnc/compiler/ir"
)

// MaxText bounds the plan text that [Parse] takes: 16 MiB.
const MaxText = 16 << 20

// Error is a mistake in a plan's text.
type Error struct {
	File string
	Line int
	Msg  string
}

func (e *Error) Error() string { return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Msg) }

// Parse reads what [Plan.String] prints. Every index in the result is in range
// and every size is bounded; whether the plan makes sense is for [Plan.Verify].
// A mistake is an [*Error].
func Parse(file, text string) (*Plan, error) {
	if len(text) > MaxText {
		return nil, &Error{file, 1, fmt.Sprintf("plan text of %d bytes; at most %d are read", len(text), MaxText)}
	}
	p := &parser{rest: text, p: &Plan{}}
	if err := p.plan(); err != nil {
		return nil, &Error{file, max(p.at, 1), err.Error()}
	}
	return p.p, nil
}

type parser struct {
	rest string
	at   int // lines taken so far: the number of the current line
	p    *Plan
}

// line takes the next line that is not empty, without its comment; it is empty
// at the end of the text.
func (p *parser) line() string {
	for p.rest != "" {
		var s string
		s, p.rest, _ = strings.Cut(p.rest, "\n")
		p.at++
		if i := strings.Index(s, "//"); i >= 0 && !strings.HasPrefix(s, "plan ") { // the network's name is quoted
			s = s[:i]
		}
		if s = strings.TrimSpace(s); s != "" {
			return s
		}
	}
	return ""
}

func (p *parser) plan() error {
	if err := p.header(); err != nil {
		return err
	}
	for {
		s := p.line()
		word, rest, _ := strings.Cut(s, " ")
		var err error
		switch {
		case word == "buffer" && len(p.p.Kernels) == 0:
			err = p.buffer(rest)
		case word == "kernel" && len(p.p.Launches) == 0:
			err = p.kernel(rest)
		case word == "launch":
			err = p.launch(rest)
		case word == "return":
			return p.ret(rest)
		default:
			err = fmt.Errorf("expected buffers, kernels, launches and at last return, in this order; found %q", clip(s))
		}
		if err != nil {
			return err
		}
	}
}

func (p *parser) header() error {
	rest, ok := strings.CutPrefix(p.line(), "plan ")
	quoted, err := strconv.QuotedPrefix(rest)
	if !ok || err != nil || len(quoted) > maxName {
		return fmt.Errorf("expected: plan \"NET\" func=NAME batch=N")
	}
	if p.p.Net, err = strconv.Unquote(quoted); err != nil {
		return fmt.Errorf("bad name of a network %s", clip(quoted))
	}
	f := newFields(rest[len(quoted):])
	p.p.Func = f.nameValue("func")
	p.p.Batch = f.int("batch", 1, 1<<20)
	if f.more() {
		p.p.Prepared = f.int("prepared", 1, maxCount)
	}
	if err := f.end(); err != nil {
		return err
	}
	f = newFields(p.line())
	f.literal("arch")
	a := &p.p.Arch
	a.Target, a.ISA = f.nameValue("target"), f.nameValue("isa")
	a.Chans = f.int("chans", 1, maxCount)
	if f.has("narrow") {
		a.Narrow = f.int("narrow", 1, maxCount)
	}
	a.L1, a.L2 = f.size("l1"), f.size("l2")
	if f.more() {
		a.GPU = GPU{SMs: f.int("sms", 1, maxCount), Shared: f.size("shared"), SharedSM: f.size("shared_sm"),
			MHz: f.int("mhz", 1, maxCount), GBs: f.int("gbs", 1, maxCount), FFMA: f.int("ffma", 1, maxCount), TF32: f.int("tf32", 1, maxCount), BF16: f.int("bf16", 1, maxCount)}
	}
	if err := f.end(); err != nil {
		return err
	}
	f = newFields(p.line())
	f.literal("memory")
	p.p.State, p.p.Arena = f.size("state"), f.size("arena")
	if len(f.words) > 1 {
		p.p.Counters = f.size("counters")
	}
	p.p.Scratch = f.size("scratch")
	return f.end()
}

// counted takes the index that numbers the n-th entry of a list.
func counted(f *fields, letter string, n int) {
	if n == maxCount {
		f.check(fmt.Errorf("more than %d entries", maxCount))
	}
	f.literal(letter + strconv.Itoa(n))
}

func (p *parser) buffer(s string) error {
	f := newFields(s)
	counted(f, "b", len(p.p.Buffers))
	b := Buffer{Space: Space(f.enum("a space", spaceNames[:])), Name: f.name()}
	f.literal(":")
	if t := f.next("a type"); f.err == nil {
		b.Type, f.err = parseType(t)
	}
	b.Batched = f.flag("batched")
	b.Offset, b.Bytes = f.size("offset"), f.size("bytes")
	if b.Space == Arena {
		b.First, b.Last = f.int("first", 0, maxCount), f.int("last", -1, maxCount)
	}
	p.p.Buffers = append(p.p.Buffers, b)
	return f.end()
}

func (p *parser) launch(s string) error {
	f := newFields(s)
	counted(f, "", len(p.p.Launches))
	p.p.Launches = append(p.p.Launches, Launch{Kernels: f.indexes("k", len(p.p.Kernels))})
	return f.end()
}

func (p *parser) ret(s string) error {
	f := newFields(s)
	p.p.Returns = f.indexes("b", len(p.p.Buffers))
	if err := f.end(); err != nil {
		return err
	}
	if s := p.line(); s != "" {
		return fmt.Errorf("expected nothing after return, found %q", clip(s))
	}
	return nil
}

func (p *parser) kernel(s string) error {
	f := newFields(s)
	counted(f, "k", len(p.p.Kernels))
	k := &Kernel{Kind: Kind(f.enum("a kind", kindNames[:])), Name: f.name()}
	if len(f.words) > 1 {
		k.Region = f.nameValue("region")
	}
	f.literal("{")
	if err := f.end(); err != nil {
		return err
	}
	p.p.Kernels = append(p.p.Kernels, k)
	return p.kernelBody(k)
}

// kernelBody reads the lines of a kernel up to its brace. What a line may refer
// to stands before it.
func (p *parser) kernelBody(k *Kernel) error {
	var tape *Tape
	for {
		s := p.line()
		word, rest, _ := strings.Cut(s, " ")
		var err error
		switch {
		case s == "":
			return fmt.Errorf("kernel %s ends without a brace", k.Name)
		case s == "}":
			return nil
		case word == "grid" && k.Grid == (Grid{}):
			f := newFields(rest)
			k.Grid = f.grid()
			err = f.end()
		case word == "conv" && k.Conv == (ConvShape{}):
			f := newFields(rest)
			k.Conv = f.conv()
			err = f.end()
		case word == "pixels" && k.Pixels == (Grid{}):
			f := newFields(rest)
			k.Pixels = f.grid()
			err = f.end()
		case word == "augment" && k.Augment == (ir.Attrs{}):
			_, attrs, _ := cutAttrs(s)
			k.Augment, err = parseAttrs(ir.Augment.String(), attrs)
		case word == "block" && k.Block == (Block{}):
			k.Block, err = parseBlock(rest)
		case word == "reduce" && tape == nil && len(k.Reduces) < maxCount:
			err = k.parseReduce(rest)
		case word == "prologue" && k.Epilogue.empty() && len(k.Prologues) < maxCount:
			k.Prologues = append(k.Prologues, Tape{})
			tape = &k.Prologues[len(k.Prologues)-1]
			err = tape.parseHead(rest)
		case word == "epilogue" && k.Epilogue.empty():
			tape = &k.Epilogue
			err = tape.parseHead(rest)
		case word == "channel" && len(k.Channel) < maxCount:
			err = k.parseChannel(rest)
		case tape != nil && len(tape.Ops) < maxCount:
			err = tape.parseOp(k, s)
		default:
			err = p.arg(k, s)
		}
		if err != nil {
			return err
		}
	}
}

func (p *parser) arg(k *Kernel, s string) error {
	f := newFields(s)
	if k.Grid != (Grid{}) || k.Conv != (ConvShape{}) || k.Augment != (ir.Attrs{}) || k.Block != (Block{}) || len(k.Reduces)+len(k.Channel) > 0 {
		return fmt.Errorf("expected a line of a kernel, its arguments first; found %q", clip(s))
	}
	counted(f, "a", len(k.Args))
	f.literal("=")
	a := Arg{Mode: Mode(f.enum("a mode", modeNames[:]))}
	a.Buffer = f.index("b", len(p.p.Buffers))
	k.Args = append(k.Args, a)
	return f.end()
}

func (f *fields) grid() Grid {
	var g Grid
	g.Samples, g.Batched = f.size("samples"), f.flag("batched")
	g.Rows, g.Px, g.C = f.size("rows"), f.size("px"), f.size("c")
	f.unit(&g)
	g.Tail = f.size("tail")
	if f.more() {
		g.Step = f.int("step", 1, MaxFilter)
	}
	return g
}

// unit takes unit=ROWS or unit=SAMPLESxROWSxPX.
func (f *fields) unit(g *Grid) {
	words := strings.Split(f.value("unit"), "x")
	into := []*int{&g.RowsPerUnit}
	if len(words) == 3 {
		into = []*int{&g.SamplesPerUnit, &g.RowsPerUnit, &g.PxPerUnit}
	}
	if f.err == nil && len(words) != len(into) {
		f.check(fmt.Errorf("unit: expected ROWS or SAMPLESxROWSxPX, found %q", clip(strings.Join(words, "x"))))
	}
	for i, n := range into {
		if f.err == nil {
			*n, f.err = parseInt(words[i], 0, maxSize)
		}
	}
}

// warps takes warps=MxNxT.
func (f *fields) warps(t *Block) {
	words := strings.Split(f.value("warps"), "x")
	if f.err == nil && len(words) != 3 {
		f.check(fmt.Errorf("warps: expected MxNxT, found %q", clip(strings.Join(words, "x"))))
	}
	for i, n := range []*int{&t.WarpsM, &t.WarpsN, &t.WarpsT} {
		if f.err == nil {
			*n, f.err = parseInt(words[i], 1, maxThreads)
		}
	}
}

// parseBlock reads what [Block.text] prints.
func parseBlock(s string) (Block, error) {
	var t Block
	head, quoted, why := strings.Cut(s, " why=")
	f := newFields(head)
	t.Threads, t.Shared = f.int("threads", 1, maxThreads), f.size("shared")
	if f.has("resident") {
		t.Resident = f.int("resident", 1, maxThreads)
	}
	if f.more() {
		t.N = f.int("n", 1, maxCount)
	}
	if f.more() {
		t.Math = f.nameValue("math")
		t.M, t.K = f.int("m", 1, maxCount), f.int("k", 1, maxCount)
		f.warps(&t)
		t.Stages = f.int("stages", 0, maxThreads)
	}
	if why && f.err == nil {
		if t.Why, f.err = strconv.Unquote(quoted); f.err != nil || len(quoted) > maxName || quoted != strconv.Quote(t.Why) {
			return t, fmt.Errorf("bad reason of a block %s", clip(quoted))
		}
	}
	return t, f.end()
}

func (f *fields) conv() ConvShape {
	var c ConvShape
	c.H, c.W, c.C = f.size("h"), f.size("w"), f.size("c")
	c.P, c.Q, c.K = f.size("p"), f.size("q"), f.size("k")
	c.R, c.Pad, c.Stride, c.Dgrad = f.size("r"), f.size("pad"), f.size("stride"), f.flag("dgrad")
	c.Chans, c.CBlock, c.Splits, c.Step = f.size("chans"), f.size("cblock"), f.size("splits"), f.size("step")
	c.Winograd = f.flag("winograd")
	return c
}

// op takes the name of an op of the op table.
func (f *fields) op() ir.Op {
	w := f.next("an op")
	o, ok := findOp(w)
	if f.err == nil && !ok {
		f.check(fmt.Errorf("unknown op %q", clip(w)))
	}
	return o
}
