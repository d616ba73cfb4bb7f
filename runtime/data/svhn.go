package data

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
)

// matFile is one file of SVHN.
type matFile struct {
	name     string
	pictures int // as published
}

// svhnTrain and svhnTest are the files of "cropped digits"; the paper trains on
// both of the first list.
func svhnTrain() []matFile {
	return []matFile{{"train_32x32.mat", 73257}, {"extra_32x32.mat", 531131}}
}

func svhnTest() []matFile { return []matFile{{"test_32x32.mat", 26032}} }

// OpenSVHN reads SVHN's cropped digits from its three official files
// train_32x32.mat, extra_32x32.mat and test_32x32.mat, which lie in dir or in
// dir/svhn: 604,388 training pictures, the extra ones among them as in the paper,
// and 26,032 test ones, of 32x32x3. Class 0 is the digit 0, label 10 in the files.
//
// The files may be compressed or not. One that has another number of pictures
// than the published one is read all the same, with a note.
func OpenSVHN(dir string) (*Source, error) {
	return openSVHN(dir, "all three", svhnTrain())
}

// OpenSVHNTest is OpenSVHN of the test pictures alone: Train is nil.
func OpenSVHNTest(dir string) (*Source, error) { return openSVHN(dir, "it", nil) }

// openSVHN reads the files of training and of testing, which a message calls all.
func openSVHN(dir, all string, train []matFile) (*Source, error) {
	found, err := findSVHN(dir, all, train)
	if err != nil {
		return nil, err
	}
	src := new(Source)
	for _, part := range []struct {
		set   **Set
		name  string
		files []matFile
	}{{&src.Train, "svhn train", train}, {&src.Test, "svhn test", svhnTest()}} {
		if len(part.files) == 0 {
			continue
		}
		set, notes, err := readSVHNFiles(part.name, found, part.files)
		if err != nil {
			return nil, fmt.Errorf("svhn: %w", err)
		}
		*part.set = set
		src.Notes = append(src.Notes, notes...)
	}
	return src, nil
}

// FindSVHN returns the folder, dir or the one in it, that has the files. It reads none.
// A *MissingError says that they are not all there.
func FindSVHN(dir string) (string, error) { return findSVHN(dir, "all three", svhnTrain()) }

// findSVHN looks for the files of training and of testing.
func findSVHN(dir, all string, train []matFile) (string, error) {
	place := fileSet{name: "svhn", folder: "svhn",
		how: fmt.Sprintf("download %s from http://ufldl.stanford.edu/housenumbers/ (format 2, cropped digits) to", all)}
	for _, f := range append(slices.Clip(train), svhnTest()...) {
		place.files = append(place.files, f.name)
	}
	return place.find(dir)
}

// readSVHNFiles reads files of a folder into one set. The pictures' memory is
// taken once, after a look at the files' headers.
func readSVHNFiles(name, dir string, files []matFile) (*Set, []string, error) {
	set := &Set{
		Name:    name,
		Classes: []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"},
		H:       cifarSide, W: cifarSide, C: cifarChannels,
	}
	var pictures int64
	for _, f := range files {
		err := withFile(filepath.Join(dir, f.name), func(r io.Reader, size int64) error {
			n, err := svhnPictures(r, size)
			pictures += n
			return err
		})
		if err != nil {
			return nil, nil, err
		}
	}
	set.Images = make([]byte, 0, pictures*cifarPixels)
	set.Labels = make([]int32, 0, pictures)
	var notes []string
	for _, f := range files {
		path, before := filepath.Join(dir, f.name), set.Len()
		if err := withFile(path, func(r io.Reader, size int64) error { return readSVHN(r, size, set) }); err != nil {
			return nil, nil, err
		}
		if n := set.Len() - before; n != f.pictures {
			notes = append(notes, fmt.Sprintf("%s has %d pictures; the published file has %d", path, n, f.pictures))
		}
	}
	return set, notes, nil
}

