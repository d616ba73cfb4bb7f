package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Byte offsets of the fields of WgradArgs; a test compares them with the struct.
const (
	wgradX      = 0
	wgradDY     = 8
	wgradDW     = 16
	wgradRows   = 24
	wgradPixels = 32
	wgradC      = 40
	wgradXRow   = 48
	wgradXStep  = 56
	wgradDYRow  = 64
	wgradDYStep = 72
	wgradDWStep = 80
)

// wgrad writes Wgrad for tiles of width vectors of output channels.
//
//	for each register tile: for each row: for each pixel:
//	    d = vectors of dy
//	    for each input channel: x = broadcast; acc += d*x
func (t *target) wgrad(name string, width int) {
	t.function(name, "func(a *byte)", "is Wgrad of "+vectors(width)+", with a *WgradArgs that has pixels.")
	a := t.param("a")
	block := wgradBlock{t, width, a, t.local(a, wgradX), t.local(a, wgradDW)}
	t.tiles(t.tile[width], t.local(a, wgradC), block.tile)
}

// wgradBlock is the state between tiles: the first input channel of the next one.
type wgradBlock struct {
	*target
	width int
	args  reg.Register
	x, dw operand.Mem
}

func (t wgradBlock) tile(n int) {
	dwStep := t.field(t.args, wgradDWStep)
	acc := t.accumulators(n, t.width)
	t.loadTile(acc, t.dw, dwStep)
	xRow, dyRow := t.GP64(), t.field(t.args, wgradDY)
	t.MOVQ(t.x, xRow)
	rows := t.field(t.args, wgradRows)
	xStep, dyStep := t.field(t.args, wgradXStep), t.field(t.args, wgradDYStep)
	t.Label(label("row", n))
	x, dy, left := t.GP64(), t.GP64(), t.field(t.args, wgradPixels)
	t.MOVQ(xRow, x)
	t.MOVQ(dyRow, dy)
	t.Label(label("pixel", n))
	t.pixel(acc, x, dy)
	t.ADDQ(xStep, x)
	t.ADDQ(dyStep, dy)
	t.DECQ(left)
	t.JNE(operand.LabelRef(label("pixel", n)))
	t.ADDQ(mem(t.args, wgradXRow), xRow)
	t.ADDQ(mem(t.args, wgradDYRow), dyRow)
	t.DECQ(rows)
	t.JNE(operand.LabelRef(label("row", n)))
	t.storeTile(acc, t.dw, dwStep)
	t.ADDQ(operand.Imm(uint64(4*n)), t.x)
}

func (t wgradBlock) pixel(acc [][]reg.VecVirtual, x, dy reg.Register) {
	d := t.vecs(t.width)
	t.loadVectors(d, dy, 0)
	for i, r := range acc {
		t.addProduct(r, d, mem(x, 4*i))
	}
}
