package main

import (
	"bytes"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"wrnc/kernels/harness"
	"wrnc/runtime/cuda/driver"
	"wrnc/runtime/cuda/emulator"
	"wrnc/runtime/cuda/jit"
	"wrnc/runtime/train"
)

// emulated is a GPU whose kernels run on the CPU.
type emulated struct {
	*emulator.Device
	free int
}

func (e *emulated) Info() driver.Info {
	return driver.Info{Name: "an emulator", Major: 8, Minor: 0, Memory: 1 << 40, Driver: 13000}
}

func (e *emulated) MemInfo() (free, total int, err error) { return e.free, 1 << 40, nil }

// onEmulator runs wrnctiny in this process on a GPU of the CPU with so much free
// memory.
func onEmulator(t *testing.T, free int, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	h := harness.NewForTest(t)
	var out, words bytes.Buffer
	s := tinySession(&out, &words)
	s.gpu = func(int, jit.Options) (gpu, error) {
		d, err := emulator.Open(h, emulator.Options{})
		return &emulated{d, free}, err
	}
	code = s.run(args)
	return code, out.String(), words.String()
}

// smallNet is a network with batch norm and dropout, whose training augments and has
// short batches, for a GPU that a processor emulates.
const smallNet = `model small {
  input 32x32x3
  classes 10
  layers { conv 3x3 8 stride 4; bn; relu; dropout 0.3; avgpool global; linear classes }
}
data digits { augment flip crop(4, reflect) }
train torch { epochs 2; batch 4; lr 0.05; drops [2] }
`

const room, noRoom = 1 << 40, 8 << 20 // free memory for data sets, or for the plan alone

// TestEmulatedGPU trains on the kernels' own text. Where the batches are made changes
// no bit, nor does breaking off and going on, in the middle of an epoch and elsewhere.
func TestEmulatedGPU(t *testing.T) {
	dir := t.TempDir()
	net := filepath.Join(dir, "small.wrn")
	require.NoError(t, os.WriteFile(net, []byte(smallNet), 0o666))
	train := func(free int, out string, more ...string) (run, stdout string) {
		run = filepath.Join(dir, out)
		code, stdout, stderr := onEmulator(t, free, append([]string{"run", "--train", "digits", net, "--limit", "9", "--save-every", "1", "--keep-every", "1", "--out", run}, more...)...)
		require.Equal(t, exitOK, code, stderr)
		require.Empty(t, stderr)
		return run, stdout
	}
	kept, words := train(room, "kept")
	require.Contains(t, words, "target    cuda, sm_80, an emulator, f32\n")
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

	// In the middle of the second epoch, with the batches of the other maker.
	code, words, stderr := onEmulator(t, noRoom, "run", "--resume", kept, "--from-step", "5")
	require.Equal(t, exitOK, code, stderr)
	require.Contains(t, words, "goes on after step 5, in epoch 2;")
	requireSameRun(t, made, kept)
	requireSameRecords(t, made, kept)
	code, _, stderr = onEmulator(t, room, "run", "--resume", made, "--from-step", "5")
	require.Equal(t, exitOK, code, stderr)
	requireSameRun(t, kept, made)
}

// TestEmulatedInterrupt breaks off a training on the kernels' own text by Ctrl-C, which
// finishes the step; going on ends as an unbroken run does.
func TestEmulatedInterrupt(t *testing.T) {
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
	code, _, stderr := onEmulator(t, room, args(whole)...)
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
	code, _, stderr = onEmulator(t, room, args(broken)...)
	require.Equal(t, "<nil>", <-ended)
	require.Equal(t, exitUser, code)
	require.Regexp(t, `^wrnc: stopped; the weights after step \d+ are in .*; go on by: wrnc run --resume `, stderr)
	code, words, stderr := onEmulator(t, noRoom, "run", "--resume", broken)
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
