package lower

import (
	"fmt"

	"wrnc/compiler/ir"
	"wrnc/compiler/plan"
)

// On a GPU a region is one kernel, or two where it yields values that do not
// depend on its root. A kernel reads weights as they are, adds up its own splits,
// and its last block merges what it has reduced and runs the Channel ops.

// gpuConv lowers a convolution, or its gradient by the picture.
func (r *region) gpuConv() error {
	x, w, y := r.root.Args[0], r.root.Args[1], r.root.Result()
	weight, err := r.weight(w)
	if err != nil {
		return err
	}
	shape := r.convShape(x.Type, w.Type, y.Type)
	k := r.kernel("", plan.Conv)
	k.Conv = shape
	arg(k, weight, plan.Read)
	tile := convTile(shape, mathOf(x.Type), x.Type.Dims[0], r.fillRegisters(x), r.arch)
	if tile.block.Threads == 0 {
		return fmt.Errorf("%s: no tile of a %dx%d filter fits the %d bytes of shared memory of %s", r.root.Op, shape.R, shape.R, r.arch.GPU.Shared, r.arch.ISA)
	}
	k.Block = tile.block
	k.Grid = pictures(y.Type, r.batched[y])
	tile.unit.cut(&k.Grid)
	if step := shape.OutStep(); step > 1 {
		k.Grid.Step = step
		k.Grid.RowsPerUnit *= step
		k.Grid.PxPerUnit *= step
	}
	if err := r.prologue(k, x); err != nil {
		return err
	}
	err = r.epilogue(k)
	k.Block.Shared = convLayout(shape, k.Block, tile.unit, reduceVec(r.p, k, shape.Out())).bytes()
	return err
}

// fillRegisters is the number of registers that a thread keeps to compute the
// operand v of a root: a vector of channels of each row of a channel vector, and of
// each activation, that its prologue reads.
func (r *region) fillRegisters(v *ir.Value) int {
	seen := map[*ir.Value]bool{}
	rows := 0
	var visit func(v *ir.Value)
	visit = func(v *ir.Value) {
		if seen[v] {
			return
		}
		seen[v] = true
		if !r.inside(v) {
			rows++
			return
		}
		for i, a := range v.Node.Args {
			switch role := v.Node.Op.Info().Args[i]; {
			case role == ir.Act:
				visit(a)
			case role == ir.Vec && !seen[a]:
				seen[a] = true
				rows += a.Type.Elems() / a.Type.Channels()
			}
		}
	}
	visit(v)
	if v.Type.DType == ir.BF16 {
		return 8 * rows
	}
	return 4 * rows
}

// weight is the buffer of a root's weight. One that the region computes, by Maps,
// is computed by a kernel before.
func (r *region) weight(w *ir.Value) (int, error) {
	if !r.inside(w) {
		return r.bufs[w], nil
	}
	buf := r.arena(r.n.Layer+".weight", w.Type, false)
	k := r.kernel(".weight", plan.Map)
	var err error
	k.Epilogue, err = r.tape(k, w.Type, []sink{{w, plan.Ref{Kind: plan.Row, Index: arg(k, buf, plan.Write)}}}, nil)
	if k.Grid = flat(w.Type.Elems()); !k.Flat() {
		k.Grid = r.grid(w)
		r.gpuGrid(k)
	}
	return buf, err
}

