package compiler

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/compiler/ir"
	"wrnc/compiler/ir/gen"
	"wrnc/compiler/ir/interp"
	"wrnc/compiler/irgen"
	"wrnc/dsl"
)

// folds counts the folded norms of a function before or after fusion.
func folds(f *ir.Func) int {
	count := 0
	for _, n := range f.Nodes {
		if n.Body != nil {
			for _, m := range n.Body.Nodes {
				if m.Op == ir.FoldFilter {
					count++
				}
			}
		} else if n.Op == ir.FoldFilter {
			count++
		}
	}
	return count
}

// normed draws the states of a network, with scales of batch norm of both signs and
// some that are zero.
func normed(m *ir.Module, f *ir.Func, r *rand.Rand) (in, state map[string]*interp.Tensor) {
	in, state = gen.Inputs(m, f, r)
	for _, s := range m.States {
		if !strings.HasSuffix(s.Name, ".gamma") {
			continue
		}
		for i := range state[s.Name].F {
			if v := float64(float32(r.NormFloat64())); i%5 == 4 {
				state[s.Name].F[i] = 0
			} else {
				state[s.Name].F[i] = v
			}
		}
	}
	return in, state
}

// TestFolding compares inference with batch norm folded and not, without rounding, for
// the sample networks that the interpreter can run.
func TestFolding(t *testing.T) {
	const most = 30e6 // multiply-adds
	files, err := filepath.Glob("../testdata/nets/*.wrn")
	require.NoError(t, err)
	compared := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		net, err := dsl.Load(file, text)
		require.NoError(t, err)
		if net.Family == dsl.CIFAR {
			net.Input = [3]int{8, 8, 3}
		}
		built, err := irgen.Build(net, 1)
		require.NoError(t, err)
		if irgen.MACs(built.Func("infer")) > most {
			continue
		}
		compared++
		t.Run(filepath.Base(file), func(t *testing.T) {
			plain, folded := compile(t, net, Options{Batch: 2, Fuse: true}), compile(t, net, Options{Batch: 2, Fuse: true, Fold: true})
			require.Zero(t, folds(folded.Func("train")))
			require.Equal(t, net.Family == dsl.CIFAR, folds(folded.Func("infer")) > 0, "the layered ones of these have no norm behind a convolution")
			f := plain.Func("infer")
			in, state := normed(plain, f, rand.New(rand.NewPCG(3, 4)))
			want, err := interp.Run(f, in, state, interp.Options{Float64: true})
			require.NoError(t, err)
			got, err := interp.Run(folded.Func("infer"), in, state, interp.Options{Float64: true})
			require.NoError(t, err)
			if folds(folded.Func("infer")) > 0 {
				require.NotEqual(t, want.Returns[0].F, got.Returns[0].F, "nothing rounds otherwise, so nothing was folded")
			}
			largest := 0.0
			for _, v := range want.Returns[0].F {
				largest = max(largest, v, -v)
			}
			require.InDeltaSlice(t, want.Returns[0].F, got.Returns[0].F, 1e-11*largest)
		})
	}
	require.Greater(t, compared, 5)
}

// TestWhatIsFolded: in a block the norms behind its own convolutions, but none behind
// a sum; the one behind the first convolution of all where a sum does not read that, too;
// in networks for ImageNet all.
func TestWhatIsFolded(t *testing.T) {
	for name, want := range map[string]int{
		"WRN-10-1":                3,
		"WRN-16-4":                6 + 1,
		"WRN-40-2-B(3,1,3)":       2*18 + 1,
		"WRN-18-1; data imagenet": 1 + 2*8 + 3,
	} {
		net, err := dsl.Load("test.wrn", []byte("model "+name))
		require.NoError(t, err)
		m := compile(t, net, Options{Batch: 2, Fuse: true, Fold: true})
		for _, f := range []string{"eval", "infer"} {
			require.Equal(t, want, folds(m.Func(f)), "%s: %s", name, f)
		}
	}
}
