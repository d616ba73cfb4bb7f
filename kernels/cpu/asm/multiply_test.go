package main

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"wrnc/kernels/cpu"
	"wrnc/kernels/f32"
)

func TestFieldOffsets(t *testing.T) {
	var c cpu.ConvArgs
	require.Equal(t, []uintptr{convX, convW, convOut, convTaps, convNTaps, convC, convPixels, convXStep, convOutStep, convAccumulate},
		[]uintptr{unsafe.Offsetof(c.X), unsafe.Offsetof(c.W), unsafe.Offsetof(c.Out), unsafe.Offsetof(c.Taps), unsafe.Offsetof(c.NTaps), unsafe.Offsetof(c.C),
			unsafe.Offsetof(c.Pixels), unsafe.Offsetof(c.XStep), unsafe.Offsetof(c.OutStep), unsafe.Offsetof(c.Accumulate)})
	var w cpu.WgradArgs
	require.Equal(t, []uintptr{wgradX, wgradDY, wgradDW, wgradRows, wgradPixels, wgradC, wgradXRow, wgradXStep, wgradDYRow, wgradDYStep, wgradDWStep},
		[]uintptr{unsafe.Offsetof(w.X), unsafe.Offsetof(w.DY), unsafe.Offsetof(w.DW), unsafe.Offsetof(w.Rows), unsafe.Offsetof(w.Pixels), unsafe.Offsetof(w.C),
			unsafe.Offsetof(w.XRow), unsafe.Offsetof(w.XStep), unsafe.Offsetof(w.DYRow), unsafe.Offsetof(w.DYStep), unsafe.Offsetof(w.DWStep)})
}

