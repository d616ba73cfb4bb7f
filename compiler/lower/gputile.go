package lower

import (
	"fmt"

	"wrnc/compiler/ir"
	"wrnc/compiler/plan"
)

// Tiles of a GPU. Every candidate that fits is given a predicted time by a small
// model, and the fastest is taken; the plan carries the reason in words. The
// model counts clocks of one multiprocessor:
//
//	multiply   multiply-adds of the tile, padding included, at the rate of the math
//	load       bytes that the tile reads, once each, at fillRate
//	drain      bytes of the result, out of shared memory and to memory
//
// and the time of the kernel is that of its waves of blocks.

// box is what a unit covers: samples x rows x pixels.
type box struct{ samples, rows, px int }

func (b box) pixels() int { return b.samples * b.rows * b.px }

// cut cuts a grid of pictures into the boxes.
func (b box) cut(g *plan.Grid) {
	g.SamplesPerUnit, g.RowsPerUnit, g.PxPerUnit = b.samples, b.rows, b.px
}

// units is the number of boxes of a grid.
func (b box) units(samples, rows, px int) int {
	return ceil(samples, b.samples) * ceil(rows, b.rows) * ceil(px, b.px)
}

func ceil(a, b int) int { return (a + b - 1) / b }

// boxOf is the box of at most m pixels that wastes least of them over pictures of
// rows x px pixels; of equals the one with the shortest outline, which reads the
// fewest pixels twice, then the widest. Whole pictures are grouped.
func boxOf(samples, rows, px, m int) box {
	if rows*px <= m {
		return box{min(samples, m/(rows*px)), rows, px}
	}
	best, units := box{1, 1, 1}, rows*px+1
	for nr := 1; nr <= min(rows, m); nr++ {
		nq := min(px, m/nr)
		nq = ceil(px, ceil(px, nq)) // even parts
		b := box{1, nr, nq}
		u := b.units(1, rows, px)
		if u < units || u == units && (nr+nq < best.rows+best.px || nr+nq == best.rows+best.px && nq > best.px) {
			best, units = b, u
		}
	}
	return best
}

// mathOf is how a root with operands of the type multiplies.
func mathOf(t ir.Type) string {
	switch t.DType {
	case ir.BF16:
		return "bf16"
	case ir.TF32:
		return "tf32"
	}
	return "ffma"
}

// maths are the bytes of an operand and the fewest channels of a multiply.
var maths = map[string]struct{ bytes, step int }{
	"ffma": {4, 4},
	"bf16": {2, 16},
	"tf32": {4, 8},
}

const (
	fillRate  = 32       // bytes a clock that a multiprocessor reads from the second cache
	warpSize  = 32       // threads
	registers = 64 << 10 // of a multiprocessor
	maxBlocks = 8        // resident blocks that are counted with
	perBlock  = 1 << 10  // bytes of shared memory that the system takes for a block

	maxSums        = 80   // accumulators of a thread of a convolution
	maxGradSums    = 96   // of a gradient by the weight
	maxGradThreads = 512  // more find no registers
	mmaRegisters   = 68   // about what a thread of a convolution needs beside them and its prologue
	ffmaRegisters  = 84   // the same where it holds the operands of fused multiply-adds
	gradRegisters  = 122  // the same of a gradient by the weight, which fills two operands
	maxResident    = 1536 // threads of a multiprocessor, on the GPUs that take fewest
	hidingWarps    = 12   // warps of a multiprocessor that hide the latency of its loads
	sharedRate     = 128  // bytes a clock that a multiprocessor reads from its shared memory
	stepClocks     = 60   // of a step of the weight's ring, a row of the filter, beside its multiply
	blockClocks    = 800  // to start and end a block
)

// tile is a choice with its prediction.
type tile struct {
	block  plan.Block
	unit   box
	splits int
	clocks float64
}

