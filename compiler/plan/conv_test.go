package plan_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/compiler/ir"
	"wrnc/compiler/plan"
)

// TestRuns counts, one by one, the results and the taps that lie in the picture,
// and requires the runs to say the same, each result in one run, in order.
func TestRuns(t *testing.T) {
	for _, c := range shapes() {
		inside := func(i int, tap plan.Tap) bool {
			at := i*c.InStep() + tap.Offset - c.Border()
			return at >= 0 && at < c.InRows()
		}
		for phase := range c.OutStep() {
			next := 0
			for _, run := range c.Runs(phase, c.OutRows(), c.InRows()) {
				require.Equal(t, next, run.Lo, "%+v", c)
				for next = run.Lo; next < run.Hi; next++ {
					var want []plan.Tap
					for _, tap := range c.Taps(phase) {
						if inside(next, tap) {
							want = append(want, tap)
						}
					}
					require.Equal(t, want, run.Taps, "%+v, result %d", c, next)
				}
			}
			require.Equal(t, (c.OutRows()-phase+c.OutStep()-1)/c.OutStep(), next, "%+v", c)
		}
	}
}

func TestInside(t *testing.T) {
	for _, c := range shapes() {
		for r := range c.R {
			lo, hi := c.Inside(r, c.P, c.H)
			for p := range c.P {
				at := p*c.Stride + r - c.Pad
				require.Equal(t, at >= 0 && at < c.H, p >= lo && p < hi, "%+v, row %d of the filter, result %d", c, r, p)
			}
		}
	}
}

// shapes are convolutions of pictures of few rows, and their gradients.
func shapes() []plan.ConvShape {
	var all []plan.ConvShape
	for h := 1; h <= 9; h++ {
		for _, r := range []int{1, 2, 3, 5, 7} {
			for pad := range r {
				for stride := 1; stride <= 3; stride++ {
					p := ir.ConvOut(h, r, pad, stride)
					if p < 1 {
						continue
					}
					c := plan.ConvShape{H: h, W: h, C: 1, P: p, Q: p, K: 1, R: r, Pad: pad, Stride: stride}
					all = append(all, c)
					c.Dgrad = true
					all = append(all, c)
				}
			}
		}
	}
	return all
}

// TestNarrowTile reads an architecture with two widths of tiles back.
func TestNarrowTile(t *testing.T) {
	for _, narrow := range []int{0, 16} {
		p := &plan.Plan{Net: "n", Func: "f", Batch: 1, Arch: plan.Arch{Target: "cpu", ISA: "avx512", Chans: 32, Narrow: narrow, L1: 1 << 15, L2: 1 << 19}}
		back, err := plan.Parse("plan", p.String())
		require.NoError(t, err, fmt.Sprint(narrow))
		require.Equal(t, p.Arch, back.Arch)
	}
}
