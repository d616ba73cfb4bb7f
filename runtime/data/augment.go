package data

import "fmt"

// Fill says what the padding around a picture holds.
type Fill uint8

const (
	// FillZero pads with zeros after normalisation, as the reference does: 0 is
	// the mean, not black.
	FillZero Fill = iota
	// FillReflect mirrors the picture at its border pixels without repeating
	// them: column -1 is column 1.
	FillReflect
)

// String returns the word that the network language uses: "zero" or "reflect".
func (f Fill) String() string {
	switch f {
	case FillZero:
		return "zero"
	case FillReflect:
		return "reflect"
	}
	return fmt.Sprintf("Fill(%d)", uint8(f))
}

// Augment changes training pictures at random (paper section 3): first a
// mirror image with probability 1/2, then padding by Pad pixels on every side
// and a crop back to H x W at one of (2*Pad+1)^2 offsets. The zero value
// changes nothing.
type Augment struct {
	// Flip allows the left-right mirror image.
	Flip bool
	// Pad is the width of the padding in pixels; 0 means no crop.
	Pad int
	// Fill says what the padding holds.
	Fill Fill
}

// Choice is what Augment does to one picture in one epoch.
type Choice struct {
	// Flip says to take the mirror image.
	Flip bool
	// DY and DX place the crop: output pixel (y, x) is pixel (y+DY, x+DX) of
	// the picture before padding; each lies in -Pad..Pad.
	DY, DX int
}

// Choose returns what happens to picture index in an epoch. The words are
// Philox4x32-10 with key = seed and counter = (index, 0, epoch, FNV-1a of
// "augment"): word 0's top bit flips, words 1 and 2 give the rows' and the
// columns' offset.
func (a Augment) Choose(seed uint64, epoch int, index int32) Choice {
	w := words(seed, streamAugment, uint32(epoch), uint64(uint32(index)))
	return Choice{
		Flip: a.Flip && w[0]>>31 == 1,
		DY:   below(w[1], 2*a.Pad+1) - a.Pad,
		DX:   below(w[2], 2*a.Pad+1) - a.Pad,
	}
}

// check refuses an augmentation that is not defined for pictures of h x w.
func (a Augment) check(h, w int) error {
	if a.Fill != FillZero && a.Fill != FillReflect {
		return fmt.Errorf("augment: unknown fill %v; expected zero or reflect", a.Fill)
	}
	// A mirror has only size-1 pixels beyond the border one. With zeros, more
	// than the picture's size could crop nothing but padding.
	if limit := min(h, w) - 1; a.Pad < 0 || a.Pad > limit {
		return fmt.Errorf("augment: crop with padding %d; expected 0 to %d for pictures of %dx%d", a.Pad, limit, h, w)
	}
	return nil
}

// pictureWriter normalises and augments single pictures of one size.
type pictureWriter struct {
	h, w, c int
	fill    Fill
	values  *table
	// column[x] is where output column x starts in a source row; negative for padding.
	column []int
}

// write writes picture src, uint8 HWC, to dst, float32 HWC, as ch says.
func (p *pictureWriter) write(dst []float32, src []byte, ch Choice) {
	for x := range p.column {
		sx := p.source(x+ch.DX, p.w)
		if sx >= 0 && ch.Flip {
			sx = p.w - 1 - sx
		}
		p.column[x] = sx * p.c
	}
	row := p.w * p.c
	for y := range p.h {
		out := dst[y*row : (y+1)*row]
		sy := p.source(y+ch.DY, p.h)
		if sy < 0 {
			clear(out)
			continue
		}
		in := src[sy*row : (sy+1)*row]
		if p.c == 3 {
			p.writeRow3(out, in)
		} else {
			p.writeRow(out, in)
		}
	}
}

// writeRow writes one row of any number of channels.
func (p *pictureWriter) writeRow(out []float32, in []byte) {
	for x, at := range p.column {
		pixel := out[x*p.c : (x+1)*p.c]
		for c := range pixel {
			if at < 0 {
				pixel[c] = 0
			} else {
				pixel[c] = p.values[c][in[at+c]]
			}
		}
	}
}

// writeRow3 is writeRow for three channels, by far the commonest number.
func (p *pictureWriter) writeRow3(out []float32, in []byte) {
	for x, at := range p.column {
		pixel := out[3*x : 3*x+3 : 3*x+3]
		if at < 0 {
			clear(pixel)
			continue
		}
		from := in[at : at+3 : at+3]
		pixel[0] = p.values[0][from[0]]
		pixel[1] = p.values[1][from[1]]
		pixel[2] = p.values[2][from[2]]
	}
}

// source returns which of 0..size-1 stands at position i of the padded
// picture's axis, or -1 where that is a zero.
func (p *pictureWriter) source(i, size int) int {
	switch {
	case i >= 0 && i < size:
		return i
	case p.fill == FillZero:
		return -1
	case i < 0:
		return -i
	default:
		return 2*(size-1) - i
	}
}
