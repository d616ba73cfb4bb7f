package cuda

import (
	"fmt"
	"strconv"

	"wrnc/compiler/ir"
	"wrnc/compiler/plan"
)

// kind is how the kernels of a plan.Kind are printed.
type kind struct {
	title  func(w *writer) string // the first line, for people
	header func(k *plan.Kernel) string
	name   func(w *writer) string // first part of the entry's name
	body   func(w *writer) error  // what follows the arguments
}

func header(name string) func(*plan.Kernel) string {
	return func(*plan.Kernel) string { return name }
}

// kinds is the table of the kinds that a GPU runs.
var kinds = map[plan.Kind]kind{
	plan.Conv:        {convTitle, header("conv.cuh"), convName, convBody},
	plan.WgradSum:    {wgradTitle, header("wgrad.cuh"), convName, wgradBody},
	plan.Map:         {mapTitle, mapHeader, mapName, mapBody},
	plan.Pool:        {poolTitle, header("pool.cuh"), shapeName("avgpool"), poolBody},
	plan.Finish:      {titled("channel arithmetic alone, of several regions at once"), header("flat.cuh"), named("channel"), finishBody},
	plan.Xent:        {titled("softmax cross-entropy: loss and mistakes"), header("xent.cuh"), classesName("xent"), xentBody},
	plan.XentGrad:    {titled("gradient of softmax cross-entropy by the logits"), header("xent.cuh"), classesName("xent_grad"), xentBody},
	plan.MaxPool:     {windowTitle("maxpool"), header("maxpool.cuh"), shapeName("maxpool"), windowBody},
	plan.MaxPoolGrad: {windowTitle("gradient of maxpool"), header("maxpool.cuh"), shapeName("maxpool_grad"), windowBody},
	plan.Augment:     {titled("a batch of a data set, augmented"), header("augment.cuh"), augmentName, augmentBody},
}

func titled(s string) func(*writer) string { return func(*writer) string { return s } }
func named(s string) func(*writer) string  { return func(*writer) string { return s } }

func classesName(s string) func(*writer) string {
	return func(w *writer) string { return fmt.Sprintf("%s_%d", s, w.k.Grid.C) }
}

func shapeName(s string) func(*writer) string {
	return func(w *writer) string {
		c := w.k.Conv
		return fmt.Sprintf("%s_%dx%dx%d", s, c.H, c.W, c.C)
	}
}

// maths are the C++ names of the ways to multiply.
var maths = map[string]struct {
	name, how string
	dtype     ir.DType
}{
	"ffma": {"Ffma", "f32 by fused multiply-adds", ir.F32},
	"bf16": {"Bf16", "bf16 on tensor cores", ir.BF16},
	"tf32": {"Tf32", "tf32 on tensor cores", ir.TF32},
}

func (w *writer) direction() string {
	switch {
	case w.k.Kind == plan.WgradSum:
		return "wgrad"
	case w.k.Conv.Dgrad:
		return "dgrad"
	}
	return "fprop"
}

func convName(w *writer) string {
	c := w.k.Conv
	return fmt.Sprintf("conv_%s_%s_%dx%dx%d_%dx%d_r%ds%d", w.direction(), w.k.Block.Math, c.H, c.W, c.C, c.Q, c.K, c.R, c.Stride)
}

func convTitle(w *writer) string {
	c := w.k.Conv
	from, to := fmt.Sprintf("[N,%d,%d,%d]", c.H, c.W, c.C), fmt.Sprintf("[N,%d,%d,%d]", c.P, c.Q, c.K)
	if c.Dgrad {
		from, to = to, from
	}
	return fmt.Sprintf("conv_%s of a %dx%d filter, stride %d: %s -> %s, %s", w.direction(), c.R, c.R, c.Stride, from, to, maths[w.k.Block.Math].how)
}

