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
	Tensors  []Tensor          // in the order of the file; their Data share one block
	Metadata map[string]string // empty if the file has none

	byName map[string]int
}

// Read reads a safetensors file. The file is not trusted: the header's length,
// every key, dtype, shape and offset is checked against the file's size before
// memory is taken for the data, and the tensors must cover the data exactly once.
// An error names the file, the tensor, and what was expected and found.
func Read(path string) (*File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read checkpoint: %w", err)
	}
	if !info.Mode().IsRegular() { // to open a pipe would wait for who writes to it
		return nil, fmt.Errorf("%s: not a file; expected a safetensors file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read checkpoint: %w", err)
	}
	file, err := decode(f, info.Size())
	// Nothing was written, so a failure to close says nothing about the content.
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	file.Path = path
	return file, nil
}

// decode reads the size bytes of r.
func decode(r io.Reader, size int64) (*File, error) {
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
	data := make([]byte, dataBytes)
	if _, err := io.ReadFull(r, data); err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	file := &File{
		Tensors:  make([]Tensor, len(h.entries)),
		Metadata: h.metadata,
		byName:   make(map[string]int, len(h.entries)),
	}
	for i, e := range h.entries {
		// The third index keeps an append to one tensor out of the next.
		file.Tensors[i] = Tensor{Name: e.name, DType: e.dtype, Shape: e.shape, Data: data[e.begin:e.end:e.end]}
		file.byName[e.name] = i
	}
	return file, nil
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
