package cubin

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestOccupancy holds BlocksPerSM to the answers of NVIDIA's own formula. How they
// were made is in testdata/occupancy.cpp.
func TestOccupancy(t *testing.T) {
	text, err := os.ReadFile("testdata/occupancy.txt")
	require.NoError(t, err)
	archs := map[int]bool{}
	for line := range strings.Lines(string(text)) {
		var arch, threads, regs, static, dynamic, barriers, want int
		n, err := fmt.Sscan(line, &arch, &threads, &regs, &static, &dynamic, &barriers, &want)
		require.NoError(t, err, line)
		require.Equal(t, 7, n)
		l, err := LimitsOf(arch)
		require.NoError(t, err)
		k := &Kernel{Registers: regs, Shared: static, Barriers: barriers}
		require.Equal(t, want, k.BlocksPerSM(l, threads, dynamic), "sm_%d threads %d registers %d shared %d+%d barriers %d", arch, threads, regs, static, dynamic, barriers)
		archs[arch] = true
	}
	require.Len(t, archs, len(limits), "every architecture is compared")
}

func TestOccupancyOfImpossibleLaunches(t *testing.T) {
	l, err := LimitsOf(80)
	require.NoError(t, err)
	k := &Kernel{Registers: 32, MaxThreads: 128}
	require.Equal(t, 16, k.BlocksPerSM(l, 128, 0))
	require.Zero(t, k.BlocksPerSM(l, 256, 0), "more threads than __launch_bounds__ allows")
	require.Zero(t, k.BlocksPerSM(l, 0, 0))
	_, err = LimitsOf(70)
	require.EqualError(t, err, "sm_70: limits are known of [80 86 87 89 90 100 103 120 121]")
}
