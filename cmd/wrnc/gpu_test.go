package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image/color"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"wrnc/kernels/harness"
	"wrnc/runtime/cuda"
	"wrnc/runtime/cuda/driver"
	"wrnc/runtime/cuda/emulator"
	"wrnc/runtime/cuda/jit"
	"wrnc/runtime/cuda/libcuda"
	"wrnc/runtime/data/datatest"
	"wrnc/runtime/live"
	"wrnc/runtime/metrics"
	"wrnc/runtime/train"
)

// metered is a GPU of a test, which says how much of its memory is free.
type metered struct {
	cuda.Driver
	info driver.Info
	free int
}

func (m *metered) Info() driver.Info                     { return m.info }
func (m *metered) MemInfo() (free, total int, err error) { return m.free, 1 << 40, nil }

// opener opens a GPU, with what compiles its kernels.
type opener func(o jit.Options) (cuda.Driver, driver.Info, error)

// onGPUs runs a test on a GPU that the processor emulates, and on one where there is one.
func onGPUs(t *testing.T, test func(t *testing.T, open opener)) {
	t.Run("emulator", func(t *testing.T) {
		h := harness.NewForTest(t)
		test(t, func(jit.Options) (cuda.Driver, driver.Info, error) {
			d, err := emulator.Open(h, emulator.Options{})
			return d, driver.Info{Name: "an emulator", Major: 8, Minor: 0}, err
		})
	})
	t.Run("GPU", func(t *testing.T) {
		t.Setenv("WRNC_LIBCUDA", systemLibcuda)
		driver.OpenForTest(t, libcuda.Load)
		test(t, func(o jit.Options) (cuda.Driver, driver.Info, error) {
			d, err := openDriver("", 0, o)
			if err != nil {
				return nil, driver.Info{}, err
			}
			return d, d.Info(), nil
		})
	})
}

// with opens it with so much of its memory free.
func (open opener) with(free int) func(string, int, jit.Options) (gpu, error) {
	return func(_ string, _ int, o jit.Options) (gpu, error) {
		d, info, err := open(o)
		return &metered{d, info, free}, err
	}
}

// run runs wrnctiny in this process on the GPU, with so much of its memory free.
func (open opener) run(free int, args ...string) (code int, stdout, stderr string) {
	var out, words bytes.Buffer
	s := tinySession(&out, &words)
	s.gpu = open.with(free)
	code = s.run(args)
	return code, out.String(), words.String()
}

// smallNet is a network with batch norm and dropout, whose training augments and has
// short batches, small enough for a GPU that is emulated.
const smallNet = `model small {
  input 32x32x3
  classes 10
  layers { conv 3x3 8 stride 4; bn; relu; dropout 0.3; avgpool global; linear classes }
}
data digits { augment flip crop(4, reflect) }
train torch { epochs 2; batch 4; lr 0.05; drops [2] }
`

const room, noRoom = 1 << 40, 8 << 20 // free memory for data sets, or for the plan alone

// TestGPU trains on the kernels' own text. Where the batches are made changes
// no bit, nor does breaking off and going on, in the middle of an epoch and elsewhere.
func TestGPU(t *testing.T) { onGPUs(t, testGPU) }

func testGPU(t *testing.T, open opener) {
	dir := t.TempDir()
	net := filepath.Join(dir, "small.wrn")
	require.NoError(t, os.WriteFile(net, []byte(smallNet), 0o666))
	train := func(free int, out string, more ...string) (run, stdout string) {
		run = filepath.Join(dir, out)
		code, stdout, stderr := open.run(free, append([]string{"run", "--train", "digits", net, "--limit", "9", "--save-every", "1", "--keep-every", "1", "--out", run}, more...)...)
		require.Equal(t, exitOK, code, stderr)
		require.Empty(t, stderr)
		return run, stdout
	}
	kept, words := train(room, "kept")
	require.Regexp(t, `(?m)^target +cuda, sm_[0-9]+, .+, f32$`, words)
	require.Contains(t, words, "data      45.0 KiB, kept in the GPU's memory, where batches are made of it\n")
	made, words := train(noRoom, "made")
	require.NotContains(t, words, "kept in the GPU's memory")
	requireSameRun(t, made, kept)
	requireSameRecords(t, made, kept)

	// Poison in what nobody should read, and a launch at a time.
	poisoned, _ := train(room, "poisoned", "--poison")
	requireSameRun(t, made, poisoned)
	single, _ := train(room, "single", "--no-graph")
	requireSameRun(t, made, single)

	// A loss that is no number ends it with the step and the first bad value.
	code, _, stderr := open.run(room, "run", "--train", "digits", net, "--lr", "1000", "--epochs", "9", "--out", filepath.Join(dir, "wild"))
	require.Equal(t, exitUser, code)
	require.Regexp(t, `^wrnc: training diverged: .*step \d+, in epoch \d+.*wrnc run --resume `, stderr)

	// In the middle of the second epoch, with the batches of the other maker.
	code, words, stderr = open.run(noRoom, "run", "--resume", kept, "--from-step", "5")
	require.Equal(t, exitOK, code, stderr)
	require.Contains(t, words, "goes on after step 5, in epoch 2;")
	requireSameRun(t, made, kept)
	requireSameRecords(t, made, kept)
	code, _, stderr = open.run(room, "run", "--resume", made, "--from-step", "5")
	require.Equal(t, exitOK, code, stderr)
	requireSameRun(t, kept, made)
}

