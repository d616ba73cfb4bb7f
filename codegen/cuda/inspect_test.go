package cuda

import (
	"context"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"wrnc/compiler/ir"
	"wrnc/compiler/plan"
	"wrnc/kernels"
	"wrnc/runtime/cuda/inspect"
	"wrnc/runtime/cuda/nvrtc"
	"wrnc/runtime/cuda/toolkit"
)

var update = flag.Bool("update", false, "write the golden files and the manifest anew")

func TestMain(m *testing.M) {
	nvrtc.Worker() // this binary compiles, too, in processes of its own
	os.Exit(m.Run())
}

// headers are the texts that kernels include on a GPU.
func headers(t testing.TB) map[string]string {
	t.Helper()
	texts := map[string]string{}
	err := fs.WalkDir(kernels.Files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || name != path.Base(name) && path.Dir(name) != "gpu" {
			return err
		}
		text, err := kernels.Files.ReadFile(name)
		texts[path.Base(name)] = string(text)
		return err
	})
	require.NoError(t, err)
	return texts
}

// pinned lists what the manifest holds: every kernel text of every sample network
// in f32, and those of some in the precisions of tensor cores.
func pinned(t testing.TB) []inspect.Kernel {
	t.Helper()
	var list []inspect.Kernel
	for _, file := range nets(t) {
		name := strings.TrimSuffix(filepath.Base(file), ".wrn")
		for _, precision := range precisions(file) {
			list = append(list, inspected(programs(t, file, precision, true, DefaultArch), name+":"+precision.String())...)
		}
	}
	return list
}

// inspected lists the texts of programs with what they must compile to.
func inspected(list []program, network string) []inspect.Kernel {
	var out []inspect.Kernel
	for _, g := range list {
		for i, k := range g.p.Kernels {
			out = append(out, inspect.Kernel{Name: g.src[i].Entry, Source: g.src[i].Text, Shared: k.Block.Shared, Expect: expected(g.p, k), Networks: []string{network}})
		}
	}
	return out
}

// expected are the instructions that a kernel was written for: tensor cores or
// fused multiply-adds, asynchronous copies of weights, matrices loaded from shared
// memory, and accesses of sixteen bytes wherever channels allow them.
func expected(p *plan.Plan, k *plan.Kernel) []string {
	var list []string
	c := k.Conv
	switch k.Block.Math {
	case "ffma":
		list = append(list, "FFMA", "!HMMA")
	case "bf16":
		list = append(list, "HMMA.BF16", "LDSM")
	case "tf32":
		list = append(list, "HMMA.TF32")
		if k.Kind == plan.Conv {
			list = append(list, "LDSM")
		}
	}
	wide := func(t plan.Tape, channels int, filled ir.DType) bool {
		n := p.Vector(k, t, channels, filled)
		for _, op := range t.Ops {
			for _, r := range append(op.Src[:len(op.Src):len(op.Src)], op.Dst) {
				if r.Kind == plan.Row && p.Buffers[k.Args[r.Index].Buffer].Type.DType.Bytes()*n >= 16 {
					return true
				}
			}
		}
		return false
	}
	if k.Kind == plan.Conv {
		weight := p.Buffers[k.Args[0].Buffer].Type.DType.Bytes() * c.C
		switch {
		case weight%16 == 0:
			list = append(list, "LDGSTS.128")
		case weight%4 == 0:
			list = append(list, "LDGSTS")
		}
		if wide(k.Prologues[0], c.In(), ir.F32) {
			list = append(list, "LDG.128")
		}
		if wide(k.Epilogue, c.Out(), ir.F32) {
			list = append(list, "STG.128")
		}
	}
	if k.Flat() {
		list = append(list, "LDG.128")
	}
	return list
}

// TestInspect compiles kernels by NVRTC for every architecture: no spill, no warning,
// the instructions that each was written for; and holds the manifest of registers,
// shared memory and occupancy. The whole of it takes every pinned text; the short
// form the golden ones.
func TestInspect(t *testing.T) {
	list := golden(t)
	if whole() || *update {
		list = append(list, pinned(t)...)
	} else {
		t.Log("a short form: the golden kernels; WRNC_HARNESS=whole compiles all")
	}
	i, err := inspect.Start(headers(t), inspect.Archs())
	if err != nil {
		toolkit.Missing(t, err)
	}
	defer i.Close()
	started := time.Now()
	reports, err := i.Inspect(context.Background(), list)
	require.NoError(t, err)
	t.Logf("%d texts for %s in %v", len(reports), strings.Join(inspect.Archs(), ", "), time.Since(started).Round(time.Second))
	require.Empty(t, inspect.Faults(reports))
	if whole() || *update {
		t.Log("NVRTC's time:\n" + compileTimes(reports))
		require.NoError(t, i.Manifest(reports).Hold("../../testdata/kernels/MANIFEST", *update))
	}
}

// compileTimes lists what the texts of each network take to compile, one after the
// other.
func compileTimes(reports []inspect.Report) string {
	type total struct {
		texts int
		archs map[string]time.Duration
	}
	networks := map[string]*total{}
	for _, r := range reports {
		for _, name := range r.Networks {
			n := networks[name]
			if n == nil {
				n = &total{archs: map[string]time.Duration{}}
				networks[name] = n
			}
			n.texts++
			for _, f := range r.Facts {
				n.archs[f.Arch] += f.Compile
			}
		}
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(networks)) {
		n := networks[name]
		fmt.Fprintf(&b, "| %s | %d |", name, n.texts)
		for _, arch := range inspect.Archs() {
			fmt.Fprintf(&b, " %.1f |", n.archs[arch].Seconds())
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// TestManifest requires that the manifest has exactly the texts that are pinned now,
// with the networks that use them. It needs no compiler.
func TestManifest(t *testing.T) {
	want := map[string][]string{}
	for _, k := range append(pinned(t), golden(t)...) {
		line := inspect.Hash(k.Source) + " " + k.Name
		if !slices.Contains(want[line], k.Networks[0]) {
			want[line] = append(want[line], k.Networks[0])
		}
	}
	text, err := os.ReadFile("../../testdata/kernels/MANIFEST")
	require.NoError(t, err)
	m, err := inspect.ParseManifest(string(text))
	require.NoError(t, err)
	for _, l := range m.Lines {
		line := l.Hash + " " + l.Name
		require.ElementsMatch(t, want[line], l.Networks, "%s: go test ./codegen/cuda -run TestInspect -update writes the manifest anew", line)
		delete(want, line)
	}
	require.Empty(t, want, "texts that the manifest lacks")
}
