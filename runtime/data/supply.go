package data

// supply makes the batches of one epoch at a time. It owns the memory that
// they lie in.
type supply struct {
	loader *Loader
	epoch  int
	// order[i] is the number in the set of the epoch's i-th picture.
	order []int32
	write pictureWriter
	// buffers are Prefetch batches made ahead and those that the loop may read.
	buffers []*Batch
}

// held is the number of batches that are valid at a time: the one that the loop was
// given last, and the one before.
const held = 2

func newSupply(l *Loader) *supply {
	pictures := min(l.opts.Batch, l.set.Len())
	s := &supply{
		loader: l,
		order:  make([]int32, l.set.Len()),
		write: pictureWriter{
			h: l.set.H, w: l.set.W, c: l.set.C,
			fill:   l.opts.Augment.Fill,
			values: l.values,
			column: make([]int, l.set.W),
		},
		buffers: make([]*Batch, min(held+l.opts.Prefetch, max(held, l.Batches()))),
	}
	for i := range s.buffers {
		s.buffers[i] = &Batch{
			Images: make([]float32, pictures*l.made()),
			Labels: make([]int32, pictures),
			Index:  make([]int32, pictures),
		}
	}
	return s
}

// begin sets the order of epoch e.
func (s *supply) begin(e int) {
	s.epoch = e
	if s.loader.opts.Shuffle {
		shuffle(s.order, s.loader.opts.Seed, uint32(e))
		return
	}
	for i := range s.order {
		s.order[i] = int32(i)
	}
}

// fill writes batch number b of the epoch into buf and returns it.
func (s *supply) fill(buf *Batch, b int) *Batch {
	set, opts := s.loader.set, &s.loader.opts
	from := b * opts.Batch
	n := min(opts.Batch, len(s.order)-from)
	size := s.loader.made()
	buf.N = n
	buf.Images = buf.Images[:n*size]
	buf.Labels = buf.Labels[:n]
	buf.Index = buf.Index[:n]
	for i, k := range s.order[from : from+n] {
		buf.Index[i] = k
		buf.Labels[i] = set.Labels[k]
		if opts.NumbersOnly {
			continue
		}
		s.write.write(buf.Images[i*size:(i+1)*size], set.Image(int(k)), opts.Augment.Choose(opts.Seed, s.epoch, k))
	}
	return buf
}

// ahead makes batches first..end-1 in a goroutine of their own and hands them
// to yield in order. It returns when that goroutine has ended, also when yield
// panics or ends its own goroutine.
func (s *supply) ahead(first, end int, yield func(int, *Batch) bool) {
	// Both channels have room for every buffer, so no send ever waits; only the
	// producer, when it is out of buffers, and the loop, when nothing is ready.
	free := make(chan *Batch, len(s.buffers))
	ready := make(chan *Batch, len(s.buffers))
	stop := make(chan struct{})
	for _, buf := range s.buffers {
		free <- buf
	}
	go func() {
		defer close(ready)
		for b := first; b < end; b++ {
			// Asked first, because a select picks at random when both are there.
			select {
			case <-stop:
				return
			default:
			}
			select {
			case <-stop:
				return
			case buf := <-free:
				ready <- s.fill(buf, b)
			}
		}
	}()
	defer func() {
		close(stop)
		for range ready { // until the producer closes it, as its last act
		}
	}()
	b := first
	var before *Batch
	for buf := range ready {
		if !yield(b, buf) {
			return
		}
		if before != nil {
			free <- before
		}
		before = buf
		b++
	}
}
