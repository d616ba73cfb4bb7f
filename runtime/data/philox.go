package data

import "math/bits"

// A stream keeps the random numbers of one purpose apart from those of all
// others under the same seed. Its value is the FNV-1a hash of its name.
type stream uint32

const (
	streamShuffle stream = 0x790c294e // FNV-1a of "shuffle"
	streamAugment stream = 0xb8e63d78 // FNV-1a of "augment"
	streamDigits  stream = 0xcead783f // FNV-1a of "digits"
)

// words returns the four random words that belong to element e of a stream in
// an epoch: Philox4x32-10 with key = seed and counter = (e low, e high, epoch,
// stream).
func words(seed uint64, s stream, epoch uint32, e uint64) [4]uint32 {
	return philox(
		[4]uint32{uint32(e), uint32(e >> 32), epoch, uint32(s)},
		[2]uint32{uint32(seed), uint32(seed >> 32)})
}

// philox is Philox4x32-10 (Salmon, Moraes, Dror and Shaw, "Parallel random
// numbers: as easy as 1, 2, 3", SC 2011): a keyed bijection of the counter.
func philox(c [4]uint32, k [2]uint32) [4]uint32 {
	for range 10 {
		hi0, lo0 := bits.Mul32(0xD2511F53, c[0])
		hi1, lo1 := bits.Mul32(0xCD9E8D57, c[2])
		c = [4]uint32{hi1 ^ c[1] ^ k[0], lo1, hi0 ^ c[3] ^ k[1], lo0}
		k[0] += 0x9E3779B9
		k[1] += 0xBB67AE85
	}
	return c
}

// below maps a random word to 0..n-1. Each value's share is off by less than
// n/2^32 of itself, which is far below what a training run can notice.
func below(word uint32, n int) int {
	return int(uint64(word) * uint64(n) >> 32)
}

// shuffle fills order with the permutation of 0..len(order)-1 that belongs to
// (seed, epoch), by Fisher and Yates's method from the last place down.
func shuffle(order []int32, seed uint64, epoch uint32) {
	for i := range order {
		order[i] = int32(i)
	}
	for i := len(order) - 1; i > 0; i-- {
		w := words(seed, streamShuffle, epoch, uint64(i)/4)
		j := below(w[i%4], i+1)
		order[i], order[j] = order[j], order[i]
	}
}