// reduceApart lowers Reduces behind a root whose kernel takes none: what they read
// is stored, and a kernel of their own reduces it.
func (r *region) reduceApart(k *plan.Kernel, domain ir.Type, sinks []sink, reduces []*ir.Node) error {
	stored := map[*ir.Value]int{}
	for _, m := range reduces {
		for i, a := range m.Args {
			if _, have := stored[a]; have || !r.after[a] || m.Op.Info().Args[i] != ir.Act {
				continue
			}
			buf, ok := r.yield[a]
			if !ok {
				buf = r.arena(fmt.Sprintf("%s.%s.stored", r.n.Layer, m.Op), a.Type, r.batched[a])
				sinks = append(sinks, sink{a, plan.Ref{Kind: plan.Row, Index: arg(k, buf, plan.Write)}})
			}
			stored[a] = buf
		}
	}
	var err error
	if k.Epilogue, err = r.tape(k, domain, sinks, nil); err != nil {
		return err
	}
	for v, buf := range stored {
		r.stored[v] = buf
	}
	apart := r.kernel(".reduce", plan.Map)
	apart.Grid = r.grid(reduces[0].Args[0])
	r.gpuGrid(apart)
	apart.Epilogue, err = r.tape(apart, domain, nil, reduces)
	return err
}

// gpuWgrad lowers a gradient by the weight.
func (r *region) gpuWgrad() error {
	g, x := r.root.Args[0], r.root.Args[1]
	k := r.kernel("", plan.WgradSum)
	shape := r.convShape(x.Type, r.root.Result().Type, g.Type)
	tile := wgradTile(shape, mathOf(x.Type), x.Type.Dims[0], r.arch)
	if tile.block.Threads == 0 {
		return fmt.Errorf("%s: no tile of a %dx%d filter fits the registers and the %d bytes of shared memory of %s", r.root.Op, shape.R, shape.R, r.arch.GPU.Shared, r.arch.ISA)
	}
	shape.Splits = tile.splits
	k.Conv, k.Block = shape, tile.block
	k.Pixels = pictures(g.Type, r.batched[g])
	tile.unit.cut(&k.Pixels)
	k.Grid = r.grid(r.root.Result())
	k.Grid.RowsPerUnit = k.Grid.Rows
	if shape.Splits > 1 {
		partial := r.arena(r.n.Layer+".partial", ir.T(ir.F32, shape.Splits, k.SplitElems()), false)
		arg(k, partial, plan.Write)
		r.count(k)
	}
	for _, v := range []*ir.Value{g, x} {
		if err := r.prologue(k, v); err != nil {
			return err
		}
	}
	return r.epilogue(k)
}

// gpuFinish gives the region's Reduces and Channel ops to the kernel that drains
// into the Reduces, or to one of their own.
func (r *region) gpuFinish() error {
	var drains []*plan.Kernel
	for _, k := range r.p.Kernels[r.first:] {
		if len(k.Reduces) > 0 {
			drains = append(drains, k)
		}
	}
	at := map[*ir.Value]int{} // buffer that holds a value of these kernels
	for _, m := range r.reduce {
		v := m.Result()
		at[v] = r.channelBuffer(v)
		for _, k := range drains {
			for i := range k.Reduces {
				if k.Args[k.Reduces[i].Partial].Buffer == r.parts[m].Partial {
					k.Reduces[i].Out = arg(k, at[v], plan.Write)
				}
			}
		}
	}
	for _, k := range drains {
		r.count(k)
	}
	if len(r.finish) == 0 {
		return nil
	}
	var k *plan.Kernel
	if len(drains) == 1 {
		k = drains[0]
	} else {
		k = r.kernel("", plan.Finish)
		if len(r.p.Kernels)-1 > r.first {
			k.Name += ".finish"
		}
		k.Block = plan.Block{Threads: channelThreads}
	}
	for _, m := range r.finish {
		op := plan.ChannelOp{Op: m.Op, Attrs: m.Attrs}
		for _, a := range m.Args {
			buf, ok := at[a]
			if !ok {
				if r.inside(a) {
					return fmt.Errorf("%s (%s): reads a %v op's result of the same region", m.Op, m.Layer, a.Node.Op.Class())
				}
				buf = r.bufs[a]
			}
			op.Src = append(op.Src, arg(k, buf, plan.Read))
		}
		for _, v := range m.Results {
			at[v] = r.channelBuffer(v)
			op.Dst = append(op.Dst, arg(k, at[v], plan.Write))
		}
		k.Channel = append(k.Channel, op)
	}
	return nil
}

