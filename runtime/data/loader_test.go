package data

import (
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// copied is a batch that outlives the loop.
type copied struct {
	number int
	images []float32
	labels []int32
	index  []int32
}

func collect(l *Loader, e, first int) []copied {
	var all []copied
	for b, batch := range l.Epoch(e, first) {
		all = append(all, copied{b, slices.Clone(batch.Images), slices.Clone(batch.Labels), slices.Clone(batch.Index)})
	}
	return all
}

func newLoader(t testing.TB, set *Set, opts LoaderOptions) *Loader {
	t.Helper()
	l, err := NewLoader(set, opts)
	require.NoError(t, err)
	return l
}

func everything(prefetch int) LoaderOptions {
	return LoaderOptions{
		Batch: 4, Seed: 3, Shuffle: true, Prefetch: prefetch, Normalize: CIFARMeanStd(),
		Augment: Augment{Flip: true, Pad: 2, Fill: FillReflect},
	}
}

func TestLoaderKeepsTheSetsOrder(t *testing.T) {
	set := numbered(10, 3, 5, 3)
	l := newLoader(t, set, LoaderOptions{Batch: 4, Normalize: Scale255()})
	got := collect(l, 0, 0)
	require.Len(t, got, 3)
	var index []int32
	values := Scale255().table()
	for b, batch := range got {
		require.Equal(t, b, batch.number)
		require.Len(t, batch.images, len(batch.index)*3*5*3)
		for i, k := range batch.index {
			require.Equal(t, set.Labels[k], batch.labels[i])
			for j, v := range set.Image(int(k)) {
				require.Equal(t, values[j%3][v], batch.images[i*45+j])
			}
		}
		index = append(index, batch.index...)
	}
	require.Equal(t, []int32{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, index)
}

// Pairs are an epoch's batches, each with the one after it; both can be read until the
// next pair is asked for, also where a loop within the loop goes through the set.
func TestLoaderPairs(t *testing.T) {
	const batches = 6
	for _, prefetch := range []int{0, 1, 2, 9} {
		l := newLoader(t, numbered(23, 5, 7, 3), everything(prefetch))
		whole := collect(l, 2, 0)
		require.Len(t, whole, batches)
		same := func(want copied, b *Batch) {
			t.Helper()
			require.Equal(t, want, copied{want.number, slices.Clone(b.Images), slices.Clone(b.Labels), slices.Clone(b.Index)})
		}
		for first := range batches + 2 {
			at := first
			for b, next := range l.Pairs(2, first) {
				time.Sleep(time.Millisecond) // the others are made meanwhile
				if first == 0 {
					require.Len(t, collect(l, 5, 0), batches)
				}
				same(whole[at], b)
				if at++; at < batches {
					same(whole[at], next)
				} else {
					require.Nil(t, next)
				}
			}
			require.Equal(t, max(first, batches), at)
		}
		for b, next := range l.Pairs(2, 1) {
			same(whole[1], b)
			same(whole[2], next)
			break
		}
		require.Equal(t, whole, collect(l, 2, 0), "a loop that was left must not spoil the next one")
	}
}

// Who makes the pictures elsewhere gets the same numbers and labels.
func TestLoaderOfNumbers(t *testing.T) {
	set := numbered(10, 5, 5, 3)
	for _, prefetch := range []int{0, 2} {
		opts := everything(prefetch)
		want := collect(newLoader(t, set, opts), 2, 1)
		opts.NumbersOnly = true
		got := collect(newLoader(t, set, opts), 2, 1)
		require.Len(t, got, len(want))
		for i := range want {
			require.Empty(t, got[i].images)
			require.Equal(t, want[i].index, got[i].index)
			require.Equal(t, want[i].labels, got[i].labels)
		}
	}
}

func TestLoaderCounts(t *testing.T) {
	cases := []struct {
		n, batch int
		drop     bool
		sizes    []int
	}{
		{10, 4, false, []int{4, 4, 2}},
		{10, 4, true, []int{4, 4}},
		{8, 4, false, []int{4, 4}},
		{8, 4, true, []int{4, 4}},
		{3, 7, false, []int{3}},
		{3, 3, true, []int{3}},
		{3, 1, true, []int{1, 1, 1}},
	}
	for _, c := range cases {
		for _, prefetch := range []int{0, 1, 9} {
			l := newLoader(t, numbered(c.n, 2, 2, 1), LoaderOptions{Batch: c.batch, DropLast: c.drop, Shuffle: true, Prefetch: prefetch, Normalize: Scale255()})
			require.Equal(t, len(c.sizes), l.Batches())
			for e := range 3 { // a short last batch must not shorten the next epoch's
				var sizes []int
				for _, batch := range l.Epoch(e, 0) {
					require.Len(t, batch.Images, batch.N*4)
					require.Len(t, batch.Labels, batch.N)
					require.Len(t, batch.Index, batch.N)
					sizes = append(sizes, batch.N)
				}
				require.Equal(t, c.sizes, sizes)
			}
		}
	}
}

func TestLoaderSeesEveryPictureOnceAnEpochInANewOrder(t *testing.T) {
	l := newLoader(t, numbered(103, 4, 3, 3), LoaderOptions{Batch: 10, Shuffle: true, Prefetch: 2, Normalize: Scale255()})
	var orders [][]int32
	for e := range 3 {
		var order []int32
		for _, b := range collect(l, e, 0) {
			order = append(order, b.index...)
		}
		sorted := slices.Sorted(slices.Values(order))
		for i, k := range sorted {
			require.EqualValues(t, i, k)
		}
		require.Len(t, sorted, 103)
		orders = append(orders, order)
	}
	require.NotEqual(t, orders[0], orders[1])
	require.NotEqual(t, orders[1], orders[2])
}

// The stream depends on seed and epoch alone: not on prefetching, on which
// epochs came before, or on another loop at the same time.
func TestLoaderIsRepeatable(t *testing.T) {
	set := numbered(23, 5, 7, 3)
	want := [][]copied{collect(newLoader(t, set, everything(0)), 0, 0), collect(newLoader(t, set, everything(0)), 1, 0)}
	require.NotEqual(t, want[0], want[1])
	other := everything(0)
	other.Seed++
	require.NotEqual(t, want[0], collect(newLoader(t, set, other), 0, 0))
	for _, prefetch := range []int{0, 1, 3, 100} {
		l := newLoader(t, set, everything(prefetch))
		require.Equal(t, want[1], collect(l, 1, 0))
		require.Equal(t, want[0], collect(l, 0, 0))
		got := make([][]copied, 8)
		var wg sync.WaitGroup
		for i := range got {
			wg.Go(func() { got[i] = collect(l, i%2, 0) })
		}
		wg.Wait()
		for i := range got {
			require.Equal(t, want[i%2], got[i])
		}
	}
}

// What happens to a picture depends on its number, not on its place in a batch.
func TestLoaderAugmentsBySample(t *testing.T) {
	set, opts := numbered(23, 5, 7, 3), everything(1)
	for _, b := range collect(newLoader(t, set, opts), 4, 0) {
		for i, k := range b.index {
			want := naive(set.Image(int(k)), 5, 7, 3, opts.Normalize, opts.Augment, opts.Augment.Choose(opts.Seed, 4, k))
			require.Equal(t, want, b.images[i*105:(i+1)*105])
		}
	}
}

func TestLoaderGoesOnInTheMiddleOfAnEpoch(t *testing.T) {
	set := numbered(23, 5, 7, 3)
	whole := collect(newLoader(t, set, everything(2)), 6, 0)
	require.Len(t, whole, 6)
	for first := range whole {
		require.Equal(t, whole[first:], collect(newLoader(t, set, everything(2)), 6, first))
	}
	for _, prefetch := range []int{0, 2} {
		require.Empty(t, collect(newLoader(t, set, everything(prefetch)), 6, len(whole)))
		require.Empty(t, collect(newLoader(t, set, everything(prefetch)), 6, len(whole)+5))
	}
}

// However a loop ends, the goroutine behind it has ended when the loop has.
func TestLoaderLeavesNoGoroutine(t *testing.T) {
	l := newLoader(t, numbered(40, 3, 3, 3), everything(3))
	whole := collect(l, 2, 0)
	before := runtime.NumGoroutine()
	for stopAt := range 10 {
		for b := range l.Epoch(2, 0) {
			if b == stopAt {
				break
			}
		}
		require.PanicsWithValue(t, "the step failed", func() {
			for b := range l.Epoch(2, 0) {
				if b == stopAt {
					panic("the step failed")
				}
			}
		})
		done := make(chan struct{})
		go func() {
			defer close(done)
			for b := range l.Epoch(2, 0) {
				if b == stopAt {
					runtime.Goexit()
				}
			}
		}()
		<-done
	}
	// The test's own goroutines close done before they are gone.
	for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	require.LessOrEqual(t, runtime.NumGoroutine(), before)
	require.Equal(t, whole, collect(l, 2, 0), "a loop that was left must not spoil the next one")
}

func TestLoaderDoesNotAllocatePerBatch(t *testing.T) {
	for _, prefetch := range []int{0, 2} {
		opts := everything(prefetch)
		opts.Batch = 1
		l := newLoader(t, numbered(500, 8, 8, 3), opts)
		epoch := func() {
			for range l.Epoch(0, 0) {
			}
		}
		epoch()
		require.Less(t, testing.AllocsPerRun(5, epoch), 30.0, "500 batches, prefetch %d", prefetch)
	}
}

func TestNewLoaderErrors(t *testing.T) {
	cases := map[string]struct {
		spoil func(*Set, *LoaderOptions)
		want  string
	}{
		"batch":     {func(_ *Set, o *LoaderOptions) { o.Batch = 0 }, `data set "numbered": batch of 0 pictures; expected at least 1`},
		"prefetch":  {func(_ *Set, o *LoaderOptions) { o.Prefetch = -1 }, `prefetch of -1 batches; expected at least 0`},
		"drop last": {func(_ *Set, o *LoaderOptions) { o.Batch, o.DropLast = 11, true }, `batch of 11 pictures, but there are only 10, and a short last batch is to be dropped: nothing would be left; choose a batch of at most 10`},
		"normalize": {func(_ *Set, o *LoaderOptions) { o.Normalize = Normalize{} }, `normalize: channel 0`},
		"augment":   {func(_ *Set, o *LoaderOptions) { o.Augment.Pad = 3 }, `augment: crop with padding 3; expected 0 to 2 for pictures of 3x5`},
		"empty":     {func(s *Set, _ *LoaderOptions) { s.Images, s.Labels = nil, nil }, `it has no pictures`},
		"labels":    {func(s *Set, _ *LoaderOptions) { s.Labels[9] = 5 }, `picture 9 has label 5`},
		"bytes":     {func(s *Set, _ *LoaderOptions) { s.Images = s.Images[1:] }, `449 bytes of pictures for 10 labels`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			set, opts := numbered(10, 3, 5, 3), everything(1)
			c.spoil(set, &opts)
			_, err := NewLoader(set, opts)
			require.ErrorContains(t, err, c.want)
		})
	}
	_, err := NewLoader(nil, everything(1))
	require.ErrorContains(t, err, "no data set given")
	require.PanicsWithValue(t, "data: Epoch(1, -1): the first batch is number 0", func() {
		newLoader(t, numbered(10, 3, 5, 3), everything(1)).Epoch(1, -1)
	})
}

func BenchmarkLoader(b *testing.B) {
	opts := everything(0)
	opts.Batch = 128
	l := newLoader(b, numbered(1280, 32, 32, 3), opts)
	b.SetBytes(1280 * 32 * 32 * 3)
	for e := 0; b.Loop(); e++ {
		for range l.Epoch(e, 0) {
		}
	}
}
