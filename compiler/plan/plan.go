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
	Prepared int   // launches, the first ones, that depend on states alone: what they write stays until a state changes
	Returns  []int // buffers that hold the function's results after the last launch

	State    int // bytes of state: all slabs, gaps for alignment included
	Arena    int // bytes of the arena
	Counters int // bytes of the counters by which the last unit of a kernel is known
	Scratch  int // bytes of scratch that one worker needs
}

// Arch is what scheduling knows of a target.
type Arch struct {
	Target string // cpu or cuda
	ISA    string // avx512, avx2, go; sm_80, sm_90, ...
	Chans  int    // output channels of a multiply tile; 1 where weights are not packed
	Narrow int    // output channels of a narrower tile; 0 where there is none
	L1, L2 int    // bytes of cache of one core; of a GPU, of all
	GPU    GPU
}

// GPU is what scheduling knows of a GPU; zero for other targets.
type GPU struct {
	SMs              int // multiprocessors
	Shared           int // bytes of shared memory that one block can have
	SharedSM         int // bytes of shared memory of a multiprocessor
	MHz              int // clock
	GBs              int // bytes of memory a nanosecond
	FFMA, TF32, BF16 int // multiply-adds a clock of a multiprocessor, dense, f32 accumulation
}

// Space says where a buffer lies.
type Space uint8

// The spaces. State outlives a call and has a fixed address; an Input belongs
// to the caller; everything else is placed in the Arena by lifetime. A Counter
// is zero before and after every kernel that counts its finished units in it.
const (
	State Space = iota + 1
	Input
	Arena
	Counter
)

var spaceNames = [...]string{State: "state", Input: "input", Arena: "arena", Counter: "counter"}

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
// MaxPool and MaxPoolGrad the op of that name and its gradient. WgradSum is
// Wgrad and Sum in one: the last split to end adds all of them up. Augment takes
// a batch out of a data set that stays in memory.
//
// On a GPU one kernel does what takes the CPU several: a Conv reads its weight
// unpacked, and the last unit of a kernel with Reduces merges their partials and
// runs the Channel ops.
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
	WgradSum
	Augment
)

var kindNames = [...]string{Pack: "pack", Conv: "conv", Wgrad: "wgrad", Sum: "sum", Map: "map", Pool: "pool", Finish: "finish", Xent: "xent", XentGrad: "xent_grad",
	MaxPool: "maxpool", MaxPoolGrad: "maxpool_grad", WgradSum: "wgrad_sum", Augment: "augment"}

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
	Pixels    Grid     // WgradSum: the gradient's pixels, and the units that the splits share
	Augment   ir.Attrs // Augment: the attributes of that op
	Block     Block    // GPU: what one block does
	Prologues []Tape   // one for each activation operand of the root
	Epilogue  Tape
	Reduces   []Reduce // partials that this kernel writes (drain) or merges (Finish)
	Channel   []ChannelOp
}

// Block is what one block of threads of a GPU does of a kernel, and how. A kernel
// without a root has Threads and N alone.
type Block struct {
	Threads        int
	Resident       int    // blocks that a multiprocessor is to hold at least: what bounds a thread's registers; 0: any
	Shared         int    // bytes of dynamic shared memory
	N              int    // channels of a tile; MaxPool: of a thread; Xent: threads that share a sample
	Math           string // ffma, bf16 or tf32: how a root multiplies
	M              int    // Conv: results (pixels) of a tile; WgradSum: channels of the gradient, where N are those of the picture
	K              int    // Conv: input channels of a step; WgradSum: pixels of a step
	WarpsM, WarpsN int    // warps along M and N
	WarpsT         int    // WgradSum: groups of warps that share the filter's taps; else 1
	Stages         int    // steps of the weight that are in flight
	Why            string // the reason for these numbers
}

// Grid is a domain of Samples x Rows rows, each of Px pixels of C channels, cut
// into units: boxes of SamplesPerUnit x RowsPerUnit x PxPerUnit. On the CPU a
// unit is of one sample and of whole rows. Step is the stride of a strided dgrad
// on a GPU, whose results of one parity are a unit.
type Grid struct {
	Samples        int
	Batched        bool // Samples follows the batch
	Rows           int
	Px, C          int
	RowsPerUnit    int
	SamplesPerUnit int // 0: 1
	PxPerUnit      int // 0: Px
	Step           int // 0: 1; else a box is Step x Step units, each of every Step-th row and pixel
	Tail           int // elements of the last row when it is shorter than Px*C, else 0
}

// Bands is the number of units a sample, or a group of samples of one unit, is
// cut into.
func (g Grid) Bands() int {
	bands := (g.Rows + g.RowsPerUnit - 1) / g.RowsPerUnit
	if g.PxPerUnit > 0 {
		bands *= (g.Px + g.PxPerUnit - 1) / g.PxPerUnit
	}
	return bands * max(1, g.Step*g.Step)
}

// Units is the number of units for a batch of n samples.
func (g Grid) Units(n int) int {
	if !g.Batched {
		n = g.Samples
	}
	per := max(1, g.SamplesPerUnit)
	return (n + per - 1) / per * g.Bands()
}

// Band returns the sample and the rows [lo, hi) of unit u of a grid whose units
// are of one sample and of whole rows.
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

// Reduce is a per-channel reduction: each unit writes its partial, Finish or the
// kernel's last unit merges them in a fixed order.
type Reduce struct {
	Op      ir.Op
	Partial int // argument: [units, rows of the result, C]
	Out     int // argument of the merged result; -1 in a drain that does not merge, or whose result nothing reads
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

// Peak is the planned memory of a run: state, arena, counters and one scratch a
// worker.
func (p *Plan) Peak(workers int) int { return p.State + p.Arena + p.Counters + workers*p.Scratch }

// Units is the number of units of the kernel for a batch of n samples.
func (k *Kernel) Units(n int) int {
	switch k.Kind {
	case Pack:
		return k.Conv.OutPadded() / k.Conv.Chans
	case Wgrad, WgradSum:
		return k.Conv.Splits
	case Finish, Xent:
		return 1
	}
	return k.Grid.Units(n)
}
