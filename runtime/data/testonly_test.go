package data

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/runtime/data/datatest"
)

// TestTestOnly reads the pictures to measure with, the same as beside those of
// training, which need not be there.
func TestTestOnly(t *testing.T) {
	same := func(whole, test *Source, err error) {
		t.Helper()
		require.NoError(t, err)
		require.Nil(t, test.Train)
		require.Equal(t, whole.Test, test.Test)
	}
	dir, set := cifarFolder(t, "")
	whole, err := set.open(dir, false)
	require.NoError(t, err)
	require.NoError(t, os.Remove(filepath.Join(dir, "data_batch_1.bin")))
	test, err := set.open(dir, true)
	same(whole, test, err)

	dir = t.TempDir()
	require.NoError(t, datatest.WriteSVHN(dir, true, 5))
	whole, err = OpenSVHN(dir)
	require.NoError(t, err)
	require.NoError(t, os.Remove(filepath.Join(dir, "extra_32x32.mat")))
	test, err = OpenSVHNTest(dir)
	same(whole, test, err)
	require.Len(t, test.Notes, 1)
	require.NoError(t, os.Remove(filepath.Join(dir, "test_32x32.mat")))
	_, err = OpenSVHNTest(dir)
	require.ErrorContains(t, err, "svhn: the data is not there: expected test_32x32.mat; looked in ")
	require.ErrorContains(t, err, "download it from ")

	dir = t.TempDir()
	require.NoError(t, datatest.WriteFolder(dir, 2, 20))
	put(t, []byte("a broken one is not opened"), dir, "train", "a", "x.png")
	f, err := ScanFolder(dir)
	require.NoError(t, err)
	_, err = f.Read(32, 32)
	require.ErrorContains(t, err, "x.png: byte 0")
	test, err = f.ReadTest(32, 32)
	require.NoError(t, err)
	require.NoError(t, os.Remove(filepath.Join(dir, "train", "a", "x.png")))
	whole, err = readFolder(dir)
	require.NoError(t, err)
	same(whole, test, err)
	require.Contains(t, test.Notes[1], "6 of the 6 pictures in ")
}

// TestListPictures lists what is in folders, in order.
func TestListPictures(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"b/2.JPG", "a.png", "b/1.jpeg", "b/.hidden.png", "b/notes.txt"} {
		put(t, nil, dir, filepath.FromSlash(name))
	}
	paths, err := ListPictures(dir + "/")
	require.NoError(t, err)
	require.Equal(t, []string{filepath.Join(dir, "a.png"), filepath.Join(dir, "b", "1.jpeg"), filepath.Join(dir, "b", "2.JPG")}, paths)
	_, err = ListPictures(put(t, nil, dir, "c", "none.txt") + "/..")
	require.ErrorContains(t, err, "there is no picture in it; expected files that end in .jpg, .jpeg or .png")
	require.NoError(t, os.Symlink(dir, filepath.Join(dir, "b", "loop")))
	_, err = ListPictures(dir)
	require.ErrorContains(t, err, "folders lie within folders 8 deep")
}

// TestApply gives a Loader's bits.
func TestApply(t *testing.T) {
	set := &Set{Name: "x", Classes: []string{"0"}, H: 4, W: 64, C: 3, Images: make([]byte, 768), Labels: []int32{0}}
	for i := range set.Images {
		set.Images[i] = byte(i)
	}
	for _, n := range []Normalize{CIFARMeanStd(), Scale255()} {
		l, err := NewLoader(set, LoaderOptions{Batch: 1, Normalize: n})
		require.NoError(t, err)
		got := make([]float32, len(set.Images))
		n.Apply(got, set.Images, 3)
		for _, b := range l.Epoch(0, 0) {
			require.Equal(t, b.Images, got)
		}
	}
}
