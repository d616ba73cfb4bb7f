package data

import (
	"fmt"
	"math"
)

// Normalize turns a byte of channel c into the number that the network sees:
//
//	value = (byte - Mean[c]) * Scale[c]
//
// Mean is in units of bytes, 0 to 255. The product is rounded once and the
// difference once, so every target gets the same bits.
type Normalize struct {
	Mean, Scale [3]float32
}

// MeanStd returns the normalisation that subtracts mean and divides by std,
// both in units of bytes. A std of 0 is refused by NewLoader.
func MeanStd(mean, std [3]float32) Normalize {
	n := Normalize{Mean: mean}
	for c, s := range std {
		n.Scale[c] = 1 / s
	}
	return n
}

// CIFARMeanStd returns the mean and the standard deviation that the reference
// uses for CIFAR-10 and for CIFAR-100 alike (results with this normalisation
// are in the paper's Table 5).
func CIFARMeanStd() Normalize {
	return MeanStd([3]float32{125.3, 123.0, 113.9}, [3]float32{63.0, 62.1, 66.7})
}

// MeanStdOf returns the normalisation by the mean and the standard deviation of a
// set's own bytes, channel by channel. The sums are of whole numbers, so they are
// exact. A channel that has one value only becomes 0 everywhere.
func MeanStdOf(s *Set) Normalize {
	var counts [3][256]uint64
	channels := min(s.C, len(counts))
	for i := range len(s.Images) / max(s.C, 1) {
		for c := range channels {
			counts[c][s.Images[i*s.C+c]]++
		}
	}
	mean, std := [3]float32{}, [3]float32{1, 1, 1}
	for c := range channels {
		var n, sum, squares float64 // below 2^53: exact
		for b, k := range counts[c] {
			n += float64(k)
			sum += float64(k) * float64(b)
			squares += float64(k) * float64(b) * float64(b)
		}
		if n == 0 {
			continue
		}
		m := sum / n
		mean[c] = float32(m)
		if counts[c][int(m)] < uint64(n) { // else all are equal, and what is left is rounding
			std[c] = float32(math.Sqrt(squares/n - m*m))
		}
	}
	return MeanStd(mean, std)
}

// Scale255 returns the normalisation to [0, 1] that the paper uses for SVHN:
// byte/255.
func Scale255() Normalize {
	const s = float32(1) / 255
	return Normalize{Scale: [3]float32{s, s, s}}
}

// table holds the value of every byte, one row a channel.
type table [3][256]float32

func (n Normalize) table() *table {
	var t table
	for c := range t {
		for b := range t[c] {
			t[c][b] = (float32(b) - n.Mean[c]) * n.Scale[c]
		}
	}
	return &t
}

// Apply writes what pictures of up to three channels become, in their order, to dst,
// as long as src: a Loader's bits.
func (n Normalize) Apply(dst []float32, src []byte, channels int) {
	t := n.table()
	for i, b := range src {
		dst[i] = t[i%channels][b]
	}
}

// Values returns what each byte becomes in each of the first channels: rows of
// 256 values. A device that normalises by this table gets a Loader's bits.
func (n Normalize) Values(channels int) []float32 {
	t := n.table()
	values := make([]float32, 0, 256*channels)
	for c := range channels {
		values = append(values, t[c][:]...)
	}
	return values
}

// Check refuses a normalisation under which some of the given number of
// channels would be blank or not finite.
func (n Normalize) Check(channels int) error {
	if channels > len(n.Scale) {
		return fmt.Errorf("normalize: pictures of %d channels; at most %d are supported", channels, len(n.Scale))
	}
	for c := range channels {
		m, s := float64(n.Mean[c]), float64(n.Scale[c])
		if math.IsNaN(m) || math.IsInf(m, 0) || math.IsNaN(s) || math.IsInf(s, 0) || s == 0 {
			return fmt.Errorf("normalize: channel %d has mean %g and scale %g; expected finite numbers and a scale other than 0 (MeanStd, CIFARMeanStd and Scale255 make them)", c, m, s)
		}
	}
	return nil
}
