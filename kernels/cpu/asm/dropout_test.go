package main

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/kernels/cpu"
	"wrnc/kernels/f32"
)

// philoxBytes is what package cpu passes as *philoxArgs.
func philoxBytes(lanes int, group, seed, step uint64, stream, threshold uint32) []byte {
	var w []uint32
	lo, hi := uint32(seed), uint32(seed>>32)
	for range 10 {
		w = append(w, lo, 0, hi, 0)
		lo, hi = lo+f32.PhiloxW0, hi+f32.PhiloxW1
	}
	for i := range uint64(4) {
		w = append(w, uint32(group+i), uint32((group+i)>>32), uint32(step), stream)
	}
	w = append(w, uint32(lanes/4), 0, 0, 0, f32.PhiloxM0, 0, f32.PhiloxM1, 0, threshold-1)
	return bytesOf(w)
}

// TestDropoutMask compares the program with Go's functions, also where the
// counter passes 2^32.
func TestDropoutMask(t *testing.T) {
	each(t, func(t *testing.T, p *program, native, plain *cpu.ISA) {
		const seed, step, stream = 0xfedcba9876543210, 1<<40 + 9, 0xdeadbeef
		for _, threshold := range []uint32{0, 1, 19661, 32768, 65535, 65536} {
			for vectors := 1; vectors <= 9; vectors++ {
				group := uint64(math.MaxUint32) - uint64(vectors)
				n := vectors * 2 * p.lanes
				dst := make([]float32, n)
				p.call(t, out(dst), philoxBytes(p.lanes, group, seed, step, stream, threshold)).run("dropoutMask", pointer{0, 0}, pointer{1, 0}, vectors)
				got, want := make([]uint32, n), make([]uint32, n)
				_, err := binary.Decode(bytesOf(dst), binary.LittleEndian, got)
				require.NoError(t, err)
				plain.DropoutMask(want, 8*group, n, seed, step, stream, threshold)
				require.Equal(t, want, got, "threshold %d", threshold)
				if native != nil {
					native.DropoutMask(want, 8*group, n, seed, step, stream, threshold)
					require.Equal(t, got, want, "processor, threshold %d", threshold)
				}
			}
		}
	})
}
