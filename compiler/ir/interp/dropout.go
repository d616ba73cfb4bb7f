package interp

import (
	"wrnc/compiler/ir"
	"wrnc/kernels/f32"
)

// dropoutMask draws a bit for each element. With e the element's linear NHWC
// index, its 16 random bits are half-word e mod 8, low half first, of
// Philox4x32-10 with key = seed and counter = (e/8 low, e/8 high, step low,
// stream); the element is kept where they are at least T.
func dropoutMask(m *machine, n *ir.Node, in []*Tensor) ([]*Tensor, error) {
	out, err := alloc(withBatch(n.Result().Type, m.n))
	if err != nil {
		return nil, err
	}
	seed, step := in[0].U[0], in[1].U[0]
	key := [2]uint32{uint32(seed), uint32(seed >> 32)}
	stream, threshold := n.Attrs.StreamID(), n.Attrs.KeepThreshold()
	var words [4]uint32
	for e := range out.F {
		if e%8 == 0 {
			group := uint64(e / 8)
			words = f32.Philox4x32(key, [4]uint32{uint32(group), uint32(group >> 32), uint32(step), stream})
		}
		half := e % 8
		bits := words[half/2] >> (16 * (half % 2)) & 0xffff
		if int(bits) >= threshold {
			out.F[e] = 1
		}
	}
	return []*Tensor{out}, nil
}
