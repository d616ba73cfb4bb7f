package templatetest

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/kernels"
	"wrnc/runtime/cuda/inspect"
	"wrnc/runtime/cuda/nvrtc"
	"wrnc/runtime/cuda/toolkit"
)

func TestMain(m *testing.M) {
	nvrtc.Worker() // this binary compiles, too, in processes of its own
	os.Exit(m.Run())
}

// headers are the texts that a kernel includes, with the GPU's prelude.
func headers(t *testing.T) map[string]string {
	out := map[string]string{}
	require.NoError(t, fs.WalkDir(kernels.Files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(name, "emu/") {
			return err
		}
		text, err := kernels.Files.ReadFile(name)
		out[path.Base(name)] = string(text)
		return err
	}))
	return out
}

// realConvs and realWgrads are kernels of real networks, with tiles as a heuristic
// would choose them, and the least number of blocks on a multiprocessor that each
// asks for.
func realConvs() (cases []convCase, blocks []int) {
	conv := func(name string, s shape, b box, t tile, vecIn, vec, least int) {
		cases = append(cases, convCase{name: name, shape: s, n: b.samples, box: b, tile: t, vecIn: vecIn, vec: vec})
		blocks = append(blocks, least)
	}
	for _, d := range []bool{false, true} {
		way := "fprop"
		if d {
			way = "dgrad"
		}
		conv(way+"-bf16-16@32", newShape(32, 32, 16, 16, 3, 1, 1, d), box{1, 4, 32}, tile{math: "Bf16", m: 128, n: 16, k: 16, warpsM: 4, warpsN: 1, stages: 2}, 8, 8, 4)
		conv(way+"-bf16-32@32", newShape(32, 32, 32, 32, 3, 1, 1, d), box{1, 4, 32}, tile{math: "Bf16", m: 128, n: 32, k: 32, warpsM: 4, warpsN: 1, stages: 2}, 8, 8, 4)
		conv(way+"-bf16-64@32", newShape(32, 32, 64, 64, 3, 1, 1, d), box{1, 4, 32}, tile{math: "Bf16", m: 128, n: 64, k: 32, warpsM: 4, warpsN: 2, stages: 2}, 8, 8, 2)
		conv(way+"-bf16-64@32-4w", newShape(32, 32, 64, 64, 3, 1, 1, d), box{1, 4, 32}, tile{math: "Bf16", m: 128, n: 64, k: 64, warpsM: 2, warpsN: 2, stages: 2}, 8, 8, 3)
		conv(way+"-bf16-160@32", newShape(32, 32, 160, 160, 3, 1, 1, d), box{1, 4, 32}, tile{math: "Bf16", m: 128, n: 160, k: 32, warpsM: 4, warpsN: 2, stages: 2}, 8, 8, 1)
		conv(way+"-bf16-256@8", newShape(8, 8, 256, 256, 3, 1, 1, d), box{2, 8, 8}, tile{math: "Bf16", m: 128, n: 128, k: 32, warpsM: 2, warpsN: 4, stages: 2}, 8, 8, 1)
		conv(way+"-bf16-stride", newShape(32, 32, 64, 128, 3, 1, 2, d), box{1, 8, 16}, tile{math: "Bf16", m: 128, n: 64, k: 32, warpsM: 4, warpsN: 2, stages: 2}, 8, 8, 2)
		conv(way+"-bf16-1x1", newShape(32, 32, 64, 128, 1, 0, 2, d), box{1, 8, 16}, tile{math: "Bf16", m: 128, n: 64, k: 64, warpsM: 4, warpsN: 2, stages: 2}, 8, 8, 2)
		conv(way+"-f32-64@32", newShape(32, 32, 64, 64, 3, 1, 1, d), box{1, 4, 32}, tile{math: "Ffma", m: 128, n: 64, k: 16, warpsM: 4, warpsN: 2, stages: 2}, 4, 4, 2)
		conv(way+"-tf32-64@32", newShape(32, 32, 64, 64, 3, 1, 1, d), box{1, 4, 32}, tile{math: "Tf32", m: 128, n: 64, k: 16, warpsM: 4, warpsN: 2, stages: 2}, 4, 4, 2)
	}
	return cases, blocks
}

