package live

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"wrnc/runtime"
	"wrnc/runtime/data"
	"wrnc/runtime/metrics"
	"wrnc/runtime/train"
)

// trainEpoch tells of an epoch of two steps of four images, and a test of two.
func trainEpoch(m *Monitor, epoch int) {
	step := int64(2 * (epoch - 1))
	m.Begin(train.Stretch{Epoch: epoch, Step: step, Images: 8, Rate: 0.1})
	for i := range 2 {
		if i == 0 {
			m.Timed([]runtime.LaunchTime{{Spent: runtime.Spent{Sum: time.Millisecond}, Kernels: []runtime.KernelTime{{Kernel: 0, Spent: runtime.Spent{Sum: 1}}}}})
		}
		m.Step(train.Step{Step: step + int64(i) + 1, Images: 4, Done: 4 * (i + 1), Loss: 1, MeanLoss: 1, MeanError: 50})
	}
	m.Begin(train.Stretch{Epoch: epoch, Test: true, Step: step + 2, Images: 2})
	m.Tested(train.Tested{Index: []int32{0, 1}, Labels: []int32{0, 1}, Logits: []float32{1, 0, 0, 1, 0, 0}})
	m.Epoch(metrics.Epoch{Epoch: epoch, Step: step + 2, TestError: 50})
}

// parts are those that a new reader gets.
func (m *Monitor) all(t *testing.T) map[string]any {
	changes, _ := m.since(versions{})
	require.Len(t, changes, parts+1) // two are curves
	return changes
}

// TestProgress follows a run by the clock.
func TestProgress(t *testing.T) {
	at := time.Unix(0, 0)
	m := NewMonitor(pictures(6, 3), func() time.Time { return at })
	now := func() progress { return m.all(t)["now"].(progress) }
	require.Equal(t, Preparing, now().Phase)
	m.Describe(Facts{Epochs: 2, Images: 8, TestImages: 2, Batch: 4})
	m.Expect(2*time.Second, time.Second) // 2 and 4 images a second
	require.Equal(t, metrics.Number(2*8/2+2*2/4.), now().Left)
	require.Zero(t, now().Part)

	m.Begin(train.Stretch{Epoch: 1, Images: 8, Rate: 0.5})
	require.Equal(t, Training, now().Phase)
	require.Equal(t, metrics.Number(4), now().EpochLeft)
	at = at.Add(time.Second)
	m.Step(train.Step{Step: 1, Images: 4, Done: 4, Loss: 3, MeanLoss: 2, MeanError: 25})
	n := now()
	require.InDelta(t, 4-2*math.Exp(-1/speedOver.Seconds()), float64(n.Speed), 1e-9, "from the two that were expected to the four that were seen")
	require.Equal(t, []float64{2, 25, 0.5, 4. / 20}, []float64{float64(n.Loss), float64(n.MeanError), float64(n.Rate), float64(n.Part)})
	require.InDelta(t, 4/float64(n.Speed), float64(n.EpochLeft), 1e-9)
	require.InDelta(t, 12/float64(n.Speed)+1, float64(n.Left), 1e-9)

	m.Begin(train.Stretch{Epoch: 1, Test: true, Step: 2, Images: 2})
	require.Equal(t, Evaluating, now().Phase)
	require.Equal(t, metrics.Number(8./20), now().Part)
	require.Equal(t, metrics.Number(0.5), now().EpochLeft, "two images at four a second")
	m.Tested(train.Tested{Index: []int32{0, 5}, Labels: []int32{0, 2}, Logits: []float32{1, 0, 0, 1, 0, 0}})
	require.Equal(t, metrics.Number(0.5), now().Part)
	require.Nil(t, m.all(t)["test"], "the test is not over")
	m.Epoch(metrics.Epoch{Epoch: 1})
	got := m.all(t)["test"].(*test)
	require.Equal(t, []int{1, 2, 1}, []int{got.Epoch, got.Images, got.Mistakes})

	m.End(nil)
	n = now()
	at = at.Add(time.Hour)
	require.Equal(t, []any{Finished, metrics.Number(1), metrics.Number(0), ""}, []any{n.Phase, n.Part, n.Left, n.Error})
	require.Equal(t, metrics.Number(1), now().Seconds, "the run's clock stands still")
}

