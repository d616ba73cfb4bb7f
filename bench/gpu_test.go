package bench

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// acceptance is a call of gpu.sh where only the tools that it needs are, and others that
// stand in for wrnc and what it is tried with.
type acceptance struct {
	t    *testing.T
	path string // of the tools
}

// scriptTools are the programs that gpu.sh takes from the system.
var scriptTools = []string{"bash", "sh", "timeout", "sleep", "awk", "grep", "head", "tail", "tr", "date", "mktemp", "mkdir", "cp", "rm", "cat", "dirname", "basename"}

func newAcceptance(t *testing.T) *acceptance {
	_, err := os.Stat("gpu.sh") // so that go test knows what its result depends on
	require.NoError(t, err)
	a := &acceptance{t: t, path: t.TempDir()}
	for _, name := range scriptTools {
		tool, err := exec.LookPath(name)
		if err != nil {
			t.Skip("the script needs what is not here: ", err)
		}
		require.NoError(t, os.Symlink(tool, filepath.Join(a.path, name)))
	}
	return a
}

// standIn puts a shell script among the tools.
func (a *acceptance) standIn(name, script string) {
	require.NoError(a.t, os.WriteFile(filepath.Join(a.path, name), []byte("#!/bin/sh\n"+script), 0o777))
}

// run runs gpu.sh and returns its exit code and what it says.
func (a *acceptance) run(args ...string) (code int, said string) {
	cmd := exec.Command(filepath.Join(a.path, "bash"), append([]string{"gpu.sh"}, args...)...)
	cmd.Env = []string{"PATH=" + a.path, "TMPDIR=" + a.t.TempDir()}
	out, err := cmd.CombinedOutput()
	var failed *exec.ExitError
	if !errors.As(err, &failed) {
		require.NoError(a.t, err)
		return 0, string(out)
	}
	return failed.ExitCode(), string(out)
}

// stepSeconds are those of the steps in a table.
var stepSeconds = regexp.MustCompile(`(?m)^(\| [^|]+ \| [a-zA-Z ]+ \|) \d+ \|`)

// table is the README of the one record that is there, without what its steps took.
func (a *acceptance) table(out string) string {
	found, err := filepath.Glob(filepath.Join(out, "*", "README.md"))
	require.NoError(a.t, err)
	require.Len(a.t, found, 1)
	text, err := os.ReadFile(found[0])
	require.NoError(a.t, err)
	return stepSeconds.ReplaceAllString(string(text), "$1 N |")
}

// wrncStandIn answers as wrnc does on a GPU that it finds right.
const wrncStandIn = `
case $1 in
doctor) cat <<'JSON'
{
  "train_on": [
    "cuda",
    "cpu"
  ],
  "findings": [
    {
      "part": "wrnc",
      "state": "ok",
      "text": "v1.2.3, built by go1.26"
    },
    {
      "part": "gpu",
      "state": "ok",
      "text": "0: Some \"Quick\" GPU, sm_90, 80.0 GiB (79.0 GiB free), driver 580.1 for CUDA 13.0; planned for as sm_90"
    },
    {
      "part": "torch",
      "state": "ok",
      "text": "PyTorch 2.7.1, Python 3.11"
    }
  ]
}
JSON
;;
verify) echo '{"ok": true}' ;;
bench)
  printf '{"network":"%s","batch":128,"work":"train","precision":"bf16","program":"wrnc","how":"sm_90","time":{"median_ms":12.5,"least_ms":12,"noisy":true},"images_per_second":10240,"model":{"least_ms":5,"share":0.4,"peaks":"nominal"},"kernels":{"whole_ms":12,"least_ms":77}}\n' "$2"
  case "$*" in *--against*) ;; *) exit ;; esac
  printf '{"network":"%s","batch":128,"work":"train","precision":"bf16","program":"torch","how":"channels_last eager","time":{"median_ms":25,"least_ms":24,"noisy":false},"images_per_second":5120,"ratio":{"medians":0.5,"least":0.5}}\n' "$2" ;;
run) echo '{"epoch":1}'; echo 'words' >&2 ;;
esac
`

