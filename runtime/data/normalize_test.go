package data

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCIFARMeanStd(t *testing.T) {
	values := CIFARMeanStd().table()
	mean, std := [3]float64{125.3, 123.0, 113.9}, [3]float64{63.0, 62.1, 66.7}
	for c := range 3 {
		for b := range 256 {
			require.InDelta(t, (float64(b)-mean[c])/std[c], values[c][b], 1e-6)
		}
	}
}

func TestScale255(t *testing.T) {
	values := Scale255().table()
	for c := range 3 {
		require.Zero(t, values[c][0])
		require.Equal(t, float32(1), values[c][255])
		require.InDelta(t, 100.0/255, values[c][100], 1e-7)
	}
}

func TestValuesAreRowsOfTheTable(t *testing.T) {
	n := CIFARMeanStd()
	require.Len(t, n.Values(2), 512)
	require.Equal(t, n.table()[0][:], n.Values(2)[:256])
	require.Equal(t, n.table()[1][:], n.Values(2)[256:])
}

func TestNormalizeCheck(t *testing.T) {
	require.NoError(t, CIFARMeanStd().Check(3))
	require.NoError(t, Normalize{Scale: [3]float32{1, 0, 0}}.Check(1), "channels that are not there do not count")
	require.ErrorContains(t, Normalize{}.Check(1), "normalize: channel 0 has mean 0 and scale 0; expected finite numbers and a scale other than 0")
	require.ErrorContains(t, MeanStd([3]float32{}, [3]float32{1, 0, 1}).Check(3), "channel 1 has mean 0 and scale +Inf")
	require.ErrorContains(t, Normalize{Mean: [3]float32{0, 0, float32(math.NaN())}, Scale: [3]float32{1, 1, 1}}.Check(3), "channel 2 has mean NaN")
	require.ErrorContains(t, Scale255().Check(4), "pictures of 4 channels; at most 3 are supported")
}

func TestMeanStdOf(t *testing.T) {
	s := &Set{Name: "two", Classes: []string{"a"}, H: 1, W: 2, C: 3, Labels: []int32{0, 0},
		Images: []byte{0, 10, 255, 2, 10, 255, 4, 30, 255, 6, 30, 0}}
	n := MeanStdOf(s)
	require.Equal(t, [3]float32{3, 20, 191.25}, n.Mean)
	require.InDelta(t, 1/math.Sqrt(5), n.Scale[0], 1e-7)
	require.InDelta(t, 0.1, n.Scale[1], 1e-7)
	require.NoError(t, n.Check(3))

	// A channel of one value, and no pictures at all.
	s.Images = []byte{7, 1, 0, 7, 2, 0, 7, 3, 0, 7, 4, 255}
	n = MeanStdOf(s)
	require.NoError(t, n.Check(3))
	require.Zero(t, n.table()[0][7])
	s.Images, s.Labels = nil, nil
	require.NoError(t, MeanStdOf(s).Check(3))
}
