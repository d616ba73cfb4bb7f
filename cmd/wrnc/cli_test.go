package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"wrnc/bench/benchtest"
	"wrnc/compiler"
	"wrnc/runtime/cuda/nvrtc"
	"wrnc/runtime/data/datatest"
	"wrnc/runtime/metrics"
)

func TestMain(m *testing.M) {
	nvrtc.Worker()
	systemLibcuda = os.Getenv("WRNC_LIBCUDA")
	if systemLibcuda == "" { // a test that wants a GPU says so
		if err := os.Setenv("WRNC_LIBCUDA", noLibrary); err != nil {
			panic(err)
		}
	}
	testscript.Main(m, map[string]func(){"wrnc": main, "wrnctiny": tiny, "fakepython": benchtest.Main})
}

// TestCommands runs the sessions of testdata/cli.
func TestCommands(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "../../testdata/cli",
		Setup: func(e *testscript.Env) error {
			e.Setenv("WRNC_LIBCUDA", noLibrary)
			bench, err := filepath.Abs("../../bench")
			if err != nil {
				return err
			}
			e.Setenv("BENCH", bench)
			_, err = os.Stat(filepath.Join(bench, "gpu.sh")) // so that go test knows what its result depends on
			return err
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":      exits,
			"samelosses": sameLosses,
			"fakecuda":   fakeCUDA,
			"writesvhn":  writes(datatest.WriteSVHN),
			"writefolder": writes(func(dir string, _ bool, n int) error {
				return datatest.WriteFolder(dir, n, 32)
			}),
		},
	})
}

// exits runs a command that must end with a given code: exits 2 wrnc sumary.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND ...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	code := 0
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		code = failed.ExitCode()
	} else {
		ts.Check(err)
	}
	if code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
}

// writes writes a small data set: writesvhn DIR plain|compressed PICTURES.
func writes(write func(dir string, compress bool, n int) error) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) != 3 {
			ts.Fatalf("usage: writes DIR plain|compressed PICTURES")
		}
		n, err := strconv.Atoi(args[2])
		ts.Check(err)
		dir := ts.MkAbs(args[0])
		ts.Check(os.MkdirAll(dir, 0o777))
		ts.Check(write(dir, args[1] == "compressed", n))
	}
}

// sameLosses compares two logs but for what depends on the time.
func sameLosses(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: samelosses LOG LOG")
	}
	a, err := withoutTimes(ts.MkAbs(args[0]))
	ts.Check(err)
	b, err := withoutTimes(ts.MkAbs(args[1]))
	ts.Check(err)
	if a != b {
		ts.Fatalf("%s\nand\n%s", a, b)
	}
}

// withoutTimes is the text of a log without what depends on the time, and without
// the name of the run.
func withoutTimes(path string) (string, error) {
	run, err := metrics.ReadFile(path)
	if err != nil {
		return "", err
	}
	if len(run.Epochs) == 0 {
		return "", fmt.Errorf("%s: no epochs", path)
	}
	var text strings.Builder
	log := metrics.NewLog(&text)
	for _, e := range run.Epochs {
		e.Seconds, e.ImagesPerSecond = 0, 0
		err = errors.Join(err, log.Epoch(e))
	}
	if run.Done != nil {
		d := *run.Done
		d.Seconds, d.Run = 0, ""
		err = errors.Join(err, log.Done(d))
	}
	return text.String(), err
}

func TestFaultsAskForAReport(t *testing.T) {
	for _, err := range []error{
		&compiler.InternalError{Stage: "cse", Cause: errors.New("a value has no node")},
		faultError{"cse: a value has no node"},
	} {
		var stderr bytes.Buffer
		require.Equal(t, 3, report(&stderr, err, []string{"build", "a.wrn"}))
		require.Contains(t, stderr.String(), "wrnc: internal error: cse: a value has no node\n\nThis is a fault of wrnc")
		require.Contains(t, stderr.String(), "    wrnc build a.wrn\n")
	}
}

// TestMessagesAreHarmless has names of files and classes that would do something to a terminal.
func TestMessagesAreHarmless(t *testing.T) {
	var stderr bytes.Buffer
	require.Equal(t, exitUser, report(&stderr, errors.New("a\x1b[31m\u009b.png: no picture;\n\tsee\x9b below"), nil))
	require.Equal(t, "wrnc: a\ufffd[31m\ufffd.png: no picture;\n\tsee\ufffd below\n", stderr.String())

	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "\x1bc.png"), nil, 0o666))
	_, told := call(t, exitUser, "run", "--infer", trainTiny(t), dir)
	require.Contains(t, told, "\ufffdc.png: byte 0: this is neither")
	require.NotContains(t, told, "\x1b")
}

func TestPanicsAreFaults(t *testing.T) {
	var stderr bytes.Buffer
	require.Equal(t, 3, run([]string{"version"}, panicking{}, &stderr))
	require.Contains(t, stderr.String(), "internal error: out of paper")
}

type panicking struct{}

func (panicking) Write([]byte) (int, error) { panic("out of paper") }
