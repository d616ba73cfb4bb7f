// Package bench measures programs against each other: in turns, so that a slow
// moment of the machine meets all of them, beside what the machine can do at most.
// It knows no networks; see cmd/wrnc for what is measured.
package bench

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// Runner is a program that does the same step again and again.
type Runner interface {
	// Steps runs n steps and returns the seconds of each.
	Steps(n int) ([]float64, error)
}

// mostTurnSteps bounds the steps of a turn.
const mostTurnSteps = 100

// Turns lets the runners work in turns for a number of rounds and returns the
// timing of each. All have the same number of steps in a turn: as many as take the
// first runner the length of a turn, within reason. A round before the first one
// warms up and is not counted.
func Turns(runners []Runner, rounds int, length time.Duration) ([]Timing, error) {
	steps := 1
	timings := make([]Timing, len(runners))
	for round := range rounds + 1 {
		for i, r := range runners {
			seconds, err := r.Steps(steps)
			if err != nil {
				return nil, err
			}
			if len(seconds) != steps {
				return nil, fmt.Errorf("%d steps took %d times", steps, len(seconds))
			}
			if round > 0 {
				timings[i] = append(timings[i], seconds)
			}
		}
		if round == 0 {
			again, err := runners[0].Steps(2) // the first step of all met cold memory
			if err != nil {
				return nil, err
			}
			steps = stepsOfTurn(length, slices.Min(again))
		}
	}
	return timings, nil
}

func stepsOfTurn(length time.Duration, step float64) int {
	return int(min(mostTurnSteps, max(1, math.Ceil(length.Seconds()/step))))
}
