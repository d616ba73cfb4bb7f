package plan

import (
	"fmt"
	"slices"

	"wrnc/compiler/ir"
)

// use is what a kernel does with one of its arguments.
type use struct {
	read  bool // reads it
	old   bool // reads it before it writes it
	write bool
	whole bool // reads other parts of it than the unit's own rows
}

// kernelVerifier checks one kernel and collects the uses of its arguments.
type kernelVerifier struct {
	p    *Plan
	k    *Kernel
	uses []use
}

func (v *kernelVerifier) read(arg int, whole bool) {
	u := &v.uses[arg]
	u.read, u.old, u.whole = true, u.old || !u.write, u.whole || whole
}

func (v *kernelVerifier) write(arg int) { v.uses[arg].write = true }

func (v *kernelVerifier) buffer(arg int) *Buffer { return &v.p.Buffers[v.k.Args[arg].Buffer] }

// elems checks the number of elements of an argument.
func (v *kernelVerifier) elems(arg, want int) error {
	if b := v.buffer(arg); b.Type.Elems() != want {
		return fmt.Errorf("buffer %s has %d elements, expected %d", b.Name, b.Type.Elems(), want)
	}
	return nil
}

func (v *kernelVerifier) index(arg int) error {
	if arg < 0 || arg >= len(v.k.Args) {
		return fmt.Errorf("there is no argument a%d", arg)
	}
	return nil
}

// shapes is what a kind demands: how many leading arguments have a fixed
// meaning, how many tapes fill the tile, and which other parts there are.
var shapes = [...]struct {
	args, prologues                      int
	grid, conv, epilogue, finish, pixels bool
}{
	Pack:     {args: 2, conv: true},
	Conv:     {args: 1, prologues: 1, grid: true, conv: true, epilogue: true},
	Wgrad:    {args: 1, prologues: 2, grid: true, conv: true},
	Sum:      {args: 1, grid: true, conv: true, epilogue: true},
	Map:      {grid: true, epilogue: true},
	Pool:     {prologues: 1, grid: true, conv: true, epilogue: true},
	Finish:   {finish: true},
	Xent:     {args: 3, grid: true},
	XentGrad: {args: 3, grid: true},

	MaxPool:     {args: 2, grid: true, conv: true},
	MaxPoolGrad: {args: 3, grid: true, conv: true},

	Augment: {args: 6, grid: true},

	WgradSum: {prologues: 2, grid: true, conv: true, epilogue: true, pixels: true},
}

func (v *kernelVerifier) verify() error {
	k := v.k
	if k.Kind < Pack || k.Kind > Augment {
		return fmt.Errorf("is of no kind")
	}
	shape := shapes[k.Kind]
	lists := []int{len(k.Args), len(k.Prologues), len(k.Reduces), len(k.Channel)}
	for _, n := range lists {
		if n > maxCount {
			return fmt.Errorf("a list of %d entries; at most %d", n, maxCount)
		}
	}
	switch {
	case len(k.Args) < shape.args:
		return fmt.Errorf("has %d arguments, a %v kernel takes %d", len(k.Args), k.Kind, shape.args)
	case len(k.Prologues) != shape.prologues:
		return fmt.Errorf("has %d prologues, a %v kernel takes %d", len(k.Prologues), k.Kind, shape.prologues)
	case !shape.grid && k.Grid != Grid{}:
		return fmt.Errorf("a %v kernel has no grid", k.Kind)
	case !shape.conv && k.Conv != ConvShape{}:
		return fmt.Errorf("a %v kernel has no convolution", k.Kind)
	case !shape.epilogue && !k.Epilogue.empty():
		return fmt.Errorf("a %v kernel has no epilogue", k.Kind)
	case k.Kind != Augment && k.Augment != ir.Attrs{}:
		return fmt.Errorf("a %v kernel changes no pictures", k.Kind)
	case !shape.pixels && k.Pixels != Grid{}:
		return fmt.Errorf("a %v kernel has no pixels beside its grid", k.Kind)
	case !shape.finish && len(k.Channel) > 0 && (!v.gpu() || len(k.Reduces) == 0):
		return fmt.Errorf("a %v kernel runs no channel ops", k.Kind)
	case !shape.finish && !shape.epilogue && len(k.Reduces) > 0:
		return fmt.Errorf("a %v kernel has no reduce", k.Kind)
	}
	if err := v.verifyArgs(); err != nil {
		return err
	}
	v.uses = make([]use, len(k.Args))
	if err := v.verifyBlock(); err != nil {
		return err
	}
	if shape.grid {
		if err := k.Grid.verify(v.p.Batch); err != nil {
			return err
		}
	}
	if shape.conv {
		if err := v.verifyConv(); err != nil {
			return err
		}
	}
	steps := []func() error{v.verifyKind, v.verifyPrologues, v.verifyEpilogue, v.verifyFinish, v.verifyCounters, v.verifyModes}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	if need := k.ScratchBytes(); need > v.p.Scratch {
		return fmt.Errorf("needs %d bytes of scratch, the plan has %d", need, v.p.Scratch)
	}
	return nil
}

