package cpu

import "wrnc/kernels/f32"

// goDropoutMask: element e is kept where half-word e mod 8, low first, of
// Philox4x32-10 with key = seed and counter = (e/8 low, e/8 high, step, stream)
// is at least the threshold.
func goDropoutMask(dst []uint32, e0 uint64, n int, seed, step uint64, stream, threshold uint32) {
	key := [2]uint32{uint32(seed), uint32(seed >> 32)}
	var words [4]uint32
	for i := range n {
		e := e0 + uint64(i)
		if i == 0 || e%8 == 0 {
			words = f32.Philox4x32(key, [4]uint32{uint32(e / 8), uint32(e >> 35), uint32(step), stream})
		}
		half := words[e%8/2] >> (16 * (e % 2)) & 0xffff
		dst[i] = 0
		if half >= threshold {
			dst[i] = ^uint32(0)
		}
	}
}