func TestAcceptance(t *testing.T) {
	a := newAcceptance(t)
	a.standIn("wrnc", wrncStandIn)
	a.standIn("compute-sanitizer", `while [ "$1" != wrnc ] && [ "${1##*/}" != wrnc ]; do shift; done; exec "$@"`)
	a.standIn("nvidia-smi", "echo Driver Version: 580.1")
	a.standIn("python3", `echo '{"torch": "2.7.1"}'`)
	out := t.TempDir()
	code, said := a.run("--out", out, "--data", "cifar", "--networks", "WRN-16-4 WRN-40-4", "--verify", "default ../nets/a.wrn", "wrnc")
	require.Zero(t, code, said)
	require.NotContains(t, said, "skipped")
	text := a.table(out)
	require.Contains(t, text, "# Some \"Quick\" GPU, ")
	require.Contains(t, text, "| gpu | 0: Some \"Quick\" GPU, sm_90, 80.0 GiB (79.0 GiB free), driver 580.1 for CUDA 13.0; planned for as sm_90 |\n")
	for _, step := range []string{"doctor", "gpu", "nvidia-smi", "torch", "verify-default-f32", "verify-a-tf32", "bench-WRN-16-4-f32", "bench-WRN-40-4-bf16", "memcheck", "racecheck", "train-cifar10", "bench-WRN-16-4-bf16-compiled"} {
		require.Contains(t, text, "| "+step+" | passed | ")
	}
	require.Equal(t, 9, strings.Count(text, " | train | bf16 | 128 | wrnc sm_90 | 1.024e+04 | 12.5 (noisy) | 12 | - | 5 | 40 % |\n"))
	require.Equal(t, 9, strings.Count(text, " | train | bf16 | 128 | torch channels_last eager | 5120 | 25 | 24 | 0.5 | - | - |\n"))

	// A second call of the day has a folder of its own.
	_, said = a.run("--out", out, "--networks", "", "--verify", "", "--compile", "", "wrnc")
	require.Regexp(t, `some-quick-gpu-[0-9-]+-2/README.md\n$`, said)
}

// TestAcceptanceGoesOn after a step that fails, and without tools that are not there.
func TestAcceptanceGoesOn(t *testing.T) {
	a := newAcceptance(t)
	broken := `case "$*" in *tf32*) echo "wrnc: 1 of 3 comparisons disagree: a|b" >&2; exit 1 ;; esac` + wrncStandIn
	a.standIn("wrnc", strings.NewReplacer(`"state": "ok",
      "text": "PyTorch 2.7.1, Python 3.11"`, `"state": "missing",
      "text": "there is no python3"`).Replace(broken))
	out := t.TempDir()
	code, said := a.run("--out", out, "--networks", "WRN-16-4", "--verify", "default", "wrnc")
	require.Equal(t, 1, code, said)
	text := a.table(out)
	require.Contains(t, text, `| verify-default-tf32 | FAILED | N | exit code 1: wrnc: 1 of 3 comparisons disagree: a\|b |`)
	require.Contains(t, text, "| verify-default-bf16 | passed | ")
	require.Contains(t, text, "| bench-WRN-16-4-tf32 | FAILED | ")
	require.Contains(t, text, "| torch | skipped | N | there is no python3 |")
	for _, step := range []string{"nvidia-smi", "memcheck", "racecheck", "train-cifar10"} {
		require.Contains(t, text, "| "+step+" | skipped | ")
	}
	require.NotContains(t, text, "compiled")
	records, err := filepath.Glob(filepath.Join(out, "*", "bench-*.json"))
	require.NoError(t, err)
	require.Len(t, records, 2)
	steps, err := os.ReadFile(filepath.Join(filepath.Dir(records[0]), "steps.jsonl"))
	require.NoError(t, err)
	require.Contains(t, string(steps), `{"step":"verify-default-tf32","result":"FAILED","seconds":`)
}

