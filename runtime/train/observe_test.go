package train

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"wrnc/runtime"
	"wrnc/runtime/checkpoint"
	"wrnc/runtime/metrics"
)

// notes writes down what an observer is told.
type notes struct{ lines []string }

func (n *notes) add(format string, args ...any) {
	n.lines = append(n.lines, fmt.Sprintf(format, args...))
}

func (n *notes) Begin(s Stretch) { n.add("begin %+v", s) }
func (n *notes) Step(s Step)     { n.add("step %+v", s) }
func (n *notes) Timed(launches []runtime.LaunchTime) {
	n.add("timed %v", launches)
}
func (n *notes) Tested(t Tested) { n.add("tested %v %v %v", t.Index, t.Labels, t.Logits) }
func (n *notes) Epoch(e metrics.Epoch) {
	n.add("epoch %d after step %d", e.Epoch, e.Step)
}

// TestObserver requires that an observer is told of all, in order, and that the run
// is the same with one as without.
func TestObserver(t *testing.T) {
	run := func(observer Observer) (*fake, string) {
		ex, m := module()
		ex.logits = observer != nil
		o, log := options(t)
		o.Observer = observer
		_, err := Run(t.Context(), ex, m, source(), o)
		require.NoError(t, err)
		return ex, log.String()
	}
	var told notes
	with, log := run(&told)
	without, other := run(nil)
	require.Equal(t, other, log)
	require.Equal(t, without.state, with.state)
	require.Equal(t, without.calls, with.calls)

	require.Len(t, told.lines, 3*7)
	mean := func(line string) float64 {
		var s Step
		_, err := fmt.Sscanf(line, "step {Step:%d Images:%d Done:%d Loss:%g MeanLoss:%g MeanError:%g}", &s.Step, &s.Images, &s.Done, &s.Loss, &s.MeanLoss, &s.MeanError)
		require.NoError(t, err, line)
		require.Equal(t, 4, s.Images)
		require.Equal(t, 50.0, s.MeanError)
		return s.MeanLoss
	}
	require.Equal(t, "begin {Epoch:2 Test:false Step:2 Images:8 Done:0 Rate:0.5}", told.lines[7])
	mean(told.lines[8])
	require.Contains(t, told.lines[9], "step {Step:4 Images:4 Done:8 ")
	read, err := metrics.Read(strings.NewReader(log))
	require.NoError(t, err)
	require.InDelta(t, float64(read.Epochs[1].TrainLoss), mean(told.lines[9]), 1e-12, "the mean after the last step is the record's")
	require.Equal(t, []string{
		"begin {Epoch:2 Test:true Step:4 Images:6 Done:0 Rate:0.5}",
		"tested [0 1 2 3] [0 1 2 0] [0 0 0 1 0 0 2 0 0 3 0 0]",
		"tested [4 5] [1 2] [4 0 0 5 0 0]",
		"epoch 2 after step 4",
	}, told.lines[10:14])
}

// TestObserverOfARunThatGoesOn is told where the epoch stands.
func TestObserverOfARunThatGoesOn(t *testing.T) {
	ex, m := module()
	o, _ := options(t)
	ctx, cancel := context.WithCancel(t.Context())
	ex.onStep = func(n int) float32 {
		if n == 2 {
			cancel()
		}
		return 0
	}
	_, err := Run(ctx, ex, m, source(), o)
	require.ErrorIs(t, err, context.Canceled)
	kept, err := Checkpoints(o.Dir)
	require.NoError(t, err)
	o.From, err = ReadCheckpoint(kept[len(kept)-1].Path, m)
	require.NoError(t, err)
	var told notes
	o.Observer = &told
	ex.onStep, ex.logits = nil, true
	_, err = Run(t.Context(), ex, m, source(), o)
	require.NoError(t, err)
	require.Equal(t, "begin {Epoch:2 Test:false Step:3 Images:8 Done:4 Rate:0.5}", told.lines[0])
	require.Contains(t, told.lines[1], "step {Step:4 Images:4 Done:8 ")
}

// TestObserverNeedsLogits refuses a module whose eval returns the loss alone.
func TestObserverNeedsLogits(t *testing.T) {
	ex, m := module()
	o, _ := options(t)
	o.Observer = &notes{}
	_, err := Run(t.Context(), ex, m, source(), o)
	require.EqualError(t, err, "train: function eval does not return the logits of 4 images behind the loss, which an observer is to see")
}

// TestObserverSeesTheLastStep is told of the step that loses the training.
func TestObserverSeesTheLastStep(t *testing.T) {
	ex, m := module()
	o, _ := options(t)
	var told notes
	o.Observer = &told
	ex.onStep = func(int) float32 { return float32(math.Inf(1)) }
	_, err := Run(t.Context(), ex, m, source(), o)
	require.ErrorContains(t, err, "the loss of step 1, in epoch 1, is +Inf")
	require.Len(t, told.lines, 2)
	require.Contains(t, told.lines[1], "step {Step:1 Images:4 Done:4 Loss:+Inf ")
}

// stopwatch is a fake that can be timed.
type stopwatch struct {
	*fake
	on    bool
	timed []uint64 // steps
}

func (s *stopwatch) Profile(on bool) { s.on = on }

func (s *stopwatch) LaunchTimes(function string) []runtime.LaunchTime {
	if !s.on {
		return nil
	}
	return []runtime.LaunchTime{{Calls: 1, Spent: runtime.Spent{Sum: time.Duration(len(function))}}}
}

func (s *stopwatch) Run(function string, in runtime.Inputs) ([][]float32, error) {
	if s.on {
		s.timed = append(s.timed, in.U64["step"])
	}
	return s.fake.Run(function, in)
}

// TestTimed times a step in twenty-five, where somebody is told, and that step alone.
func TestTimed(t *testing.T) {
	for _, observed := range []bool{true, false} {
		ex, m := module()
		watch := &stopwatch{fake: ex}
		o, _ := options(t)
		o.Recipe.Epochs = slices.Repeat(o.Recipe.Epochs[:1], 30)                            // of two steps
		o.Write = func(string, []checkpoint.Tensor, map[string]string) error { return nil } // it takes time
		var told notes
		if observed {
			o.Observer, ex.logits = &told, true
		}
		_, err := Run(t.Context(), watch, m, source(), o)
		require.NoError(t, err)
		if !observed {
			require.Empty(t, watch.timed)
			continue
		}
		require.Equal(t, []uint64{2, 27, 52}, watch.timed)
		require.False(t, watch.on)
		var lines []string
		for i, line := range told.lines {
			if strings.HasPrefix(line, "timed ") {
				lines = append(lines, line)
				require.Contains(t, told.lines[i+1], "step {", "before the step itself")
			}
		}
		require.Equal(t, slices.Repeat([]string{"timed [{1 {5ns 0s} []}]"}, 3), lines)
	}
}
