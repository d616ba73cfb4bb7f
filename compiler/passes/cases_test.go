package passes

import (
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"

	"wrnc/compiler/ir"
	"wrnc/compiler/ir/gen"
	"wrnc/compiler/ir/interp"
)

var update = flag.Bool("update", false, "rewrite the out.ir of testdata/passes")

// folders are the passes that have cases: testdata/passes/<name>/<case>.txtar.
var folders = []struct {
	name      string
	run       func(*ir.Func, Options) error
	precision ir.DType
	float64   bool // compare without rounding, since the pass rounds
	near      bool // compare within rounding of float64, since the pass computes otherwise
}{
	{"canonicalize", Canonicalize, ir.F32, false, false},
	{"split-bn", SplitBN, ir.F32, false, false},
	{"fold-bn", FoldBN, ir.F32, true, true},
	{"rounding-f32", Rounding, ir.F32, false, false},
	{"rounding-tf32", Rounding, ir.TF32, true, false},
	{"rounding-bf16", Rounding, ir.BF16, true, false},
	{"cse", CSE, ir.F32, false, false},
	{"deadcode", DeadCode, ir.F32, false, false},
	{"fuse-conv", FuseConv, ir.F32, false, false},
	{"fuse-map", FuseMap, ir.F32, false, false},
	{"isolate", Isolate, ir.F32, false, false},
	{"inline", Inline, ir.F32, false, false},
}

// Each case: parse, round trip, run the pass, verify, compare the text, and the
// values that both sides compute from random inputs.
func TestCases(t *testing.T) {
	root := filepath.Join("..", "..", "testdata", "passes")
	entries, err := os.ReadDir(root)
	require.NoError(t, err)
	require.Len(t, entries, len(folders), "a folder of cases belongs to no pass")
	for _, pass := range folders {
		files, err := filepath.Glob(filepath.Join(root, pass.name, "*.txtar"))
		require.NoError(t, err)
		require.NotEmpty(t, files, pass.name)
		for _, file := range files {
			t.Run(pass.name+"/"+filepath.Base(file), func(t *testing.T) {
				ar, err := txtar.ParseFile(file)
				require.NoError(t, err)
				require.NotEmpty(t, ar.Comment, "a case says why it is there")
				require.Equal(t, "in.ir", ar.Files[0].Name)
				in := string(ar.Files[0].Data)
				before, after := parse(t, in), parse(t, in)
				require.Equal(t, in, before.String(), "in.ir is not as the printer prints it")
				opt := Options{Precision: pass.precision}
				for _, f := range after.Funcs {
					require.NoError(t, pass.run(f, opt))
				}
				require.NoError(t, after.Verify())
				got := after.String()
				require.Equal(t, got, parse(t, got).String())
				if *update {
					ar.Files = append(ar.Files[:1], txtar.File{Name: "out.ir", Data: []byte(got)})
					require.NoError(t, os.WriteFile(file, txtar.Format(ar), 0o644))
				}
				require.Len(t, ar.Files, 2)
				require.Equal(t, "out.ir", ar.Files[1].Name)
				require.Equal(t, string(ar.Files[1].Data), got)
				sameValues(t, before, after, interp.Options{Float64: pass.float64}, pass.near)

				for _, f := range after.Funcs { // again: nothing is left to do
					require.NoError(t, pass.run(f, opt))
				}
				require.Equal(t, got, after.String(), "the pass changes its own result")
			})
		}
	}
}

func parse(t *testing.T, text string) *ir.Module {
	t.Helper()
	m, err := ir.Parse("case.ir", text)
	require.NoError(t, err)
	return m
}

// sameValues runs every function of both modules on the same random inputs.
func sameValues(t *testing.T, a, b *ir.Module, opt interp.Options, near bool) {
	t.Helper()
	for i, f := range a.Funcs {
		in, state := gen.Inputs(a, f, rand.New(rand.NewPCG(1, 2)))
		want, err := interp.Run(f, in, state, opt)
		require.NoError(t, err)
		got, err := interp.Run(b.Funcs[i], in, state, opt)
		require.NoError(t, err)
		if !near {
			require.Equal(t, want, got, "func %s computes something else", f.Name)
			continue
		}
		for i := range want.Returns {
			require.InDeltaSlice(t, want.Returns[i].F, got.Returns[i].F, 1e-13, "func %s computes something else", f.Name)
		}
	}
}
