// Package datatest writes small files in the formats that package data reads.
// Only tests use it.
package datatest

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Array is an array of a MATLAB level-5 file: its numbers are the bytes Data, of
// element type Type.
type Array struct {
	Name  string
	Class byte
	Dims  []int32
	Type  uint32
	Data  []byte
}

// Order is a byte order in which numbers can be written too.
type Order interface {
	binary.ByteOrder
	binary.AppendByteOrder
}

// MAT returns a MATLAB level-5 file of the arrays, each compressed or none.
func MAT(order Order, compress bool, arrays ...Array) []byte {
	file := fmt.Appendf(nil, "%-124s", "MATLAB 5.0 MAT-file, written by a test")
	file = order.AppendUint16(file, 0x100)
	file = order.AppendUint16(file, 'M'<<8|'I')
	for _, a := range arrays {
		e := a.element(order)
		if compress {
			e = Compressed(order, e)
		}
		file = append(file, e...)
	}
	return file
}

// Compressed returns the compressed element that holds some bytes.
func Compressed(order Order, inside []byte) []byte {
	var packed bytes.Buffer
	z := zlib.NewWriter(&packed)
	_, err := z.Write(inside)
	if err = errors.Join(err, z.Close()); err != nil {
		panic(err) // a buffer takes everything
	}
	return append(order.AppendUint32(order.AppendUint32(nil, 15), uint32(packed.Len())), packed.Bytes()...)
}

func (a Array) element(order Order) []byte {
	var dims []byte
	for _, d := range a.Dims {
		dims = order.AppendUint32(dims, uint32(d))
	}
	inside := tagged(order, 6, order.AppendUint32(order.AppendUint32(nil, uint32(a.Class)), 0))
	inside = append(inside, tagged(order, 5, dims)...)
	inside = append(inside, tagged(order, 1, []byte(a.Name))...)
	inside = append(inside, tagged(order, a.Type, a.Data)...)
	return append(order.AppendUint32(order.AppendUint32(nil, 14), uint32(len(inside))), inside...)
}

// tagged returns an element with its padding; up to 4 bytes go into the tag.
func tagged(order Order, kind uint32, p []byte) []byte {
	if n := len(p); n > 0 && n <= 4 {
		return append(append(order.AppendUint32(nil, uint32(n)<<16|kind), p...), make([]byte, 4-n)...)
	}
	e := append(order.AppendUint32(order.AppendUint32(nil, kind), uint32(len(p))), p...)
	return append(e, make([]byte, (8-len(p)%8)%8)...)
}

// Pixel is the byte of picture i that Pictures writes at row y, column x and
// channel c.
func Pixel(i, y, x, c int) byte { return byte(i*37 + y*7 + x*3 + c*101) }

// Pictures returns SVHN's array X of n pictures.
func Pictures(n int) Array {
	x := Array{Name: "X", Class: 9, Dims: []int32{32, 32, 3, int32(n)}, Type: 2}
	for i := range n * 3072 {
		x.Data = append(x.Data, Pixel(i/3072, i%32, i/32%32, i/1024%3))
	}
	return x
}

// Labels returns SVHN's array y of n labels 1, 2 to 10, 1, ...
func Labels(n int) Array {
	y := Array{Name: "y", Class: 9, Dims: []int32{int32(n), 1}, Type: 2}
	for i := range n {
		y.Data = append(y.Data, byte(i%10+1))
	}
	return y
}

// WriteSVHN writes SVHN's three files, of n pictures each, to a folder.
func WriteSVHN(dir string, compress bool, n int) error {
	for _, name := range []string{"train", "extra", "test"} {
		file := MAT(binary.LittleEndian, compress, Pictures(n), Labels(n))
		if err := os.WriteFile(filepath.Join(dir, name+"_32x32.mat"), file, 0o666); err != nil {
			return err
		}
	}
	return nil
}
