package facts

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/kernels"
	"wrnc/kernels/harness"
	"wrnc/runtime/cuda"
	"wrnc/runtime/cuda/driver"
	"wrnc/runtime/cuda/emulator"
	"wrnc/runtime/cuda/libcuda"
	"wrnc/runtime/cuda/nvrtc"
	"wrnc/runtime/cuda/toolkit"
)

func emulated(t *testing.T) cuda.Driver {
	d, err := emulator.Open(harness.NewForTest(t), emulator.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	return d
}

func TestFacts(t *testing.T) {
	check := func(t *testing.T, d cuda.Driver) {
		results, err := Check(d, kernels.Headers())
		require.NoError(t, err)
		require.Len(t, results, len(all()))
		for _, r := range results {
			require.Empty(t, r.Wrong, r.Name)
		}
	}
	t.Run("emulator", func(t *testing.T) { check(t, emulated(t)) })
	t.Run("GPU", func(t *testing.T) { check(t, driver.OpenForTest(t, libcuda.Load)) })
}

// TestEveryInstruction requires a fact of every function of ptx.cuh.
func TestEveryInstruction(t *testing.T) {
	texts := ""
	for _, f := range all() {
		texts += f.body
	}
	functions := regexp.MustCompile(`(?m)^WRNC_DEVICE \w+ (\w+)\(`).FindAllStringSubmatch(kernels.Headers()["ptx.cuh"], -1)
	require.GreaterOrEqual(t, len(functions), 14)
	for _, f := range functions {
		switch f[1] {
		case "shared_address", "atomic_add_acq_rel": // parts of matrices' and of last_block
			continue
		}
		require.Regexp(t, `\b`+f[1]+`[<(]`, texts)
	}
}

// other is a device on which a function does something else.
type other struct {
	cuda.Driver
	old, new string
	broken   error
}

func (o *other) Load(t cuda.Texts) ([]cuda.Function, error) {
	t.Kernels = slices.Clone(t.Kernels)
	for i := range t.Kernels {
		t.Kernels[i].Text = strings.ReplaceAll(t.Kernels[i].Text, o.old, o.new)
	}
	return o.Driver.Load(t)
}

func (o *other) Read(dst []byte, src cuda.Ptr) error {
	return errors.Join(o.broken, o.Driver.Read(dst, src))
}

// TestWrongFacts gives a device instructions that are a little different; only what is
// about them is found wrong.
func TestWrongFacts(t *testing.T) {
	d := emulated(t)
	for old, c := range map[string]struct{ new, fact, wrong string }{
		"ldmatrix_x4(r,":      {"ldmatrix_x4_trans(r,", "ldmatrix_x4", "128 of 128 words are wrong; word 0 is 0x00080000, expected 0x00010000"},
		"mma_bf16(d, a, b)":   {"mma_bf16(d, a, {b[1], b[0]})", "mma_bf16", "words are wrong"},
		"a * b + a":           {"fma(a, b, a)", "arithmetic", "words are wrong"},
		"bf16x2_bits(a, b)":   {"bf16x2_bits(b, a)", "bf16_bits", "words are wrong"},
		"shuffle_xor(100 + t": {"shuffle_down(100 + t", "shuffle_xor", "words are wrong"},
		"t % 3 != 0":          {"t % 3 != 1", "cp_async", "words are wrong"},
	} {
		results, err := Check(&other{Driver: d, old: old, new: c.new}, kernels.Headers())
		require.NoError(t, err)
		for _, r := range results {
			if r.Name == c.fact {
				require.Contains(t, r.Wrong, c.wrong, r.Name)
			} else {
				require.Empty(t, r.Wrong, r.Name)
			}
		}
	}
	results, err := Check(&other{Driver: d, broken: errors.New("it is lost")}, kernels.Headers())
	require.EqualError(t, err, "barrier_or: it is lost")
	require.Empty(t, results)
}

// TestCompiles compiles the facts by NVRTC, as a GPU gets them.
func TestCompiles(t *testing.T) {
	c, err := nvrtc.Open("")
	if err != nil {
		toolkit.Missing(t, err)
	}
	for _, f := range all() {
		_, err := c.Compile(nvrtc.Source{Name: f.name + ".cu", Text: f.text().Text, Headers: kernels.Headers(), Arch: "sm_80", Options: nvrtc.Options()})
		require.NoError(t, err, f.name)
	}
}
