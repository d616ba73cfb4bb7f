package data

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/runtime/data/datatest"
)

// put writes a file and the folders above it.
func put(t *testing.T, content []byte, path ...string) string {
	t.Helper()
	name := filepath.Join(path...)
	require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
	require.NoError(t, os.WriteFile(name, content, 0o644))
	return name
}

func readFolder(dir string) (*Source, error) {
	f, err := ScanFolder(dir)
	if err != nil {
		return nil, err
	}
	return f.Read(32, 32)
}

func TestFolder(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, datatest.WriteFolder(dir, 3, 32))
	put(t, datatest.Picture("png", 32, 32, datatest.Color(1)), dir, "train", "b", "deeper", "4.PNG")
	put(t, nil, dir, "train", "b", ".hidden.png")
	put(t, nil, dir, "train", ".cache", "x.png")
	put(t, nil, dir, "train", "b", "notes.txt")
	require.NoError(t, os.Symlink(filepath.Join(dir, "val", "c"), filepath.Join(dir, "train", "d")))
	src, err := readFolder(dir)
	require.NoError(t, err)
	require.NoError(t, src.Train.Check())
	require.NoError(t, src.Test.Check())
	require.Equal(t, []string{"a", "b", "c", "d"}, src.Train.Classes)
	require.Equal(t, []int32{0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 1}, src.Train.Labels, "by turns")
	require.Equal(t, []int32{0, 0, 0, 1, 1, 1, 2, 2, 2}, src.Test.Labels)
	for i := range src.Train.Len() {
		want := datatest.Color(min(2, int(src.Train.Labels[i])))
		for k, v := range src.Train.Image(i) {
			require.InDelta(t, []uint8{want.R, want.G, want.B}[k%3], v, 2, "JPEG's rounding")
		}
	}
	require.Equal(t, []string{
		dir + " has 4 classes: a, b, c, d",
		"left out of " + dir + ", because not named .jpg, .jpeg or .png: " + filepath.Join(dir, "train", "b", "notes.txt"),
	}, src.Notes)
}

// A picture of another shape is cut around its middle, then scaled: the stripes on
// either side go, and the halves of what remains stay where they are.
func TestFolderScales(t *testing.T) {
	for _, size := range [][2]int{{200, 64}, {64, 200}, {40, 16}} {
		w, h := size[0], size[1]
		m := image.NewNRGBA(image.Rect(0, 0, w, h))
		side := min(w, h)
		for y := range h {
			for x := range w {
				c := color.NRGBA{255, 255, 255, 255} // outside the middle
				if u, v := x-(w-side)/2, y-(h-side)/2; u >= 0 && u < side && v >= 0 && v < side {
					c = color.NRGBA{uint8(200 * (2 * u / side)), uint8(100 * (2 * v / side)), 30, 255}
				}
				m.SetNRGBA(x, y, c)
			}
		}
		to := make([]byte, 32*32*3)
		fits, err := decode(to, datatest.Encode("png", m))
		require.NoError(t, err)
		require.False(t, fits)
		for y := range 32 {
			for x := range 32 {
				if abs(x-16) > 3 && abs(y-16) > 3 {
					require.Equal(t, []byte{byte(200 * (x / 16)), byte(100 * (y / 16)), 30}, to[(y*32+x)*3:][:3], "%v at %d, %d", size, x, y)
				}
			}
		}
	}
	dir := t.TempDir()
	require.NoError(t, datatest.WriteFolder(dir, 2, 40))
	src, err := readFolder(dir)
	require.NoError(t, err)
	require.Contains(t, src.Notes[1], "12 of the 12 pictures in "+dir+" are not 32x32: cut around the middle and scaled")
}

// decode decodes the content of a file to 32x32.
func decode(to, content []byte) (fits bool, err error) {
	return decodePicture(to, bytes.NewReader(content), int64(len(content)), 32, 32)
}

func abs(x int) int { return max(x, -x) }

