package verify_test

import (
	"context"
	"errors"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	printer "wrnc/codegen/cuda"
	"wrnc/compiler/ir"
	"wrnc/compiler/plan"
	kernels "wrnc/kernels/cpu"
	"wrnc/kernels/harness"
	"wrnc/runtime"
	"wrnc/runtime/cuda"
	"wrnc/runtime/cuda/emulator"
	"wrnc/runtime/verify"
)

// onCUDA is the CUDA target over a driver.
func onCUDA(t *testing.T, d cuda.Driver) verify.Target {
	arch, err := printer.Arch(printer.DefaultArch)
	require.NoError(t, err)
	return verify.Target{Name: "cuda", Arch: arch, Load: func(m *ir.Module, plans []*plan.Plan) (runtime.Executable, error) {
		var sources [][]plan.Source
		for _, p := range plans {
			s, err := printer.Emit(p, m.Func(p.Func))
			if err != nil {
				return nil, err
			}
			sources = append(sources, s)
		}
		p, err := cuda.Load(m, plans, sources, d, cuda.Options{})
		if err != nil {
			return nil, err
		}
		return p, nil
	}}
}

func emulated(t *testing.T) *emulator.Device {
	d, err := emulator.Open(harness.NewForTest(t), emulator.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	return d
}

// TestCUDA verifies a network on the texts that a GPU gets, in f32 and in bf16, and
// compares whole functions with the CPU target as well.
func TestCUDA(t *testing.T) {
	d := emulated(t)
	for _, precision := range []ir.DType{ir.F32, ir.BF16} {
		n := nets(module(t, "WRN-10-1; dropout 0.3", precision, 8))
		n[0].Other = &verify.Other{Network: nets(module(t, "WRN-10-1; dropout 0.3", ir.F32, 8))[0], Target: onCPU(kernels.Detect())}
		r, err := verify.Run(context.Background(), onCUDA(t, d), n, options())
		require.NoError(t, err)
		require.Empty(t, wrong(r))
		var whole []string
		for _, c := range r.Checks {
			if c.Region == "" {
				whole = append(whole, c.Function+" "+c.Against)
				t.Logf("%v %s against the %s: %.2g of %.2g, %s", precision, c.Function, c.Against, c.Worst.Error, c.Worst.Tolerance, c.Worst.Name)
			}
		}
		require.Equal(t, []string{"train interpreter", "train cpu", "eval interpreter", "eval cpu", "infer interpreter", "infer cpu"}, whole)
	}
}

// spoiler is a driver that compiles a text otherwise than it is, or whose device dies.
type spoiler struct {
	cuda.Driver
	old     *regexp.Regexp // nil: none
	new     string
	spoiled []string

	dead     error // of the device, once it has launched a kernel
	launches int
}

func (s *spoiler) Load(t cuda.Texts) ([]cuda.Function, error) {
	for i := range t.Kernels {
		k := &t.Kernels[i]
		if s.old == nil {
			break
		}
		if text := s.old.ReplaceAllString(k.Text, s.new); text != k.Text {
			k.Text = text
			s.spoiled = append(s.spoiled, k.Entry)
		}
	}
	return s.Driver.Load(t)
}

func (s *spoiler) Launch(f cuda.Function, g cuda.Grid, args []byte) error {
	s.launches++
	return s.Driver.Launch(f, g, args)
}

func (s *spoiler) Capture([]cuda.Launch) (cuda.Graph, error) { return 0, errors.ErrUnsupported }

func (s *spoiler) Sync() error { return errors.Join(s.lost(), s.Driver.Sync()) }

func (s *spoiler) Read(dst []byte, src cuda.Ptr) error {
	return errors.Join(s.lost(), s.Driver.Read(dst, src))
}

func (s *spoiler) lost() error {
	if s.launches == 0 {
		return nil
	}
	return s.dead
}

// TestFaultsOfKernels seeds a fault into the text of a kernel: verify names its
// regions, and no others.
func TestFaultsOfKernels(t *testing.T) {
	d := emulated(t)
	s := &spoiler{Driver: d, old: regexp.MustCompile(`relu_grad\((\w+),`), new: "relu_grad(relu($1),"}
	m := module(t, "WRN-10-1", ir.F32, 8)
	r, err := verify.Run(context.Background(), onCUDA(t, s), nets(m), options())
	require.NoError(t, err)
	require.NotEmpty(t, s.spoiled)
	spoiled := map[string]bool{"": true} // the step as a whole
	for _, f := range m.Func("train").Nodes {
		for _, b := range f.Body.Nodes {
			spoiled[f.Layer] = spoiled[f.Layer] || b.Op == ir.ReLUGrad
		}
	}
	for _, c := range r.Checks {
		require.Equal(t, c.Function == "train" && spoiled[c.Region], !c.OK(), "%s %s", c.Function, c.Region)
	}

	s = &spoiler{Driver: d, dead: errors.New("the device is lost")}
	_, err = verify.Run(context.Background(), onCUDA(t, s), nets(m), options())
	require.ErrorContains(t, err, "conv0: ")
	require.ErrorContains(t, err, "the device is lost")
}
