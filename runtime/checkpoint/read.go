package checkpoint

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
)

// maxDataBytes bounds what Read takes into memory. The largest network of the
// paper with its momentum is about 1 GiB.
const maxDataBytes = 64 << 30

// File is the content of a checkpoint.
type File struct {
	Path     string
	Tensors  []Tensor          // in the order of the file
	Metadata map[string]string // empty if the file has none

	byName map[string]int
}

// Read is [ReadIf] of a file that is read whatever tensors it has.
func Read(path string) (*File, error) {
	return ReadIf(path, func(*File) error { return nil })
}

// ReadIf reads a safetensors file. The file is not trusted: the header's length,
// every key, dtype, shape and offset is checked against the file's size before
// memory is taken for the data, and the tensors must cover the data exactly once.
// Then fits is asked about a file whose tensors have no data yet; what it does not
// want is not read, and its error is returned as it is. The other errors name the
// file, the tensor, and what was expected and found.
func ReadIf(path string, fits func(header *File) error) (*File, error) {
	r, size, err := open(path)
	if err != nil {
		return nil, err
	}
	defer r.Close() // nothing was written, so a failure to close says nothing about the content
	return decode(path, r, size, fits)
}

// ReadHeader is [ReadIf] without the data of the tensors.
func ReadHeader(path string) (*File, error) {
	r, size, err := open(path)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return decodeHeader(path, r, size)
}

// open opens a file to read its size bytes.
func open(path string) (r *os.File, size int64, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, 0, fmt.Errorf("read checkpoint: %w", err)
	}
	if !info.Mode().IsRegular() { // to open a pipe would wait for who writes to it
		return nil, 0, fmt.Errorf("%s: not a file; expected a safetensors file", path)
	}
	if r, err = os.Open(path); err != nil {
		return nil, 0, fmt.Errorf("read checkpoint: %w", err)
	}
	return r, info.Size(), nil
}

// decode reads the size bytes of r.
func decode(path string, r io.Reader, size int64, fits func(header *File) error) (*File, error) {
	file, err := decodeHeader(path, r, size)
	if err != nil {
		return nil, err
	}
	if err := fits(file); err != nil {
		return nil, err
	}
	for i := range file.Tensors {
		t := &file.Tensors[i]
		size, err := byteSize(t.DType, t.Shape)
		if err == nil {
			t.Data = make([]byte, size)
			_, err = io.ReadFull(r, t.Data)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: tensor %s: its data: %w", path, quote(t.Name), err)
		}
	}
	return file, nil
}

// decodeHeader reads what lies before the data in the size bytes of r.
func decodeHeader(path string, r io.Reader, size int64) (*File, error) {
	h, err := readHeader(r, size)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	file := &File{
		Path:     path,
		Tensors:  make([]Tensor, len(h.entries)),
		Metadata: h.metadata,
		byName:   make(map[string]int, len(h.entries)),
	}
	for i, e := range h.entries {
		file.Tensors[i] = Tensor{Name: e.name, DType: e.dtype, Shape: e.shape}
		file.byName[e.name] = i
	}
	return file, nil
}

// readHeader reads the header's length and the header.
func readHeader(r io.Reader, size int64) (*header, error) {
	var prefix [8]byte
	if size < int64(len(prefix)) {
		return nil, fmt.Errorf("the file has %d bytes; a safetensors file begins with 8 bytes of header length", size)
	}
	if _, err := io.ReadFull(r, prefix[:]); err != nil {
		return nil, fmt.Errorf("header length: %w", err)
	}
	headerBytes := binary.LittleEndian.Uint64(prefix[:])
	if headerBytes > maxHeaderBytes {
		return nil, fmt.Errorf("header length is %d; at most %d is allowed: not a safetensors file, or a damaged one", headerBytes, maxHeaderBytes)
	}
	if left := size - int64(len(prefix)); int64(headerBytes) > left {
		return nil, fmt.Errorf("header length is %d, but only %d bytes follow it; the file is cut short", headerBytes, left)
	}
	text := make([]byte, headerBytes)
	if _, err := io.ReadFull(r, text); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	dataBytes := size - int64(len(prefix)) - int64(headerBytes)
	h, err := parseHeader(text, dataBytes)
	if err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	if dataBytes > maxDataBytes || dataBytes > math.MaxInt {
		return nil, fmt.Errorf("the file has %d bytes of data; at most %d are read", dataBytes, int64(maxDataBytes))
	}
	return h, nil
}

// Tensor returns the tensor of that name, and whether there is one.
func (f *File) Tensor(name string) (Tensor, bool) {
	i, ok := f.byName[name]
	if !ok {
		return Tensor{}, false
	}
	return f.Tensors[i], true
}

// Check tells whether there is a tensor of that name, of exactly that shape and
// F32, F16 or BF16. The error is for the user of a checkpoint that does not fit the
// network.
func (f *File) Check(name string, shape []int) error {
	t, ok := f.Tensor(name)
	if !ok {
		return fmt.Errorf("%s: no tensor %s among its %d; the checkpoint is of another network", f.Path, quote(name), len(f.Tensors))
	}
	if !slices.Equal(t.Shape, shape) {
		return fmt.Errorf("%s: tensor %s: expected shape %v, found %v; the checkpoint is of another network", f.Path, quote(name), shape, t.Shape)
	}
	if err := t.isFloat(); err != nil {
		return fmt.Errorf("%s: %w", f.Path, err)
	}
	return nil
}

// Float32s returns the elements of the tensor of that name, on which [File.Check]
// has nothing to say.
func (f *File) Float32s(name string, shape []int) ([]float32, error) {
	if err := f.Check(name, shape); err != nil {
		return nil, err
	}
	t, _ := f.Tensor(name) // it is there
	values, err := t.Float32s()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Path, err)
	}
	return values, nil
}
