package main

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/compiler/oracle"
	"wrnc/runtime/verify"
)

// TestGPUVerify verifies a network on the kernels' own text, in each precision.
func TestGPUVerify(t *testing.T) { onGPUs(t, testGPUVerify) }

func testGPUVerify(t *testing.T, open opener) {
	net := filepath.Join(t.TempDir(), "small.wrn")
	require.NoError(t, os.WriteFile(net, []byte(smallNet), 0o666))
	for _, precision := range precisions() {
		code, stdout, stderr := open.run(room, "verify", net, "--target", "cuda", "--precision", precision, "--json")
		require.Equal(t, exitOK, code, "%s\n%s", stdout, stderr)
		var facts verifyFacts
		require.NoError(t, json.Unmarshal([]byte(stdout), &facts))
		require.True(t, facts.OK)
		require.Greater(t, len(facts.Instructions), 10)
		require.Empty(t, facts.LeftOut)
		against := map[string]int{}
		for _, c := range facts.Checks {
			require.True(t, c.OK)
			against[c.Against]++
			if c.Region != "" {
				require.NotEmpty(t, c.Kernels, c.Region)
			}
		}
		require.Equal(t, 3, against["cpu"], "train, eval and infer")
		require.GreaterOrEqual(t, against[verify.Interpreter], 20)
	}
}

// TestVerdict prints what is wrong, where no number is one too, and names it in the error.
func TestVerdict(t *testing.T) {
	wrong := oracle.Deviation{Name: "result 0", Tolerance: 1e-5, Error: math.Inf(1), Element: 7, Got: math.NaN(), Want: 2, Scale: 3}
	right := oracle.Deviation{Name: "@w", Tolerance: 0}
	report := &verify.Report{
		Checks: []verify.Check{
			{Function: "train", Region: "a.conv", Kernels: []string{"a.conv"}, Alike: 2, Against: verify.Interpreter, Samples: 4, Worst: wrong, Wrong: []oracle.Deviation{wrong}},
			{Function: "train", Region: "b.update", Kernels: []string{"b.update"}, Alike: 1, Against: verify.Interpreter, Samples: 4, Worst: right},
		},
		LeftOut: []verify.LeftOut{{Function: "train", Region: "c.conv", MACs: 2e9}, {Function: "eval", MACs: 5e8}},
	}
	var facts verifyFacts
	facts.fill(report, true)
	require.False(t, facts.OK)
	require.EqualError(t, facts.verdict(), "1 of 2 comparisons disagree: a.conv; please report it with this output and that of wrnc doctor")
	var out strings.Builder
	require.NoError(t, facts.print(&out))
	require.Equal(t, `
function  region    kernels  alike       error  tolerance         worst result
train     a.conv          1      2        +Inf      1e-05  WRONG  result 0: element 7 is NaN, expected 2
train     b.update        1      1           0      exact  ok     @w

3 regions verified; left out by --limit, which 2.5 more would take in: c.conv, the whole of eval
`, out.String())
	text, err := json.Marshal(facts)
	require.NoError(t, err)
	require.Contains(t, string(text), `"error":null`)

	report.Checks = report.Checks[1:]
	facts.fill(report, true)
	require.NoError(t, facts.verdict())
	require.True(t, facts.OK)
	facts.fill(report, false)
	require.False(t, facts.OK, "a target that failed has verified nothing more")
}
