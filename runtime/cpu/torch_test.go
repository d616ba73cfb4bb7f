package cpu_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/compiler"
	"wrnc/compiler/ir"
	"wrnc/compiler/ir/interp"
	"wrnc/compiler/lower"
	"wrnc/compiler/plan"
	"wrnc/dsl"
	kernels "wrnc/kernels/cpu"
	"wrnc/runtime/checkpoint"
	"wrnc/runtime/cpu"
	"wrnc/runtime/train"
)

// TestTorch holds training to PyTorch: two consecutive steps, of some networks
// the second on a short batch, then an evaluation, each against what torch
// computes in float64 from the same state, pictures and labels
// (experiments/torchstep writes the files and says what is in them).
//
// The float64 interpreter must give torch's numbers up to their rounding to
// float32 in the file. Whatever computes in float32 must be as near to them as
// torch's own float32 run is; see [single].
func TestTorch(t *testing.T) {
	files, err := filepath.Glob("../../testdata/torch/*.safetensors")
	require.NoError(t, err)
	require.Len(t, files, 5)
	for _, file := range files {
		ref := readReference(t, file)
		for _, fuse := range []bool{true, false} {
			m := ref.compile(t, fuse)
			name := fmt.Sprintf("%s/fuse=%v/", filepath.Base(file), fuse)
			t.Run(name+"float64", func(t *testing.T) {
				ref.follow(t, &interpreted{m: m, opt: interp.Options{Float64: true}, state: map[string]*interp.Tensor{}}, exact)
			})
			t.Run(name+"float32", func(t *testing.T) {
				ref.follow(t, &interpreted{m: m, state: map[string]*interp.Tensor{}}, single)
			})
			for _, isa := range kernels.Available() {
				t.Run(name+isa.Name, func(t *testing.T) {
					var plans []*plan.Plan
					for _, f := range m.Funcs {
						p, err := lower.Plan(f, cpu.Arch(isa))
						require.NoError(t, err)
						plans = append(plans, p)
					}
					prog, err := cpu.Load(m, plans, cpu.Options{ISA: isa, Threads: 2, Poison: true})
					require.NoError(t, err)
					defer prog.Close()
					ref.follow(t, loaded{m, prog}, single)
				})
			}
		}
	}
}

// exact is the distance that a float64 computation may have from a reference
// value: half a unit in the last place of float32, in which the file holds it,
// and what two orders of summation in float64 differ by.
func exact(want, largest, _ float64) float64 {
	return 0x1p-24*math.Abs(want) + 1e-12*largest
}

// single is that of a float32 computation: torch's float32 run, which differs
// from wrnc's only in the order of sums and where it rounds, has an error of its
// own: that of the worst element, relative to the largest element. It is one
// draw of the noise, so that another may well be a few times as large; the
// second term is for tensors in which torch was lucky. Wrnc's errors, at most
// 2.4e-6 of the largest element where torch's reach 5.5e-6, stay below 0.6 of
// this bound.
func single(_, largest, torch float64) float64 { return (4*torch + 1e-6) * largest }

// reference is one file.
type reference struct {
	*checkpoint.File
	net *dsl.Network
}

func readReference(t *testing.T, path string) *reference {
	t.Helper()
	f, err := checkpoint.Read(path)
	require.NoError(t, err)
	r := &reference{File: f}
	r.net, err = dsl.Load(path, []byte(f.Metadata["network"]))
	require.NoError(t, err)
	r.net.Input = [3]int{r.number(t, "height"), r.number(t, "width"), r.number(t, "channels")}
	return r
}

func (r *reference) number(t *testing.T, key string) int {
	t.Helper()
	n, err := strconv.Atoi(r.Metadata[key])
	require.NoError(t, err, key)
	return n
}

// values returns a tensor of floats, whatever its shape.
func (r *reference) values(t *testing.T, name string) []float32 {
	t.Helper()
	tensor, ok := r.Tensor(name)
	require.True(t, ok, name)
	v, err := tensor.Float32s()
	require.NoError(t, err)
	return v
}

