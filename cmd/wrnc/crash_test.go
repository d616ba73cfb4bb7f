package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"wrnc/runtime/data"
	"wrnc/runtime/train"
)

// tiny is wrnc with a data set of a few pictures, so that a whole training takes
// less than a second. TestMain makes it a program, wrnctiny.
func tiny() { os.Exit(tinySession(os.Stdout, os.Stderr).run(os.Args[1:])) }

func tinySession(stdout, stderr io.Writer) *session {
	s := newSession(stdout, stderr)
	s.open = func(set dataSet, _ string, _ [3]int) (*data.Source, error) {
		random := rand.New(rand.NewPCG(1, 2))
		noise := func(n int) *data.Set {
			out := &data.Set{Name: set.name, Classes: make([]string, 10), H: 32, W: 32, C: 3, Images: make([]byte, n*32*32*3)}
			for i := range out.Classes {
				out.Classes[i] = strconv.Itoa(i)
			}
			for i := range out.Images {
				out.Images[i] = byte(random.Uint32())
			}
			for range n {
				out.Labels = append(out.Labels, int32(random.IntN(10)))
			}
			return out
		}
		return &data.Source{Train: noise(22), Test: noise(6)}, nil
	}
	return s
}

// tinyNet drops the rate, resets momentum, drops out, augments and has a short batch.
const tinyNet = `model WRN-10-1
dropout 0.3
data digits { augment flip crop(4, reflect) }
train paper { epochs 4; batch 4; lr 0.05; drops [2, 4]; ratio 0.2 }
`

// begin are the arguments of a training of it.
func begin(t *testing.T, dir string) []string {
	net := filepath.Join(filepath.Dir(t.TempDir()), "tiny.wrn") // the same for all runs of a test
	require.NoError(t, os.WriteFile(net, []byte(tinyNet), 0o666))
	return []string{"run", "--train", "digits", net, "--save-every", "2", "--keep-every", "2", "--threads", "1", "--out", dir}
}

func resume(dir string) []string { return []string{"run", "--resume", dir, "--threads", "1"} }

