package network_test

import (
	"math"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/compiler"
	"wrnc/compiler/ir"
	"wrnc/compiler/lower"
	"wrnc/compiler/plan"
	"wrnc/dsl"
	kernels "wrnc/kernels/cpu"
	"wrnc/runtime"
	"wrnc/runtime/checkpoint"
	"wrnc/runtime/cpu"
	"wrnc/runtime/network"
	"wrnc/runtime/train"
)

const batch, seed = 4, 1<<40 + 7

// compiled is a small network with dropout, so that seed and step count.
func compiled(t *testing.T, name string) *ir.Module {
	net, err := dsl.Load("test.wrn", []byte("model "+name+"; dropout 0.3"))
	require.NoError(t, err)
	net.Input = [3]int{8, 6, 3}
	c, err := compiler.Compile(net, compiler.Options{Batch: batch, Fuse: true})
	require.NoError(t, err)
	return c.Module
}

func load(t *testing.T, m *ir.Module) runtime.Executable {
	isa := kernels.Detect()
	var plans []*plan.Plan
	for _, f := range m.Funcs {
		p, err := lower.Plan(f, cpu.Arch(isa))
		require.NoError(t, err)
		plans = append(plans, p)
	}
	ex, err := cpu.Load(m, plans, cpu.Options{ISA: isa, Threads: 2})
	require.NoError(t, err)
	t.Cleanup(ex.Close)
	return ex
}

func newNetwork(t *testing.T, name string) (*network.Network, *ir.Module, runtime.Executable) {
	m := compiled(t, name)
	ex := load(t, m)
	n, err := network.New(m, ex, seed)
	require.NoError(t, err)
	return n, m, ex
}

func data(n int, seed uint64) ([]float32, []int32) {
	r := rand.New(rand.NewPCG(seed, 1))
	images, labels := make([]float32, n*8*6*3), make([]int32, n)
	for i := range images {
		images[i] = float32(r.NormFloat64())
	}
	for i := range labels {
		labels[i] = r.Int32N(10)
	}
	return images, labels
}

// TestSameAsTheExecutable compares every call, bit for bit, with calls of the
// executable that know nothing of this package.
func TestSameAsTheExecutable(t *testing.T) {
	n, m, ex := newNetwork(t, "WRN-10-1")
	plain := load(t, m)
	require.NoError(t, train.Initialize(plain, m, seed))
	for step, count := range []int{4, 4, 3} {
		images, labels := data(count, uint64(step))
		loss, err := n.TrainStep(images, labels, 0.125)
		require.NoError(t, err)
		out, err := plain.Run("train", runtime.Inputs{N: count, F32: map[string][]float32{"images": images, "lr": {0.125}},
			Labels: map[string][]int32{"labels": labels}, U64: map[string]uint64{"seed": seed, "step": uint64(step)}})
		require.NoError(t, err)
		require.Equal(t, network.Loss{Sum: float64(out[0][0]), Mistakes: int(out[0][1]), Images: count}, loss)
		require.EqualValues(t, step+1, n.Steps())
	}
	for _, s := range m.States {
		want, err := plain.ReadState(s.Name)
		require.NoError(t, err)
		got, err := ex.ReadState(s.Name)
		require.NoError(t, err)
		require.Equal(t, want, got, s.Name)
	}

	images, labels := data(10, 9) // two batches and a half
	got, err := n.Infer(images)
	require.NoError(t, err)
	measured, err := n.Evaluate(images, labels)
	require.NoError(t, err)
	var logits []float32
	var loss network.Loss
	for _, part := range [][2]int{{0, 4}, {4, 8}, {8, 10}} {
		in := runtime.Inputs{N: part[1] - part[0], F32: map[string][]float32{"images": images[part[0]*144 : part[1]*144]},
			Labels: map[string][]int32{"labels": labels[part[0]:part[1]]}}
		out, err := plain.Run("infer", in)
		require.NoError(t, err)
		logits = append(logits, out[0]...)
		out, err = plain.Run("eval", in)
		require.NoError(t, err)
		loss.Sum += float64(out[0][0])
		loss.Mistakes += int(out[0][1])
	}
	loss.Images = 10
	require.Equal(t, logits, got)
	require.Equal(t, loss, measured)
	require.Equal(t, measured.Sum/10, measured.Mean())

	mistakes := 0
	for i, l := range labels {
		best := 0
		for c := range 10 {
			if got[i*10+c] > got[i*10+best] {
				best = c
			}
		}
		if best != int(l) {
			mistakes++
		}
	}
	require.Equal(t, mistakes, measured.Mistakes)
}

