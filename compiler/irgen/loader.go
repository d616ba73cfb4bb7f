package irgen

import (
	"fmt"
	"slices"

	"wrnc/compiler/ir"
	"wrnc/dsl"
)

// Loader is a function that takes batches out of a data set in a device's memory.
type Loader struct {
	Name     string // of the function
	Pictures int    // in the data set
	Augment  bool   // whether they change as the network's text says, for training
}

// AddLoader writes a loader into a module that Build has written for the network:
//
//	func load(%pictures : u8[50000,32,32,3] resident, %order : s32[128], %seed : u64[], %epoch : u64[], %values : f32[3,256] resident) {
//	  %0 = augment %pictures, %order, %seed, %epoch, %values {pad=4, flip=true, fill=reflect} : f32[128,32,32,3] #load
//	  return %0
//	}
//
// order holds the numbers of the batch's pictures in the data set, values what
// each byte becomes; then the result is the batch that runtime/data's Loader
// makes, bit for bit.
func AddLoader(m *ir.Module, net *dsl.Network, l Loader) error {
	if m.Func(l.Name) != nil {
		return fmt.Errorf("func %s is there already", l.Name)
	}
	h, w, c := net.Input[0], net.Input[1], net.Input[2]
	if l.Pictures < 1 || slices.Min(net.Input[:]) < 1 {
		return fmt.Errorf("func %s: a data set of %d pictures of %dx%d with %d channels", l.Name, l.Pictures, h, w, c)
	}
	a := ir.Attrs{Fill: ir.FillZero}
	if d := net.Data; l.Augment {
		a.Flip, a.Pad = d.Flip, d.CropPad
		if d.CropPad > 0 {
			a.Fill = d.CropMode
		}
	}
	f := &ir.Func{Name: l.Name, Module: m}
	b := ir.NewBuilder(f)
	args := []*ir.Value{
		b.Resident("pictures", ir.T(ir.U8, l.Pictures, h, w, c)),
		b.Param("order", ir.T(ir.S32, m.Batch)),
		b.Param("seed", ir.T(ir.U64)),
		b.Param("epoch", ir.T(ir.U64)),
		b.Resident("values", ir.T(ir.F32, c, 256)),
	}
	n, err := ir.NewNode(ir.Augment, a, args...)
	if err != nil {
		return fmt.Errorf("func %s: %w", l.Name, err)
	}
	n.Layer, n.Pos = l.Name, place(net.DataPos)
	f.Nodes, f.Returns = []*ir.Node{n}, []*ir.Value{n.Result()}
	m.Funcs = append(m.Funcs, f)
	return nil
}
