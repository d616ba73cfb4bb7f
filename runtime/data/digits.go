package data

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
)

const (
	digitsSide  = 32
	digitsTrain = 10000
	digitsTest  = 2000
	// digitsSeed is part of the data set's definition: another one is another data set.
	digitsSeed = 0x77726e63
)

// Digits makes the data set "digits": 10,000 training and 2,000 test pictures
// of 32x32x3, each of a digit in the middle of a small scene, and equally many
// of every class. It stands in for SVHN where nothing can be downloaded:
//
//   - fonts: the Go family's, three bitmap fonts, a seven-segment display and pens of
//     four widths, at random sizes, widths, slants, turns of up to 12 degrees and shifts;
//   - colours: any two whose brightness differs enough to read, either one in front,
//     so that no pixel's brightness alone says anything about the class;
//   - clutter: digits on either side, cut at the border, slopes of brightness,
//     lines, blur and noise.
//
// The pictures are always the same: picture i is a function of i alone. To the
// bit, this holds among builds that round products and sums apart, as amd64's
// default does; where the rasteriser is compiled with fused ones (arm64,
// GOAMD64=v3), a pixel on an outline may differ by a step of brightness.
func Digits() *Source {
	fonts := digitFonts()
	return &Source{
		Train: makeDigits("digits train", digitsTrain, 0, fonts),
		Test:  makeDigits("digits test", digitsTest, 1, fonts),
	}
}

// makeDigits makes one part of the data set; part separates the random numbers
// of the training pictures from those of the test ones.
func makeDigits(name string, n int, part uint32, fonts []digitFont) *Set {
	set := &Set{
		Name:    name,
		Classes: []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"},
		H:       digitsSide, W: digitsSide, C: 3,
		Images: make([]byte, n*digitsSide*digitsSide*3),
		Labels: make([]int32, n),
	}
	// Who makes which picture does not matter: each depends on its number alone.
	var next atomic.Int64
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			c := newCanvas()
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				s := sceneOf(part, i, fonts)
				set.Labels[i] = int32(s.label)
				s.paint(c, set.Image(i))
			}
		})
	}
	workers.Wait()
	return set
}

// sceneOf returns the scene of picture i of a part of the data set.
func sceneOf(part uint32, i int, fonts []digitFont) *scene {
	w := words(digitsSeed, streamDigits, part, uint64(i))
	r := &chance{rand.New(rand.NewPCG(uint64(w[0])<<32|uint64(w[1]), uint64(w[2])<<32|uint64(w[3])))}
	return newScene(r, i%10, fonts)
}

// chance draws the random numbers of one picture.
type chance struct{ *rand.Rand }

// between returns a number from lo up to, but not including, hi.
func (r *chance) between(lo, hi float64) float64 {
	return lo + float64((hi-lo)*r.Float64())
}

// of reports true with probability p.
func (r *chance) of(p float64) bool { return r.Float64() < p }
