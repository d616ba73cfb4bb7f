package f32

import "math/bits"

// Philox4x32 is ten rounds of the counter-based generator Philox4x32 of Salmon,
// Moraes, Dror and Shaw, Parallel Random Numbers: As Easy as 1, 2, 3 (2011).
func Philox4x32(key [2]uint32, ctr [4]uint32) [4]uint32 {
	for range 10 {
		hi0, lo0 := bits.Mul32(0xD2511F53, ctr[0])
		hi1, lo1 := bits.Mul32(0xCD9E8D57, ctr[2])
		ctr = [4]uint32{hi1 ^ ctr[1] ^ key[0], lo1, hi0 ^ ctr[3] ^ key[1], lo0}
		key[0] += 0x9E3779B9
		key[1] += 0xBB67AE85
	}
	return ctr
}
