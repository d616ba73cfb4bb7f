package cuda

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/compiler/ir"
	"wrnc/runtime/cuda/inspect"
)

// goldens are the kernels whose text is kept to be read: one for each template and
// each kind of region. The file's name says which.
var goldens = []struct {
	name, net string
	precision ir.DType
	function  string
	kernel    string
}{
	{"conv_fprop-stem-ffma", "wrn-16-8", ir.F32, "train", "conv0"},
	{"conv_fprop-bn-relu-ffma", "wrn-16-8", ir.F32, "train", "g1.b0.conv1"},
	{"conv_fprop-bn-relu-dropout-bf16", "wrn-16-8", ir.BF16, "train", "g1.b0.conv2"},
	{"conv_dgrad-dropout-mask-bf16", "wrn-16-8", ir.BF16, "train", "g1.b0.conv2.dgrad"},
	{"conv_wgrad-dropout-bf16", "wrn-16-8", ir.BF16, "train", "g1.b0.conv2.wgrad"},
	{"conv_fprop-stride2-tf32", "wrn-16-8", ir.TF32, "train", "g2.b0.conv1"},
	{"conv_dgrad-stride2-add-bf16", "wrn-16-8", ir.BF16, "train", "g2.b0.conv1.dgrad"},
	{"conv_fprop-1x1-stride2-bf16", "wrn-16-8", ir.BF16, "train", "g2.b0.proj"},
	{"conv_dgrad-1x1-stride2-bf16", "wrn-16-8", ir.BF16, "train", "g2.b0.proj.dgrad"},
	{"conv_wgrad-stem-ffma", "wrn-16-8", ir.F32, "train", "conv0.wgrad"},
	{"conv_fprop-linear-bias-bf16", "wrn-16-8", ir.BF16, "train", "fc"},
	{"avgpool-bn-relu-bf16", "wrn-16-8", ir.BF16, "train", "pool.pool"},
	{"map-bn-backward-bf16", "wrn-16-8", ir.BF16, "train", "bn.map"},
	{"map-gradient-sum-bf16", "wrn-16-8", ir.BF16, "train", "g3.b1.bn0.map"},
	{"map-bias-gradient", "wrn-16-8", ir.F32, "train", "fc.map"},
	{"flat-update", "wrn-16-8", ir.F32, "train", "conv0.w.update"},
	{"flat-convert-bf16", "wrn-16-8", ir.BF16, "train", "conv0.map"},
	{"channel-bn-fold", "wrn-16-8", ir.F32, "eval", "g1.b0.bn0.channel"},
	{"xent", "wrn-16-8", ir.F32, "train", "loss"},
	{"xent_grad", "wrn-16-8", ir.F32, "train", "loss.2"},
	{"maxpool", "wrn-18-2-imagenet", ir.F32, "train", "maxpool"},
	{"maxpool_grad", "wrn-18-2-imagenet", ir.F32, "train", "maxpool.2"},
	{"conv_wgrad-7x7-tf32", "wrn-18-2-imagenet", ir.TF32, "train", "conv0.wgrad"},
	{"conv_fprop-odd-channels-bf16", "wrn-16-1.5", ir.BF16, "train", "g1.b0.conv1"},
}

const goldenFolder = "../../testdata/kernels/" + DefaultArch

// golden finds the golden kernels.
func golden(t testing.TB) []inspect.Kernel {
	t.Helper()
	type key struct {
		net       string
		precision ir.DType
	}
	built := map[key][]program{}
	var list []inspect.Kernel
	for _, g := range goldens {
		k := key{g.net, g.precision}
		if built[k] == nil {
			built[k] = programs(t, "../../testdata/nets/"+g.net+".wrn", g.precision, true, DefaultArch)
		}
		found := false
		for _, prog := range built[k] {
			for i, kernel := range prog.p.Kernels {
				if prog.f.Name == g.function && kernel.Name == g.kernel {
					found = true
					list = append(list, inspect.Kernel{Name: prog.src[i].Entry, Source: prog.src[i].Text, Shared: kernel.Block.Shared, Expect: expected(prog.p, kernel), Networks: []string{"golden:" + g.name}})
				}
			}
		}
		require.True(t, found, "%s: %s has no kernel %s", g.name, g.net, g.kernel)
	}
	return list
}

// TestGolden holds the golden texts; -update writes them. A file that no row names
// is a fault.
func TestGolden(t *testing.T) {
	want := map[string]bool{}
	for i, k := range golden(t) {
		file := goldens[i].name + ".cu"
		want[file] = true
		path := filepath.Join(goldenFolder, file)
		if *update {
			require.NoError(t, os.MkdirAll(goldenFolder, 0o755))
			require.NoError(t, os.WriteFile(path, []byte(k.Source), 0o644))
		}
		text, err := os.ReadFile(path)
		require.NoError(t, err, "go test ./codegen/cuda -run TestGolden -update writes it")
		require.Equal(t, string(text), k.Source, "%s; if the change is meant: go test ./codegen/cuda -run TestGolden -update", file)
	}
	files, err := os.ReadDir(goldenFolder)
	require.NoError(t, err)
	for _, f := range files {
		require.True(t, want[f.Name()], "%s is no golden kernel any more: remove it", f.Name())
	}
}

// TestStableNames requires that a kernel keeps its text and its name when a layer
// is added elsewhere: all kernels of WRN-16-2 are kernels of WRN-22-2.
func TestStableNames(t *testing.T) {
	texts := func(model string) map[string]string {
		file := filepath.Join(t.TempDir(), "net.wrn")
		require.NoError(t, os.WriteFile(file, []byte("model "+model+"\n"), 0o600))
		m := map[string]string{}
		for _, g := range programs(t, file, ir.BF16, true, DefaultArch) {
			for _, s := range g.src {
				m[s.Entry] = s.Text
			}
		}
		return m
	}
	deep := texts("WRN-22-2")
	for name, text := range texts("WRN-16-2") {
		require.Equal(t, text, deep[name], name)
	}
}
