// Package lower turns a fused function into a plan for a target: each fusion
// into one or more kernels with a schedule, kernels into launches, values into
// buffers with a place.
//
//	%5, %6 = fusion @g1.b0.conv1 {kind=conv_fprop} (...)
//
// becomes
//
//	g1.b0.conv1.pack    the weight in the multiply's order, one launch earlier
//	g1.b0.conv1         fill, multiply, drain; one partial of bn_stats a unit
//	g1.b0.conv1.finish  partials merged in unit order, then bn_fold, bn_running
//
// The package knows ops by class and by the operands of the op table, and the
// geometry of convolutions; it knows no layer and no block.
package lower

import (
	"fmt"

	"wrnc/compiler/ir"
	"wrnc/compiler/plan"
)

// Plan lays function f out for arch. Every node of f must be a fusion. An op or
// an element type that the target cannot run is an error that names it.
func Plan(f *ir.Func, arch plan.Arch) (*plan.Plan, error) { return lay(f, arch, false) }

// PlanPrepared is Plan for a function that is called often between two changes of the
// states, as inference is: what follows from the states alone is computed by the
// first launches, and kept ([plan.Plan.Prepared]). It takes more memory.
func PlanPrepared(f *ir.Func, arch plan.Arch) (*plan.Plan, error) { return lay(f, arch, true) }

func lay(f *ir.Func, arch plan.Arch, prepared bool) (*plan.Plan, error) {
	l := &lowering{f: f, arch: arch, bufs: map[*ir.Value]int{}, batched: batchedValues(f), index: map[*ir.Node]int{}}
	l.p = &plan.Plan{Net: f.Module.Name, Func: f.Name, Arch: arch, Batch: f.Module.Batch}
	if err := l.leaves(); err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name, err)
	}
	for i, n := range f.Nodes {
		if n.Op != ir.Fusion {
			return nil, fmt.Errorf("%s: %s (%s) is in no fusion", f.Name, n.Op, n.Layer)
		}
		l.index[n] = i
	}
	l.assignInPlace()
	for _, n := range f.Nodes {
		if err := l.fusion(n); err != nil {
			return nil, fmt.Errorf("%s, fusion @%s: %w", f.Name, n.Layer, err)
		}
	}
	l.copies()
	if arch.OnGPU() {
		hoist(l.p)
		blocks(l.p)
	}
	early := 0
	if prepared {
		early = prepare(l.p)
	}
	schedule(l.p, early)
	place(l.p)
	for _, k := range l.p.Kernels {
		l.p.Scratch = max(l.p.Scratch, k.ScratchBytes())
	}
	return l.p, nil
}

type lowering struct {
	f       *ir.Func
	arch    plan.Arch
	p       *plan.Plan
	bufs    map[*ir.Value]int
	batched map[*ir.Value]bool
	index   map[*ir.Node]int // of a fusion in the function
	copied  []ir.Assign      // assignments that need a kernel of their own
}

// batchedValues finds the values whose leading dimension is the batch:
// parameters but those that are resident, and what ops compute from such activations. Weights, their
// gradients and channel vectors are not.
func batchedValues(f *ir.Func) map[*ir.Value]bool {
	b := map[*ir.Value]bool{}
	for _, p := range f.Params {
		b[p] = p.Type.Rank() > 0 && !p.Resident
	}
	var visit func(nodes []*ir.Node)
	visit = func(nodes []*ir.Node) {
		for _, n := range nodes {
			if n.Op == ir.Fusion {
				visit(n.Body.Nodes)
				for i, y := range n.Body.Yields {
					b[n.Results[i]] = b[y]
				}
				continue
			}
			switch n.Op.Class() {
			case ir.Channel, ir.Reduce:
				continue
			}
			batch := n.Op == ir.DropoutMask
			for _, a := range n.Args {
				batch = batch || b[a]
			}
			for _, r := range n.Results {
				b[r] = batch && r.Type.Rank() == 4 && n.Op != ir.Conv2DWgrad
			}
		}
	}
	visit(f.Nodes)
	return b
}

// leaves makes the buffers of all state of the module, one slab a role in
// declaration order, so that addresses agree among a module's functions; and
// of the function's parameters: activations, labels and scalars.
func (l *lowering) leaves() error {
	offset := 0
	for role := ir.Param; role <= ir.Running; role++ {
		for _, s := range l.f.Module.States {
			if s.Role != role {
				continue
			}
			l.bufs[l.f.StateValue(s)] = len(l.p.Buffers)
			bytes := align(s.Type.Bytes())
			l.p.Buffers = append(l.p.Buffers, plan.Buffer{Name: s.Name, Space: plan.State, Type: s.Type, Offset: offset, Bytes: bytes})
			offset += bytes
		}
	}
	l.p.State = offset
	for _, v := range l.f.Params {
		t := v.Type
		if v.Resident {
			if err := l.checkResident(v); err != nil {
				return err
			}
		} else if !(t.DType == ir.F32 && (t.Rank() == 4 || t.Rank() == 0) || t.DType == ir.S32 && t.Rank() == 1 || t.DType == ir.U64 && t.Rank() == 0) {
			return fmt.Errorf("parameter %%%s is %v: the %s target takes f32[N,H,W,C], s32[N], and scalars f32 and u64", v.Name, t, l.arch.Target)
		}
		l.bufs[v] = len(l.p.Buffers)
		l.p.Buffers = append(l.p.Buffers, plan.Buffer{Name: v.Name, Space: plan.Input, Type: v.Type, Batched: l.batched[v], Bytes: v.Type.Bytes()})
	}
	return nil
}

