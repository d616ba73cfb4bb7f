package gen

import "wrnc/compiler/ir"

// finish ends a region: perhaps a Reduce of its values with Channel ops after
// it, then what leaves the function. Every value is read or leaves, and masks
// never leave.
func (c *chain) finish() {
	v := c.last()
	reduced := true
	switch c.IntN(6) {
	case 0, 1:
		c.stats(v)
	case 2:
		c.gradStats(v)
	case 3:
		c.leave(c.op(ir.ChannelSum, ir.Attrs{}, v))
	default:
		reduced = false
	}
	if !reduced || c.chance(80) {
		c.leave(v)
	}
	for _, w := range c.values[:len(c.values)-1] {
		if !w.IsLeaf() && c.chance(15) {
			c.leave(w)
		}
	}
}

func (c *chain) leave(v *ir.Value) { c.f.Returns = append(c.f.Returns, v) }

// eps is far larger than a network's: a channel that a relu has emptied, or one
// of a single element, has variance 0, and 1/sqrt(eps)^3 would make the noise of
// a comparison the size of its values.
const eps = 0.1

// count is the number of elements of a channel.
func (c *chain) count() int { return c.t.Elems() / c.t.Channels() }

// stats takes batch statistics, sometimes folds them, and moves a running state.
func (c *chain) stats(v *ir.Value) {
	n := c.t.Channels()
	s := c.op(ir.BNStats, ir.Attrs{}, v)
	fold, move := c.chance(60), c.chance(50) && c.count() > 1
	if fold {
		c.leave(c.op(ir.BNFold, ir.Attrs{Eps: eps, Count: c.count()}, s, c.vector(n), c.vector(n)))
	}
	if move {
		run := c.state(ir.Running, ir.Init{Kind: ir.Rows, B: 1}, 2, n)
		v := c.op(ir.BNRunning, ir.Attrs{Momentum: 0.1, Count: c.count()}, run, s)
		c.f.Assigns = append(c.f.Assigns, ir.Assign{State: run.State, Value: v})
	}
	if !fold && !move || c.chance(50) {
		c.leave(s)
	}
}

// gradStats takes the sums of batch norm's backward pass over a stored
// activation whose statistics are a state: means around 0, M2 around count.
func (c *chain) gradStats(v *ir.Value) {
	n := c.t.Channels()
	x := c.activation(c.t)
	s := c.state(ir.Running, ir.Init{Kind: ir.Rows, B: float64(c.count())}, 2, n)
	q := c.op(ir.BNGradStats, ir.Attrs{}, v, x, s)
	if !c.chance(70) {
		c.leave(q)
		return
	}
	out := c.ops(ir.BNGradFold, ir.Attrs{Eps: eps, Count: c.count()}, q, s, c.vector(n))
	for i, v := range out {
		if i == 0 || c.chance(70) {
			c.leave(v)
		}
	}
	if c.chance(30) {
		c.leave(q)
	}
}
