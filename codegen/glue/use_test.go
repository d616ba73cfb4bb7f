package glue_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/codegen/glue"
	"wrnc/compiler/ir"
	"wrnc/compiler/lower"
	"wrnc/compiler/plan"
	"wrnc/dsl"
	kernels "wrnc/kernels/cpu"
	"wrnc/kernels/harness"
	"wrnc/runtime"
	"wrnc/runtime/checkpoint"
	"wrnc/runtime/cpu"
	"wrnc/runtime/cuda"
	"wrnc/runtime/cuda/emulator"
	"wrnc/runtime/network"
	"wrnc/runtime/train"
)

// user is a module of its own that uses a written package.
type user struct {
	in      glue.Input
	dir     string
	program string
}

// small is a network of small pictures, with dropout, so that seed and step count.
func small(t *testing.T) *dsl.Network {
	net, err := dsl.Load("small.wrn", []byte("model WRN-10-1; dropout 0.3; train paper { batch 4 }"))
	require.NoError(t, err)
	net.Input = [3]int{8, 6, 3}
	return net
}

// newUser writes the package into a new module beside testdata/use, and builds
// it with no network: all that it needs is this repository and its modules.
func newUser(t *testing.T) *user {
	in := input(t, small(t), ir.F32)
	files, err := glue.Package(in)
	require.NoError(t, err)
	u := &user{in: in, dir: t.TempDir()}
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	sums, err := os.ReadFile(filepath.Join(root, "go.sum"))
	require.NoError(t, err)
	files = prefixed("wrn10x1", files)
	files["go.mod"] = fmt.Appendf(nil, "module example.test/use\n\ngo 1.26.0\n\nrequire wrnc v0.0.0\n\nreplace wrnc => %s\n", root)
	files["go.sum"] = sums
	for _, name := range []string{"main.go", "driver.go"} {
		files[name], err = os.ReadFile(filepath.Join("testdata/use", name))
		require.NoError(t, err)
	}
	for name, content := range files {
		to := filepath.Join(u.dir, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(to), 0o777))
		require.NoError(t, os.WriteFile(to, content, 0o666))
	}
	u.program = filepath.Join(u.dir, "use")
	u.goTool(t, "vet", "./...")
	u.goTool(t, "build", "-o", u.program, ".")
	return u
}

func prefixed(folder string, files map[string][]byte) map[string][]byte {
	out := map[string][]byte{}
	for name, content := range files {
		out[folder+"/"+name] = content
	}
	return out
}

func (u *user) goTool(t *testing.T, args ...string) {
	cmd := exec.Command("go", args...)
	cmd.Dir = u.dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "go %v: %s", args, out)
}

// result is what testdata/use prints.
type result struct {
	Sizes    []int
	Losses   []network.Loss
	Logits   []float32
	Measured network.Loss
	Again    []float32
	Launches int
}

func (u *user) run(t *testing.T, target string, batches []batch, env ...string) (r result, weights *checkpoint.File) {
	in, err := json.Marshal(batches)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "w.safetensors")
	cmd := exec.Command(u.program, target, path)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdin = bytes.NewReader(in)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, stderr.String())
	require.NoError(t, json.Unmarshal(out, &r))
	weights, err = checkpoint.Read(path)
	require.NoError(t, err)
	return r, weights
}

// batch is one step's data.
type batch struct {
	Images []float32
	Labels []int32
}

// data is two full batches and a short one.
func data() []batch {
	r := rand.New(rand.NewPCG(3, 4))
	var out []batch
	for _, n := range []int{4, 4, 3} {
		b := batch{make([]float32, n*8*6*3), make([]int32, n)}
		for i := range b.Images {
			b.Images[i] = float32(r.NormFloat64())
		}
		for i := range b.Labels {
			b.Labels[i] = r.Int32N(10)
		}
		out = append(out, b)
	}
	return out
}

