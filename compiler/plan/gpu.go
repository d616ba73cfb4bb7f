package plan

import (
	"encoding/binary"
	"fmt"
	"math"

	"wrnc/compiler/ir"
)

// What package codegen/cuda prints and package runtime/cuda passes must agree:
// the number of blocks of a kernel and the bytes of its arguments. Both are
// defined here, once.

// Source is the text of a GPU kernel. Kernels that do the same have the same
// Source; its Entry is made from what the text says, not from where in a network
// it is used.
type Source struct{ Entry, Text string }

// OnGPU tells whether the architecture is a GPU.
func (a Arch) OnGPU() bool { return a.GPU != GPU{} }

// FlatBlock is the number of elements that one block of a flat kernel computes.
const FlatBlock = 4096

// Flat tells whether a Map kernel computes each element from the same element of
// its arguments and from scalars: no channels, no pixels. Its text does not
// depend on the shape.
func (k *Kernel) Flat() bool {
	if k.Kind != Map || len(k.Reduces) > 0 {
		return false
	}
	for _, op := range k.Epilogue.Ops {
		for _, s := range op.Src {
			if s.Kind == Vector || s.Kind == Pixel {
				return false
			}
		}
	}
	return true
}

// Tabled tells whether the kernel takes its arguments from a table, so that all
// kernels of a launch that have its text run as one grid: flat maps, such as the
// update of every parameter, and Channel ops alone.
func (k *Kernel) Tabled() bool { return k.Flat() || k.Kind == Finish }

// elems is the number of elements of the kernel's grid for n samples.
func (k *Kernel) elems(n int) int {
	g := k.Grid
	if g.Batched {
		g.Samples = n
	}
	return g.elems()
}

// channels is the length of the vectors that a Finish works on.
func (k *Kernel) channels(p *Plan) int {
	return p.Buffers[k.Args[k.Channel[0].Src[0]].Buffer].Type.Channels()
}

// Blocks is the number of blocks that a GPU starts for a batch of n samples. A
// block is a unit and a tile of channels, the tile changing fastest; for a
// weight gradient a split and a tile of both kinds of channels.
func (k *Kernel) Blocks(p *Plan, n int) int {
	b := k.Block
	switch k.Kind {
	case WgradSum:
		return k.Conv.Splits * ceilDiv(k.Conv.K, b.M) * ceilDiv(k.Conv.C, b.N)
	case Conv:
		return k.Grid.Units(n) * ceilDiv(k.Conv.Out(), b.N)
	case Pool:
		return n * ceilDiv(k.Grid.C, b.N)
	case Finish:
		return ceilDiv(k.channels(p), b.Threads)
	case Xent:
		return 1
	case XentGrad:
		return ceilDiv(n*b.N, b.Threads)
	case MaxPool, MaxPoolGrad:
		return ceilDiv(k.elems(n)/b.N, b.Threads)
	case Augment: // a thread a pixel
		return ceilDiv(k.elems(n)/k.Grid.C, b.Threads)
	}
	if k.Flat() {
		return ceilDiv(k.elems(n), FlatBlock)
	}
	return k.Grid.Units(n) * ceilDiv(k.Grid.C, b.N)
}

// UnitGroup and SplitGroup are the numbers of units whose partials are merged
// first, and of splits that are added first, by the last of their blocks; the last
// block of all merges what the groups have.
const (
	UnitGroup  = 32
	SplitGroup = 8
)

// Counters is the number of counters that tell a kernel's last blocks: for each
// tile of a weight gradient, and for each tile of channels that is reduced, one
// and one for each group of splits or of units of the full batch.
func (k *Kernel) Counters(p *Plan) int {
	n := 0
	if k.Kind == WgradSum && k.Conv.Splits > 1 {
		n = ceilDiv(k.Conv.K, k.Block.M) * ceilDiv(k.Conv.C, k.Block.N) * (1 + ceilDiv(k.Conv.Splits, SplitGroup))
	}
	if k.Kind != Finish && len(k.Reduces) > 0 {
		n = max(n, ceilDiv(k.Grid.C, k.Block.N)*(1+ceilDiv(k.Grid.Units(p.Batch), UnitGroup)))
	}
	return n
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }

// Param is a field of the struct that a GPU kernel takes.
type Param struct {
	Name string
	Type ParamType
	Arg  int // Pointer: index of the argument

	value func(p *Plan, n int) uint64 // of the others, as bits
}

// ParamType is the type of a parameter.
type ParamType uint8

// The types of parameters.
const (
	Pointer ParamType = iota + 1
	I32
	U32
	I64
	F32
)

// Bytes is the size of a parameter, and its alignment.
func (t ParamType) Bytes() int {
	if t == Pointer || t == I64 {
		return 8
	}
	return 4
}

