package cuda

import (
	"encoding/binary"
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/compiler/ir"
)

func TestPlansAreSound(t *testing.T) {
	x := newTiny(t)
	for _, p := range x.plans() {
		require.NoError(t, p.Verify())
		require.Equal(t, read(t, p.Func+".plan"), p.String())
	}
}

// TestLaunches compares every launch of a call, byte for byte, with what the
// generated entries take.
func TestLaunches(t *testing.T) {
	x, f := newTiny(t), newFake(t)
	p := x.load(t, f, Options{})
	defer p.Close()
	attrs := ir.Attrs{Stream: "drop"}
	stream := uint32(attrs.StreamID())
	for _, n := range []int{4, 3, 1, 4} {
		t.Run(fmt.Sprintf("n=%d", n), func(t *testing.T) {
			f.log = nil
			_, err := p.Run("step", batch(n))
			require.NoError(t, err)
			require.Equal(t, []string{"conv_entry", "update_entry", "r.double_entry", "pool_entry", "fold_entry", "mask_entry", "loss_entry"}, f.entries())

			byValue := func(i int, g Grid, want layout) {
				require.Equal(t, g, f.log[i].grid, f.log[i].entry)
				require.Equal(t, []byte(want), f.log[i].args, f.log[i].entry)
			}
			tabled := func(i int, g Grid, first []uint32, want layout) {
				require.Equal(t, g, f.log[i].grid, f.log[i].entry)
				args := f.log[i].args
				require.Len(t, args, 24, "two pointers, a u32, and padding to a multiple of 8")
				require.Equal(t, uint64(len(first)), binary.LittleEndian.Uint64(args[16:]))
				table, blocks := Ptr(binary.LittleEndian.Uint64(args)), Ptr(binary.LittleEndian.Uint64(args[8:]))
				require.Zero(t, table%8)
				require.Equal(t, []byte(want), f.at(table, len(want)), f.log[i].entry)
				require.Equal(t, bytesOf(first), f.at(blocks, 4*len(first)))
			}
			m := uint32(n)
			byValue(0, Grid{n, 64, 1024}, x.pointers(p, "w", "images", "conv.y", "conv.partial", "conv.stats", "run", "conv.counter").u32(m).f32(float32(4*n)))
			updates := append(x.pointers(p, "p", "lr").u64(5), x.pointers(p, "q", "lr").u64(7)...)
			tabled(1, Grid{2, 128, 0}, []uint32{0, 1}, updates)
			tabled(2, Grid{1, 128, 0}, []uint32{0}, x.pointers(p, "r").u64(4))
			byValue(3, Grid{n, 64, 256}, x.pointers(p, "conv.y", "logits").u32(m).u32(0))
			tabled(4, Grid{1, 32, 0}, []uint32{0}, x.pointers(p, "run", "gamma", "beta", "fold").u32(8).f32(1))
			tabled(5, Grid{1, 128, 0}, []uint32{0}, x.pointers(p, "mask", "seed", "step").u64(uint64(32*n)).u32(stream).u32(0))
			byValue(6, Grid{1, 64, 128}, x.pointers(p, "logits", "labels", "loss").u32(m).u32(0))
		})
	}
}

// TestTables requires that the launches of a batch are made once, and again
// when others have taken their place; the full batch's stay.
func TestTables(t *testing.T) {
	x, f := newTiny(t), newFake(t)
	p := x.load(t, f, Options{})
	defer p.Close()
	fn := p.funcs["step"]
	require.Len(t, fn.calls, 4, "batches of 4, 3, 2 and 1")
	fn.calls = fn.calls[:3] // two places for short batches
	for _, c := range []struct{ n, writes int }{
		{4, 5},                         // the inputs alone
		{3, 6}, {3, 5}, {2, 6}, {3, 5}, // both have a place
		{1, 6}, // takes that of 2
		{3, 5},
		{2, 6}, // takes that of 1
		{1, 6}, // takes that of 3
		{3, 6},
		{4, 5},
	} {
		f.writes = 0
		_, err := p.Run("step", batch(c.n))
		require.NoError(t, err)
		require.Equal(t, c.writes, f.writes, "%d samples", c.n)
		last := f.log[len(f.log)-2] // mask
		table := Ptr(binary.LittleEndian.Uint64(last.args))
		require.Equal(t, uint64(32*c.n), binary.LittleEndian.Uint64(f.at(table+24, 8)))
	}
}

