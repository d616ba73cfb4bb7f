package data

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// naive does what the reference does, step by step: normalise, mirror, build
// the padded picture, cut the crop out of it.
func naive(src []byte, h, w, c int, n Normalize, a Augment, ch Choice) []float32 {
	values := n.table()
	at := func(y, x, k int) float32 { // of the mirrored picture
		if ch.Flip {
			x = w - 1 - x
		}
		return values[k][src[(y*w+x)*c+k]]
	}
	ph, pw := h+2*a.Pad, w+2*a.Pad
	padded := make([]float32, ph*pw*c)
	for y := range ph {
		for x := range pw {
			for k := range c {
				sy, sx := y-a.Pad, x-a.Pad
				inside := sy >= 0 && sy < h && sx >= 0 && sx < w
				if !inside && a.Fill == FillZero {
					continue
				}
				for sy < 0 || sy >= h {
					if sy < 0 {
						sy = -sy
					} else {
						sy = h - 1 - (sy - (h - 1))
					}
				}
				for sx < 0 || sx >= w {
					if sx < 0 {
						sx = -sx
					} else {
						sx = w - 1 - (sx - (w - 1))
					}
				}
				padded[(y*pw+x)*c+k] = at(sy, sx, k)
			}
		}
	}
	var out []float32
	for y := range h {
		from := ((y+a.Pad+ch.DY)*pw + a.Pad + ch.DX) * c
		out = append(out, padded[from:from+w*c]...)
	}
	return out
}

// Every offset and both mirrorings, on pictures that are not square, with the
// largest padding that is allowed and with a small one, for every number of channels.
func TestWriteAgainstNaive(t *testing.T) {
	for _, size := range [][3]int{{5, 7, 3}, {6, 4, 1}, {4, 9, 2}, {2, 3, 3}} {
		h, w, c := size[0], size[1], size[2]
		set := numbered(2, h, w, c)
		n := CIFARMeanStd()
		for _, fill := range []Fill{FillZero, FillReflect} {
			for _, pad := range []int{0, 1, min(h, w) - 1} {
				a := Augment{Flip: true, Pad: pad, Fill: fill}
				require.NoError(t, a.check(h, w))
				p := pictureWriter{h: h, w: w, c: c, fill: fill, values: n.table(), column: make([]int, w)}
				for _, flip := range []bool{false, true} {
					for dy := -pad; dy <= pad; dy++ {
						for dx := -pad; dx <= pad; dx++ {
							ch := Choice{flip, dy, dx}
							got := make([]float32, h*w*c)
							for i := range got {
								got[i] = -99 // what the last batch left behind
							}
							p.write(got, set.Image(1), ch)
							require.Equal(t, naive(set.Image(1), h, w, c, n, a, ch), got, "%v %v pad %d %+v", size, fill, pad, ch)
						}
					}
				}
			}
		}
	}
}

func TestChooseIsEvenOverFlipsAndOffsets(t *testing.T) {
	a := Augment{Flip: true, Pad: 4}
	const rounds = 81 * 400
	flips := 0
	offsets := map[[2]int]int{}
	for i := range int32(rounds) {
		ch := a.Choose(5, 2, i)
		if ch.Flip {
			flips++
		}
		offsets[[2]int{ch.DY, ch.DX}]++
	}
	require.InDelta(t, rounds/2, flips, 450) // five standard deviations
	require.Len(t, offsets, 81)
	for at, n := range offsets {
		require.InDelta(t, 400, n, 100, "%v", at)
		require.LessOrEqual(t, max(at[0], -at[0], at[1], -at[1]), 4)
	}
}

func TestChooseDependsOnSeedEpochAndSampleOnly(t *testing.T) {
	a := Augment{Flip: true, Pad: 100}
	base := a.Choose(1, 2, 3)
	require.Equal(t, base, a.Choose(1, 2, 3))
	require.NotEqual(t, base, a.Choose(2, 2, 3))
	require.NotEqual(t, base, a.Choose(1, 3, 3))
	require.NotEqual(t, base, a.Choose(1, 2, 4))
}

func TestNoAugmentationChangesNothing(t *testing.T) {
	for i := range int32(1000) {
		require.Zero(t, Augment{}.Choose(9, 1, i))
		require.False(t, Augment{Pad: 4}.Choose(9, 1, i).Flip)
	}
}

func TestAugmentCheck(t *testing.T) {
	require.NoError(t, Augment{Pad: 4, Fill: FillReflect}.check(5, 32))
	require.ErrorContains(t, Augment{Pad: 5}.check(5, 32), "augment: crop with padding 5; expected 0 to 4 for pictures of 5x32")
	require.ErrorContains(t, Augment{Pad: -1}.check(32, 32), "padding -1; expected 0 to 31")
	require.ErrorContains(t, Augment{Fill: 7}.check(32, 32), "unknown fill Fill(7); expected zero or reflect")
	require.Equal(t, "zero reflect", fmt.Sprint(FillZero, " ", FillReflect))
}
