package plan

import (
	"fmt"

	"wrnc/compiler/ir"
)

// VerifyAgainst checks the plan with [Plan.Verify] and then against the fused
// function that it was made from: the kernels of a fusion read, from outside,
// the values that the fusion captures and no others, each at the moment when its
// buffer holds that value and not what another fusion has written there; every
// result of a fusion is written by its kernels; returns and states end with the
// values that the function gives them.
//
// States and parameters are found by name; result i of fusion @F in the buffer
// F.i, or in that of the state it is assigned to.
func (p *Plan) VerifyAgainst(f *ir.Func) error {
	uses, err := p.verify()
	if err != nil {
		return err
	}
	a := &against{p: p, f: f, fusions: map[string]int{}, buffers: map[*ir.Value]int{}, seen: map[*ir.Node]map[int]bool{}, version: make([]int, len(p.Buffers)), saved: map[int]int{}}
	steps := []func() error{a.places, func() error { return a.replay(uses) }, a.complete, a.results}
	for _, step := range steps {
		if err := step(); err != nil {
			return fmt.Errorf("func %s: %w", f.Name, err)
		}
	}
	return nil
}

// What a buffer holds, beside the results of fusion i of the function, i+1.
const (
	initial = 0  // what it held when the function started
	copied  = -1 // a state's new value, by a kernel that belongs to no fusion
)

type against struct {
	p       *Plan
	f       *ir.Func
	fusions map[string]int            // by name: index in the function
	buffers map[*ir.Value]int         // where each value lies
	seen    map[*ir.Node]map[int]bool // buffers that a fusion has touched
	version []int                     // of each buffer, at this moment of the replay
	saved   map[int]int               // buffer of the arena -> state whose initial value it keeps
}

// producer is the version that a buffer has while it holds the value.
func (a *against) producer(v *ir.Value) int {
	if v.IsLeaf() {
		return initial
	}
	return a.fusions[v.Node.Layer] + 1
}

// places finds the buffer of every value.
func (a *against) places() error {
	named := map[Space]map[string]int{State: {}, Input: {}, Arena: {}, Counter: {}}
	for i, b := range a.p.Buffers {
		if _, twice := named[b.Space][b.Name]; twice && b.Space != Arena {
			return fmt.Errorf("two buffers of the %v are called %s", b.Space, b.Name)
		}
		named[b.Space][b.Name] = i
	}
	put := func(v *ir.Value, space Space, name string) error {
		i, ok := named[space][name]
		if !ok {
			return fmt.Errorf("there is no buffer %s of the %v", name, space)
		}
		if b := a.p.Buffers[i]; !b.Type.Equal(v.Type) {
			return fmt.Errorf("buffer %s is %v, the value %v", name, b.Type, v.Type)
		}
		a.buffers[v] = i
		return nil
	}
	for _, s := range a.f.Module.States {
		if err := put(a.f.StateValue(s), State, s.Name); err != nil {
			return err
		}
	}
	for _, v := range a.f.Params {
		if err := put(v, Input, v.Name); err != nil {
			return err
		}
	}
	for i, n := range a.f.Nodes {
		a.fusions[n.Layer], a.seen[n] = i, map[int]bool{}
		for _, v := range n.Results {
			space, name := Arena, fmt.Sprintf("%s.%d", n.Layer, v.Index)
			if s := a.inPlace(v); s != nil {
				space, name = State, s.Name
			}
			if err := put(v, space, name); err != nil {
				return fmt.Errorf("fusion @%s: %w", n.Layer, err)
			}
		}
	}
	return nil
}

// inPlace returns the state in whose buffer a kernel of the fusion writes the
// value, or nil.
func (a *against) inPlace(v *ir.Value) *ir.State {
	for _, as := range a.f.Assigns {
		if as.Value != v {
			continue
		}
		for _, k := range a.p.Kernels {
			for _, arg := range k.Args {
				if b := a.p.Buffers[arg.Buffer]; k.Region == v.Node.Layer && arg.Mode != Read && b.Space == State && b.Name == as.State.Name {
					return as.State
				}
			}
		}
	}
	return nil
}

func (a *against) replay(uses [][]use) error {
	for _, l := range a.p.Launches {
		for _, i := range l.Kernels {
			k := a.p.Kernels[i]
			if k.Region == "" {
				if err := a.copy(k); err != nil {
					return fmt.Errorf("kernel %s: %w", k.Name, err)
				}
				continue
			}
			at, ok := a.fusions[k.Region]
			if !ok {
				return fmt.Errorf("kernel %s: there is no fusion @%s", k.Name, k.Region)
			}
			n := a.f.Nodes[at]
			for j, arg := range k.Args {
				if uses[i][j].old && a.p.Buffers[arg.Buffer].Space != Counter {
					if err := a.read(n, arg.Buffer); err != nil {
						return fmt.Errorf("fusion @%s, kernel %s: %w", n.Layer, k.Name, err)
					}
				}
			}
			for j, arg := range k.Args {
				if uses[i][j].write {
					a.version[arg.Buffer] = at + 1
					a.seen[n][arg.Buffer] = true
				}
			}
		}
	}
	return nil
}

