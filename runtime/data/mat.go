package data

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// A MATLAB level-5 file is a header of 128 bytes and elements, one an array. An
// element is a tag of 8 bytes, its type and its size, and that many bytes. The
// elements of an array are its flags, its dimensions, its name and its data; each
// is padded to 8 bytes, or holds up to 4 bytes in its tag. An element may instead
// be compressed: what zlib makes of it is the array's element.

// matType is the type of an element's bytes.
type matType uint32

const (
	matInt8       matType = 1
	matUint8      matType = 2
	matInt16      matType = 3
	matUint16     matType = 4
	matInt32      matType = 5
	matUint32     matType = 6
	matSingle     matType = 7
	matDouble     matType = 9
	matInt64      matType = 12
	matUint64     matType = 13
	matMatrix     matType = 14
	matCompressed matType = 15
)

// width returns the size of one number, 0 for what is not a number.
func (t matType) width() int64 {
	switch t {
	case matInt8, matUint8:
		return 1
	case matInt16, matUint16:
		return 2
	case matInt32, matUint32, matSingle:
		return 4
	case matDouble, matInt64, matUint64:
		return 8
	}
	return 0
}

// Classes of arrays. The numeric ones lie between matClassDouble and matClassUint64.
const (
	matClassDouble = 6
	matClassUint8  = 9
	matClassUint64 = 15
)

const (
	matHeader  = 128
	matDims    = 32   // that an array may have here
	matName    = 1024 // bytes that a name may have here
	matComplex = 0x800
)

// matArray is an array whose numbers are still to be read.
type matArray struct {
	name   string
	class  byte
	dims   []int64
	count  int64   // product of dims; 0 where the class is not numeric
	stored matType // as which the numbers are stored, perhaps narrower than the class
	order  binary.ByteOrder
	data   *matStream
}

// numeric tells an array of real numbers.
func (a *matArray) numeric() bool { return a.stored != 0 }

// matStream reads the bytes from at to end of something, and knows where it is.
type matStream struct {
	r       io.Reader
	at, end int64
	order   binary.ByteOrder
	within  string // what the offset is in, after "byte N"
}

func (s *matStream) place(at int64) string { return fmt.Sprintf("byte %d%s", at, s.within) }

func (s *matStream) left() int64 { return s.end - s.at }

// read fills p. what says what was expected there.
func (s *matStream) read(p []byte, what string) error {
	if int64(len(p)) > s.left() {
		return fmt.Errorf("%s: expected %s of %d bytes, but the element around it ends at byte %d", s.place(s.at), what, len(p), s.end)
	}
	n, err := io.ReadFull(s.r, p)
	s.at += int64(n)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("the data ends at %s; expected %s of %d bytes at byte %d", s.place(s.at), what, len(p), s.at-int64(n))
	case err != nil:
		return fmt.Errorf("%s: expected %s: %w", s.place(s.at), what, err)
	}
	return nil
}

// skip reads n bytes that nobody wants.
func (s *matStream) skip(n int64, what string) error {
	var buf [4096]byte
	for n > 0 {
		p := buf[:min(n, int64(len(buf)))]
		if err := s.read(p, what); err != nil {
			return err
		}
		n -= int64(len(p))
	}
	return nil
}

// matElement is an element of an array: its tag, and a stream of its bytes.
type matElement struct {
	kind matType
	at   int64 // of the tag
	size int64
	data *matStream
	pad  int64 // that follows
}

// element reads a tag inside an array.
func (s *matStream) element(what string) (matElement, error) {
	var tag [8]byte
	e := matElement{at: s.at}
	if err := s.read(tag[:], "the tag of "+what); err != nil {
		return e, err
	}
	first := s.order.Uint32(tag[:])
	if small := first >> 16; small != 0 {
		e.kind, e.size = matType(first&0xffff), int64(small)
		if e.size > 4 {
			return e, fmt.Errorf("%s: the tag of %s has %d bytes in it; expected at most 4", s.place(e.at), what, e.size)
		}
		e.data = &matStream{r: bytes.NewReader(tag[4 : 4+e.size]), at: e.at + 4, end: e.at + 4 + e.size, within: s.within}
		return e, nil
	}
	e.kind, e.size = matType(first), int64(s.order.Uint32(tag[4:]))
	if e.size > s.left() {
		return e, fmt.Errorf("%s: the tag says that %s has %d bytes, but the element around it ends after %d", s.place(e.at), what, e.size, s.left())
	}
	e.data = s
	e.pad = min((8-e.size%8)%8, s.left()-e.size)
	return e, nil
}

