package plan

import (
	"fmt"
	"strconv"
	"strings"

	"wrnc/compiler/ir"
)

// String prints the plan, one fact a line; [Parse] reads the text back. Buffers
// are b0, b1, ..., kernels k0, k1, ...; a kernel's arguments are a0, a1, ..., and
// an operand of a tape is a letter for its kind with an index:
//
//	r0 register   a1 row of argument 1   v2 channel vector   s3 scalar
//	p4 one pixel a sample   y the root's result   t the tile   q0 partial of reduce 0
func (p *Plan) String() string {
	w := &printer{p: p}
	prepared, narrow := "", ""
	if p.Prepared > 0 {
		prepared = fmt.Sprintf(" prepared=%d", p.Prepared)
	}
	if p.Arch.Narrow > 0 {
		narrow = fmt.Sprintf(" narrow=%d", p.Arch.Narrow)
	}
	w.line("plan %q func=%s batch=%d%s", p.Net, p.Func, p.Batch, prepared)
	w.line("arch target=%s isa=%s chans=%d%s l1=%d l2=%d%s", p.Arch.Target, p.Arch.ISA, p.Arch.Chans, narrow, p.Arch.L1, p.Arch.L2, p.Arch.GPU.text())
	counters := ""
	if p.Counters > 0 {
		counters = fmt.Sprintf(" counters=%d", p.Counters)
	}
	w.line("memory state=%d arena=%d%s scratch=%d", p.State, p.Arena, counters, p.Scratch)
	w.line("")
	for i, b := range p.Buffers {
		w.line("%s", b.text(i))
	}
	for i, k := range p.Kernels {
		w.line("")
		w.kernel(i, k)
	}
	w.line("")
	for i, l := range p.Launches {
		w.launch(i, l)
	}
	w.line("return%s", refList('b', p.Returns))
	return w.b.String()
}

// KernelText prints one kernel as [Plan.String] does.
func (p *Plan) KernelText(i int) string {
	w := &printer{p: p}
	w.kernel(i, p.Kernels[i])
	return w.b.String()
}

type printer struct {
	b strings.Builder
	p *Plan
}

func (w *printer) line(format string, args ...any) {
	fmt.Fprintf(&w.b, format+"\n", args...)
}

func (b Buffer) text(i int) string {
	s := fmt.Sprintf("buffer b%d %v %s : %v", i, b.Space, b.Name, b.Type)
	if b.Batched {
		s += " batched"
	}
	s += fmt.Sprintf(" offset=%d bytes=%d", b.Offset, b.Bytes)
	if b.Space == Arena {
		s += fmt.Sprintf(" first=%d last=%d", b.First, b.Last)
	}
	return s
}

func (w *printer) kernel(i int, k *Kernel) {
	region := ""
	if k.Region != "" {
		region = " region=" + k.Region
	}
	w.line("kernel k%d %v %s%s {", i, k.Kind, k.Name, region)
	for j, a := range k.Args {
		w.line("  a%d = %v b%d%s", j, a.Mode, a.Buffer, w.bufferNote(a.Buffer))
	}
	if k.Grid != (Grid{}) {
		w.line("  grid %s", k.Grid.text())
	}
	if k.Conv != (ConvShape{}) {
		w.line("  conv %s", k.Conv.text())
	}
	if k.Pixels != (Grid{}) {
		w.line("  pixels %s", k.Pixels.text())
	}
	if k.Augment != (ir.Attrs{}) {
		w.line("  augment%s", formatAttrs(ir.Augment.String(), k.Augment))
	}
	if k.Block != (Block{}) {
		w.line("  block %s", k.Block.text())
	}
	for j, r := range k.Reduces {
		out := ""
		if r.Out >= 0 {
			out = fmt.Sprintf(" out=a%d", r.Out)
		}
		w.line("  reduce q%d %v partial=a%d%s %s", j, r.Op, r.Partial, out, r.Grid.text())
	}
	for _, t := range k.Prologues {
		w.tape("prologue", t)
	}
	if k.Epilogue.Slots > 0 || len(k.Epilogue.Ops) > 0 {
		w.tape("epilogue", k.Epilogue)
	}
	for _, c := range k.Channel {
		w.line("  channel %s = %v %s%s", argList(c.Dst), c.Op, argList(c.Src), formatAttrs(c.Op.String(), c.Attrs))
	}
	w.line("}")
}

