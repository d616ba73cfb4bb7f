package bench

import (
	"sync"
	"time"
	"unsafe"

	kernels "wrnc/kernels/cpu"
)

// Peaks is what a machine does at most, by what was measured on it.
type Peaks struct {
	FLOPs float64 // floating-point operations a second: multiply-adds by two
	Bytes float64 // of memory a second, read and written
}

// Seconds is the least time for a number of operations and of bytes.
func (p Peaks) Seconds(flops, bytes float64) float64 { return max(flops/p.FLOPs, bytes/p.Bytes) }

// Meter measures peaks with an instruction set and a number of threads. The
// operations are those of the convolution's microkernel on a row that stays in the
// first cache, the fastest of a few sizes; the bytes those of x = y + a z on vectors of
// 96 MiB in all, beyond most caches, where only what the operation names is counted (as
// STREAM does).
type Meter struct {
	threads []*meterThread
	peaks   Peaks
}

// meterThread is one thread's operands.
type meterThread struct {
	isa     *kernels.ISA
	rows    []multiplyRow
	x, y, z []float32
	flops   float64 // the best rate so far
}

// multiplyRow is a call of the microkernel.
type multiplyRow struct {
	args  kernels.ConvArgs
	flops float64
}

const (
	streamBytes   = 32 << 20 // of each of the three vectors
	stretchFLOPs  = 1e7      // a lane of the instruction set and a thread
	stretchStream = 2        // passes
)

// NewMeter takes the operands' memory.
func NewMeter(isa *kernels.ISA, threads int) *Meter {
	m := &Meter{}
	for range threads {
		n := streamBytes / 4 / threads
		t := &meterThread{isa: isa, x: ones(n), y: ones(n), z: ones(n)}
		for _, size := range [][2]int{{16, 8}, {24, 8}, {32, 8}, {16, 16}, {24, 16}} {
			t.rows = append(t.rows, newMultiplyRow(isa, size[0], size[1]))
		}
		m.threads = append(m.threads, t)
	}
	return m
}

// ones are numbers whose products and sums stay ordinary ones.
func ones(n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = 1
	}
	return v
}

// newMultiplyRow is a row of a 3x3 filter on channels of input.
func newMultiplyRow(isa *kernels.ISA, pixels, channels int) multiplyRow {
	const taps = 9
	columns := pixels + 2
	x, w, out := ones(3*columns*channels), ones(taps*channels*isa.Wide.Chans), ones(pixels*isa.Wide.Chans)
	offsets := make([]kernels.Tap, taps)
	for i := range offsets {
		offsets[i] = kernels.Tap{X: int64(4 * channels * (i/3*columns + i%3)), W: int64(4 * i * channels * isa.Wide.Chans)}
	}
	return multiplyRow{
		args: kernels.ConvArgs{X: unsafe.Pointer(&x[0]), W: unsafe.Pointer(&w[0]), Out: unsafe.Pointer(&out[0]), Taps: &offsets[0],
			NTaps: taps, C: channels, Pixels: pixels, XStep: 4 * channels, OutStep: 4 * isa.Wide.Chans},
		flops: 2 * float64(pixels*taps*channels*isa.Wide.Chans),
	}
}

// Measure takes a stretch of some milliseconds of each size, on all threads at the
// same time, and returns the best since the meter was made: what the machine does
// while nothing else wants it. Threads have processors of their own, and so their best
// stretches are added up; they share the memory, whose stretch ends with the last.
func (m *Meter) Measure() Peaks {
	for i := range m.threads[0].rows {
		m.stretch(func(t *meterThread) { t.multiply(i) })
	}
	m.peaks.FLOPs = 0
	for _, t := range m.threads {
		m.peaks.FLOPs += t.flops
	}
	begun := time.Now()
	m.stretch((*meterThread).stream)
	bytes := float64(stretchStream * 3 * 4 * len(m.threads[0].x) * len(m.threads))
	m.peaks.Bytes = max(m.peaks.Bytes, bytes/time.Since(begun).Seconds())
	return m.peaks
}

// multiply keeps the thread's best rate.
func (t *meterThread) multiply(i int) {
	row := &t.rows[i]
	calls := int(stretchFLOPs*float64(t.isa.Lanes)/row.flops) + 1
	begun := time.Now()
	for range calls {
		t.isa.Wide.Conv(&row.args)
	}
	t.flops = max(t.flops, float64(calls)*row.flops/time.Since(begun).Seconds())
}

func (t *meterThread) stream() {
	for range stretchStream {
		t.isa.Axpy(t.x, 0.5, t.y, t.z, len(t.x))
	}
}

// stretch lets all threads do f at the same time.
func (m *Meter) stretch(f func(*meterThread)) {
	var done sync.WaitGroup
	for _, t := range m.threads {
		done.Go(func() { f(t) })
	}
	done.Wait()
}
