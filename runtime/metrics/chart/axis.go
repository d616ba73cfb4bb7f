package chart

import (
	"math"
	"strconv"
)

// axis maps values to 0..1 and has the ticks in its range.
type axis struct {
	lo, hi float64
	log    bool
	ticks  []float64
}

// at is where a value lies: 0 at the axis' low end, 1 at its high end, and beyond
// for what is outside, up to ten times the axis away.
func (a axis) at(v float64) float64 {
	if a.log {
		return (math.Log(v) - math.Log(a.lo)) / (math.Log(a.hi) - math.Log(a.lo))
	}
	return min(max(-10, (v-a.lo)/(a.hi-a.lo)), 10)
}

// horizontal is the axis of whole numbers 0..end.
func horizontal(end float64, most int) axis {
	step := max(1, roundStep(end, most))
	return axis{hi: end, ticks: multiples(step, end)}
}

// vertical is the panel's axis, with at most so many ticks of round numbers, or those
// of its own ticks that are not nearer to each other than a part of the axis.
func (p Panel) vertical(most int, nearest float64) axis {
	lo, hi := p.extent()
	a := axis{lo: lo, hi: hi, log: p.Log && lo > tiny}
	if !a.log {
		a.lo = 0
		if hi <= tiny {
			a.hi = 1
		}
		step := roundStep(a.hi, most)
		if p.Top == 0 {
			a.hi = math.Ceil(a.hi/step-1e-9) * step
		}
		a.ticks = multiples(step, a.hi)
	} else {
		margin := max(1.1, math.Pow(hi/lo, 0.06))
		a.lo, a.hi = lo/margin, hi*margin
		a.ticks = logTicks(a.lo, a.hi, most)
	}
	if p.Ticks != nil {
		a.ticks = a.apart(p.Ticks, nearest)
	}
	return a
}

// extent is the least and the greatest value of the panel's curves.
func (p Panel) extent() (lo, hi float64) {
	lo, hi = math.Inf(1), math.Inf(-1)
	for _, c := range p.Curves {
		for _, point := range c.Points {
			if point.finite() {
				lo, hi = min(lo, point.Y), max(hi, point.Y)
			}
		}
	}
	if lo > hi {
		return 0, 1 // nothing to draw
	}
	if p.Top > 0 {
		hi = p.Top
	}
	return lo, hi
}

// apart leaves out ticks that are outside, or nearer to the one before than a part of
// the axis.
func (a axis) apart(ticks []float64, nearest float64) []float64 {
	var kept []float64
	for _, t := range ticks {
		at := a.at(t)
		if at < 0 || at > 1 {
			continue
		}
		if n := len(kept); n > 0 && math.Abs(at-a.at(kept[n-1])) < nearest {
			continue
		}
		kept = append(kept, t)
	}
	return kept
}

// roundStep is the least 1, 2 or 5 times a power of ten of which at most so many
// fit into 0..end.
func roundStep(end float64, most int) float64 {
	power := math.Pow10(int(math.Floor(math.Log10(end / float64(most)))))
	for _, digit := range []float64{1, 2, 5} {
		if end/(digit*power) <= float64(most) {
			return digit * power
		}
	}
	return 10 * power
}

// multiples are those of step in 0..end.
func multiples(step, end float64) []float64 {
	var ticks []float64
	for i := 0; float64(i)*step <= end*(1+1e-9); i++ {
		ticks = append(ticks, tidy(float64(i)*step))
	}
	return ticks
}

// logTicks are round numbers in lo..hi, as many kinds of them as fit: powers of
// ten, those and their 3 fold, or 1, 2 and 5 times powers of ten.
func logTicks(lo, hi float64, most int) []float64 {
	var ticks []float64
	for _, digits := range [][]float64{{1}, {1, 3}, {1, 2, 5}, {1, 1.5, 2, 3, 5, 7}} {
		var finer []float64
		for power := math.Floor(math.Log10(lo)); power <= math.Log10(hi); power++ {
			for _, digit := range digits {
				if v := tidy(digit * math.Pow(10, power)); v >= lo && v <= hi {
					finer = append(finer, v)
				}
			}
		}
		if len(finer) > most {
			break
		}
		ticks = finer
	}
	if len(ticks) >= 2 {
		return ticks
	}
	return axis{lo: lo, hi: hi, log: true}.within(multiples(roundStep(hi, most), hi))
}

// within are the ticks in the axis' range.
func (a axis) within(ticks []float64) []float64 {
	var kept []float64
	for _, t := range ticks {
		if t >= a.lo && t <= a.hi {
			kept = append(kept, t)
		}
	}
	return kept
}

// tidy takes off what computing in binary adds: 0.30000000000000004 is 0.3.
func tidy(v float64) float64 {
	tidied, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 12, 64), 64)
	if err != nil {
		return v // beyond the range of a float64 after rounding
	}
	return tidied
}

// formatNumber prints a tick.
func formatNumber(v float64) string {
	v = tidy(v)
	if size := math.Abs(v); v != 0 && (size < 1e-5 || size >= 1e7) {
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}
