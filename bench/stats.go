package bench

import (
	"math"
	"slices"
)

// Timing is what a program took: the seconds of each step, by round.
type Timing [][]float64

// Summary says what the steps of a program took, in seconds, and how far that is to
// be trusted.
type Summary struct {
	Steps  int
	Least  float64
	Median float64

	// Low and High are the percentiles Tail and 100-Tail, the widest that so many
	// steps tell of: with at least one step in twenty beyond the 5th there are twenty.
	Tail      int // 1, 5 or 10; 0: too few steps, and Low and High are the least and the most
	Low, High float64

	// Between holds the median of a round, of all rounds that could have been, with
	// 95 % confidence.
	Between Interval
}

// Interval is a range of numbers; both ends are zero where there are too few rounds
// to tell.
type Interval struct{ Low, High float64 }

// Known tells whether there is an interval.
func (i Interval) Known() bool { return i != Interval{} }

// Width is the interval's, as a share of its middle.
func (i Interval) Width() float64 {
	if !i.Known() {
		return 0
	}
	return 2 * (i.High - i.Low) / (i.High + i.Low)
}

// Noisy is the width from which a figure is not to be quoted: one that other work
// of the machine has made, or the lack of rounds.
const Noisy = 0.1

// Summarize summarizes a timing of at least one step.
func (t Timing) Summarize() Summary {
	all := slices.Concat(t...)
	slices.Sort(all)
	s := Summary{Steps: len(all), Least: all[0], Median: percentile(all, 50), Between: medianInterval(t.medians())}
	for _, tail := range []int{1, 5, 10} {
		if len(all)*tail >= 100 {
			s.Tail = tail
			break
		}
	}
	s.Low, s.High = percentile(all, s.Tail), percentile(all, 100-s.Tail)
	return s
}

// medians are those of the rounds.
func (t Timing) medians() []float64 {
	var m []float64
	for _, round := range t {
		m = append(m, median(round))
	}
	return m
}

// Ratio compares two programs that took turns.
type Ratio struct {
	Medians float64  // of all steps
	Least   float64  // of the fastest steps
	Between Interval // holds the median of the rounds' ratios with 95 % confidence
}

// Over is the time of t divided by that of the other, which had as many rounds. The
// two steps of a pair of turns are neighbours, so that what slows the machine for
// longer than a turn is in both, and not in their ratio.
func (t Timing) Over(other Timing) Ratio {
	ours, theirs := t.Summarize(), other.Summarize()
	var rounds []float64
	for i := range t {
		rounds = append(rounds, median(t[i])/median(other[i]))
	}
	return Ratio{Medians: ours.Median / theirs.Median, Least: ours.Least / theirs.Least, Between: medianInterval(rounds)}
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return percentile(sorted, 50)
}

// percentile interpolates between the two nearest of sorted values.
func percentile(sorted []float64, p int) float64 {
	at := float64(p) / 100 * float64(len(sorted)-1)
	i := int(at)
	if i+1 == len(sorted) {
		return sorted[i]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}

// medianInterval holds the median of what the values are drawn from with at least
// 95 % confidence, whatever its distribution: the ends are the k-th values from both
// sides, for the largest k for which fewer than k of n values fall below the median
// with a probability of at most 2.5 % (Conover, Practical Nonparametric Statistics,
// 3.2). It takes six values.
func medianInterval(values []float64) Interval {
	n := len(values)
	below := 0.0 // the probability that fewer than k values fall below the median
	term := math.Pow(0.5, float64(n))
	k := 0
	for ; k < n/2; k++ {
		if below+term > 0.025 {
			break
		}
		below += term
		term *= float64(n-k) / float64(k+1)
	}
	if k == 0 {
		return Interval{}
	}
	sorted := slices.Sorted(slices.Values(values))
	return Interval{Low: sorted[k-1], High: sorted[n-k]}
}
