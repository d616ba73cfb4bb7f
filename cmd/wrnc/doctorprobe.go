package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"wrnc/kernels"
	"wrnc/runtime/cuda/driver"
	"wrnc/runtime/cuda/jit"
	"wrnc/runtime/cuda/libcuda"
	"wrnc/runtime/cuda/nvrtc"
)

// Libraries of others may crash or hang. So a `wrnc doctor` with probeVariable in its
// environment looks at one, in a process of its own, and its answer is JSON on the
// last line of standard output.
const probeVariable = "WRNC_DOCTOR_PROBE"

// How long a probe may take: a GPU that is set up first, and a compilation.
const (
	gpuTime     = 30 * time.Second
	compileTime = 60 * time.Second
	programTime = 30 * time.Second
)

// probedGPUs is the answer of the probe gpu.
type probedGPUs struct {
	GPUs  []probedGPU
	Error probedError // of the driver
}

// probedGPU is one of the machine's.
type probedGPU struct {
	driver.Info
	Free  int // bytes
	Error probedError
}

// probedError says why something cannot be used.
type probedError struct {
	Text, Remedy string
	Absent       bool // it is not there at all
}

// probedCompiler is the answer of the probe nvrtc.
type probedCompiler struct {
	Path, Version string
	Archs         []int
	Arch          string // that it was asked to compile for
	Notes         []string
	Error         probedError
}

// answerProbe is the child's side.
func answerProbe(w io.Writer, what string) error {
	var v any
	var t jit.Target
	switch n, _ := fmt.Sscanf(what, "nvrtc %d %d %d", &t.Major, &t.Minor, &t.Driver); {
	case what == "gpu":
		v = probeGPUs()
	case n == 3:
		v = probeCompiler(t)
	default:
		return usagef("%s %q: expected gpu, or nvrtc and three numbers", probeVariable, what)
	}
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "\n%s\n", text)
	return err
}

// probeGPUs opens every GPU that the driver finds.
func probeGPUs() (p probedGPUs) {
	api, err := libcuda.Load()
	if err != nil {
		p.Error = describeError(err, errors.Is(err, libcuda.ErrAbsent))
		return p
	}
	for i, count := 0, 1; i < count; i++ {
		g := probedGPU{}
		d, err := driver.Open(api, driver.Options{Device: i})
		if err != nil {
			g.Error = describeError(err, errors.Is(err, libcuda.ErrAbsent))
			if n, err := api.DeviceGetCount(); err == nil { // others may be fit for use
				count = n
			}
			if count <= 1 {
				p.Error = g.Error
				return p
			}
			p.GPUs = append(p.GPUs, g)
			continue
		}
		g.Info, count = d.Info(), d.Info().Devices
		if g.Free, _, err = d.MemInfo(); err == nil {
			err = d.Close()
		}
		if err != nil {
			g.Error = describeError(err, false)
		}
		p.GPUs = append(p.GPUs, g)
	}
	return p
}

// describeError takes the advice out of a driver's error.
func describeError(err error, absent bool) probedError {
	p := probedError{Text: err.Error(), Absent: absent}
	var e *libcuda.Error
	if errors.As(err, &e) {
		p.Text, p.Remedy = strings.TrimSuffix(p.Text, ": "+e.Hint), e.Hint
	}
	return p
}

// trial is what the compiler is tried on.
const trial = `#include "device.cuh"
struct Args { f32* to; };
WRNC_KERNEL(trial, 32, 1)(const Args args) { args.to[thread_index()] = 1.0f; }
`

// probeCompiler finds NVRTC and compiles for a GPU; without one, for the oldest.
func probeCompiler(t jit.Target) (p probedCompiler) {
	c, err := nvrtc.Open("")
	if err != nil {
		p.Error = probedError{Text: err.Error(), Absent: errors.Is(err, nvrtc.ErrAbsent)}
		return p
	}
	p.Path, p.Version, p.Archs = c.Path(), c.Version(), c.Archs()
	if err := p.compile(t); err != nil {
		p.Error.Text = err.Error()
	}
	return p
}

func (p *probedCompiler) compile(t jit.Target) error {
	c, err := jit.Library()
	if err != nil {
		return err
	}
	if t.Driver == 0 { // there is no driver to be too old
		major, minor := c.Version()
		t.Driver = 1000*major + 10*minor
	}
	j := jit.New(c, jit.Options{Note: func(note string) { p.Notes = append(p.Notes, note) }})
	if p.Arch, err = j.Arch(t); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), compileTime-5*time.Second)
	defer cancel()
	_, err = j.Compile(ctx, t, []jit.Text{{Name: "trial", Text: trial}}, kernels.Headers())
	return err
}

// ask is the parent's side: it starts a probe and reads its answer.
func ask(what string, limit time.Duration, answer any) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	out, err := output(limit, []string{probeVariable + "=" + what}, self, "doctor")
	if err != nil {
		return err
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), answer); err != nil {
		return fmt.Errorf("no answer: %w", err)
	}
	return nil
}

// output runs a program for a limited time, with more in its environment, and returns
// what it printed.
func output(limit time.Duration, environment []string, program string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	var stdout, stderr capped
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(cmd.Environ(), environment...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = limit // where a child of its own holds its output, or the machine is busy
	err := cmd.Run()
	switch {
	case err == nil: // be it at the last moment
	case ctx.Err() != nil:
		err = fmt.Errorf("no answer within %v", limit)
	default:
		lines := strings.Split(strings.TrimSpace(stderr.String()), "\n")
		err = errors.Join(err, errors.New(lines[len(lines)-1]))
	}
	return stdout.String(), err
}

// capped keeps the first mebibyte of what is written to it.
type capped struct{ kept bytes.Buffer } // not embedded: its ReadFrom knows no bound

func (c *capped) Write(b []byte) (int, error) {
	room := max(0, 1<<20-c.kept.Len())
	c.kept.Write(b[:min(room, len(b))])
	return len(b), nil
}

func (c *capped) String() string { return c.kept.String() }
