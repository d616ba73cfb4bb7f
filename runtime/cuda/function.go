package cuda

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"wrnc/compiler/plan"
)

// shortCalls is the number of batches smaller than the full one whose launches a
// function keeps: a training set has one such batch, a test set another.
const shortCalls = 3

// function is a plan bound to a device.
type function struct {
	p      *Program
	plan   *plan.Plan
	steps  []step
	inputs []int // by buffer: where an input lies among the inputs, or those of every batch

	feeder  *function // runs first and makes parameter fed; nil: none
	fed     int       // buffer
	feeds   *function // whose parameter the result is; nil: none
	written []bool    // by buffer: an input that is the same for every batch is there

	tables     int // where the tables of the first call lie among the program's
	tableBytes int // of one call

	prepared int // steps, the first ones, whose results hold until a state changes

	calls []call // the full batch's first
	clock int    // of the uses of calls

	watch *stopwatch // nil: nothing is timed

	results [][]float32
	halves  []uint16 // a bf16 result on its way
}

// step is a grid: one kernel, or several of one launch and one text that take
// their arguments from a table.
type step struct {
	launch  int
	kernels []int
	code    Function
	entry   string
}

// call is what a function launches for n samples.
type call struct {
	n        int      // 0: free
	used     int      // when it was used last
	before   []Launch // of the function that feeds it
	launches []Launch
	graph    Graph // of all launches but those of prepared steps; 0 where they start one by one
}

// newFunction groups the kernels into steps and measures what memory they need.
func newFunction(p *Program, pl *plan.Plan, sources []plan.Source, codes map[plan.Source]Function) *function {
	f := &function{p: p, plan: pl, inputs: make([]int, len(pl.Buffers)), written: make([]bool, len(pl.Buffers)), results: make([][]float32, len(pl.Returns))}
	for t, l := range pl.Launches {
		tabled := map[plan.Source]int{} // the step of a text
		for _, k := range l.Kernels {
			s := sources[k]
			i, open := tabled[s]
			if open {
				f.steps[i].kernels = append(f.steps[i].kernels, k)
				continue
			}
			if pl.Kernels[k].Tabled() {
				tabled[s] = len(f.steps)
			}
			f.steps = append(f.steps, step{launch: t, kernels: []int{k}, code: codes[s], entry: s.Entry})
		}
	}
	for i, b := range pl.Returns {
		f.results[i] = make([]float32, pl.Buffers[b].Type.Elems())
	}
	f.calls = make([]call, 1+min(shortCalls, pl.Batch-1))
	_, tables, _ := f.build(pl.Batch, 0) // only the size counts; call reports what is wrong
	f.tableBytes = aligned(len(tables))
	return f
}

func aligned(n int) int { return (n + plan.Align - 1) / plan.Align * plan.Align }

// call returns the launches for n samples. The full batch keeps its place; the
// others take that of the one whose use lies farthest back.
func (f *function) call(n int) (*call, error) {
	at := 0
	if n < f.plan.Batch {
		at = 1
		for i := 1; i < len(f.calls); i++ {
			if f.calls[i].n == n {
				at = i
				break
			}
			if f.calls[i].used < f.calls[at].used {
				at = i
			}
		}
	}
	c := &f.calls[at]
	f.clock++
	c.used = f.clock
	if c.n == n {
		return c, nil
	}
	tables := f.p.tables.at + Ptr(f.tables+at*f.tableBytes)
	launches, content, err := f.build(n, tables)
	if err != nil {
		return nil, err
	}
	if len(content) > 0 {
		if err := f.p.d.Write(tables, content); err != nil {
			return nil, fmt.Errorf("writing the tables of arguments for %d samples: %w", n, err)
		}
	}
	var before []Launch
	if f.feeder != nil { // which has no tables
		if before, _, err = f.feeder.build(n, 0); err != nil {
			return nil, err
		}
	}
	if err := f.p.discard(c); err != nil {
		return nil, err
	}
	c.n, c.before, c.launches = n, before, launches
	return c, f.capture(c)
}

// capture makes a graph of a call's launches, unless each is to be waited for, or the
// driver has no graphs. What is prepared is no part of it: few calls launch that.
// Nothing that a replay needs is done by the host: the counters that a launch counts in
// are zero again after it.
func (f *function) capture(c *call) (err error) {
	p := f.p
	if p.opts.Poison || p.opts.NoGraphs {
		return nil
	}
	if c.graph, err = p.d.Capture(slices.Concat(c.before, c.launches[f.prepared:])); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return fmt.Errorf("capturing the launches for %d samples: %w", c.n, err)
	}
	return nil
}

