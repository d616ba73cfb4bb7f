package plan_test

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/compiler"
	"wrnc/compiler/ir"
	"wrnc/compiler/irgen"
	"wrnc/compiler/lower"
	"wrnc/compiler/plan"
	"wrnc/dsl"
)

// gpu is a small GPU.
var gpu = plan.Arch{Target: "cuda", ISA: "sm_80", Chans: 1, L1: 64 << 10, L2: 1 << 20, GPU: plan.GPU{SMs: 4, Shared: 64 << 10, SharedSM: 64 << 10, MHz: 1000, GBs: 100, FFMA: 64, TF32: 512, BF16: 1024}}

// loaded is a network's loader, compiled with it.
func loaded(t testing.TB, precision ir.DType, fuse bool) (*ir.Func, *plan.Plan) {
	t.Helper()
	net, err := dsl.Load("a.wrn", []byte("model WRN-10-1\ndata cifar10\n"))
	require.NoError(t, err)
	c, err := compiler.Compile(net, compiler.Options{Batch: 6, Precision: precision, Fuse: fuse, Verify: true,
		Loaders: []irgen.Loader{{Name: "load", Pictures: 50, Augment: true}}})
	require.NoError(t, err)
	f := c.Module.Func("load")
	p, err := lower.Plan(f, gpu)
	require.NoError(t, err)
	return f, p
}

func TestAugment(t *testing.T) {
	for _, precision := range []ir.DType{ir.F32, ir.TF32, ir.BF16} {
		for _, fuse := range []bool{true, false} {
			f, p := loaded(t, precision, fuse)
			require.NoError(t, p.VerifyAgainst(f))
			again, err := plan.Parse("plan", p.String())
			require.NoError(t, err)
			require.Equal(t, withoutLives(p), again)
			require.Contains(t, p.String(), fmt.Sprintf(`
buffer b%d input pictures : u8[50,32,32,3] offset=0 bytes=153600
`, len(p.Buffers)-6))
			require.Contains(t, p.String(), ` : f32[6,32,32,3] batched offset=0 bytes=73728 first=0 last=1

kernel k0 augment load region=load {
`)
			require.Contains(t, p.String(), `
  grid samples=6 batched rows=32 px=32 c=3 unit=32 tail=0
  augment {pad=4, flip=true, fill=reflect}
  block threads=256 shared=0
}
`)
			require.Equal(t, 73728, p.Arena, "the batch is all that the arena holds")
		}
	}
}

// A thread computes a pixel; the size of the data set is an argument.
func TestAugmentLaunch(t *testing.T) {
	_, p := loaded(t, ir.F32, true)
	k := kernel(t, p, "load")
	require.Equal(t, 24, k.Blocks(p, 6))
	require.Equal(t, 4, k.Blocks(p, 1))
	require.Equal(t, 6*3072.0+6*4+8+8+3*1024+6*4*3072, p.Cost(k).Bytes, "the batch's pictures, not the data set")
	var names []string
	for _, f := range k.Params() {
		names = append(names, f.Name)
	}
	require.Equal(t, []string{"a0", "a1", "a2", "a3", "a4", "a5", "n", "pictures"}, names)
	b := k.ParamBytes(p, 5, func(int) uint64 { return 0 })
	require.Len(t, b, 56)
	require.Equal(t, uint32(5), binary.LittleEndian.Uint32(b[48:]))
	require.Equal(t, uint32(50), binary.LittleEndian.Uint32(b[52:]))
}

// Each mutation breaks the plan in one way; want lists what the error must name.
func TestAugmentMutations(t *testing.T) {
	for _, c := range []struct {
		name   string
		mutate func(t *testing.T, p *plan.Plan, k *plan.Kernel)
		want   string
	}{
		{"a wide pad", func(_ *testing.T, _ *plan.Plan, k *plan.Kernel) { k.Augment.Pad = 32 }, "augment of buffer pictures: expected a pad from 0 to 31"},
		{"an unknown border", func(_ *testing.T, _ *plan.Plan, k *plan.Kernel) { k.Augment.Fill = "wrap" }, "expected fill=zero or fill=reflect"},
		{"another grid", func(_ *testing.T, _ *plan.Plan, k *plan.Kernel) { k.Grid.Px = 31 }, "the grid has 32 rows of 31 pixels"},
		{"other samples", func(_ *testing.T, _ *plan.Plan, k *plan.Kernel) { k.Grid.Batched, k.Grid.Samples = false, 5 }, "the grid has 5 samples, the batch 6"},
		{"a data set that follows the batch", func(t *testing.T, p *plan.Plan, _ *plan.Kernel) {
			b := &p.Buffers[bufferIndex(t, p, "pictures")]
			b.Type, b.Bytes, b.Batched = ir.T(ir.U8, 6, 32, 32, 3), 6*32*32*3, true
		}, "buffer pictures changes with the batch"},
		{"an argument less", func(_ *testing.T, _ *plan.Plan, k *plan.Kernel) { k.Args = k.Args[:5] }, "takes 6"},
		{"seed for order", func(_ *testing.T, _ *plan.Plan, k *plan.Kernel) { k.Args[1], k.Args[2] = k.Args[2], k.Args[1] }, "buffer order changes with the batch"},
		{"a table of another size", func(t *testing.T, p *plan.Plan, _ *plan.Kernel) {
			b := &p.Buffers[bufferIndex(t, p, "values")]
			b.Type, b.Bytes = ir.T(ir.F32, 2, 256), 2048
		}, "expected a table f32[3,256], found f32[2,256]"},
		{"another kind", func(_ *testing.T, _ *plan.Plan, k *plan.Kernel) { k.Kind = plan.Map }, "a map kernel changes no pictures"},
		{"no threads", func(_ *testing.T, _ *plan.Plan, k *plan.Kernel) { k.Block.Threads = 0 }, "blocks of 0 threads"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, p := loaded(t, ir.F32, true)
			c.mutate(t, p, kernel(t, p, "load"))
			require.ErrorContains(t, p.Verify(), c.want)
		})
	}
}

