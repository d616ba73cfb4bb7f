package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/compiler/ir"
	"wrnc/compiler/plan"
	"wrnc/dsl"
	kernels "wrnc/kernels/cpu"
	"wrnc/runtime/train"
)

func TestMemoryOfPlans(t *testing.T) {
	m := memoryOf([]*plan.Plan{{State: 10, Arena: 70, Scratch: 3}, {State: 10, Arena: 50, Scratch: 5}})
	require.Equal(t, memory{state: 10, arena: 70, scratch: 5}, m)
	require.Equal(t, 10+70+3*5, m.peak(3))
}

func TestFormats(t *testing.T) {
	for n, want := range map[int]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 59957760: "57.2 MiB", 1 << 40: "1.0 TiB"} {
		require.Equal(t, want, formatBytes(n))
	}
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 36479194: "36,479,194"} {
		require.Equal(t, want, formatCount(n))
	}
	require.Equal(t, "WRN-40-2-B313", fileName("WRN-40-2-B(3,1,3)"))
}

func TestRecipeResetsVelocityAtDrops(t *testing.T) {
	got := recipe(dsl.Train{Epochs: 4, LR: 1, Drops: []int{1, 3}, DropRatio: 0.5, ResetVelocity: true, KeepShortBatch: true})
	require.Equal(t, train.Recipe{KeepShortBatch: true, Epochs: []train.Epoch{
		{Rate: 1}, {Rate: 0.5, ResetVelocity: true}, {Rate: 0.5}, {Rate: 0.25, ResetVelocity: true},
	}}, got)
	require.False(t, recipe(dsl.Train{Epochs: 2, LR: 1, Drops: []int{1}, DropRatio: 0.5}).Epochs[1].ResetVelocity)
}

func TestFreeMemory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "meminfo")
	_, known, err := freeMemory(path)
	require.NoError(t, err)
	require.False(t, known, "a system that does not say")
	require.NoError(t, os.WriteFile(path, []byte("MemTotal:       9 kB\nMemAvailable:   7 kB\n"), 0o600))
	free, known, err := freeMemory(path)
	require.NoError(t, err)
	require.True(t, known)
	require.EqualValues(t, 7*1024, free)
	require.NoError(t, affordable(7*1024, path))
	require.ErrorContains(t, affordable(7*1024+1, path), "this needs 7.0 KiB of memory, and 7.0 KiB are free; take a smaller --batch")
}

func TestDefaultNetworksAreSound(t *testing.T) {
	for _, d := range dataSets() {
		net, err := (&runCommand{}).load(d)
		require.NoError(t, err)
		require.Equal(t, d.name, net.Data.Name)
	}
}

func TestBuildFolderIsReplacedWhole(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "out")
	require.NoError(t, writeBuild(dir, []textFile{{"a", "1"}, {"b", "1"}}, buildFacts{}))
	require.NoError(t, writeBuild(dir, []textFile{{"a", "2"}}, buildFacts{}))
	text, err := os.ReadFile(filepath.Join(dir, "a"))
	require.NoError(t, err)
	require.Equal(t, "2", string(text))
	require.NoFileExists(t, filepath.Join(dir, "b"))
	around, err := os.ReadDir(filepath.Dir(dir))
	require.NoError(t, err)
	require.Len(t, around, 1, "nothing is left beside it")

	// A failure leaves the old folder as it is.
	require.Error(t, writeBuild(dir, []textFile{{"a", "3"}, {"a/b", ""}}, buildFacts{}))
	text, err = os.ReadFile(filepath.Join(dir, "a"))
	require.NoError(t, err)
	require.Equal(t, "2", string(text))
	around, err = os.ReadDir(filepath.Dir(dir))
	require.NoError(t, err)
	require.Len(t, around, 1)
}

func TestPlannedPeakIsAllocated(t *testing.T) {
	net, err := dsl.FromName("WRN-10-1")
	require.NoError(t, err)
	net.Train.Batch = 5
	training, inferring, _, err := planMemory(net)
	require.NoError(t, err)
	require.Less(t, inferring.state, training.state*6/10, "inference has no velocity")
	isa, err := chooseISA("auto", kernels.All())
	require.NoError(t, err)
	for _, threads := range []int{1, 3} {
		j := job{net: net, on: &cpuMachine{isa, threads, false}, precision: ir.F32, fuse: true}
		l, err := j.layOut()
		require.NoError(t, err)
		ex, err := l.load(j.on)
		require.NoError(t, err)
		planned := memoryOf(l.plans)
		require.Equal(t, training, planned, "what summary says is what run takes")
		require.Equal(t, planned.peak(threads), ex.Allocated())
		ex.Close()
	}
}
