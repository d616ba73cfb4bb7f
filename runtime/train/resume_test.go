package train

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/runtime/checkpoint"
	"wrnc/runtime/data"
	"wrnc/runtime/metrics"
)

// newest reads the newest checkpoint of a folder, nil where there is none.
func newest(t *testing.T, dir string) *Checkpoint {
	kept, err := Checkpoints(dir)
	require.NoError(t, err)
	if len(kept) == 0 {
		return nil
	}
	_, m := module()
	c, err := ReadCheckpoint(kept[len(kept)-1].Path, m)
	require.NoError(t, err)
	return c
}

// files are a run's folder's, by name.
func files(t *testing.T, dir string) map[string]string {
	found := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		found[name] = string(text)
		return err
	}))
	return found
}

// withoutTimes blanks what depends on the clock.
func withoutTimes(sum Summary) Summary {
	epochs := append([]metrics.Epoch(nil), sum.Epochs...)
	for i := range epochs {
		epochs[i].Seconds, epochs[i].ImagesPerSecond = 0, 0
	}
	sum.Epochs, sum.Seconds = epochs, 0
	return sum
}

// long trains with shuffle, augmentation, a drop and short batches, and saves every second step.
func long(t *testing.T) Options {
	o, _ := options(t)
	o.Recipe.KeepShortBatch = true
	o.Augment = data.Augment{Flip: true, Pad: 1}
	o.SaveEvery = 2
	o.Identity = map[string]string{"plan": "12ab"}
	return o
}

// TestResumeAnywhere stops a run after each of its steps and each batch of a test,
// and goes on.
func TestResumeAnywhere(t *testing.T) {
	whole, m := module()
	o := long(t)
	want, err := Run(t.Context(), whole, m, source(), o)
	require.NoError(t, err)
	require.EqualValues(t, 9, want.Steps)
	weights := files(t, o.Dir)

	for stopped := 1; stopped < len(whole.calls); stopped++ {
		ex, m := module()
		o := long(t)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		ex.onCall = func(n int) {
			if n == stopped {
				cancel()
			}
		}
		if _, err = Run(ctx, ex, m, source(), o); err == nil {
			continue // the last call of all; nothing is left
		}
		require.ErrorIs(t, err, context.Canceled)
		before := ex.trained()

		again, m := module()
		o.From = newest(t, o.Dir)
		require.EqualValues(t, len(before), o.From.Point.Step, "not one step is lost")
		require.Equal(t, o.Identity, o.From.Identity)
		sum, err := Run(t.Context(), again, m, source(), o)
		require.NoError(t, err)
		require.Equal(t, whole.trained(), append(before, again.trained()...), "stopped at call %d", stopped)
		require.Equal(t, whole.state, again.state)
		require.Equal(t, withoutTimes(want), withoutTimes(sum))
		found := files(t, o.Dir)
		for _, name := range []string{lastFile, bestFile} {
			require.Equal(t, weights[name], found[name], name)
		}
	}
}

// TestFullDisk fails each write in turn: what was kept before stays, and the run
// goes on from there to the same end.
func TestFullDisk(t *testing.T) {
	full := errors.New("no space left on device")
	whole, m := module()
	o := long(t)
	writes := 0
	o.Write = func(path string, tensors []checkpoint.Tensor, metadata map[string]string) error {
		writes++
		return checkpoint.Write(path, tensors, metadata)
	}
	want, err := Run(t.Context(), whole, m, source(), o)
	require.NoError(t, err)
	weights := files(t, o.Dir)
	require.Greater(t, writes, 8)

	for failing := 1; failing <= writes; failing++ {
		ex, m := module()
		o := long(t)
		n := 0
		o.Write = func(path string, tensors []checkpoint.Tensor, metadata map[string]string) error {
			if n++; n == failing {
				return fmt.Errorf("write %s: %w", path, full)
			}
			return checkpoint.Write(path, tensors, metadata)
		}
		sum, err := Run(t.Context(), ex, m, source(), o)
		var failure *SaveError
		require.ErrorAs(t, err, &failure)
		require.ErrorIs(t, err, full)
		from := newest(t, o.Dir)
		if failure.Step == 0 {
			require.Nil(t, from)
			require.ErrorContains(t, err, "no checkpoint was kept before")
		} else {
			require.Equal(t, failure.Step, from.Point.Step)
			require.ErrorContains(t, err, fmt.Sprintf("the checkpoint of step %d is safe", failure.Step))
		}
		require.Equal(t, failure.Step, sum.Saved)

		again, m := module()
		o.From, o.Write = from, nil
		sum, err = Run(t.Context(), again, m, source(), o)
		require.NoError(t, err)
		require.Equal(t, whole.state, again.state)
		require.Equal(t, withoutTimes(want), withoutTimes(sum))
		found := files(t, o.Dir)
		for _, name := range []string{lastFile, bestFile} {
			require.Equal(t, weights[name], found[name], name)
		}
	}
}