// TestGPULosses holds a training on a GPU's kernels to one on the processor's: the
// same weights, order, augmentation, dropout and rates, and sums in another order.
func TestGPULosses(t *testing.T) { onGPUs(t, testGPULosses) }

func testGPULosses(t *testing.T, open opener) {
	dir := t.TempDir()
	net := filepath.Join(dir, "small.wrn")
	require.NoError(t, os.WriteFile(net, []byte(smallNet), 0o666))
	epochs := func(out string, flags ...string) []metrics.Epoch {
		run := filepath.Join(dir, out)
		code, _, stderr := open.run(room, append([]string{"run", "--train", "digits", net, "--out", run}, flags...)...)
		require.Equal(t, exitOK, code, stderr)
		log, err := metrics.ReadFile(filepath.Join(run, metricsFile))
		require.NoError(t, err)
		require.Len(t, log.Epochs, 2)
		return log.Epochs
	}
	want := epochs("cpu", "--target", "cpu")
	for _, c := range []struct {
		precision string
		tolerance float64
	}{{"f32", 1e-4}, {"tf32", 1e-3}, {"bf16", 1e-2}} {
		got := epochs(c.precision, "--target", "cuda", "--precision", c.precision)
		for i := range want {
			require.InEpsilon(t, float64(want[i].TrainLoss), float64(got[i].TrainLoss), c.tolerance, "%s, epoch %d", c.precision, i+1)
			t.Logf("%s, epoch %d: %v, on the processor %v", c.precision, i+1, got[i].TrainLoss, want[i].TrainLoss)
		}
		require.NotEqual(t, want[1].TrainLoss, want[0].TrainLoss)
	}
}

// TestGPUEval measures trained weights, and infers by them, on a GPU's kernels and on the
// processor's.
func TestGPUEval(t *testing.T) { onGPUs(t, testGPUEval) }

func testGPUEval(t *testing.T, open opener) {
	dir := t.TempDir()
	net, run, picture := filepath.Join(dir, "small.wrn"), filepath.Join(dir, "run"), filepath.Join(dir, "a.png")
	require.NoError(t, os.WriteFile(net, []byte(smallNet), 0o666))
	require.NoError(t, os.WriteFile(picture, datatest.Picture("png", 32, 32, color.NRGBA{200, 20, 30, 255}), 0o666))
	code, _, stderr := open.run(room, "run", "--train", "digits", net, "--target", "cpu", "--out", run)
	require.Equal(t, exitOK, code, stderr)
	var found []evaluation
	var answers []answer
	for _, target := range []string{"cpu", "cuda"} {
		code, out, stderr := open.run(room, "run", "--eval", "digits", run, "--json", "--target", target)
		require.Equal(t, exitOK, code, stderr)
		var e evaluation
		require.NoError(t, json.Unmarshal([]byte(out), &e))
		require.Equal(t, target, e.Target)
		found = append(found, e)

		code, out, stderr = open.run(room, "run", "--infer", run, picture, "--json", "--top", "10", "--target", target)
		require.Equal(t, exitOK, code, stderr)
		var a answer
		require.NoError(t, json.Unmarshal([]byte(out), &a), out)
		answers = append(answers, a)
	}
	require.InEpsilon(t, float64(found[0].Loss), float64(found[1].Loss), 1e-4)
	require.Equal(t, found[0].Images, found[1].Images)
	require.Len(t, answers[1].Classes, 10)
	for i, want := range answers[0].Classes {
		require.Equal(t, want.Class, answers[1].Classes[i].Class)
		require.InEpsilon(t, float64(want.Probability), float64(answers[1].Classes[i].Probability), 1e-4)
	}
}

// TestGPUServed shows a training on a GPU live: the logits of its tests, and the times of
// its launches.
func TestGPUServed(t *testing.T) { onGPUs(t, testGPUServed) }

func testGPUServed(t *testing.T, open opener) {
	noInterrupt(t)
	net := filepath.Join(t.TempDir(), "small.wrn")
	require.NoError(t, os.WriteFile(net, []byte(smallNet), 0o666))
	p := serveOn(t, open.with(room), someDigits(18, 6), net, "--target", "cuda")
	p.said.hear(t, "stays at")
	var state struct {
		Epochs []metrics.Epoch
		Test   struct{ Images, Mistakes int }
		Facts  struct {
			Target  string
			Kernels []live.Kernel
		}
		Times struct{ Kernels []float64 }
	}
	require.NoError(t, json.Unmarshal(p.state(), &state))
	p.interrupt(exitOK)
	require.Regexp(t, `^cuda, sm_[0-9]+, .+, f32$`, state.Facts.Target)
	require.Equal(t, 6, state.Test.Images)
	require.InDelta(t, 100*float64(state.Test.Mistakes)/6, float64(state.Epochs[1].TestError), 1e-9)
	require.Len(t, state.Times.Kernels, len(state.Facts.Kernels), "every kernel is timed")
}

