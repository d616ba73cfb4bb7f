package cubin

import (
	"fmt"
	"maps"
	"slices"
)

// Limits are what a multiprocessor of an architecture has.
type Limits struct {
	Warps       int // resident at once
	Blocks      int // resident at once
	Shared      int // bytes, of all blocks
	SharedBlock int // bytes that one block can have, when it asks for them
	Barriers    int // of all blocks, 0 where they are no limit
}

// What all these architectures have in common.
const (
	warpSize        = 32
	maxThreads      = 1024 // a block
	registers       = 64 << 10
	registersThread = 255
	registerUnit    = 256 // registers of a warp are allocated in these
	sharedUnit      = 128 // shared memory of a block is allocated in these
	partitions      = 4   // each has a quarter of the registers, for its warps
)

// limits are from two files of NVIDIA's: cuda_occupancy.h of CUDA 13.0 (blocks,
// barriers, units) and cuda/__device/arch_traits.h of CCCL (warps, shared memory).
var limits = map[int]Limits{
	80:  {64, 32, 164 << 10, 163 << 10, 0},
	86:  {48, 16, 100 << 10, 99 << 10, 0},
	87:  {48, 16, 164 << 10, 163 << 10, 0},
	89:  {48, 24, 100 << 10, 99 << 10, 0},
	90:  {64, 32, 228 << 10, 227 << 10, 64},
	100: {64, 32, 228 << 10, 227 << 10, 64},
	103: {64, 32, 228 << 10, 227 << 10, 64},
	120: {48, 24, 100 << 10, 99 << 10, 24},
	121: {48, 24, 100 << 10, 99 << 10, 24},
}

// LimitsOf returns the limits of an architecture, 90 for sm_90.
func LimitsOf(arch int) (Limits, error) {
	l, ok := limits[arch]
	if !ok {
		return Limits{}, fmt.Errorf("sm_%d: limits are known of %v", arch, slices.Sorted(maps.Keys(limits)))
	}
	return l, nil
}

// BlocksPerSM is the number of blocks of so many threads that a multiprocessor
// holds at once, each with so many bytes of dynamic shared memory; 0 where a block
// cannot run at all. The formula is that of cuda_occupancy.h, for the setting that
// leaves shared memory as much of the first cache as it can have.
func (k *Kernel) BlocksPerSM(l Limits, threads, dynamic int) int {
	if threads < 1 || threads > maxThreads || k.MaxThreads > 0 && threads > k.MaxThreads || k.Registers > registersThread {
		return 0
	}
	warps := (threads + warpSize - 1) / warpSize
	blocks := min(l.Blocks, l.Warps/warps)

	if each := roundUp(k.Registers*warpSize, registerUnit); each > 0 {
		// A launch is refused as if the warps were spread evenly over the partitions.
		if each*roundUp(warps, partitions) > registers {
			return 0
		}
		blocks = min(blocks, registers/partitions/each*partitions/warps)
	}
	if k.Shared+dynamic > l.SharedBlock {
		return 0
	}
	blocks = min(blocks, l.Shared/roundUp(k.Shared+dynamic+reserved, sharedUnit))
	if l.Barriers > 0 && k.Barriers > 0 {
		blocks = min(blocks, l.Barriers/k.Barriers)
	}
	return blocks
}

// roundUp returns the next multiple of unit.
func roundUp(n, unit int) int { return (n + unit - 1) / unit * unit }
