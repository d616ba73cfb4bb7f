package lower

import (
	"cmp"
	"slices"

	"wrnc/compiler/plan"
)

// schedule puts kernels, in order, into launches: a kernel joins the launch
// before it unless the two touch a buffer that one of them writes. So a Finish,
// which is one unit, runs beside the packing of the next weight or beside a
// wgrad, and all parameters are updated in one launch. The first early kernels, which
// prepare the others' work, share no launch with them.
func schedule(p *plan.Plan, early int) {
	for i, k := range p.Kernels {
		last := len(p.Launches) - 1
		if i == early {
			p.Prepared = len(p.Launches)
		}
		if last < 0 || i == early || conflicts(p, p.Launches[last], k) {
			p.Launches = append(p.Launches, plan.Launch{})
			last++
		}
		p.Launches[last].Kernels = append(p.Launches[last].Kernels, i)
	}
}

func conflicts(p *plan.Plan, l plan.Launch, k *plan.Kernel) bool {
	for _, j := range l.Kernels {
		for _, a := range p.Kernels[j].Args {
			for _, b := range k.Args {
				if a.Buffer == b.Buffer && (a.Mode != plan.Read || b.Mode != plan.Read) {
					return true
				}
			}
		}
	}
	return false
}

// place gives every arena buffer its life and an offset at which no buffer that
// lives at the same time lies: largest first, each as low as it goes. Ties keep
// the order in which the buffers were made.
func place(p *plan.Plan) {
	lives(p)
	var order []int
	for i, b := range p.Buffers {
		if b.Space == plan.Arena {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(p.Buffers[b].Bytes, p.Buffers[a].Bytes) })
	var placed []int // by offset
	for _, i := range order {
		b := &p.Buffers[i]
		b.Offset = 0
		for _, j := range placed {
			o := &p.Buffers[j]
			if o.Last < b.First || b.Last < o.First {
				continue
			}
			if b.Offset+b.Bytes <= o.Offset {
				break
			}
			b.Offset = max(b.Offset, o.Offset+o.Bytes)
		}
		at, _ := slices.BinarySearchFunc(placed, b.Offset, func(j, off int) int { return cmp.Compare(p.Buffers[j].Offset, off) })
		placed = slices.Insert(placed, at, i)
		p.Arena = max(p.Arena, b.Offset+b.Bytes)
	}
}

// lives sets the first and the last launch that touch each arena buffer; a
// result of the function, and what was prepared, lives past the last one.
func lives(p *plan.Plan) {
	for i := range p.Buffers {
		if b := &p.Buffers[i]; b.Space == plan.Arena {
			b.First, b.Last = len(p.Launches), -1
		}
	}
	for t, l := range p.Launches {
		for _, k := range l.Kernels {
			for _, a := range p.Kernels[k].Args {
				if b := &p.Buffers[a.Buffer]; b.Space == plan.Arena {
					b.First, b.Last = min(b.First, t), max(b.Last, t)
				}
			}
		}
	}
	for _, r := range p.Returns {
		if b := &p.Buffers[r]; b.Space == plan.Arena {
			b.Last = len(p.Launches)
		}
	}
	for i := range p.Buffers {
		if b := &p.Buffers[i]; b.Space == plan.Arena && b.First < p.Prepared && b.Last >= p.Prepared {
			b.Last = len(p.Launches) // the next call reads it, too
		}
	}
}
