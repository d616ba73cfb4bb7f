package cuda

import (
	"context"
	"flag"
	"io/fs"
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
		precisions := []ir.DType{ir.F32}
		if slices.Contains(tensorCoreNets, name) {
			precisions = append(precisions, ir.BF16, ir.TF32)
		}
		for _, precision := range precisions {
			list = append(list, inspected(programs(t, file, precision, true, DefaultArch), name+":"+precision.String())...)
		}
	}
	return list
}

// tensorCoreNets are the sample networks whose kernels are pinned in every
// precision: dropout, a 1x1 convolution in a block, channels that are no multiple
// of eight, and the ImageNet family have kernels of all kinds in them.
var tensorCoreNets = []string{"wrn-10-1", "wrn-10-1-b13", "wrn-16-1.5", "wrn-16-8", "wrn-18-2-imagenet"}

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
		list = append(list, "LDG.128|LDG.64")
	}
	return list
}

// TestInspect compiles the pinned texts by NVRTC for three architectures: no spill,
// no warning, the instructions that each was written for; and holds the manifest
// of registers, shared memory and occupancy. The short form compiles the golden
// texts alone.
func TestInspect(t *testing.T) {
	i, err := inspect.Start(headers(t), inspect.Archs())
	if err != nil {
		toolkit.Missing(t, err)
	}
	defer i.Close()
	list := golden(t)
	if whole() || *update {
		list = pinned(t)
	} else {
		t.Log("a short form: the golden kernels; WRNC_HARNESS=whole compiles all")
	}
	started := time.Now()
	reports, err := i.Inspect(context.Background(), list)
	require.NoError(t, err)
	var cpu time.Duration
	n := 0
	for _, r := range reports {
		for _, f := range r.Facts {
			cpu += f.Compile
			n++
		}
	}
	t.Logf("%d texts, %d compilations: %v of compilers, %v in all", len(reports), n, cpu.Round(time.Second), time.Since(started).Round(time.Second))
	require.Empty(t, inspect.Faults(reports))
	if whole() || *update {
		require.NoError(t, i.Manifest(reports).Hold("../../testdata/kernels/MANIFEST", *update))
	}
}
