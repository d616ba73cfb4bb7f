package plan

import (
	"cmp"
	"fmt"
	"slices"

	"wrnc/compiler/ir"
)

// Verify checks a plan against itself, by rules of its own and by replaying the
// launches; it shares nothing with package lower. What it accepts can be run:
// every index is in range, every kernel's arguments have the sizes that its
// geometry asks for, buffers that live at the same time share no byte, every
// byte that is read was written as part of the buffer it is read as, and the
// kernels of a launch do not depend on each other. An error names the kernel
// and the buffer.
func (p *Plan) Verify() error {
	_, err := p.verify()
	return err
}

// verify returns what each kernel does with each of its arguments.
func (p *Plan) verify() ([][]use, error) {
	if p.Batch < 1 || p.Batch > 1<<20 || p.Arch.Chans < 1 || p.Arch.Chans > maxCount {
		return nil, fmt.Errorf("batch %d or tile of %d channels is out of bounds", p.Batch, p.Arch.Chans)
	}
	if p.Prepared < 0 || p.Prepared > len(p.Launches) {
		return nil, fmt.Errorf("%d of %d launches are prepared", p.Prepared, len(p.Launches))
	}
	if len(p.Buffers) > maxCount || len(p.Kernels) > maxCount || len(p.Launches) > maxCount {
		return nil, fmt.Errorf("%d buffers, %d kernels, %d launches; at most %d of each", len(p.Buffers), len(p.Kernels), len(p.Launches), maxCount)
	}
	for i, b := range p.Buffers {
		if err := p.verifyBuffer(b); err != nil {
			return nil, fmt.Errorf("buffer b%d %s: %w", i, b.Name, err)
		}
	}
	if err := p.verifyPlaces(); err != nil {
		return nil, err
	}
	uses := make([][]use, len(p.Kernels))
	for i, k := range p.Kernels {
		if k == nil {
			return nil, fmt.Errorf("kernel k%d is nil", i)
		}
		v := &kernelVerifier{p: p, k: k}
		if err := v.verify(); err != nil {
			return nil, fmt.Errorf("kernel %s: %w", k.Name, err)
		}
		uses[i] = v.uses
	}
	if err := p.verifyLaunches(); err != nil {
		return nil, err
	}
	if err := p.verifyPrepared(); err != nil {
		return nil, err
	}
	return uses, p.replay(uses)
}

// verifyPrepared checks that the prepared launches compute the same in every call:
// they read no input, and no kernel of the plan writes a state; and that no other
// launch writes to their buffers, which the next call would read. That the memory
// outlives a call is for the replay.
func (p *Plan) verifyPrepared() error {
	if p.Prepared == 0 {
		return nil
	}
	kept := map[int]bool{} // buffers that prepared launches write
	for t, l := range p.Launches {
		for _, i := range l.Kernels {
			for _, a := range p.Kernels[i].Args {
				written := a.Mode != Read
				if t < p.Prepared && written {
					kept[a.Buffer] = true
				}
				switch b := p.Buffers[a.Buffer]; {
				case t >= p.Prepared && written && kept[a.Buffer]:
					return fmt.Errorf("kernel %s is in launch %d and writes buffer %s, which a prepared launch has written for every call", p.Kernels[i].Name, t, b.Name)
				case t < p.Prepared && (b.Space == Input || b.Batched):
					return fmt.Errorf("kernel %s is in launch %d, which is prepared, and touches buffer %s, which belongs to one call", p.Kernels[i].Name, t, b.Name)
				case b.Space == State && written:
					return fmt.Errorf("kernel %s writes state %s, on which prepared launches may depend", p.Kernels[i].Name, b.Name)
				}
			}
		}
	}
	return nil
}

