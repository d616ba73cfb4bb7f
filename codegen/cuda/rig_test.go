package cuda

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"strings"

	"wrnc/compiler/ir"
	"wrnc/compiler/ir/interp"
	"wrnc/compiler/oracle"
	"wrnc/compiler/plan"
	"wrnc/kernels/f32"
	"wrnc/kernels/harness"
)

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
func (g *rig) run(r *oracle.Region, n int, seed uint64) error {
	return g.runAll([]*oracle.Region{r}, n, seed)
}

// runAll does so with several regions that read nothing of each other. Kernels with
// one text that take their arguments from a table run in one launch.
func (g *rig) runAll(rs []*oracle.Region, n int, seed uint64) error {
	g.mem, g.found, g.yields = map[int]uint64{}, nil, nil
	defer g.free()
	rnd := rand.New(rand.NewPCG(seed, 7))
	given := map[*ir.Value]*interp.Tensor{}
	var launches [][]int
	for _, r := range rs {
		in := r.Inputs(n, g.far, rnd)
		for i, v := range r.Node.Args {
			if given[v] != nil { // of another region
				continue
			}
			given[v] = in[i]
			if b := r.Buffer(v); b >= 0 {
				if err := g.put(b, bytesOf(in[i])); err != nil {
					return err
				}
			}
		}
		for _, k := range r.Kernels {
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

// compare holds what a region yielded to the interpreter.
func (g *rig) compare(r *oracle.Region, n int, given map[*ir.Value]*interp.Tensor) error {
	known := maps.Clone(given)
	for i, v := range r.Node.Body.Yields {
		b := g.p.Buffers[r.Buffer(v)]
		raw, err := g.m.Read(g.mem[r.Buffer(v)], sized(b, n))
		if err != nil {
			return err
		}
		g.yields = append(g.yields, raw)
		known[v] = r.Yielded(i, n, floatsOf(b.Type.DType, raw))
	}
	deviations, err := r.Check(n, known)
	if err != nil {
		return err
	}
	for _, d := range deviations {
		if !d.OK() {
			g.find(numerics, "%v", d)
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
