package cuda

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/compiler/plan"
)

// scored is tiny with score, which folds a batch norm, once for all calls, and returns
// what it made of that beside what it makes of the images. The kernels compute: folded is
// gamma + 1, mean.0 is 2, and logits are mean.0 + 1.
type scored struct {
	*tiny
	score *plan.Plan
	f     *fake
	p     *Program
}

func newScored(t *testing.T, o Options, feeders ...*plan.Plan) *scored {
	x := &scored{tiny: newTiny(t), f: newFake(t)}
	var err error
	x.score, err = plan.Parse("score.plan", read(t, "score.plan"))
	require.NoError(t, err)
	require.NoError(t, x.score.Verify())
	require.Equal(t, read(t, "score.plan"), x.score.String())
	plans, sources := x.plans(), x.sources
	for _, p := range append(feeders, x.score) {
		plans = append(plans, p)
		var texts []plan.Source
		for _, k := range p.Kernels {
			texts = append(texts, source(k))
		}
		sources = append(sources, texts)
	}
	x.p, err = Load(x.m, plans, sources, x.f, o)
	require.NoError(t, err)
	x.computes("fold_entry", func() { x.set("folded", x.get(x.p.state.at+Ptr(x.score.Buffers[1].Offset))+1) })
	x.computes("mean_entry", func() { x.set("mean.0", 2) })
	x.computes("logits_entry", func() { x.set("logits", x.get(x.at("mean.0"))+1) })
	t.Cleanup(func() {
		x.p.Close()
		x.f.empty(t)
	})
	return x
}

func (x *scored) computes(entry string, do func()) {
	x.f.kernels[entry] = func(launched) { do() }
}

// at is where a buffer of score's lies.
func (x *scored) at(buffer string) Ptr {
	i := slices.IndexFunc(x.score.Buffers, func(b plan.Buffer) bool { return b.Name == buffer })
	return Ptr(x.p.funcs["score"].address(i))
}

func (x *scored) get(p Ptr) float32 {
	v := make([]float32, 1)
	copy(bytesOf(v), x.f.at(p, 4))
	return v[0]
}

func (x *scored) set(buffer string, v float32) {
	copy(x.f.at(x.at(buffer), 4), bytesOf([]float32{v}))
}

// run calls score, and returns what it launched. The results are those of a plan of which
// nothing is prepared.
func (x *scored) run(t *testing.T, n int, gamma float32) []string {
	t.Helper()
	x.f.log = nil
	results, err := x.p.Run("score", batch(n))
	require.NoError(t, err)
	require.Equal(t, []float32{3, gamma + 1}, []float32{results[0][0], results[1][0]})
	return x.f.entries()
}

// TestPreparedOnce: what depends on states alone is launched by the first call, and again
// after each change of a state or call of another function, whose arena is the same.
func TestPreparedOnce(t *testing.T) {
	all, rest := []string{"fold_entry", "mean_entry", "logits_entry"}, []string{"mean_entry", "logits_entry"}
	for name, o := range map[string]Options{"graphs": {}, "launches": {NoGraphs: true}, "poison": {Poison: true}} {
		t.Run(name, func(t *testing.T) {
			x := newScored(t, o)
			require.Equal(t, all, x.run(t, 4, 0))
			require.Equal(t, rest, x.run(t, 4, 0))
			require.Equal(t, rest, x.run(t, 2, 0), "no batch is part of it")
			_, err := x.p.ReadState("gamma")
			require.NoError(t, err)
			_, err = x.p.Run("score", batch(5))
			require.Error(t, err)
			require.Equal(t, rest, x.run(t, 4, 0), "neither changes a thing")

			require.NoError(t, x.p.WriteState("gamma", []float32{6, 0, 0, 0, 0, 0, 0, 0}))
			require.Equal(t, all, x.run(t, 2, 6), "a state is another")
			require.Equal(t, rest, x.run(t, 2, 6))
			for _, other := range []string{"mean", "step"} {
				_, err := x.p.Run(other, batch(3))
				require.NoError(t, err)
				require.Equal(t, all, x.run(t, 4, 6), "%s has used the arena", other)
				require.Equal(t, rest, x.run(t, 4, 6))
			}
			require.Error(t, x.p.WriteState("gamma", nil))
			require.Equal(t, rest, x.run(t, 4, 6), "nothing was written")
		})
	}
}

// TestPreparedIsNoPartOfGraphs requires that a call is one graph, what it prepares
// apart.
func TestPreparedIsNoPartOfGraphs(t *testing.T) {
	x := newScored(t, Options{})
	x.run(t, 4, 0)
	x.f.called = nil
	x.run(t, 4, 0)
	require.Equal(t, []string{"Write", "Replay", "Read", "Read"}, x.f.called)
	require.NoError(t, x.p.WriteState("gamma", make([]float32, 8)))
	x.f.called = nil
	x.run(t, 4, 0)
	require.Equal(t, []string{"Write", "Launch", "Replay", "Read", "Read"}, x.f.called)
}

// TestPreparedPoison has poison in all that a call must write, and none in what it keeps.
func TestPreparedPoison(t *testing.T) {
	x := newScored(t, Options{Poison: true})
	poisoned := func(buffer string) bool { v := x.get(x.at(buffer)); return v != v }
	mean := x.f.kernels["mean_entry"]
	x.f.kernels["mean_entry"] = func(l launched) {
		require.True(t, poisoned("mean.0") && poisoned("logits"))
		require.False(t, poisoned("folded"))
		mean(l)
	}
	for range 3 {
		x.run(t, 4, 0)
		require.True(t, poisoned("mean.0"), "dead after its launch")
		require.False(t, poisoned("logits") || poisoned("folded"))
	}
}

// TestPreparedTimes counts the calls of each launch.
func TestPreparedTimes(t *testing.T) {
	x := newScored(t, Options{})
	x.p.Profile(true)
	for range 3 {
		x.run(t, 4, 0)
	}
	var calls []int
	for _, l := range x.p.LaunchTimes("score") {
		calls = append(calls, l.Calls)
	}
	require.Equal(t, []int{1, 3, 3}, calls)
}

// TestPreparedAndFed: what a feeder overwrites in each call does not hold.
func TestPreparedAndFed(t *testing.T) {
	for _, overwrites := range []bool{false, true} {
		load, err := plan.Parse("load.plan", read(t, "load.plan"))
		require.NoError(t, err)
		if overwrites {
			load.Buffers = append(load.Buffers, plan.Buffer{Name: "load.partial", Space: plan.Arena, Type: load.Buffers[12].Type, Bytes: 192, Last: 0})
		}
		x := newScored(t, Options{Feeds: []Feed{{"load", "score", "images"}}}, load)
		x.computes("load_entry", func() {
			if overwrites {
				x.set("folded", -1)
			}
		})
		require.NoError(t, x.p.WriteResident("load", "pictures", make([]byte, 60)))
		require.NoError(t, x.p.WriteResident("load", "values", make([]byte, 3072)))
		for call := range 3 {
			x.f.log = nil
			results, err := x.p.Run("score", numbers(4))
			require.NoError(t, err)
			require.EqualValues(t, 1, results[1][0])
			want := []string{"load_entry", "fold_entry", "mean_entry", "logits_entry"}
			switch {
			case call == 0 && !overwrites:
				want = []string{"fold_entry", "load_entry", "mean_entry", "logits_entry"}
			case !overwrites:
				want = slices.Delete(want, 1, 2)
			}
			require.Equal(t, want, x.f.entries())
		}
	}
}
