package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"image/color"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/compiler"
	"wrnc/compiler/ir"
	"wrnc/compiler/lower"
	kernels "wrnc/kernels/cpu"
	"wrnc/runtime"
	"wrnc/runtime/checkpoint"
	"wrnc/runtime/cpu"
	"wrnc/runtime/data"
	"wrnc/runtime/data/datatest"
	"wrnc/runtime/metrics"
	"wrnc/runtime/train"
)

// call runs wrnc with the tiny data and returns what it printed.
func call(t *testing.T, code int, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	require.Equal(t, code, tinySession(&out, &errs).run(args), "%v\n%s", args, errs.String())
	return out.String(), errs.String()
}

// trainTiny trains the tiny network and returns the run's folder.
func trainTiny(t *testing.T) string {
	dir := filepath.Join(t.TempDir(), "run")
	call(t, exitOK, append(begin(t, dir), "--epochs", "2")...)
	return dir
}

// TestEvalIsTheTrainingsOwn: what --eval finds are the bits of the training's own
// evaluation, here of its best epoch, the last batch of which is short.
func TestEvalIsTheTrainingsOwn(t *testing.T) {
	dir := trainTiny(t)
	out, _ := call(t, exitOK, "run", "--eval", "digits", dir, "--json")
	var found evaluation
	require.NoError(t, json.Unmarshal([]byte(out), &found))

	w, err := openTrained(dir, "")
	require.NoError(t, err)
	require.Equal(t, 4, w.batch)
	result, err := compiler.Compile(w.net, compiler.Options{Batch: w.batch, Fuse: true})
	require.NoError(t, err)
	m, isa := result.Module, kernels.Detect()
	plans, err := layOut(m, cpu.Arch(isa), lower.Plan, trainingFunctions()...)
	require.NoError(t, err)
	ex, err := cpu.Load(m, plans, cpu.Options{ISA: isa, Threads: 1})
	require.NoError(t, err)
	defer ex.Close()
	_, err = train.ReadWeights(w.weights.Path, ex, m)
	require.NoError(t, err)
	src, err := tinySession(nil, nil).open(dataSet{name: "digits"}, "", w.net.Input)
	require.NoError(t, err)
	loader, err := data.NewLoader(src.Test, data.LoaderOptions{Batch: w.batch, Normalize: normalization(w.net.Data, src.Train)})
	require.NoError(t, err)
	loss, err := train.Evaluate(t.Context(), ex, loader, func(*data.Batch, train.Loss, [][]float32) error { return nil })
	require.NoError(t, err)
	require.Equal(t, metrics.Number(loss.Mean()), found.Loss)
	require.Equal(t, metrics.Number(loss.Percent()), found.Error)
	require.Equal(t, fmt.Sprint(float64(found.Error)), w.weights.Metadata["test_error"], "as the training has recorded")
	require.Equal(t, 6, found.Images)
	require.LessOrEqual(t, *found.Top5, found.Error)
}

func TestEvalChoosesWeights(t *testing.T) {
	dir := trainTiny(t)
	for args, file := range map[string]string{dir: "best", dir + " --weights best": "best", dir + " --weights last": "last", dir + "/last.safetensors": "last"} {
		out, _ := call(t, exitOK, append([]string{"run", "--eval", "digits"}, strings.Fields(args)...)...)
		require.Contains(t, out, fmt.Sprintf("WRN-10-1 on digits, weights %s/%s.safetensors\n", dir, file))
	}
	require.NoError(t, os.Remove(filepath.Join(dir, "best.safetensors")))
	_, stderr := call(t, exitUser, "run", "--eval", "digits", dir)
	require.Contains(t, stderr, "there is no best.safetensors in it, but there is last.safetensors: add --weights last")
	require.NoError(t, os.Remove(filepath.Join(dir, "last.safetensors")))
	_, stderr = call(t, exitUser, "run", "--eval", "digits", dir)
	require.Contains(t, stderr, "there are no weights in it")
}

func TestOutside(t *testing.T) {
	logits := []float32{
		5, 4, 3, 2, 1, 0,
		0, 0, 0, 0, 0, 0,
		1, 1, 1, 1, 1, 2,
	}
	for _, c := range []struct {
		labels []int32
		top5   int
		top1   int
	}{
		{[]int32{0, 0, 5}, 0, 0},
		{[]int32{5, 5, 4}, 3, 3}, // of equals the first count
		{[]int32{4, 4, 3}, 0, 3},
		{[]int32{1, 1, 0}, 0, 3},
	} {
		require.Equal(t, c.top5, outside(5, logits, c.labels), "%v", c.labels)
		require.Equal(t, c.top1, outside(1, logits, c.labels), "%v", c.labels)
	}
}

