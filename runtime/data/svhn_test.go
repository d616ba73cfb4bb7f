package data

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"wrnc/runtime/data/datatest"
)

func svhnSet() *Set {
	return &Set{Name: "svhn", Classes: make([]string, 10), H: 32, W: 32, C: 3}
}

func readSVHNBytes(file []byte) (*Set, error) {
	set := svhnSet()
	return set, readSVHN(bytes.NewReader(file), int64(len(file)), set)
}

// Every form that MATLAB or another program writes gives the same pictures.
func TestReadSVHNForms(t *testing.T) {
	const n = 13
	labels := func(class byte, kind uint32, to func(order datatest.Order, p []byte, v float64) []byte) func(datatest.Order) datatest.Array {
		return func(order datatest.Order) datatest.Array {
			y := datatest.Array{Name: "y", Class: class, Dims: []int32{n, 1}, Type: kind}
			for i := range n {
				y.Data = to(order, y.Data, float64(i%10+1))
			}
			return y
		}
	}
	forms := map[string]func(datatest.Order) datatest.Array{
		"uint8": func(datatest.Order) datatest.Array { return datatest.Labels(n) },
		"double": labels(6, 9, func(order datatest.Order, p []byte, v float64) []byte {
			return order.AppendUint64(p, math.Float64bits(v))
		}),
		"double stored as uint8": labels(6, 2, func(_ datatest.Order, p []byte, v float64) []byte { return append(p, byte(v)) }),
		"int32":                  labels(12, 5, func(order datatest.Order, p []byte, v float64) []byte { return order.AppendUint32(p, uint32(v)) }),
		"int16":                  labels(10, 3, func(order datatest.Order, p []byte, v float64) []byte { return order.AppendUint16(p, uint16(v)) }),
		"single": labels(7, 7, func(order datatest.Order, p []byte, v float64) []byte {
			return order.AppendUint32(p, math.Float32bits(float32(v)))
		}),
		"int64": labels(14, 12, func(order datatest.Order, p []byte, v float64) []byte { return order.AppendUint64(p, uint64(v)) }),
	}
	for name, form := range forms {
		for _, order := range []datatest.Order{binary.LittleEndian, binary.BigEndian} {
			for _, compress := range []bool{false, true} {
				x, y := datatest.Pictures(n), form(order)
				other := datatest.Array{Name: "remark", Class: 4, Dims: []int32{1, 3}, Type: 4, Data: make([]byte, 6)}
				for _, arrays := range [][]datatest.Array{{x, y}, {y, x}, {other, x, other, y, other}} {
					set, err := readSVHNBytes(datatest.MAT(order, compress, arrays...))
					require.NoError(t, err, "%s %v compressed %v", name, order, compress)
					require.NoError(t, set.Check())
					require.Equal(t, []int32{1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2, 3}, set.Labels)
				}
				set, err := readSVHNBytes(datatest.MAT(order, compress, x, y))
				require.NoError(t, err)
				for i := range n {
					for y := range 32 {
						for x := range 32 {
							for c := range 3 {
								require.Equal(t, datatest.Pixel(i, y, x, c), set.Image(i)[(y*32+x)*3+c])
							}
						}
					}
				}
			}
		}
	}
}

func TestReadSVHNOnePictureByteByByte(t *testing.T) {
	x, y := datatest.Pictures(1), datatest.Labels(1)
	x.Dims = x.Dims[:3] // as MATLAB writes it
	for _, compress := range []bool{false, true} {
		file := datatest.MAT(binary.LittleEndian, compress, x, y)
		set := svhnSet()
		require.NoError(t, readSVHN(iotest.OneByteReader(bytes.NewReader(file)), int64(len(file)), set))
		require.NoError(t, set.Check())
		require.Equal(t, 1, set.Len())
	}
}

// A file that ends anywhere before its end is refused, and leaves nothing behind.
func TestReadSVHNTruncated(t *testing.T) {
	for _, compress := range []bool{false, true} {
		file := datatest.MAT(binary.LittleEndian, compress, datatest.Pictures(3), datatest.Labels(3))
		for n := range file {
			set, err := readSVHNBytes(file[:n])
			require.Error(t, err, "%d of %d bytes, compressed %v", n, len(file), compress)
			require.Regexp(t, `byte \d+|the file has \d+ bytes`, err.Error())
			require.Zero(t, set.Len())
			require.NoError(t, set.Check())
			if n >= 128 { // the header's size was right, and the disk ends before it
				set = svhnSet()
				require.Error(t, readSVHN(bytes.NewReader(file[:n]), int64(len(file)), set))
				require.Zero(t, set.Len())
			}
		}
	}
}