// predict sets the predicted time and the reason of a tile whose blocks take the
// given clocks each, use the given fraction of the multiply, and need so many
// registers a thread.
func (t *tile) predict(arch plan.Arch, blocks int, clocks, used float64, regs int) {
	b := &t.block
	if regs*b.Threads > registers {
		return
	}
	b.Resident = max(1, min(maxBlocks, registers/(regs*b.Threads), maxResident/b.Threads))
	resident := min(b.Resident, arch.GPU.SharedSM/(b.Shared+perBlock))
	if resident == 0 {
		return
	}
	slots := arch.GPU.SMs * resident
	waves := ceil(blocks, slots)
	// Blocks of a multiprocessor share it; a last wave that is not full is as long
	// as its fullest multiprocessor. Few warps hide little of the latency.
	last := blocks - (waves-1)*slots
	share := float64((waves-1)*resident) + float64(ceil(last, arch.GPU.SMs))
	warps := min(blocks, resident) * b.Threads / warpSize
	t.clocks = share * clocks * (1 + max(0, 1-float64(warps)/hidingWarps))
	b.Why = fmt.Sprintf("%d blocks, %d a multiprocessor: %.2f waves of %d; %.0f %% of the multiply is no padding; at most %d registers",
		blocks, resident, float64(blocks)/float64(slots), slots, 100*used, min(255, registers/(b.Threads*b.Resident)/8*8))
}

// better keeps the faster of two tiles, of equals the first.
func better(best, t tile) tile {
	if t.clocks > 0 && (best.clocks == 0 || t.clocks < best.clocks) {
		return t
	}
	return best
}

// convTile chooses the tile of a convolution or of its gradient by the picture.
//
// fill is the number of registers that its prologue keeps; see [region.fillRegisters].
//
// The epilogue is not known yet: the shared memory of its reductions, which is
// little, is taken for that of vectors of four channels; see [convLayout].
func convTile(c plan.ConvShape, math string, samples, fill int, arch plan.Arch) tile {
	rows, px := c.P, c.Q
	if c.Dgrad { // of one phase
		rows, px = ceil(c.H, c.Stride), ceil(c.W, c.Stride)
	}
	phases := c.OutStep() * c.OutStep()
	rate, beside := float64(arch.GPU.Rate(math)), mmaRegisters
	if math == "ffma" {
		beside = ffmaRegisters
	}
	var best tile
	for _, m := range []int{128, 64} {
		unit := boxOf(samples, rows, px, m)
		units := unit.units(samples, rows, px)
		for _, n := range []int{16, 32, 64, 80, 128, 160} {
			if n > 16 && n >= 2*c.Out() || n%5 == 0 && (c.Out()%n != 0 || math == "ffma") {
				continue // 80 and 160 are for multiples of them, as the paper's widths by 10 are, on tensor cores
			}
			for _, k := range []int{16, 32, 64} {
				if k > 16 && k >= 2*c.In() {
					continue
				}
				for _, warps := range [][2]int{{4, 2}, {4, 1}, {2, 2}, {2, 1}} {
					b := plan.Block{Math: math, M: m, N: n, K: k, WarpsM: warps[0], WarpsN: warps[1], WarpsT: 1, Stages: 2}
					b.Threads = warpSize * warps[0] * warps[1]
					sums := m * n / b.Threads
					if n%(8*warps[1]) != 0 || sums > maxSums || sums < 8 {
						continue
					}
					layout := convLayout(c, b, unit, 4)
					if b.Shared = layout.bytes(); b.Shared > arch.GPU.Shared {
						continue
					}
					chunks, taps := ceil(c.In(), k), float64(c.R*c.R)/float64(phases)
					steps := float64(chunks) * taps
					multiply := float64(m*n*k) / rate * steps
					load := (float64(chunks*layout.positions*k) + float64(n*k)*steps) * float64(maths[math].bytes) / fillRate
					t := tile{block: b, unit: unit}
					work := float64(samples*rows*px) * float64(c.Out()*c.In())
					room := float64(units*m*ceil(c.Out(), n)*n) * float64(chunks*k)
					operands := float64(b.Threads/warpSize*(m/b.WarpsM+n/b.WarpsN)*k*maths[math].bytes) / sharedRate * steps
					clocks := max(multiply, load, operands) + stepClocks*float64(chunks*c.R)/float64(c.OutStep()) + float64(m*n*4)/fillRate + blockClocks
					t.predict(arch, units*phases*ceil(c.Out(), n), clocks, work/room, sums+fill+beside)
					best = better(best, t)
				}
			}
		}
	}
	return best
}

