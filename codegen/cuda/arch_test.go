package cuda

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNearest(t *testing.T) {
	for _, c := range []struct {
		major, minor int
		want         string
	}{
		{8, 0, "sm_80"}, {8, 6, "sm_86"}, {8, 7, "sm_86"}, {8, 9, "sm_89"}, {9, 0, "sm_90"}, {10, 0, "sm_100"}, {10, 3, "sm_100"}, {12, 0, "sm_120"}, {12, 1, "sm_120"}, {13, 0, "sm_120"},
	} {
		got, err := Nearest(c.major, c.minor)
		require.NoError(t, err)
		require.Equal(t, c.want, got, "%d.%d", c.major, c.minor)
	}
	_, err := Nearest(7, 5)
	require.EqualError(t, err, "a GPU of compute capability 7.5 is older than sm_80, the first that kernels are written for")
}

// TestCard names a card of its own for each architecture.
func TestCard(t *testing.T) {
	seen := map[string]bool{}
	for _, name := range Archs() {
		card, err := Card(name)
		require.NoError(t, err)
		require.NotEmpty(t, card)
		require.False(t, seen[card], card)
		seen[card] = true
	}
	_, err := Card("sm_75")
	require.EqualError(t, err, `unknown GPU architecture "sm_75"; kernels are written for sm_80, sm_86, sm_89, sm_90, sm_100, sm_120`)
}
