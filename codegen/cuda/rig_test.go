package cuda

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/compiler/ir"
	"wrnc/compiler/ir/gen"
	"wrnc/compiler/ir/interp"
	"wrnc/compiler/plan"
	"wrnc/kernels/f32"
	"wrnc/kernels/harness"
)

// newHarness returns a harness that keeps what it compiles in a folder of its own
// version under the user's cache, so that a text is compiled once on a machine.
func newHarness(t testing.TB) *harness.Harness {
	t.Helper()
	dir := os.Getenv("WRNC_HARNESS_DIR")
	if dir == "" {
		dir = filepath.Join(os.TempDir(), fmt.Sprintf("wrnc-harness-%d", os.Getuid()))
	}
	h, err := harness.New(dir)
	if errors.Is(err, harness.ErrNoCompiler) {
		if os.Getenv("WRNC_REQUIRE_CUDA_TOOLS") != "" {
			t.Fatal(err)
		}
		t.Skip("no generated kernel is executed: ", err)
	}
	require.NoError(t, err)
	return h
}

// rig runs regions of a plan on a machine of the harness and in the interpreter.
type rig struct {
	h    *harness.Harness
	m    *harness.Machine
	p    *plan.Plan
	f    *ir.Func
	src  []plan.Source
	mem  map[int]uint64 // buffer -> address
	opts harness.Launch // order, seed and arrival of asynchronous copies

	yields [][]byte // what the last region yielded
}

// region is what the kernels of one fusion compute, from inputs of our own.
type region struct {
	n       *ir.Node
	kernels []int
	alone   *ir.Func // the fusion in a module of its own, captured values being parameters and states
	names   []string // of the captured values there
}

// regions lists a plan's fusions with their kernels, in order.
func regions(p *plan.Plan, f *ir.Func) []*region {
	at := map[string]*region{}
	var list []*region
	for _, n := range f.Nodes {
		r := &region{n: n}
		at[n.Layer] = r
		list = append(list, r)
	}
	for i, k := range p.Kernels {
		if k.Region != "" {
			at[k.Region].kernels = append(at[k.Region].kernels, i)
		}
	}
	return list
}

// find is the buffer of a value of the function.
func find(p *plan.Plan, f *ir.Func, v *ir.Value) int {
	return (&commenter{w: &writer{p: p, f: f}}).find(v)
}

// isolate writes the fusion into a module of its own.
func (r *region) isolate(p *plan.Plan, f *ir.Func) {
	m := &ir.Module{Name: "region", Batch: p.Batch}
	g := &ir.Func{Name: "main", Module: m}
	m.Funcs = []*ir.Func{g}
	to := map[*ir.Value]*ir.Value{}
	for i, v := range r.n.Args {
		name := fmt.Sprintf("x%d", i)
		r.names = append(r.names, name)
		if b := find(p, f, v); v.Type.Rank() == 0 || b >= 0 && p.Buffers[b].Batched {
			to[v] = &ir.Value{Type: v.Type, Name: name}
			g.Params = append(g.Params, to[v])
			continue
		}
		s := &ir.State{Name: name, Type: v.Type, Role: ir.Param, Init: r.start(v)}
		m.States = append(m.States, s)
		to[v] = g.StateValue(s)
	}
	body := &ir.Body{}
	for _, n := range r.n.Body.Nodes {
		c := &ir.Node{Op: n.Op, Attrs: n.Attrs, Layer: n.Layer}
		for _, a := range n.Args {
			c.Args = append(c.Args, to[a])
		}
		for i, v := range n.Results {
			to[v] = &ir.Value{Type: v.Type, Node: c, Index: i}
			c.Results = append(c.Results, to[v])
		}
		body.Nodes = append(body.Nodes, c)
	}
	for _, y := range r.n.Body.Yields {
		body.Yields = append(body.Yields, to[y])
	}
	fusion := ir.NewFusion(r.n.Layer, r.n.Attrs.Kind, ir.Pos{}, body)
	g.Nodes, g.Returns = []*ir.Node{fusion}, fusion.Results
	r.alone = g
}

// start is a distribution for a captured value that is no activation: statistics
// have a positive second row, weights are small enough for sums of order 1.
func (r *region) start(v *ir.Value) ir.Init {
	if v.Type.Rank() == 4 {
		d := v.Type.Dims
		return ir.Init{Kind: ir.Normal, A: 1 / math.Sqrt(float64(d[1]*d[2]*d[3]))}
	}
	for _, n := range r.n.Body.Nodes {
		for i, a := range n.Args {
			if a == v && (n.Op.Class() == ir.Channel || n.Op.Class() == ir.Reduce) && n.Op.Info().Args[i] == ir.Vec && v.Type.Rank() == 2 {
				return ir.Init{Kind: ir.Rows, A: 0, B: 1}
			}
		}
	}
	return ir.Init{Kind: ir.Normal, A: 1}
}

