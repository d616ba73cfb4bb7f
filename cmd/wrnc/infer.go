package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"

	"wrnc/compiler"
	"wrnc/compiler/ir"
	"wrnc/compiler/lower"
	"wrnc/compiler/plan"
	"wrnc/runtime/data"
	"wrnc/runtime/metrics"
	"wrnc/runtime/network"
)

// inferBatch is the most pictures that are inferred at a time.
const inferBatch = 32

// infer tells what is on pictures. What is wrong with one keeps no other from its
// answer.
func (c *runCommand) infer(s *session) (err error) {
	if c.Network == "" {
		return usagef("--infer %s: expected pictures behind it: JPEG or PNG files, or folders of them", c.Infer)
	}
	if data.IsPicture(c.Infer) {
		return usagef("--infer %s: this is a picture; first comes the run's folder or a file of weights: --infer RUN %[1]s", c.Infer)
	}
	_, on, err := c.machine(s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, on.close()) }()
	top := 5
	if c.Top != nil {
		top = *c.Top
	}
	if err := errors.Join(within("--top", c.Top, 1, maxClasses), within("--batch", c.Batch, 1, maxBatch)); err != nil {
		return err
	}
	t, err := openTrained(c.Infer, c.Weights)
	if err != nil {
		return err
	}
	if in := t.net.Input; in[2] != 3 {
		return fmt.Errorf("%s: the network takes pictures of %d channels; JPEG and PNG files are read as 3", t.weights.Path, in[2])
	}
	pictures, broken := s.listPictures(append([]string{c.Network}, c.More...))
	if t.batch = min(inferBatch, max(1, len(pictures))); c.Batch != nil {
		t.batch = *c.Batch
	}
	net, err := openInference(t, on, c.precision(), !c.NoFuse)
	if err != nil {
		return err
	}
	defer net.Close()
	i := inference{s: s, t: t, net: net, top: min(top, t.net.Classes), json: c.JSON, broken: broken}
	for chunk := range slices.Chunk(pictures, t.batch) {
		if err := i.batch(chunk); err != nil {
			return err
		}
	}
	switch all := i.broken + i.answered; {
	case i.broken == 0:
		return nil
	case all == 1: // and the message says it
		return reportedError{errors.New("the picture could not be read"), exitUser}
	default:
		return fmt.Errorf("%d of %d pictures or folders could not be read; each is named above", i.broken, all)
	}
}

// listPictures replaces folders by the pictures in them. It tells about what is not
// there and counts it.
func (s *session) listPictures(args []string) (paths []string, broken int) {
	for _, arg := range args {
		if info, err := os.Stat(arg); err == nil && info.IsDir() {
			inside, err := data.ListPictures(arg)
			if err != nil {
				complain(s.stderr, err)
				broken++
			}
			paths = append(paths, inside...)
			continue
		}
		paths = append(paths, arg) // where there is none, reading it says so
	}
	return paths, broken
}

// openInference compiles a network for inference, with batch norm folded into the
// weights where the target can do that, and loads it with its weights.
func openInference(t *trained, on machine, precision ir.DType, fuse bool) (*network.Network, error) {
	m, err := compileAlone(t.net, "infer", compiler.Options{Batch: t.batch, Precision: precision, Fuse: fuse, Fold: folds(on.arch()), Verify: true})
	if err != nil {
		return nil, err
	}
	ex, _, err := start(m, on, lower.PlanPrepared)
	if err != nil {
		return nil, err
	}
	net, err := network.Open(m, ex, t.weights)
	if err != nil {
		ex.Close()
		return nil, err
	}
	return net, nil
}

// folds tells whether inference on an architecture has batch norm in its weights; for
// GPUs folding has no kernel text.
func folds(arch plan.Arch) bool { return !arch.OnGPU() }

// inference is `wrnc run --infer` under way.
type inference struct {
	s    *session
	t    *trained
	net  *network.Network
	top  int // classes to print
	json bool

	answered, broken int // pictures
}

// answer is what is said of a picture, the likeliest class first.
type answer struct {
	Picture string  `json:"picture"`
	Classes []guess `json:"classes"`
}

// guess is a class and its probability.
type guess struct {
	Class       int            `json:"class"`
	Name        string         `json:"name,omitempty"` // "" where it is not known
	Probability metrics.Number `json:"probability"`
}

// batch infers at most a batch of pictures, and prints an answer for each in their
// order; those that cannot be read are told of instead.
func (i *inference) batch(paths []string) error {
	h, w, c := i.t.net.Input[0], i.t.net.Input[1], i.t.net.Input[2]
	size := h * w * c
	var read []string
	var images []float32
	for _, path := range paths {
		picture, err := data.ReadPicture(path, h, w)
		if err != nil {
			complain(i.s.stderr, pictureError(path, err))
			i.broken++
			continue
		}
		read = append(read, path)
		images = append(images, make([]float32, size)...)
		i.t.normalize.Apply(images[len(images)-size:], picture, c)
	}
	if len(read) == 0 {
		return nil
	}
	logits, err := i.net.Infer(images)
	if err != nil {
		return err
	}
	for k, path := range read {
		row := logits[k*i.t.net.Classes : (k+1)*i.t.net.Classes]
		a := answer{Picture: path, Classes: i.t.likeliest(row, i.top)}
		if math.IsNaN(float64(a.Classes[0].Probability)) {
			return fmt.Errorf("%s: what it computes of %s is not finite; the weights are damaged, or of a training that diverged", i.t.weights.Path, path)
		}
		if err := i.print(a); err != nil {
			return err
		}
		i.answered++
	}
	return nil
}

// pictureError names the file where the system's error does not begin with it.
func pictureError(path string, err error) error {
	if bare := plain(err); bare != err {
		return fmt.Errorf("%s: %w", path, bare)
	}
	return err
}

// likeliest returns the k classes of the largest logits with their softmax, of equals
// the first.
func (t *trained) likeliest(logits []float32, k int) []guess {
	guesses := make([]guess, len(logits))
	largest := float64(slices.Max(logits))
	sum := 0.0
	for c, v := range logits {
		p := math.Exp(float64(v) - largest)
		guesses[c] = guess{Class: c, Probability: metrics.Number(p)}
		if c < len(t.classes) {
			guesses[c].Name = t.classes[c]
		}
		sum += p
	}
	for c := range guesses {
		guesses[c].Probability /= metrics.Number(sum)
	}
	slices.SortStableFunc(guesses, func(a, b guess) int { return cmp.Compare(b.Probability, a.Probability) })
	return guesses[:k]
}

// print writes an answer: a line of JSON, or for people the picture and a line for
// each class.
func (i *inference) print(a answer) error {
	if i.json {
		return json.NewEncoder(i.s.stdout).Encode(a)
	}
	text := printable(a.Picture) + "\n"
	for _, g := range a.Classes {
		text += fmt.Sprintf("  %6.2f %%  %s\n", 100*float64(g.Probability), i.t.class(g.Class))
	}
	_, err := io.WriteString(i.s.stdout, text)
	return err
}