// read checks that a fusion may read the buffer now. What it captures must be
// there as captured, even where the fusion itself writes the new value into the
// same buffer; everything else must be its own.
func (a *against) read(n *ir.Node, buffer int) error {
	b := a.p.Buffers[buffer]
	have := a.version[buffer]
	captured := false
	for _, v := range n.Args {
		if a.buffers[v] != buffer {
			continue
		}
		captured = true
		if have == a.producer(v) {
			a.seen[n][buffer] = true
			return nil
		}
	}
	switch {
	case captured:
		return fmt.Errorf("reads buffer %s, which %s; the fusion captures another value", b.Name, a.holds(have))
	case have == a.fusions[n.Layer]+1:
		return nil
	}
	return fmt.Errorf("reads buffer %s, which %s; the fusion captures no such value", b.Name, a.holds(have))
}

func (a *against) holds(version int) string {
	switch version {
	case initial:
		return "holds its initial value"
	case copied:
		return "holds a state's new value"
	}
	return "holds a result of fusion @" + a.f.Nodes[version-1].Layer
}

// origin is the buffer whose value a buffer holds: itself, or the state it
// saves, with the version of that value.
func (a *against) origin(buffer int) (from, version int) {
	if state, ok := a.saved[buffer]; ok {
		return state, initial
	}
	return buffer, a.version[buffer]
}

// copy checks a kernel that belongs to no fusion: it saves the old value of a
// state, or gives a state its new value from another buffer.
func (a *against) copy(k *Kernel) error {
	if len(k.Args) != 2 || k.Args[0].Mode != Read || k.Args[1].Mode != Write {
		return fmt.Errorf("belongs to no fusion and is no copy to a state")
	}
	to := k.Args[1].Buffer
	from, version := a.origin(k.Args[0].Buffer)
	if a.p.Buffers[to].Space == Arena && a.p.Buffers[from].Space == State && version == initial {
		a.saved[to] = from
		return nil
	}
	for _, as := range a.f.Assigns {
		if a.buffers[a.f.StateValue(as.State)] != to {
			continue
		}
		if a.buffers[as.Value] != from || version != a.producer(as.Value) {
			return fmt.Errorf("copies buffer %s, which %s, to state %s; the function assigns another value",
				a.p.Buffers[from].Name, a.holds(version), as.State.Name)
		}
		a.version[to] = copied
		return nil
	}
	return fmt.Errorf("writes buffer %s, which the function does not assign", a.p.Buffers[to].Name)
}

// complete checks that each fusion has read what its results depend on and has
// written its results.
func (a *against) complete() error {
	for _, n := range a.f.Nodes {
		for _, v := range liveCaptures(n.Body) {
			if b := a.buffers[v]; !a.seen[n][b] {
				return fmt.Errorf("fusion @%s: no kernel reads buffer %s", n.Layer, a.p.Buffers[b].Name)
			}
		}
		for _, v := range n.Results {
			if b := a.buffers[v]; !a.seen[n][b] {
				return fmt.Errorf("fusion @%s: no kernel writes buffer %s", n.Layer, a.p.Buffers[b].Name)
			}
		}
	}
	return nil
}

// liveCaptures lists the captured values that a yield depends on.
func liveCaptures(b *ir.Body) []*ir.Value {
	needed := map[*ir.Value]bool{}
	for _, y := range b.Yields {
		needed[y] = true
	}
	for i := len(b.Nodes) - 1; i >= 0; i-- {
		for _, r := range b.Nodes[i].Results {
			if needed[r] {
				for _, v := range b.Nodes[i].Args {
					needed[v] = true
				}
			}
		}
	}
	var out []*ir.Value
	for _, v := range b.Captures() {
		if needed[v] {
			out = append(out, v)
		}
	}
	return out
}

// results checks what the function leaves behind.
func (a *against) results() error {
	if len(a.p.Returns) != len(a.f.Returns) {
		return fmt.Errorf("returns %d values, expected %d", len(a.p.Returns), len(a.f.Returns))
	}
	for i, v := range a.f.Returns {
		r, version := a.origin(a.p.Returns[i])
		if r != a.buffers[v] || version != a.producer(v) {
			return fmt.Errorf("return %d is buffer %s, which %s; the function returns another value", i, a.p.Buffers[r].Name, a.holds(version))
		}
	}
	assigned := map[*ir.State]*ir.Value{}
	for _, as := range a.f.Assigns {
		assigned[as.State] = as.Value
	}
	for _, s := range a.f.Module.States {
		b := a.buffers[a.f.StateValue(s)]
		want, have := initial, a.version[b]
		if v := assigned[s]; v != nil {
			if want = copied; a.buffers[v] == b {
				want = a.producer(v)
			}
		}
		if have != want {
			return fmt.Errorf("state %s at the end %s; the function gives it another value", s.Name, a.holds(have))
		}
	}
	return nil
}