// TestGPUInterrupt breaks off a training on the kernels' own text by Ctrl-C, which
// finishes the step; going on ends as an unbroken run does.
func TestGPUInterrupt(t *testing.T) { onGPUs(t, testGPUInterrupt) }

func testGPUInterrupt(t *testing.T, open opener) {
	if runtime.GOOS == "windows" {
		t.Skip("a process cannot interrupt itself there")
	}
	unharmed := make(chan os.Signal, 1) // if the run should have ended before
	signal.Notify(unharmed, os.Interrupt)
	defer signal.Stop(unharmed)
	dir := t.TempDir()
	net := filepath.Join(dir, "small.wrn")
	require.NoError(t, os.WriteFile(net, []byte(smallNet), 0o666))
	args := func(out string) []string {
		return []string{"run", "--train", "digits", net, "--epochs", "16", "--save-every", "1", "--out", out}
	}
	whole, broken := filepath.Join(dir, "whole"), filepath.Join(dir, "broken")
	code, _, stderr := open.run(room, args(whole)...)
	require.Equal(t, exitOK, code, stderr)

	ended := make(chan string)
	go func() {
		for {
			if kept, err := train.Checkpoints(broken); err != nil || len(kept) > 0 {
				break
			}
			time.Sleep(time.Millisecond)
		}
		self, err := os.FindProcess(os.Getpid())
		if err == nil {
			err = self.Signal(os.Interrupt)
		}
		ended <- fmt.Sprint(err)
	}()
	code, _, stderr = open.run(room, args(broken)...)
	require.Equal(t, "<nil>", <-ended)
	require.Equal(t, exitUser, code)
	require.Regexp(t, `^wrnc: stopped; the weights after step \d+ are in .*; go on by: wrnc run --resume `, stderr)
	code, words, stderr := open.run(noRoom, "run", "--resume", broken)
	require.Equal(t, exitOK, code, stderr)
	require.Contains(t, words, " goes on after step ")
	requireSameRun(t, whole, broken)
	requireSameRecords(t, whole, broken)
}

func requireSameRecords(t *testing.T, want, got string) {
	t.Helper()
	a, err := withoutTimes(filepath.Join(want, metricsFile))
	require.NoError(t, err)
	b, err := withoutTimes(filepath.Join(got, metricsFile))
	require.NoError(t, err)
	require.Equal(t, a, b)
}

// TestGPUBench measures on the kernels' own text: the record says where its peaks are
// from, and kernels, of which several may be one grid, and what is outside of launches
// add up to the step.
func TestGPUBench(t *testing.T) { onGPUs(t, testGPUBench) }

func testGPUBench(t *testing.T, open opener) {
	net := filepath.Join(t.TempDir(), "small.wrn")
	require.NoError(t, os.WriteFile(net, []byte(smallNet), 0o666))
	for _, work := range []struct {
		name, precision string
		flags           []string
	}{{"train", "bf16", nil}, {"infer", "f32", []string{"--infer"}}} {
		code, out, stderr := open.run(room, append([]string{"bench", net, "--target", "cuda", "--precision", work.precision,
			"--batch", "2", "--rounds", "1", "--kernels", "--json"}, work.flags...)...)
		require.Equal(t, exitOK, code, stderr)
		var r benchRecord
		require.NoError(t, json.Unmarshal([]byte(out), &r), out)
		require.Equal(t, []string{work.name, work.precision, "wrnc", "cuda"}, []string{r.Work, r.Precision, r.Program, r.Machine.Target})
		require.Equal(t, r.How, r.Machine.ISA)
		require.NotEmpty(t, r.Machine.Device)
		require.Regexp(t, "^nominal, ", r.Model.Peaks)
		require.Equal(t, r.Model.Peaks, r.Kernels.Peaks)
		require.InEpsilon(t, r.Model.Share, r.Model.Least/r.Time.Median, 1e-9)
		sum := kernelTotal{}
		for _, kind := range r.Kernels.Kinds {
			sum.add(kind)
		}
		require.InEpsilon(t, r.Model.Least, sum.Least, 1e-9, "each kernel is in one row")
		require.InDelta(t, r.Kernels.Whole, sum.MS+r.Kernels.Waiting+r.Kernels.Outside, 1e-9)
		require.GreaterOrEqual(t, r.Kernels.Outside, 0.0)
		require.Equal(t, work.name == "train", bytes.Contains([]byte(out), []byte(" more\"")), "the update of all parameters is one grid")
	}
}
