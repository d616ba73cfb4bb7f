//go:build amd64

package cpu

import (
	"unsafe"

	"wrnc/kernels/f32"
)

// philoxArgs is what the generated dropoutMask reads: everything in the form of
// its vectors, four words to a counter.
type philoxArgs struct {
	keys       [10][4]uint32 // round keys: key low, 0, key high, 0
	counter    [maxLanes / 4][4]uint32
	increment  [4]uint32 // counters of a vector, 0, 0, 0
	multiplier [4]uint32 // of word 0, 0, of word 2, 0
	below      int32     // threshold - 1
}

// set starts at counter group, lanes/4 counters a vector.
func (a *philoxArgs) set(lanes int, group, seed, step uint64, stream, threshold uint32) {
	*a = philoxArgs{
		increment:  [4]uint32{uint32(lanes / 4)},
		multiplier: [4]uint32{0: f32.PhiloxM0, 2: f32.PhiloxM1},
		below:      int32(threshold) - 1,
	}
	lo, hi := uint32(seed), uint32(seed>>32)
	for r := range a.keys {
		a.keys[r] = [4]uint32{0: lo, 2: hi}
		lo += f32.PhiloxW0
		hi += f32.PhiloxW1
	}
	for i := range a.counter {
		g := group + uint64(i)
		a.counter[i] = [4]uint32{uint32(g), uint32(g >> 32), uint32(step), stream}
	}
}

// dropoutRow leaves to Go what lies before the first whole counter and behind
// the last whole vector. A threshold past the half-words keeps nothing, as it
// does in Go.
func (k *vectorKernels) dropoutRow(dst []uint32, e0 uint64, n int, seed, step uint64, stream, threshold uint32) {
	_ = dst[:n:len(dst)]
	if e0+uint64(n) < e0 { // elements pass 2^64, where a group's number starts again
		goDropoutMask(dst, e0, n, seed, step, stream, threshold)
		return
	}
	threshold = min(threshold, 1<<16)
	head := min(int(-e0%8), n)
	goDropoutMask(dst, e0, head, seed, step, stream, threshold)
	per := 2 * k.lanes // elements of a vector of counters
	vectors := (n - head) / per
	if vectors > 0 {
		o := operandsPool.Get().(*operands)
		defer operandsPool.Put(o)
		o.philox.set(k.lanes, (e0+uint64(head))/8, seed, step, stream, threshold)
		k.dropoutMask(&dst[head], (*byte)(unsafe.Pointer(&o.philox)), vectors)
	}
	done := head + vectors*per
	goDropoutMask(dst[done:], e0+uint64(done), n-done, seed, step, stream, threshold)
}