func (v *kernelVerifier) verifyArgs() error {
	seen := map[int]bool{}
	for i, a := range v.k.Args {
		switch {
		case a.Buffer < 0 || a.Buffer >= len(v.p.Buffers):
			return fmt.Errorf("argument a%d: there is no buffer b%d", i, a.Buffer)
		case a.Mode < Read || a.Mode > Update:
			return fmt.Errorf("argument a%d: no mode", i)
		case seen[a.Buffer]:
			return fmt.Errorf("buffer %s is an argument twice", v.p.Buffers[a.Buffer].Name)
		}
		seen[a.Buffer] = true
	}
	return nil
}

// verifyKind checks the arguments whose meaning the kind fixes.
func (v *kernelVerifier) verifyKind() error {
	k, c := v.k, v.k.Conv
	switch k.Kind {
	case Pack:
		v.read(0, true)
		v.write(1)
		if err := v.elems(0, c.K*c.R*c.R*c.C); err != nil {
			return err
		}
		return v.elems(1, c.PackedElems())
	case Conv:
		v.read(0, true)
		return v.elems(0, c.PackedElems())
	case Wgrad:
		v.write(0)
		return v.elems(0, c.Splits*c.PartialElems())
	case Sum:
		v.read(0, true)
		return v.elems(0, c.Splits*c.PartialElems())
	case WgradSum:
		if c.Splits == 1 {
			return nil
		}
		if len(k.Args) == 0 {
			return fmt.Errorf("has no argument for the partials of %d splits", c.Splits)
		}
		v.write(0)
		return v.elems(0, c.Splits*k.SplitElems())
	case Xent, XentGrad:
		v.read(0, true)
		v.read(1, true)
		v.write(2)
		if err := v.infer(map[Kind]ir.Op{Xent: ir.Xent, XentGrad: ir.XentGrad}[k.Kind], ir.Attrs{}, []int{0, 1}, []int{2}); err != nil {
			return err
		}
		return v.verifyDomain(1, 1, v.buffer(0).Type.Channels())
	case MaxPool, MaxPoolGrad:
		return v.verifyMaxPool()
	case Augment:
		return v.verifyAugment()
	}
	return nil
}

// verifyAugment checks an augment's arguments: the pictures of the data set, the
// numbers of those wanted, seed, epoch, the values of bytes, and the batch.
func (v *kernelVerifier) verifyAugment() error {
	src := []int{0, 1, 2, 3, 4}
	for i, a := range src {
		if role := ir.Augment.Info().Args[i]; role != ir.Order && v.buffer(a).Batched {
			return fmt.Errorf("buffer %s changes with the batch; expected what is resident", v.buffer(a).Name)
		}
		v.read(a, true)
	}
	v.write(5)
	if err := v.infer(ir.Augment, v.k.Augment, src, []int{5}); err != nil {
		return err
	}
	d := v.buffer(5).Type.Dims
	if v.k.Grid.Samples != d[0] {
		return fmt.Errorf("the grid has %d samples, the batch %d", v.k.Grid.Samples, d[0])
	}
	return v.verifyDomain(d[1], d[2], d[3])
}