// Params lists the fields of the kernel's argument struct, in order:
//
//	a0, a1, ...         the arguments, in device memory
//	elems               of a flat map: the number of elements
//	n                   samples of this call, or of a grid that no batch changes; not where arguments come from a table
//	channels            of Channel ops alone: the length of the vectors
//	pictures            of an augment: the size of the data set
//	span                of a weight gradient: the units of the full batch that a split sums
//	stream0, ...        of each dropout mask: its random stream
//	count0, ...         of each Channel op with a count: elements a channel has in this call
func (k *Kernel) Params() []Param {
	var params []Param
	add := func(name string, t ParamType, value func(p *Plan, n int) uint64) {
		params = append(params, Param{Name: name, Type: t, value: value})
	}
	for i := range k.Args {
		params = append(params, Param{Name: fmt.Sprintf("a%d", i), Type: Pointer, Arg: i})
	}
	if k.Flat() {
		add("elems", I64, func(_ *Plan, n int) uint64 { return uint64(k.elems(n)) })
	}
	if !k.Tabled() {
		add("n", I32, func(_ *Plan, n int) uint64 {
			if k.Kind == Map && !k.Grid.Batched {
				return uint64(k.Grid.Samples)
			}
			return uint64(n)
		})
	}
	switch k.Kind {
	case Finish:
		add("channels", I32, func(p *Plan, _ int) uint64 { return uint64(k.channels(p)) })
	case Augment:
		add("pictures", I32, func(p *Plan, _ int) uint64 { return uint64(p.Buffers[k.Args[0].Buffer].Type.Dims[0]) })
	case WgradSum:
		add("span", I32, func(p *Plan, _ int) uint64 {
			return uint64(ceilDiv(k.Pixels.Units(p.Batch), k.Conv.Splits))
		})
	}
	for i, op := range k.masks() {
		add(fmt.Sprintf("stream%d", i), U32, func(*Plan, int) uint64 { return uint64(op.Attrs.StreamID()) })
	}
	for i, op := range k.Channel {
		add(fmt.Sprintf("count%d", i), F32, func(p *Plan, n int) uint64 { return uint64(math.Float32bits(float32(op.count(p, n)))) })
	}
	return params
}

// masks lists the dropout masks of all tapes, prologues first.
func (k *Kernel) masks() []RowOp {
	var masks []RowOp
	for _, t := range append(k.Prologues[:len(k.Prologues):len(k.Prologues)], k.Epilogue) {
		for _, op := range t.Ops {
			if op.Op == ir.DropoutMask.String() {
				masks = append(masks, op)
			}
		}
	}
	return masks
}

// count is the number of elements a channel has in a call of n samples; 1 is the
// count of running statistics, which no batch changes.
func (c *ChannelOp) count(p *Plan, n int) float64 {
	if c.Attrs.Count <= 1 {
		return float64(c.Attrs.Count)
	}
	return float64(c.Attrs.Count) * float64(n) / float64(p.Batch)
}

// ParamBytes are the bytes of the argument struct for a call of n samples, laid
// out as C++ does on a 64-bit machine, little-endian. address is that of a buffer.
func (k *Kernel) ParamBytes(p *Plan, n int, address func(buffer int) uint64) []byte {
	var b []byte
	align := func(to int) {
		for len(b)%to != 0 {
			b = append(b, 0)
		}
	}
	widest := 4
	for _, f := range k.Params() {
		size := f.Type.Bytes()
		widest = max(widest, size)
		align(size)
		switch {
		case f.Type == Pointer:
			b = binary.LittleEndian.AppendUint64(b, address(k.Args[f.Arg].Buffer))
		case size == 8:
			b = binary.LittleEndian.AppendUint64(b, f.value(p, n))
		default:
			b = binary.LittleEndian.AppendUint32(b, uint32(f.value(p, n)))
		}
	}
	align(widest)
	return b
}

// Vector is the number of channels that a tape of a kernel computes at a time:
// sixteen bytes of the narrowest type that it touches, where the channel count
// allows it. filled is the type of the tile that a prologue fills.
func (p *Plan) Vector(k *Kernel, t Tape, channels int, filled ir.DType) int {
	narrow := filled == ir.BF16
	for _, op := range t.Ops {
		for _, r := range append(op.Src[:len(op.Src):len(op.Src)], op.Dst) {
			narrow = narrow || r.Kind == Row && p.Buffers[k.Args[r.Index].Buffer].Type.DType == ir.BF16
		}
	}
	n := 4
	if narrow {
		n = 8
	}
	for channels%n != 0 {
		n /= 2
	}
	return n
}
