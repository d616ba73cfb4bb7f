package data

import (
	"fmt"
	"image"

	"golang.org/x/image/font/basicfont"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/gobolditalic"
	"golang.org/x/image/font/gofont/goitalic"
	"golang.org/x/image/font/gofont/gomedium"
	"golang.org/x/image/font/gofont/gomediumitalic"
	"golang.org/x/image/font/gofont/gomono"
	"golang.org/x/image/font/gofont/gomonobold"
	"golang.org/x/image/font/gofont/gomonobolditalic"
	"golang.org/x/image/font/gofont/gomonoitalic"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/gofont/gosmallcapsitalic"
	"golang.org/x/image/font/inconsolata"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
)

// digitFont holds the outlines of the digits 0 to 9, each 1 high and with the
// middle of its box at (0, 0).
type digitFont [10]outline

// digitFonts returns all fonts, always in the same order. The Go family's small
// capitals are missing, because their digits are those of its regular style.
func digitFonts() []digitFont {
	var fonts []digitFont
	for _, ttf := range [][]byte{
		goregular.TTF, gobold.TTF, goitalic.TTF, gobolditalic.TTF,
		gomedium.TTF, gomediumitalic.TTF,
		gomono.TTF, gomonobold.TTF, gomonoitalic.TTF, gomonobolditalic.TTF,
		gosmallcapsitalic.TTF,
	} {
		fonts = append(fonts, trueTypeFont(ttf))
	}
	for _, face := range []*basicfont.Face{inconsolata.Regular8x16, inconsolata.Bold8x16, basicfont.Face7x13} {
		fonts = append(fonts, bitmapFont(face))
	}
	fonts = append(fonts, segmentFont(0.15))
	for _, width := range []float64{0.10, 0.15, 0.20, 0.26} {
		fonts = append(fonts, penFont(width))
	}
	return fonts
}

// newDigitFont moves and scales outlines to a digitFont's measure.
func newDigitFont(digits [10]outline) digitFont {
	for d, o := range digits {
		lo, hi := o.box()
		s := 1 / (hi.y - lo.y)
		digits[d] = o.transform(affine{a: s, d: s, dx: -s * (lo.x + hi.x) / 2, dy: -s * (lo.y + hi.y) / 2})
	}
	return digits
}

// trueTypeFont reads the digits of a font that is part of the program; that it
// can be read is therefore no question of input.
func trueTypeFont(ttf []byte) digitFont {
	f, err := sfnt.Parse(ttf)
	if err != nil {
		panic(fmt.Sprintf("data: built-in font: %v", err))
	}
	var buf sfnt.Buffer
	var digits [10]outline
	for d := range digits {
		glyph, err := f.GlyphIndex(&buf, rune('0'+d))
		if err != nil {
			panic(fmt.Sprintf("data: built-in font: digit %d: %v", d, err))
		}
		segments, err := f.LoadGlyph(&buf, glyph, fixed.I(1024), nil)
		if err != nil {
			panic(fmt.Sprintf("data: built-in font: digit %d: %v", d, err))
		}
		for _, s := range segments {
			// sfnt's kinds are the same four in the same order.
			out := segment{kind: segmentKind(s.Op)}
			for k := range out.p {
				out.p[k] = point{float64(s.Args[k].X), float64(s.Args[k].Y)}
			}
			digits[d] = append(digits[d], out)
		}
	}
	return newDigitFont(digits)
}

// bitmapFont makes each dark pixel of a bitmap font's digits a square.
func bitmapFont(face *basicfont.Face) digitFont {
	var digits [10]outline
	for d := range digits {
		r, mask, at, _, ok := face.Glyph(fixed.P(0, face.Ascent), rune('0'+d))
		if !ok {
			panic(fmt.Sprintf("data: built-in bitmap font: no digit %d", d))
		}
		for y := range r.Dy() {
			for x := range r.Dx() {
				p := at.Add(image.Pt(x, y))
				if _, _, _, alpha := mask.At(p.X, p.Y).RGBA(); alpha < 0x8000 {
					continue
				}
				fx, fy := float64(x), float64(y)
				digits[d] = digits[d].polygon(point{fx, fy}, point{fx + 1, fy}, point{fx + 1, fy + 1}, point{fx, fy + 1})
			}
		}
	}
	return newDigitFont(digits)
}