// verifyMaxPool checks the arguments of a maxpool (the picture, its result) or
// of its gradient (the result's gradient, the picture, its gradient).
func (v *kernelVerifier) verifyMaxPool() error {
	op, src, dst, picture := ir.MaxPool, []int{0}, []int{1}, 0
	if v.k.Kind == MaxPoolGrad {
		op, src, dst, picture = ir.MaxPoolGrad, []int{0, 1}, []int{2}, 1
	}
	for _, a := range src {
		v.read(a, true)
	}
	v.write(dst[0])
	c := v.k.Conv
	b := v.buffer(picture)
	if want := ir.T(ir.F32, v.k.Grid.Samples, c.H, c.W, c.C); !b.Type.Equal(want) && (!v.gpu() || !b.Type.SameDims(want)) {
		return fmt.Errorf("buffer %s is %v, expected %v", b.Name, b.Type, want)
	}
	return v.infer(op, ir.Attrs{Pad: c.Pad, Stride: c.Stride, Kernel: c.R}, src, dst)
}

// infer checks arguments against the shape rule of an op.
func (v *kernelVerifier) infer(op ir.Op, attrs ir.Attrs, src, dst []int) error {
	n := &ir.Node{Op: op, Attrs: attrs}
	for _, a := range src {
		n.Args = append(n.Args, &ir.Value{Type: v.buffer(a).Type})
	}
	if len(src) != len(op.Info().Args) {
		return fmt.Errorf("%v reads %d arguments, expected %d", op, len(src), len(op.Info().Args))
	}
	types, err := op.Info().Infer(n)
	if err != nil {
		return fmt.Errorf("%v of buffer %s: %w", op, v.buffer(src[0]).Name, err)
	}
	if len(types) != len(dst) {
		return fmt.Errorf("%v writes %d arguments, expected %d", op, len(dst), len(types))
	}
	for i, a := range dst {
		if b := v.buffer(a); !b.Type.Equal(types[i]) {
			return fmt.Errorf("%v yields %v, buffer %s is %v", op, types[i], b.Name, b.Type)
		}
	}
	return nil
}

// gpu tells whether the plan is for a GPU, where a kernel may do what takes the
// CPU several.
func (v *kernelVerifier) gpu() bool { return v.p.Arch.GPU != GPU{} }

// verifyBlock checks what one block takes, and the counters.
func (v *kernelVerifier) verifyBlock() error {
	t, gpu := v.k.Block, v.p.Arch.GPU
	if !v.gpu() {
		if t != (Block{}) {
			return fmt.Errorf("the %s target has no blocks of threads", v.p.Arch.Target)
		}
	} else if t.Threads < 32 || t.Threads > maxThreads || t.Threads%32 != 0 {
		return fmt.Errorf("blocks of %d threads, expected a multiple of 32 up to %d", t.Threads, maxThreads)
	}
	for _, n := range v.tiles() {
		if v.gpu() && n < 1 {
			return fmt.Errorf("a tile of %d, expected at least 1", n)
		}
	}
	if err := v.verifyVector(); err != nil {
		return err
	}
	if t.Shared < 0 || t.Shared > gpu.Shared {
		return fmt.Errorf("needs %d bytes of shared memory, %s has %d for a block", t.Shared, v.p.Arch.ISA, gpu.Shared)
	}
	for i, a := range v.k.Args {
		if v.p.Buffers[a.Buffer].Space == Counter {
			v.read(i, false)
			v.write(i)
		}
	}
	return nil
}

// tiles is how many numbers of a Block are extents of a tile: of what is summed over
// splits two, of channels one.
func (v *kernelVerifier) tiles() []int {
	b := v.k.Block
	switch v.k.Kind {
	case WgradSum:
		return []int{b.M, b.N}
	case Conv, Pool:
		return []int{b.N}
	case Map:
		if !v.k.Flat() {
			return []int{b.N}
		}
	}
	return nil
}

// verifyCounters checks that there is a counter for each of the kernel's last blocks.
func (v *kernelVerifier) verifyCounters() error {
	if !v.gpu() {
		return nil
	}
	var found []int
	for i, a := range v.k.Args {
		if v.p.Buffers[a.Buffer].Space == Counter {
			found = append(found, i)
		}
	}
	want := v.k.Counters(v.p)
	switch {
	case len(found) > 1, len(found) > 0 != (want > 0):
		return fmt.Errorf("has %d buffers of counters, expected %d", len(found), min(want, 1))
	case len(found) > 0:
		return v.elems(found[0], want)
	}
	return nil
}

