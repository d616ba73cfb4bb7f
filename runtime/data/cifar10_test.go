package data

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

// records returns n records of CIFAR-10's binary layout in which every byte
// says where it stands.
func records(n, seed int) []byte {
	var all []byte
	for i := range n {
		all = append(all, byte((i+seed)%10))
		for k := range cifarPixels {
			all = append(all, byte(k*31+k/cifarPlane*7+i*11+seed))
		}
	}
	return all
}

// cifarRecord is the size of CIFAR-10's records.
const cifarRecord = 1 + cifarPixels

// cifarFolder writes a small data set of three files and returns its folder
// and description.
func cifarFolder(t *testing.T, sub string) (string, cifarSet) {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, sub), 0o755))
	set := cifar10()
	set.files = nil
	for i, name := range []string{"data_batch_1.bin", "data_batch_2.bin", "test_batch.bin"} {
		content := records(i+2, i)
		sum := md5.Sum(content)
		set.files = append(set.files, binaryFile{name, hex.EncodeToString(sum[:]), i + 2})
		require.NoError(t, os.WriteFile(filepath.Join(dir, sub, name), content, 0o644))
	}
	return dir, set
}

func TestOpenCIFAR10(t *testing.T) {
	for _, sub := range []string{"", cifar10().folder} {
		dir, set := cifarFolder(t, sub)
		src, err := set.open(dir, false)
		require.NoError(t, err)
		require.NoError(t, src.Train.Check())
		require.NoError(t, src.Test.Check())
		require.Equal(t, []int32{0, 1, 1, 2, 3}, src.Train.Labels)
		require.Equal(t, []int32{2, 3, 4, 5}, src.Test.Labels)
		require.Equal(t, "cifar10 test", src.Test.Name)
		require.Len(t, src.Train.Classes, 10)
		// Picture 3 of the training part is record 1 of the second file.
		raw := records(3, 1)[cifarRecord+1 : 2*cifarRecord]
		for y := range 32 {
			for x := range 32 {
				for c := range 3 {
					require.Equal(t, raw[c*1024+y*32+x], src.Train.Image(3)[(y*32+x)*3+c])
				}
			}
		}
	}
}

func TestOpenCIFAR10PublishedSizes(t *testing.T) {
	for _, f := range cifar10().files {
		require.EqualValues(t, 30730000, cifar10().size(f))
		require.Len(t, f.md5, 32)
	}
}

func TestOpenCIFAR10NotThere(t *testing.T) {
	dir := t.TempDir()
	_, err := OpenCIFAR10(dir)
	require.EqualError(t, err, "cifar10: the data is not there: expected data_batch_1.bin, data_batch_2.bin, data_batch_3.bin, data_batch_4.bin, data_batch_5.bin, test_batch.bin; "+
		"looked in "+dir+" (none of them) and "+filepath.Join(dir, cifar10().folder)+" (none of them); "+
		"to get them, download cifar-10-binary.tar.gz from https://www.cs.toronto.edu/~kriz/cifar.html and unpack it in "+dir)
}

func TestOpenCIFAR10Damage(t *testing.T) {
	cases := map[string]struct {
		spoil func(t *testing.T, path string)
		want  string
	}{
		"missing": {func(t *testing.T, path string) { require.NoError(t, os.Remove(path)) }, "(without data_batch_2.bin)"},
		"short": {func(t *testing.T, path string) { require.NoError(t, os.Truncate(path, 9218)) },
			"data_batch_2.bin: the file has 9218 bytes; expected 9219 (3 records of 3073 bytes)"},
		"long": {func(t *testing.T, path string) { require.NoError(t, os.Truncate(path, 9220)) }, "the file has 9220 bytes; expected 9219"},
		"pixel": {func(t *testing.T, path string) { change(t, path, 9218, 0xee) },
			"data_batch_2.bin: the file is damaged: its MD5 sum is "},
		"label": {func(t *testing.T, path string) { change(t, path, 3073, 10) },
			"data_batch_2.bin: byte 3073, the label of record 1, is 10; expected 0 to 9"},
		"folder": {func(t *testing.T, path string) {
			require.NoError(t, os.Remove(path))
			require.NoError(t, os.Mkdir(path, 0o755))
		}, "data_batch_2.bin: not a regular file"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			dir, set := cifarFolder(t, cifar10().folder)
			c.spoil(t, filepath.Join(dir, cifar10().folder, "data_batch_2.bin"))
			src, err := set.open(dir, false)
			require.ErrorContains(t, err, c.want)
			require.Nil(t, src)
		})
	}
}

// change sets one byte of a file.
func change(t *testing.T, path string, at int, to byte) {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NotEqual(t, to, content[at])
	content[at] = to
	require.NoError(t, os.WriteFile(path, content, 0o644))
}

func TestReadCIFAR10Errors(t *testing.T) {
	broken := errors.New("the disk is on fire")
	cases := map[string]struct {
		r       io.Reader
		records int
		want    string
	}{
		"empty":       {bytes.NewReader(nil), 1, "the data ends at byte 0, in record 0; expected 1 records of 3073 bytes"},
		"short":       {bytes.NewReader(records(2, 0)[:4000]), 2, "the data ends at byte 4000, in record 1; expected 2 records"},
		"long":        {bytes.NewReader(records(2, 0)), 1, "the data goes on at byte 3073; expected it to end after 1 records"},
		"huge count":  {bytes.NewReader(records(1, 0)), 1 << 60, "the data ends at byte 3073, in record 1"},
		"read fails":  {io.MultiReader(bytes.NewReader(make([]byte, 100)), iotest.ErrReader(broken)), 1, "byte 100: the disk is on fire"},
		"fails after": {io.MultiReader(bytes.NewReader(records(1, 0)), iotest.ErrReader(broken)), 1, "byte 3073: the disk is on fire"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			require.ErrorContains(t, cifar10().read(c.r, c.records, &Set{}), c.want)
		})
	}
}

func TestReadCIFAR10ByteByByte(t *testing.T) {
	var whole, slow Set
	require.NoError(t, cifar10().read(bytes.NewReader(records(3, 5)), 3, &whole))
	require.NoError(t, cifar10().read(iotest.OneByteReader(bytes.NewReader(records(3, 5))), 3, &slow))
	require.Equal(t, whole, slow)
}

// The inputs are large, and making them smaller takes the tool long: run it with
// -fuzzminimizetime 5x.
func FuzzCIFAR10(f *testing.F) {
	f.Add(records(1, 0), 1)
	f.Add(records(2, 8), 2)
	f.Add(records(1, 3)[:1000], 1)
	f.Add([]byte{}, 0)
	f.Fuzz(func(t *testing.T, content []byte, count int) {
		set := Set{Classes: cifar10().classes, H: cifarSide, W: cifarSide, C: cifarChannels}
		err := cifar10().read(bytes.NewReader(content), count, &set)
		require.NoError(t, set.Check(), "what was read must be sound, whatever came after it")
		require.LessOrEqual(t, set.Len(), len(content)/cifarRecord)
		if err == nil && count >= 0 {
			require.Equal(t, count, set.Len())
			require.Len(t, content, count*cifarRecord)
		}
	})
}