func TestReadSVHNMistakes(t *testing.T) {
	le := binary.LittleEndian
	plain := func(arrays ...datatest.Array) []byte { return datatest.MAT(le, false, arrays...) }
	packed := func(arrays ...datatest.Array) []byte { return datatest.MAT(le, true, arrays...) }
	x, y := datatest.Pictures(3), datatest.Labels(3)
	with := func(a datatest.Array, edit func(*datatest.Array)) datatest.Array {
		a.Data = bytes.Clone(a.Data)
		edit(&a)
		return a
	}
	set := func(file []byte, at int, to ...byte) []byte {
		copy(file[at:], to)
		return file
	}
	cases := map[string]struct {
		file []byte
		want string
	}{
		"empty":  {nil, "the file has 0 bytes; expected a MATLAB file's header of 128 at least"},
		"text":   {bytes.Repeat([]byte("abcdefgh"), 20), `byte 126: found "gh" where a MATLAB level-5 file has IM or MI`},
		"v7.3":   {set(plain(), 0, []byte("MATLAB 7.3 MAT-file")...), "byte 0: this is a MATLAB 7.3 file, which is HDF5; expected one of level 5"},
		"hdf5":   {set(plain(), 0, []byte("\x89HDF\r\n\x1a\n")...), "byte 0: this is a MATLAB 7.3 file"},
		"v2":     {set(plain(), 124, 0, 2), "byte 124: the file is of MATLAB's version 0x200; expected 0x100"},
		"no X":   {plain(y), "without the array X, the pictures"},
		"no y":   {packed(x), "without the array y, the labels"},
		"two X":  {plain(x, x, y), "a second array X"},
		"two y":  {plain(y, y, x), "a second array y"},
		"fewer":  {plain(x, datatest.Labels(2)), "X has 3 pictures and y has 2 labels"},
		"shape":  {plain(with(x, func(a *datatest.Array) { a.Dims = []int32{32, 3, 32, 3} }), y), "X has the dimensions [32 3 32 3]; expected [32 32 3 N]"},
		"double": {plain(with(x, func(a *datatest.Array) { a.Class = 6 }), y), "X is of class 6, stored as type 2; expected class 9 and type 2, uint8"},
		"char":   {plain(with(x, func(a *datatest.Array) { a.Class = 4 }), y), "X is of class 4"},
		"label 0": {plain(x, with(y, func(a *datatest.Array) { a.Data[1] = 0 })),
			"byte 9461: label 1 of y is 0; expected 1 to 10, of which 10 is the digit 0"},
		"label 11": {packed(x, with(y, func(a *datatest.Array) { a.Data[2] = 11 })), "label 2 of y is 11; expected 1 to 10"},
		"label nan": {plain(x, datatest.Array{Name: "y", Class: 6, Dims: []int32{1, 1}, Type: 9, Data: le.AppendUint64(nil, math.Float64bits(math.NaN()))}),
			"label 0 of y is NaN"},
		"label half": {plain(x, datatest.Array{Name: "y", Class: 6, Dims: []int32{1, 1}, Type: 9, Data: le.AppendUint64(nil, math.Float64bits(2.5))}),
			"label 0 of y is 2.5"},
		"labels 3x2": {plain(x, with(datatest.Labels(6), func(a *datatest.Array) { a.Dims = []int32{3, 2} })), "y has the dimensions [3 2]; expected [N 1]"},
		"more pictures announced": {plain(with(x, func(a *datatest.Array) { a.Dims = []int32{32, 32, 3, 4} }), y),
			`the numbers of "X" have 9216 bytes; expected 12288 by the dimensions [32 32 3 4]`},
		"huge": {packed(with(x, func(a *datatest.Array) { a.Dims = []int32{32, 32, 3, math.MaxInt32} }), y),
			`"X" has the dimensions [32 32 3 2147483647]; expected numbers from 0 up, and a product below 2^32`},
		"negative":       {plain(with(x, func(a *datatest.Array) { a.Dims = []int32{32, 32, 3, -3} }), y), "expected numbers from 0 up"},
		"element's type": {set(plain(x, y), 128, 9), "byte 128: found an element of type 9; expected 14, an array, or 15"},
		"element's size": {set(plain(x, y), 132, 0xff, 0xff, 0xff, 0xff), "byte 128: the element has 4294967295 bytes by its tag, but the file ends after "},
		"no zlib":        {set(packed(x, y), 136, 0, 0), "byte 136: the compressed array is damaged or cut short: zlib: invalid header"},
		"checksum":       {spoilChecksum(packed(x, y)), "byte 136: the compressed array is damaged or cut short: zlib: invalid checksum"},
		"not an array":   {append(plain(), datatest.Compressed(le, make([]byte, 16))...), "byte 0 of what the compressed array at byte 136 holds: found an element of type 0"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			set, err := readSVHNBytes(c.file)
			require.ErrorContains(t, err, c.want)
			require.Zero(t, set.Len())
			require.Empty(t, set.Images)
		})
	}
}