// TestGoesOn is a run that goes on in the middle of its second epoch.
func TestGoesOn(t *testing.T) {
	m := NewMonitor(pictures(6, 3), time.Now)
	m.Describe(Facts{Epochs: 2, Images: 8, TestImages: 2, Batch: 4})
	m.Epoch(metrics.Epoch{Epoch: 1, Step: 2})
	require.Nil(t, m.all(t)["test"])
	m.Begin(train.Stretch{Epoch: 2, Step: 3, Images: 8, Done: 4})
	n := m.all(t)["now"].(progress)
	require.Equal(t, metrics.Number(14./20), n.Part)
	require.EqualValues(t, 3, n.Step)
	m.Step(train.Step{Step: 4, Images: 4, Done: 8, Loss: 5})
	require.Equal(t, []point{{2, 5}}, m.all(t)["loss"])
	require.Len(t, m.all(t)["epochs"], 1)
}

func TestEnds(t *testing.T) {
	diverged := fmt.Errorf("%w; go on at a lower rate", &train.DivergedError{Epoch: 1, Step: 3, Loss: math.NaN()})
	for _, c := range []struct {
		err   error
		phase string
	}{
		{nil, Finished}, {diverged, Diverged}, {fmt.Errorf("stopped: %w", context.Canceled), Stopped},
		{&train.SaveError{Err: errors.New("no space left")}, Failed},
	} {
		m := monitor()
		m.End(c.err)
		n := m.all(t)["now"].(progress)
		require.Equal(t, c.phase, n.Phase)
		if c.phase == Diverged || c.phase == Failed {
			require.Equal(t, c.err.Error(), n.Error)
		} else {
			require.Empty(t, n.Error)
		}
	}
}

// TestJSON marshals what is not finite.
func TestJSON(t *testing.T) {
	m := monitor()
	m.Begin(train.Stretch{Epoch: 1, Images: 0, Rate: math.Inf(1)})
	m.Step(train.Step{Loss: math.NaN(), MeanLoss: math.Inf(-1), MeanError: math.NaN()})
	m.Begin(train.Stretch{Epoch: 1, Test: true})
	nan := float32(math.NaN())
	m.Tested(train.Tested{Index: []int32{0}, Labels: []int32{2}, Logits: []float32{nan, nan, float32(math.Inf(1))}})
	m.Epoch(metrics.Epoch{Epoch: 1, TrainLoss: metrics.Number(math.NaN())})
	text, _, err := m.message(versions{})
	require.NoError(t, err)
	require.True(t, json.Valid(text))
}

func TestVersions(t *testing.T) {
	m := monitor()
	_, seen := m.since(versions{})
	changes, again := m.since(seen)
	require.Empty(t, changes)
	require.Equal(t, seen, again)
	trainEpoch(m, 1)
	changes, _ = m.since(seen)
	require.Len(t, changes, parts)
	require.NotContains(t, changes, "facts")
	require.Equal(t, &times{Steps: 1, Kernels: []metrics.Number{1}}, changes["times"])
}

// TestTimes shares a launch's time by the work of its kernels, and takes the median of
// the last steps.
func TestTimes(t *testing.T) {
	m := monitor()
	require.Nil(t, m.clocked.times())
	ms := func(n int) runtime.Spent { return runtime.Spent{Sum: time.Duration(n) * time.Millisecond} }
	step := func(slower int) {
		m.Timed([]runtime.LaunchTime{
			{Spent: ms(4), Kernels: []runtime.KernelTime{{Kernel: 2, Spent: ms(6)}, {Kernel: 0, Spent: ms(2)}}},
			{Spent: ms(slower * 5), Kernels: []runtime.KernelTime{{Kernel: 1, Spent: ms(9)}}},
			{Spent: ms(1), Kernels: []runtime.KernelTime{{Kernel: 3}}}, // too short for its device's clock
		})
	}
	step(1)
	step(100)
	step(1)
	require.Equal(t, &times{Steps: 3, Kernels: []metrics.Number{1, 5, 3, 0}}, m.clocked.times())
	for range 3 * maxTimed {
		step(2)
	}
	require.Equal(t, &times{Steps: maxTimed, Kernels: []metrics.Number{1, 10, 3, 0}}, m.clocked.times())
}

func TestTrace(t *testing.T) {
	var tr trace
	const n = 100_000
	for i := range n {
		tr.add(float64(i+1), float64(i))
	}
	require.Less(t, len(tr.points), tracePoints)
	require.GreaterOrEqual(t, len(tr.points), tracePoints/2-1)
	for i, p := range tr.points {
		require.EqualValues(t, (i+1)*tr.width, p.At)
		require.EqualValues(t, float64(i*tr.width)+float64(tr.width-1)/2, p.Value, "the mean of its values")
	}
}

func TestThin(t *testing.T) {
	for _, n := range []int{0, 1, 9, 10, 11, 20, 21, 999} {
		all := make([]int, n)
		for i := range all {
			all[i] = i
		}
		kept := thin(all, 10)
		require.LessOrEqual(t, len(kept), 10)
		require.GreaterOrEqual(t, len(kept), min(n, 5))
		require.True(t, slices.IsSorted(kept))
		if n > 0 {
			require.Equal(t, n-1, kept[len(kept)-1])
		}
	}
}