// reference trains without a break.
func reference(t *testing.T) string {
	dir := filepath.Join(t.TempDir(), "whole")
	out, err := exec.Command("wrnctiny", begin(t, dir)...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return dir
}

// requireSameRun compares all that a run leaves behind but for times.
func requireSameRun(t *testing.T, want, got string) {
	for _, name := range []string{"last.safetensors", "best.safetensors", "plan-train.txt", "plan-eval.txt", "run.json"} {
		a, err := os.ReadFile(filepath.Join(want, name))
		require.NoError(t, err)
		b, err := os.ReadFile(filepath.Join(got, name))
		require.NoError(t, err)
		require.True(t, bytes.Equal(a, b), "%s differs", name)
	}
	a, err := withoutTimes(filepath.Join(want, metricsFile))
	require.NoError(t, err)
	b, err := withoutTimes(filepath.Join(got, metricsFile))
	require.NoError(t, err)
	require.Equal(t, a, b)
	require.Equal(t, lineCount(t, filepath.Join(want, metricsFile)), lineCount(t, filepath.Join(got, metricsFile)), "no line stands twice")
}

func lineCount(t *testing.T, path string) int {
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return bytes.Count(text, []byte("\n"))
}

func checkpointSteps(t *testing.T, dir string) []int64 {
	kept, err := train.Checkpoints(dir)
	require.NoError(t, err)
	var steps []int64
	for _, k := range kept {
		steps = append(steps, k.Step)
	}
	return steps
}

// kills is how often TestKill kills: WRNC_KILLS, or few.
func kills(t *testing.T) int {
	if text := os.Getenv("WRNC_KILLS"); text != "" {
		n, err := strconv.Atoi(text)
		require.NoError(t, err, "WRNC_KILLS")
		return n
	}
	if testing.Short() {
		return 5
	}
	return 25
}

// TestKill kills trainings at random points, at any time of the process or from
// when it begins to train, and goes on with them until they end. Checkpoints are
// never lost, and what is left at the end is what an unbroken run leaves.
func TestKill(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a process is not killed in the same way there")
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	began := time.Now()
	whole := reference(t)
	took := time.Since(began)

	killed, runs, early, partial := 0, 0, 0, 0
	for killed < kills(t) {
		runs++
		dir := filepath.Join(t.TempDir(), "run")
		args := begin(t, dir)
		newest := int64(0)
		for {
			inTraining := random.IntN(4) > 0
			wait := time.Duration(random.Float64() * float64(took))
			if inTraining {
				wait /= 3
			}
			if killed >= kills(t) {
				wait = time.Hour // let it end
			}
			dead := runAndKill(t, args, wait, inTraining)
			if !dead {
				break
			}
			killed++
			steps := checkpointSteps(t, dir)
			left, err := filepath.Glob(filepath.Join(dir, "checkpoints", ".*.partial"))
			require.NoError(t, err)
			partial += len(left)
			if len(steps) == 0 {
				early++
			} else {
				require.GreaterOrEqual(t, steps[len(steps)-1], newest, "a checkpoint was lost")
				newest = steps[len(steps)-1]
			}
			if _, err := os.Stat(filepath.Join(dir, runFile)); err == nil {
				args = resume(dir)
				continue
			}
			require.Empty(t, steps)
			out, err := exec.Command("wrnctiny", resume(dir)...).CombinedOutput()
			require.Error(t, err)
			require.Contains(t, string(out), "--resume "+dir+": ")
			require.NoError(t, os.RemoveAll(dir))
		}
		requireSameRun(t, whole, dir)
		require.Equal(t, checkpointSteps(t, whole), checkpointSteps(t, dir))
	}
	t.Logf("killed %d times in %d runs, %d times before the first checkpoint, %d times in the middle of one; %v", killed, runs, early, partial, time.Since(began).Round(time.Second))
}

// runAndKill runs wrnctiny and kills it after a while, which begins when it says
// that it trains or at once. It tells whether it was killed before it ended.
func runAndKill(t *testing.T, args []string, wait time.Duration, inTraining bool) bool {
	cmd := exec.Command("wrnctiny", args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(stdout)
	if inTraining {
		for lines.Scan() && !strings.HasPrefix(lines.Text(), "the run ") && !strings.HasPrefix(lines.Text(), "no checkpoint ") {
		}
	}
	kill := time.AfterFunc(wait, func() { _ = cmd.Process.Kill() }) // it may have ended
	_, _ = io.Copy(io.Discard, stdout)
	err = cmd.Wait()
	kill.Stop()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL {
		return true
	}
	require.NoError(t, err, "%s", stderr.String())
	return false
}

// TestInterruptAndResume: an interrupt loses no step, and a second one, sent every
// other time, ends the process at once and loses no checkpoint.
func TestInterruptAndResume(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a process cannot be interrupted there")
	}
	whole := reference(t)
	dir := filepath.Join(t.TempDir(), "run")
	args := begin(t, dir)
	for again := range 200 {
		cmd := exec.Command("wrnctiny", args...)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		stdout, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		lines := bufio.NewScanner(stdout)
		for lines.Scan() && !strings.HasPrefix(lines.Text(), "the run ") && !strings.HasPrefix(lines.Text(), "no checkpoint ") {
		}
		time.Sleep(time.Duration(10+7*again%40) * time.Millisecond)
		_ = cmd.Process.Signal(os.Interrupt) // it may have ended
		if again%2 == 1 {
			time.Sleep(time.Duration(again%5) * time.Millisecond)
			_ = cmd.Process.Signal(os.Interrupt)
		}
		_, _ = io.Copy(io.Discard, stdout)
		if err = cmd.Wait(); err == nil {
			requireSameRun(t, whole, dir)
			return
		}
		var exit *exec.ExitError
		require.ErrorAs(t, err, &exit)
		if atOnce := exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGINT; !atOnce {
			require.Equal(t, 1, exit.ExitCode(), "%s", stderr.String())
			require.Contains(t, stderr.String(), "go on by: wrnc run --resume "+dir)
		} else {
			require.Equal(t, 1, again%2, "one interrupt ended the process at once")
			t.Logf("interrupt %d ended the process at once", again)
		}
		args = resume(dir)
	}
	t.Fatal("the run never ended")
}

func TestTwoProcessesOnOneRun(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	cmd := exec.Command("wrnctiny", append(begin(t, dir), "--epochs", "100000")...)
	require.NoError(t, cmd.Start())
	defer func() { _ = cmd.Wait() }()
	defer func() { _ = cmd.Process.Kill() }()
	require.Eventually(t, func() bool { return len(checkpointSteps(t, dir)) > 0 }, time.Minute, 5*time.Millisecond)
	out, err := exec.Command("wrnctiny", resume(dir)...).CombinedOutput()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	require.Equal(t, exitUser, exit.ExitCode())
	require.Equal(t, fmt.Sprintf("wrnc: %s: another process (%d) trains this run; wait until it ends, or stop it\n", dir, cmd.Process.Pid), string(out))

	// The lock of a dead process is in nobody's way.
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
	require.FileExists(t, filepath.Join(dir, lockFile))
	unlock, err := lockRun(dir)
	require.NoError(t, err)
	_, err = lockRun(dir)
	require.ErrorContains(t, err, fmt.Sprintf("another process (%d)", os.Getpid()))
	require.NoError(t, unlock())
}

// smallDisk is a folder on a file system of its own of so many bytes.
func smallDisk(t *testing.T, bytes int) string {
	dir := t.TempDir()
	out, err := exec.Command("mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%d", bytes), "tmpfs", dir).CombinedOutput()
	if err != nil {
		t.Skipf("no small file system can be mounted here (TestFullDisk of runtime/train fails each write instead): %v: %s", err, out)
	}
	t.Cleanup(func() { require.NoError(t, exec.Command("umount", dir).Run()) })
	return dir
}

