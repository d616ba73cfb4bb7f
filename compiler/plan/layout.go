package plan

// Layout is where a kernel's parts lie in a worker's scratch, in bytes.
type Layout struct {
	Tiles  [2]int // packed tiles, one a prologue
	Result int    // rows of the root's result
	Slots  int    // row registers of Stride bytes
	Stride int
	Bytes  int
}

func alignUp(n int) int { return (n + Align - 1) / Align * Align }

// Layout computes the scratch that one worker needs for the kernel. The blocks
// of a GPU have shared memory instead; see [Block].
func (k *Kernel) Layout() Layout {
	var l Layout
	if k.Block != (Block{}) {
		return l
	}
	take := func(floats int) int {
		at := l.Bytes
		l.Bytes += alignUp(4 * floats)
		return at
	}
	c, rows := k.Conv, k.Grid.RowsPerUnit
	longest := k.Grid.Px * k.Grid.C
	switch k.Kind {
	case Conv:
		l.Tiles[0] = take(c.MaxTileRows(rows) * c.TileCols() * c.In())
		l.Result = take(rows * c.OutCols() * c.OutPadded())
		longest = max(longest, c.InCols()*c.In())
	case Wgrad:
		l.Tiles[0] = take(rows * c.Q * c.OutPadded())
		l.Tiles[1] = take(c.MaxTileRows(rows) * c.TileCols() * c.C)
		longest = max(c.Q*c.K, c.W*c.C)
	case Sum:
		l.Tiles[0] = take(c.R * c.R * c.C * c.Chans)
		l.Result = take(c.R * c.R * c.C)
	case Pool:
		l.Tiles[0] = take(c.W * c.C)
		l.Result = take(c.C)
		longest = c.W * c.C
	}
	slots := k.Epilogue.Slots
	for _, t := range k.Prologues {
		slots = max(slots, t.Slots)
	}
	l.Stride = alignUp(4 * longest)
	l.Slots = l.Bytes
	l.Bytes += slots * l.Stride
	return l
}

// ScratchBytes is the size of [Kernel.Layout].
func (k *Kernel) ScratchBytes() int { return k.Layout().Bytes }

// PrologueGrid is the domain of prologue i: the rows of the picture that it
// reads, which need not be those that the kernel produces.
func (k *Kernel) PrologueGrid(i int) Grid {
	c := k.Conv
	g := Grid{Samples: k.Grid.Samples, Batched: k.Grid.Batched, RowsPerUnit: 1}
	if k.Kind == WgradSum {
		g.Samples, g.Batched = k.Pixels.Samples, k.Pixels.Batched
	}
	switch {
	case k.Kind == Conv:
		g.Rows, g.Px, g.C = c.InRows(), c.InCols(), c.In()
	case (k.Kind == Wgrad || k.Kind == WgradSum) && i == 0:
		g.Rows, g.Px, g.C = c.P, c.Q, c.K
	default:
		g.Rows, g.Px, g.C = c.H, c.W, c.C
	}
	return g
}
