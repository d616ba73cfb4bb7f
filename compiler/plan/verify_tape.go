package plan

import (
	"fmt"
	"slices"
	"strings"

	"wrnc/compiler/ir"
)

func (v *kernelVerifier) verifyPrologues() error {
	for i, t := range v.k.Prologues {
		tv := &tapeVerifier{kernelVerifier: v, tape: t, grid: v.k.PrologueGrid(i), fills: true}
		if err := tv.grid.verify(v.p.Batch); err != nil {
			return fmt.Errorf("prologue %d: %w", i, err)
		}
		if err := tv.verify(); err != nil {
			return fmt.Errorf("prologue %d: %w", i, err)
		}
		if !tv.tile {
			return fmt.Errorf("prologue %d: writes no row of the tile", i)
		}
	}
	return nil
}

func (v *kernelVerifier) verifyEpilogue() error {
	k := v.k
	if k.Kind == Finish {
		return nil
	}
	for i, r := range k.Reduces {
		if err := v.verifyReduce(r, 0); err != nil {
			return fmt.Errorf("reduce q%d: %w", i, err)
		}
		if r.Grid != k.Grid {
			return fmt.Errorf("reduce q%d: a drain writes partials of its own units", i)
		}
		if r.Out >= 0 && !v.gpu() {
			return fmt.Errorf("reduce q%d: a drain merges no partials", i)
		}
	}
	tv := &tapeVerifier{kernelVerifier: v, tape: k.Epilogue, grid: k.Grid, reduced: make([]bool, len(k.Reduces))}
	if err := tv.verify(); err != nil {
		return fmt.Errorf("epilogue: %w", err)
	}
	if i := slices.Index(tv.reduced, false); i >= 0 {
		return fmt.Errorf("epilogue: nothing writes reduce q%d, buffer %s", i, v.buffer(k.Reduces[i].Partial).Name)
	}
	return nil
}

// tapeVerifier replays a tape for one row.
type tapeVerifier struct {
	*kernelVerifier
	tape    Tape
	grid    Grid
	fills   bool   // a prologue, which writes the tile
	tile    bool   // the tile's row is written
	slots   []bool // registers that are written
	reduced []bool // Reduces that are written
}

func (t *tapeVerifier) verify() error {
	if t.tape.Slots < 0 || t.tape.Slots > maxSlots || len(t.tape.Ops) > maxCount {
		return fmt.Errorf("%d registers, %d steps", t.tape.Slots, len(t.tape.Ops))
	}
	t.slots = make([]bool, t.tape.Slots)
	for _, op := range t.tape.Ops {
		if err := t.step(op); err != nil {
			return fmt.Errorf("%v = %s: %w", op.Dst, op.Op, err)
		}
	}
	return nil
}

func (t *tapeVerifier) step(op RowOp) error {
	roles, reduces, err := operands(op.Op)
	if err != nil {
		return err
	}
	if len(op.Src) != len(roles) {
		return fmt.Errorf("reads %d operands, expected %d", len(op.Src), len(roles))
	}
	for i, s := range op.Src {
		if !slices.Contains(kindsOf[roles[i]], s.Kind) {
			return fmt.Errorf("operand %v cannot be that", s)
		}
		if err := t.source(s); err != nil {
			return fmt.Errorf("operand %v: %w", s, err)
		}
	}
	if reduces != (op.Dst.Kind == Partial) {
		return fmt.Errorf("only a reduce, and every reduce, writes a partial")
	}
	return t.destination(op)
}