// TestFullDisk runs out of room, on a real file system, and goes on where there is some.
func TestFullDisk(t *testing.T) {
	disk := smallDisk(t, 4<<20)
	whole := reference(t)
	// A checkpoint takes 600 KiB and the weights 300 KiB: with room for two and a
	// half, the first ones fit.
	ballast := filepath.Join(disk, "ballast")
	require.NoError(t, os.WriteFile(ballast, make([]byte, 4<<20-1700<<10), 0o666))
	dir := filepath.Join(disk, "run")
	for range 2 { // the second run finds the disk as full
		args := resume(dir)
		if _, err := os.Stat(dir); err != nil {
			args = begin(t, dir)
		}
		out, err := exec.Command("wrnctiny", args...).CombinedOutput()
		var exit *exec.ExitError
		require.ErrorAs(t, err, &exit, "%s", out)
		require.Equal(t, exitUser, exit.ExitCode())
		steps := checkpointSteps(t, dir)
		require.NotEmpty(t, steps)
		require.Contains(t, string(out), fmt.Sprintf("no space left on device; the checkpoint of step %d is safe; free some space or make the folder writable, then go on by: wrnc run --resume %s\n", steps[len(steps)-1], dir))
	}
	require.NoError(t, os.Remove(ballast))
	out, err := exec.Command("wrnctiny", resume(dir)...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	requireSameRun(t, whole, dir)
}

// TestReadOnlyFolder: a folder that cannot be written, before a run and in its middle.
func TestReadOnlyFolder(t *testing.T) {
	disk := smallDisk(t, 16<<20) // root writes where permissions say no, but not there
	whole := reference(t)
	remount := func(mode string) {
		out, err := exec.Command("mount", "-o", "remount,"+mode, disk).CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	dir := filepath.Join(disk, "run")
	remount("ro")
	out, err := exec.Command("wrnctiny", begin(t, dir)...).CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "wrnc: --out "+dir+": read-only file system\n")

	remount("rw")
	cmd := exec.Command("wrnctiny", begin(t, dir)...)
	require.NoError(t, cmd.Start())
	require.Eventually(t, func() bool { return len(checkpointSteps(t, dir)) > 0 }, time.Minute, time.Millisecond)
	_ = cmd.Process.Kill() // it may have ended
	_ = cmd.Wait()
	remount("ro")
	out, err = exec.Command("wrnctiny", resume(dir)...).CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "lock: read-only file system; a run is only trained in a folder that can be written: make it writable, or copy it and go on with the copy\n")

	remount("rw")
	out, err = exec.Command("wrnctiny", resume(dir)...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	requireSameRun(t, whole, dir)
}
