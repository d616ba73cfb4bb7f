package cuda

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/compiler/ir"
	"wrnc/compiler/plan"
	"wrnc/runtime"
)

// tiny is a module of two functions, planned for a GPU by hand: step has every
// kind of argument, two kernels of one text in one launch, and a counter; mean
// has the images alone.
type tiny struct {
	m       *ir.Module
	step    *plan.Plan
	mean    *plan.Plan
	sources [][]plan.Source // of step, of mean
}

func read(t *testing.T, file string) string {
	text, err := os.ReadFile("testdata/" + file)
	require.NoError(t, err)
	return string(text)
}

func newTiny(t *testing.T) *tiny {
	m, err := ir.Parse("tiny.ir", read(t, "tiny.ir"))
	require.NoError(t, err)
	x := &tiny{m: m}
	x.step, err = plan.Parse("step.plan", read(t, "step.plan"))
	require.NoError(t, err)
	x.mean, err = plan.Parse("mean.plan", read(t, "mean.plan"))
	require.NoError(t, err)
	for _, p := range x.plans() {
		var list []plan.Source
		for _, k := range p.Kernels {
			list = append(list, source(k))
		}
		x.sources = append(x.sources, list)
	}
	return x
}

func (x *tiny) plans() []*plan.Plan { return []*plan.Plan{x.step, x.mean} }

func (x *tiny) load(t *testing.T, d Driver, o Options) *Program {
	p, err := Load(x.m, x.plans(), x.sources, d, o)
	require.NoError(t, err)
	return p
}

// batch is a call's inputs; images are 0, 1, 2, ...
func batch(n int) runtime.Inputs {
	images := make([]float32, n*2*2*3)
	for i := range images {
		images[i] = float32(i)
	}
	labels := make([]int32, n)
	for i := range labels {
		labels[i] = int32(7 - i)
	}
	return runtime.Inputs{N: n, F32: map[string][]float32{"images": images, "lr": {0.5}},
		Labels: map[string][]int32{"labels": labels}, U64: map[string]uint64{"seed": 1 << 33, "step": 9}}
}

func TestPlansAreSound(t *testing.T) {
	x := newTiny(t)
	for _, p := range x.plans() {
		require.NoError(t, p.Verify())
		require.Equal(t, read(t, p.Func+".plan"), p.String())
	}
}

// layout writes fields as C++ does.
type layout []byte

func (l layout) u64(v uint64) layout { return binary.LittleEndian.AppendUint64(l, v) }
func (l layout) u32(v uint32) layout { return binary.LittleEndian.AppendUint32(l, v) }
func (l layout) f32(v float32) layout {
	return binary.LittleEndian.AppendUint32(l, math.Float32bits(v))
}

// ptr is the address of a buffer of step's plan.
func (x *tiny) ptr(p *Program, buffer string) uint64 {
	inputs := map[string]int{"images": 0, "labels": 192, "lr": 256, "seed": 320, "step": 384}
	for _, b := range x.step.Buffers {
		if b.Name == buffer {
			switch b.Space {
			case plan.State:
				return uint64(p.state.at) + uint64(b.Offset)
			case plan.Arena:
				return uint64(p.arena.at) + uint64(b.Offset)
			case plan.Counter:
				return uint64(p.counters.at) + uint64(b.Offset)
			}
			return uint64(p.inputs.at) + uint64(inputs[buffer])
		}
	}
	panic(buffer)
}