// withFile opens a file and calls read with it; errors begin with the path.
func withFile(path string, read func(r io.Reader, size int64) error) (err error) {
	file, size, err := openRegular(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := read(bufio.NewReaderSize(file, 1<<16), size); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// svhnPictures returns how many pictures a file says it has, but no more than
// would fill four times its size: pictures do not compress as well as that, and a
// file cannot say what it likes and be given the memory for it.
func svhnPictures(r io.Reader, size int64) (int64, error) {
	var pictures int64
	err := readMAT(r, size, func(a *matArray) error {
		if a.name != "X" {
			return nil
		}
		pictures = a.count / cifarPixels
		return errEnough
	})
	return min(pictures, 4*size/cifarPixels), err
}

// readSVHN appends the pictures of a file to set: X is uint8 [32,32,3,N] in
// column-major order, so that a picture is three planes, each column by column;
// y has N labels from 1 to 10 of any numeric type. On an error set is as it was.
func readSVHN(r io.Reader, size int64, set *Set) (err error) {
	start := set.Len()
	defer func() {
		if err != nil {
			set.Images, set.Labels = set.Images[:start*cifarPixels], set.Labels[:start]
		}
	}()
	var seen struct{ x, y bool }
	err = readMAT(r, size, func(a *matArray) error {
		switch a.name {
		case "X":
			if seen.x {
				return fmt.Errorf("%s: a second array X; expected one", a.place())
			}
			seen.x = true
			return readSVHNPictures(a, set)
		case "y":
			if seen.y {
				return fmt.Errorf("%s: a second array y; expected one", a.place())
			}
			seen.y = true
			return readSVHNLabels(a, set)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if !seen.x || !seen.y {
		missing := "y, the labels"
		if !seen.x {
			missing = "X, the pictures"
		}
		return fmt.Errorf("the file ends at byte %d without the array %s; expected X and y", size, missing)
	}
	if x, y := len(set.Images)/cifarPixels-start, set.Len()-start; x != y {
		return fmt.Errorf("the array X has %d pictures and y has %d labels; expected equally many", x, y)
	}
	return nil
}

// place says where an array's numbers begin.
func (a *matArray) place() string {
	if a.data == nil {
		return fmt.Sprintf("the array %q", a.name)
	}
	return a.data.place(a.data.at)
}

func readSVHNPictures(a *matArray, set *Set) error {
	shape := a.dims
	if len(shape) == 3 { // MATLAB writes no last dimension of 1
		shape = append(slices.Clone(shape), 1)
	}
	if len(shape) != 4 || shape[0] != cifarSide || shape[1] != cifarSide || shape[2] != cifarChannels {
		return fmt.Errorf("%s: X has the dimensions %v; expected [%d %d %d N]", a.place(), a.dims, cifarSide, cifarSide, cifarChannels)
	}
	if a.class != matClassUint8 || a.stored != matUint8 {
		return fmt.Errorf("%s: X is of class %d, stored as type %d; expected class %d and type %d, uint8", a.place(), a.class, a.stored, matClassUint8, matUint8)
	}
	var planes [cifarPixels]byte
	for i := range shape[3] {
		if err := a.data.read(planes[:], "a picture"); err != nil {
			return fmt.Errorf("picture %d of X: %w", i, err)
		}
		at := len(set.Images)
		set.Images = append(set.Images, planes[:]...)
		transposePlanes(set.Images[at:], planes[:])
	}
	return nil
}

// transposePlanes writes a picture of three planes, each column by column, in HWC
// order.
func transposePlanes(to, planes []byte) {
	for y := range cifarSide {
		row := to[y*cifarSide*cifarChannels : (y+1)*cifarSide*cifarChannels]
		for x := range cifarSide {
			from := x*cifarSide + y
			row[3*x], row[3*x+1], row[3*x+2] = planes[from], planes[cifarPlane+from], planes[2*cifarPlane+from]
		}
	}
}

func readSVHNLabels(a *matArray, set *Set) error {
	if len(a.dims) != 2 || a.dims[0] != 1 && a.dims[1] != 1 {
		return fmt.Errorf("%s: y has the dimensions %v; expected [N 1]", a.place(), a.dims)
	}
	if !a.numeric() {
		return fmt.Errorf("%s: y is of class %d; expected real numbers", a.place(), a.class)
	}
	width := a.stored.width()
	var p [8]byte
	for i := range a.count {
		at := a.data.at
		if err := a.data.read(p[:width], "a label"); err != nil {
			return fmt.Errorf("label %d of y: %w", i, err)
		}
		label := a.stored.number(a.order, p[:width])
		if !(label >= 1 && label <= 10) || label != math.Trunc(label) {
			return fmt.Errorf("%s: label %d of y is %v; expected 1 to 10, of which 10 is the digit 0", a.data.place(at), i, label)
		}
		set.Labels = append(set.Labels, int32(label)%10)
	}
	return nil
}

// number reads a number; large integers round.
func (t matType) number(order binary.ByteOrder, p []byte) float64 {
	switch t {
	case matInt8:
		return float64(int8(p[0]))
	case matUint8:
		return float64(p[0])
	case matInt16:
		return float64(int16(order.Uint16(p)))
	case matUint16:
		return float64(order.Uint16(p))
	case matInt32:
		return float64(int32(order.Uint32(p)))
	case matUint32:
		return float64(order.Uint32(p))
	case matSingle:
		return float64(math.Float32frombits(order.Uint32(p)))
	case matDouble:
		return math.Float64frombits(order.Uint64(p))
	case matInt64:
		return float64(int64(order.Uint64(p)))
	}
	return float64(order.Uint64(p))
}