// TestFullDiskForRecords: a record that cannot be written ends the run as well; its
// epoch is safe.
func TestFullDiskForRecords(t *testing.T) {
	ex, m := module()
	o := long(t)
	o.Log = metrics.NewLog(fullWriter{})
	_, err := Run(t.Context(), ex, m, source(), o)
	require.EqualError(t, err, "metrics: no space left on device; the checkpoint of step 3 is safe")
	require.Len(t, newest(t, o.Dir).Point.Epochs, 1)
}

type fullWriter struct{}

func (fullWriter) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func steps(t *testing.T, dir string) (all []int64) {
	kept, err := Checkpoints(dir)
	require.NoError(t, err)
	for _, k := range kept {
		all = append(all, k.Step)
	}
	return all
}

func TestPruning(t *testing.T) {
	ex, m := module()
	o := long(t)
	o.Recipe.Epochs = make([]Epoch, 6)
	o.KeepEvery = 4
	_, err := Run(t.Context(), ex, m, source(), o)
	require.NoError(t, err)
	require.Equal(t, []int64{3, 12, 16, 18}, steps(t, o.Dir), "the best epoch's, the fourth's, the two newest")
}

// TestPruningAfterTheWrite: nothing is removed where the new checkpoint failed.
func TestPruningAfterTheWrite(t *testing.T) {
	ex, m := module()
	o := long(t)
	o.Write = func(path string, tensors []checkpoint.Tensor, metadata map[string]string) error {
		if strings.Contains(path, "000008") {
			require.Equal(t, []int64{3, 4, 6}, steps(t, o.Dir))
			return errors.New("full")
		}
		return checkpoint.Write(path, tensors, metadata)
	}
	_, err := Run(t.Context(), ex, m, source(), o)
	require.Error(t, err)
	require.Equal(t, []int64{3, 4, 6}, steps(t, o.Dir))
}

// TestPruningLeftUndone: a process that ended between its last checkpoint and the
// removal of older ones leaves that to the next.
func TestPruningLeftUndone(t *testing.T) {
	ex, m := module()
	o := long(t)
	_, err := Run(t.Context(), ex, m, source(), o)
	require.NoError(t, err)
	kept, err := Checkpoints(o.Dir)
	require.NoError(t, err)
	want := steps(t, o.Dir)
	text, err := os.ReadFile(kept[0].Path)
	require.NoError(t, err)
	old := strings.Replace(kept[0].Path, fmt.Sprintf("%012d", kept[0].Step), fmt.Sprintf("%012d", 1), 1)
	require.NoError(t, os.WriteFile(old, text, 0o666))
	require.Len(t, steps(t, o.Dir), len(want)+1)

	o.From = newest(t, o.Dir)
	_, err = Run(t.Context(), ex, m, source(), o)
	require.NoError(t, err)
	require.Equal(t, want, steps(t, o.Dir))
}

func TestOtherFilesAreNoCheckpoints(t *testing.T) {
	dir := t.TempDir()
	require.Empty(t, steps(t, dir))
	require.NoError(t, os.Mkdir(filepath.Join(dir, checkpointFolder), 0o777))
	for _, name := range []string{"step-1.safetensors", ".step-000000000001.safetensors.0.partial", "notes", "step-00000000000x.safetensors"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, checkpointFolder, name), nil, 0o666))
	}
	require.Empty(t, steps(t, dir))
}

// TestBadWeights: weights that break without showing in a loss are not kept.
func TestBadWeights(t *testing.T) {
	ex, m := module()
	o := long(t)
	ex.onCall = func(n int) {
		if n == 4 {
			ex.state["w.v"][1] = float32(math.Inf(-1))
		}
	}
	_, err := Run(t.Context(), ex, m, source(), o)
	require.EqualError(t, err, "training diverged: after step 3, in epoch 1, w.v[1] is -Inf; the checkpoint of step 2 is kept")
	require.Equal(t, []int64{2}, steps(t, o.Dir))
}

