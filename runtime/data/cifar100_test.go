package data

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// fineRecords returns n records of CIFAR-100's binary layout.
func fineRecords(n int) []byte {
	var all []byte
	for i := range n {
		all = append(all, byte(i%20), byte((i*7)%100))
		for k := range cifarPixels {
			all = append(all, byte(k*31+i*11))
		}
	}
	return all
}

func TestOpenCIFAR100(t *testing.T) {
	for _, sub := range []string{"", "cifar-100-binary"} {
		dir := t.TempDir()
		set := cifar100()
		set.files = []binaryFile{{"train.bin", "", 5}, {"test.bin", "", 3}}
		require.NoError(t, os.MkdirAll(filepath.Join(dir, sub), 0o755))
		for _, f := range set.files {
			require.NoError(t, os.WriteFile(filepath.Join(dir, sub, f.name), fineRecords(f.records), 0o644))
		}
		src, err := set.open(dir, false)
		require.NoError(t, err)
		require.NoError(t, src.Train.Check())
		require.NoError(t, src.Test.Check())
		require.Equal(t, []int32{0, 7, 14, 21, 28}, src.Train.Labels)
		require.Len(t, src.Train.Classes, 100)
		require.Equal(t, "cifar100 test", src.Test.Name)
		raw := fineRecords(3)[2*(2+cifarPixels)+2:]
		require.Equal(t, []byte{raw[33], raw[cifarPlane+33], raw[2*cifarPlane+33]}, src.Test.Image(2)[99:102])
	}
}

func TestOpenCIFAR100PublishedSizes(t *testing.T) {
	set := cifar100()
	require.EqualValues(t, 153700000, set.size(set.files[0]))
	require.EqualValues(t, 30740000, set.size(set.files[1]))
}

func TestOpenCIFAR100Mistakes(t *testing.T) {
	_, err := OpenCIFAR100(t.TempDir())
	require.ErrorContains(t, err, "cifar100: the data is not there: expected train.bin, test.bin; looked in ")
	require.ErrorContains(t, err, "download cifar-100-binary.tar.gz from https://www.cs.toronto.edu/~kriz/cifar.html")

	dir := t.TempDir()
	for _, name := range []string{"train.bin", "test.bin"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), fineRecords(2), 0o644))
	}
	_, err = OpenCIFAR100(dir)
	require.ErrorContains(t, err, "train.bin: the file has 6148 bytes; expected 153700000 (50000 records of 3074 bytes)")

	coarse, fine := fineRecords(2), fineRecords(2)
	coarse[3074], fine[3075] = 20, 100
	require.EqualError(t, cifar100().read(bytes.NewReader(coarse), 2, &Set{}), "byte 3074, the coarse label of record 1, is 20; expected 0 to 19")
	require.EqualError(t, cifar100().read(bytes.NewReader(fine), 2, &Set{}), "byte 3075, the fine label of record 1, is 100; expected 0 to 99")
}

// The published test half, where WRNC_DATA names a folder that has it: every
// class has 100 pictures, and the file's MD5 sum is right.
func TestRealCIFAR100Test(t *testing.T) {
	dir := os.Getenv("WRNC_DATA")
	if dir == "" {
		t.Skip("WRNC_DATA names no folder with cifar-100-binary/test.bin")
	}
	set := cifar100()
	test, err := set.readFiles("test", filepath.Join(dir, set.folder), set.files[1:])
	require.NoError(t, err)
	require.NoError(t, test.Check())
	counts := make([]int, 100)
	for _, label := range test.Labels {
		counts[label]++
	}
	for class, n := range counts {
		require.Equal(t, 100, n, test.Classes[class])
	}
}
