// Package plan is a function laid out for a target: kernels with their
// schedules, launches in order, and a place for every buffer. It is data only:
// package lower makes a plan, a runtime executes it, and it prints as text that
// parses back.
//
// A plan is made for a full batch. A kernel that works on activations counts
// its units per sample, so a smaller batch runs fewer units of the same kernels;
// nothing is planned or compiled again.
package plan

import "wrnc/compiler/ir"

// Plan is one function of a module on one target.
type Plan struct {
	Net      string // the network's name
	Func     string
	Arch     Arch
	Batch    int // samples of a full batch
	Buffers  []Buffer
	Kernels  []*Kernel
	Launches []Launch
	Returns  []int // buffers that hold the function's results after the last launch

	State   int // bytes of state: all slabs, gaps for alignment included
	Arena   int // bytes of the arena
	Scratch int // bytes of scratch that one worker needs
}

// Arch is what scheduling knows of a target.
type Arch struct {
	Target string // cpu
	ISA    string // avx512, avx2, go
	Chans  int    // output channels of a multiply tile
	L1, L2 int    // bytes of cache of one core
}

// Space says where a buffer lies.
type Space uint8

// The spaces. State outlives a call and has a fixed address; an Input belongs
// to the caller; everything else is placed in the Arena by lifetime.
const (
	State Space = iota + 1
	Input
	Arena
)

var spaceNames = [...]string{State: "state", Input: "input", Arena: "arena"}

func (s Space) String() string { return spaceNames[s] }

// Buffer is a range of bytes that holds one value.
type Buffer struct {
	Name    string // state or parameter name; kernel and part for an arena buffer
	Space   Space
	Type    ir.Type
	Batched bool // the leading dimension is the batch
	Offset  int  // in its space; unused for an input
	Bytes   int  // of a full batch, a multiple of Align for state and arena
	First   int  // arena: the launch that writes it first
	Last    int  // arena: the last launch that touches it; len(Launches) for a result
}

// Align is the alignment of every state and arena buffer, in bytes: a cache
// line, and the widest vector.
const Align = 64

// Mode is how a kernel touches an argument.
type Mode uint8

// The modes. Update reads the old value and writes the new one, element by
// element.
const (
	Read Mode = iota + 1
	Write
	Update
)

var modeNames = [...]string{Read: "read", Write: "write", Update: "update"}

func (m Mode) String() string { return modeNames[m] }

// Arg is a kernel's argument.
type Arg struct {
	Buffer int
	Mode   Mode
}

// Kind is what a kernel does.
type Kind uint8

// The kinds. Pack lays a convolution's weight out for the multiply. Conv fills,
// multiplies and drains; it serves fprop and dgrad. Wgrad writes one partial
// weight gradient a split, Sum adds them in order and drains. Map drains rows
// that come from memory alone. Pool averages each picture. Finish merges the
// partials of Reduces and runs Channel ops. Xent and XentGrad are the loss,
// MaxPool and MaxPoolGrad the op of that name and its gradient.
const (
	Pack Kind = iota + 1
	Conv
	Wgrad
	Sum
	Map
	Pool
	Finish
	Xent
	XentGrad
	MaxPool
	MaxPoolGrad
)

var kindNames = [...]string{Pack: "pack", Conv: "conv", Wgrad: "wgrad", Sum: "sum", Map: "map", Pool: "pool", Finish: "finish", Xent: "xent", XentGrad: "xent_grad",
	MaxPool: "maxpool", MaxPoolGrad: "maxpool_grad"}

func (k Kind) String() string { return kindNames[k] }

// Kernel is one piece of work, cut into units that run in any order and on any
// number of workers with the same result.
type Kernel struct {
	Name   string
	Kind   Kind
	Region string // fusion that it comes from
	Args   []Arg

	Grid      Grid // rows that the drain produces, and how they are cut into units
	Conv      ConvShape
	Prologues []Tape // one for each activation operand of the root
	Epilogue  Tape
	Reduces   []Reduce // partials that this kernel writes (drain) or merges (Finish)
	Channel   []ChannelOp
}

// Grid is a domain of Samples x Rows rows, each of Px pixels of C channels, cut
// into units of RowsPerUnit rows of one sample.
type Grid struct {
	Samples     int
	Batched     bool // Samples follows the batch
	Rows        int
	Px, C       int
	RowsPerUnit int
	Tail        int // elements of the last row when it is shorter than Px*C, else 0
}

// Bands is the number of units a sample is cut into.
func (g Grid) Bands() int { return (g.Rows + g.RowsPerUnit - 1) / g.RowsPerUnit }

// Units is the number of units for a batch of n samples.
func (g Grid) Units(n int) int {
	if g.Batched {
		return n * g.Bands()
	}
	return g.Samples * g.Bands()
}

// Band returns the sample and the rows [lo, hi) of unit u.
func (g Grid) Band(u int) (sample, lo, hi int) {
	b := g.Bands()
	lo = u % b * g.RowsPerUnit
	return u / b, lo, min(lo+g.RowsPerUnit, g.Rows)
}

// Pixels is the number of pixels of unit u.
func (g Grid) Pixels(u int) int {
	_, lo, hi := g.Band(u)
	return (hi - lo) * g.Px
}

// RefKind says what a tape's operand is.
type RefKind uint8

// The operands: a row register; the domain's row of a memory argument; the
// root's result row; the row of the packed tile; a channel vector; a scalar; the
// one pixel a sample of a [N,1,1,C] argument; the partials of a Reduce.
const (
	Slot RefKind = iota + 1
	Row
	Result
	Tile
	Vector
	Scalar
	Pixel
	Partial
)

var refLetters = [...]byte{Slot: 'r', Row: 'a', Result: 'y', Tile: 't', Vector: 'v', Scalar: 's', Pixel: 'p', Partial: 'q'}

// Ref is an operand of a tape: for Row, Vector, Scalar and Pixel an argument of
// the kernel, for Slot a register, for Partial a Reduce.
type Ref struct {
	Kind  RefKind
	Index int
}

// RowOp is one step of a tape: a row function over one row.
type RowOp struct {
	Op    string // name in the CPU target's row function table
	Dst   Ref
	Src   []Ref
	Attrs ir.Attrs
}

// Tape is the elementwise part of a kernel, in order.
type Tape struct {
	Slots int // row registers it needs
	Ops   []RowOp
}

// Reduce is a per-channel reduction: each unit writes its partial, Finish merges
// them in unit order.
type Reduce struct {
	Op      ir.Op
	Partial int // argument: [units, rows of the result, C]
	Out     int // argument of the merged result; in a drain -1
	Grid    Grid
}

// ChannelOp is an op on channel vectors, run once.
type ChannelOp struct {
	Op    ir.Op
	Attrs ir.Attrs
	Src   []int // arguments
	Dst   []int
}

// Launch is a set of kernels without dependences among them, whose units share
// the workers. A launch starts when the one before has ended.
type Launch struct {
	Kernels []int
}

// Peak is the planned memory of a run: state, arena and one scratch a worker.
func (p *Plan) Peak(workers int) int { return p.State + p.Arena + workers*p.Scratch }

// Units is the number of units of the kernel for a batch of n samples.
func (k *Kernel) Units(n int) int {
	switch k.Kind {
	case Pack:
		return k.Conv.OutPadded() / k.Conv.Chans
	case Wgrad:
		return k.Conv.Splits
	case Finish, Xent:
		return 1
	}
	return k.Grid.Units(n)
}