func (x *tiny) pointers(p *Program, names ...string) layout {
	var l layout
	for _, n := range names {
		l = l.u64(x.ptr(p, n))
	}
	return l
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
	require.Equal(t, Memory{State: 512, Arena: 1280, Counters: 64, Inputs: 192 + 4*64, Tables: m.Tables}, m)
	require.Positive(t, m.Tables)
	took := 0
	for _, a := range f.memory {
		took += len(a)
	}
	require.Equal(t, m.State+m.Arena+m.Counters+m.Inputs+m.Tables, took)
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

// TestEveryCallCanFail makes each call to the driver fail in turn. There is one
// error, it says what was being done, nothing is left, and the program refuses
// to go on.
func TestEveryCallCanFail(t *testing.T) {
	for _, poison := range []bool{false, true} {
		for at := 1; ; at++ {
			x, f := newTiny(t), newFake(t)
			f.failAt = at
			err := session(x, f, Options{Poison: poison})
			f.empty(t)
			if len(f.called) < at {
				require.NoError(t, err)
				require.Greater(t, at, 30, "a session that makes few calls shows little")
				break
			}
			if f.closing > 0 && at > f.closing {
				require.NoError(t, err, "Close has nobody to tell")
				continue
			}
			require.ErrorIs(t, err, errFake, "call %d, %s", at, f.called[at-1])
			require.Regexp(t, `^(tiny|loading tiny|mean|step|reading state @p|writing state @p): `, err.Error())
		}
	}
}

// session loads, writes, runs, reads and closes, up to the first error.
func session(x *tiny, f *fake, o Options) error {
	p, err := Load(x.m, x.plans(), x.sources, f, o)
	if err != nil {
		return err
	}
	defer func() {
		f.closing = len(f.called)
		p.Close()
	}()
	again := func(err error) error {
		if _, next := p.Run("mean", batch(1)); next == nil || !errors.Is(next, errFake) {
			return fmt.Errorf("the program went on after %w", err)
		}
		return err
	}
	if err := p.WriteState("p", make([]float32, 5)); err != nil {
		return again(err)
	}
	step := p.funcs["step"]
	step.calls = step.calls[:2] // one place for short batches, so that a graph must go
	for _, n := range []int{4, 2, 3} {
		if _, err := p.Run("step", batch(n)); err != nil {
			return again(err)
		}
	}
	if _, err := p.ReadState("p"); err != nil {
		return again(err)
	}
	return nil
}

func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(x *tiny)
		want  string
	}{
		"no GPU":        {func(x *tiny) { x.step.Arch = plan.Arch{Target: "cpu", ISA: "avx2"} }, "the plan of step is for the cpu target with avx2, which is no GPU"},
		"two GPUs":      {func(x *tiny) { x.mean.Arch.ISA = "sm_90a" }, "the plan of mean is for sm_90a, that of step for sm_80"},
		"twice":         {func(x *tiny) { x.mean.Func = "step" }, "two plans of step"},
		"texts":         {func(x *tiny) { x.sources[1] = nil }, "the plan of mean has 1 kernels, and there are 0 texts"},
		"plans' texts":  {func(x *tiny) { x.sources = x.sources[:1] }, "tiny: texts of 1 plans, there are 2"},
		"blocks":        {func(x *tiny) { x.step.Kernels[3].Block.Threads = 64 }, "step: kernel q.update has blocks of 64 threads and 0 bytes, update_entry has 128 and 0 elsewhere"},
		"threads":       {func(x *tiny) { x.step.Kernels[3].Block.Threads = 0 }, "step: kernel q.update has blocks of 0 threads"},
		"tile":          {func(x *tiny) { x.step.Kernels[0].Block.N = 0 }, "step: kernel conv: a tile of 4 by 0"},
		"channel ops":   {func(x *tiny) { x.step.Kernels[5].Channel = nil }, "step: kernel fold: it runs no channel op"},
		"launches":      {func(x *tiny) { x.step.Launches = x.step.Launches[:2] }, "step: kernel loss runs in 0 launches"},
		"moved state":   {func(x *tiny) { x.mean.Buffers[3].Offset = 0 }, "mean: state @p lies elsewhere than in another function"},
		"missing state": {func(x *tiny) { x.mean.Buffers[3].Space = plan.Arena; x.mean.Arena = 320 }, "mean: 6 states, another function has 7"},
		"unknown state": {func(x *tiny) { x.m.States[0].Name = "v" }, "state @v (f32[8,1,1,3]) has no place in the plan of step"},
		"state's type":  {func(x *tiny) { x.step.Buffers[0].Type.DType = ir.TF32; x.mean.Buffers[0].Type.DType = ir.TF32 }, "step: state @w is tf32[8,1,1,3], expected f32"},
		"arena":         {func(x *tiny) { x.step.Arena = 1024 }, "step: buffer mask: 512 bytes at 768 do not fit the arena space of 1024 bytes"},
		"parameter":     {func(x *tiny) { x.step.Buffers[7].Type.DType = ir.BF16 }, "step: parameter images: the cuda target takes f32, s32 and u64, and u8 that is the same for every batch; found bf16[4,2,2,3]"},
		"result":        {func(x *tiny) { x.step.Buffers[17].Type.DType = ir.S32 }, "step: result loss is s32[2], expected floats"},
		"unlike kernels": {func(x *tiny) { x.sources[0][2] = x.sources[0][1] },
			"step: launch 0, kernel p.update and 2 more (update_entry): kernel r.double takes 16 bytes of arguments, kernel p.update, which has the same text, 24"},
	} {
		t.Run(name, func(t *testing.T) {
			x, f := newTiny(t), newFake(t)
			c.spoil(x)
			_, err := Load(x.m, x.plans(), x.sources, f, Options{})
			require.EqualError(t, err, c.want)
			f.empty(t)
		})
	}
	_, err := Load(newTiny(t).m, nil, nil, newFake(t), Options{})
	require.EqualError(t, err, "tiny: no plans")
	x, f := newTiny(t), newFake(t)
	f.skew = 8
	_, err = Load(x.m, x.plans(), x.sources, f, Options{})
	require.EqualError(t, err, "tiny: the state start at 0x10000100008, expected a multiple of 64")
	f.empty(t)
}