// TestHostileWeights gives files that are no weights of a network, or not of the one
// that they name: each is refused with one line that names the file.
func TestHostileWeights(t *testing.T) {
	good, err := checkpoint.Read(filepath.Join(trainTiny(t), "best.safetensors"))
	require.NoError(t, err)
	fact := func(key, value string) func([]checkpoint.Tensor, map[string]string) []checkpoint.Tensor {
		return func(all []checkpoint.Tensor, facts map[string]string) []checkpoint.Tensor {
			if facts[key] = value; value == "" {
				delete(facts, key)
			}
			return all
		}
	}
	tensor := func(change func(*checkpoint.Tensor)) func([]checkpoint.Tensor, map[string]string) []checkpoint.Tensor {
		return func(all []checkpoint.Tensor, _ map[string]string) []checkpoint.Tensor {
			for i := range all {
				if all[i].Name == "fc.b" {
					change(&all[i])
				}
			}
			return all
		}
	}
	path := filepath.Join(t.TempDir(), "w.safetensors")
	for name, c := range map[string]struct {
		change func([]checkpoint.Tensor, map[string]string) []checkpoint.Tensor
		want   string
	}{
		"no network":       {fact("network", ""), "it does not say which network this is; expected a file that `wrnc run` wrote"},
		"no text":          {fact("network", "#!/bin/sh"), ":network:1:1: there is nothing in this file"},
		"deep":             {fact("network", "model WRN-1000000000-1"), ":network:1:11: depth 1000000000 is above 1300"},
		"another network":  {fact("network", "model WRN-16-1"), `no tensor "g1.b1.bn0.gamma"`},
		"a wider network":  {fact("network", "model WRN-10-2"), `no tensor "g1.b0.proj.w" among its 32`},
		"a vast network":   {fact("network", "model WRN-1000-1024"), `no tensor "g1.b0.proj.w"`},
		"no classes":       {fact("classes", ""), `"classes" is ""; expected a number from 1 to 65536`},
		"other classes":    {fact("classes", "11"), `"classes" says 11, and the network has 10`},
		"no batch":         {fact("batch", "0"), `"batch" is "0"; expected a number from 1 to 65536`},
		"a vast batch":     {fact("batch", "99999999999999999999"), `"batch" is "99999999999999999999"; expected`},
		"no mean":          {fact("mean", "[1 2]"), `"mean" is "[1 2]"; expected 3 numbers`},
		"bad mean":         {fact("mean", "[NaN 0 0]"), "normalize: channel 0 has mean NaN"},
		"no scale":         {fact("scale", "[0 0 0]"), "normalize: channel 0 has mean"},
		"bad names":        {fact("class_names", "{"), `"class_names" is no JSON list of names: `},
		"too many names":   {fact("class_names", `["1","2","3","4","5","6","7","8","9","10","11"]`), `"class_names" has 11 names, and there are 10 classes`},
		"unknown data":     {fact("data", "none"), "class"}, // a folder's; its classes are still the file's
		"a missing tensor": {func(all []checkpoint.Tensor, _ map[string]string) []checkpoint.Tensor { return all[1:] }, "no tensor"},
		"one too many": {func(all []checkpoint.Tensor, _ map[string]string) []checkpoint.Tensor {
			return append(all, checkpoint.FromFloat32s("x", []int{1}, []float32{1}))
		}, `tensor "x" is of another network than WRN-10-1`},
		"another shape": {tensor(func(t *checkpoint.Tensor) { t.Shape = []int{2, 5} }), `tensor "fc.b": expected shape [10], found [2 5]`},
		"whole numbers": {tensor(func(t *checkpoint.Tensor) { t.DType = checkpoint.I32 }), `tensor "fc.b" is "I32"; expected F32, F16 or BF16`},
		"not a number": {tensor(func(t *checkpoint.Tensor) {
			*t = checkpoint.FromFloat32s(t.Name, t.Shape, []float32{0, float32(math.NaN()), 0, 0, 0, 0, 0, 0, 0, 0})
		}), "the loss is NaN; the weights are damaged, or of a training that diverged"},
	} {
		t.Run(name, func(t *testing.T) {
			facts := map[string]string{}
			for key, value := range good.Metadata {
				facts[key] = value
			}
			require.NoError(t, checkpoint.Write(path, c.change(append([]checkpoint.Tensor(nil), good.Tensors...), facts), facts))
			if name == "unknown data" {
				out, _ := call(t, exitOK, "run", "--eval", "digits", path)
				require.Contains(t, out, "error")
				return
			}
			out, stderr := call(t, exitUser, "run", "--eval", "digits", path)
			require.Empty(t, out)
			require.Contains(t, stderr, path)
			require.Contains(t, stderr, c.want)
			require.Less(t, strings.Count(stderr, "\n"), 5, stderr)
		})
	}
	text, err := os.ReadFile(good.Path)
	require.NoError(t, err)
	for _, size := range []int{0, 7, 100, len(text) / 2, len(text) - 1} {
		require.NoError(t, os.WriteFile(path, text[:size], 0o666))
		_, stderr := call(t, exitUser, "run", "--infer", path, "x.png")
		require.Contains(t, stderr, "wrnc: "+path+": ")
		require.Equal(t, 1, strings.Count(stderr, "\n"), stderr)
	}
}