func TestSaveAndLoad(t *testing.T) {
	n, _, _ := newNetwork(t, "WRN-10-1")
	images, labels := data(batch, 1)
	for range 2 {
		_, err := n.TrainStep(images, labels, 0.1)
		require.NoError(t, err)
	}
	path := filepath.Join(t.TempDir(), "w.safetensors")
	require.NoError(t, n.Save(path))
	file, err := checkpoint.Read(path)
	require.NoError(t, err)
	require.Equal(t, map[string]string{"model": "WRN-10-1", "step": "2"}, file.Metadata)
	want, err := n.Infer(images)
	require.NoError(t, err)

	other, m, ex := newNetwork(t, "WRN-10-1")
	_, err = other.TrainStep(images, labels, 0.5)
	require.NoError(t, err)
	require.NoError(t, other.Load(path))
	got, err := other.Infer(images)
	require.NoError(t, err)
	require.Equal(t, want, got)
	require.EqualValues(t, 2, other.Steps())
	for _, s := range m.States {
		if s.Role == ir.Velocity {
			v, err := ex.ReadState(s.Name)
			require.NoError(t, err)
			require.Equal(t, make([]float32, len(v)), v, s.Name)
		}
	}

	wider, _, _ := newNetwork(t, "WRN-10-2")
	before, err := wider.Infer(images)
	require.NoError(t, err)
	require.ErrorContains(t, wider.Load(path), "another network")
	after, err := wider.Infer(images)
	require.NoError(t, err)
	require.Equal(t, before, after, "nothing was changed")

	require.NoError(t, checkpoint.Write(path, file.Tensors, nil))
	require.NoError(t, other.Load(path))
	require.Zero(t, other.Steps(), "a file that says nothing of steps")
	require.NoError(t, checkpoint.Write(path, file.Tensors, map[string]string{"step": "-1"}))
	require.ErrorContains(t, other.Load(path), `the number of steps is "-1"`)
}

func TestRefusals(t *testing.T) {
	n, _, _ := newNetwork(t, "WRN-10-1")
	images, labels := data(6, 1)
	_, err := n.Infer(images[:145])
	require.EqualError(t, err, "WRN-10-1: images of 8x6x3 are 144 numbers each; 145 are no whole number of images from 1 up")
	_, err = n.Infer(nil)
	require.ErrorContains(t, err, "0 are no whole number")
	_, err = n.Evaluate(images, labels[:5])
	require.EqualError(t, err, "WRN-10-1: 5 labels for 6 images")
	_, err = n.TrainStep(images, labels, 0.1)
	require.EqualError(t, err, "WRN-10-1: a step of 6 images; the batch is 4")
	for _, rate := range []float32{-1, float32(math.NaN()), float32(math.Inf(1))} {
		_, err = n.TrainStep(images[:144*2], labels[:2], rate)
		require.ErrorContains(t, err, "expected a finite number from 0 up")
	}
	_, err = n.TrainStep(images[:144*2], []int32{0, 10}, 0.1)
	require.ErrorContains(t, err, "label 10 of sample 1: expected 0 to 9")
	require.Zero(t, n.Steps(), "what is refused is no step")

	m := compiled(t, "WRN-10-1")
	m.Funcs = m.Funcs[:1]
	_, err = network.New(m, load(t, m), seed)
	require.ErrorContains(t, err, "no classifier of images")
}

// TestOpen infers with the weights of a file, by a module of one function.
func TestOpen(t *testing.T) {
	n, m, _ := newNetwork(t, "WRN-10-1")
	images, labels := data(batch, 1)
	_, err := n.TrainStep(images, labels, 0.1)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "w.safetensors")
	require.NoError(t, n.Save(path))
	want, err := n.Infer(images)
	require.NoError(t, err)

	infer := *m.Func("infer")
	alone := &ir.Module{Name: m.Name, Batch: m.Batch, Funcs: []*ir.Func{&infer}}
	infer.Module = alone
	for _, s := range m.States {
		if s.Role != ir.Velocity {
			alone.States = append(alone.States, s)
		}
	}
	weights, err := checkpoint.Read(path)
	require.NoError(t, err)
	opened, err := network.Open(alone, load(t, alone), weights)
	require.NoError(t, err)
	got, err := opened.Infer(images)
	require.NoError(t, err)
	require.Equal(t, want, got)
	_, err = opened.TrainStep(images, labels, 0.1)
	require.EqualError(t, err, "WRN-10-1 has no function train")

	less := filepath.Join(t.TempDir(), "less.safetensors")
	require.NoError(t, checkpoint.Write(less, weights.Tensors[1:], nil))
	weights, err = checkpoint.Read(less)
	require.NoError(t, err)
	_, err = network.Open(alone, load(t, alone), weights)
	require.ErrorContains(t, err, "the checkpoint is of another network")
	_, err = network.Open(&ir.Module{Name: "nothing"}, nil, weights)
	require.EqualError(t, err, "nothing is no classifier of images: it has no function infer")
}
