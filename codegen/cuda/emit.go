// Package cuda prints the kernels of a plan for a GPU as CUDA C++.
//
// A kernel's text is short: the region's body as a comment, one include, the
// struct of its arguments, the types that fix its shape and its tile, the
// prologue and the epilogue printed from the plan's tapes, and the entry. All
// else is in the templates of package kernels. For the first convolution of a
// block it is, in outline,
//
//	// %0 = affine a1, a2 : bf16[N,32,32,16]
//	// ...
//	#include "conv.cuh"
//
//	struct Args { const bf16* a0; const bf16* a1; const f32* a2; bf16* a3; ...; i32 n; };
//	using Shape = ConvShape<32, 32, 16, 32, 32, 16, 3, 1, 1, false>;
//	using Unit = Box<1, 8, 16>;
//	using Tile = ConvTile<Bf16, 128, 16, 16, 4, 1, 3>;
//	struct Prologue { ... };
//	struct Epilogue { ... };
//	WRNC_KERNEL(conv_fprop_..., Tile::kThreads, 2)(const Args args) { ... }
//
// Neither the batch nor the place in the network is in the text: the batch is an
// argument, random streams and counts are arguments, and the name is made of what
// the kernel does and a hash of its text. So layers that do the same share one
// text, and a text stays when a layer is added elsewhere.
package cuda

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"wrnc/compiler/ir"
	"wrnc/compiler/plan"
)

// Emit prints the kernels of a plan, in the plan's order. f is the fused function
// that the plan was made from; it gives the bodies that stand as comments.
func Emit(p *plan.Plan, f *ir.Func) ([]plan.Source, error) {
	if !p.Arch.OnGPU() {
		return nil, fmt.Errorf("the plan of %s is for the %s target; CUDA text is printed for a GPU", p.Func, p.Arch.Target)
	}
	regions := map[string]*ir.Node{}
	for _, n := range f.Nodes {
		regions[n.Layer] = n
	}
	var sources []plan.Source
	for _, k := range p.Kernels {
		w := &writer{p: p, k: k, f: f, region: regions[k.Region]}
		s, err := w.source()
		if err != nil {
			return nil, fmt.Errorf("%s, kernel %s: %w", p.Func, k.Name, err)
		}
		sources = append(sources, s)
	}
	return sources, nil
}

// writer prints one kernel.
type writer struct {
	b      strings.Builder
	p      *plan.Plan
	k      *plan.Kernel
	f      *ir.Func
	region *ir.Node // nil for a copy
	masks  int      // dropout masks that were printed
}

func (w *writer) line(format string, args ...any) { fmt.Fprintf(&w.b, format+"\n", args...) }

// entryHere stands for the name until the text, and with it the name, is known.
const entryHere = "@entry@"

// source prints the kernel and names it.
func (w *writer) source() (plan.Source, error) {
	kind, ok := kinds[w.k.Kind]
	if !ok {
		return plan.Source{}, fmt.Errorf("no template for a kernel of kind %v", w.k.Kind)
	}
	w.line("// %s", kind.title(w))
	w.comment()
	w.line("#include %q", kind.header(w.k))
	w.line("")
	w.args()
	if err := kind.body(w); err != nil {
		return plan.Source{}, err
	}
	text := w.b.String()
	sum := sha256.Sum256([]byte(text))
	name := kind.name(w) + "_" + hex.EncodeToString(sum[:4])
	return plan.Source{Entry: name, Text: strings.ReplaceAll(text, entryHere, name)}, nil
}

// args prints the struct of arguments, which plan.Kernel.Params defines. Of a tabled
// kernel it is a segment's, and the launch has the table.
func (w *writer) args() {
	name := "Args"
	if w.k.Tabled() {
		name = "Segment"
	}
	w.line("struct %s {", name)
	for _, f := range w.k.Params() {
		if f.Type != plan.Pointer {
			w.line("  %s %s;", paramTypes[f.Type], f.Name)
			continue
		}
		a := w.k.Args[f.Arg]
		b := w.p.Buffers[a.Buffer]
		constant := ""
		if a.Mode == plan.Read {
			constant = "const "
		}
		w.line("  %s%s* %s;", constant, elementType(b), f.Name)
	}
	w.line("};")
	if w.k.Tabled() {
		w.line("struct Args {")
		w.line("  const Segment* table;")
		w.line("  const u32* first_block;")
		w.line("  u32 segments;")
		w.line("};")
	}
	w.line("")
}

var paramTypes = map[plan.ParamType]string{plan.I32: "i32", plan.U32: "u32", plan.I64: "i64", plan.F32: "f32"}

// elementType is the C++ type of a buffer's elements.
func elementType(b plan.Buffer) string {
	switch {
	case b.Space == plan.Counter:
		return "u32"
	case b.Type.DType == ir.TF32:
		return "f32"
	case b.Type.DType == ir.S32:
		return "i32"
	}
	return b.Type.DType.String()
}

func (w *writer) buffer(arg int) plan.Buffer { return w.p.Buffers[w.k.Args[arg].Buffer] }

// counter is the argument that holds the kernel's counters, or -1.
func (w *writer) counter() int {
	for i := range w.k.Args {
		if w.buffer(i).Space == plan.Counter {
			return i
		}
	}
	return -1
}