// TestClassesWithoutNames: weights that do not say what their classes are called have
// numbers for names.
func TestClassesWithoutNames(t *testing.T) {
	dir := trainTiny(t)
	path := filepath.Join(dir, "best.safetensors")
	file, err := checkpoint.Read(path)
	require.NoError(t, err)
	delete(file.Metadata, "class_names")
	require.NoError(t, checkpoint.Write(path, file.Tensors, file.Metadata))
	picture := filepath.Join(t.TempDir(), "a.png")
	require.NoError(t, os.WriteFile(picture, datatest.Picture("png", 32, 32, color.Black), 0o666))
	out, _ := call(t, exitOK, "run", "--infer", dir, picture, "--top", "2")
	require.Regexp(t, `^`+picture+`\n +[0-9.]+ %  [0-9]\n +[0-9.]+ %  [0-9]\n$`, out)
	call(t, exitOK, "run", "--eval", "digits", dir)
}

// FuzzWeightFacts: a file's metadata makes a network or an error, whatever it says.
func FuzzWeightFacts(f *testing.F) {
	f.Add("model WRN-10-1", "digits", "10", "16", "[1 2 3]", "[1 1 1]", `["0"]`)
	f.Add("model WRN-16-4", "flowers", "3", "1", "[0 0 0]", "[0.5 1e-3 -2]", `["a","b","c"]`)
	f.Add("model g { input 8x8x3; layers { conv 3x3 8; avgpool global; linear classes } }", "", "2", "65536", "[]", "[NaN]", "null")
	f.Fuzz(func(t *testing.T, network, dataName, classes, batch, mean, scale, names string) {
		w := &trained{weights: &checkpoint.File{Path: "w"}}
		err := w.read(map[string]string{"network": network, "data": dataName, "classes": classes, "batch": batch, "mean": mean, "scale": scale, "class_names": names})
		if err == nil {
			n, _ := strconv.Atoi(classes) // or read would have failed
			require.Equal(t, n, w.net.Classes)
			require.NoError(t, w.normalize.Check(w.net.Input[2]))
			require.LessOrEqual(t, len(w.classes), w.net.Classes)
		}
	})
}

// TestEvalRefusesOtherData: pictures of another size, more classes, other classes.
func TestEvalRefusesOtherData(t *testing.T) {
	w, err := openTrained(trainTiny(t), "")
	require.NoError(t, err)
	set := func(side int, classes ...string) *data.Set {
		return &data.Set{Name: "other test", H: side, W: side, C: 3, Classes: classes}
	}
	require.NoError(t, w.fits(set(32, w.classes...)))
	require.NoError(t, w.fits(set(32, w.classes[:3]...)))
	require.ErrorContains(t, w.fits(set(28, w.classes...)), "the network takes pictures of 32x32x3, and those of other test are 28x28x3")
	require.ErrorContains(t, w.fits(set(32, append([]string{"0"}, w.classes...)...)), "the network has 10 classes, and other test has 11")
	require.ErrorContains(t, w.fits(set(32, "0", "cat")), "class 1 of the network is 1, and of other test it is cat")
	w.classes = nil
	require.NoError(t, w.fits(set(32, "0", "cat")), "nobody knows")
}

