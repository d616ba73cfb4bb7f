package cpu

import (
	"runtime"
	"sync"
	"sync/atomic"
	"unsafe"

	kernels "wrnc/kernels/cpu"
)

// worker is one thread's scratch and the row it works on.
type worker struct {
	p         *Program
	scratch   []float32
	env       env
	conv      kernels.ConvArgs // here, not on a stack, from where they would escape at each call
	wgrad     kernels.WgradArgs
	transform kernels.TransformArgs
	probs     []float64 // of the loss
}

// floats is a part of the scratch, from a layout's byte offset.
func (w *worker) floats(offset, n int) []float32 { return w.scratch[offset/4 : offset/4+n] }

// pool runs the units of a launch on the workers. The caller is the first
// worker; the others wait between launches, awake for a while, since the next
// launch of a step comes within microseconds.
type pool struct {
	workers []*worker
	job     *launch
	samples int
	total   int64
	next    atomic.Int64
	_       [48]byte // the counter above is written by all, the epoch read by all
	epoch   atomic.Uint64
	busy    atomic.Int64
	mu      sync.Mutex
	wake    *sync.Cond
	closed  bool
}

// awake is how many times a worker looks for a new launch before it sleeps.
const awake = 4000

func newPool(ws []*worker) *pool {
	p := &pool{workers: ws}
	p.wake = sync.NewCond(&p.mu)
	for _, w := range ws[1:] {
		go p.loop(w)
	}
	return p
}

func (p *pool) loop(w *worker) {
	seen := uint64(0)
	for {
		for i := 0; i < awake && p.epoch.Load() == seen; i++ {
			runtime.Gosched()
		}
		if p.epoch.Load() == seen {
			p.mu.Lock()
			for p.epoch.Load() == seen && !p.closed {
				p.wake.Wait()
			}
			closed := p.closed
			p.mu.Unlock()
			if closed {
				return
			}
		}
		seen = p.epoch.Load()
		p.work(w)
		p.busy.Add(-1)
	}
}

// run executes one launch and returns when all of its units are done.
func (p *pool) run(l *launch, samples int) {
	p.job, p.samples, p.total = l, samples, 0
	for _, k := range l.kernels {
		p.total += int64(k.units(samples))
	}
	p.next.Store(0)
	if len(p.workers) > 1 && p.total > 1 {
		p.busy.Store(int64(len(p.workers) - 1))
		p.mu.Lock()
		p.epoch.Add(1)
		p.mu.Unlock()
		p.wake.Broadcast()
	}
	p.work(p.workers[0])
	for p.busy.Load() > 0 {
		runtime.Gosched()
	}
}

// work takes units until none is left.
func (p *pool) work(w *worker) {
	for {
		u := p.next.Add(1) - 1
		if u >= p.total {
			return
		}
		i := int(u)
		for _, k := range p.job.kernels {
			n := k.units(p.samples)
			if i < n {
				if w.p.opts.Poison {
					poison(w.scratch)
				}
				k.run(i, w)
				break
			}
			i -= n
		}
	}
}

func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.wake.Broadcast()
}

// words views a row of floats as the lanes of a mask.
func words(f []float32) []uint32 {
	if len(f) == 0 {
		return nil
	}
	return unsafe.Slice((*uint32)(unsafe.Pointer(&f[0])), len(f))
}
