package interp

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/compiler/ir"
	"wrnc/runtime/data"
)

// augmentFunc is a function that loads batches of a set of pictures.
func augmentFunc(t *testing.T, set *data.Set, batch int, a data.Augment) *ir.Func {
	t.Helper()
	return parse(t, fmt.Sprintf(`module "t" {batch=%d}
func main(%%pictures : u8[%d,%d,%d,%d] resident, %%order : s32[%[1]d], %%seed : u64[], %%epoch : u64[], %%values : f32[%[5]d,256] resident) {
  %%0 = augment %%pictures, %%order, %%seed, %%epoch, %%values {pad=%d, flip=%v, fill=%v} : f32[%[1]d,%[3]d,%[4]d,%[5]d]
  return %%0
}
`, batch, set.Len(), set.H, set.W, set.C, a.Pad, a.Flip, a.Fill))
}

func words[T byte | int32](t ir.Type, elems []T) *Tensor {
	out := New(t)
	for i, e := range elems {
		out.U[i] = uint64(e)
	}
	return out
}

// picturesOf is a set in which each byte differs from its neighbours.
func picturesOf(n, h, w, c int) *data.Set {
	s := &data.Set{Name: "pictures", Classes: []string{"a"}, H: h, W: w, C: c, Images: make([]byte, n*h*w*c), Labels: make([]int32, n)}
	for i := range s.Images {
		s.Images[i] = byte(37*i + i/251)
	}
	return s
}

// The op yields what data.Loader yields, bit for bit, in every epoch and in the
// short batch at its end; among what is drawn are both mirror images and a crop
// at every corner.
func TestAugmentIsTheLoaders(t *testing.T) {
	for _, size := range [][4]int{{23, 32, 32, 3}, {45, 5, 7, 3}, {45, 6, 4, 1}, {45, 3, 9, 2}} {
		for _, a := range []data.Augment{
			{},
			{Flip: true},
			{Pad: 1, Fill: data.FillZero},
			{Flip: true, Pad: 2, Fill: data.FillReflect},
			{Flip: true, Pad: min(size[1], size[2]) - 1, Fill: data.FillReflect},
			{Flip: true, Pad: min(size[1], size[2], 5) - 1, Fill: data.FillZero},
		} {
			if size[1] == 32 && a.Pad > 4 {
				a.Pad = 4
			}
			set := picturesOf(size[0], size[1], size[2], size[3])
			const batch, seed = 10, 7<<32 + 5
			norm := data.CIFARMeanStd()
			loader, err := data.NewLoader(set, data.LoaderOptions{Batch: batch, Seed: seed, Shuffle: true, Augment: a, Normalize: norm})
			require.NoError(t, err)
			f := augmentFunc(t, set, batch, a)
			in := map[string]*Tensor{
				"pictures": words(f.Param("pictures").Type, set.Images),
				"values":   Floats(f.Param("values").Type),
				"seed":     Words(ir.T(ir.U64), seed),
			}
			for _, v := range norm.Values(set.C) {
				in["values"].F = append(in["values"].F, float64(v))
			}
			drawn := map[data.Choice]bool{}
			for epoch := range 3 {
				in["epoch"] = Words(ir.T(ir.U64), uint64(epoch))
				for b, want := range loader.Epoch(epoch, 0) {
					in["order"] = words(ir.T(ir.S32, want.N), want.Index)
					out := run(t, f, in, nil, Options{})
					require.Len(t, out[0].F, len(want.Images))
					for i, v := range want.Images {
						require.Equal(t, float64(v), out[0].F[i], "%v %+v: epoch %d, batch %d, element %d", size, a, epoch, b, i)
					}
					for _, k := range want.Index {
						drawn[a.Choose(seed, epoch, k)] = true
					}
				}
			}
			if a.Pad == 1 {
				for _, dy := range []int{-1, 1} {
					for _, dx := range []int{-1, 1} {
						require.True(t, drawn[data.Choice{DY: dy, DX: dx}], "a crop at %d, %d", dy, dx)
					}
				}
			}
		}
	}
}

func TestAugmentErrors(t *testing.T) {
	set := picturesOf(3, 2, 4, 1)
	f := augmentFunc(t, set, 2, data.Augment{})
	in := map[string]*Tensor{
		"pictures": words(f.Param("pictures").Type, set.Images),
		"values":   New(f.Param("values").Type),
		"seed":     Words(ir.T(ir.U64), 1), "epoch": Words(ir.T(ir.U64), 1),
	}
	for _, c := range []struct {
		index int32
		want  string
	}{{3, "picture of sample 1 is number 3; there are 3, from 0"}, {-1, "picture of sample 1 is number -1; there are 3"}} {
		in["order"] = words(ir.T(ir.S32, 2), []int32{0, c.index})
		_, err := Run(f, in, nil, Options{})
		require.ErrorContains(t, err, c.want)
	}
	in["order"] = words(ir.T(ir.S32, 2), []int32{0, 1})
	in["pictures"] = New(ir.T(ir.U8, 2, 2, 4, 1))
	_, err := Run(f, in, nil, Options{})
	require.ErrorContains(t, err, "parameter %pictures: expected a tensor u8[3,2,4,1], found u8[2,2,4,1]", "what is resident does not shrink with the batch")
}