// spoilChecksum changes the checksum of a file's first compressed array.
func spoilChecksum(file []byte) []byte {
	file[136+binary.LittleEndian.Uint32(file[132:])-1] ^= 1
	return file
}

// A file that announces the largest array there can be costs no memory to speak of.
func TestReadSVHNTakesNoMemoryOnTrust(t *testing.T) {
	const n = 1<<32/cifarPixels - 1
	le := binary.LittleEndian
	inside := le.AppendUint32(nil, 14)
	inside = le.AppendUint32(inside, math.MaxUint32)
	for _, v := range []uint32{6, 8, 9, 0, 5, 16, 32, 32, 3, n, 1 | 1<<16, 'X', 2, n * cifarPixels} {
		inside = le.AppendUint32(inside, v)
	}
	inside = append(inside, make([]byte, 5*cifarPixels)...)
	file := append(datatest.MAT(le, true), datatest.Compressed(le, inside)...)
	pictures, err := svhnPictures(bytes.NewReader(file), int64(len(file)))
	require.NoError(t, err)
	require.LessOrEqual(t, pictures*cifarPixels, 4*int64(len(file)))
	set, err := readSVHNBytes(file)
	require.ErrorContains(t, err, "picture 5 of X: the data ends at byte 15424 of what the compressed array at byte 136 holds")
	require.Less(t, cap(set.Images), 16*cifarPixels)
}

func TestOpenSVHN(t *testing.T) {
	for _, compress := range []bool{false, true} {
		for _, sub := range []string{"", "svhn"} {
			dir := t.TempDir()
			require.NoError(t, os.MkdirAll(filepath.Join(dir, sub), 0o755))
			require.NoError(t, datatest.WriteSVHN(filepath.Join(dir, sub), compress, 11))
			src, err := OpenSVHN(dir)
			require.NoError(t, err)
			require.NoError(t, src.Train.Check())
			require.NoError(t, src.Test.Check())
			require.Equal(t, 22, src.Train.Len(), "train and extra")
			require.Equal(t, 11, src.Test.Len())
			require.Len(t, src.Notes, 3)
			require.Contains(t, src.Notes[1], "extra_32x32.mat has 11 pictures; the published file has 531131")
			if !compress { // what compresses as no picture does has its memory step by step
				require.Equal(t, 22*cifarPixels, cap(src.Train.Images))
			}
		}
	}
}

func TestOpenSVHNNotThere(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, datatest.WriteSVHN(dir, true, 1))
	require.NoError(t, os.Remove(filepath.Join(dir, "extra_32x32.mat")))
	_, err := OpenSVHN(dir)
	require.EqualError(t, err, "svhn: the data is not there: expected train_32x32.mat, extra_32x32.mat, test_32x32.mat; looked in "+
		dir+" (without extra_32x32.mat) and "+filepath.Join(dir, "svhn")+" (none of them); to get them, "+
		"download all three from http://ufldl.stanford.edu/housenumbers/ (format 2, cropped digits) to "+dir)
}

func TestOpenSVHNNamesTheFile(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, datatest.WriteSVHN(dir, false, 2))
	require.NoError(t, os.Truncate(filepath.Join(dir, "extra_32x32.mat"), 3000))
	_, err := OpenSVHN(dir)
	require.ErrorContains(t, err, filepath.Join(dir, "extra_32x32.mat")+": byte 128: the element has ")
}

func FuzzSVHN(f *testing.F) {
	for _, order := range []datatest.Order{binary.LittleEndian, binary.BigEndian} {
		for _, compress := range []bool{false, true} {
			f.Add(datatest.MAT(order, compress, datatest.Labels(9)))
			if compress { // short inputs, for the tool's sake
				f.Add(datatest.MAT(order, compress, datatest.Pictures(1), datatest.Labels(1)))
			}
		}
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		n, _ := svhnPictures(bytes.NewReader(file), int64(len(file)))
		require.LessOrEqual(t, n*cifarPixels, 4*int64(len(file)))
		set, err := readSVHNBytes(file)
		require.NoError(t, set.Check(), "what was read must be sound")
		if err != nil {
			require.Zero(t, set.Len())
		}
	})
}
