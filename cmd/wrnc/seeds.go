package main

import (
	"fmt"
	"math"
	"slices"

	"wrnc/runtime/metrics"
)

// median is the middle of the values that are numbers, or NaN without any.
func median(values []float64) float64 {
	values = slices.DeleteFunc(slices.Clone(values), math.IsNaN)
	slices.Sort(values)
	n := len(values)
	if n == 0 {
		return math.NaN()
	}
	return (values[(n-1)/2] + values[n/2]) / 2
}

// seedGroup is what came of runs that differ in their seeds alone.
type seedGroup struct {
	Label string         `json:"label"`
	Runs  int            `json:"runs"`
	Ended int            `json:"ended"` // those of which the numbers below are
	Last  seedStatistics `json:"test_error"`
	Best  seedStatistics `json:"best_test_error"`
}

// seedStatistics are of test errors in percent, null without any.
type seedStatistics struct {
	Median metrics.Number `json:"median"`
	Least  metrics.Number `json:"least"`
	Most   metrics.Number `json:"most"`
}

func statistics(values []float64) seedStatistics {
	if len(values) == 0 {
		nan := metrics.Number(math.NaN())
		return seedStatistics{nan, nan, nan}
	}
	return seedStatistics{metrics.Number(median(values)), metrics.Number(slices.Min(values)), metrics.Number(slices.Max(values))}
}

// seeds are the groups of two and more runs that differ in their seeds alone.
func (c *comparison) seeds() []seedGroup {
	var groups []seedGroup
	for _, runs := range c.alike(c.columns) {
		distinct := map[uint64]bool{}
		var last, best []float64
		for _, r := range runs {
			if distinct[r.facts.Seed] {
				continue // the same run again
			}
			distinct[r.facts.Seed] = true
			if v := r.last(); r.ended() && !math.IsNaN(v) {
				least, _ := r.best()
				last, best = append(last, v), append(best, least)
			}
		}
		if len(distinct) < 2 {
			continue
		}
		others := slices.DeleteFunc(slices.Clone(c.columns), func(i int) bool { return runs[0].settings[i].name == seedSetting })
		label := runs[0].words(others)
		if label == "" {
			label = runs[0].facts.title()
		}
		groups = append(groups, seedGroup{label, len(distinct), len(last), statistics(last), statistics(best)})
	}
	return groups
}

// String says it in a sentence.
func (g seedGroup) String() string {
	text := fmt.Sprintf("%s, %d seeds: ", g.Label, g.Runs)
	switch {
	case g.Ended < 2:
		return text + fmt.Sprintf("%d of them ended so far", g.Ended)
	case g.Ended < g.Runs:
		text += fmt.Sprintf("of the %d that have ended, ", g.Ended)
	}
	return text + fmt.Sprintf("median test error %s after the last epoch, %s at best", g.Last, g.Best)
}

// String is the median with the least and the most: "4.81 % (4.62 to 5.01)".
func (s seedStatistics) String() string {
	return fmt.Sprintf("%.2f %% (%.2f to %.2f)", s.Median, s.Least, s.Most)
}
