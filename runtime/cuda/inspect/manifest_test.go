package inspect

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// example is a manifest as another test would make it.
func example() *Manifest {
	return &Manifest{
		Compiler: "13.0.88",
		Headers:  []Header{{"conv.cuh", "aaaaaaaaaaaa"}, {"device.cuh", "bbbbbbbbbbbb"}},
		Lines: []Line{
			{Hash: "111111111111", Name: "conv_fprop", Costs: []Cost{{"sm_80", 96, 49152, 2}, {"sm_120", 98, 49152, 1}}, Networks: []string{"wrn-10-1", "wrn-16-4"}},
			{Hash: "222222222222", Name: "map", Costs: []Cost{{"sm_80", 20, 0, 8}, {"sm_120", 22, 0, 6}}},
		},
	}
}

func TestManifestRoundTrip(t *testing.T) {
	text := example().String()
	require.Equal(t, preamble+`compiler 13.0.88
header aaaaaaaaaaaa conv.cuh
header bbbbbbbbbbbb device.cuh
kernel 111111111111 conv_fprop | sm_80 96 49152 2 | sm_120 98 49152 1 | wrn-10-1 wrn-16-4
kernel 222222222222 map | sm_80 20 0 8 | sm_120 22 0 6 |
`, text)
	m, err := ParseManifest(text)
	require.NoError(t, err)
	require.Equal(t, text, m.String())
	require.Equal(t, example().Lines[0], m.Lines[0])
}

func TestManifestErrors(t *testing.T) {
	for text, want := range map[string]string{
		"# fine\n\nkernels x\n":             "line 3: expected compiler, header or kernel: kernels x",
		"compiler\n":                        "line 1: expected compiler, header or kernel: compiler",
		"header x\n":                        "line 1: expected compiler, header or kernel: header x",
		"kernel x\n":                        "line 1: expected hash, name, costs and networks: kernel x",
		"kernel x y\n":                      "line 1: expected hash, name, costs and networks: kernel x y",
		"kernel x y | sm_80 1 2 | n\n":      "line 1: expected an architecture and three numbers: kernel x y | sm_80 1 2 | n",
		"kernel x y | sm_80 1 2 many | n\n": `line 1: strconv.Atoi: parsing "many": invalid syntax: kernel x y | sm_80 1 2 many | n`,
	} {
		_, err := ParseManifest(text)
		require.EqualError(t, err, want)
	}
}

func TestHold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kernels", "MANIFEST")
	require.ErrorContains(t, example().Hold(path, false), "-update writes it")
	require.NoError(t, example().Hold(path, true))
	require.NoError(t, example().Hold(path, false))

	differs := func(change func(m *Manifest)) string {
		m := example()
		change(m)
		err := m.Hold(path, false)
		if err == nil {
			return ""
		}
		return err.Error()
	}
	const start = " differs from the kernels; -update rewrites it, to be reviewed:\n"
	require.Equal(t, path+start+
		"- kernel 222222222222 map | sm_80 20 0 8 | sm_120 22 0 6 |\n+ kernel 222222222222 map | sm_80 24 0 8 | sm_120 22 0 6 |",
		differs(func(m *Manifest) { m.Lines[1].Costs[0].Registers = 24 }))
	require.Equal(t, path+start+"- kernel 222222222222 map | sm_80 20 0 8 | sm_120 22 0 6 |",
		differs(func(m *Manifest) { m.Lines = m.Lines[:1] }), "an orphan")
	require.Equal(t, path+start+"+ kernel 333333333333 new |",
		differs(func(m *Manifest) { m.Lines = append(m.Lines, Line{Hash: "333333333333", Name: "new"}) }))
	require.Equal(t, path+start+"- header bbbbbbbbbbbb device.cuh\n+ header cccccccccccc device.cuh",
		differs(func(m *Manifest) { m.Headers[1].Hash = "cccccccccccc" }))
	require.Contains(t, differs(func(m *Manifest) { m.Lines[0].Networks = []string{"wrn-10-1"} }), "- kernel 111111111111 conv_fprop")

	// A line twice in the file.
	text := example().String() + "kernel 222222222222 map | sm_80 20 0 8 | sm_120 22 0 6 |\n"
	require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	require.Contains(t, differs(func(*Manifest) {}), "5 entries in the file, 4 now")
	require.NoError(t, os.WriteFile(path, []byte("nonsense\n"), 0o644))
	require.Contains(t, differs(func(*Manifest) {}), path+": line 1: expected compiler, header or kernel")
}

// TestHoldAcrossCompilers compares what does not depend on the compiler.
func TestHoldAcrossCompilers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "MANIFEST")
	require.NoError(t, example().Hold(path, true))
	m := example()
	m.Compiler = "12.4.127"
	for n := range m.Lines {
		m.Lines[n].Costs = m.Lines[n].Costs[:1] // it knows no sm_120
		m.Lines[n].Costs[0].Registers += 7
		m.Lines[n].Costs[0].Blocks--
	}
	require.NoError(t, m.Hold(path, false))
	m.Lines[0].Costs[0].Shared += 16
	require.ErrorContains(t, m.Hold(path, false), "conv_fprop")
	m.Lines[0].Costs[0].Shared -= 16
	m.Lines[1].Hash = "333333333333"
	require.ErrorContains(t, m.Hold(path, false), "+ kernel 333333333333 map")
}