func TestGuess(t *testing.T) {
	g := guessOf([]float32{1, 3, 3, 2}, 3)
	require.Equal(t, 1, g.Guess, "the first of equals, as eval has it")
	e := math.Exp(-1)
	sum := 2 + e + e*e
	require.InDelta(t, 1/sum, float64(g.P), 1e-12)
	require.InDelta(t, e/sum, float64(g.PTruth), 1e-12)
	g = guessOf([]float32{-1e38, 1e38}, 0)
	require.Equal(t, []metrics.Number{1, 0}, []metrics.Number{g.P, g.PTruth}, "no overflow")
}

func TestGuesses(t *testing.T) {
	const n = 3000
	set := pictures(n, 3)
	g := newGuesses(set)
	// A third of the pictures of class 0 are taken for 1, the later the surer; all of 2 for 0.
	logits := func(i int) []float32 {
		switch l := set.Labels[i]; {
		case l == 0 && i%9 == 0:
			return []float32{0, 1 + float32(i)/n, 0}
		case l == 2:
			return []float32{0.1, 0, 0}
		default:
			row := make([]float32, 3)
			row[l] = 4
			return row
		}
	}
	for from := 0; from < n; from += 7 {
		var b train.Tested
		for i := from; i < min(n, from+7); i++ {
			b.Index, b.Labels = append(b.Index, int32(i)), append(b.Labels, set.Labels[i])
			b.Logits = append(b.Logits, logits(i)...)
		}
		g.add(b)
	}
	got := g.test(4)
	require.Equal(t, [][]int{{666, 334, 0}, {0, 1000, 0}, {1000, 0, 0}}, got.Matrix)
	require.Equal(t, []int{n, 1334}, []int{got.Images, got.Mistakes})
	require.Equal(t, []mistake{{2, 0, 1000}, {0, 1, 334}}, got.Confused)
	require.Len(t, got.Surest, maxPictures)
	for i, s := range got.Surest {
		require.EqualValues(t, n-3-9*i, s.Picture)
		require.Equal(t, 1, s.Guess)
	}
	require.Len(t, got.Sample, maxPictures)
	for i, picture := range choose(n) {
		require.Equal(t, picture, got.Sample[i].Picture)
		require.EqualValues(t, set.Labels[picture], got.Sample[i].Truth)
	}
}

// TestManyClasses leaves the matrix out where it would be too large.
func TestManyClasses(t *testing.T) {
	for classes, shown := range map[int]bool{maxMatrix: true, maxMatrix + 1: false} {
		set := &data.Set{Classes: make([]string, classes), H: 1, W: 1, C: 1, Images: []byte{0}, Labels: []int32{0}}
		g := newGuesses(set)
		logits := make([]float32, classes)
		logits[classes-1] = 1
		g.add(train.Tested{Index: []int32{0}, Labels: []int32{0}, Logits: logits})
		got := g.test(1)
		require.Equal(t, shown, got.Matrix != nil)
		require.Equal(t, []mistake{{0, classes - 1, 1}}, got.Confused)
	}
}

// TestClassesOfNoPicture tests a network that has a class more than the set.
func TestClassesOfNoPicture(t *testing.T) {
	g := newGuesses(pictures(2, 3))
	g.add(train.Tested{Index: []int32{0, 1}, Labels: []int32{0, 1}, Logits: []float32{0, 0, 0, 1, 0, 1, 0, 0}})
	require.Equal(t, [][]int{{0, 0, 0, 1}, {0, 1, 0, 0}, {0, 0, 0, 0}, {0, 0, 0, 0}}, g.test(1).Matrix)
}

// BenchmarkMonitor is what a step and a test batch of 128 images of 100 classes cost
// the training.
func BenchmarkMonitor(b *testing.B) {
	m := NewMonitor(pictures(128, 3), time.Now)
	m.Begin(train.Stretch{Epoch: 1, Images: 1 << 30})
	b.Run("step", func(b *testing.B) {
		for b.Loop() {
			m.Step(train.Step{Images: 128, Loss: 1})
		}
	})
	t := train.Tested{Labels: make([]int32, 128), Logits: make([]float32, 128*100)}
	for i := range int32(128) {
		t.Index = append(t.Index, i)
	}
	m.Begin(train.Stretch{Epoch: 1, Test: true, Images: 1 << 30})
	b.Run("tested", func(b *testing.B) {
		for b.Loop() {
			m.Tested(t)
		}
	})
}
