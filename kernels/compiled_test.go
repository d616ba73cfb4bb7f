package kernels_test

import (
	"path"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/kernels"
	"wrnc/runtime/cuda/cubin"
	"wrnc/runtime/cuda/nvrtc"
	"wrnc/runtime/cuda/toolkit"
	"wrnc/runtime/data"
)

// headers are the texts that a kernel for a GPU includes.
func headers(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, folder := range []string{".", "gpu"} {
		entries, err := kernels.Files.ReadDir(folder)
		require.NoError(t, err)
		for _, e := range entries {
			if e.IsDir() {
				continue
			}
			text, err := kernels.Files.ReadFile(path.Join(folder, e.Name()))
			require.NoError(t, err)
			out[e.Name()] = string(text)
		}
	}
	return out
}

// The compiler takes the small kernels without a warning, keeps every value in
// registers, and leaves room for as many blocks as the entry asks for.
func TestSmallKernelsCompile(t *testing.T) {
	c, err := nvrtc.Open("")
	if err != nil {
		toolkit.Missing(t, err)
	}
	texts := headers(t)
	archs := []string{"sm_80", "sm_90"}
	if slices.Contains(c.Archs(), 120) {
		archs = append(archs, "sm_120")
	}
	pool := windows{128, 112, 112, 64, 3, 1, 2, 256, 4, "f32", "f32"}
	narrow := windows{128, 112, 112, 64, 3, 1, 2, 256, 8, "bf16", "bf16"}
	odd := windows{1, 9, 7, 5, 2, 1, 3, 256, 1, "f32", "bf16"}
	cifar, gray := picturesOf(1, 32, 32, 3), picturesOf(1, 28, 28, 1)
	for _, k := range []struct {
		entry, text string
		registers   int // at most
	}{
		{"xent", lossText("xent", "f32", 10, 4, 1024), 64},
		{"xent", lossText("xent", "bf16", 100, 32, 1024), 64},
		{"xent", lossText("xent", "f32", 1000, 32, 1024), 64},
		{"xent", lossText("xent", "f32", 2, 1, 1024), 64},
		{"xent_grad", lossText("xent_grad", "f32", 10, 4, 256), 64},
		{"xent_grad", lossText("xent_grad", "bf16", 1000, 32, 256), 64},
		{"maxpool_", pool.forward(), 64}, {"maxpool_grad_", pool.backward(), 64},
		{"maxpool_", narrow.forward(), 64}, {"maxpool_grad_", narrow.backward(), 96},
		{"maxpool_", odd.forward(), 64}, {"maxpool_grad_", odd.backward(), 64},
		{"augment_", augmentText(cifar, data.Augment{Flip: true, Pad: 4, Fill: data.FillReflect}, 256), 64},
		{"augment_", augmentText(cifar, data.Augment{}, 256), 64},
		{"augment_", augmentText(gray, data.Augment{Flip: true, Pad: 4, Fill: data.FillZero}, 256), 64},
	} {
		for _, arch := range archs {
			r, err := c.Compile(nvrtc.Source{Name: k.entry + ".cu", Text: k.text, Headers: texts, Arch: arch, Options: nvrtc.Options()})
			require.NoError(t, err, k.text)
			require.Empty(t, r.Log)
			file, err := cubin.Parse(r.CUBIN)
			require.NoError(t, err)
			entry, err := file.Kernel(k.entry)
			require.NoError(t, err)
			require.Zero(t, entry.Stack, "%s: registers were spilled\n%s", arch, k.text)
			require.LessOrEqual(t, entry.Registers, k.registers, "%s\n%s", arch, k.text)
			t.Logf("%s %s: %d registers, %d bytes of code, %v", arch, k.entry, entry.Registers, len(entry.Code), r.Time)
		}
	}
}
