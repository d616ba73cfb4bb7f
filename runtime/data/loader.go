package data

import (
	"fmt"
	"iter"
	"sync"
)

// LoaderOptions says how a Loader cuts a set into batches and what it does to
// each picture.
type LoaderOptions struct {
	// Batch is the number of pictures in a batch, at least 1.
	Batch int
	// Seed selects the order and the augmentation, together with the epoch.
	Seed uint64
	// Shuffle draws a new order in every epoch; without it, the set's own is kept.
	Shuffle bool
	// DropLast leaves out the last batch where it would be short of Batch
	// pictures, as the reference does in training.
	DropLast bool
	// Augment changes the pictures at random; its zero value does not.
	Augment Augment
	// Normalize turns bytes into numbers.
	Normalize Normalize
	// NumbersOnly leaves Batch.Images empty: who has the set elsewhere makes the
	// pictures of their numbers, as the rest of the options says.
	NumbersOnly bool
	// Prefetch is the number of batches made ahead of their use by a goroutine
	// of their own; 0 makes each batch when it is asked for.
	Prefetch int
}

// Batch is what one step of training or evaluation reads.
type Batch struct {
	// Images holds N pictures, float32, shape [N, H, W, C]; none with NumbersOnly.
	Images []float32
	// Labels holds their N classes.
	Labels []int32
	// N is the number of pictures: LoaderOptions.Batch, or fewer in the last batch.
	N int
	// Index holds the N pictures' numbers in the set.
	Index []int32
}

// Loader hands out the batches of a set, epoch by epoch. It may be used from
// several goroutines at once, each of which has its own batches.
type Loader struct {
	set    *Set
	opts   LoaderOptions
	values *table

	mu   sync.Mutex
	idle []*supply // kept for the next epoch, so that it allocates no batches
}

// NewLoader returns a loader for set, which must not change afterwards. It
// reports a set that contradicts itself and options that do not fit the set.
func NewLoader(set *Set, opts LoaderOptions) (*Loader, error) {
	if set == nil {
		return nil, fmt.Errorf("loader: no data set given")
	}
	if err := set.Check(); err != nil {
		return nil, err
	}
	wrap := func(err error) error { return fmt.Errorf("data set %q: %w", set.Name, err) }
	switch {
	case set.Len() == 0:
		return nil, wrap(fmt.Errorf("it has no pictures"))
	case opts.Batch < 1:
		return nil, wrap(fmt.Errorf("batch of %d pictures; expected at least 1", opts.Batch))
	case opts.DropLast && opts.Batch > set.Len():
		return nil, wrap(fmt.Errorf("batch of %d pictures, but there are only %d, and a short last batch is to be dropped: nothing would be left; choose a batch of at most %d",
			opts.Batch, set.Len(), set.Len()))
	case opts.Prefetch < 0:
		return nil, wrap(fmt.Errorf("prefetch of %d batches; expected at least 0", opts.Prefetch))
	}
	if err := opts.Normalize.Check(set.C); err != nil {
		return nil, wrap(err)
	}
	if err := opts.Augment.check(set.H, set.W); err != nil {
		return nil, wrap(err)
	}
	return &Loader{set: set, opts: opts, values: opts.Normalize.table()}, nil
}

// Batches returns the number of batches in an epoch.
func (l *Loader) Batches() int {
	n := l.set.Len() / l.opts.Batch
	if !l.opts.DropLast && l.set.Len()%l.opts.Batch != 0 {
		n++
	}
	return n
}

// Epoch returns the batches of epoch e, counted from 0, with their numbers:
//
//	for b, batch := range loader.Epoch(e, 0) { ... }
//
// The first one is number first: an epoch that was interrupted before batch b
// goes on with Epoch(e, b), and sees exactly what it would have seen. From
// Batches() on there is nothing left; a negative number is a mistake of the
// caller and panics.
//
// A batch and its slices are valid until the one after the next is asked for; then
// they are filled anew. When the loop ends, in whatever way, the goroutine behind it
// has ended as well.
func (l *Loader) Epoch(e, first int) iter.Seq2[int, *Batch] {
	if first < 0 {
		panic(fmt.Sprintf("data: Epoch(%d, %d): the first batch is number 0", e, first))
	}
	return func(yield func(int, *Batch) bool) {
		s := l.take()
		defer l.giveBack(s)
		s.begin(e)
		if l.opts.Prefetch == 0 {
			for b := first; b < l.Batches(); b++ {
				if !yield(b, s.fill(s.buffers[b%held], b)) {
					return
				}
			}
			return
		}
		s.ahead(first, l.Batches(), yield)
	}
}

// Pairs is Epoch for who wants to know what comes next: each batch with the one after
// it, nil after the last.
func (l *Loader) Pairs(e, first int) iter.Seq2[*Batch, *Batch] {
	return func(yield func(b, next *Batch) bool) {
		var before *Batch
		for i, b := range l.Epoch(e, first) {
			if before != nil && !yield(before, b) {
				return
			}
			if i == l.Batches()-1 { // within the loop, whose end gives the batch back
				yield(b, nil)
				return
			}
			before = b
		}
	}
}

// made is the number of elements of a picture that is made: none with NumbersOnly.
func (l *Loader) made() int {
	if l.opts.NumbersOnly {
		return 0
	}
	return l.set.H * l.set.W * l.set.C
}

// take returns a supply that no other loop uses.
func (l *Loader) take() *supply {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.idle); n > 0 {
		s := l.idle[n-1]
		l.idle = l.idle[:n-1]
		return s
	}
	return newSupply(l)
}

func (l *Loader) giveBack(s *supply) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.idle = append(l.idle, s)
}
