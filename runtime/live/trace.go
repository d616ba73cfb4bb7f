package live

import "wrnc/runtime/metrics"

// tracePoints bounds a trace.
const tracePoints = 512

// trace is a curve of bounded size over a run of any length: a point is the mean of
// so many values, twice as many each time that there is no room for more.
type trace struct {
	points []point
	width  int // values of a point
	sum    float64
	count  int // values in sum
}

// point is a value at a time.
type point struct {
	At    metrics.Number `json:"at"` // in epochs, the end of what it is the mean of
	Value metrics.Number `json:"value"`
}

// add takes a value, and tells whether there is a new point.
func (t *trace) add(at, value float64) bool {
	t.sum += value
	t.count++
	if t.count < max(1, t.width) {
		return false
	}
	t.points = append(t.points, point{metrics.Number(at), metrics.Number(t.sum / float64(t.count))})
	t.sum, t.count = 0, 0
	if len(t.points) == tracePoints {
		t.halve()
	}
	return true
}

func (t *trace) halve() {
	for i := range t.points[:len(t.points)/2] {
		a, b := t.points[2*i], t.points[2*i+1]
		t.points[i] = point{b.At, (a.Value + b.Value) / 2}
	}
	t.points = t.points[:len(t.points)/2]
	t.width = 2 * max(1, t.width)
}

// thin leaves out records of a long list evenly, but never the last one.
func thin[T any](all []T, most int) []T {
	every := (len(all) + most - 1) / most
	if every <= 1 {
		return all
	}
	kept := make([]T, 0, most)
	for i := (len(all) - 1) % every; i < len(all); i += every {
		kept = append(kept, all[i])
	}
	return kept
}
