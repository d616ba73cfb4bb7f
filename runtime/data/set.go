// Package data holds the pictures that a network is trained on, and hands them
// out in batches.
//
//	CIFAR's files    ─┐
//	SVHN's files      ├─> Source{Train, Test *Set} ─> Loader ─> Batch, Batch, ...
//	class folders     │      uint8, NHWC              shuffle, augment, normalise: float32, NHWC
//	Digits()         ─┘
//
// Everything random is a function of (seed, epoch, sample) and of nothing else:
// not of the order of calls, of the time or of the number of threads. A run
// that stops in the middle of an epoch can therefore go on with the very batch
// that it would have seen next.
package data

import (
	"fmt"
	"math"
)

// Set is a list of labelled pictures of one size, held in memory as bytes.
type Set struct {
	// Name says which data and which part of it, as in "cifar10 train".
	Name string
	// Classes names the classes; a label is an index into it.
	Classes []string
	// H, W and C are the height, the width and the number of channels of every picture.
	H, W, C int
	// Images holds the pictures one after another, N*H*W*C bytes in NHWC order.
	Images []byte
	// Labels holds the class of each picture; its length is N.
	Labels []int32
}

// Source is a data set as it is published: the pictures to learn from, and
// those to measure with.
type Source struct {
	Train, Test *Set
	// Notes are what a user should know of the data before it is trained on: each
	// a sentence without a full stop.
	Notes []string
}

// Len returns N, the number of pictures.
func (s *Set) Len() int { return len(s.Labels) }

// Image returns the bytes of picture i, H*W*C of them in HWC order. The slice
// is part of Images.
func (s *Set) Image(i int) []byte {
	n := s.H * s.W * s.C
	return s.Images[i*n : (i+1)*n : (i+1)*n]
}

// Check reports the first way in which the fields of s contradict each other:
// a size below 1, a number of bytes that is not N*H*W*C, or a label that names
// no class.
func (s *Set) Check() error {
	if s.H < 1 || s.W < 1 || s.C < 1 || s.H > math.MaxInt32 || s.W > math.MaxInt32 || s.C > math.MaxInt32 {
		return fmt.Errorf("data set %q: pictures of %dx%d with %d channels; height, width and channels must be at least 1", s.Name, s.H, s.W, s.C)
	}
	if s.Len() > math.MaxInt32 {
		return fmt.Errorf("data set %q: %d pictures; at most %d can be numbered", s.Name, s.Len(), math.MaxInt32)
	}
	// Division, because a product of sizes that someone else chose may overflow.
	rest := len(s.Images)
	for _, size := range []int{s.H, s.W, s.C} {
		if rest%size != 0 {
			rest = -1
			break
		}
		rest /= size
	}
	if rest != s.Len() {
		return fmt.Errorf("data set %q: %d bytes of pictures for %d labels; expected %d pictures of %dx%dx%d bytes",
			s.Name, len(s.Images), s.Len(), s.Len(), s.H, s.W, s.C)
	}
	for i, label := range s.Labels {
		if label < 0 || int(label) >= len(s.Classes) {
			return fmt.Errorf("data set %q: picture %d has label %d; expected 0 to %d", s.Name, i, label, len(s.Classes)-1)
		}
	}
	return nil
}
