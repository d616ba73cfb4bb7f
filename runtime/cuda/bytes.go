package cuda

import (
	"math"
	"unsafe"
)

// bytesOf is the memory of a slice. Devices are little-endian, and so is every
// machine that has one.
func bytesOf[T float32 | int32 | uint64 | uint16 | uint32](v []T) []byte {
	if len(v) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&v[0])), len(v)*int(unsafe.Sizeof(v[0])))
}

// widen turns bf16 into the float32 of the same value.
func widen(dst []float32, src []uint16) {
	for i, h := range src {
		dst[i] = math.Float32frombits(uint32(h) << 16)
	}
}
