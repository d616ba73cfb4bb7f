package train

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"wrnc/compiler/ir"
	"wrnc/runtime"
	"wrnc/runtime/checkpoint"
	"wrnc/runtime/data"
	"wrnc/runtime/metrics"
)

// call is what a function of the fake was called with.
type call struct {
	function   string
	n          int
	step, seed uint64
	rate       float32
	first      float32 // first number of the first image
	velocity   float32 // when it began
}

// fake is an executable with one parameter, which counts its steps, and a
// velocity that a step adds one to. The loss of image i is its label.
type fake struct {
	state  map[string][]float32
	calls  []call
	onStep func(n int) float32 // what to add to the loss of the n-th train call
	onCall func(n int)         // called in the n-th call, counted from 1
	tested float32             // what to add to the loss of the test set

	mistakes float32 // what to add to each call's mistakes
	logits   bool    // eval returns them, too
}

func (f *fake) Run(function string, in runtime.Inputs) ([][]float32, error) {
	c := call{function: function, n: in.N, first: in.F32["images"][0], velocity: f.state["w.v"][0]}
	if len(in.Labels["labels"]) != in.N || len(in.F32["images"]) != in.N*4*4*3 {
		return nil, errors.New("inputs of a wrong length")
	}
	var loss float32
	for _, l := range in.Labels["labels"] {
		loss += float32(l)
	}
	if function == "train" {
		c.step, c.seed, c.rate = in.U64["step"], in.U64["seed"], in.F32["lr"][0]
		f.state["w"][0]++
		f.state["w.v"][0]++
		if f.onStep != nil {
			loss += f.onStep(len(f.trained()))
		}
	}
	if function == "eval" {
		loss += f.tested
	}
	f.calls = append(f.calls, c)
	if f.onCall != nil {
		f.onCall(len(f.calls))
	}
	out := [][]float32{{loss, float32(in.N)/2 + f.mistakes}}
	if function == "eval" && f.logits {
		out = append(out, firstNumbers(in))
	}
	return out, nil
}

// firstNumbers are logits: three an image, of which the first is the image's first
// number.
func firstNumbers(in runtime.Inputs) []float32 {
	out := make([]float32, 3*in.N)
	for i := range in.N {
		out[3*i] = in.F32["images"][i*48]
	}
	return out
}

func (f *fake) trained() []call { return f.of("train") }

func (f *fake) of(function string) []call {
	var out []call
	for _, c := range f.calls {
		if c.function == function {
			out = append(out, c)
		}
	}
	return out
}

func (f *fake) ReadState(name string) ([]float32, error) {
	return append([]float32(nil), f.state[name]...), nil
}

func (f *fake) WriteState(name string, values []float32) error {
	if len(values) != len(f.state[name]) {
		return fmt.Errorf("state %s", name)
	}
	copy(f.state[name], values)
	return nil
}

func (f *fake) Allocated() int { return 0 }
func (f *fake) Close()         {}

func module() (*fake, *ir.Module) {
	states := []*ir.State{
		{Name: "w", Type: ir.T(ir.F32, 2), Role: ir.Param, Init: ir.Init{Kind: ir.Constant, A: 100}},
		{Name: "run", Type: ir.T(ir.F32, 2, 1), Role: ir.Running, Init: ir.Init{Kind: ir.Rows, A: 0, B: 1}},
		{Name: "w.v", Type: ir.T(ir.F32, 2), Role: ir.Velocity, Init: ir.Init{Kind: ir.Constant}},
	}
	f := &fake{state: map[string][]float32{}}
	for _, s := range states {
		f.state[s.Name] = make([]float32, s.Type.Elems())
	}
	return f, &ir.Module{Name: "WRN-10-1", Batch: 4, States: states}
}

// source has 11 training and 6 test pictures; picture i is of class i mod 3.
func source() *data.Source {
	set := func(n int) *data.Set {
		s := &data.Set{Name: "tiny", Classes: []string{"a", "b", "c"}, H: 4, W: 4, C: 3, Images: make([]byte, n*48)}
		for i := range n {
			s.Labels = append(s.Labels, int32(i%3))
			s.Images[i*48] = byte(i)
		}
		return s
	}
	return &data.Source{Train: set(11), Test: set(6)}
}

