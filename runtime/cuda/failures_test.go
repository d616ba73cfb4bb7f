package cuda

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/compiler/ir"
	"wrnc/compiler/plan"
	"wrnc/runtime"
)

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