// channelThreads is the number of threads of a block that runs Channel ops alone.
const channelThreads = 128

// channelBuffer is where a channel vector of the region lies.
func (r *region) channelBuffer(v *ir.Value) int {
	if buf, ok := r.yield[v]; ok {
		return buf
	}
	return r.arena(fmt.Sprintf("%s.%s", r.n.Layer, v.Node.Op), v.Type, false)
}

// count gives the kernel the counters that tell its last blocks.
func (r *region) count(k *plan.Kernel) {
	for _, a := range k.Args {
		if r.p.Buffers[a.Buffer].Space == plan.Counter {
			return
		}
	}
	t := ir.T(ir.S32, k.Counters(r.p))
	b := plan.Buffer{Name: k.Name + ".counters", Space: plan.Counter, Type: t, Offset: r.p.Counters, Bytes: align(t.Bytes())}
	r.p.Counters += b.Bytes
	r.p.Buffers = append(r.p.Buffers, b)
	arg(k, len(r.p.Buffers)-1, plan.Update)
}

// hoist moves kernels that take part in a table and read nothing but states and
// inputs to the front: the narrowing of all weights is then one launch.
func hoist(p *plan.Plan) {
	var early, rest []*plan.Kernel
	for _, k := range p.Kernels {
		leaves := k.Tabled()
		for _, a := range k.Args {
			s := p.Buffers[a.Buffer].Space
			leaves = leaves && (a.Mode == plan.Read && (s == plan.State || s == plan.Input) || a.Mode == plan.Write && s == plan.Arena)
		}
		if leaves {
			early = append(early, k)
		} else {
			rest = append(rest, k)
		}
	}
	p.Kernels = append(early, rest...)
}

// The blocks of kernels that multiply nothing.
const (
	mapThreads   = 256
	mapPixels    = 128 // of a unit
	mapChannels  = 64  // of a tile
	poolThreads  = 128
	lossThreads  = 256
	windowVector = 4 // channels of a thread of a maxpool
)

// gpuGrid cuts the domain of a kernel without a root that must know its channels
// or pixels.
func (r *region) gpuGrid(k *plan.Kernel) {
	g := &k.Grid
	boxOf(g.Samples, g.Rows, g.Px, mapPixels).cut(g)
	k.Block = plan.Block{Threads: mapThreads, N: channelTile(g.C)}
}

// channelTile is the number of channels of a block that does not multiply: a
// power of two, so that the threads of a column are found by masks.
func channelTile(c int) int {
	n := 8
	for n < min(c, mapChannels) {
		n *= 2
	}
	return n
}

// blocks gives a block to the kernels that have none yet.
func blocks(p *plan.Plan) {
	for _, k := range p.Kernels {
		if k.Kind == plan.Map && k.Block.N > 0 {
			k.Block.Shared = mapShared(k.Block, reduceVec(p, k, k.Grid.C))
		}
		if k.Block.Threads > 0 {
			continue
		}
		switch k.Kind {
		case plan.Pool:
			k.Block = plan.Block{Threads: poolThreads, N: channelTile(k.Grid.C)}
			k.Block.Shared = poolShared(k.Block, p.Vector(k, k.Prologues[0], k.Conv.C, ir.F32))
		case plan.MaxPool, plan.MaxPoolGrad:
			k.Block = plan.Block{Threads: mapThreads, N: vector(windowVector, k.Grid.C)}
		case plan.Finish:
			k.Block = plan.Block{Threads: channelThreads}
		default:
			k.Block = plan.Block{Threads: mapThreads}
		}
	}
}

// vector is the widest vector, a power of two up to most, that divides n.
func vector(most, n int) int {
	for n%most != 0 {
		most /= 2
	}
	return most
}

func roundUp(n, to int) int { return (n + to - 1) / to * to }
