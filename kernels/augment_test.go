package kernels_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/compiler/ir"
	"wrnc/compiler/ir/interp"
	"wrnc/kernels/harness"
	"wrnc/runtime/data"
)

// augmentText is what codegen prints.
func augmentText(set *data.Set, a data.Augment, threads int) string {
	return fmt.Sprintf(`// augment: [%[1]d,%[2]d,%[3]d]
#include "augment.cuh"

struct Args { const u8* a0; const i32* a1; const u64* a2; const u64* a3; const f32* a4; f32* a5; i32 n; i32 pictures; };
using Shape = AugmentShape<%[1]d, %[2]d, %[3]d, %[4]d, %[5]v, %[6]v>;

WRNC_KERNEL(augment_, %[7]d, 2)(const Args args) {
  augment<Shape, %[7]d>(args.a0, args.a1, args.a2, args.a3, args.a4, args.a5, args.n, args.pictures);
}
`, set.H, set.W, set.C, a.Pad, a.Flip, a.Fill == data.FillReflect, threads)
}

// picturesOf is a set in which each byte differs from its neighbours.
func picturesOf(n, h, w, c int) *data.Set {
	s := &data.Set{Name: "pictures", Classes: []string{"a"}, H: h, W: w, C: c, Images: make([]byte, n*h*w*c), Labels: make([]int32, n)}
	for i := range s.Images {
		s.Images[i] = byte(37*i + i/251)
	}
	return s
}

// interpretedBatch evaluates the op by the interpreter.
func interpretedBatch(t *testing.T, set *data.Set, a data.Augment, values []float32, seed, epoch uint64, order []int32) []float32 {
	t.Helper()
	m, err := ir.Parse("load.ir", fmt.Sprintf(`module "load" {batch=%[1]d}
func main(%%pictures : u8[%[2]d,%[3]d,%[4]d,%[5]d] resident, %%order : s32[%[1]d], %%seed : u64[], %%epoch : u64[], %%values : f32[%[5]d,256] resident) {
  %%0 = augment %%pictures, %%order, %%seed, %%epoch, %%values {pad=%[6]d, flip=%[7]v, fill=%[8]v} : f32[%[1]d,%[3]d,%[4]d,%[5]d]
  return %%0
}
`, len(order), set.Len(), set.H, set.W, set.C, a.Pad, a.Flip, a.Fill))
	require.NoError(t, err)
	f := m.Func("main")
	in := map[string]*interp.Tensor{}
	for _, p := range f.Params {
		in[p.Name] = interp.New(p.Type)
	}
	for i, b := range set.Images {
		in["pictures"].U[i] = uint64(b)
	}
	for i, k := range order {
		in["order"].U[i] = uint64(k)
	}
	for i, v := range values {
		in["values"].F[i] = float64(v)
	}
	in["seed"].U[0], in["epoch"].U[0] = seed, epoch
	res, err := interp.Run(f, in, nil, interp.Options{})
	require.NoError(t, err)
	batch := make([]float32, len(res.Returns[0].F))
	for i, v := range res.Returns[0].F {
		batch[i] = float32(v)
	}
	return batch
}

// The loader, the interpreter and the kernel yield the same bits in every epoch,
// over mirror images and crops at every corner, and in the short batch at an
// epoch's end.
func TestAugment(t *testing.T) {
	r := newRig(t)
	const batch, seed, threads = 10, 7<<32 + 5, 96
	for _, size := range [][4]int{{23, 32, 32, 3}, {45, 5, 7, 3}, {45, 6, 4, 1}, {45, 3, 9, 2}} {
		for _, a := range []data.Augment{
			{},
			{Flip: true},
			{Pad: 1, Fill: data.FillZero},
			{Flip: true, Pad: 2, Fill: data.FillReflect},
			{Flip: true, Pad: min(size[1], size[2], 5) - 1, Fill: data.FillReflect},
			{Flip: true, Pad: min(size[1], size[2], 5) - 1, Fill: data.FillZero},
		} {
			t.Run(fmt.Sprintf("%v %+v", size, a), func(t *testing.T) {
				r.t = t
				set := picturesOf(size[0], size[1], size[2], size[3])
				norm := data.CIFARMeanStd()
				values := norm.Values(set.C)
				loader, err := data.NewLoader(set, data.LoaderOptions{Batch: batch, Seed: seed, Shuffle: true, Augment: a, Normalize: norm})
				require.NoError(t, err)
				text := augmentText(set, a, threads)
				pictures, table, seeds := r.in(set.Images), r.in(values), r.in(uint64(seed))
				drawn := map[data.Choice]bool{}
				for epoch := range 3 {
					epochs := r.in(uint64(epoch))
					for b, want := range loader.Epoch(epoch, 0) {
						require.Equal(t, bits(want.Images), bits(interpretedBatch(t, set, a, values, seed, uint64(epoch), want.Index)))
						out := r.out(len(want.Images))
						r.run(text, "augment_", ceilDiv(want.N*set.H*set.W, threads), threads, 0, orders[b%3],
							pictures, r.in(want.Index), seeds, epochs, table, out, int32(want.N), int32(set.Len()))
						require.Equal(t, bits(want.Images), bits(r.read(out, len(want.Images))), "epoch %d, batch %d", epoch, b)
						for _, k := range want.Index {
							drawn[a.Choose(seed, epoch, k)] = true
						}
					}
				}
				if a.Pad == 1 {
					for _, corner := range [][2]int{{-1, -1}, {-1, 1}, {1, -1}, {1, 1}} {
						require.True(t, drawn[data.Choice{DY: corner[0], DX: corner[1]}], "no crop at %v", corner)
					}
				}
			})
		}
	}
}

// A number that is no picture yields NaN, and nothing is read for it.
func TestAugmentOfWhatIsNoPicture(t *testing.T) {
	r := newRig(t)
	set := picturesOf(3, 4, 5, 2)
	a := data.Augment{Flip: true, Pad: 2, Fill: data.FillZero}
	values := data.CIFARMeanStd().Values(2)
	order := []int32{1, 3, -1, 2, math.MaxInt32, math.MinInt32}
	size := 4 * 5 * 2
	out := r.out(len(order) * size)
	r.run(augmentText(set, a, 32), "augment_", ceilDiv(len(order)*20, 32), 32, 0, harness.Forward,
		r.in(set.Images), r.in(order), r.in(uint64(1)), r.in(uint64(0)), r.in(values), out, int32(len(order)), int32(3))
	got := r.read(out, len(order)*size)
	want := interpretedBatch(t, set, a, values, 1, 0, []int32{1, 2})
	require.Equal(t, want[:size], got[:size])
	require.Equal(t, want[size:], got[3*size:4*size])
	for _, sample := range []int{1, 2, 4, 5} {
		for i, v := range got[sample*size : (sample+1)*size] {
			require.True(t, v != v, "sample %d, element %d is %v", sample, i, v)
		}
	}
}