func wgradTitle(w *writer) string {
	c := w.k.Conv
	return fmt.Sprintf("conv_wgrad of a %dx%d filter, stride %d: [N,%d,%d,%d], [N,%d,%d,%d] -> [%d,%d,%d,%d], %s",
		c.R, c.R, c.Stride, c.P, c.Q, c.K, c.H, c.W, c.C, c.K, c.R, c.R, c.C, maths[w.k.Block.Math].how)
}

// shape prints the geometry of a convolution.
func (w *writer) shape() {
	c := w.k.Conv
	w.line("using Shape = ConvShape<%d, %d, %d, %d, %d, %d, %d, %d, %d, %v>;  // H W C, P Q K, R pad stride, dgrad", c.H, c.W, c.C, c.P, c.Q, c.K, c.R, c.Pad, c.Stride, c.Dgrad)
}

// unit prints the box of a grid; that of a strided dgrad is one of a phase's plane.
func (w *writer) unit(g plan.Grid) {
	step := max(1, g.Step)
	w.line("using Unit = Box<%d, %d, %d>;  // samples, rows, pixels", max(1, g.SamplesPerUnit), g.RowsPerUnit/step, max(1, g.PxPerUnit)/step)
}

func convBody(w *writer) error {
	k, b := w.k, w.k.Block
	w.shape()
	w.unit(k.Grid)
	w.line("using Tile = ConvTile<%s, %d, %d, %d, %d, %d, %d>;  // math, M, N, K, warps along M, along N, stages", maths[b.Math].name, b.M, b.N, b.K, b.WarpsM, b.WarpsN, b.Stages)
	w.line("")
	if err := w.prologue("Prologue", 0, k.Conv.In(), maths[b.Math].dtype); err != nil {
		return err
	}
	if err := w.epilogue(k.Conv.Out()); err != nil {
		return err
	}
	w.shared("ConvLayout<Shape, Unit, Tile, Epilogue>")
	w.line("WRNC_KERNEL(%s, %d, %d)(const Args args) {", entryHere, b.Threads, minBlocks(b))
	w.line("  conv<Shape, Unit, Tile, Prologue, Epilogue>(args, args.a0);")
	w.line("}")
	return nil
}

func wgradBody(w *writer) error {
	k, b := w.k, w.k.Block
	w.shape()
	w.unit(k.Pixels)
	w.line("using Tile = WgradTile<%s, %d, %d, %d, %d, %d>;  // math, M, N, warps along M, along N, groups of taps", maths[b.Math].name, b.M, b.N, b.WarpsM, b.WarpsN, b.WarpsT)
	w.line("")
	for i, c := range []int{k.Conv.K, k.Conv.C} {
		if err := w.prologue([]string{"Gradient", "Picture"}[i], i, c, maths[b.Math].dtype); err != nil {
			return err
		}
	}
	if err := w.epilogue(k.Conv.C); err != nil {
		return err
	}
	partial, counter := "nullptr", "nullptr" // one split has nothing to add up
	if k.Conv.Splits > 1 {
		partial, counter = "args.a0", fmt.Sprintf("args.a%d", w.counter())
	}
	w.shared("WgradLayout<Shape, Unit, Tile>")
	w.line("WRNC_KERNEL(%s, %d, %d)(const Args args) {", entryHere, b.Threads, minBlocks(b))
	w.line("  wgrad<Shape, Unit, Tile, Gradient, Picture, Epilogue, %v>(args, %s, %s, args.span);", k.Conv.Splits > 1, partial, counter)
	w.line("}")
	return nil
}

// shared prints the check that the compiler and the template agree on the block.
func (w *writer) shared(layout string) {
	w.line("static_assert(Tile::kThreads == %d && %s::kShared == %d, \"the plan's block\");", w.k.Block.Threads, layout, w.k.Block.Shared)
	w.line("")
}

// minBlocks is the number of blocks that a multiprocessor is to hold at least, so
// that one computes while another loads.
func minBlocks(b plan.Block) int { return max(1, b.Resident) }

