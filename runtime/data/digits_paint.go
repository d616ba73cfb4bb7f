package data

import (
	"image"
	"image/draw"
	"math/rand/v2"

	"golang.org/x/image/vector"
)

// canvas is the working memory of painting; it belongs to one goroutine.
type canvas struct {
	shapes  *vector.Rasterizer
	cover   *image.Alpha // how much of each pixel a shape covers
	blurred []byte
}

func newCanvas() *canvas {
	return &canvas{
		shapes:  vector.NewRasterizer(digitsSide, digitsSide),
		cover:   image.NewAlpha(image.Rect(0, 0, digitsSide, digitsSide)),
		blurred: make([]byte, digitsSide*digitsSide*3),
	}
}

// paint writes the scene to dst, 32x32x3 bytes, from the back to the front:
// background, lines, digits, blur, noise.
func (s *scene) paint(c *canvas, dst []byte) {
	for y := range digitsSide {
		for x := range digitsSide {
			for ch := range 3 {
				dst[(y*digitsSide+x)*3+ch] = toByte(s.back[ch] + s.backSlope.at(x, y, ch))
			}
		}
	}
	for _, l := range s.lines {
		c.begin()
		l.shape.addTo(c.shapes, affine{a: 1, d: 1})
		c.blend(dst, l.ink, s.backSlope)
	}
	c.begin()
	for _, g := range s.neighbours {
		g.shape.addTo(c.shapes, g.at)
	}
	s.digit.shape.addTo(c.shapes, s.digit.at)
	c.blend(dst, s.front, s.frontSlope)
	if s.blur {
		c.blur(dst)
	}
	s.addNoise(dst)
}

// begin starts a new shape.
func (c *canvas) begin() {
	c.shapes.Reset(digitsSide, digitsSide)
	c.shapes.DrawOp = draw.Src
}

// blend lays the shape over dst in a colour that changes with a slope.
func (c *canvas) blend(dst []byte, ink colour, change slope) {
	c.shapes.Draw(c.cover, c.cover.Bounds(), image.Opaque, image.Point{})
	for y := range digitsSide {
		for x := range digitsSide {
			cover := int(c.cover.Pix[y*c.cover.Stride+x])
			if cover == 0 {
				continue
			}
			for ch := range 3 {
				p := &dst[(y*digitsSide+x)*3+ch]
				*p = toByte((int(*p)*(255-cover) + (ink[ch]+change.at(x, y, ch))*cover + 127) / 255)
			}
		}
	}
}

// at returns a slope's change of a channel at pixel (x, y).
func (s slope) at(x, y, ch int) int {
	const half = digitsSide / 2
	return (s.x[ch]*(2*x+1-digitsSide) + s.y[ch]*(2*y+1-digitsSide)) / (2 * half)
}

// blur smooths dst by [1 2 1]/4 in both directions; the border repeats.
func (c *canvas) blur(dst []byte) {
	smooth := func(to, from []byte, dx, dy int) {
		const last = digitsSide - 1
		for y := range digitsSide {
			for x := range digitsSide {
				before := max(0, y-dy)*digitsSide + max(0, x-dx)
				here := y*digitsSide + x
				after := min(last, y+dy)*digitsSide + min(last, x+dx)
				for ch := range 3 {
					to[here*3+ch] = byte((int(from[before*3+ch]) + 2*int(from[here*3+ch]) + int(from[after*3+ch]) + 2) / 4)
				}
			}
		}
	}
	smooth(c.blurred, dst, 1, 0)
	smooth(dst, c.blurred, 0, 1)
}

// addNoise changes each channel of each pixel by at most s.noise, small changes
// being likelier: the difference of two even distributions.
func (s *scene) addNoise(dst []byte) {
	if s.noise == 0 {
		return
	}
	r := rand.NewPCG(s.noiseSeed[0], s.noiseSeed[1])
	for i := 0; i < len(dst); i += 4 {
		bits := r.Uint64()
		for k := range 4 { // 16 bits for each of four channels
			a, b := int(bits&0xff), int(bits>>8&0xff)
			bits >>= 16
			dst[i+k] = toByte(int(dst[i+k]) + (a-b)*s.noise/255)
		}
	}
}

func toByte(v int) byte { return byte(min(255, max(0, v))) }
