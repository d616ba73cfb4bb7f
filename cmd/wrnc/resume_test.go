package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// inTiny runs wrnctiny in this process.
func inTiny(args ...string) (code int, stdout, stderr string) {
	var out, words bytes.Buffer
	code = tinySession(&out, &words).run(args)
	return code, out.String(), words.String()
}

// TestAnotherPlan: a run whose plan, network or data are not what they were does not
// go on; a plan may be another where the user says so.
func TestAnotherPlan(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	code, _, stderr := inTiny(begin(t, dir)...)
	require.Equal(t, exitOK, code, stderr)
	began, err := readRun(dir)
	require.NoError(t, err)
	plans, err := os.ReadFile(filepath.Join(dir, "plan-train.txt"))
	require.NoError(t, err)

	other := began
	other.Images = 50000
	require.NoError(t, other.write(dir))
	code, _, stderr = inTiny(resume(dir)...)
	require.Equal(t, exitUser, code)
	require.Contains(t, stderr, "run.json: the run was begun with images 50000, and here it is 22; go on with the data and the wrnc that it was begun with, or begin another run with --train\n")

	other = began
	other.Plan = "0123456789abcdef"
	require.NoError(t, other.write(dir))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "plan-train.txt"), []byte("another"), 0o666))
	code, _, stderr = inTiny(resume(dir)...)
	require.Equal(t, exitUser, code)
	require.Contains(t, stderr, "this wrnc plans the network otherwise than the run's plan-*.txt say (hash 0123456789ab, here "+began.Plan[:12]+")")
	require.Contains(t, stderr, "or add --allow-other-plan\n")

	code, _, stderr = inTiny(append(resume(dir), "--allow-other-plan")...)
	require.Equal(t, exitOK, code, stderr)
	now, err := readRun(dir)
	require.NoError(t, err)
	require.Equal(t, began.Plan, now.Plan)
	require.Equal(t, []runChange{{Step: 20, Plan: began.Plan}}, now.Changes)
	kept, err := os.ReadFile(filepath.Join(dir, "plan-train.txt"))
	require.NoError(t, err)
	require.Equal(t, plans, kept)
	code, _, stderr = inTiny(resume(dir)...)
	require.Equal(t, exitOK, code, stderr)
}

// TestDivergedRunGoesOn: a run that diverges says how to go on, and does.
func TestDivergedRunGoesOn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	code, _, stderr := inTiny(begin(t, dir)...)
	require.Equal(t, exitOK, code, stderr)

	code, _, stderr = inTiny(append(resume(dir), "--from-step", "10", "--scale-lr", "100000", "--save-every", "100")...)
	require.Equal(t, exitUser, code)
	require.Regexp(t, `^wrnc: training diverged: the loss of step 1[1-5], in epoch 3, is [^;]*; the checkpoint of step 10 is kept; go on from there at a lower rate by: wrnc run --resume \S+ --scale-lr 0.1; or from further back, with --from-step 5\n$`, stderr)
	require.Equal(t, []int64{5, 10}, checkpointSteps(t, dir))

	code, stdout, stderr := inTiny(append(resume(dir), "--scale-lr", "0.00001")...)
	require.Equal(t, exitOK, code, stderr)
	require.Contains(t, stdout, "goes on after step 10, in epoch 3;")
	require.Contains(t, stdout, "epoch 4/4  lr 0.002  ")
	facts, err := readRun(dir)
	require.NoError(t, err)
	require.Equal(t, []runChange{{Step: 10, RateScale: 1e5}, {Step: 10, RateScale: 1e-5}}, facts.Changes)
	require.Equal(t, 100, *facts.Choices.SaveEvery)
}
