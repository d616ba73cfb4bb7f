package data

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// numbered returns a set whose every byte differs from its neighbours in all
// directions, with labels 0..2 in turn.
func numbered(n, h, w, c int) *Set {
	s := &Set{
		Name: "numbered", Classes: []string{"a", "b", "c"}, H: h, W: w, C: c,
		Images: make([]byte, n*h*w*c), Labels: make([]int32, n),
	}
	for i := range s.Images {
		s.Images[i] = byte(i*37 + i/251)
	}
	for i := range s.Labels {
		s.Labels[i] = int32(i % 3)
	}
	return s
}

func TestSetImage(t *testing.T) {
	s := numbered(3, 2, 5, 3)
	require.Equal(t, 3, s.Len())
	require.Equal(t, s.Images[30:60], s.Image(1))
	require.Equal(t, 30, cap(s.Image(1)), "appending must not reach the next picture")
}

func TestSetCheck(t *testing.T) {
	require.NoError(t, numbered(3, 2, 5, 3).Check())
	require.NoError(t, (&Set{H: 1, W: 1, C: 1}).Check())
	cases := map[string]struct {
		spoil func(*Set)
		want  string
	}{
		"no height":       {func(s *Set) { s.H = 0 }, `data set "numbered": pictures of 0x5 with 3 channels; height, width and channels must be at least 1`},
		"a byte too many": {func(s *Set) { s.Images = append(s.Images, 0) }, `data set "numbered": 91 bytes of pictures for 3 labels; expected 3 pictures of 2x5x3 bytes`},
		"a picture more":  {func(s *Set) { s.Images = append(s.Images, make([]byte, 30)...) }, `120 bytes of pictures for 3 labels`},
		"sizes overflow":  {func(s *Set) { s.H, s.W, s.C = 1<<30, 1<<30, 1<<30; s.Images = nil; s.Labels = s.Labels[:1] }, `0 bytes of pictures for 1 labels`},
		"label too big":   {func(s *Set) { s.Labels[2] = 3 }, `data set "numbered": picture 2 has label 3; expected 0 to 2`},
		"label negative":  {func(s *Set) { s.Labels[1] = -1 }, `picture 1 has label -1; expected 0 to 2`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := numbered(3, 2, 5, 3)
			c.spoil(s)
			require.ErrorContains(t, s.Check(), c.want)
		})
	}
}