// TestPackage builds a program with a written package and compares all that it
// computes, bit for bit, with the same functions loaded directly.
func TestPackage(t *testing.T) {
	u := newUser(t)
	t.Run("cpu", func(t *testing.T) {
		got, weights := u.run(t, "cpu", data())
		require.Equal(t, []int{8, 6, 3, 10, 4, u.in.Module.Params()}, got.Sizes)
		isa := kernels.Detect()
		var plans []*plan.Plan
		for _, f := range u.in.Module.Funcs {
			p, err := lower.Plan(f, cpu.Arch(isa))
			require.NoError(t, err)
			plans = append(plans, p)
		}
		ex, err := cpu.Load(u.in.Module, plans, cpu.Options{ISA: isa, Threads: 1})
		require.NoError(t, err)
		defer ex.Close()
		u.compare(t, ex, got, weights)
	})
	t.Run("idle", func(t *testing.T) {
		got, _ := u.run(t, "idle", data())
		require.Equal(t, make([]float32, 4*10), got.Logits, "its kernels do nothing")
		require.Len(t, got.Losses, 3)
		require.Greater(t, got.Launches, 100)
	})
	t.Run("emulated", func(t *testing.T) {
		h := harness.NewForTest(t)
		d, err := emulator.Open(h, emulator.Options{})
		require.NoError(t, err)
		defer d.Close()
		ex, err := cuda.Load(u.in.Module, u.in.Plans, u.in.Sources, d, cuda.Options{})
		require.NoError(t, err)
		defer ex.Close()
		got, weights := u.run(t, "emulated", data(), "WRNC_HARNESS_DIR="+harness.DirForTest())
		u.compare(t, ex, got, weights)
	})
}

// compare does what testdata/use does, on an executable.
func (u *user) compare(t *testing.T, ex runtime.Executable, got result, weights *checkpoint.File) {
	m := u.in.Module
	require.NoError(t, train.Initialize(ex, m, 5))
	run := func(function string, b batch, step uint64) []float32 {
		out, err := ex.Run(function, runtime.Inputs{N: len(b.Labels), F32: map[string][]float32{"images": b.Images, "lr": {0.125}},
			Labels: map[string][]int32{"labels": b.Labels}, U64: map[string]uint64{"seed": 5, "step": step}})
		require.NoError(t, err)
		return append([]float32(nil), out[0]...)
	}
	loss := func(out []float32, n int) network.Loss {
		return network.Loss{Sum: float64(out[0]), Mistakes: int(out[1]), Images: n}
	}
	for step, b := range data() {
		require.Equal(t, loss(run("train", b, uint64(step)), len(b.Labels)), got.Losses[step], "step %d", step)
	}
	first := data()[0]
	require.Equal(t, run("infer", first, 0), got.Logits)
	require.Equal(t, loss(run("eval", first, 0), 4), got.Measured)
	require.Equal(t, got.Logits, got.Again, "the weights came back")
	for _, s := range m.States {
		if s.Role == ir.Velocity {
			continue
		}
		want, err := ex.ReadState(s.Name)
		require.NoError(t, err)
		have, err := weights.Float32s(s.Name, s.Type.Dims)
		require.NoError(t, err)
		require.Equal(t, want, have, s.Name)
	}
}

// TestRefusals holds what cannot be a package to its reasons.
func TestRefusals(t *testing.T) {
	whole := input(t, small(t), ir.F32)
	for name, c := range map[string]struct {
		spoil func(in *glue.Input)
		want  string
	}{
		"functions": {func(in *glue.Input) {
			m := *in.Module
			m.Funcs = m.Funcs[:2]
			in.Module = &m
		}, "WRN-10-1 is no classifier of images: it has no function infer"},
		"plans": {func(in *glue.Input) { in.Plans = in.Plans[1:] }, "WRN-10-1: 2 plans for 3 functions"},
		"order": {func(in *glue.Input) { in.Plans = []*plan.Plan{in.Plans[1], in.Plans[0], in.Plans[2]} },
			"WRN-10-1: the plan of eval of WRN-10-1 for a batch of 4 is not of function train for a batch of 4"},
		"texts":   {func(in *glue.Input) { in.Sources = in.Sources[1:] }, "WRN-10-1: texts of 2 plans, there are 3"},
		"headers": {func(in *glue.Input) { in.Headers = nil }, `.cuh", which is not among the headers`},
		"no GPU": {func(in *glue.Input) {
			p := *in.Plans[0]
			p.Arch = cpu.Arch(kernels.Detect())
			in.Plans = []*plan.Plan{&p, in.Plans[1], in.Plans[2]}
		}, "WRN-10-1: the plan of train is for the cpu target; a package holds plans for a GPU"},
		"two GPUs": {func(in *glue.Input) {
			p := *in.Plans[2]
			p.Arch.ISA = "sm_90"
			in.Plans = []*plan.Plan{in.Plans[0], in.Plans[1], &p}
		}, "WRN-10-1: the plan of infer is for sm_90, that of train for sm_80"},
	} {
		t.Run(name, func(t *testing.T) {
			in := whole
			c.spoil(&in)
			_, err := glue.Package(in)
			require.ErrorContains(t, err, c.want)
		})
	}
}
