package metrics

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func epoch(n int) Epoch {
	return Epoch{Epoch: n, Step: int64(390 * n), LR: 0.1, TrainLoss: 1.25, TrainError: 43.5, TestError: 41.07, ImagesPerSecond: 1234.5, Seconds: 40.5}
}

var done = Done{Run: "runs/1", Target: "cpu", Precision: "f32", Seed: math.MaxUint64, TestError: 5.5, BestTestError: 5.25, Seconds: 8000}

func TestLines(t *testing.T) {
	var a, b bytes.Buffer
	log := NewLog(&a, &b)
	require.NoError(t, log.Epoch(epoch(1)))
	require.NoError(t, log.Done(done))
	require.Equal(t, `{"epoch":1,"step":390,"lr":0.1,"train_loss":1.25,"train_error":43.5,"test_error":41.07,"images_per_second":1234.5,"seconds":40.5}
{"done":true,"run":"runs/1","target":"cpu","precision":"f32","seed":18446744073709551615,"test_error":5.5,"best_test_error":5.25,"seconds":8000}
`, a.String())
	require.Equal(t, a.String(), b.String())

	run, err := Read(&a)
	require.NoError(t, err)
	require.Equal(t, &Run{Epochs: []Epoch{epoch(1)}, Done: &done}, run)
}

func TestNotFiniteIsNull(t *testing.T) {
	e := epoch(1)
	e.TrainLoss, e.TrainError, e.LR = Number(math.NaN()), Number(math.Inf(1)), Number(math.Inf(-1))
	var out bytes.Buffer
	require.NoError(t, NewLog(&out).Epoch(e))
	require.Contains(t, out.String(), `"lr":null,"train_loss":null,"train_error":null,`)
	require.True(t, json.Valid(out.Bytes()))
	run, err := Read(&out)
	require.NoError(t, err)
	require.True(t, math.IsNaN(float64(run.Epochs[0].TrainLoss)))
	require.Equal(t, Number(41.07), run.Epochs[0].TestError)
}

// TestAbsentIsUnknown: what was not measured is not 0.
func TestAbsentIsUnknown(t *testing.T) {
	run, err := Read(strings.NewReader("{\"epoch\":1,\"step\":390,\"train_loss\":1.5}\n{\"done\":true,\"seconds\":7}\n"))
	require.NoError(t, err)
	require.Len(t, run.Epochs, 1)
	e := run.Epochs[0]
	require.Equal(t, Number(1.5), e.TrainLoss)
	require.Equal(t, Number(7), run.Done.Seconds)
	for name, n := range map[string]Number{"lr": e.LR, "train error": e.TrainError, "test error": e.TestError, "speed": e.ImagesPerSecond, "seconds": e.Seconds, "last": run.Done.TestError, "best": run.Done.BestTestError} {
		require.True(t, math.IsNaN(float64(n)), "%s is %v", name, n)
	}
}