// prologue prints tape i as the functor that yields an operand of the root.
func (w *writer) prologue(name string, i, c int, tile ir.DType) error {
	t := w.k.Prologues[i]
	f := &functor{writer: w, name: name, tape: t, c: c, vec: strconv.Itoa(w.p.Vector(w.k, t, c, tile))}
	w.line("struct %s {", name)
	w.line("  static constexpr u32 kVec = %s;", f.vec)
	f.channel()
	w.line("  WRNC_DEVICE Floats<%s> apply(const Args& a, const Channel& ch, const At& at, i32 c) {", f.vec)
	w.line("    const i64 e = at.pixel * %d + c;", c)
	if err := f.steps(); err != nil {
		return err
	}
	w.line("    return %s;", f.tile)
	w.line("  }")
	w.line("};")
	w.line("")
	return nil
}

// epilogue prints the functor that takes the root's result, or nothing, to memory
// and to reductions.
func (w *writer) epilogue(c int) error {
	f := &functor{writer: w, name: "Epilogue", tape: w.k.Epilogue, c: c, vec: strconv.Itoa(w.p.Vector(w.k, w.k.Epilogue, c, ir.F32))}
	w.line("struct Epilogue {")
	w.line("  static constexpr u32 kVec = %s;", f.vec)
	w.line("  static constexpr bool kReduces = %v;", len(w.k.Reduces) > 0)
	f.channel()
	f.sums()
	w.line("  WRNC_DEVICE void apply(const Args& a, const Channel& ch, Sums& s, const At& at, i32 c, const Floats<%s>& y) {", f.vec)
	w.line("    const i64 e = at.pixel * %d + c;", c)
	if err := f.steps(); err != nil {
		return err
	}
	w.line("  }")
	if len(w.k.Reduces) > 0 {
		if err := w.reduces(c); err != nil {
			return err
		}
	}
	w.line("};")
	w.line("")
	return nil
}

func mapHeader(k *plan.Kernel) string {
	if k.Flat() {
		return "flat.cuh"
	}
	return "map.cuh"
}

func mapTitle(w *writer) string {
	g := w.k.Grid
	if w.k.Flat() {
		return "elements of several tensors at once"
	}
	return fmt.Sprintf("map over [N,%d,%d,%d]", g.Rows, g.Px, g.C)
}

func mapName(w *writer) string {
	g := w.k.Grid
	if w.k.Flat() {
		return "flat"
	}
	return fmt.Sprintf("map_%dx%dx%d", g.Rows, g.Px, g.C)
}

func mapBody(w *writer) error {
	k, b := w.k, w.k.Block
	if k.Flat() {
		return flatBody(w)
	}
	w.line("using Shape = MapShape<%d, %d, %d>;  // rows, pixels, channels", k.Grid.Rows, k.Grid.Px, k.Grid.C)
	w.unit(k.Grid)
	w.line("using Tile = MapTile<%d, %d>;  // channels, threads", b.N, b.Threads)
	w.line("")
	if err := w.epilogue(k.Grid.C); err != nil {
		return err
	}
	w.shared("MapLayout<Shape, Tile, Epilogue>")
	w.line("WRNC_KERNEL(%s, %d, %d)(const Args args) {", entryHere, b.Threads, minBlocks(b))
	w.line("  map<Shape, Unit, Tile, Epilogue>(args);")
	w.line("}")
	return nil
}

// flatBody prints a kernel of elements without channels: vectors of any length.
func flatBody(w *writer) error {
	f := &functor{writer: w, name: "Body", tape: w.k.Epilogue, vec: "V"}
	w.line("struct Body {")
	w.line("  template <u32 V>")
	w.line("  WRNC_DEVICE void apply(const Segment& a, i64 e) {")
	if err := f.steps(); err != nil {
		return err
	}
	w.line("  }")
	w.line("};")
	w.line("")
	w.line("WRNC_KERNEL(%s, %d, %d)(const Args args) {", entryHere, w.k.Block.Threads, minBlocks(w.k.Block))
	w.line("  flat<Body, FlatTile<%d, %d>>(args.table, args.first_block, args.segments);", w.k.Block.Threads, plan.FlatBlock/(4*w.k.Block.Threads))
	w.line("}")
	return nil
}

