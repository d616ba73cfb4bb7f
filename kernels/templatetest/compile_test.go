package templatetest

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/kernels"
	"wrnc/runtime/cuda/cubin"
	"wrnc/runtime/cuda/nvrtc"
	"wrnc/runtime/cuda/toolkit"
)

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

// real are kernels of real networks, with tiles as a heuristic would choose them.
func realKernels() map[string]string {
	out := map[string]string{}
	conv := func(name string, s shape, b box, t tile, vecIn, vec, blocks int) {
		c := convCase{name: name, shape: s, box: b, tile: t, vecIn: vecIn, vec: vec}
		out[name] = strings.Replace(c.text(), "Tile::kThreads, 1)", fmt.Sprintf("Tile::kThreads, %d)", blocks), 1)
	}
	wgrad := func(name string, s shape, b box, t tile, vg, vx, v, blocks int) {
		c := wgradCase{name: name, shape: s, box: b, tile: t, vecG: vg, vecX: vx, vec: v}
		out[name] = strings.Replace(c.text(), "Tile::kThreads, 1)", fmt.Sprintf("Tile::kThreads, %d)", blocks), 1)
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
	wgrad("wgrad-bf16-16@32", newShape(32, 32, 16, 16, 3, 1, 1, false), box{1, 4, 32}, tile{math: "Bf16", m: 16, n: 16, warpsM: 1, warpsN: 1, warpsT: 3}, 8, 8, 4, 4)
	wgrad("wgrad-bf16-64@32", newShape(32, 32, 64, 64, 3, 1, 1, false), box{1, 4, 32}, tile{math: "Bf16", m: 64, n: 64, warpsM: 2, warpsN: 2, warpsT: 3}, 8, 8, 4, 1)
	wgrad("wgrad-bf16-64@32-small", newShape(32, 32, 64, 64, 3, 1, 1, false), box{1, 2, 32}, tile{math: "Bf16", m: 64, n: 32, warpsM: 2, warpsN: 1, warpsT: 3}, 8, 8, 4, 2)
	wgrad("wgrad-bf16-160@32", newShape(32, 32, 160, 160, 3, 1, 1, false), box{1, 2, 32}, tile{math: "Bf16", m: 64, n: 40, warpsM: 2, warpsN: 1, warpsT: 3}, 8, 8, 4, 1)
	wgrad("wgrad-bf16-1x1", newShape(32, 32, 64, 128, 1, 0, 2, false), box{1, 8, 16}, tile{math: "Bf16", m: 128, n: 64, warpsM: 4, warpsN: 2, warpsT: 1}, 8, 8, 4, 2)
	wgrad("wgrad-f32-64@32", newShape(32, 32, 64, 64, 3, 1, 1, false), box{1, 2, 32}, tile{math: "Ffma", m: 32, n: 32, warpsM: 1, warpsN: 2, warpsT: 3}, 4, 4, 4, 2)
	wgrad("wgrad-tf32-64@32", newShape(32, 32, 64, 64, 3, 1, 1, false), box{1, 2, 32}, tile{math: "Tf32", m: 64, n: 32, warpsM: 2, warpsN: 1, warpsT: 3}, 4, 4, 4, 2)
	out["map-bf16"] = mapCase{"map-bf16", 32, 32, 64, 1, box{1, 4, 32}, 64, 256, 8, half}.text()
	return out
}

// What NVIDIA's compiler makes of the templates: no local memory, and the
// instructions that they are written for.
func TestCompile(t *testing.T) {
	libraries, err := toolkit.Machine().Libraries()
	if err == nil {
		_, err = nvrtc.Open(libraries[0])
	}
	if err != nil {
		toolkit.Missing(t, err)
	}
	compiler, err := nvrtc.Open(libraries[0])
	require.NoError(t, err)
	disassembler, err := cubin.FindDisassembler()
	if err != nil {
		toolkit.Missing(t, err)
	}
	h := headers(t)
	for name, text := range realKernels() {
		for _, arch := range []string{"sm_80", "sm_90"} {
			result, err := compiler.Compile(nvrtc.Source{Name: name, Text: text, Headers: h, Arch: arch, Options: nvrtc.Options()})
			require.NoError(t, err)
			file, err := cubin.Parse(result.CUBIN)
			require.NoError(t, err)
			k, err := file.Kernel("kernel")
			require.NoError(t, err)
			m, err := disassembler.Mnemonics(context.Background(), file.Arch, [][]byte{k.Code})
			require.NoError(t, err)
			t.Logf("%-24s %s: %3d registers, %d stack, %5d instructions, HMMA %d FFMA %d LDSM %d LDS %d LDGSTS %d LDG.128 %d LDG %d STG.128 %d STG %d STS %d BAR %d CALL %d BRA %d, %v",
				name, arch, k.Registers, k.Stack, m[0].Total(), m[0].Count("HMMA"), m[0].Count("FFMA"), m[0].Count("LDSM"), m[0].Count("LDS"), m[0].Count("LDGSTS"), m[0].Count("LDG.128"), m[0].Count("LDG"), m[0].Count("STG.128"), m[0].Count("STG"), m[0].Count("STS"), m[0].Count("BAR"), m[0].Count("CALL"), m[0].Count("BRA"), result.Time.Round(1e6))
			require.Zero(t, k.Stack, name)
			require.Empty(t, result.Log)
		}
	}
}
