package live

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"image"
	"image/color"
	"image/png"
	"net/http"
	"strings"

	"wrnc/runtime/data"
)

// The page is one text: page.html with the styles and the script in their places.
//
//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

//go:embed page.js
var pageJS string

// pageHash tells pages apart, for one that is open when another wrnc begins to serve.
var pageHash = func() string {
	sum := sha256.Sum256([]byte(pageHTML + pageCSS + pageJS))
	return hex.EncodeToString(sum[:8])
}()

var page = strings.NewReplacer("{{page}}", pageHash, "{{css}}", pageCSS, "{{js}}", pageJS).Replace(pageHTML)

// policy lets the page's own styles and script work, and nothing else. An icon in
// the page's head is a data: address.
var policy = "default-src 'none'; style-src " + source(pageCSS) + "; script-src " + source(pageJS) +
	"; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

func source(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

func servePage(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	write(w, []byte(page))
}

// servePicture answers with a picture of the test set.
func servePicture(w http.ResponseWriter, r *http.Request, set *data.Set) {
	i, ok := number(r.PathValue("number"), set.Len())
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "image/png")
	w.Header().Set("Cache-Control", "private, max-age=86400") // the page's address of it has the run
	_ = png.Encode(w, paint(set, i))                          // fails only where the client is gone
}

// paint makes an image of a picture of one channel, which is grey, or of three.
func paint(set *data.Set, i int) image.Image {
	img := image.NewNRGBA(image.Rect(0, 0, set.W, set.H))
	bytes := set.Image(i)
	channel := func(pixel, c int) uint8 { return bytes[pixel*set.C+min(c, set.C-1)] }
	for p := range set.W * set.H {
		img.SetNRGBA(p%set.W, p/set.W, color.NRGBA{channel(p, 0), channel(p, 1), channel(p, 2), 255})
	}
	return img
}
