package cpu

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestDropoutMaskAnywhere compares every instruction set's masks with Go's, to
// the bit: ragged ends, the border of the counter's words and thresholds beside
// and outside the sixteen bits.
func TestDropoutMaskAnywhere(t *testing.T) {
	const guard = 7
	starts := []uint64{0, 1, 7, 8, 9, 15, 1003, 1<<35 - 40, 1<<35 - 8, 1<<35 - 3, math.MaxUint64 - 200, math.MaxUint64 - 99, math.MaxUint64 - 2}
	thresholds := []uint32{0, 1, 19661, 1<<15 - 1, 1 << 15, 1<<15 + 1, 1<<16 - 1, 1 << 16, 1<<16 + 1, 1 << 31, math.MaxUint32}
	for _, isa := range Available() {
		lanes := max(isa.Lanes, 8)
		for _, e0 := range starts {
			for i, n := range []int{0, 1, 3, 8, 4*lanes - 1, 4 * lanes, 4*lanes + 1, 8 * lanes, 12*lanes + 7, 20*lanes + 5} {
				threshold := thresholds[i%len(thresholds)]
				if n > 8*lanes {
					threshold = 19661 // where the most can differ
				}
				want, got := make([]uint32, n), make([]uint32, n+2*guard)
				for j := range got {
					got[j] = 0x5a5a5a5a
				}
				goDropoutMask(want, e0, n, 0x0123456789abcdef, 0xfedcba9876543210, 0xdeadbeef, threshold)
				isa.DropoutMask(got[guard:guard+n:guard+n], e0, n, 0x0123456789abcdef, 0xfedcba9876543210, 0xdeadbeef, threshold)
				where := fmt.Sprintf("%s: %d elements from %d, threshold %d", isa.Name, n, e0, threshold)
				require.Equal(t, want, got[guard:guard+n], where)
				for j := range guard {
					require.Equal(t, [2]uint32{0x5a5a5a5a, 0x5a5a5a5a}, [2]uint32{got[j], got[guard+n+j]}, "%s: wrote outside", where)
				}
			}
		}
		for _, threshold := range thresholds {
			want, got := make([]uint32, 1024), make([]uint32, 1024)
			goDropoutMask(want, 8, len(want), 3, 1, 4, threshold)
			isa.DropoutMask(got, 8, len(got), 3, 1, 4, threshold)
			require.Equal(t, want, got, "%s: threshold %d", isa.Name, threshold)
		}
	}
}

// BenchmarkDropoutMask reports nanoseconds an element on a row of 16 pixels.
func BenchmarkDropoutMask(b *testing.B) {
	for _, isa := range Available() {
		for _, n := range []int{16 * 64, 16*64 + 37} {
			dst := make([]uint32, n)
			b.Run(fmt.Sprintf("%s/%d", isa.Name, n), func(b *testing.B) {
				start := time.Now()
				for i := range b.N {
					isa.DropoutMask(dst, uint64(i*n), n, 1, 2, 3, 19661)
				}
				b.ReportMetric(float64(time.Since(start).Nanoseconds())/float64(b.N*n), "ns/element")
			})
		}
	}
}