func TestCallsThatAreRefused(t *testing.T) {
	x, f := newTiny(t), newFake(t)
	x.step.Kernels[0].Channel[0].Attrs.Count = 4
	p := x.load(t, f, Options{})
	defer p.Close()
	calls := len(f.called)
	for name, c := range map[string]struct {
		spoil func(in *runtime.Inputs)
		want  string
	}{
		"none":     {func(in *runtime.Inputs) { in.N = 0 }, "step: a batch of 0 samples; the plan is for 1 to 4"},
		"too many": {func(in *runtime.Inputs) { in.N = 5 }, "step: a batch of 5 samples; the plan is for 1 to 4"},
		"one number": {func(in *runtime.Inputs) { *in = batch(1) },
			"step: kernel conv: batch norm cannot train on one number a channel, as a batch of 1 leaves it; take a larger batch"},
		"images":   {func(in *runtime.Inputs) { in.N = 2 }, "step: parameter images (f32[4,2,2,3]): expected 24 elements for 2 samples, found 36"},
		"labels":   {func(in *runtime.Inputs) { in.Labels = nil }, "step: parameter labels (s32[4]): expected 3 elements for 3 samples, found 0"},
		"class":    {func(in *runtime.Inputs) { in.Labels["labels"][1] = 8 }, "step: label 8 of sample 1: expected 0 to 7"},
		"no class": {func(in *runtime.Inputs) { in.Labels["labels"][2] = -1 }, "step: label -1 of sample 2: expected 0 to 7"},
		"rate":     {func(in *runtime.Inputs) { in.F32["lr"] = nil }, "step: parameter lr (f32[]): expected 1 elements for 3 samples, found 0"},
		"seed":     {func(in *runtime.Inputs) { delete(in.U64, "seed") }, "step: parameter seed (u64[]): expected 1 elements for 3 samples, found 0"},
	} {
		t.Run(name, func(t *testing.T) {
			in := batch(3)
			c.spoil(&in)
			_, err := p.Run("step", in)
			require.EqualError(t, err, c.want)
		})
	}
	_, err := p.Run("train", batch(3))
	require.EqualError(t, err, "tiny has no function train")
	_, err = p.ReadState("v")
	require.EqualError(t, err, "no state @v in tiny")
	require.EqualError(t, p.WriteState("p", make([]float32, 6)), "state @p has 5 elements, found 6")
	require.Len(t, f.called, calls, "what is refused does not reach the driver")
	_, err = p.Run("step", batch(3))
	require.NoError(t, err, "and the program goes on")
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
