package plan

import "slices"

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
	longest := k.Strip() * k.Grid.Px * k.Grid.C
	switch k.Kind {
	case Pack:
		if !c.Dgrad {
			l.Tiles[0] = take(c.R * c.R * c.C * c.Chans)
		}
	case Conv:
		if _, ok := k.Source(0); !ok {
			l.Tiles[0] = take(c.MaxTileRows(rows) * c.TileCols() * c.In())
		}
		if _, ok := k.Home(); !ok {
			l.Result = take(rows * c.OutCols() * c.OutPadded())
		}
		longest = max(longest, c.InCols()*c.In())
	case Wgrad:
		if _, ok := k.Source(0); !ok {
			l.Tiles[0] = take(rows * c.Q * c.OutPadded())
		}
		if _, ok := k.Source(1); !ok {
			l.Tiles[1] = take(c.MaxTileRows(rows) * c.TileCols() * c.C)
		}
		longest = max(longest, c.W*c.C)
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

// stripElems is about how many elements a row function gets at a time: enough to
// hide its call, few enough that a tape's rows stay in the first cache.
const stripElems = 2048

// Strip is the number of rows of its grid that a kernel hands to row functions at a
// time. The rows of an activation are neighbours in memory, so that several are
// one long row to them.
func (k *Kernel) Strip() int {
	switch k.Kind {
	case Conv, Map, Wgrad:
		return max(1, min(k.Grid.RowsPerUnit, stripElems/max(1, k.Grid.Px*k.Grid.C)))
	}
	return 1
}

// Home is the argument in whose rows a Conv kernel computes the root's result, so
// that it need not be copied there: one that the epilogue writes, and before that
// nothing else, from a result that is not read afterwards. A result with padded
// channels has no home.
func (k *Kernel) Home() (arg int, ok bool) {
	if k.Kind != Conv || k.Block != (Block{}) || k.Conv.Out() != k.Conv.OutPadded() {
		return 0, false
	}
	for i, op := range k.Epilogue.Ops {
		if op.Dst.Kind != Row || op.Dst.Index >= len(k.Args) {
			continue
		}
		later := slices.ContainsFunc(k.Epilogue.Ops[i+1:], func(o RowOp) bool { return slices.ContainsFunc(o.Src, isResult) })
		return op.Dst.Index, k.Args[op.Dst.Index].Mode == Write && (!later || op.Op == "copy" && isResult(op.Src[0]))
	}
	return 0, false
}

// Source is the argument of a Conv or Wgrad kernel whose rows are the tile of prologue
// i as they lie, so that they need not be copied into one: where the prologue does
// nothing else, and the tile has neither a border nor padded channels.
func (k *Kernel) Source(i int) (arg int, ok bool) {
	if k.Kind != Conv && k.Kind != Wgrad || k.Block != (Block{}) || len(k.Prologues) <= i || len(k.Prologues[i].Ops) != 1 {
		return 0, false
	}
	op := k.Prologues[i].Ops[0]
	if op.Op != "copy" || op.Dst.Kind != Tile || op.Src[0].Kind != Row {
		return 0, false
	}
	if c := k.Conv; k.Kind == Wgrad && i == 0 {
		ok = c.K == c.OutPadded()
	} else {
		ok = c.Border() == 0
	}
	return op.Src[0].Index, ok
}

func isResult(r Ref) bool { return r.Kind == Result }

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
