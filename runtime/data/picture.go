package data

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	_ "image/jpeg"
	_ "image/png"
	"io"
	"runtime"
	"sync"
	"sync/atomic"

	"golang.org/x/image/draw"
	"golang.org/x/sync/semaphore"
)

// The bounds of pictures. A file of a few bytes can announce pixels that no memory
// holds, and every processor decodes one.
const (
	maxPictureBytes = 64 << 20 // of a file
	maxDecodeBytes  = 1 << 30  // of memory for all that are decoded at a time
)

// decoding is the memory that is left for decoding. Of large pictures, fewer are
// decoded at a time.
var decoding = semaphore.NewWeighted(maxDecodeBytes)

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
	if fits, err = decodePicture(to, file, size, h, w); err != nil {
		return false, fmt.Errorf("%s: %w", path, err)
	}
	return fits, nil
}

// decodePicture decodes a JPEG or PNG picture in a file of size bytes. What is
// transparent becomes black.
func decodePicture(to []byte, file io.ReadSeeker, size int64, h, w int) (fits bool, err error) {
	config, format, err := image.DecodeConfig(file)
	if errors.Is(err, image.ErrFormat) {
		return false, fmt.Errorf("byte 0: this is neither a JPEG nor a PNG picture")
	}
	if err != nil {
		return false, fmt.Errorf("the header of the %s picture: %w", format, err)
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return false, err
	}
	most := maxDecodeBytes / decodeBytes(format, config.ColorModel)
	if config.Width < 1 || config.Height < 1 || int64(config.Width) > most/int64(config.Height) {
		return false, fmt.Errorf("the %s picture says that it is %dx%d; expected 1 to %d pixels, which take 1 GiB of memory to decode", format, config.Width, config.Height, most)
	}
	memory := int64(config.Width) * int64(config.Height) * decodeBytes(format, config.ColorModel)
	if err := decoding.Acquire(context.Background(), memory); err != nil {
		return false, err
	}
	defer decoding.Release(memory)
	picture, format, err := image.Decode(bufio.NewReaderSize(file, 64<<10))
	if err != nil {
		return false, fmt.Errorf("the %s picture of %dx%d is damaged, in a file of %d bytes: %w", format, config.Width, config.Height, size, err)
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

// decodeBytes is how much memory a pixel takes at most until it is decoded.
func decodeBytes(format string, model color.Model) int64 {
	if format == "jpeg" {
		// A progressive picture is decoded from all its coefficients, 4 bytes each.
		switch model {
		case color.GrayModel:
			return 1 + 4
		case color.YCbCrModel:
			return 3 * (1 + 4)
		}
		return 4*(1+4) + 4 // the parts, and then the whole of them
	}
	// Of an interlaced picture, the parts and the whole are there together. The
	// colour that a gray one may call transparent makes it one of four channels.
	switch model {
	case color.Gray16Model, color.RGBA64Model, color.NRGBA64Model:
		return 2 * 8
	}
	return 2 * 4
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