func align(n int) int { return (n + plan.Align - 1) / plan.Align * plan.Align }

// arena adds a buffer of the arena; schedule and place give it life and place.
func (l *lowering) arena(name string, t ir.Type, batched bool) int {
	l.p.Buffers = append(l.p.Buffers, plan.Buffer{Name: name, Space: plan.Arena, Type: t, Batched: batched, Bytes: align(t.Bytes())})
	return len(l.p.Buffers) - 1
}

// buffer returns the buffer of a value, making one for a fusion's result.
func (l *lowering) buffer(v *ir.Value) int {
	if i, ok := l.bufs[v]; ok {
		return i
	}
	i := l.arena(fmt.Sprintf("%s.%d", v.Node.Layer, v.Index), v.Type, l.batched[v])
	l.bufs[v] = i
	return i
}

// assignInPlace lets an assigned value live in its state's buffer where nothing
// reads the old value after the new one is written; all others are copied at
// the end.
func (l *lowering) assignInPlace() {
	users := l.f.Users()
	for _, a := range l.f.Assigns {
		old := l.f.StateValue(a.State)
		if a.Value == old {
			continue
		}
		if l.canOverwrite(a.Value, old, users[old]) {
			l.bufs[a.Value] = l.bufs[old]
		} else {
			l.copied = append(l.copied, a)
		}
	}
}

func (l *lowering) canOverwrite(v, old *ir.Value, readers []*ir.Node) bool {
	if v.IsLeaf() {
		return false
	}
	if _, taken := l.bufs[v]; taken { // one value for two states
		return false
	}
	for _, r := range l.f.Returns {
		if r == old {
			return false
		}
	}
	for _, a := range l.f.Assigns {
		if a.Value == old {
			return false
		}
	}
	def := l.index[v.Node]
	for _, r := range readers {
		switch {
		case l.index[r] > def:
			return false
		case l.index[r] == def && !lastReadBefore(v.Node.Body, v.Node.Body.Yields[v.Index], old):
			return false
		}
	}
	return true
}

// lastReadBefore reports whether the region may overwrite old while it computes
// y. Two ways are safe. In a region of one kernel without a root, a Map reads
// rows of old before the row of y is written. Among Channel ops, which run one
// after another, an element of y needs no other element of old.
func lastReadBefore(b *ir.Body, y, old *ir.Value) bool {
	class := y.Node.Op.Class()
	if class != ir.Channel && (class != ir.Map || b.Root() != nil) {
		return false
	}
	written := false
	for _, n := range b.Nodes {
		for i, a := range n.Args {
			if a != old {
				continue
			}
			rowwise := class == ir.Channel || n.Op.Info().Args[i] == ir.Act
			if written || n.Op.Class() != class || !rowwise {
				return false
			}
		}
		written = written || n == y.Node
	}
	return true
}

// copies writes the assignments that cannot happen in place, after everything
// else: first the old values that others still need are saved, then all states
// get their new values, so that two states may be swapped.
func (l *lowering) copies() {
	assigned := map[*ir.Value]bool{}
	for _, a := range l.copied {
		assigned[l.f.StateValue(a.State)] = true
	}
	saved := map[*ir.Value]int{}
	source := func(v *ir.Value) int {
		if !assigned[v] {
			return l.buffer(v)
		}
		if _, ok := saved[v]; !ok {
			saved[v] = l.arena(v.State.Name+".old", v.Type, false)
			l.copyKernel(v.State.Name+".save", l.bufs[v], saved[v], v.Type)
		}
		return saved[v]
	}
	for _, v := range l.f.Returns {
		l.p.Returns = append(l.p.Returns, source(v))
	}
	var from []int
	for _, a := range l.copied {
		from = append(from, source(a.Value))
	}
	for i, a := range l.copied {
		l.copyKernel(a.State.Name+".assign", from[i], l.bufs[l.f.StateValue(a.State)], a.State.Type)
	}
}

// copyKernel adds a kernel that copies one buffer to another.
func (l *lowering) copyKernel(name string, from, to int, t ir.Type) {
	k := &plan.Kernel{Name: name, Kind: plan.Map, Grid: flat(t.Elems())}
	k.Args = []plan.Arg{{Buffer: from, Mode: plan.Read}, {Buffer: to, Mode: plan.Write}}
	k.Epilogue = plan.Tape{Ops: []plan.RowOp{{Op: "copy", Dst: plan.Ref{Kind: plan.Row, Index: 1}, Src: []plan.Ref{{Kind: plan.Row}}}}}
	l.p.Kernels = append(l.p.Kernels, k)
}