// options trains three epochs with a drop at the third. The clock ticks a
// second a look.
func options(t *testing.T) (Options, *bytes.Buffer) {
	var log bytes.Buffer
	now := time.Unix(0, 0)
	clock := func() time.Time { now = now.Add(time.Second); return now }
	return Options{
		Recipe:    Recipe{Epochs: []Epoch{{Rate: 0.5}, {Rate: 0.5}, {Rate: 0.25, ResetVelocity: true}}},
		Seed:      9,
		Normalize: data.Normalize{Scale: [3]float32{1, 1, 1}},
		Dir:       t.TempDir(),
		Metadata:  map[string]string{"data": "tiny"},
		Log:       metrics.NewLog(&log),
		Progress:  metrics.NewProgress(metrics.ProgressOptions{Out: io.Discard, Now: clock}),
		Now:       clock,
	}, &log
}

func TestRun(t *testing.T) {
	ex, m := module()
	o, log := options(t)
	sum, err := Run(t.Context(), ex, m, source(), o)
	require.NoError(t, err)

	steps := ex.trained()
	require.Len(t, steps, 6, "two full batches an epoch; the short one is dropped")
	for i, c := range steps {
		require.Equal(t, 4, c.n)
		require.EqualValues(t, i, c.step, "the step counts over the whole run")
		require.EqualValues(t, 9, c.seed)
		require.Equal(t, []float32{0.5, 0.5, 0.25}[i/2], c.rate)
		require.Equal(t, float32(i%4), c.velocity, "reset at the third epoch, and there only")
	}
	tests := ex.of("eval")
	require.Len(t, tests, 6)
	for i, c := range tests {
		require.Equal(t, []int{4, 2}[i%2], c.n, "the short test batch counts")
		require.Equal(t, []float32{0, 4}[i%2], c.first, "in the set's order")
	}

	require.EqualValues(t, 6, sum.Steps)
	require.Equal(t, 50.0, sum.TestError)
	require.Equal(t, 50.0, sum.BestTestError)
	require.Equal(t, 1, sum.BestEpoch, "the first of equals")
	read, err := metrics.Read(log)
	require.NoError(t, err)
	require.Equal(t, sum.Epochs, read.Epochs)
	require.Equal(t, 3, read.Epochs[2].Epoch)
	require.EqualValues(t, 4, read.Epochs[1].Step)
	require.EqualValues(t, 0.25, read.Epochs[2].LR)
	require.EqualValues(t, 50, read.Epochs[0].TrainError)

	last, err := checkpoint.Read(filepath.Join(o.Dir, "last.safetensors"))
	require.NoError(t, err)
	require.Equal(t, map[string]string{"model": "WRN-10-1", "data": "tiny", "epoch": "3", "step": "6", "seed": "9",
		"train_loss": number(read.Epochs[2].TrainLoss), "train_error": "50", "test_error": "50"}, last.Metadata)
	require.Len(t, last.Tensors, 2, "no velocity")
	w, err := last.Float32s("w", []int{2})
	require.NoError(t, err)
	require.Equal(t, []float32{106, 100}, w)
	best, err := checkpoint.Read(filepath.Join(o.Dir, "best.safetensors"))
	require.NoError(t, err)
	require.Equal(t, "1", best.Metadata["epoch"])
}

func TestMeanLossIsOverTheImagesTrainedOn(t *testing.T) {
	ex, m := module()
	o, _ := options(t)
	o.Recipe.Epochs = o.Recipe.Epochs[:1]
	o.Recipe.KeepShortBatch = true
	sum, err := Run(t.Context(), ex, m, source(), o)
	require.NoError(t, err)
	require.Equal(t, []int{4, 4, 3}, []int{ex.trained()[0].n, ex.trained()[1].n, ex.trained()[2].n})
	require.InDelta(t, 10.0/11, float64(sum.Epochs[0].TrainLoss), 1e-12, "labels 0 1 2 0 1 2 0 1 2 0 1 sum to 10")
}