// TestAcceptanceTimesWrncAlone where PyTorch cannot use the GPU, which is a failure.
func TestAcceptanceTimesWrncAlone(t *testing.T) {
	a := newAcceptance(t)
	a.standIn("wrnc", wrncStandIn)
	a.standIn("python3", `echo "RuntimeError: Found no NVIDIA driver" >&2; exit 1`)
	out := t.TempDir()
	code, said := a.run("--out", out, "--networks", "WRN-16-4", "--verify", "", "wrnc")
	require.Equal(t, 1, code, said)
	text := a.table(out)
	require.Contains(t, text, "| torch | FAILED | N | exit code 1: RuntimeError: Found no NVIDIA driver |")
	require.Equal(t, 3, strings.Count(text, "| wrnc sm_90 |"))
	require.NotContains(t, text, "torch channels_last")
	require.NotContains(t, text, "compiled")
}

// TestAcceptanceEndsInTime: what hangs is stopped, and what there is no time for not begun.
func TestAcceptanceEndsInTime(t *testing.T) {
	a := newAcceptance(t)
	a.standIn("wrnc", `if [ "$1" = verify ]; then exec sleep 60; fi`+wrncStandIn)
	out := t.TempDir()
	code, said := a.run("--out", out, "--networks", "WRN-16-4", "--verify", "default", "--budget", "4", "wrnc")
	require.Equal(t, 1, code, said)
	text := a.table(out)
	require.Regexp(t, `(?m)^\| verify-default-f32 \| too slow \| N \| stopped after [1-4] s \|$`, text)
	require.Contains(t, text, "| bench-WRN-16-4-f32 | not run | N | the budget of 4 s is spent |")
}

// TestAcceptanceWithoutGPU has a record, too, which says so.
func TestAcceptanceWithoutGPU(t *testing.T) {
	a := newAcceptance(t)
	a.standIn("wrnc", `echo "wrnc: no GPU" >&2; exit 1`)
	out := t.TempDir()
	code, said := a.run("--out", out, "--networks", "", "--verify", "", "wrnc")
	require.Equal(t, 1, code, said)
	require.Contains(t, said, filepath.Join(out, "no-gpu-"))
	text := a.table(out)
	require.Contains(t, text, "| doctor | FAILED | N | exit code 1: wrnc: no GPU |")
	require.Contains(t, text, "| gpu | FAILED | ")
}

func TestAcceptanceUsage(t *testing.T) {
	a := newAcceptance(t)
	a.standIn("wrnc", wrncStandIn)
	for want, args := range map[string][]string{
		"gpu.sh: expected the program wrnc;":              {},
		"gpu.sh: there is no such program;":               {"no-such-wrnc"},
		"gpu.sh: --fast: no such flag;":                   {"--fast", "wrnc"},
		"gpu.sh: --data: expected a value;":               {"wrnc", "--data"},
		"gpu.sh: other: one program is enough;":           {"wrnc", "other"},
		"gpu.sh: --budget soon: expected seconds; gpu.sh": {"--budget", "soon", "wrnc"},
	} {
		code, said := a.run(args...)
		require.Equal(t, 2, code)
		require.True(t, strings.HasPrefix(said, want), said)
	}
	code, said := a.run("--help")
	require.Zero(t, code)
	require.Contains(t, said, "usage: bench/gpu.sh [flags] WRNC")
}

// TestAcceptanceIsClean holds the script to shellcheck, where that is.
func TestAcceptanceIsClean(t *testing.T) {
	checker, err := exec.LookPath("shellcheck")
	if err != nil {
		t.Skip("the script is not held to shellcheck, which is not here: ", err)
	}
	out, err := exec.Command(checker, "gpu.sh").CombinedOutput()
	require.NoError(t, err, string(out))
}