// bufferNote is the buffer's name as a comment; the parser skips it.
func (w *printer) bufferNote(i int) string {
	if i < 0 || i >= len(w.p.Buffers) {
		return ""
	}
	return " // " + w.p.Buffers[i].Name
}

func (w *printer) tape(what string, t Tape) {
	w.line("  %s slots=%d", what, t.Slots)
	for _, op := range t.Ops {
		words := make([]string, len(op.Src))
		for i, s := range op.Src {
			words[i] = s.String()
		}
		operands := ""
		if len(words) > 0 {
			operands = " " + strings.Join(words, ", ")
		}
		w.line("    %v = %s%s%s", op.Dst, op.Op, operands, formatAttrs(op.Op, op.Attrs))
	}
}

func (w *printer) launch(i int, l Launch) {
	names := make([]string, 0, len(l.Kernels))
	for _, k := range l.Kernels {
		if k >= 0 && k < len(w.p.Kernels) {
			names = append(names, w.p.Kernels[k].Name)
		}
	}
	w.line("launch %d%s // %s", i, refList('k', l.Kernels), strings.Join(names, " "))
}

// String prints the operand as a plan's text has it.
func (r Ref) String() string {
	if r.Kind < Slot || r.Kind > Partial {
		return "?"
	}
	s := string(rune(refLetters[r.Kind]))
	if r.Kind == Result || r.Kind == Tile { // a tape has one of each
		return s
	}
	return fmt.Sprintf("%s%d", s, r.Index)
}

func (g Grid) text() string {
	batched := ""
	if g.Batched {
		batched = " batched"
	}
	unit := fmt.Sprint(g.RowsPerUnit)
	if g.SamplesPerUnit > 0 || g.PxPerUnit > 0 {
		unit = fmt.Sprintf("%dx%dx%d", g.SamplesPerUnit, g.RowsPerUnit, g.PxPerUnit)
	}
	step := ""
	if g.Step > 0 {
		step = fmt.Sprintf(" step=%d", g.Step)
	}
	return fmt.Sprintf("samples=%d%s rows=%d px=%d c=%d unit=%s tail=%d%s", g.Samples, batched, g.Rows, g.Px, g.C, unit, g.Tail, step)
}

func (g GPU) text() string {
	if g == (GPU{}) {
		return ""
	}
	return fmt.Sprintf(" sms=%d shared=%d shared_sm=%d mhz=%d gbs=%d ffma=%d tf32=%d bf16=%d", g.SMs, g.Shared, g.SharedSM, g.MHz, g.GBs, g.FFMA, g.TF32, g.BF16)
}

func (t Block) text() string {
	s := fmt.Sprintf("threads=%d shared=%d", t.Threads, t.Shared)
	if t.Resident > 0 {
		s += fmt.Sprintf(" resident=%d", t.Resident)
	}
	if t.N > 0 {
		s += fmt.Sprintf(" n=%d", t.N)
	}
	if t.Math != "" {
		s += fmt.Sprintf(" math=%s m=%d k=%d warps=%dx%dx%d stages=%d", t.Math, t.M, t.K, t.WarpsM, t.WarpsN, t.WarpsT, t.Stages)
	}
	if t.Why != "" {
		s += " why=" + strconv.Quote(t.Why)
	}
	return s
}

func (c ConvShape) text() string {
	dgrad := ""
	if c.Dgrad {
		dgrad = " dgrad"
	}
	winograd := ""
	if c.Winograd {
		winograd = " winograd"
	}
	return fmt.Sprintf("h=%d w=%d c=%d p=%d q=%d k=%d r=%d pad=%d stride=%d%s chans=%d cblock=%d splits=%d step=%d%s",
		c.H, c.W, c.C, c.P, c.Q, c.K, c.R, c.Pad, c.Stride, dgrad, c.Chans, c.CBlock, c.Splits, c.Step, winograd)
}

func refList(letter rune, indices []int) string {
	var b strings.Builder
	for _, i := range indices {
		fmt.Fprintf(&b, " %c%d", letter, i)
	}
	return b.String()
}

func argList(indices []int) string {
	words := make([]string, len(indices))
	for i, a := range indices {
		words[i] = fmt.Sprintf("a%d", a)
	}
	return strings.Join(words, ", ")
}
