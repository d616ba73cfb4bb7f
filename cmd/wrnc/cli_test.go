package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"wrnc/compiler"
	"wrnc/runtime/data/datatest"
	"wrnc/runtime/metrics"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"wrnc": main})
}

// TestCommands runs the sessions of testdata/cli.
func TestCommands(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "../../testdata/cli",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":      exits,
			"samelosses": sameLosses,
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
	var runs [2]*metrics.Run
	for i, path := range args {
		run, err := metrics.ReadFile(ts.MkAbs(path))
		ts.Check(err)
		runs[i] = run
	}
	if len(runs[0].Epochs) == 0 || len(runs[0].Epochs) != len(runs[1].Epochs) {
		ts.Fatalf("%d and %d epochs", len(runs[0].Epochs), len(runs[1].Epochs))
	}
	for i, a := range runs[0].Epochs {
		b := runs[1].Epochs[i]
		a.Seconds, a.ImagesPerSecond, b.Seconds, b.ImagesPerSecond = 0, 0, 0, 0
		if a != b {
			ts.Fatalf("epoch %d: %+v and %+v", a.Epoch, a, b)
		}
	}
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

func TestPanicsAreFaults(t *testing.T) {
	var stderr bytes.Buffer
	require.Equal(t, 3, run([]string{"version"}, panicking{}, &stderr))
	require.Contains(t, stderr.String(), "internal error: out of paper")
}

type panicking struct{}

func (panicking) Write([]byte) (int, error) { panic("out of paper") }