// inputs draws what the region reads, for n samples.
func (r *region) inputs(n int, rnd *rand.Rand) (in, state map[string]*interp.Tensor) {
	_, state = gen.Inputs(r.alone.Module, &ir.Func{}, rnd)
	in = map[string]*interp.Tensor{}
	for _, p := range r.alone.Params {
		t := p.Type
		if t.Rank() > 0 {
			t = ir.T(t.DType, append([]int{n}, t.Dims[1:]...)...)
		}
		x := interp.New(t)
		for i := range x.F {
			x.F[i] = float64(float32(rnd.NormFloat64()))
		}
		for i := range x.U {
			x.U[i] = rnd.Uint64()
			if t.DType == ir.S32 { // labels
				x.U[i] %= uint64(r.n.Body.Nodes[0].Args[0].Type.Channels())
			}
		}
		in[p.Name] = x
	}
	return in, state
}

// bytesOf are a tensor's elements as they lie in device memory.
func bytesOf(t *interp.Tensor) []byte {
	var b []byte
	for _, v := range t.F {
		switch t.Type.DType {
		case ir.BF16:
			b = binary.LittleEndian.AppendUint16(b, f32.ToBF16(float32(v)))
		case ir.TF32:
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(f32.RoundTF32(float32(v))))
		default:
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(v)))
		}
	}
	for _, u := range t.U {
		switch t.Type.DType {
		case ir.U64:
			b = binary.LittleEndian.AppendUint64(b, u)
		case ir.U8:
			b = append(b, byte(u))
		default:
			b = binary.LittleEndian.AppendUint32(b, uint32(u))
		}
	}
	return b
}

// floatsOf reads elements back.
func floatsOf(d ir.DType, b []byte) []float64 {
	var out []float64
	for i := 0; i < len(b); i += d.Bytes() {
		if d == ir.BF16 {
			out = append(out, float64(f32.FromBF16(binary.LittleEndian.Uint16(b[i:]))))
		} else {
			out = append(out, float64(math.Float32frombits(binary.LittleEndian.Uint32(b[i:]))))
		}
	}
	return out
}

// sized is a buffer's bytes for n samples.
func sized(b plan.Buffer, n int) int {
	t := b.Type
	if b.Batched {
		t = ir.T(t.DType, append([]int{n}, t.Dims[1:]...)...)
	}
	return t.Bytes()
}

// run executes the region's kernels for n samples on random inputs and compares
// all that it yields with the interpreter.
func (g *rig) run(r *region, n int, seed uint64) error {
	r.isolate(g.p, g.f)
	in, state := r.inputs(n, rand.New(rand.NewPCG(seed, 7)))
	want, err := interp.Run(r.alone, in, state, interp.Options{})
	if err != nil {
		return fmt.Errorf("the interpreter: %w", err)
	}

	g.mem = map[int]uint64{}
	defer g.free()
	for i, v := range r.n.Args {
		t := in[r.names[i]]
		if t == nil {
			t = state[r.names[i]]
		}
		if b := find(g.p, g.f, v); b >= 0 && g.mem[b] == 0 {
			if err := g.put(b, bytesOf(t)); err != nil {
				return err
			}
		}
	}
	for _, i := range r.kernels {
		if err := g.launch(i, n); err != nil {
			return err
		}
	}
	g.yields = nil
	for i, v := range r.n.Results {
		b := g.p.Buffers[find(g.p, g.f, v)]
		raw, err := g.m.Read(g.mem[find(g.p, g.f, v)], sized(b, n))
		if err != nil {
			return err
		}
		g.yields = append(g.yields, raw)
		if err := agree(fmt.Sprintf("result %d, %v", i, v.Type), want.Returns[i].F, floatsOf(b.Type.DType, raw), toleranceOf(r.n, i)); err != nil {
			return err
		}
	}
	return nil
}

// put allocates a buffer that holds bytes.
func (g *rig) put(buffer int, bytes []byte) error {
	address, err := g.m.Alloc(len(bytes), true)
	if err != nil {
		return err
	}
	g.mem[buffer] = address
	return g.m.Write(address, bytes)
}