// TestGraphs requires that a call starts as one where the driver can do so, and that it
// starts the same launches where it cannot, or where each is looked at.
func TestGraphs(t *testing.T) {
	count := func(f *fake, what string) (n int) {
		for _, c := range f.called {
			if c == what {
				n++
			}
		}
		return n
	}
	var logs [][]launched
	for _, c := range []struct {
		graphless, poison          bool
		captures, replays, singles int
	}{
		{captures: 3, replays: 5},
		{graphless: true, singles: 5 * 7},
		{poison: true, singles: 5 * 7},
	} {
		x, f := newTiny(t), newFake(t)
		f.graphless = c.graphless
		p := x.load(t, f, Options{Poison: c.poison})
		for _, n := range []int{4, 4, 3, 4, 3} {
			_, err := p.Run("step", batch(n))
			require.NoError(t, err)
		}
		require.Equal(t, c.captures, count(f, "Capture"), "the full batch of both functions, and one short batch")
		require.Equal(t, c.replays, count(f, "Replay"))
		require.Equal(t, c.singles, count(f, "Launch"))
		logs = append(logs, f.log)
		p.Close()
		f.empty(t)
	}
	require.Equal(t, logs[0], logs[1])
	require.Equal(t, logs[0], logs[2])
}

// TestResults runs kernels that are Go functions: what they see is what was
// written, and what they write is what comes back.
func TestResults(t *testing.T) {
	x, f := newTiny(t), newFake(t)
	p := x.load(t, f, Options{})
	defer p.Close()
	floats := func(at uint64, n int) []float32 {
		v := make([]float32, n)
		copy(bytesOf(v), f.at(Ptr(at), 4*n))
		return v
	}
	n := 3
	f.kernels["conv_entry"] = func(l launched) {
		require.Equal(t, batch(n).F32["images"], floats(x.ptr(p, "images"), n*12))
		require.Equal(t, []byte(layout{}.u32(7).u32(6).u32(5)), f.at(Ptr(x.ptr(p, "labels")), 12))
		require.Equal(t, []byte(layout{}.u64(1<<33)), f.at(Ptr(x.ptr(p, "seed")), 8))
		require.Equal(t, []byte(layout{}.u64(9)), f.at(Ptr(x.ptr(p, "step")), 8))
		for i := range n * 32 { // bf16 of -1.5, 0, 1.5, ...
			binary.LittleEndian.PutUint16(f.at(Ptr(x.ptr(p, "conv.y"))+Ptr(2*i), 2), uint16(math.Float32bits(1.5*float32(i-1))>>16))
		}
	}
	f.kernels["update_entry"] = func(l launched) { // p -= lr*p, for each segment
		table := binary.LittleEndian.Uint64(l.args)
		for s := range binary.LittleEndian.Uint32(l.args[16:]) {
			segment := f.at(Ptr(table)+Ptr(24*s), 24)
			at, lr := binary.LittleEndian.Uint64(segment), floats(binary.LittleEndian.Uint64(segment[8:]), 1)[0]
			v := floats(at, int(binary.LittleEndian.Uint64(segment[16:])))
			for i := range v {
				v[i] -= lr * v[i]
			}
			copy(f.at(Ptr(at), 4*len(v)), bytesOf(v))
		}
	}
	f.kernels["loss_entry"] = func(l launched) { copy(f.at(Ptr(x.ptr(p, "loss")), 8), bytesOf([]float32{2.5, 1})) }
	f.kernels["mean_entry"] = func(l launched) { copy(f.at(p.arena.at, 24), bytesOf([]float32{1, 2, 3, 4, 5, 6})) }

	require.NoError(t, p.WriteState("q", []float32{0, 1, 2, 3, 4, 5, 6}))
	got, err := p.Run("step", batch(n))
	require.NoError(t, err)
	require.Len(t, got, 3)
	require.Equal(t, []float32{2.5, 1}, got[0])
	require.Len(t, got[1], n*32)
	require.Equal(t, []float32{-1.5, 0, 1.5, 3}, got[1][:4])
	require.Len(t, got[2], 16)
	q, err := p.ReadState("q")
	require.NoError(t, err)
	require.Equal(t, []float32{0, 0.5, 1, 1.5, 2, 2.5, 3}, q)
	other, err := p.ReadState("p")
	require.NoError(t, err)
	require.Equal(t, make([]float32, 5), other, "state starts as zeros")

	mean, err := p.Run("mean", batch(2))
	require.NoError(t, err)
	require.Equal(t, []float32{1, 2, 3, 4, 5, 6}, mean[0])
}

