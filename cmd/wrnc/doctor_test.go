package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"wrnc/runtime/cuda/driver"
)

// TestOutput requires that a program that hangs is given up, also where a child of its
// own holds its output, and that one that floods is cut.
func TestOutput(t *testing.T) {
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("no shell to hang in: ", err)
	}
	started := time.Now()
	_, err = output(100*time.Millisecond, nil, shell, "-c", "echo before; sleep 30 & sleep 30")
	require.EqualError(t, err, "no answer within 100ms")
	require.Less(t, time.Since(started), 25*time.Second)
	out, err := output(time.Minute, []string{"WHY=why"}, shell, "-c", "echo said; echo first >&2; echo $WHY >&2; exit 3")
	require.EqualError(t, err, "exit status 3\nwhy")
	require.Equal(t, "said\n", out)
	out, err = output(time.Minute, nil, shell, "-c", "yes | head -c 3000000")
	require.NoError(t, err)
	require.Equal(t, 1<<20, len(out)) // not Len, which would print it
	_, err = output(time.Minute, nil, "/nowhere/python3")
	require.ErrorContains(t, err, "no such file")
}

// examined has answers in place of the probes'.
func examined(answers map[string]any) *examination {
	return &examination{ask: func(what string, _ time.Duration, answer any) error {
		switch a := answers[what].(type) {
		case error:
			return a
		case probedGPUs:
			*answer.(*probedGPUs) = a
		case probedCompiler:
			*answer.(*probedCompiler) = a
		default:
			return errors.New("asked for " + what)
		}
		return nil
	}}
}

func TestGPUsThatDoNotAnswer(t *testing.T) {
	e := examined(map[string]any{"gpu": errors.New("no answer within 30s"), "nvrtc 8 0 0": errors.New("signal: aborted")})
	require.Equal(t, []finding{{Part: "gpu", State: problem, Text: "looking for one failed: no answer within 30s", Remedy: "see whether nvidia-smi works, and restart the machine; --target cpu does without"}}, e.gpus())
	require.Equal(t, problem, e.compiler()[0].State)
	require.False(t, e.onGPU)
}

// TestGPUsOfWhichOneFails takes the one that works, and compiles for that.
func TestGPUsOfWhichOneFails(t *testing.T) {
	works := driver.Info{Name: "B", Major: 12, Memory: 1 << 30, Driver: 13010, Devices: 2}
	e := examined(map[string]any{
		"gpu":              probedGPUs{GPUs: []probedGPU{{Error: probedError{Text: "A cannot be used", Remedy: "reset it"}}, {Info: works, Free: 1 << 29}}},
		"nvrtc 12 0 13010": probedCompiler{Path: "p", Version: "12.4", Archs: []int{80, 90}, Arch: "compute_90", Notes: []string{"PTX"}},
	})
	list := e.gpus()
	require.Len(t, list, 2)
	require.Equal(t, finding{Part: "gpu", State: problem, Text: "0: A cannot be used", Remedy: "reset it"}, list[0])
	require.Equal(t, fine, list[1].State)
	require.Contains(t, list[1].Text, "1: B, sm_120, 1.0 GiB (512.0 MiB free), driver")
	require.Contains(t, list[1].Text, "for CUDA 13.1; planned for as sm_120")
	require.Equal(t, "12.4 of p, which knows up to sm_90; compiles for compute_90; PTX", e.compiler()[0].Text)
	require.True(t, e.onGPU)
}

func TestNoCompiler(t *testing.T) {
	absent := probedCompiler{Error: probedError{Text: "NVRTC, which compiles kernels, was not found; get it. Tried:\nx", Absent: true}}
	f := examined(map[string]any{"nvrtc 8 0 0": absent}).compiler()[0]
	require.Equal(t, missing, f.State)
	require.Equal(t, "NVRTC, which compiles kernels, was not found", f.Text)
	require.True(t, strings.HasPrefix(f.Remedy, "only a GPU needs it: pip install nvidia-cuda-nvrtc"), f.Remedy)
}

func TestFactsOfLinux(t *testing.T) {
	dir := t.TempDir()
	write := func(text string) string {
		path := filepath.Join(dir, "f")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	require.Equal(t, "AMD EPYC 9", processor(write("processor\t: 0\nmodel name\t: AMD EPYC 9\nmodel name\t: other\n")))
	require.Equal(t, runtime.GOARCH, processor(write("processor\t: 0\n")))
	require.Equal(t, runtime.GOARCH, processor(filepath.Join(dir, "none")))
	require.Equal(t, "570.86.15", driverRelease(write("NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.86.15  Thu Jan 23 2025\nGCC version:  gcc version 13.2.0\n")))
	require.Empty(t, driverRelease(filepath.Join(dir, "none")))
	require.Empty(t, driverRelease(write("nonsense")))
}

func TestFindingsInColour(t *testing.T) {
	var out bytes.Buffer
	f := finding{Part: "gpu", State: missing, Text: "none", Remedy: "buy one"}
	require.NoError(t, f.print(&out, true))
	require.NoError(t, f.print(&out, false))
	require.Equal(t, "\x1b[33mmissing \x1b[0m gpu       none\n                   buy one\nmissing  gpu       none\n                   buy one\n", out.String())
}