// whole reads a short element with its padding.
func (s *matStream) whole(what string, most int64) (matElement, []byte, error) {
	e, err := s.element(what)
	if err != nil {
		return e, nil, err
	}
	if e.size > most {
		return e, nil, fmt.Errorf("%s: %s has %d bytes; expected at most %d", s.place(e.at), what, e.size, most)
	}
	p := make([]byte, e.size)
	if err := e.data.read(p, what); err != nil {
		return e, nil, err
	}
	return e, p, s.skip(e.pad, "padding")
}

// array reads an array up to its numbers; s is the inside of its element.
func (s *matStream) array() (*matArray, error) {
	order := s.order
	a := &matArray{order: order}
	flags, p, err := s.whole("an array's flags", 8)
	if err != nil {
		return nil, err
	}
	if flags.kind != matUint32 || flags.size != 8 {
		return nil, fmt.Errorf("%s: expected an array's flags, of type %d and 8 bytes; found type %d and %d bytes", s.place(flags.at), matUint32, flags.kind, flags.size)
	}
	word := order.Uint32(p)
	a.class = byte(word)
	if a.class == 17 { // opaque: no dimensions follow
		return a, nil
	}
	dims, p, err := s.whole("an array's dimensions", 4*matDims)
	if err != nil {
		return nil, err
	}
	if dims.kind != matInt32 || dims.size < 8 || dims.size%4 != 0 {
		return nil, fmt.Errorf("%s: expected an array's dimensions, of type %d and at least 8 bytes; found type %d and %d bytes", s.place(dims.at), matInt32, dims.kind, dims.size)
	}
	for ; len(p) > 0; p = p[4:] {
		a.dims = append(a.dims, int64(int32(order.Uint32(p))))
	}
	name, p, err := s.whole("an array's name", matName)
	if err != nil {
		return nil, err
	}
	if name.kind != matInt8 {
		return nil, fmt.Errorf("%s: expected an array's name, of type %d; found type %d", s.place(name.at), matInt8, name.kind)
	}
	a.name = string(p)
	if a.class < matClassDouble || a.class > matClassUint64 || word&matComplex != 0 {
		return a, nil
	}
	return a, s.numbers(a, dims.at)
}

// numbers reads the tag of an array's numbers. Their size must be what the
// dimensions say.
func (s *matStream) numbers(a *matArray, dimsAt int64) error {
	what := fmt.Sprintf("the numbers of %q", a.name)
	a.count = 1
	for _, d := range a.dims {
		if d < 0 || d > 0 && a.count > math.MaxUint32/d { // a tag can say no more
			return fmt.Errorf("%s: %q has the dimensions %v; expected numbers from 0 up, and a product below 2^32", s.place(dimsAt), a.name, a.dims)
		}
		a.count *= d
	}
	e, err := s.element(what)
	if err != nil {
		return err
	}
	if e.kind.width() == 0 {
		return fmt.Errorf("%s: %s are of type %d; expected a type of numbers", s.place(e.at), what, e.kind)
	}
	if want := a.count * e.kind.width(); e.size != want {
		return fmt.Errorf("%s: %s have %d bytes; expected %d by the dimensions %v", s.place(e.at), what, e.size, want, a.dims)
	}
	a.stored, a.data = e.kind, e.data
	return nil
}

// errEnough ends readMAT early, without an error.
var errEnough = errors.New("enough")

// readMAT reads a MATLAB level-5 file of a given size from r and calls visit for
// each array in it. Memory is taken for names and dimensions only, of bounded
// size; the numbers are for visit to read, all of them or none.
func readMAT(r io.Reader, size int64, visit func(*matArray) error) error {
	file := &matStream{r: r, end: size}
	if err := file.header(); err != nil {
		return err
	}
	for file.left() > 0 {
		if err := file.next(visit); errors.Is(err, errEnough) {
			return nil
		} else if err != nil {
			return err
		}
	}
	return nil
}

