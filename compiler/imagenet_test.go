package compiler

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/compiler/ir"
	"wrnc/dsl"
)

// imageNet is a network of the ImageNet family on small odd pictures.
func imageNet(t *testing.T) *dsl.Network {
	t.Helper()
	net, err := dsl.Load("test.wrn", []byte("model WRN-18-0.0625\ndata imagenet\n"))
	require.NoError(t, err)
	net.Input, net.Classes = [3]int{35, 38, 3}, 10
	return net
}

// A training step with a max pool and activations after the sums is the same to
// the bit, fused, unfused and before either, in every precision.
func TestFusedImageNetStep(t *testing.T) {
	for _, precision := range []ir.DType{ir.F32, ir.TF32, ir.BF16} {
		var plain *ir.Module
		o := Options{Batch: 2, Precision: precision, Fuse: true}
		o.After = func(pass string, m *ir.Module) {
			if pass == "deadcode" {
				var err error
				plain, err = ir.Parse("plain", m.String())
				require.NoError(t, err)
			}
		}
		fused := compile(t, imageNet(t), o)
		o.Fuse, o.After = false, nil
		isolated := compile(t, imageNet(t), o)
		for _, f := range fused.Funcs {
			checkRegions(t, f)
			want := run(t, plain.Func(f.Name))
			require.Equal(t, want, run(t, f), "%v %s", precision, f.Name)
			require.Equal(t, want, run(t, isolated.Func(f.Name)), "%v %s", precision, f.Name)
		}
	}
}

// The pool and its gradient are regions of their own; the sum and the ReLU of a
// block join the convolutions around them.
func TestImageNetRegions(t *testing.T) {
	m := compile(t, imageNet(t), Options{Batch: 2, Fuse: true})
	var opaque []string
	for _, n := range m.Func("train").Nodes {
		if n.Attrs.Kind == "opaque" {
			opaque = append(opaque, n.Layer+" "+n.Body.Nodes[0].Op.String())
		}
	}
	slices.Sort(opaque)
	require.Equal(t, []string{"loss xent", "loss.2 xent_grad", "maxpool maxpool", "maxpool.2 maxpool_grad"}, opaque)

	inFile := 0
	for _, n := range m.Func("infer").Nodes {
		for _, b := range n.Body.Nodes {
			if b.Op == ir.ReLU && n.Attrs.Kind == "conv_fprop" {
				inFile++
			}
		}
	}
	require.Positive(t, inFile, "a ReLU inside the region of a convolution")
}