// TestFirstBadValue: with a loss that is NaN, the first bad state is named; a loss
// that is beyond reason is not waited for.
func TestFirstBadValue(t *testing.T) {
	ex, m := module()
	o := long(t)
	ex.onStep = func(n int) float32 {
		if n == 4 {
			ex.state["run"][1] = float32(math.NaN())
			return float32(math.NaN())
		}
		return 0
	}
	_, err := Run(t.Context(), ex, m, source(), o)
	require.EqualError(t, err, "training diverged: the loss of step 5, in epoch 2, is NaN, and the first bad value of the states is run[1] = NaN; the checkpoint of step 4 is kept")

	ex, m = module()
	ex.onStep = func(n int) float32 { return float32(n) * 1e5 }
	_, err = Run(t.Context(), ex, m, source(), long(t))
	require.ErrorContains(t, err, "the loss of step 2, in epoch 1, is 25001.25, beyond 10000, while all states are finite; no checkpoint")
}

// TestGoBack goes on from before a divergence at a lower rate.
func TestGoBack(t *testing.T) {
	ex, m := module()
	o := long(t)
	o.KeepEvery = 1
	ex.onCall = func(n int) { // the second epoch is the best
		ex.mistakes = 0
		if n > 5 && n <= 10 {
			ex.mistakes = -1
		}
	}
	_, err := Run(t.Context(), ex, m, source(), o)
	require.NoError(t, err)
	require.Equal(t, []int64{3, 6, 8, 9}, steps(t, o.Dir))

	kept, err := Checkpoints(o.Dir)
	require.NoError(t, err)
	o.From, err = ReadCheckpoint(kept[0].Path, m)
	require.NoError(t, err)
	o.RateScale = 0.5
	require.NoError(t, GoBack(o.Dir, o.From))
	require.Equal(t, []int64{3}, steps(t, o.Dir))
	again, m := module()
	sum, err := Run(t.Context(), again, m, source(), o)
	require.NoError(t, err)
	require.EqualValues(t, 9, sum.Steps)
	require.EqualValues(t, 0.25, again.trained()[0].rate)
	require.EqualValues(t, 0.25, sum.Epochs[1].LR)
	require.FileExists(t, filepath.Join(o.Dir, "best-epoch-2.safetensors"))
	require.EqualValues(t, 0.5, newest(t, o.Dir).Point.RateScale, "it stays")
}

func TestPointSurvivesText(t *testing.T) {
	p := Point{Step: 7, Epoch: 1, Batch: 3, Loss: 0.1 + 0.2, Mistakes: 3, Images: 12, RateScale: 1. / 3,
		Epochs: []metrics.Epoch{{Epoch: 1, Step: 4, LR: 0.1, TrainLoss: 1. / 3}}, BestTestError: 12.5, BestEpoch: 1, Seconds: 1.25, EpochSeconds: 0.5}
	facts, err := p.facts()
	require.NoError(t, err)
	read, err := parsePoint(facts)
	require.NoError(t, err)
	require.Equal(t, p, read)
	for key, value := range facts {
		for _, bad := range []string{"", "-1", "1e", "99"} {
			facts[key] = bad
			_, _ = parsePoint(facts) // whatever it says
		}
		delete(facts, key)
		_, err = parsePoint(facts)
		require.ErrorContains(t, err, key)
		facts[key] = value
	}
	for key, bad := range map[string]string{"epoch": "2", "best_epoch": "2", "rate_scale": "NaN", "records": "{"} {
		value := facts[key]
		facts[key] = bad
		_, err = parsePoint(facts)
		require.Error(t, err, key)
		facts[key] = value
	}
}

func TestCheckpointsOfOthersAreRefused(t *testing.T) {
	ex, m := module()
	o := long(t)
	_, err := Run(t.Context(), ex, m, source(), o)
	require.NoError(t, err)
	kept, err := Checkpoints(o.Dir)
	require.NoError(t, err)
	_, err = ReadCheckpoint(filepath.Join(o.Dir, lastFile), m)
	require.ErrorContains(t, err, `its format is ""`)
	text, err := os.ReadFile(kept[0].Path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(kept[0].Path, text[:len(text)-1], 0o666))
	_, err = ReadCheckpoint(kept[0].Path, m)
	require.ErrorContains(t, err, "cut short")
	require.NoError(t, os.WriteFile(kept[0].Path, bytes.Replace(text, []byte(`"w.v"`), []byte(`"w.x"`), 1), 0o666))
	_, err = ReadCheckpoint(kept[0].Path, m)
	require.ErrorContains(t, err, `no tensor "w.v"`)
}