func TestMemory(t *testing.T) {
	x, f := newTiny(t), newFake(t)
	p := x.load(t, f, Options{})
	require.Equal(t, max(x.step.Peak(1), x.mean.Peak(1)), p.Allocated())
	m := p.Memory()
	require.Equal(t, Memory{State: 512, Arena: 1280, Counters: 64, Inputs: 192 + 4*64, Incoming: 192 + 4*64, Tables: m.Tables}, m)
	require.Positive(t, m.Tables)
	took := 0
	for _, a := range f.memory {
		took += len(a)
	}
	require.Equal(t, m.State+m.Arena+m.Counters+m.Inputs+m.Incoming+m.Tables, took)
	require.Equal(t, make([]byte, 64), f.at(p.counters.at, 64), "counters start at zero")

	allocs := len(f.memory)
	for n := 1; n <= 4; n++ {
		_, err := p.Run("step", batch(n))
		require.NoError(t, err)
	}
	require.Len(t, f.memory, allocs, "a call takes no memory")

	p.Close()
	p.Close()
	f.empty(t)
	require.NotContains(t, f.called, "Close", "the driver is the caller's")
	_, err := p.Run("step", batch(1))
	require.ErrorContains(t, err, "tiny: the program is closed")
	require.ErrorContains(t, p.WriteState("p", make([]float32, 5)), "closed")
	_, err = p.ReadState("p")
	require.ErrorContains(t, err, "closed")
}

// TestTexts requires each distinct text to be loaded once for all functions.
func TestTexts(t *testing.T) {
	x, f := newTiny(t), newFake(t)
	x.sources[1][0] = x.sources[0][4] // pool: the same blocks
	headers := map[string]string{"device.cuh": "// the prelude"}
	p := x.load(t, f, Options{Headers: headers})
	defer p.Close()
	require.Equal(t, headers, f.headers)
	got := map[string]int{}
	for _, text := range f.functions {
		got[text.Entry]++
	}
	require.Equal(t, map[string]int{"conv_entry": 1, "update_entry": 1, "r.double_entry": 1, "pool_entry": 1, "fold_entry": 1, "mask_entry": 1, "loss_entry": 1}, got)
}

func TestPoison(t *testing.T) {
	x, f := newTiny(t), newFake(t)
	p := x.load(t, f, Options{Poison: true})
	defer p.Close()
	nan := func(buffer string, bytes int) bool {
		for _, b := range f.at(Ptr(x.ptr(p, buffer)), bytes) {
			if b != poison {
				return false
			}
		}
		return true
	}
	f.kernels["conv_entry"] = func(l launched) {
		require.True(t, nan("conv.y", 256), "the arena before a call")
		require.True(t, nan("images", 192) == false && f.at(Ptr(x.ptr(p, "images")+3*48), 48)[5] == poison, "images beyond the batch")
		copy(f.at(Ptr(x.ptr(p, "conv.y")), 4), bytesOf([]float32{1}))
		copy(f.at(Ptr(x.ptr(p, "conv.stats")), 4), bytesOf([]float32{1}))
	}
	f.kernels["r.double_entry"] = func(l launched) {
		require.False(t, nan("conv.stats", 64), "the launch is not over")
	}
	f.kernels["pool_entry"] = func(l launched) {
		require.True(t, nan("conv.stats", 64), "dead after launch 0")
		require.False(t, nan("conv.y", 256), "a result lives on")
		copy(f.at(Ptr(x.ptr(p, "logits")), 4), bytesOf([]float32{1}))
	}
	f.kernels["loss_entry"] = func(l launched) { require.False(t, nan("logits", 128)) }
	for range 2 {
		_, err := p.Run("step", batch(3))
		require.NoError(t, err)
		require.True(t, nan("logits", 128))
	}
	f.kernels["mask_entry"] = func(l launched) { f.late = errFake }
	_, err := p.Run("step", batch(3))
	require.ErrorIs(t, err, errFake)
	require.EqualError(t, err, "step: launch 1, kernel mask (mask_entry): the fake was told to fail", "a fault names its kernel")
}

func TestPoisonChecksCounters(t *testing.T) {
	x, f := newTiny(t), newFake(t)
	p := x.load(t, f, Options{Poison: true})
	defer p.Close()
	f.kernels["conv_entry"] = func(l launched) { f.at(Ptr(x.ptr(p, "conv.counter")), 4)[0] = 3 }
	_, err := p.Run("step", batch(4))
	require.EqualError(t, err, "step: counter 0 of conv.counter is left at 3, expected 0")
}

// TestOneWait requires that a call waits for the device once, by reading its results.
func TestOneWait(t *testing.T) {
	x, f := newTiny(t), newFake(t)
	p := x.load(t, f, Options{})
	defer p.Close()
	_, err := p.Run("step", batch(4))
	require.NoError(t, err)
	f.called = nil
	_, err = p.Run("step", batch(4))
	require.NoError(t, err)
	require.Equal(t, []string{"Write", "Write", "Write", "Write", "Write", "Replay", "Read", "Read", "Read"}, f.called)
}