// header reads a file's first 128 bytes.
func (s *matStream) header() error {
	if s.left() < matHeader {
		return fmt.Errorf("the file has %d bytes; expected a MATLAB file's header of %d at least", s.left(), matHeader)
	}
	var h [matHeader]byte
	if err := s.read(h[:], "a MATLAB file's header"); err != nil {
		return err
	}
	switch mark := string(h[126:]); {
	case string(h[:8]) == "\x89HDF\r\n\x1a\n" || bytes.HasPrefix(h[:], []byte("MATLAB 7.3")):
		return fmt.Errorf("byte 0: this is a MATLAB 7.3 file, which is HDF5; expected one of level 5, as the data is published: in MATLAB, save it by save -v7")
	case mark == "IM":
		s.order = binary.LittleEndian
	case mark == "MI":
		s.order = binary.BigEndian
	default:
		return fmt.Errorf("byte 126: found %q where a MATLAB level-5 file has IM or MI: this is another kind of file", mark)
	}
	if v := s.order.Uint16(h[124:]); v != 0x100 {
		return fmt.Errorf("byte 124: the file is of MATLAB's version %#x; expected 0x100, level 5", v)
	}
	return nil
}

// next reads the next array of a file.
func (s *matStream) next(visit func(*matArray) error) error {
	at := s.at
	var tag [8]byte
	if err := s.read(tag[:], "an element's tag"); err != nil {
		return err
	}
	kind, size := matType(s.order.Uint32(tag[:])), int64(s.order.Uint32(tag[4:]))
	if kind != matMatrix && kind != matCompressed {
		return fmt.Errorf("%s: found an element of type %d; expected %d, an array, or %d, a compressed one", s.place(at), kind, matMatrix, matCompressed)
	}
	if size > s.left() {
		return fmt.Errorf("%s: the element has %d bytes by its tag, but the file ends after %d of them: it is truncated", s.place(at), size, s.left())
	}
	if kind == matCompressed {
		return s.unpack(size, visit)
	}
	inside := &matStream{r: s.r, at: s.at, end: s.at + size, order: s.order, within: s.within}
	if err := inside.visit(visit); err != nil {
		return err
	}
	s.at = inside.at
	return nil
}

// visit reads the array whose element s is, and then the rest of it.
func (s *matStream) visit(visit func(*matArray) error) error {
	if s.end == s.at { // an empty element stands for an empty array
		return nil
	}
	a, err := s.array()
	if err != nil {
		return err
	}
	if err := visit(a); err != nil {
		return err
	}
	return s.skip(s.left(), "an array's rest")
}

// unpack reads a compressed array of that many bytes, to the checksum at its end.
func (s *matStream) unpack(size int64, visit func(*matArray) error) error {
	at := s.at
	damaged := func(err error) error {
		return fmt.Errorf("%s: the compressed array is damaged or cut short: %w", s.place(at), err)
	}
	packed := &io.LimitedReader{R: s.r, N: size}
	z, err := zlib.NewReader(packed)
	if err != nil {
		return damaged(err)
	}
	inside := &matStream{r: z, end: 8, order: s.order, within: fmt.Sprintf(" of what the compressed array at byte %d holds", at)}
	var tag [8]byte
	if err := inside.read(tag[:], "an array's tag"); err != nil {
		return err
	}
	if kind := matType(s.order.Uint32(tag[:])); kind != matMatrix {
		return fmt.Errorf("%s: found an element of type %d; expected %d, an array", inside.place(0), kind, matMatrix)
	}
	inside.end += int64(s.order.Uint32(tag[4:]))
	if err := inside.visit(visit); err != nil {
		return err
	}
	// The checksum is compared when the end is read.
	switch n, err := io.ReadFull(z, tag[:1]); {
	case n > 0:
		return fmt.Errorf("%s: the data goes on; expected it to end with the array", inside.place(inside.at))
	case !errors.Is(err, io.EOF):
		return damaged(err)
	}
	if _, err := io.Copy(io.Discard, packed); err != nil {
		return fmt.Errorf("%s: %w", s.place(at), err)
	}
	s.at += size
	return nil
}