func TestAugmentParseErrors(t *testing.T) {
	_, p := loaded(t, ir.F32, true)
	for _, c := range []struct{ to, want string }{
		{"augment {pad=4, flip=true}", "augment has 3 attributes"},
		{"augment {pad=4, flip=yes, fill=zero}", "attribute flip: expected true or false"},
		{"augment {pad=4, flip=true, fill=,}", "attribute fill: expected a name"},
		{"augment {pad=4, flip=true, fill=zero}\n  augment {pad=4, flip=true, fill=zero}", "expected a line of a kernel"},
		{"augmented {pad=4, flip=true, fill=zero}", "expected a line of a kernel"},
	} {
		_, err := plan.Parse("plan", strings.Replace(p.String(), "augment {pad=4, flip=true, fill=reflect}", c.to, 1))
		require.ErrorContains(t, err, c.want)
	}
}

// classified is a loss over a number of classes and its gradient, on a GPU.
func classified(t *testing.T, classes int) *plan.Plan {
	t.Helper()
	m, err := ir.Parse("loss.ir", fmt.Sprintf(`module "loss" {batch=100}
func main(%%x : f32[100,1,1,%[1]d], %%y : s32[100]) {
  %%1 = fusion @loss {kind=opaque} (%%x, %%y) {
    %%0 = xent %%x, %%y : f32[2] #loss
    yield %%0
  } : f32[2]
  %%3 = fusion @back {kind=opaque} (%%x, %%y) {
    %%2 = xent_grad %%x, %%y : f32[100,1,1,%[1]d] #loss
    yield %%2
  } : f32[100,1,1,%[1]d]
  return %%1, %%3
}
`, classes))
	require.NoError(t, err)
	f := m.Func("main")
	p, err := lower.Plan(f, gpu)
	require.NoError(t, err)
	require.NoError(t, p.VerifyAgainst(f))
	return p
}

// The threads that share a sample follow from the number of classes.
func TestLossBlocks(t *testing.T) {
	for _, c := range []struct{ classes, lanes, blocks int }{{2, 1, 1}, {4, 1, 1}, {5, 2, 1}, {10, 4, 2}, {100, 32, 13}, {1000, 32, 13}} {
		p := classified(t, c.classes)
		loss, back := kernel(t, p, "loss"), kernel(t, p, "back")
		require.Equal(t, plan.Block{Threads: 1024, Shared: 256, N: c.lanes}, loss.Block, c.classes)
		require.Equal(t, c.lanes, back.Block.N)
		require.Equal(t, 1, loss.Blocks(p, 100))
		require.Equal(t, c.blocks, back.Blocks(p, 100), c.classes)
	}
	p := classified(t, 10)
	kernel(t, p, "loss").Block.N = 3
	require.ErrorContains(t, p.Verify(), "kernel loss: a block with n=3, expected a power of two up to 32")
	p = classified(t, 10)
	kernel(t, p, "back").Grid.C = 9
	require.ErrorContains(t, p.Verify(), "kernel back: the grid has 1 rows of 1 pixels of 9 channels, the geometry says 1, 1, 10")
}

// A picture may be bf16; a thread's channels divide the picture's.
func TestMaxPoolBlocks(t *testing.T) {
	m, err := ir.Parse("pool.ir", `module "pool" {batch=2}
func main(%x : f32[2,9,7,6]) {
  %1 = fusion @narrow {kind=map} (%x) {
    %0 = convert %x {to=bf16} : bf16[2,9,7,6] #pool
    yield %0
  } : bf16[2,9,7,6]
  %3 = fusion @pool {kind=opaque} (%1) {
    %2 = maxpool %1 {pad=1, stride=2, kernel=3} : f32[2,5,4,6] #pool
    yield %2
  } : f32[2,5,4,6]
  return %3
}
`)
	require.NoError(t, err)
	p, err := lower.Plan(m.Func("main"), gpu)
	require.NoError(t, err)
	k := kernel(t, p, "pool")
	require.NoError(t, p.VerifyAgainst(m.Func("main")))
	require.Equal(t, 2, k.Block.N)
	for _, n := range []int{0, 4, 16} {
		k.Block.N = n
		require.ErrorContains(t, p.Verify(), "a block with n=")
	}
}
