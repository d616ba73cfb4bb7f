package data

import (
	"hash/fnv"
	"testing"

	"github.com/stretchr/testify/require"
)

// The known answers that the authors publish with their library (Random123, kat_vectors).
func TestPhiloxKnownAnswers(t *testing.T) {
	cases := []struct {
		counter [4]uint32
		key     [2]uint32
		want    [4]uint32
	}{
		{[4]uint32{}, [2]uint32{}, [4]uint32{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
		{
			[4]uint32{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, [2]uint32{0xffffffff, 0xffffffff},
			[4]uint32{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
		},
		{
			[4]uint32{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, [2]uint32{0xa4093822, 0x299f31d0},
			[4]uint32{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1},
		},
	}
	for _, c := range cases {
		require.Equal(t, c.want, philox(c.counter, c.key))
	}
}

func TestStreamsAreHashesOfTheirNames(t *testing.T) {
	for name, s := range map[string]stream{"shuffle": streamShuffle, "augment": streamAugment, "digits": streamDigits} {
		h := fnv.New32a()
		h.Write([]byte(name))
		require.Equal(t, stream(h.Sum32()), s, name)
	}
}

func TestWordsUseEveryArgument(t *testing.T) {
	base := words(1, streamShuffle, 2, 3)
	require.NotEqual(t, base, words(1+1<<32, streamShuffle, 2, 3))
	require.NotEqual(t, base, words(1, streamAugment, 2, 3))
	require.NotEqual(t, base, words(1, streamShuffle, 3, 3))
	require.NotEqual(t, base, words(1, streamShuffle, 2, 3+1<<32))
}

func TestBelow(t *testing.T) {
	require.Equal(t, 0, below(0, 9))
	require.Equal(t, 8, below(0xffffffff, 9))
	require.Equal(t, 0, below(0xffffffff, 1))
}

func TestShuffleIsAPermutation(t *testing.T) {
	for _, n := range []int{0, 1, 2, 5, 64, 1001} {
		order := make([]int32, n)
		shuffle(order, 7, 3)
		seen := make([]bool, n)
		for _, k := range order {
			require.False(t, seen[k])
			seen[k] = true
		}
	}
}

// Each of the 24 orders of four things turns up about equally often.
func TestShuffleIsEven(t *testing.T) {
	count := map[[4]int32]int{}
	const rounds = 24000
	for e := range uint32(rounds) {
		var order [4]int32
		shuffle(order[:], 11, e)
		count[order]++
	}
	require.Len(t, count, 24)
	for order, n := range count {
		require.InDelta(t, rounds/24, n, 160, "%v", order) // five standard deviations
	}
}
