package f32

import "math/bits"

// The constants of Philox4x32: the multipliers of words 0 and 2, and what a
// round adds to the words of the key.
const (
	PhiloxM0 = 0xD2511F53
	PhiloxM1 = 0xCD9E8D57
	PhiloxW0 = 0x9E3779B9
	PhiloxW1 = 0xBB67AE85
)

// Philox4x32 is ten rounds of the counter-based generator Philox4x32 of Salmon,
// Moraes, Dror and Shaw, Parallel Random Numbers: As Easy as 1, 2, 3 (2011).
func Philox4x32(key [2]uint32, ctr [4]uint32) [4]uint32 {
	for range 10 {
		hi0, lo0 := bits.Mul32(PhiloxM0, ctr[0])
		hi1, lo1 := bits.Mul32(PhiloxM1, ctr[2])
		ctr = [4]uint32{hi1 ^ ctr[1] ^ key[0], lo1, hi0 ^ ctr[3] ^ key[1], lo0}
		key[0] += PhiloxW0
		key[1] += PhiloxW1
	}
	return ctr
}