// source checks an operand that is read.
func (t *tapeVerifier) source(r Ref) error {
	switch r.Kind {
	case Slot:
		if r.Index < 0 || r.Index >= len(t.slots) {
			return fmt.Errorf("the tape has %d registers", len(t.slots))
		}
		if !t.slots[r.Index] {
			return fmt.Errorf("is read before it is written")
		}
		return nil
	case Tile:
		if r.Index != 0 || !t.tile {
			return fmt.Errorf("is read before it is written")
		}
		return nil
	case Result:
		if k := t.k.Kind; r.Index != 0 || t.fills || k != Conv && k != Sum && k != Pool && k != WgradSum {
			return fmt.Errorf("there is no root's result here")
		}
		return nil
	}
	if err := t.index(r.Index); err != nil {
		return err
	}
	b := t.buffer(r.Index)
	n := b.Type.Elems()
	switch r.Kind {
	case Row:
		if err := t.elems(r.Index, t.grid.elems()); err != nil {
			return err
		}
	case Pixel:
		if err := t.elems(r.Index, t.grid.Samples*t.grid.C); err != nil {
			return err
		}
	case Scalar:
		if err := t.elems(r.Index, 1); err != nil {
			return err
		}
	case Vector:
		if n%t.grid.C != 0 {
			return fmt.Errorf("buffer %s has %d elements, expected a multiple of %d channels", b.Name, n, t.grid.C)
		}
	}
	t.read(r.Index, t.fills || r.Kind != Row)
	return nil
}

func (t *tapeVerifier) destination(op RowOp) error {
	r := op.Dst
	switch {
	case r.Kind == Slot:
		if r.Index < 0 || r.Index >= len(t.slots) {
			return fmt.Errorf("the tape has %d registers", len(t.slots))
		}
		t.slots[r.Index] = true
	case r.Kind == Tile && t.fills && r.Index == 0:
		t.tile = true
	case r.Kind == Row && !t.fills:
		if err := t.index(r.Index); err != nil {
			return err
		}
		if err := t.elems(r.Index, t.grid.elems()); err != nil {
			return err
		}
		t.write(r.Index)
	case r.Kind == Partial && !t.fills:
		if r.Index < 0 || r.Index >= len(t.reduced) || t.k.Reduces[r.Index].Op.String() != op.Op || t.reduced[r.Index] {
			return fmt.Errorf("is no partial of that op that is still to be written")
		}
		t.reduced[r.Index] = true
		t.write(t.k.Reduces[r.Index].Partial)
	default:
		return fmt.Errorf("cannot be written here")
	}
	return nil
}

// pixel is the role of a Broadcast's operand, beside those of the op table.
const pixel ir.Operand = 0

// kindsOf lists what may stand in a role.
var kindsOf = map[ir.Operand][]RefKind{
	ir.Act:    {Slot, Row, Result, Tile},
	ir.Vec:    {Vector},
	ir.Scalar: {Scalar},
	pixel:     {Pixel},
}

// operands returns the roles of a row function's operands, and whether it
// reduces. Beside the ops of the op table there are "copy" and joined ops such
// as affine_relu: the second op of the name, with the operands of the first in
// place of the one that it is passed.
func operands(name string) (roles []ir.Operand, reduces bool, err error) {
	if name == "copy" {
		return []ir.Operand{ir.Act}, false, nil
	}
	if o, ok := findOp(name); ok {
		switch o.Class() {
		case ir.Map, ir.Reduce:
			return o.Info().Args, o.Class() == ir.Reduce, nil
		case ir.Broadcast:
			return []ir.Operand{pixel}, false, nil
		}
		return nil, false, fmt.Errorf("is no function of a row")
	}
	for _, first := range ir.Ops() {
		rest, ok := strings.CutPrefix(name, first.String()+"_")
		second, known := findOp(rest)
		if !ok || !known || first.Class() != ir.Map || second.Class() != ir.Map {
			continue
		}
		return joinedRoles(first.Info().Args, second.Info().Args), false, nil
	}
	return nil, false, fmt.Errorf("unknown row function %q", clip(name))
}

// joinedRoles puts the first op's operands in place of the last activation that
// the second one reads.
func joinedRoles(first, second []ir.Operand) []ir.Operand {
	at := 0
	for i, r := range second {
		if r == ir.Act {
			at = i
		}
	}
	return slices.Concat(second[:at], first, second[at+1:])
}
