package live

import (
	"cmp"
	"maps"
	"math"
	"math/rand/v2"
	"slices"

	"wrnc/runtime/data"
	"wrnc/runtime/metrics"
	"wrnc/runtime/train"
)

// The bounds of what is shown of a test.
const (
	maxMatrix   = 200 // classes; a larger matrix would be megabytes
	maxConfused = 12
	maxPictures = 35
)

// guesses adds up what the network makes of the batches of a test.
type guesses struct {
	classes  int // of the set, or of the network where that has more
	images   int
	mistakes int
	counts   map[mistake]int // by truth and guess
	wanted   map[int32]int   // place in sample by picture
	sample   []guess
	surest   []guess // mistakes by falling probability
}

func newGuesses(set *data.Set) *guesses {
	g := &guesses{classes: len(set.Classes), counts: map[mistake]int{}, wanted: map[int32]int{}}
	for i, picture := range choose(set.Len()) {
		g.wanted[picture] = i
	}
	g.sample = make([]guess, len(g.wanted))
	return g
}

// choose draws the pictures that are shown of n, the same ones in every run.
func choose(n int) []int32 {
	var chosen []int32
	random := rand.New(rand.NewPCG(1, 1))
	for _, i := range random.Perm(n)[:min(n, maxPictures)] {
		chosen = append(chosen, int32(i))
	}
	return chosen
}

// add takes a batch.
func (g *guesses) add(t train.Tested) {
	classes := len(t.Logits) / len(t.Index)
	g.classes = max(g.classes, classes)
	for i, picture := range t.Index {
		of := guessOf(t.Logits[i*classes:(i+1)*classes], int(t.Labels[i]))
		of.Picture = picture
		g.images++
		g.counts[mistake{Truth: of.Truth, Guess: of.Guess}]++
		if at, ok := g.wanted[picture]; ok {
			g.sample[at] = of
		}
		if of.Guess != of.Truth {
			g.mistakes++
			g.rank(of)
		}
	}
}

// rank keeps a mistake if it is among the surest.
func (g *guesses) rank(of guess) {
	at, _ := slices.BinarySearchFunc(g.surest, of, func(a, b guess) int {
		return cmp.Or(cmp.Compare(b.P, a.P), cmp.Compare(a.Picture, b.Picture))
	})
	if at < maxPictures {
		g.surest = slices.Insert(g.surest, at, of)
		g.surest = g.surest[:min(len(g.surest), maxPictures)]
	}
}

// guessOf is the first of the largest logits, as eval counts mistakes, and the
// probabilities that the softmax gives.
func guessOf(logits []float32, truth int) guess {
	largest := 0
	for i, v := range logits {
		if v > logits[largest] {
			largest = i
		}
	}
	sum := 0.0
	p := func(i int) float64 { return math.Exp(float64(logits[i]) - float64(logits[largest])) }
	for i := range logits {
		sum += p(i)
	}
	return guess{Truth: truth, Guess: largest, P: metrics.Number(p(largest) / sum), PTruth: metrics.Number(p(truth) / sum)}
}

// test is the sum of all batches, after an epoch.
func (g *guesses) test(epoch int) *test {
	t := &test{Epoch: epoch, Images: g.images, Mistakes: g.mistakes, Sample: g.sample, Surest: g.surest}
	for m, n := range g.counts {
		if m.Guess != m.Truth {
			t.Confused = append(t.Confused, mistake{m.Truth, m.Guess, n})
		}
	}
	slices.SortFunc(t.Confused, func(a, b mistake) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Truth, b.Truth), cmp.Compare(a.Guess, b.Guess))
	})
	t.Confused = t.Confused[:min(len(t.Confused), maxConfused)]
	if g.classes <= maxMatrix {
		t.Matrix = make([][]int, g.classes)
		for i := range t.Matrix {
			t.Matrix[i] = make([]int, g.classes)
		}
		for m := range maps.Keys(g.counts) {
			t.Matrix[m.Truth][m.Guess] = g.counts[m]
		}
	}
	return t
}