// layout is a kernel's shared memory in elements, as conv.cuh and wgrad.cuh lay it
// out; the generated text asserts that the two agree.
type layout struct {
	positions int // of the window in the picture
	operands  int // bytes while it multiplies
	result    int // bytes while it drains
}

func (l layout) bytes() int { return max(l.operands, l.result) }

// convLayout is the shared memory of a convolution whose epilogue reduces by
// vectors of so many channels; 0 if it does not.
func convLayout(c plan.ConvShape, b plan.Block, unit box, vec int) layout {
	size := maths[b.Math].bytes
	var l layout
	l.positions = positions(c, unit)
	inputs := 1
	if c.In() > b.K {
		inputs = 2
	}
	weights := b.N * pieces(b.K, size)
	if c.Dgrad {
		weights = b.K * columns(b.N, b.Math)
	}
	l.operands = roundUp(4*l.positions, 16) + roundUp(inputs*l.positions*pieces(b.K, size)*size, 16) + roundUp(b.Stages*c.R*weights*size, 16)
	l.result = resultBytes(b, b.M, b.N/b.WarpsN/8, vec)
	return l
}

// positions is the number of positions of the part of a picture that a unit reads.
func positions(c plan.ConvShape, unit box) int {
	advance, span := 1, c.R
	switch {
	case c.Dgrad:
		lo, hi := c.TapRange()
		span = hi - lo + 1
	case c.R > 1:
		advance = c.Stride
	}
	cols := (unit.px-1)*advance + span
	return unit.samples * ((unit.rows-1)*advance + span) * ceil(cols, advance) * advance
}

// pieces is a row of so many elements without bank conflicts: an odd number of
// 16-byte pieces.
func pieces(elements, size int) int {
	if elements*size/16%2 == 0 {
		return elements + 16/size
	}
	return elements
}

// columns is the same for a row that is read by neighbouring words.
func columns(elements int, math string) int {
	switch {
	case math == "bf16":
		return pieces(elements, 2)
	case elements%16 == 0:
		return elements + 8
	}
	return elements
}

// resultBytes is the result tile of m rows, of which each warp gives some of its
// blocks of 8 columns at a time, and the scratch of reductions.
func resultBytes(b plan.Block, m, blocks, vec int) int {
	limit := min(8192/m, 64) / (8 * b.WarpsN)
	run := 1
	for _, n := range []int{8, 4, 2} {
		if blocks%n == 0 && limit >= n {
			run = n
			break
		}
	}
	cols := run * 8 * b.WarpsN
	bytes := roundUp(m*(cols+8)*4, 16)
	if vec > 0 {
		bytes += scratch(b, cols, vec)
	}
	return bytes
}

// reduceVec is the vector of a kernel's reductions, 0 where it has none.
func reduceVec(p *plan.Plan, k *plan.Kernel, channels int) int {
	if len(k.Reduces) == 0 {
		return 0
	}
	return p.Vector(k, k.Epilogue, channels, ir.F32)
}