func (r *reference) compile(t *testing.T, fuse bool) *ir.Module {
	t.Helper()
	c, err := compiler.Compile(r.net, compiler.Options{Batch: r.number(t, "batch"), Precision: ir.F32, Fuse: fuse, Verify: true})
	require.NoError(t, err)
	return c.Module
}

// batch is the input of a function, with the learning rate and the seed of
// dropout for those that take them.
type batch struct {
	images     []float32
	labels     []int32
	lr         float64
	seed, step uint64
}

func (r *reference) batch(t *testing.T, at string) batch {
	t.Helper()
	labels, ok := r.Tensor(at + "/labels")
	require.True(t, ok)
	require.Equal(t, checkpoint.I32, labels.DType)
	b := batch{images: r.values(t, at+"/images"), labels: make([]int32, len(labels.Data)/4)}
	_, err := binary.Decode(labels.Data, binary.LittleEndian, b.labels)
	require.NoError(t, err)
	b.lr, err = strconv.ParseFloat(r.Metadata["lr"], 64)
	require.NoError(t, err)
	b.seed, err = strconv.ParseUint(r.Metadata["seed"], 10, 64)
	require.NoError(t, err)
	return b
}

// follow sets the initial state and runs the reference's steps and evaluation.
func (r *reference) follow(t *testing.T, tr trainer, tolerance func(want, largest, torch float64) float64) {
	m := tr.module()
	checked := 0
	check := func(name string, got []float64) {
		r.check(t, name, got, tolerance)
		checked++
	}
	if r.Metadata["initial"] == "drawn" {
		seed, err := strconv.ParseUint(r.Metadata["seed"], 10, 64)
		require.NoError(t, err)
		require.NoError(t, train.Initialize(stateWriter{nil, tr}, m, seed))
	} else {
		for _, s := range m.States {
			v, err := r.Float32s("0/"+s.Name, s.Type.Dims)
			require.NoError(t, err)
			require.NoError(t, tr.WriteState(s.Name, v))
		}
	}
	for i := range r.number(t, "steps") {
		at := strconv.Itoa(i + 1)
		b := r.batch(t, at)
		b.step = uint64(r.number(t, "first") + i)
		results, err := tr.run("train", b)
		require.NoError(t, err)
		check(at+"/loss", results[0])
		for _, s := range m.States {
			v, err := tr.read(s.Name)
			require.NoError(t, err)
			check(at+"/"+s.Name, v)
		}
	}
	for _, f := range []struct{ name, result string }{{"eval", "eval/loss"}, {"infer", "eval/logits"}} {
		results, err := tr.run(f.name, r.batch(t, "eval"))
		require.NoError(t, err)
		check(f.result, results[0])
	}
	require.Equal(t, r.results(), checked, "some of torch's results have no counterpart")
}

// results counts torch's results in the file; each has an error beside it.
func (r *reference) results() int {
	n := 0
	for _, x := range r.Tensors {
		if strings.HasSuffix(x.Name, errorSuffix) {
			n++
		}
	}
	return n
}

// errorSuffix ends the name of the scalar that says how far torch's float32 run
// is from its float64 run, relative to the largest element.
const errorSuffix = "/error32"

// sparse is the step between the elements that a file holds of a large tensor of
// a network whose state is drawn; it is coprime to every dimension, so that each
// channel and tap of a filter occurs.
const sparse = 13

// check compares one tensor.
func (r *reference) check(t *testing.T, name string, got []float64, tolerance func(want, largest, torch float64) float64) {
	t.Helper()
	want, torch := r.values(t, name), float64(r.values(t, name+errorSuffix)[0])
	step := 1
	if r.Metadata["initial"] == "drawn" && len(got) != len(want) {
		step = sparse
	}
	require.Len(t, want, (len(got)+step-1)/step, name)
	largest := 0.0
	for _, w := range want {
		largest = max(largest, math.Abs(float64(w)))
	}
	for i, w := range want {
		d, limit := math.Abs(got[i*step]-float64(w)), tolerance(float64(w), largest, torch)
		if !(d <= limit) {
			t.Errorf("%s[%d]: got %v, torch has %v; they differ by %.2g, allowed are %.2g (largest %v, torch's own error %.2g of it)",
				name, i*step, got[i*step], w, d, limit, largest, torch)
			return
		}
	}
}
