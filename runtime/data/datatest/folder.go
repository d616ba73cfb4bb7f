package datatest

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
)

// Color is the one colour of the pictures that WriteFolder writes for a class.
func Color(class int) color.NRGBA {
	return color.NRGBA{uint8(40 + 60*class), uint8(200 - 50*class), uint8(90 * (class % 3)), 255}
}

// Picture returns a picture of one colour, as a JPEG or PNG file.
func Picture(format string, w, h int, c color.Color) []byte {
	m := image.NewNRGBA(image.Rect(0, 0, w, h))
	for i := range w * h {
		m.Set(i%w, i/w, c)
	}
	return Encode(format, m)
}

// Encode returns a picture as a JPEG or PNG file.
func Encode(format string, m image.Image) []byte {
	var file bytes.Buffer
	var err error
	if format == "png" {
		err = png.Encode(&file, m)
	} else {
		err = jpeg.Encode(&file, m, &jpeg.Options{Quality: 100})
	}
	if err != nil {
		panic(err) // a buffer takes everything
	}
	return file.Bytes()
}

// WriteFolder writes train and val, with n pictures of side x side in the folder of
// each of the classes a, b and c: JPEG and PNG by turns.
func WriteFolder(dir string, n, side int) error {
	var errs []error
	for _, part := range []string{"train", "val"} {
		for class, name := range []string{"a", "b", "c"} {
			folder := filepath.Join(dir, part, name)
			errs = append(errs, os.MkdirAll(folder, 0o777))
			for i := range n {
				format := []string{"jpeg", "png"}[i%2]
				path := filepath.Join(folder, fmt.Sprintf("%d.%s", i, format))
				errs = append(errs, os.WriteFile(path, Picture(format, side, side, Color(class)), 0o666))
			}
		}
	}
	return errors.Join(errs...)
}
