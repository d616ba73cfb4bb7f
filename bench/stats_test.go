package bench

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// counting is 1, 2, ..., n, a step a round.
func counting(n int) Timing {
	var t Timing
	for i := range n {
		t = append(t, []float64{float64(i + 1)})
	}
	return t
}

func TestSummarize(t *testing.T) {
	s := Timing{{5, 1}, {4, 2}, {3}}.Summarize()
	require.Equal(t, Summary{Steps: 5, Least: 1, Median: 3, Tail: 0, Low: 1, High: 5}, s)
	for _, c := range []struct{ n, tail int }{{9, 0}, {10, 10}, {19, 10}, {20, 5}, {99, 5}, {100, 1}} {
		s := counting(c.n).Summarize()
		require.Equal(t, c.tail, s.Tail, "%d steps", c.n)
		last := float64(c.n - 1)
		require.InDelta(t, 1+last*float64(c.tail)/100, s.Low, 1e-9)
		require.InDelta(t, 1+last*float64(100-c.tail)/100, s.High, 1e-9)
		require.InDelta(t, 1+last/2, s.Median, 1e-9)
	}
}

// TestInterval has the ranks of Conover's table A3: the k-th from both ends, for the
// largest k whose binomial tail is at most 2.5 %.
func TestInterval(t *testing.T) {
	for n, k := range map[int]int{1: 0, 2: 0, 5: 0, 6: 1, 8: 1, 9: 2, 11: 2, 12: 3, 15: 4, 20: 6, 50: 18, 100: 40} {
		want := Interval{}
		if k > 0 {
			want = Interval{Low: float64(k), High: float64(n + 1 - k)}
		}
		require.Equal(t, want, counting(n).Summarize().Between, "%d rounds", n)
		require.Equal(t, k > 0, want.Known())
	}
	require.InDelta(t, 0.2, Interval{Low: 9, High: 11}.Width(), 1e-9)
	require.Zero(t, Interval{}.Width())
}

// TestOver: what slows both programs in a round is not in their ratio.
func TestOver(t *testing.T) {
	var ours, theirs Timing
	for i := range 8 {
		slow := float64(1 + i*i)
		ours = append(ours, []float64{slow, slow})
		theirs = append(theirs, []float64{2 * slow, 2 * slow})
	}
	require.Equal(t, Ratio{Medians: 0.5, Least: 0.5, Between: Interval{Low: 0.5, High: 0.5}}, ours.Over(theirs))
	require.Greater(t, ours.Summarize().Between.Width(), Noisy)
}