// TestInfer answers for good pictures among bad ones, with what evaluation's function
// would say within rounding.
func TestInfer(t *testing.T) {
	dir := trainTiny(t)
	pictures := t.TempDir()
	write := func(name string, content []byte) string {
		path := filepath.Join(pictures, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o777))
		require.NoError(t, os.WriteFile(path, content, 0o666))
		return path
	}
	red, blue := color.NRGBA{200, 20, 30, 255}, color.NRGBA{10, 20, 230, 255}
	first := write("a.png", datatest.Picture("png", 32, 32, red))
	write("deep/b.JPG", datatest.Picture("jpeg", 77, 40, blue))
	write("deep/notes.txt", []byte("no picture"))
	bad := write("c.png", []byte("\x89PNG\r\n\x1a\n"))
	vast := write("d.png", announcing(1<<20, 1<<20))
	cut := datatest.Picture("png", 32, 32, red)
	short := write("e.png", cut[:len(cut)/2])
	require.NoError(t, os.MkdirAll(filepath.Join(pictures, "empty"), 0o777))

	out, stderr := call(t, exitUser, "run", "--infer", dir, pictures, "--json", "--top", "10", first, filepath.Join(pictures, "empty"), "nowhere.png")
	var answers []answer
	for _, line := range strings.Split(strings.TrimSpace(out), "\n") {
		var a answer
		require.NoError(t, json.Unmarshal([]byte(line), &a), line)
		answers = append(answers, a)
	}
	require.Len(t, answers, 3)
	require.Equal(t, []string{first, filepath.Join(pictures, "deep", "b.JPG"), first}, []string{answers[0].Picture, answers[1].Picture, answers[2].Picture})
	require.Equal(t, answers[0], answers[2])
	require.NotEqual(t, answers[0].Classes, answers[1].Classes)
	for _, message := range []string{
		bad + ": the header of the png picture: ",
		vast + ": the png picture says that it is 1048576x1048576; expected 1 to ",
		short + ": the png picture of 32x32 is damaged",
		filepath.Join(pictures, "empty") + ": there is no picture in it",
		"wrnc: nowhere.png: no such file or directory\n",
		"wrnc: 5 of 8 pictures or folders could not be read; each is named above\n",
	} {
		require.Contains(t, stderr, message)
	}
	require.Equal(t, 6, strings.Count(stderr, "\n"), stderr)

	for _, a := range answers {
		sum := 0.0
		for i, g := range a.Classes {
			require.Equal(t, fmt.Sprint(g.Class), g.Name)
			require.True(t, i == 0 || g.Probability <= a.Classes[i-1].Probability)
			sum += float64(g.Probability)
		}
		require.InDelta(t, 1, sum, 1e-12)
	}
	want := unfolded(t, dir, first)
	for _, g := range answers[0].Classes {
		require.InDelta(t, want[g.Class], float64(g.Probability), 1e-5)
	}

	out, stderr = call(t, exitOK, "run", "--infer", dir, first, "--top", "2")
	require.Empty(t, stderr)
	require.Regexp(t, `^`+first+`\n +[0-9.]+ %  [0-9]\n +[0-9.]+ %  [0-9]\n$`, out)
}

// announcing is a PNG file of a few bytes that says it has w x h pixels.
func announcing(w, h uint32) []byte {
	file := datatest.Picture("png", 1, 1, color.Black)
	header := file[12:29] // IHDR and its 13 bytes
	binary.BigEndian.PutUint32(header[4:], w)
	binary.BigEndian.PutUint32(header[8:], h)
	binary.BigEndian.PutUint32(file[29:], crc32.ChecksumIEEE(header))
	return file
}

// unfolded are the probabilities of a picture's classes by a plan of inference that
// nothing is folded in.
func unfolded(t *testing.T, run, picture string) []float64 {
	w, err := openTrained(run, "")
	require.NoError(t, err)
	m, err := compileAlone(w.net, "infer", compiler.Options{Batch: 1, Precision: ir.F32, Fuse: true})
	require.NoError(t, err)
	ex, _, err := start(m, &cpuMachine{isa: kernels.Detect(), threads: 1}, lower.Plan)
	require.NoError(t, err)
	defer ex.Close()
	require.NoError(t, train.SetWeights(w.weights, ex, m))
	content, err := data.ReadPicture(picture, 32, 32)
	require.NoError(t, err)
	images := make([]float32, len(content))
	w.normalize.Apply(images, content, 3)
	out, err := ex.Run("infer", runtime.Inputs{N: 1, F32: map[string][]float32{"images": images}})
	require.NoError(t, err)
	p := make([]float64, len(out[0]))
	sum := 0.0
	for i, v := range out[0] {
		p[i] = math.Exp(float64(v))
		sum += p[i]
	}
	for i := range p {
		p[i] /= sum
	}
	return p
}

// TestNamesAreHarmless: a file's class names do nothing to a terminal.
func TestNamesAreHarmless(t *testing.T) {
	w := &trained{classes: []string{"cat", "\x1b[2Jdog", "Käse", ""}}
	var names []string
	for i := range 5 {
		names = append(names, w.class(i))
	}
	require.Equal(t, []string{"cat", `"\x1b[2Jdog"`, "Käse", "3", "4"}, names)
}