func TestDivergence(t *testing.T) {
	for step, want := range map[int]string{
		1: "the loss of step 2, in epoch 1, is NaN, while all states are finite; no checkpoint was kept before",
		2: "the loss of step 3, in epoch 2, is NaN, while all states are finite; the checkpoint of step 2 is kept",
	} {
		ex, m := module()
		o, _ := options(t)
		ex.onStep = func(n int) float32 {
			if n == step {
				return float32(math.NaN())
			}
			return 0
		}
		sum, err := Run(t.Context(), ex, m, source(), o)
		var diverged *DivergedError
		require.ErrorAs(t, err, &diverged)
		require.ErrorContains(t, err, want)
		require.Len(t, sum.Epochs, step/2)
		kept, err := filepath.Glob(filepath.Join(o.Dir, "*.safetensors"))
		require.NoError(t, err)
		require.Len(t, kept, step/2*2, "last and best of what was finished")
	}
}

// TestDivergenceInTheLastStep: an epoch's last step breaks the weights, which
// only the test set's loss shows; they are not kept as a result.
func TestDivergenceInTheLastStep(t *testing.T) {
	ex, m := module()
	o, _ := options(t)
	ex.tested = float32(math.Inf(1))
	sum, err := Run(t.Context(), ex, m, source(), o)
	require.ErrorContains(t, err, "the loss of step 2, in epoch 1, is +Inf, while all states are finite; no checkpoint was kept before")
	require.Empty(t, sum.Epochs)
	kept, err := filepath.Glob(filepath.Join(o.Dir, "*.safetensors"))
	require.NoError(t, err)
	require.Empty(t, kept)
}

func TestCancelKeepsTheWeights(t *testing.T) {
	ex, m := module()
	o, _ := options(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ex.onStep = func(n int) float32 {
		if n == 4 {
			cancel()
		}
		return 0
	}
	sum, err := Run(ctx, ex, m, source(), o)
	require.ErrorIs(t, err, context.Canceled)
	require.Len(t, sum.Epochs, 2)
	last, err := checkpoint.Read(filepath.Join(o.Dir, "last.safetensors"))
	require.NoError(t, err)
	require.Equal(t, "2", last.Metadata["epoch"], "the third was begun, not finished")
	require.Equal(t, "5", last.Metadata["step"])
	w, err := last.Float32s("w", []int{2})
	require.NoError(t, err)
	require.Equal(t, []float32{105, 100}, w)
}

func TestEstimateLeavesNoTrace(t *testing.T) {
	weights := func(estimate bool) (*fake, float32) {
		ex, m := module()
		o, _ := options(t)
		if estimate {
			est, err := EstimateRun(t.Context(), ex, m, source(), o)
			require.NoError(t, err)
			require.Equal(t, time.Second, est.Step, "a call takes one tick")
			require.Equal(t, 3*(2*est.Step+est.Test*6/4), est.Total)
			ex.calls = nil
		}
		_, err := Run(t.Context(), ex, m, source(), o)
		require.NoError(t, err)
		return ex, ex.state["w"][0]
	}
	with, a := weights(true)
	without, b := weights(false)
	require.Equal(t, b, a)
	require.Equal(t, without.calls, with.calls)
}

func TestRefusals(t *testing.T) {
	ex, m := module()
	o, _ := options(t)
	o.Recipe.Epochs = nil
	_, err := Run(t.Context(), ex, m, source(), o)
	require.ErrorContains(t, err, "expected at least 1")

	o, _ = options(t)
	m.Batch = 12
	_, err = Run(t.Context(), ex, m, source(), o)
	require.ErrorContains(t, err, "choose a batch of at most 11")

	m.Batch = 4
	o.Dir = filepath.Join(o.Dir, "absent")
	_, err = Run(t.Context(), ex, m, source(), o)
	require.ErrorContains(t, err, "absent/checkpoints")
}