// wgradTile chooses the tile of a gradient by the weight, and its splits: enough
// to fill the GPU twice.
func wgradTile(c plan.ConvShape, math string, samples int, arch plan.Arch) tile {
	rate := float64(arch.GPU.Rate(math))
	taps := c.R * c.R
	var best tile
	for _, pixels := range []int{128, 64, 32} {
		unit := boxOf(samples, c.P, c.Q, pixels)
		units := unit.units(samples, c.P, c.Q)
		for _, m := range []int{16, 32, 64, 128} {
			for _, n := range []int{8, 16, 32, 64} {
				if m > 16 && m >= 2*c.K || n > 8 && n >= 2*c.C {
					continue
				}
				for _, w := range [][3]int{{1, 1, 1}, {1, 2, 1}, {2, 1, 1}, {4, 1, 1}, {2, 2, 1}, {4, 2, 1}, {1, 1, c.R}, {2, 1, c.R}, {4, 1, c.R}, {2, 2, c.R}} {
					b := plan.Block{Math: math, M: m, N: n, K: unit.pixels(), WarpsM: w[0], WarpsN: w[1], WarpsT: w[2]}
					b.Threads = warpSize * w[0] * w[1] * w[2]
					sums := m * n * taps / b.Threads
					if m%(16*w[0]) != 0 || n%(8*w[1]) != 0 || sums > maxGradSums || b.Threads > maxGradThreads {
						continue
					}
					layout := wgradLayout(c, b, unit)
					if b.Shared = layout.bytes(); b.Shared > arch.GPU.Shared {
						continue
					}
					t := tile{block: b, unit: unit}
					tiles := ceil(c.K, m) * ceil(c.C, n)
					t.splits = max(1, min(units, ceil(2*arch.GPU.SMs, tiles), partialBudget/(4*tiles*m*n*taps)))
					t.splits = ceil(units, ceil(units, t.splits)) // none is empty
					multiply := float64(m*n*roundUp(unit.pixels(), maths[math].step)*taps) / rate
					load := float64((unit.pixels()*m+layout.positions*n)*maths[math].bytes) / fillRate
					store := float64(4*m*n*taps) / fillRate
					depth := roundUp(unit.pixels(), maths[math].step)
					operands := float64(b.Threads/warpSize*(m/b.WarpsM+n/b.WarpsN*taps/b.WarpsT)*depth*maths[math].bytes) / sharedRate
					clocks := (max(multiply, load, operands)+stepClocks)*float64(ceil(units, t.splits)) + blockClocks + store
					if t.splits > 1 {
						clocks += 3 * store
					}
					used := float64(samples*c.P*c.Q) * float64(c.K*c.C) / (float64(units*roundUp(unit.pixels(), maths[math].step)) * float64(tiles*m*n))
					t.predict(arch, tiles*t.splits, clocks, used, sums+gradRegisters)
					best = better(best, t)
				}
			}
		}
	}
	return best
}

func wgradLayout(c plan.ConvShape, b plan.Block, unit box) layout {
	facts := maths[b.Math]
	var l layout
	l.positions = positions(c, unit)
	gradient := roundUp(unit.pixels(), facts.step) * columns(b.M, b.Math)
	picture := l.positions * columns(b.N, b.Math)
	tables := roundUp(2*4*roundUp(unit.pixels(), facts.step), 16) + roundUp(2*4*l.positions, 16)
	l.operands = roundUp(2*gradient*facts.bytes, 16) + roundUp(2*picture*facts.bytes, 16) + tables
	l.result = resultBytes(b, b.M, b.N/b.WarpsN/8, 0)
	return l
}

// mapShared is the shared memory of a map's reductions, of a tile of n channels.
func mapShared(b plan.Block, vec int) int {
	if vec == 0 {
		return 0
	}
	return scratch(b, b.N, vec)
}

// scratch is what reductions need for so many columns, by vectors of vec.
func scratch(b plan.Block, cols, vec int) int {
	vectors := cols / vec
	slots := b.Threads / max(warpSize, vectors)
	return roundUp(4*max(slots*(2*cols+vectors), 3*b.Threads), 16)
}

// poolShared is the shared memory of an average pool whose prologue works on
// vectors of vec channels.
func poolShared(b plan.Block, vec int) int { return roundUp(b.Threads/(b.N/vec)*b.N*4, 16) }