func (g *rig) free() {
	for _, address := range g.mem {
		if err := g.m.Free(address); err != nil {
			return // the machine is dead, which was reported
		}
	}
}

// address gives a buffer memory when a kernel first touches it: nobody has written
// there, but for counters, which are zero.
func (g *rig) address(i, n int) (uint64, error) {
	if have, ok := g.mem[i]; ok {
		return have, nil
	}
	b := g.p.Buffers[i]
	if b.Space == plan.Counter {
		return g.mem[i], g.put(i, make([]byte, b.Bytes))
	}
	address, err := g.m.Alloc(sized(b, n), false)
	g.mem[i] = address
	return address, err
}

// launch executes kernel i for n samples.
func (g *rig) launch(i, n int) error {
	k, s := g.p.Kernels[i], g.src[i]
	module, err := g.h.Compile(s.Entry, s.Text)
	if err != nil {
		return err
	}
	for _, a := range k.Args {
		if _, err := g.address(a.Buffer, n); err != nil {
			return err
		}
	}
	args := k.ParamBytes(g.p, n, func(buffer int) uint64 { return g.mem[buffer] })
	if k.Tabled() {
		table, err := g.m.Alloc(len(args)+4, true)
		if err != nil {
			return err
		}
		defer g.m.Free(table)
		if err := g.m.Write(table, append(args, 0, 0, 0, 0)); err != nil {
			return err
		}
		first := table + uint64(len(args))
		args = binary.LittleEndian.AppendUint64(nil, table)
		args = binary.LittleEndian.AppendUint64(args, first)
		args = binary.LittleEndian.AppendUint64(args, 1)
	}
	l := g.opts
	l.Module, l.Entry, l.Blocks, l.Threads, l.Shared, l.Args = module, s.Entry, k.Blocks(g.p, n), k.Block.Threads, k.Block.Shared, args
	report, err := g.m.Launch(l)
	if err != nil {
		return fmt.Errorf("kernel %s: %w", k.Name, err)
	}
	if err := report.Err(); err != nil {
		return fmt.Errorf("kernel %s (%s): %w", k.Name, s.Entry, err)
	}
	for _, a := range k.Args { // whoever comes next counts from zero
		if b := g.p.Buffers[a.Buffer]; b.Space == plan.Counter {
			raw, err := g.m.Read(g.mem[a.Buffer], b.Bytes)
			if err != nil {
				return err
			}
			for j, v := range raw {
				if v != 0 {
					return fmt.Errorf("kernel %s: counter %d is %d at the end", k.Name, j/4, v)
				}
			}
		}
	}
	return nil
}

// Tolerances, relative to the largest element of a result: zero where nothing but
// Map ops lie between memory and memory, which agree to the bit. A sum in f32 of
// terms in another order differs in its last bits; rounded to bf16, in its last.
const (
	tolF32  = 3e-5
	tolTF32 = 1.0 / 1024
	tolBF16 = 1.0 / 128
)

// toleranceOf result i of a fusion.
func toleranceOf(n *ir.Node, i int) float64 {
	exact, tolerance := true, tolF32
	after := map[*ir.Value]bool{}
	var visit func(v *ir.Value)
	visit = func(v *ir.Value) {
		if v.Node == nil || after[v] {
			return
		}
		for _, m := range n.Body.Nodes {
			if m != v.Node {
				continue
			}
			after[v] = true
			switch m.Op.Class() {
			case ir.Root, ir.Reduce, ir.Channel, ir.Opaque:
				exact = exact && (m.Op == ir.MaxPool || m.Op == ir.MaxPoolGrad)
			}
			switch m.Attrs.To {
			case ir.BF16:
				tolerance = max(tolerance, tolBF16)
			case ir.TF32:
				tolerance = max(tolerance, tolTF32)
			}
			for _, a := range m.Args {
				visit(a)
			}
		}
	}
	visit(n.Body.Yields[i])
	if exact {
		return 0
	}
	return tolerance
}

// agree compares elements; tolerance 0 asks for the same value.
func agree(what string, want, got []float64, tolerance float64) error {
	if len(want) != len(got) {
		return fmt.Errorf("%s: %d elements, expected %d", what, len(got), len(want))
	}
	scale := 1e-3
	for _, w := range want {
		scale = max(scale, math.Abs(w))
	}
	for i, w := range want {
		if d := math.Abs(got[i] - w); !(d <= tolerance*scale) && !(got[i] == w) {
			return fmt.Errorf("%s: element %d is %v, the interpreter says %v (largest %v, tolerance %v)", what, i, got[i], w, scale, tolerance)
		}
	}
	return nil
}
