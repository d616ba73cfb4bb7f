package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"wrnc/compiler/irgen"
	"wrnc/dsl"
	"wrnc/runtime/checkpoint"
	"wrnc/runtime/data"
	"wrnc/runtime/train"
)

// trained is a network with the weights that a training has left in a file. The
// file says all that is needed to use them; it is not trusted.
type trained struct {
	weights   *checkpoint.File
	net       *dsl.Network
	batch     int // of the training, and so of its evaluation
	normalize data.Normalize
	classes   []string // their names; none where they are not known
}

// metadata are the facts about a network that its weights are kept with.
func metadata(net *dsl.Network, text networkText, classes []string, n data.Normalize) (map[string]string, error) {
	names, err := json.Marshal(classes)
	if err != nil {
		return nil, err
	}
	return map[string]string{
		"network": text.Text, "data": net.Data.Name, "classes": fmt.Sprint(net.Classes), "class_names": string(names),
		"batch": fmt.Sprint(net.Train.Batch), "normalize": net.Data.Normalize.String(), "recipe": net.Train.Recipe,
		"mean": fmt.Sprint(n.Mean), "scale": fmt.Sprint(n.Scale), // a byte becomes (byte - mean) * scale
	}, nil
}

// openTrained reads the weights of a RUN argument: those in a run's folder that
// which names, best or last, or a file.
func openTrained(run, which string) (*trained, error) {
	path, err := weightsFile(run, which)
	if err != nil {
		return nil, err
	}
	t := &trained{}
	if _, err := checkpoint.ReadIf(path, t.take); err != nil {
		return nil, err
	}
	return t, nil
}

// take makes the network of a file of weights, whose header alone is read so far,
// and tells whether the weights fit it: before a compilation, and before memory is
// taken, that such a file may not be worth.
func (t *trained) take(file *checkpoint.File) error {
	t.weights = file
	if train.IsCheckpoint(file) {
		return fmt.Errorf("%s: this is a checkpoint, to resume a training from; expected weights: the run's folder, or best.safetensors or last.safetensors in it", file.Path)
	}
	if err := t.read(file.Metadata); err != nil {
		return fmt.Errorf("%s: its metadata: %w", file.Path, err)
	}
	m, err := irgen.Build(t.net, t.batch)
	if err != nil {
		return fmt.Errorf("%s: the network of its metadata: %w", file.Path, err)
	}
	return train.CheckWeights(file, m)
}

// weightsFile finds the file of a RUN argument.
func weightsFile(run, which string) (string, error) {
	info, err := os.Stat(run)
	switch {
	case err != nil:
		return "", fmt.Errorf("%s: %w; expected a run's folder, or a file of weights such as best.safetensors", run, plain(err))
	case !info.IsDir() && which != "":
		return "", usagef("--weights %s: %s is a file, and there is nothing to choose; leave --weights out", which, run)
	case !info.IsDir():
		return run, nil
	}
	names := []string{"best", "last"}
	if which == "" {
		which = names[0]
	}
	if err := oneOf("--weights", which, names...); err != nil {
		return "", err
	}
	there := func(name string) bool {
		_, err := os.Stat(filepath.Join(run, name+".safetensors"))
		return !errors.Is(err, fs.ErrNotExist)
	}
	if there(which) {
		return filepath.Join(run, which+".safetensors"), nil
	}
	if i := slices.IndexFunc(names, there); i >= 0 {
		return "", fmt.Errorf("%s: there is no %s.safetensors in it, but there is %s.safetensors: add --weights %s", run, which, names[i], names[i])
	}
	return "", fmt.Errorf("%s: there are no weights in it; expected a run's folder, which has best.safetensors after its first epoch", run)
}

// read makes the network of what metadata writes.
func (t *trained) read(facts map[string]string) error {
	text, ok := facts["network"]
	if !ok {
		return errors.New("it does not say which network this is; expected a file that `wrnc run` wrote, such as best.safetensors")
	}
	var err error
	if t.net, err = dsl.Load(t.weights.Path+":network", []byte(text)); err != nil {
		return fmt.Errorf("the network: %w", err)
	}
	classes, err := wholeIn(facts, "classes", maxClasses)
	if err != nil {
		return err
	}
	if t.batch, err = wholeIn(facts, "batch", maxBatch); err != nil {
		return err
	}
	if name := facts["data"]; slices.Contains(dsl.DataSets(), name) {
		t.net, err = t.net.WithData(name)
	} else {
		t.net, err = t.net.WithFolder(name, "", classes)
	}
	if err != nil {
		return fmt.Errorf("the network: %w", err)
	}
	if t.net.Classes != classes {
		return fmt.Errorf("%q says %d, and the network has %d", "classes", classes, t.net.Classes)
	}
	if err := errors.Join(threeNumbers(facts, "mean", &t.normalize.Mean), threeNumbers(facts, "scale", &t.normalize.Scale)); err != nil {
		return err
	}
	if err := t.normalize.Check(t.net.Input[2]); err != nil {
		return err
	}
	if names, ok := facts["class_names"]; ok { // without them classes are numbers
		if err := json.Unmarshal([]byte(names), &t.classes); err != nil {
			return fmt.Errorf("%q is no JSON list of names: %w", "class_names", err)
		}
	}
	if len(t.classes) > classes {
		return fmt.Errorf("%q has %d names, and there are %d classes", "class_names", len(t.classes), classes)
	}
	return nil
}

// maxClasses is the language's bound.
const maxClasses = 65536

// wholeIn reads a number from 1 to most.
func wholeIn(facts map[string]string, key string, most int) (int, error) {
	n, err := strconv.Atoi(facts[key])
	if err != nil || n < 1 || n > most {
		return 0, fmt.Errorf("%q is %.40q; expected a number from 1 to %d", key, facts[key], most)
	}
	return n, nil
}

// threeNumbers reads what fmt.Sprint printed.
func threeNumbers(facts map[string]string, key string, to *[3]float32) error {
	words := strings.Fields(strings.Trim(facts[key], "[]"))
	if len(words) != len(to) {
		return fmt.Errorf("%q is %.40q; expected %d numbers", key, facts[key], len(to))
	}
	for i, word := range words {
		v, err := strconv.ParseFloat(word, 32)
		if err != nil {
			return fmt.Errorf("%q: %w", key, err)
		}
		to[i] = float32(v)
	}
	return nil
}

// class is what class i is called: its number where no name is known.
func (t *trained) class(i int) string {
	if i >= len(t.classes) || t.classes[i] == "" {
		return strconv.Itoa(i)
	}
	return printable(t.classes[i])
}

// printable quotes a name from a file that would do something to a terminal.
func printable(name string) string {
	if strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(name)
	}
	return name
}
