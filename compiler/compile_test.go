package compiler

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/compiler/ir"
	"wrnc/compiler/ir/gen"
	"wrnc/compiler/ir/interp"
	"wrnc/compiler/passes"
	"wrnc/dsl"
)

// small is a network of depth 10 on 8x8 pictures, with dropout and both kinds
// of shortcut.
func small(t *testing.T, name string) *dsl.Network {
	t.Helper()
	net, err := dsl.Load("test.wrn", []byte("model "+name+"\ndropout 0.3\n"))
	require.NoError(t, err)
	net.Input = [3]int{8, 8, 3}
	return net
}

func compile(t *testing.T, net *dsl.Network, o Options) *ir.Module {
	t.Helper()
	o.Verify = true
	res, err := Compile(net, o)
	require.NoError(t, err)
	return res.Module
}

// stages returns the module's text after each stage.
func stages(t *testing.T, net *dsl.Network, o Options) (names []string, texts map[string]string) {
	t.Helper()
	texts = map[string]string{}
	o.After = func(pass string, m *ir.Module) {
		names = append(names, pass)
		texts[pass] = m.Format(ir.PrintOptions{Positions: true})
	}
	compile(t, net, o)
	return names, texts
}

func TestOrder(t *testing.T) {
	require.NoError(t, checkOrder(pipeline))
	for _, p := range Passes() {
		require.NotEmpty(t, p.Summary, p.Name)
	}
	swapped := Passes()
	i := slices.IndexFunc(swapped, func(p Pass) bool { return p.Name == "split-bn" })
	swapped[i], swapped[i+1] = swapped[i+1], swapped[i]
	require.ErrorContains(t, checkOrder(swapped), "split-bn must come before fold-bn: what is folded")
	require.ErrorContains(t, checkOrder(pipeline[1:]), "not both are passes")
	require.ErrorContains(t, checkOrder(append(Passes(), pipeline[0])), "listed twice")
}

// Fusion only moves ops: inlined, every function is what it was before.
func TestFusionOnlyMoves(t *testing.T) {
	files, err := filepath.Glob("../testdata/nets/*.wrn")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, o := range []Options{{Fuse: true}, {Fuse: false}, {Fuse: true, Precision: ir.BF16}} {
			net, err := dsl.Load(file, text)
			require.NoError(t, err)
			o.Batch = 4
			var before []string
			o.After = func(pass string, m *ir.Module) {
				if pass == "deadcode" {
					before = canonical(t, m)
				}
			}
			m := compile(t, net, o)
			for _, f := range m.Funcs {
				checkRegions(t, f)
			}
			for _, f := range m.Funcs {
				require.NoError(t, passes.Inline(f, passes.Options{}))
				require.NoError(t, passes.CSE(f, passes.Options{}))
			}
			require.NoError(t, m.Verify())
			require.Equal(t, before, canonical(t, m), file)
		}
	}
}

func canonical(t *testing.T, m *ir.Module) []string {
	t.Helper()
	var out []string
	for _, f := range m.Funcs {
		text, err := passes.Canonical(f)
		require.NoError(t, err)
		out = append(out, text)
	}
	return out
}