func TestFolderColours(t *testing.T) {
	gray := image.NewGray(image.Rect(0, 0, 32, 32))
	deep := image.NewNRGBA64(image.Rect(5, 7, 37, 39)) // which does not begin at 0, 0
	for i := range gray.Pix {
		gray.Pix[i] = 77
	}
	for i := range 32 * 32 {
		deep.SetNRGBA64(5+i%32, 7+i/32, color.NRGBA64{0x1234, 0x5678, 0x9abc, 0xffff})
	}
	clear := image.NewNRGBA(image.Rect(0, 0, 32, 32))
	for name, c := range map[string]struct {
		m    image.Image
		want [3]byte
	}{"gray": {gray, [3]byte{77, 77, 77}}, "16 bits": {deep, [3]byte{0x12, 0x56, 0x9a}}, "transparent": {clear, [3]byte{}}} {
		to := make([]byte, 32*32*3)
		fits, err := decode(to, datatest.Encode("png", c.m))
		require.NoError(t, err)
		require.True(t, fits)
		for i, v := range to {
			require.Equal(t, c.want[i%3], v, name)
		}
	}
}

// noise returns a picture whose file is long.
func noise() image.Image {
	m := image.NewGray(image.Rect(0, 0, 32, 32))
	for i := range m.Pix {
		m.Pix[i] = byte(i * i * 31 >> 3)
	}
	return m
}

func TestFolderMistakes(t *testing.T) {
	big := datatest.Picture("png", 1, 1, color.White)
	binary.BigEndian.PutUint32(big[16:], 1<<20)
	binary.BigEndian.PutUint32(big[20:], 1<<20)
	binary.BigEndian.PutUint32(big[29:], crc32.ChecksumIEEE(big[12:29]))
	cases := map[string]struct {
		spoil func(t *testing.T, dir string)
		want  string
	}{
		"no train": {func(t *testing.T, dir string) { require.NoError(t, os.RemoveAll(filepath.Join(dir, "train"))) }, ": there is no folder train in it; expected train and val"},
		"no val":   {func(t *testing.T, dir string) { require.NoError(t, os.RemoveAll(filepath.Join(dir, "val"))) }, ": there is neither a folder val nor test in it"},
		"empty val": {func(t *testing.T, dir string) {
			require.NoError(t, os.RemoveAll(filepath.Join(dir, "val")))
			put(t, nil, dir, "val", "x")
		}, "val: there is no picture in it"},
		"one class": {func(t *testing.T, dir string) {
			require.NoError(t, os.RemoveAll(filepath.Join(dir, "train", "a")))
			require.NoError(t, os.RemoveAll(filepath.Join(dir, "train", "b")))
		}, "train: it has 1 folders; expected one for each class, at least 2"},
		"empty class": {func(t *testing.T, dir string) { require.NoError(t, os.Mkdir(filepath.Join(dir, "train", "bb"), 0o755)) }, "bb: there is no picture in it"},
		"new class":   {func(t *testing.T, dir string) { require.NoError(t, os.Mkdir(filepath.Join(dir, "val", "z"), 0o755)) }, "z: this class is not in "},
		"no picture":  {func(t *testing.T, dir string) { put(t, []byte("hello"), dir, "train", "b", "0.jpg") }, "0.jpg: byte 0: this is neither a JPEG nor a PNG picture"},
		"empty":       {func(t *testing.T, dir string) { put(t, nil, dir, "train", "b", "0.jpg") }, "0.jpg: byte 0: this is neither"},
		"cut short": {func(t *testing.T, dir string) {
			file := datatest.Encode("jpeg", noise())
			put(t, file[:len(file)/2], dir, "train", "b", "0.jpg")
		}, "0.jpg: the jpeg picture of 32x32 is damaged, in a file of "},
		"lying header": {func(t *testing.T, dir string) { put(t, big, dir, "train", "c", "5.png") }, "5.png: the png picture says that it is 1048576x1048576; expected 1 to 134217728 pixels, which take 1 GiB of memory to decode"},
		"large file": {func(t *testing.T, dir string) {
			require.NoError(t, os.Truncate(put(t, nil, dir, "val", "c", "5.png"), maxPictureBytes+1))
		}, "5.png: the file has 67108865 bytes; expected at most 67108864"},
		"endless": {func(t *testing.T, dir string) {
			require.NoError(t, os.Symlink("..", filepath.Join(dir, "train", "a", "up")))
		}, "folders lie within folders 8 deep"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, datatest.WriteFolder(dir, 1, 32))
			c.spoil(t, dir)
			_, err := readFolder(dir)
			require.ErrorContains(t, err, c.want)
			require.True(t, strings.HasPrefix(err.Error(), dir), err.Error())
		})
	}
}