func poolTitle(w *writer) string {
	c := w.k.Conv
	return fmt.Sprintf("avgpool: [N,%d,%d,%d] -> [N,1,1,%d]", c.H, c.W, c.C, c.C)
}

func poolBody(w *writer) error {
	c, b := w.k.Conv, w.k.Block
	w.line("using Shape = MapShape<%d, %d, %d>;  // rows, pixels, channels", c.H, c.W, c.C)
	w.line("using Tile = MapTile<%d, %d>;  // channels, threads", b.N, b.Threads)
	w.line("")
	if err := w.prologue("Prologue", 0, c.C, ir.F32); err != nil {
		return err
	}
	if err := w.epilogue(c.C); err != nil {
		return err
	}
	w.shared("PoolLayout<Tile, Prologue>")
	w.line("WRNC_KERNEL(%s, %d, %d)(const Args args) {", entryHere, b.Threads, minBlocks(b))
	w.line("  avgpool<Shape, Tile, Prologue, Epilogue>(args);")
	w.line("}")
	return nil
}

func xentBody(w *writer) error {
	k, b := w.k, w.k.Block
	w.line("using Shape = LossShape<%d, %d, %d>;  // classes, threads that share a sample, threads", k.Grid.C, b.N, b.Threads)
	op := "xent_grad"
	if k.Kind == plan.Xent {
		op = "xent"
		w.line("static_assert(Shape::kShared == %d, \"the plan's block\");", b.Shared)
	}
	w.line("")
	w.line("WRNC_KERNEL(%s, %d, 1)(const Args args) {", entryHere, b.Threads)
	w.line("  %s<Shape>(args.a0, args.a1, args.a2, args.n);", op)
	w.line("}")
	return nil
}

func windowTitle(s string) func(*writer) string {
	return func(w *writer) string {
		c := w.k.Conv
		return fmt.Sprintf("%s, a window of %dx%d, stride %d, over [N,%d,%d,%d]", s, c.R, c.R, c.Stride, c.H, c.W, c.C)
	}
}

func windowBody(w *writer) error {
	c, b := w.k.Conv, w.k.Block
	w.line("using Shape = WindowShape<%d, %d, %d, %d, %d, %d, %d, %d>;  // H W C, P Q, R pad stride", c.H, c.W, c.C, c.P, c.Q, c.R, c.Pad, c.Stride)
	w.line("")
	w.line("WRNC_KERNEL(%s, %d, 2)(const Args args) {", entryHere, b.Threads)
	if w.k.Kind == plan.MaxPool {
		w.line("  maxpool<Shape, %d, %d>(args.a0, args.a1, args.n);", b.N, b.Threads)
	} else {
		w.line("  maxpool_grad<Shape, %d, %d>(args.a0, args.a1, args.a2, args.n);", b.N, b.Threads)
	}
	w.line("}")
	return nil
}

func augmentName(w *writer) string {
	g := w.k.Grid
	return fmt.Sprintf("augment_%dx%dx%d", g.Rows, g.Px, g.C)
}

func augmentBody(w *writer) error {
	g, a, threads := w.k.Grid, w.k.Augment, w.k.Block.Threads
	w.line("using Shape = AugmentShape<%d, %d, %d, %d, %v, %v>;  // H W C, pad, flip, reflect", g.Rows, g.Px, g.C, a.Pad, a.Flip, a.Fill == ir.FillReflect)
	w.line("")
	w.line("WRNC_KERNEL(%s, %d, 2)(const Args args) {", entryHere, threads)
	w.line("  augment<Shape, %d>(args.a0, args.a1, args.a2, args.a3, args.a4, args.a5, args.n, args.pictures);", threads)
	w.line("}")
	return nil
}
