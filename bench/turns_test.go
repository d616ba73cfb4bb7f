package bench

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	kernels "wrnc/kernels/cpu"
)

// player is a runner that writes down its turns.
type player struct {
	name    string
	log     *[]string
	seconds float64
	spoil   func(turn int, seconds []float64) ([]float64, error)
	turns   int
}

func (p *player) Steps(n int) ([]float64, error) {
	*p.log = append(*p.log, p.name)
	p.turns++
	var seconds []float64
	for range n {
		seconds = append(seconds, p.seconds)
	}
	if p.spoil != nil {
		return p.spoil(p.turns, seconds)
	}
	return seconds, nil
}

func TestTurns(t *testing.T) {
	var log []string
	a, b := &player{name: "a", log: &log, seconds: 0.125}, &player{name: "b", log: &log, seconds: 0.5}
	timings, err := Turns([]Runner{a, b}, 2, 300*time.Millisecond)
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b", "a", "a", "b", "a", "b"}, log, "a warm-up, steps that tell how long a turn is, two rounds")
	require.Equal(t, []Timing{{{0.125, 0.125, 0.125}, {0.125, 0.125, 0.125}}, {{0.5, 0.5, 0.5}, {0.5, 0.5, 0.5}}}, timings)

	require.Equal(t, 1, stepsOfTurn(time.Second, 10))
	require.Equal(t, mostTurnSteps, stepsOfTurn(time.Second, 1e-9))
}

func TestTurnsFail(t *testing.T) {
	failure := errors.New("out of paper")
	for turn := 1; turn <= 4; turn++ {
		var log []string
		a := &player{log: &log, seconds: 1, spoil: func(at int, s []float64) ([]float64, error) {
			if at == turn {
				return nil, failure
			}
			return s, nil
		}}
		_, err := Turns([]Runner{a}, 2, time.Second)
		require.ErrorIs(t, err, failure)
	}
	var log []string
	short := &player{log: &log, seconds: 1, spoil: func(int, []float64) ([]float64, error) { return nil, nil }}
	_, err := Turns([]Runner{short}, 2, time.Second)
	require.EqualError(t, err, "1 steps took 0 times")
}

// TestMeter measures on every instruction set; what is best stays so.
func TestMeter(t *testing.T) {
	for _, isa := range kernels.Available() {
		m := NewMeter(isa, 2)
		first := m.Measure()
		second := m.Measure()
		require.Greater(t, first.FLOPs, 1e7, isa.Name)
		require.Greater(t, first.Bytes, 1e7, isa.Name)
		require.GreaterOrEqual(t, second.FLOPs, first.FLOPs)
		require.GreaterOrEqual(t, second.Bytes, first.Bytes)
	}
	p := Peaks{FLOPs: 100, Bytes: 10}
	require.InDelta(t, 2, p.Seconds(200, 1), 1e-9)
	require.InDelta(t, 3, p.Seconds(1, 30), 1e-9)
}
