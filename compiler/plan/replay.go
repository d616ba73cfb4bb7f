package plan

import "fmt"

// owner is what the bytes of the arena hold at a moment of the replay.
type owner struct {
	buffer int // + 1; 0 where nothing was written
	writer int // the kernel that wrote them
}

// replay walks the launches and keeps, for every byte of the arena, which
// buffer it was last written as. uses tells for each kernel what becomes of its
// arguments. Where launches are prepared it walks the others once more, as a second
// call does that finds in the arena what the first one has left there.
func (p *Plan) replay(uses [][]use) error {
	var memory spans[owner]
	source := map[int]*Kernel{} // the kernel that last wrote a buffer
	if err := p.replayCall(uses, 0, &memory, source); err != nil {
		return err
	}
	if p.Prepared > 0 {
		if err := p.replayCall(uses, p.Prepared, &memory, source); err != nil {
			return fmt.Errorf("in a second call: %w", err)
		}
	}
	for i, b := range p.Buffers {
		if b.Space == Arena && source[i] == nil {
			return fmt.Errorf("buffer %s is written by no kernel", b.Name)
		}
	}
	return nil
}

// replayCall walks the launches of a call, of which the first so many are done.
func (p *Plan) replayCall(uses [][]use, done int, memory *spans[owner], source map[int]*Kernel) error {
	for t, l := range p.Launches {
		if t < done {
			continue
		}
		for _, i := range l.Kernels {
			k := p.Kernels[i]
			for j, a := range k.Args {
				if err := p.verifyTouch(t, k, a, uses[i][j], source); err != nil {
					return err
				}
				b := p.Buffers[a.Buffer]
				if uses[i][j].old && b.Space == Arena {
					if err := p.holds(memory.in(p.extent(a.Buffer)), a.Buffer); err != nil {
						return fmt.Errorf("kernel %s reads buffer %s, %w", k.Name, b.Name, err)
					}
					if err := verifyHandOver(source[a.Buffer], k, a.Buffer, j); err != nil {
						return fmt.Errorf("kernel %s: buffer %s: %w", k.Name, b.Name, err)
					}
				}
			}
			for j, a := range k.Args {
				if uses[i][j].write {
					source[a.Buffer] = k
					if p.Buffers[a.Buffer].Space == Arena {
						lo, hi := p.extent(a.Buffer)
						memory.set(lo, hi, owner{a.Buffer + 1, i})
					}
				}
			}
		}
	}
	for _, r := range p.Returns {
		if r < 0 || r >= len(p.Buffers) {
			return fmt.Errorf("return: there is no buffer b%d", r)
		}
		b := p.Buffers[r]
		if b.Space != Arena {
			continue
		}
		if b.Last < len(p.Launches) {
			return fmt.Errorf("return: buffer %s lives to launch %d only, of %d", b.Name, b.Last, len(p.Launches))
		}
		if err := p.holds(memory.in(p.extent(r)), r); err != nil {
			return fmt.Errorf("return of buffer %s, %w", b.Name, err)
		}
	}
	return nil
}

// holds checks that bytes were last written as the buffer.
func (p *Plan) holds(bytes []span[owner], buffer int) error {
	for _, s := range bytes {
		switch {
		case s.val.buffer == 0:
			return fmt.Errorf("which no launch before has written")
		case s.val.buffer != buffer+1:
			return fmt.Errorf("whose bytes %d to %d kernel %s has last written as buffer %s",
				s.lo, s.hi, p.Kernels[s.val.writer].Name, p.Buffers[s.val.buffer-1].Name)
		}
	}
	return nil
}

// verifyTouch checks one access: inside the buffer's life, no write to what
// belongs to the caller, and at most one write of a state.
func (p *Plan) verifyTouch(t int, k *Kernel, a Arg, u use, source map[int]*Kernel) error {
	b := p.Buffers[a.Buffer]
	switch {
	case b.Space == Arena && (t < b.First || t > b.Last):
		return fmt.Errorf("kernel %s touches buffer %s in launch %d, outside its life from %d to %d", k.Name, b.Name, t, b.First, b.Last)
	case b.Space == Input && u.write:
		return fmt.Errorf("kernel %s writes buffer %s, which is an input", k.Name, b.Name)
	case b.Space == State && u.write && source[a.Buffer] != nil:
		return fmt.Errorf("kernel %s writes state %s, which kernel %s has written", k.Name, b.Name, source[a.Buffer].Name)
	}
	return nil
}

// verifyHandOver checks what a kernel and the one that wrote a buffer for it
// must agree on beyond the number of elements: the order of a packed weight, of
// the partials of a weight gradient, and of the partials of a Reduce.
func verifyHandOver(from, to *Kernel, buffer, arg int) error {
	switch {
	case to.Kind == Conv && to.Block == Block{} && arg == 0 && (from.Kind != Pack || from.Conv != to.Conv):
		return fmt.Errorf("is a packed weight, which kernel %s does not write in that order", from.Name)
	case to.Kind == Sum && arg == 0 && (from.Kind != Wgrad || from.Conv != to.Conv):
		return fmt.Errorf("is partial weight gradients, which kernel %s does not write in that order", from.Name)
	case to.Kind != Finish:
		return nil
	}
	for _, r := range to.Reduces {
		if r.Partial == arg && !writesPartial(from, buffer, r) {
			return fmt.Errorf("is partials of %v, which kernel %s does not write for the same units", r.Op, from.Name)
		}
	}
	return nil
}

func writesPartial(k *Kernel, buffer int, want Reduce) bool {
	for _, r := range k.Reduces {
		if k.Args[r.Partial].Buffer == buffer && r.Op == want.Op && r.Grid == want.Grid {
			return true
		}
	}
	return false
}