// checkRegions checks what package lower takes: see fuse-map's promises.
func checkRegions(t *testing.T, f *ir.Func) {
	t.Helper()
	roots := map[string]ir.Op{"conv_fprop": ir.Conv2D, "conv_dgrad": ir.Conv2DDgrad, "conv_wgrad": ir.Conv2DWgrad, "pool": ir.AvgPool}
	for _, n := range f.Nodes {
		require.Equal(t, ir.Fusion, n.Op, "%s: %s (%s) is in no fusion", f.Name, n.Op, n.Layer)
		count := map[ir.Class]int{}
		rows := map[*ir.Value]bool{} // Maps and the like: one shape on either side of the root
		after := map[*ir.Value]bool{}
		root := n.Body.Root()
		for _, m := range n.Body.Nodes {
			c := m.Op.Class()
			count[c]++
			for i, a := range m.Args {
				role := m.Op.Info().Args[i]
				if c == ir.Map || c == ir.Reduce {
					inside := a.Node != nil && slices.Contains(n.Body.Nodes, a.Node)
					require.True(t, !inside || rows[a] && role == ir.Act, "@%s: %s reads a vector of its own region", n.Layer, m.Op)
				}
				if c == ir.Channel {
					require.False(t, rows[a], "@%s: %s reads a row", n.Layer, m.Op)
				}
				if c == ir.Broadcast || role == ir.Weight {
					require.False(t, rows[a], "@%s: %s reads %v whole", n.Layer, m.Op, a.Type)
				}
			}
			for _, r := range m.Results {
				rows[r] = c == ir.Map || c == ir.Broadcast || c == ir.Root
				after[r] = m == root || slices.ContainsFunc(m.Args, func(a *ir.Value) bool { return after[a] })
			}
		}
		for _, y := range n.Body.Yields {
			require.NotEqual(t, ir.U1, y.Type.DType, "@%s yields a mask", n.Layer)
			require.True(t, root == nil || after[y], "@%s yields a value of its prologue", n.Layer)
		}
		switch kind := n.Attrs.Kind; kind {
		case "map":
			require.Zero(t, count[ir.Root]+count[ir.Opaque])
		case "channel":
			require.Equal(t, len(n.Body.Nodes), count[ir.Channel])
		case "opaque":
			require.Len(t, n.Body.Nodes, 1)
		default:
			require.Equal(t, 1, count[ir.Root], n.Layer)
			require.Equal(t, roots[kind], root.Op, n.Layer)
		}
	}
}

// A whole training step is the same to the bit, fused, unfused and before either.
func TestFusedStep(t *testing.T) {
	for _, name := range []string{"WRN-10-0.25", "WRN-16-0.25", "WRN-10-0.25-B(3,1,3)"} {
		for _, precision := range []ir.DType{ir.F32, ir.TF32, ir.BF16} {
			net := small(t, name)
			o := Options{Batch: 2, Precision: precision, Fuse: true, Verify: true}
			var plain *ir.Module
			o.After = func(pass string, m *ir.Module) {
				if pass == "deadcode" {
					var err error
					plain, err = ir.Parse(name, m.String())
					require.NoError(t, err)
				}
			}
			fused := compile(t, net, o)
			o.Fuse, o.After = false, nil
			isolated := compile(t, net, o)
			for _, fn := range []string{"train", "eval", "infer"} {
				want := run(t, plain.Func(fn))
				require.Equal(t, want, run(t, fused.Func(fn)), "%s %v %s", name, precision, fn)
				require.Equal(t, want, run(t, isolated.Func(fn)), "%s %v %s", name, precision, fn)
			}
		}
	}
}

func run(t *testing.T, f *ir.Func) *interp.Result {
	t.Helper()
	in, state := gen.Inputs(f.Module, f, rand.New(rand.NewPCG(7, 8)))
	res, err := interp.Run(f, in, state, interp.Options{})
	require.NoError(t, err)
	return res
}

// A module printed after any stage compiles to the same result.
func TestCompileModule(t *testing.T) {
	for _, o := range []Options{
		{Batch: 2, Fuse: true},
		{Batch: 2, Fuse: false},
		{Batch: 2, Fuse: true, Precision: ir.BF16},
		{Batch: 2, Fuse: true, Precision: ir.TF32},
	} {
		names, texts := stages(t, small(t, "WRN-16-0.25"), o)
		want := texts[names[len(names)-1]]
		for _, stage := range names[1:] {
			m, err := ir.Parse(stage, texts[stage])
			require.NoError(t, err)
			o.Verify = true
			res, err := CompileModule(m, o)
			require.NoError(t, err)
			require.Equal(t, want, res.Module.Format(ir.PrintOptions{Positions: true}), "from %s on", stage)
		}
	}
}

