package live

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"math"
	"slices"
	"sync"
	"time"

	systemmetrics "runtime/metrics"

	"wrnc/runtime/data"
	"wrnc/runtime/metrics"
	"wrnc/runtime/train"
)

// maxEpochs bounds the records that a page gets.
const maxEpochs = 1000

// speedOver is the time, about, that a speed is the mean over.
const speedOver = 5 * time.Second

// Monitor keeps what a page shows of a run. It is a [train.Observer]; its methods
// may be called from any goroutine.
type Monitor struct {
	clock func() time.Time
	test  *data.Set
	run   string // which process this is, for a page that has seen another

	mu        sync.Mutex
	versions  versions
	facts     Facts
	now       progress
	epochs    []metrics.Epoch // only ever grows
	loss      trace           // of the steps
	speeds    trace           // likewise, images/s
	clocked   stopwatch       // kernels' times
	guesses   *guesses        // of the test under way
	tested    *test           // the last one; never changes
	begun     time.Time
	ended     time.Time // zero until then
	counted   time.Time // when images were last counted, or the stretch began
	trainRate float64   // images/s; NaN where that is not known yet
	testRate  float64
}

// The parts of what is shown, each of which is sent when it has changed.
const (
	partFacts = iota
	partNow
	partEpochs
	partCurves
	partTest
	partTimes
	parts
)

// versions count the changes of each part.
type versions [parts]uint64

// NewMonitor returns the monitor of a run that is being prepared. Pictures are those
// of the test set.
func NewMonitor(test *data.Set, clock func() time.Time) *Monitor {
	var id [8]byte
	rand.Read(id[:]) // never fails
	nan := metrics.Number(math.NaN())
	m := &Monitor{
		clock: clock, test: test, run: hex.EncodeToString(id[:]), begun: clock(),
		trainRate: math.NaN(), testRate: math.NaN(),
		now: progress{Phase: Preparing, Rate: nan, Loss: nan, MeanError: nan, Speed: nan, EpochLeft: nan, Left: nan},
	}
	for i := range m.versions {
		m.versions[i] = 1
	}
	return m
}

// changed locks the monitor for a change of a part.
func (m *Monitor) changed(part int, change func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.versions[part]++
	change()
}

// Describe tells what is trained. It may be called again with more.
func (m *Monitor) Describe(f Facts) { m.changed(partFacts, func() { m.facts = f }) }

// Expect tells how long a step on a full batch takes, and a test on one, as far as
// that is known before.
func (m *Monitor) Expect(step, test time.Duration) {
	m.changed(partNow, func() {
		rate := func(d time.Duration) float64 { return float64(m.facts.Batch) / d.Seconds() }
		m.trainRate, m.testRate = rate(step), rate(test)
		m.estimate()
	})
}

// Begin is told that a stretch begins.
func (m *Monitor) Begin(s train.Stretch) {
	m.changed(partNow, func() {
		m.counted = m.clock()
		m.now.Epoch, m.now.Step, m.now.Done, m.now.Of, m.now.Rate = s.Epoch, s.Step, s.Done, s.Images, metrics.Number(s.Rate)
		m.now.Phase = Training
		if s.Test {
			m.now.Phase = Evaluating
			m.guesses = newGuesses(m.test)
		}
		m.estimate()
	})
}

// Step is told of a step of training.
func (m *Monitor) Step(s train.Step) {
	m.changed(partNow, func() {
		m.now.Step, m.now.Done = s.Step, s.Done
		m.now.Loss, m.now.MeanError = metrics.Number(s.MeanLoss), metrics.Number(s.MeanError)
		m.trainRate = m.speed(m.trainRate, s.Images)
		m.now.Speed = metrics.Number(m.trainRate)
		at := float64(m.now.Epoch-1) + float64(s.Done)/float64(m.now.Of)
		m.speeds.add(at, m.trainRate)
		if m.loss.add(at, s.Loss) { // and so has the other
			m.versions[partCurves]++
		}
		m.estimate()
	})
}

// Tested is told what the network makes of a batch.
func (m *Monitor) Tested(t train.Tested) {
	m.changed(partNow, func() {
		m.now.Done += len(t.Index)
		m.testRate = m.speed(m.testRate, len(t.Index))
		m.guesses.add(t)
		m.estimate()
	})
}