func realWgrads() (cases []wgradCase, blocks []int) {
	wgrad := func(name string, s shape, b box, t tile, vg, vx, v, least int) {
		cases = append(cases, wgradCase{name: name, shape: s, n: b.samples, full: b.samples, box: b, tile: t, splits: 3, vecG: vg, vecX: vx, vec: v})
		blocks = append(blocks, least)
	}
	wgrad("wgrad-bf16-16@32", newShape(32, 32, 16, 16, 3, 1, 1, false), box{1, 4, 32}, tile{math: "Bf16", m: 16, n: 16, warpsM: 1, warpsN: 1, warpsT: 3}, 8, 8, 4, 4)
	wgrad("wgrad-bf16-64@32", newShape(32, 32, 64, 64, 3, 1, 1, false), box{1, 4, 32}, tile{math: "Bf16", m: 64, n: 64, warpsM: 2, warpsN: 2, warpsT: 3}, 8, 8, 4, 1)
	wgrad("wgrad-bf16-64@32-small", newShape(32, 32, 64, 64, 3, 1, 1, false), box{1, 2, 32}, tile{math: "Bf16", m: 64, n: 32, warpsM: 2, warpsN: 1, warpsT: 3}, 8, 8, 4, 2)
	wgrad("wgrad-bf16-160@32", newShape(32, 32, 160, 160, 3, 1, 1, false), box{1, 2, 32}, tile{math: "Bf16", m: 64, n: 40, warpsM: 2, warpsN: 1, warpsT: 3}, 8, 8, 4, 1)
	wgrad("wgrad-bf16-1x1", newShape(32, 32, 64, 128, 1, 0, 2, false), box{1, 8, 16}, tile{math: "Bf16", m: 128, n: 64, warpsM: 4, warpsN: 2, warpsT: 1}, 8, 8, 4, 2)
	wgrad("wgrad-f32-64@32", newShape(32, 32, 64, 64, 3, 1, 1, false), box{1, 2, 32}, tile{math: "Ffma", m: 32, n: 32, warpsM: 1, warpsN: 2, warpsT: 3}, 4, 4, 4, 2)
	wgrad("wgrad-tf32-64@32", newShape(32, 32, 64, 64, 3, 1, 1, false), box{1, 2, 32}, tile{math: "Tf32", m: 64, n: 32, warpsM: 2, warpsN: 1, warpsT: 3}, 4, 4, 4, 2)
	return cases, blocks
}

// realKernels are the texts of both, and of a map and an optimizer.
func realKernels() []inspect.Kernel {
	var out []inspect.Kernel
	add := func(name, text string, shared, blocks int, expect ...string) {
		name = strings.NewReplacer("-", "_", "@", "_at_").Replace(name)
		text = strings.Replace(text, "WRNC_KERNEL(kernel, Tile::kThreads, 1)", fmt.Sprintf("WRNC_KERNEL(%s, Tile::kThreads, %d)", name, blocks), 1)
		out = append(out, inspect.Kernel{Name: name, Source: text, Shared: shared, Expect: expect})
	}
	math := map[string][]string{"Bf16": {"HMMA", "LDSM"}, "Tf32": {"HMMA"}, "Ffma": {"FFMA", "!HMMA"}}
	convs, blocks := realConvs()
	for i, c := range convs {
		add(c.name, c.text(), c.tile.convShared(c.shape, c.box, c.vec, true), blocks[i], append([]string{"LDGSTS", "LDG.128", "STG.128", "LDS.128"}, math[c.tile.math]...)...)
	}
	wgrads, blocks := realWgrads()
	for i, c := range wgrads {
		add(c.name, c.text(), c.tile.wgradShared(c.shape, c.box), blocks[i], append([]string{"LDG.128", "STG.128", "STS.128"}, math[c.tile.math]...)...)
	}
	m := mapCase{"map-bf16", 32, 32, 64, 1, box{1, 4, 32}, 64, 256, 8, half}
	add(m.name, m.text(), up16(4*scratch(m.tileN, m.vec, m.threads)), 2, "LDG.128", "STG.128")
	add("flat", flatText, 0, 1, "LDG.128", "STG.128", "LDG.128.CONSTANT")
	return out
}

// The same kernels, executed: one unit's samples, all of their channels and pixels.
func TestReal(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a while")
	}
	convs, _ := realConvs()
	for _, c := range convs {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t, newDevice(t), ways[0])
		})
	}
	wgrads, _ := realWgrads()
	for _, c := range wgrads {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t, newDevice(t), ways[0])
		})
	}
}

// What NVIDIA's compiler makes of the templates: no local memory, no generic
// accesses, and the instructions that they are written for.
func TestCompile(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a while")
	}
	i, err := inspect.Start(headers(t), []string{"sm_80", "sm_90"})
	if err != nil {
		toolkit.Missing(t, err)
	}
	defer i.Close()
	reports, err := i.Inspect(context.Background(), realKernels())
	require.NoError(t, err)
	t.Log("\n" + inspect.Table(reports))
	require.Empty(t, strings.Join(inspect.Faults(reports), "\n"))
}
