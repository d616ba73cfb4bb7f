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

// maths are the multiply-adds a clock of a multiprocessor, the bytes of an
// operand, and the fewest channels of a multiply.
var maths = map[string]struct{ rate, bytes, step int }{
	"ffma": {64, 4, 4},
	"bf16": {1024, 2, 16},
	"tf32": {512, 4, 8},
}

const (
	fillRate  = 32       // bytes a clock that a multiprocessor reads from the second cache
	warpSize  = 32       // threads
	registers = 64 << 10 // of a multiprocessor
	maxBlocks = 8        // resident blocks that are counted with
	perBlock  = 1 << 10  // bytes of shared memory that the system takes for a block
)

// tile is a choice with its prediction.
type tile struct {
	block  plan.Block
	unit   box
	splits int
	clocks float64
}

// predict sets the predicted time and the reason of a tile whose blocks take the
// given clocks each, use the given fraction of the multiply, and need accs
// accumulators a thread.
func (t *tile) predict(arch plan.Arch, blocks int, clocks, used float64, accs int) {
	regs := (accs + 56) * t.block.Threads
	resident := max(1, min(maxBlocks, registers/regs, arch.GPU.SharedSM/(t.block.Shared+perBlock)))
	slots := arch.GPU.SMs * resident
	waves := ceil(blocks, slots)
	// Blocks of a multiprocessor share it; a last wave that is not full is as long
	// as its fullest multiprocessor.
	last := blocks - (waves-1)*slots
	t.clocks = (float64((waves-1)*resident) + float64(ceil(last, arch.GPU.SMs))) * clocks
	t.block.Why = fmt.Sprintf("%d blocks, %d a multiprocessor: %.2f waves of %d; %.0f %% of the multiply is no padding; %.1f KiB shared, about %d registers",
		blocks, resident, float64(blocks)/float64(slots), slots, 100*used, float64(t.block.Shared)/1024, accs+56)
}

// better keeps the faster of two tiles, of equals the first.
func better(best, t tile) tile {
	if best.block.Threads == 0 || t.clocks < best.clocks {
		return t
	}
	return best
}

// convTile chooses the tile of a convolution or of its gradient by the picture.
func convTile(c plan.ConvShape, math string, samples int, arch plan.Arch) tile {
	rows, px := c.P, c.Q
	if c.Dgrad { // of one phase
		rows, px = ceil(c.H, c.Stride), ceil(c.W, c.Stride)
	}
	facts := maths[math]
	in := roundUp(c.In(), facts.step)
	var best tile
	for _, m := range []int{128, 64} {
		unit := boxOf(samples, rows, px, m)
		units := unit.units(samples, rows, px) * c.OutStep() * c.OutStep()
		halo := haloPixels(c, unit)
		for _, n := range []int{16, 32, 64, 128} {
			if n > roundUp(c.Out(), 16) {
				continue
			}
			for _, k := range []int{16, 32, 64} {
				if k > max(16, roundUp(c.In(), 16)) {
					continue
				}
				wm, wn := m/32, max(1, n/64)
				if math == "ffma" { // 8x8 results a thread, or fewer where the tile is narrow
					wm, wn = 1, 1
				}
				b := plan.Block{Threads: warpSize * wm * wn, Math: math, M: m, N: n, K: k, WarpsM: wm, WarpsN: wn, WarpsT: 1, Stages: 3}
				if math == "ffma" {
					b.Threads = m / 8 * n / 4
					if b.Threads < 64 || b.Threads > 256 {
						continue
					}
					b.WarpsM = b.Threads / warpSize
				}
				b.Shared = convShared(c, b, halo)
				if b.Shared > arch.GPU.Shared {
					continue
				}
				taps := c.R * c.R
				macs := float64(m*n*roundUp(in, k)*taps) / float64(c.OutStep()*c.OutStep())
				bytes := float64((halo+n*taps/(c.OutStep()*c.OutStep()))*roundUp(in, k)*facts.bytes) + float64(m*n*4)
				clocks := max(macs/float64(facts.rate), bytes/fillRate) + 600
				used := float64(rows*px*samples*c.Out()) * float64(c.In()) / (float64(unit.units(samples, rows, px)*m*ceil(c.Out(), n)*n) * float64(roundUp(c.In(), k)))
				t := tile{block: b, unit: unit}
				t.predict(arch, units*ceil(c.Out(), n), clocks, used, m*n/b.Threads)
				best = better(best, t)
			}
		}
	}
	return best
}

// haloPixels is the number of pixels of the operand that a unit reads.
func haloPixels(c plan.ConvShape, b box) int {
	step, span := c.Stride, c.R
	if c.R == 1 {
		step = 1
	}
	if c.Dgrad {
		lo, hi := c.TapRange()
		step, span = 1, hi-lo+1
	}
	return b.samples * ((b.rows-1)*step + span) * ((b.px-1)*step + span)
}

// convShared mirrors conv.cuh's shared memory: the operand's tile and the ring of
// weights, and then in their place the result.
func convShared(c plan.ConvShape, b plan.Block, halo int) int {
	bytes := maths[b.Math].bytes
	row := b.K*bytes + 16
	load := halo*row + b.Stages*b.N*row
	if c.Dgrad {
		load = halo*row + b.Stages*b.K*(b.N*bytes+16)
	}
	return roundUp(max(load, b.M*(min(b.N, 64)+4)*4+b.Threads*48), 16)
}

// wgradTile chooses the tile of a gradient by the weight, and its splits.
func wgradTile(c plan.ConvShape, math string, samples int, arch plan.Arch) tile {
	facts := maths[math]
	var best tile
	for _, pixels := range []int{64, 32} {
		unit := boxOf(samples, c.P, c.Q, pixels)
		units := unit.units(samples, c.P, c.Q)
		halo := haloPixels(c, unit)
		for _, m := range []int{16, 32, 64} {
			for _, n := range []int{16, 32} {
				if m > roundUp(c.K, 16) || n > roundUp(c.C, 16) {
					continue
				}
				b := plan.Block{Math: math, M: m, N: n, K: pixels, WarpsM: m / 16, WarpsN: n / 16, WarpsT: 1, Stages: 1}
				if c.R == 3 && m*n < 64*32 {
					b.WarpsT = 3
				}
				b.Threads = warpSize * b.WarpsM * b.WarpsN * b.WarpsT
				row := func(ch int) int { return ch*facts.bytes + 16 }
				b.Shared = roundUp(max(pixels*row(m)+halo*row(n), m*(n+4)*4+b.Threads*48), 16)
				if b.Shared > arch.GPU.Shared {
					continue
				}
				tiles := ceil(c.K, m) * ceil(c.C, n)
				t := tile{block: b, unit: unit}
				accs := m * n * c.R * c.R / b.Threads
				splitElems := tiles * m * n * c.R * c.R
				t.splits = max(1, min(units, ceil(2*arch.GPU.SMs, tiles), max(1, partialBudget/(4*splitElems))))
				perUnit := max(float64(m*n*pixels*c.R*c.R)/float64(facts.rate), float64((pixels*m+halo*n)*facts.bytes)/fillRate)
				clocks := perUnit*float64(ceil(units, t.splits)) + float64(8*m*n*c.R*c.R)/fillRate*float64(1+t.splits/8) + 600
				used := float64(c.P*c.Q*samples) * float64(c.K*c.C) / (float64(units*pixels) * float64(tiles*m*n))
				t.predict(arch, tiles*t.splits, clocks, used, accs)
				best = better(best, t)
			}
		}
	}
	return best
}