// quads is an argument struct as the machine sees it.
func quads(values ...uint64) []byte {
	var b []byte
	for _, v := range values {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	return b
}

// widths are the microkernels by the vectors of a tile.
var widths = []struct {
	vectors int
	suffix  string
	of      func(isa *cpu.ISA) cpu.Multiply
}{
	{1, "Narrow", func(isa *cpu.ISA) cpu.Multiply { return isa.Narrow }},
	{2, "", func(isa *cpu.ISA) cpu.Multiply { return isa.Wide }},
}

func TestConv(t *testing.T) {
	each(t, func(t *testing.T, p *program, native, _ *cpu.ISA) {
		for i, c := range []int{1, 3, 4, 5, 16, 17, 33} {
			for pixels := 1; pixels <= 33; pixels++ {
				for _, accumulate := range []int{0, 1} {
					for width := range widths {
						testConv(t, p, native, width, c, pixels, []int{0, 1, 2, 4, 9}[(i+pixels)%5], accumulate)
					}
				}
			}
		}
	})
}

// testConv lays the row out so that the first tap lies before X and the reading
// of the last pixel ends with the operand; weights lie in the reverse order of taps.
func testConv(t *testing.T, p *program, native *cpu.ISA, width, c, pixels, nTaps, accumulate int) {
	r := rand.New(rand.NewPCG(uint64(c), uint64(pixels)))
	chans := widths[width].vectors * p.lanes
	xStep, outStep := c*(1+pixels%2), chans*(1+pixels%3%2)
	before := 7
	taps := make([]cpu.Tap, nTaps)
	for i := range taps {
		taps[i] = cpu.Tap{X: int64(4 * (r.IntN(50) - before)), W: int64(4 * (nTaps - 1 - i) * c * chans)}
	}
	x, w := random(r, before+(pixels-1)*xStep+43+c), random(r, nTaps*c*chans+1)
	w = w[:len(w)-1]
	result := random(r, (pixels-1)*outStep+chans)
	want, real := append([]float32(nil), result...), append([]float32(nil), result...)
	for q := range pixels {
		for k := range chans {
			sum := want[q*outStep+k]
			if accumulate == 0 {
				sum = 0
			}
			for _, tap := range taps {
				for i := range c {
					sum = f32.FMA(w[int(tap.W)/4+i*chans+k], x[before+q*xStep+int(tap.X)/4+i], sum)
				}
			}
			want[q*outStep+k] = sum
		}
	}
	call := p.call(t, in(x), in(w), out(result), bytesOf(taps))
	args := quads(call.address(pointer{0, 4 * before}), call.address(pointer{1, 0}), call.address(pointer{2, 0}), call.address(pointer{3, 0}),
		uint64(nTaps), uint64(c), uint64(pixels), uint64(4*xStep), uint64(4*outStep), uint64(accumulate))
	call.add(args, false)
	call.run("conv"+widths[width].suffix, pointer{4, 0})
	what := fmt.Sprintf("%d vectors, %d channels, %d pixels, %d taps, accumulate %d", widths[width].vectors, c, pixels, nTaps, accumulate)
	sameBits(t, want, result, what)
	if native == nil {
		return
	}
	a := &cpu.ConvArgs{X: unsafe.Pointer(&x[before]), W: unsafe.Pointer(unsafe.SliceData(w)), Out: unsafe.Pointer(&real[0]),
		Taps: unsafe.SliceData(taps), NTaps: nTaps, C: c, Pixels: pixels, XStep: 4 * xStep, OutStep: 4 * outStep, Accumulate: accumulate}
	widths[width].of(native).Conv(a)
	sameBits(t, result, real, "processor, "+what)
}

func TestWgrad(t *testing.T) {
	each(t, func(t *testing.T, p *program, native, _ *cpu.ISA) {
		for c := 1; c <= 40; c++ {
			for _, rows := range []int{1, 2, 3} {
				for width := range widths {
					testWgrad(t, p, native, width, c, rows, 1+(c+rows)%7)
				}
			}
		}
	})
}

func testWgrad(t *testing.T, p *program, native *cpu.ISA, width, c, rows, pixels int) {
	r := rand.New(rand.NewPCG(uint64(c), uint64(rows)))
	chans := widths[width].vectors * p.lanes
	xStep, dyStep, dwStep := c+3, chans+c%2*8, chans+c%3%2*16
	xRow, dyRow := pixels*xStep+5, pixels*dyStep+8
	x, dy := random(r, (rows-1)*xRow+(pixels-1)*xStep+c), random(r, (rows-1)*dyRow+(pixels-1)*dyStep+chans)
	dw := random(r, (c-1)*dwStep+chans)
	want, real := append([]float32(nil), dw...), append([]float32(nil), dw...)
	for i := range c {
		for k := range chans {
			for row := range rows {
				for q := range pixels {
					want[i*dwStep+k] = f32.FMA(x[row*xRow+q*xStep+i], dy[row*dyRow+q*dyStep+k], want[i*dwStep+k])
				}
			}
		}
	}
	call := p.call(t, in(x), in(dy), out(dw))
	call.add(quads(call.address(pointer{0, 0}), call.address(pointer{1, 0}), call.address(pointer{2, 0}), uint64(rows), uint64(pixels), uint64(c),
		uint64(4*xRow), uint64(4*xStep), uint64(4*dyRow), uint64(4*dyStep), uint64(4*dwStep)), false)
	call.run("wgrad"+widths[width].suffix, pointer{3, 0})
	what := fmt.Sprintf("%d vectors, %d channels, %d rows, %d pixels", widths[width].vectors, c, rows, pixels)
	sameBits(t, want, dw, what)
	if native == nil {
		return
	}
	widths[width].of(native).Wgrad(&cpu.WgradArgs{X: unsafe.Pointer(&x[0]), DY: unsafe.Pointer(&dy[0]), DW: unsafe.Pointer(&real[0]), Rows: rows, Pixels: pixels, C: c,
		XRow: 4 * xRow, XStep: 4 * xStep, DYRow: 4 * dyRow, DYStep: 4 * dyStep, DWStep: 4 * dwStep})
	sameBits(t, dw, real, "processor, "+what)
}
