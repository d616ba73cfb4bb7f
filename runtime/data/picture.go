package data

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	_ "image/jpeg"
	_ "image/png"
	"io"
	"os"
	"runtime"
	"sync"
	"sync/atomic"

	"golang.org/x/image/draw"
)

// The bounds of one picture's file. A file of a few bytes can announce pixels
// that no memory holds.
const (
	maxPictureBytes  = 64 << 20
	maxPicturePixels = 64 << 20
)

// readPictures decodes files into set, in their order, and returns how many were
// scaled. Of several mistakes the first in that order is returned.
func readPictures(set *Set, images []labelled) (scaled int, err error) {
	set.Images = make([]byte, len(images)*set.H*set.W*set.C)
	set.Labels = make([]int32, len(images))
	errs := make([]error, len(images))
	var next, changed atomic.Int64
	var failed atomic.Bool
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for !failed.Load() {
				i := int(next.Add(1)) - 1
				if i >= len(images) {
					return
				}
				set.Labels[i] = images[i].label
				fits, err := readPicture(set.Image(i), images[i].path, set.H, set.W)
				if err != nil {
					errs[i] = err
					failed.Store(true)
				}
				if !fits {
					changed.Add(1)
				}
			}
		})
	}
	workers.Wait()
	for _, err := range errs {
		if err != nil {
			return 0, err
		}
	}
	return int(changed.Load()), nil
}

// ReadPicture decodes a JPEG or PNG file as [Folder.Read] does: h x w x 3 bytes, cut
// around the middle and scaled where the picture has another size. The file is not
// trusted: its size, and that of the picture, is checked before memory is taken.
func ReadPicture(path string, h, w int) ([]byte, error) {
	to := make([]byte, h*w*3)
	_, err := readPicture(to, path, h, w)
	return to, err
}

// readPicture decodes a file into to, h x w x 3. It tells whether the picture had
// that size.
func readPicture(to []byte, path string, h, w int) (fits bool, err error) {
	file, size, err := openRegular(path)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if size > maxPictureBytes {
		return false, fmt.Errorf("%s: the file has %d bytes; expected at most %d", path, size, maxPictureBytes)
	}
	content, err := readWhole(file, size)
	if err != nil {
		return false, fmt.Errorf("%s: %w", path, err)
	}
	if fits, err = decodePicture(to, content, h, w); err != nil {
		return false, fmt.Errorf("%s: %w", path, err)
	}
	return fits, nil
}

func readWhole(file *os.File, size int64) ([]byte, error) {
	content := make([]byte, size)
	if n, err := io.ReadFull(file, content); err != nil {
		return nil, fmt.Errorf("byte %d: %w; expected %d bytes", n, err, size)
	}
	return content, nil
}

// decodePicture decodes a JPEG or PNG picture. What is transparent becomes black.
func decodePicture(to, content []byte, h, w int) (fits bool, err error) {
	config, format, err := image.DecodeConfig(bytes.NewReader(content))
	if errors.Is(err, image.ErrFormat) {
		return false, fmt.Errorf("byte 0: this is neither a JPEG nor a PNG picture")
	}
	if err != nil {
		return false, fmt.Errorf("the header of the %s picture: %w", format, err)
	}
	if config.Width < 1 || config.Height < 1 || config.Width > maxPicturePixels/config.Height {
		return false, fmt.Errorf("the %s picture says that it is %dx%d; expected 1 to %d pixels", format, config.Width, config.Height, maxPicturePixels)
	}
	picture, format, err := image.Decode(bytes.NewReader(content))
	if err != nil {
		return false, fmt.Errorf("the %s picture of %dx%d is damaged, in a file of %d bytes: %w", format, config.Width, config.Height, len(content), err)
	}
	out := image.NewRGBA(image.Rect(0, 0, w, h))
	from := middle(picture.Bounds(), h, w)
	fits = picture.Bounds().Dx() == w && picture.Bounds().Dy() == h
	if fits {
		draw.Draw(out, out.Bounds(), picture, from.Min, draw.Src)
	} else {
		draw.CatmullRom.Scale(out, out.Bounds(), picture, from, draw.Src, nil)
	}
	for i := range h * w {
		copy(to[3*i:3*i+3], out.Pix[4*i:4*i+3])
	}
	return fits, nil
}

// middle returns the largest part of b, around its middle, whose sides are as h:w.
func middle(b image.Rectangle, h, w int) image.Rectangle {
	bw, bh := b.Dx(), b.Dy()
	if bw*h > bh*w {
		cut := max(1, bh*w/h)
		b.Min.X += (bw - cut) / 2
		b.Max.X = b.Min.X + cut
	} else {
		cut := max(1, bw*h/w)
		b.Min.Y += (bh - cut) / 2
		b.Max.Y = b.Min.Y + cut
	}
	return b
}