// verifyVector checks how many threads share a sample of a loss, and how many
// channels a thread of a maxpool has.
func (v *kernelVerifier) verifyVector() error {
	n, most, c := v.k.Block.N, 8, v.k.Grid.C
	switch v.k.Kind {
	case Xent, XentGrad:
		most, c = 32, 32
	case MaxPool, MaxPoolGrad:
	default:
		return nil
	}
	if v.gpu() && (n < 1 || n > most || n&(n-1) != 0 || c%n != 0) {
		return fmt.Errorf("a block with n=%d, expected a power of two up to %d that divides %d", n, most, c)
	}
	return nil
}

// verifyFinish checks merged partials and channel ops: of a Finish, or of the
// last unit of a kernel of a GPU.
func (v *kernelVerifier) verifyFinish() error {
	if v.k.Kind != Finish && !v.gpu() {
		return nil
	}
	for i, r := range v.k.Reduces {
		if err := v.index(r.Out); err != nil {
			return fmt.Errorf("reduce q%d: %w", i, err)
		}
		if err := v.verifyReduce(r, v.buffer(r.Out).Type.Elems()); err != nil {
			return fmt.Errorf("reduce q%d: %w", i, err)
		}
		v.read(r.Partial, false)
		v.write(r.Out)
	}
	for _, c := range v.k.Channel {
		if !isOp(c.Op, ir.Channel) {
			return fmt.Errorf("op %d is not a channel op", c.Op)
		}
		for _, a := range append(append([]int(nil), c.Src...), c.Dst...) {
			if err := v.index(a); err != nil {
				return fmt.Errorf("%v: %w", c.Op, err)
			}
		}
		if err := v.infer(c.Op, c.Attrs, c.Src, c.Dst); err != nil {
			return err
		}
		for _, a := range c.Src {
			v.read(a, false)
		}
		for _, a := range c.Dst {
			v.write(a)
		}
	}
	return nil
}

// isOp tells whether o is an op of the class; any other number is none.
func isOp(o ir.Op, class ir.Class) bool { return slices.Contains(ir.Ops(), o) && o.Class() == class }

// verifyReduce checks that a partial holds, for every unit of the reduced grid,
// a result of out elements; with out 0 whole rows of channels.
func (v *kernelVerifier) verifyReduce(r Reduce, out int) error {
	if !isOp(r.Op, ir.Reduce) {
		return fmt.Errorf("op %d does not reduce", r.Op)
	}
	if err := v.index(r.Partial); err != nil {
		return err
	}
	if err := r.Grid.verify(v.p.Batch); err != nil {
		return err
	}
	units := r.Grid.Units(v.p.Batch)
	if out > 0 {
		return v.elems(r.Partial, units*out)
	}
	if b := v.buffer(r.Partial); b.Type.Elems()%(units*r.Grid.C) != 0 {
		return fmt.Errorf("buffer %s has %d elements, expected whole rows of %d channels for each of %d units", b.Name, b.Type.Elems(), r.Grid.C, units)
	}
	return nil
}

// verifyModes compares what the kernel does with what its arguments declare.
func (v *kernelVerifier) verifyModes() error {
	writes := false
	for i, u := range v.uses {
		mode, name := v.k.Args[i].Mode, v.buffer(i).Name
		writes = writes || u.write
		fits := mode == Read && u.read && !u.write ||
			mode == Write && u.write && !u.old ||
			mode == Update && u.write && u.read
		switch {
		case !u.read && !u.write:
			return fmt.Errorf("never touches its argument a%d, buffer %s", i, name)
		case !fits:
			return fmt.Errorf("argument a%d, buffer %s, is declared %v; the kernel %s it", i, name, mode, u.does())
		case u.write && u.whole:
			return fmt.Errorf("a unit writes buffer %s while others read parts of it that are not their own", name)
		}
	}
	if !writes {
		return fmt.Errorf("writes nothing")
	}
	return nil
}

func (u use) does() string {
	switch {
	case u.old && u.write:
		return "reads and then writes"
	case u.read && u.write:
		return "writes and then reads"
	case u.write:
		return "writes"
	}
	return "reads"
}
