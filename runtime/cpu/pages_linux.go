package cpu

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// hugePage is the size of the larger pages of the processors that have vector
// instruction sets here.
const hugePage = 2 << 20

// adviseHuge asks the system for large pages where memory that has not been touched
// yet holds whole ones: a step walks through all of its memory, and looks up far
// fewer of them. It is advice. A system without such pages refuses, and nothing but
// speed depends on it.
func adviseHuge(m []float32) {
	b := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(m))), 4*len(m))
	first := int(-uintptr(unsafe.Pointer(unsafe.SliceData(b))) & (hugePage - 1))
	if whole := (len(b) - first) / hugePage * hugePage; whole > 0 {
		_ = unix.Madvise(b[first:first+whole], unix.MADV_HUGEPAGE)
	}
}
