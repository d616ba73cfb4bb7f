package cuda

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
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
	opts harness.Launch // order, seed and arrival of asynchronous copies
	far  float64        // added to what an add reads, so that the mean of the sum is far from zero

	mem    map[int]uint64 // buffer -> address
	found  findings
	yields [][]byte // what the last region yielded
}

// finding is a fault that a run has shown. check is the harness's name of the rule
// that a kernel broke, or one of these.
type finding struct{ check, text string }

const (
	refused  = "compile"  // the compiler refuses the text
	died     = "launch"   // the kernel was not started, or the machine died of it
	counter  = "counter"  // a counter is not zero at the end
	numerics = "numerics" // a result is not the interpreter's
)

// findings are an error, if there are any.
type findings []finding

func (f findings) Error() string {
	var lines []string
	for _, x := range f {
		lines = append(lines, x.text)
	}
	return strings.Join(lines, "\n")
}

func (g *rig) find(check, format string, args ...any) {
	g.found = append(g.found, finding{check, fmt.Sprintf(format, args...)})
}

// region is what the kernels of one fusion compute, from inputs of our own.
type region struct {
	n       *ir.Node
	kernels []int
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

// result writes result i of the region as a function in a module of its own. What
// the region captures, and what else it yields, are parameters and states there, by
// the names that come with it. One more parameter is there for its number of samples.
func (r *region) result(i int, p *plan.Plan, f *ir.Func) (*ir.Func, map[*ir.Value]string) {
	m := &ir.Module{Name: "region", Batch: p.Batch}
	g := &ir.Func{Name: "main", Module: m}
	m.Funcs = []*ir.Func{g}
	g.Params = []*ir.Value{{Type: ir.T(ir.F32, p.Batch, 1, 1, 1), Name: samplesName}}
	names, to := map[*ir.Value]string{}, map[*ir.Value]*ir.Value{}
	capture := func(v *ir.Value) {
		names[v] = fmt.Sprintf("x%d", len(names))
		if v.Type.Rank() == 0 || r.batched(p, f, v) {
			to[v] = &ir.Value{Type: v.Type, Name: names[v]}
			g.Params = append(g.Params, to[v])
			return
		}
		s := &ir.State{Name: names[v], Type: v.Type, Role: ir.Param}
		m.States = append(m.States, s)
		to[v] = g.StateValue(s)
	}
	body := &ir.Body{}
	for _, n := range r.leadingTo(i) {
		c := &ir.Node{Op: n.Op, Attrs: n.Attrs, Layer: n.Layer}
		for _, a := range n.Args {
			if to[a] == nil {
				capture(a)
			}
			c.Args = append(c.Args, to[a])
		}
		for k, v := range n.Results {
			to[v] = &ir.Value{Type: v.Type, Node: c, Index: k}
			c.Results = append(c.Results, to[v])
		}
		body.Nodes = append(body.Nodes, c)
	}
	body.Yields = []*ir.Value{to[r.n.Body.Yields[i]]}
	fusion := ir.NewFusion(r.n.Layer, r.n.Attrs.Kind, ir.Pos{}, body)
	g.Nodes, g.Returns = []*ir.Node{fusion}, fusion.Results
	return g, names
}

const samplesName = "samples"

// leadingTo are the nodes of the body that result i is computed by, from what the
// region captures and from what else it yields.
func (r *region) leadingTo(i int) []*ir.Node {
	given := map[*ir.Value]bool{}
	for _, v := range r.n.Body.Yields {
		given[v] = v != r.n.Body.Yields[i]
	}
	needed := map[*ir.Node]bool{}
	var visit func(v *ir.Value)
	visit = func(v *ir.Value) {
		if given[v] || needed[v.Node] {
			return
		}
		needed[v.Node] = true
		for _, m := range r.n.Body.Nodes {
			if m == v.Node {
				for _, a := range m.Args {
					visit(a)
				}
			}
		}
	}
	visit(r.n.Body.Yields[i])
	var nodes []*ir.Node
	for _, m := range r.n.Body.Nodes {
		if needed[m] {
			nodes = append(nodes, m)
		}
	}
	return nodes
}

// buffer is where a value lies that the region captures or yields.
func (r *region) buffer(p *plan.Plan, f *ir.Func, v *ir.Value) int {
	if i := slices.Index(r.n.Body.Yields, v); i >= 0 {
		v = r.n.Results[i]
	}
	return find(p, f, v)
}

func (r *region) batched(p *plan.Plan, f *ir.Func, v *ir.Value) bool {
	b := r.buffer(p, f, v)
	return b >= 0 && p.Buffers[b].Batched
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

// inputs draws what the region captures, for n samples.
func (g *rig) inputs(r *region, n int, rnd *rand.Rand) []*interp.Tensor {
	var in []*interp.Tensor
	for _, v := range r.n.Args {
		t := v.Type
		if t.Rank() > 0 && !r.batched(g.p, g.f, v) {
			s := &ir.State{Name: "x", Type: t, Role: ir.Param, Init: r.start(v)}
			_, state := gen.Inputs(&ir.Module{States: []*ir.State{s}}, &ir.Func{}, rnd)
			in = append(in, state["x"])
			continue
		}
		if t.Rank() > 0 {
			t = ir.T(t.DType, append([]int{n}, t.Dims[1:]...)...)
		}
		x := interp.New(t)
		far := 0.0
		for _, m := range r.n.Body.Nodes {
			if m.Op == ir.Add && slices.Contains(m.Args, v) {
				far = g.far
			}
		}
		steps := math.Inf(1)
		if r.n.Body.Nodes[0].Op.Class() == ir.Opaque { // of pools and losses, where equal elements matter
			steps = 8
		}
		mean, sample := 0.0, max(1, len(x.F)/n)
		for i := range x.F {
			if i%sample == 0 { // samples differ, so that it matters how they are merged
				mean = far + rnd.NormFloat64()/2
			}
			x.F[i] = float64(float32(mean + rnd.NormFloat64()))
			if !math.IsInf(steps, 1) {
				x.F[i] = math.Round(steps*x.F[i]) / steps
			}
		}
		for i := range x.U {
			x.U[i] = rnd.Uint64()
			if t.DType == ir.S32 { // labels
				x.U[i] %= uint64(r.n.Body.Nodes[0].Args[0].Type.Channels())
			}
		}
		in = append(in, x)
	}
	return in
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
	return g.runAll([]*region{r}, n, seed)
}

// runAll does so with several regions that read nothing of each other. Kernels with
// one text that take their arguments from a table run in one launch.
func (g *rig) runAll(rs []*region, n int, seed uint64) error {
	g.mem, g.found, g.yields = map[int]uint64{}, nil, nil
	defer g.free()
	rnd := rand.New(rand.NewPCG(seed, 7))
	given := map[*ir.Value]*interp.Tensor{}
	var launches [][]int
	for _, r := range rs {
		in := g.inputs(r, n, rnd)
		for i, v := range r.n.Args {
			if given[v] != nil { // of another region
				continue
			}
			given[v] = in[i]
			if b := find(g.p, g.f, v); b >= 0 {
				if err := g.put(b, bytesOf(in[i])); err != nil {
					return err
				}
			}
		}
		for _, k := range r.kernels {
			if last := len(launches) - 1; last >= 0 && g.p.Kernels[k].Tabled() && g.src[k].Entry == g.src[launches[last][0]].Entry {
				launches[last] = append(launches[last], k)
			} else {
				launches = append(launches, []int{k})
			}
		}
	}
	for _, kernels := range launches {
		if err := g.launch(kernels, n); err != nil {
			return err
		}
	}
	for _, r := range rs {
		if err := g.compare(r, n, given); err != nil {
			return err
		}
	}
	if len(g.found) > 0 {
		return g.found
	}
	return nil
}

// compare holds what a region yielded to the interpreter. What follows from another
// yield is computed from that as the kernels left it: an element that they rounded
// to the other side then makes no difference to what comes after, and sums over
// rounded elements are held to the tolerance of sums.
func (g *rig) compare(r *region, n int, given map[*ir.Value]*interp.Tensor) error {
	known := maps.Clone(given)
	for _, v := range r.n.Body.Yields {
		b := r.buffer(g.p, g.f, v)
		raw, err := g.m.Read(g.mem[b], sized(g.p.Buffers[b], n))
		if err != nil {
			return err
		}
		t := v.Type
		if g.p.Buffers[b].Batched {
			t = ir.T(t.DType, append([]int{n}, t.Dims[1:]...)...)
		}
		g.yields = append(g.yields, raw)
		known[v] = &interp.Tensor{Type: t, F: floatsOf(g.p.Buffers[b].Type.DType, raw)}
	}
	for i, v := range r.n.Body.Yields {
		f, names := r.result(i, g.p, g.f)
		in := map[string]*interp.Tensor{samplesName: interp.New(ir.T(ir.F32, n, 1, 1, 1))}
		for v, name := range names {
			in[name] = known[v]
		}
		want, err := interp.Run(f, in, in, interp.Options{})
		if err != nil {
			return fmt.Errorf("the interpreter: %w", err)
		}
		if err := agree(want.Returns[0], known[v].F, r.tolerance(i)); err != nil {
			g.find(numerics, "result %d, %v: %v", i, v.Type, err)
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

// allocate gives a buffer memory when a kernel first touches it: nobody has written
// there, but for counters, which are zero.
func (g *rig) allocate(i, n int) error {
	if _, ok := g.mem[i]; ok {
		return nil
	}
	b := g.p.Buffers[i]
	if b.Space == plan.Counter {
		return g.put(i, make([]byte, b.Bytes))
	}
	address, err := g.m.Alloc(sized(b, n), false)
	g.mem[i] = address
	return err
}

// launch executes kernels for n samples: one, or several of one text that take their
// arguments from a table.
func (g *rig) launch(kernels []int, n int) error {
	first := kernels[0]
	k, s := g.p.Kernels[first], g.src[first]
	module, err := g.h.Compile(s.Entry, s.Text)
	if err != nil {
		g.find(refused, "%v", err)
		return g.found
	}
	var args []byte
	starts, blocks := []uint32{}, 0
	for _, i := range kernels {
		k := g.p.Kernels[i]
		for _, a := range k.Args {
			if err := g.allocate(a.Buffer, n); err != nil {
				return err
			}
		}
		args = append(args, k.ParamBytes(g.p, n, func(buffer int) uint64 { return g.mem[buffer] })...)
		starts = append(starts, uint32(blocks))
		blocks += k.Blocks(g.p, n)
	}
	if k.Tabled() {
		table := args
		for _, b := range starts {
			table = binary.LittleEndian.AppendUint32(table, b)
		}
		address, err := g.m.Alloc(len(table), true)
		if err != nil {
			return err
		}
		defer g.m.Free(address)
		if err := g.m.Write(address, table); err != nil {
			return err
		}
		args = binary.LittleEndian.AppendUint64(nil, address)
		args = binary.LittleEndian.AppendUint64(args, address+uint64(len(table)-4*len(starts)))
		args = binary.LittleEndian.AppendUint64(args, uint64(len(starts)))
	}
	l := g.opts
	l.Module, l.Entry, l.Blocks, l.Threads, l.Shared, l.Args = module, s.Entry, blocks, k.Block.Threads, k.Block.Shared, args
	report, err := g.m.Launch(l)
	if err != nil {
		g.find(died, "kernel %s: %v", k.Name, err)
		return g.found
	}
	for _, v := range report.Violations {
		g.find(v.Check, "kernel %s (%s): %v", k.Name, s.Entry, v)
	}
	if report.Aborted {
		return g.found
	}
	for _, a := range k.Args { // whoever comes next counts from zero
		if b := g.p.Buffers[a.Buffer]; b.Space == plan.Counter {
			raw, err := g.m.Read(g.mem[a.Buffer], b.Bytes)
			if err != nil {
				return err
			}
			for j, v := range raw {
				if v != 0 {
					g.find(counter, "kernel %s: counter %d is %d at the end", k.Name, j/4, v)
				}
			}
		}
	}
	return nil
}

// Tolerances, relative to the largest element of a result, or of its row where a
// result has several numbers for each channel. Where nothing but Map ops lie between
// memory and memory it is zero: they agree to the bit. A Channel op rounds a few
// times, where the interpreter rounds once. A sum in f32 of terms in another order
// differs in its last bits; rounded to bf16, in its last.
const (
	tolChannel = 2e-6
	tolSum     = 3e-5
	tolTF32    = 1.0 / 1024
	tolBF16    = 1.0 / 128
)

// tolerance of result i, given what it is computed from.
func (r *region) tolerance(i int) float64 {
	of := map[*ir.Value]float64{} // none: exact
	for _, m := range r.leadingTo(i) {
		t := 0.0
		for _, a := range m.Args {
			t = max(t, of[a])
		}
		switch m.Op.Class() {
		case ir.Channel:
			t = max(t, tolChannel)
		case ir.Root, ir.Reduce, ir.Opaque:
			if m.Op != ir.MaxPool && m.Op != ir.MaxPoolGrad {
				t = max(t, tolSum)
			}
		}
		if m.Op == ir.Convert && t > 0 {
			t = max(t, map[ir.DType]float64{ir.BF16: tolBF16, ir.TF32: tolTF32}[m.Attrs.To])
		}
		for _, v := range m.Results {
			of[v] = t
		}
	}
	return of[r.n.Body.Yields[i]]
}

// agree compares elements; tolerance 0 asks for the same values.
func agree(want *interp.Tensor, got []float64, tolerance float64) error {
	if len(want.F) != len(got) {
		return fmt.Errorf("%d elements, expected %d", len(got), len(want.F))
	}
	row := max(1, len(want.F))
	if want.Type.Rank() == 2 {
		row = want.Type.Dims[1]
	}
	// Squared deviations far below the square of their mean have lost their digits to
	// the rounding of what they are computed from: those rows are held to a
	// ten-thousandth of the first row's square at least.
	head := 0.0
	for first := 0; first < len(got); first += row {
		scale := 1e-6
		for _, w := range want.F[first : first+row] {
			scale = max(scale, math.Abs(w))
		}
		if first > 0 {
			scale = max(scale, 1e-4*head*head)
		} else {
			head = scale
		}
		for i, w := range want.F[first : first+row] {
			if got := got[first+i]; !(math.Abs(got-w) <= tolerance*scale) && got != w {
				return fmt.Errorf("element %d is %v, the interpreter says %v (largest %v, tolerance %v)", first+i, got, w, scale, tolerance)
			}
		}
	}
	return nil
}