// The same input gives the same text, whatever maps do.
func TestRepeatable(t *testing.T) {
	first := compile(t, small(t, "WRN-16-0.25"), Options{Batch: 2, Fuse: true}).String()
	for range 3 {
		require.Equal(t, first, compile(t, small(t, "WRN-16-0.25"), Options{Batch: 2, Fuse: true}).String())
	}
}

// The name of a fusion stays when layers are added elsewhere.
func TestNamesStay(t *testing.T) {
	names := func(m *ir.Module, fn string) []string {
		var out []string
		for _, n := range m.Func(fn).Nodes {
			out = append(out, n.Layer)
		}
		return out
	}
	short := compile(t, small(t, "WRN-16-0.25"), Options{Batch: 2, Fuse: true})
	long := compile(t, small(t, "WRN-28-0.25"), Options{Batch: 2, Fuse: true})
	for _, fn := range []string{"train", "eval", "infer"} {
		require.Subset(t, names(long, fn), names(short, fn))
	}
	numbered := 0
	for _, n := range names(long, "train") {
		if n[len(n)-1] == '2' && strings.HasPrefix(n, "loss") {
			numbered++
		}
	}
	require.Equal(t, 1, numbered)
}

func TestDecisions(t *testing.T) {
	res, err := Compile(small(t, "WRN-10-0.25"), Options{Batch: 2, Fuse: true})
	require.NoError(t, err)
	var lines []string
	for _, d := range res.Decisions {
		lines = append(lines, d.String())
	}
	for _, want := range []string{
		"train: relu (g1.b0.relu0) copied into g1.b0.proj, g1.b0.conv1, g1.b0.conv1.wgrad, g1.b0.proj.wgrad: it reads 1 stored activation; saves 40.0 KiB",
		"train: add (g1.b0.add) in the epilogue of g1.b0.conv2: its operand has no other reader; saves 4.0 KiB",
		"train: bn_fold (g1.b0.bn0) finishes conv0: it follows a reduction of this region",
	} {
		require.True(t, slices.ContainsFunc(lines, func(s string) bool { return strings.HasPrefix(s, want) }), "no line %q in\n%s", want, strings.Join(lines, "\n"))
	}
}

func TestErrors(t *testing.T) {
	net := small(t, "WRN-10-0.25")
	_, err := Compile(net, Options{Batch: 0, Fuse: true})
	require.ErrorContains(t, err, "at least 1")
	_, err = Compile(net, Options{Batch: 2, Precision: ir.U8})
	require.EqualError(t, err, "precision u8 is none of f32, tf32 and bf16")

	// A broken invariant is an error of its own type that names the stage.
	var internal *InternalError
	_, err = Compile(net, Options{Batch: 2, Fuse: true, Verify: true, After: func(pass string, m *ir.Module) {
		if pass == "cse" {
			m.Funcs[0].Nodes[0].Pos = ir.Pos{}
		}
	}})
	require.ErrorAs(t, err, &internal)
	require.Equal(t, "deadcode", internal.Stage)
	require.ErrorContains(t, err, "no position")
	_, err = Compile(net, Options{Batch: 2, Fuse: true, After: func(pass string, m *ir.Module) {
		if pass == "rounding" {
			panic("broken")
		}
	}})
	require.ErrorAs(t, err, &internal)
	require.Equal(t, "rounding", internal.Stage)
	require.Contains(t, internal.Stack, "compile_test.go")
	require.EqualError(t, errors.Unwrap(internal), "broken")

	m := compile(t, net, Options{Batch: 2, Fuse: true})
	m.Funcs[0].Nodes = m.Funcs[0].Nodes[1:]
	_, err = CompileModule(m, Options{Fuse: true})
	require.ErrorContains(t, err, "not defined before it is read")
	require.False(t, errors.As(err, &internal), "the module was at fault, not the compiler")
}