// discard gives back the graph of a call whose place is needed.
func (p *Program) discard(c *call) error {
	if c.graph == 0 {
		return nil
	}
	g := c.graph
	c.graph = 0
	if err := p.d.Discard(g); err != nil {
		return fmt.Errorf("giving back the graph of the launches for %d samples: %w", c.n, err)
	}
	return nil
}

// build makes the launches for n samples, and the content of their tables, which
// lie at tables. Its length is the same for every n.
func (f *function) build(n int, tables Ptr) (launches []Launch, content []byte, err error) {
	for _, s := range f.steps {
		k := f.plan.Kernels[s.kernels[0]]
		l := Launch{Function: s.code, Grid: Grid{Threads: k.Block.Threads, Shared: k.Block.Shared}}
		if k.Tabled() {
			content, err = f.table(&l, s, n, tables, content)
		} else {
			l.Grid.Blocks = k.Blocks(f.plan, n)
			l.Args = k.ParamBytes(f.plan, n, f.address)
		}
		if err == nil && (l.Grid.Blocks < 1 || l.Grid.Blocks > math.MaxInt32) {
			err = fmt.Errorf("%d blocks", l.Grid.Blocks)
		}
		if err != nil {
			return nil, content, fmt.Errorf("%s: %w", f.describe(s), err)
		}
		launches = append(launches, l)
	}
	return launches, content, nil
}

// table appends a step's table to the content and makes the launch that reads
// it. The entry takes
//
//	struct Args { const Segment* table; const u32* first_block; u32 segments; };
//
// where a Segment is a kernel's arguments. Kernel i of the step is blocks
// first_block[i] to first_block[i+1], which the last one has not: it is the rest
// of the grid.
func (f *function) table(l *Launch, s step, n int, tables Ptr, content []byte) ([]byte, error) {
	const align = 16
	pad := func() {
		for len(content)%align != 0 {
			content = append(content, 0)
		}
	}
	pad()
	table, size := len(content), 0
	var first []byte
	for i, j := range s.kernels {
		k := f.plan.Kernels[j]
		args := k.ParamBytes(f.plan, n, f.address)
		if i > 0 && len(args) != size {
			return content, fmt.Errorf("kernel %s takes %d bytes of arguments, kernel %s, which has the same text, %d", k.Name, len(args), f.plan.Kernels[s.kernels[0]].Name, size)
		}
		size = len(args)
		content = append(content, args...)
		first = binary.LittleEndian.AppendUint32(first, uint32(l.Grid.Blocks))
		l.Grid.Blocks += k.Blocks(f.plan, n)
	}
	pad()
	firstBlock := len(content)
	content = append(content, first...)
	l.Args = binary.LittleEndian.AppendUint64(l.Args, uint64(tables)+uint64(table))
	l.Args = binary.LittleEndian.AppendUint64(l.Args, uint64(tables)+uint64(firstBlock))
	l.Args = binary.LittleEndian.AppendUint64(l.Args, uint64(len(s.kernels))) // the upper half is padding
	return content, nil
}

// address is where a buffer lies on the device.
func (f *function) address(buffer int) uint64 {
	b := &f.plan.Buffers[buffer]
	p := f.p
	switch b.Space {
	case plan.State:
		return uint64(p.state.at) + uint64(b.Offset)
	case plan.Arena:
		if f.feeds != nil && buffer == f.plan.Returns[0] {
			return f.feeds.address(f.feeds.fed)
		}
		return uint64(p.arena.at) + uint64(b.Offset)
	case plan.Counter:
		return uint64(p.counters.at) + uint64(b.Offset)
	}
	if b.Resident() {
		return uint64(p.resident.at) + uint64(f.inputs[buffer])
	}
	return uint64(p.inputs.at) + uint64(f.inputs[buffer])
}

// describe names a step for a message: "launch 3, kernel b.conv1 (conv_fprop_1f)".
func (f *function) describe(s step) string {
	more := ""
	if n := len(s.kernels) - 1; n > 0 {
		more = fmt.Sprintf(" and %d more", n)
	}
	return fmt.Sprintf("launch %d, kernel %s%s (%s)", s.launch, f.plan.Kernels[s.kernels[0]].Name, more, s.entry)
}