// Epoch is told of an epoch that is over, now or before this process.
func (m *Monitor) Epoch(e metrics.Epoch) {
	m.changed(partEpochs, func() {
		m.epochs = append(m.epochs, e)
		if m.guesses != nil {
			m.tested, m.guesses = m.guesses.test(e.Epoch), nil
			m.versions[partTest]++
		}
	})
}

// End tells how the run ended: err is what train.Run returned, or another error that
// keeps it from going on.
func (m *Monitor) End(err error) {
	m.changed(partNow, func() {
		m.ended = m.clock()
		var diverged *train.DivergedError
		switch {
		case err == nil:
			m.now.Phase, m.now.Part, m.now.Left, m.now.EpochLeft = Finished, 1, 0, 0
			return
		case errors.As(err, &diverged):
			m.now.Phase = Diverged
		case errors.Is(err, context.Canceled):
			m.now.Phase = Stopped
			return
		default:
			m.now.Phase = Failed
		}
		m.now.Error = err.Error()
	})
}

// speed takes images that were done since the last look into a speed. The weight of
// what is older falls by e in speedOver.
func (m *Monitor) speed(before float64, images int) float64 {
	now := m.clock()
	took := now.Sub(m.counted).Seconds()
	m.counted = now
	if took <= 0 {
		return before
	}
	speed := float64(images) / took
	if math.IsNaN(before) {
		return speed
	}
	return before + (1-math.Exp(-took/speedOver.Seconds()))*(speed-before)
}

// estimate says how much is done, and how long the rest takes.
func (m *Monitor) estimate() {
	f, n := &m.facts, &m.now
	trained := float64(max(0, n.Epoch-1)) * float64(f.Images)
	tested := float64(max(0, n.Epoch-1)) * float64(f.TestImages)
	if n.Phase == Evaluating {
		trained, tested = trained+float64(f.Images), tested+float64(n.Done)
	} else {
		trained += float64(n.Done)
	}
	trainLeft, testLeft := float64(f.Epochs)*float64(f.Images)-trained, float64(f.Epochs)*float64(f.TestImages)-tested
	if all := trained + tested + trainLeft + testLeft; all > 0 {
		n.Part = metrics.Number((trained + tested) / all)
	}
	rate := m.trainRate
	if n.Phase == Evaluating {
		rate = m.testRate
	}
	n.EpochLeft = metrics.Number(float64(n.Of-n.Done) / rate)
	n.Left = metrics.Number(trainLeft/m.trainRate + testLeft/m.testRate)
}

// since returns the parts that have changed since a reader's versions, by name, to
// be marshalled, and the versions that they are of.
func (m *Monitor) since(seen versions) (map[string]any, versions) {
	m.mu.Lock()
	defer m.mu.Unlock()
	changes := map[string]any{}
	for part, version := range m.versions {
		if version == seen[part] {
			continue
		}
		switch part {
		case partFacts:
			changes["facts"] = m.facts
		case partNow:
			now := m.now
			now.Seconds = metrics.Number(m.elapsed().Seconds())
			now.Process = processBytes()
			changes["now"] = now
		case partEpochs:
			changes["epochs"] = thin(m.epochs[:len(m.epochs):len(m.epochs)], maxEpochs)
		case partCurves:
			changes["loss"], changes["speeds"] = slices.Clone(m.loss.points), slices.Clone(m.speeds.points)
		case partTest:
			changes["test"] = m.tested
		case partTimes:
			changes["times"] = m.clocked.times()
		}
	}
	return changes, m.versions
}

// elapsed is how long the run has taken in this process.
func (m *Monitor) elapsed() time.Duration {
	if m.ended.IsZero() {
		return m.clock().Sub(m.begun)
	}
	return m.ended.Sub(m.begun)
}

// processBytes is the memory that the process has of the system, but for what is
// not Go's.
func processBytes() uint64 {
	samples := []systemmetrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	systemmetrics.Read(samples)
	return samples[0].Value.Uint64() - samples[1].Value.Uint64()
}
