package interp

import (
	"fmt"

	"wrnc/compiler/ir"
	"wrnc/kernels/f32"
)

// augment takes the batch's pictures out of the data set and changes each as its
// number, the seed and the epoch say: a mirror image or not, then a crop, shifted
// by at most pad pixels in each direction, out of the picture with a border.
func augment(m *machine, n *ir.Node, in []*Tensor) ([]*Tensor, error) {
	pictures, order, values := in[0], in[1], in[4]
	seed, epoch := in[2].U[0], in[3].U[0]
	d, a := pictures.Type.Dims, n.Attrs
	h, w, c := d[1], d[2], d[3]
	out, err := alloc(withBatch(n.Result().Type, len(order.U)))
	if err != nil {
		return nil, err
	}
	// source is which of 0..size-1 stands at place i of the axis; false beyond
	// the border where that is filled with zeros.
	source := func(i, size int) (int, bool) {
		switch {
		case i >= 0 && i < size:
			return i, true
		case a.Fill == ir.FillZero:
			return 0, false
		case i < 0:
			return -i, true
		}
		return 2*(size-1) - i, true
	}
	at := 0
	for sample, index := range order.U {
		if index >= uint64(d[0]) {
			return nil, fmt.Errorf("picture of sample %d is number %d; there are %d, from 0", sample, int32(index), d[0])
		}
		flip, dy, dx := draw(a, seed, epoch, uint32(index))
		for y := range h {
			for x := range w {
				sy, inY := source(y+dy, h)
				sx, inX := source(x+dx, w)
				if flip {
					sx = w - 1 - sx
				}
				for ch := range c {
					if inY && inX {
						b := pictures.U[((int(index)*h+sy)*w+sx)*c+ch]
						out.F[at] = values.F[256*ch+int(uint8(b))]
					}
					at++
				}
			}
		}
	}
	return []*Tensor{out}, nil
}

// draw is what happens to a picture in an epoch.
func draw(a ir.Attrs, seed, epoch uint64, index uint32) (flip bool, dy, dx int) {
	stream := ir.Attrs{Stream: "augment"}.StreamID()
	key := [2]uint32{uint32(seed), uint32(seed >> 32)}
	words := f32.Philox4x32(key, [4]uint32{index, 0, uint32(epoch), stream})
	shift := func(word uint32) int { return int(uint64(word)*uint64(2*a.Pad+1)>>32) - a.Pad }
	return a.Flip && words[0]>>31 == 1, shift(words[1]), shift(words[2])
}
