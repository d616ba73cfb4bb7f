package data

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math"
	"runtime"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// digest is the SHA-256 sum of a set's pictures and labels.
func digest(sets ...*Set) string {
	h := sha256.New()
	for _, s := range sets {
		h.Write(s.Images)
		for _, label := range s.Labels {
			h.Write(binary.LittleEndian.AppendUint32(nil, uint32(label)))
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// The pictures are part of what results are compared by: a change of this sum
// is a change of the data set, and makes all published figures for it void.
func TestDigitsAreAlwaysTheSame(t *testing.T) {
	src := Digits()
	require.Equal(t, 10000, src.Train.Len())
	require.Equal(t, 2000, src.Test.Len())
	for _, s := range []*Set{src.Train, src.Test} {
		require.NoError(t, s.Check())
		count := make([]int, 10)
		for _, label := range s.Labels {
			count[label]++
		}
		require.Equal(t, slices.Repeat([]int{s.Len() / 10}, 10), count)
	}
	require.NotEqual(t, src.Train.Image(0), src.Test.Image(0))
	if fuses(1+0x1p-12, 1+0x1p-12, -1) {
		t.Skipf("this build (%s) fuses products and sums, which moves outlines by a step of brightness; the sum holds for builds that do not, such as amd64's default", runtime.GOARCH)
	}
	require.Equal(t, "38c6a292488cf3a7b5aa72aece311effad69b4f30ebfd1e10672f3856d835be6", digest(src.Train, src.Test))
}

// fuses reports whether x*y+z is rounded only once in this build, as it is on
// arm64 and under GOAMD64=v3. For these x, y and z the product is not a float32.
//
//go:noinline
func fuses(x, y, z float32) bool { return x*y+z != float32(x*y)+z }

func TestDigitsDoNotDependOnThreads(t *testing.T) {
	fonts := digitFonts()
	want := digest(makeDigits("x", 300, 0, fonts))
	for _, threads := range []int{1, 2, 7} {
		before := runtime.GOMAXPROCS(threads)
		got := digest(makeDigits("x", 300, 0, fonts))
		runtime.GOMAXPROCS(before)
		require.Equal(t, want, got)
	}
	require.NotEqual(t, want, digest(makeDigits("x", 300, 1, fonts)))
	require.Equal(t, makeDigits("x", 50, 0, fonts).Image(49), makeDigits("x", 60, 0, fonts).Image(49))
}

func TestDigitFontsMeasure(t *testing.T) {
	fonts := digitFonts()
	for i, font := range fonts {
		for d, o := range font {
			lo, hi := o.box()
			require.InDelta(t, 1, hi.y-lo.y, 1e-9, "font %d digit %d", i, d)
			require.InDelta(t, 0, hi.y+lo.y, 1e-9)
			require.InDelta(t, 0, hi.x+lo.x, 1e-9)
			require.Greater(t, hi.x-lo.x, 0.1)
			require.Less(t, hi.x-lo.x, 1.0)
			for other := range i {
				require.NotEqual(t, fonts[other][d], o, "fonts %d and %d are the same", other, i)
			}
			for other := range d {
				require.NotEqual(t, font[other], o, "font %d: %d looks like %d", i, d, other)
			}
		}
	}
}

// What every scene promises: the digit is whole, neighbours are cut about in
// half, colours differ enough wherever they meet, and 6 and 9 stay upright.
func TestScenesCanBeRead(t *testing.T) {
	fonts := digitFonts()
	darker := 0
	const n = 3000
	for i := range n {
		s := sceneOf(0, i, fonts)
		lo, hi := s.digit.shape.transform(s.digit.at).box()
		for _, v := range []float64{lo.x, lo.y, 32 - hi.x, 32 - hi.y} {
			require.GreaterOrEqual(t, v, 0.99, "picture %d: the digit touches the border", i)
		}
		require.Greater(t, hi.y-lo.y, 12.0, "picture %d: too small", i)
		turn := math.Atan2(s.digit.at.c, s.digit.at.a) * 180 / math.Pi
		require.LessOrEqual(t, math.Abs(turn), 12.0)
		for _, g := range s.neighbours {
			require.GreaterOrEqual(t, math.Abs(g.at.dx-16), 14.9, "picture %d: a neighbour is too whole", i)
			nlo, nhi := g.shape.transform(affine{a: 1, d: 1}).box()
			dlo, dhi := s.digit.shape.box()
			gap := math.Hypot(g.at.dx-s.digit.at.dx, g.at.dy-s.digit.at.dy)/math.Hypot(s.digit.at.a, s.digit.at.c) - (nhi.x-nlo.x)/2 - (dhi.x-dlo.x)/2
			require.Greater(t, gap, 0.05, "picture %d: digits touch", i)
		}
		if s.front.luma() < s.back.luma() {
			darker++
		}
		backs := []colour{}
		for _, corner := range [][2]int{{0, 0}, {31, 0}, {0, 31}, {31, 31}} {
			backs = append(backs, shifted(s.back, s.backSlope, corner))
			for _, l := range s.lines {
				backs = append(backs, shifted(l.ink, s.backSlope, corner))
			}
		}
		for _, corner := range [][2]int{{0, 0}, {31, 0}, {0, 31}, {31, 31}} {
			front := shifted(s.front, s.frontSlope, corner)
			for _, back := range backs {
				d := front.luma() - back.luma()
				require.GreaterOrEqual(t, max(d, -d), minContrast-2, "picture %d", i) // -2: luma rounds down
			}
		}
	}
	require.InDelta(t, n/2, darker, 150, "either colour may be the brighter one")
}

func shifted(c colour, s slope, at [2]int) colour {
	for ch := range c {
		c[ch] = int(toByte(c[ch] + s.at(at[0], at[1], ch)))
	}
	return c
}

// A linear classifier on raw pixels must fail, or else the data set shows
// nothing about a network.
func TestDigitsAreNotLinear(t *testing.T) {
	if testing.Short() {
		t.Skip("trains a classifier for some seconds")
	}
	src := Digits()
	accuracy := linearSoftmax(t, src, 6)
	t.Logf("linear softmax: %.1f %% of the test pictures", accuracy)
	require.Less(t, accuracy, 60.0)
	require.Greater(t, accuracy, 11.0, "no better than chance: is it training at all?")
}

// linearSoftmax trains one linear layer by plain SGD on pictures in -1..1 and
// returns its accuracy on the test part in percent.
func linearSoftmax(t *testing.T, src *Source, epochs int) float64 {
	t.Helper()
	const inputs, classes = digitsSide * digitsSide * 3, 10
	normalize := MeanStd([3]float32{127.5, 127.5, 127.5}, [3]float32{127.5, 127.5, 127.5})
	train := newLoader(t, src.Train, LoaderOptions{Batch: 1, Shuffle: true, Prefetch: 64, Normalize: normalize})
	test := newLoader(t, src.Test, LoaderOptions{Batch: 1, Prefetch: 64, Normalize: normalize})
	weights := make([][]float32, classes)
	for k := range weights {
		weights[k] = make([]float32, inputs)
	}
	scores := func(x []float32) (p [classes]float64) {
		for k, w := range weights {
			var sum float32
			for i, v := range x {
				sum += float32(w[i] * v)
			}
			p[k] = float64(sum)
		}
		return p
	}
	for e := range epochs {
		rate := 0.001 / float64(1+e)
		for _, b := range train.Epoch(e, 0) {
			p := scores(b.Images)
			top, sum := slices.Max(p[:]), 0.0
			for k := range p {
				p[k] = math.Exp(p[k] - top)
				sum += p[k]
			}
			for k, w := range weights {
				g := p[k] / sum
				if int32(k) == b.Labels[0] {
					g--
				}
				step := float32(rate * g)
				for i, v := range b.Images {
					w[i] -= float32(step * v)
				}
			}
		}
	}
	right := 0
	for _, b := range test.Epoch(0, 0) {
		p := scores(b.Images)
		if p[b.Labels[0]] == slices.Max(p[:]) {
			right++
		}
	}
	return 100 * float64(right) / float64(src.Test.Len())
}

func BenchmarkDigits(b *testing.B) {
	for b.Loop() {
		Digits()
	}
}