func (p *Plan) verifyBuffer(b Buffer) error {
	elems := 1
	for _, d := range b.Type.Dims {
		if d < 1 || d > maxSize/8/elems {
			return fmt.Errorf("the type %v is out of bounds", b.Type)
		}
		elems *= d
	}
	if b.Type.DType.Bytes() == 0 {
		return fmt.Errorf("elements of no type")
	}
	if b.Batched && (b.Type.Rank() == 0 || b.Type.Dims[0] != p.Batch) {
		return fmt.Errorf("is batched, but the leading dimension of %v is not the batch, %d", b.Type, p.Batch)
	}
	total := 0
	switch b.Space {
	case Input:
		if b.Bytes != b.Type.Bytes() {
			return fmt.Errorf("%d bytes for a %v, expected %d", b.Bytes, b.Type, b.Type.Bytes())
		}
		return nil
	case State:
		total = p.State
	case Arena:
		total = p.Arena
	case Counter:
		if total = p.Counters; b.Type.DType != ir.S32 || b.Batched {
			return fmt.Errorf("counters are s32[N], found %v", b.Type)
		}
	default:
		return fmt.Errorf("lies in no space")
	}
	if want := alignUp(b.Type.Bytes()); b.Bytes != want {
		return fmt.Errorf("%d bytes for a %v, expected %d", b.Bytes, b.Type, want)
	}
	if b.Offset < 0 || b.Offset%Align != 0 {
		return fmt.Errorf("offset %d is not a multiple of %d", b.Offset, Align)
	}
	if b.Offset > total || b.Bytes > total-b.Offset {
		return fmt.Errorf("bytes %d to %d lie past the end of the %v, %d", b.Offset, b.Offset+b.Bytes, b.Space, total)
	}
	return nil
}

// verifyPlaces checks that no two buffers of a space share a byte while both
// live; states and counters always do.
func (p *Plan) verifyPlaces() error {
	for _, space := range []Space{State, Arena, Counter} {
		var order []int
		for i, b := range p.Buffers {
			if b.Space == space {
				order = append(order, i)
			}
		}
		slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(p.Buffers[a].Offset, p.Buffers[b].Offset) })
		for n, i := range order {
			a := p.Buffers[i]
			for _, j := range order[n+1:] {
				b := p.Buffers[j]
				if b.Offset >= a.Offset+a.Bytes {
					break
				}
				if space != Arena || a.First <= b.Last && b.First <= a.Last {
					return fmt.Errorf("buffer %s and buffer %s share bytes %d to %d of the %v while both live",
						a.Name, b.Name, b.Offset, min(a.Offset+a.Bytes, b.Offset+b.Bytes), space)
				}
			}
		}
	}
	return nil
}

// verifyLaunches checks that every kernel runs once and that none depends on
// another of its launch.
func (p *Plan) verifyLaunches() error {
	in := make([]int, len(p.Kernels)) // launch + 1
	for t, l := range p.Launches {
		if len(l.Kernels) == 0 {
			return fmt.Errorf("launch %d is empty", t)
		}
		for _, k := range l.Kernels {
			if k < 0 || k >= len(p.Kernels) {
				return fmt.Errorf("launch %d: there is no kernel k%d", t, k)
			}
			if in[k] > 0 {
				return fmt.Errorf("kernel %s is in launch %d and in launch %d", p.Kernels[k].Name, in[k]-1, t)
			}
			in[k] = t + 1
		}
	}
	for k, t := range in {
		if t == 0 {
			return fmt.Errorf("kernel %s is in no launch", p.Kernels[k].Name)
		}
	}
	for _, e := range Edges(p) {
		if in[e.From] == in[e.To] {
			from, to := p.Kernels[e.From], p.Kernels[e.To]
			return fmt.Errorf("kernel %s and kernel %s are in launch %d, but the second must wait (%v of buffer %s)",
				from.Name, to.Name, in[e.To]-1, e.Kind, p.shared(from, to))
		}
	}
	return nil
}

// shared names a buffer of the second kernel whose bytes the first one touches
// and one of them writes.
func (p *Plan) shared(from, to *Kernel) string {
	for _, a := range from.Args {
		for _, b := range to.Args {
			alo, ahi := p.extent(a.Buffer)
			blo, bhi := p.extent(b.Buffer)
			if p.home(a.Buffer) == p.home(b.Buffer) && alo < bhi && blo < ahi && (a.Mode != Read || b.Mode != Read) {
				return p.Buffers[b.Buffer].Name
			}
		}
	}
	return ""
}