func TestNumbersReadBack(t *testing.T) {
	for _, v := range []float64{0, math.Copysign(0, -1), 1e-300, 5e-324, math.MaxFloat64, 0.1, 1e21, -123456789.125} {
		text, err := json.Marshal(Number(v))
		require.NoError(t, err)
		require.True(t, json.Valid(text), string(text))
		var back Number
		require.NoError(t, json.Unmarshal(text, &back))
		require.Equal(t, math.Float64bits(v), math.Float64bits(float64(back)), string(text))
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("pipe closed") }

func TestABrokenWriterDoesNotKeepTheLineFromTheOthers(t *testing.T) {
	var out bytes.Buffer
	require.ErrorContains(t, NewLog(broken{}, &out).Epoch(epoch(1)), "pipe closed")
	require.Equal(t, 1, strings.Count(out.String(), "\n"))
}

func TestEveryPrefixReads(t *testing.T) {
	var out bytes.Buffer
	log := NewLog(&out)
	for n := 1; n <= 3; n++ {
		require.NoError(t, log.Epoch(epoch(n)))
	}
	require.NoError(t, log.Done(done))
	text := out.String()
	for n := range len(text) + 1 {
		run, err := Read(strings.NewReader(text[:n]))
		require.NoError(t, err)
		whole := strings.Count(text[:n], "}")
		require.Len(t, run.Epochs, min(whole, 3))
		require.Equal(t, whole == 4, run.Done != nil)
	}
}

func TestResumedRunReplacesEpochs(t *testing.T) {
	var out bytes.Buffer
	log := NewLog(&out)
	for _, n := range []int{1, 2, 3} {
		require.NoError(t, log.Epoch(epoch(n)))
	}
	require.NoError(t, log.Done(done))
	again := epoch(2)
	again.TestError = 1
	require.NoError(t, log.Epoch(again))
	run, err := Read(&out)
	require.NoError(t, err)
	require.Equal(t, &Run{Epochs: []Epoch{epoch(1), again}}, run)
}

func TestReadRefuses(t *testing.T) {
	good := `{"epoch":1}` + "\n"
	for text, want := range map[string]string{
		good + "{\"epoch\":\n" + good:                 "line 2: not a record",
		good + "hello\n":                              "line 2: not a record",
		good + "{}\n":                                 `line 2: not a record: it has neither "epoch" nor "done"`,
		good + "{}":                                   `line 2: not a record: it has neither "epoch" nor "done"`,
		good + `{"done":false}`:                       `line 2: not a record: it has neither`,
		`{"epoch":1,"lr":"x"}` + "\n":                 "line 1: not a record",
		`{"epoch":1.5}` + "\n":                        "line 1: not a record",
		good + `{"epoch":0}` + "\n":                   "line 2: not a record: epoch 0; expected 1 to 100000",
		good + `{"epoch":100001}` + "\n":              "line 2: not a record: epoch 100001; expected 1 to 100000",
		good + strings.Repeat("x", maxLineBytes) + "": "line 2: longer than 65536 bytes",
	} {
		_, err := Read(strings.NewReader(text))
		require.ErrorContains(t, err, want)
	}
	_, err := ReadFile(filepath.Join(t.TempDir(), "absent"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

// What is no log is refused before it is read.
func TestReadFileRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	require.NoError(t, os.WriteFile(path, nil, 0o644))
	require.NoError(t, os.Truncate(path, 1<<30)) // takes no room on most disks
	_, err := ReadFile(path)
	require.EqualError(t, err, path+": the file has 1073741824 bytes; a metrics log has at most 67108864")
	_, err = ReadFile(filepath.Dir(path))
	require.ErrorContains(t, err, "this is no ordinary file; expected a metrics log")
}

func TestReadAllowsMoreKeysAndBlankLines(t *testing.T) {
	run, err := Read(strings.NewReader("\n{\"epoch\":4,\"new\":[1]}\r\n\n"))
	require.NoError(t, err)
	require.Len(t, run.Epochs, 1)
	require.Equal(t, 4, run.Epochs[0].Epoch)
}

func TestOpenFileMendsTheLastLine(t *testing.T) {
	line := `{"epoch":1}` + "\n"
	for _, c := range []struct{ before, after string }{
		{"", ""},
		{line, line},
		{line + `{"epo`, line},
		{`{"epo`, ""},
		{line + `{"epoch":2}`, line + `{"epoch":2}` + "\n"},
		{strings.Repeat(line, 9000) + `{`, strings.Repeat(line, 9000)},
	} {
		path := filepath.Join(t.TempDir(), "log.jsonl")
		require.NoError(t, os.WriteFile(path, []byte(c.before), 0o644))
		f, err := OpenFile(path)
		require.NoError(t, err)
		require.NoError(t, NewLog(f).Epoch(epoch(7)))
		require.NoError(t, f.Close())
		found, err := os.ReadFile(path)
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(string(found), c.after+`{"epoch":7,`))
		run, err := ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, epoch(7), run.Epochs[len(run.Epochs)-1])
	}
}

func TestOpenFileLeavesOtherFilesAlone(t *testing.T) {
	for _, content := range []string{"a letter", strings.Repeat("{", maxLineBytes+1)} {
		path := filepath.Join(t.TempDir(), "letter")
		require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
		_, err := OpenFile(path)
		require.ErrorContains(t, err, "this is no metrics log")
		found, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, content, string(found))
	}
	_, err := OpenFile(t.TempDir())
	require.Error(t, err)
}
