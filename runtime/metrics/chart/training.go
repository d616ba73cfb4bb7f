package chart

import (
	"fmt"
	"math"
	"slices"

	"wrnc/runtime/metrics"
)

// Run is a training to be drawn.
type Run struct {
	Name   string // what tells it from the others; one alone needs none
	Epochs []metrics.Epoch
}

// Training draws runs by their epochs: test errors, solid, and training errors,
// dashed, in percent; training losses; and learning rates, whose drops are marked
// in all panels. Runs beyond [MaxSubjects] are left out.
func Training(title string, runs []Run) Figure {
	runs = runs[:min(len(runs), MaxSubjects)]
	errors := Panel{Title: "error, %", Rows: 14}
	loss := Panel{Title: "training loss", Rows: 8, Log: true}
	for i, r := range runs {
		train := Curve{Subject: i, Part: "train", Style: Dashed, Points: points(r, func(e metrics.Epoch) metrics.Number { return e.TrainError })}
		if len(runs) == 1 {
			train.Label = endLabel("train", train)
		}
		errors.Curves = append(errors.Curves, train)
		loss.Curves = append(loss.Curves, Curve{Subject: i, Points: points(r, func(e metrics.Epoch) metrics.Number { return e.TrainLoss })})
	}
	for i, r := range runs {
		test := Curve{Subject: i, Part: "test", Points: points(r, func(e metrics.Epoch) metrics.Number { return e.TestError })}
		name := r.Name
		if len(runs) == 1 {
			name = "test"
		}
		test.Label = endLabel(name, test)
		errors.Curves = append(errors.Curves, test)
	}
	errors.Top = top(errors)
	rates := ratePanel(runs)
	return Figure{Title: title, X: "epoch", Marks: drops(rates), Panels: []Panel{errors, loss, rates}}
}

// points are a number of each epoch.
func points(r Run, number func(metrics.Epoch) metrics.Number) []Point {
	all := make([]Point, len(r.Epochs))
	for i, e := range r.Epochs {
		all[i] = Point{float64(e.Epoch), float64(number(e))}
	}
	return all
}

// endLabel is a name with the curve's last value.
func endLabel(name string, c Curve) string {
	last, ok := c.last()
	if !ok {
		return ""
	}
	return fmt.Sprintf("%.2f %% %s", last.Y, name)
}

// top is where a panel of errors is cut off: at what its curves do not exceed after
// the first tenth of their epochs, if that leaves much more room to what matters;
// otherwise 0.
func top(p Panel) float64 {
	_, all := p.extent()
	late := 0.0
	for _, c := range p.Curves {
		for _, point := range c.Points[len(c.Points)/10:] {
			if point.finite() {
				late = max(late, point.Y)
			}
		}
	}
	if late <= 0 {
		return 0
	}
	step := roundStep(late, 10)
	if cut := math.Ceil(late/step) * step; cut < 0.75*all {
		return tidy(cut)
	}
	return 0
}

// ratePanel draws the schedules that differ, or the one that all runs have.
func ratePanel(runs []Run) Panel {
	p := Panel{Title: "learning rate", Rows: 5, Log: true}
	longest := Curve{Subject: Shared, Style: Steps}
	one := true
	for i, r := range runs {
		rates := points(r, func(e metrics.Epoch) metrics.Number { return e.LR })
		p.Curves = append(p.Curves, Curve{Subject: i, Style: Steps, Points: rates})
		a, b := rates, longest.Points
		if len(a) > len(b) {
			longest.Points = rates
			a, b = b, a
		}
		one = one && slices.EqualFunc(a, b[:len(a)], func(a, b Point) bool {
			return a == b || a.X == b.X && !a.finite() && !b.finite()
		})
	}
	if one {
		p.Curves = []Curve{longest}
	}
	p.Ticks = distinct(p.Curves)
	return p
}

// maxRates is how many rates are ticks; a schedule of more is no staircase.
const maxRates = 8

// distinct are the rates of schedules, or nil where they are many.
func distinct(curves []Curve) []float64 {
	var rates []float64
	for _, c := range curves {
		for _, p := range c.Points {
			if p.finite() && !slices.Contains(rates, p.Y) {
				rates = append(rates, p.Y)
			}
			if len(rates) > maxRates {
				return nil
			}
		}
	}
	slices.Sort(rates)
	slices.Reverse(rates)
	return rates
}

// drops are where a rate falls. Schedules with many of them, such as a cosine, and
// many schedules get no marks.
func drops(rates Panel) []float64 {
	var marks []float64
	for _, c := range rates.Curves {
		for i := 1; i < len(c.Points); i++ {
			if at := c.Points[i-1].X; c.Points[i].Y < c.Points[i-1].Y && !slices.Contains(marks, at) {
				marks = append(marks, at)
			}
			if len(marks) > maxRates {
				return nil
			}
		}
	}
	slices.Sort(marks)
	return marks
}
