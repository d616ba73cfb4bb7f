package cuda

import (
	"fmt"
	"strconv"
	"strings"

	"wrnc/compiler/plan"
)

// functor prints a tape as a struct of static functions: what is loaded once for
// a column of channels (channel), and what is done for each vector of them (apply).
type functor struct {
	*writer
	name string
	tape plan.Tape
	c    int    // channels of a pixel; 0: a flat map, whose vectors have no channels
	vec  string // channels of a vector, as C++ has it

	slots map[int]string // registers -> the value in them
	rows  map[int]string // arguments -> the value last loaded from or written to them
	tile  string         // the value of the tile's row
	next  int
}

// vectors lists the channel vectors of the tape, each with the rows that are used,
// and the scalars, in order of their first use.
func (f *functor) vectors() (vectors []plan.Ref, rows map[int]int, scalars []plan.Ref) {
	rows = map[int]int{}
	seen := map[plan.Ref]bool{}
	for _, op := range f.tape.Ops {
		for _, r := range op.Src {
			if r.Kind == plan.Vector {
				rows[r.Index] = max(rows[r.Index], vectorRows[op.Op])
			}
			if seen[r] {
				continue
			}
			seen[r] = true
			switch r.Kind {
			case plan.Vector:
				vectors = append(vectors, r)
			case plan.Scalar:
				scalars = append(scalars, r)
			}
		}
	}
	return vectors, rows, scalars
}

// vectorRows is how many rows of its channel vector an op reads.
var vectorRows = map[string]int{"affine": 2, "affine2": 3, "add_channel": 1, "bn_grad_stats": 1}

// channel prints the struct of what does not change along a column of channels,
// and the function that loads it.
func (f *functor) channel() {
	vectors, rows, scalars := f.vectors()
	if len(vectors)+len(scalars) == 0 {
		f.line("  struct Channel {};")
		f.line("  WRNC_DEVICE Channel channel(const Args&, i32) { return {}; }")
		return
	}
	f.line("  struct Channel {")
	for _, v := range vectors {
		f.line("    Floats<%s> v%d[%d];", f.vec, v.Index, rows[v.Index])
	}
	for _, s := range scalars {
		f.line("    %s s%d;", elementType(f.buffer(s.Index)), s.Index)
	}
	f.line("  };")
	f.line("  WRNC_DEVICE Channel channel(const Args& a, i32 c) {")
	f.line("    Channel ch;")
	for _, v := range vectors {
		for row := range rows[v.Index] {
			at := "c"
			if row > 0 {
				at = fmt.Sprintf("%d + c", row*f.c)
			}
			f.line("    ch.v%d[%d] = load_floats<%s>(a.a%d + %s);", v.Index, row, f.vec, v.Index, at)
		}
	}
	for _, s := range scalars {
		f.line("    ch.s%d = scalar(a.a%d);", s.Index, s.Index)
	}
	f.line("    return ch;")
	f.line("  }")
}

// steps prints the tape's ops.
func (f *functor) steps() error {
	f.slots, f.rows = map[int]string{}, map[int]string{}
	for _, op := range f.tape.Ops {
		if err := f.step(op); err != nil {
			return fmt.Errorf("%s: %w", op.Op, err)
		}
	}
	return nil
}

func (f *functor) step(op plan.RowOp) error {
	var src []string
	for _, r := range op.Src {
		s, err := f.source(r)
		if err != nil {
			return err
		}
		src = append(src, s)
	}
	if op.Dst.Kind == plan.Partial {
		for i, r := range op.Src {
			if r.Kind == plan.Vector {
				src[i] += "[0]" // bn_grad_stats reads the mean alone
			}
		}
		f.line("    s.q%d.add(%s);", op.Dst.Index, strings.Join(src, ", "))
		return nil
	}
	value, err := f.expression(op, src)
	if err != nil {
		return err
	}
	if op.Op != "copy" { // a copy is the value itself
		name := fmt.Sprintf("x%d", f.next)
		f.next++
		f.line("    const auto %s = %s;", name, value)
		value = name
	}
	switch op.Dst.Kind {
	case plan.Slot:
		f.slots[op.Dst.Index] = value
	case plan.Row:
		f.line("    store_floats(a.a%d + e, %s);", op.Dst.Index, value)
		f.rows[op.Dst.Index] = value
	case plan.Tile:
		f.tile = value
	default:
		return fmt.Errorf("writes %v, which no tape does", op.Dst)
	}
	return nil
}

// source is the C++ of an operand, after printing the load that it may need.
func (f *functor) source(r plan.Ref) (string, error) {
	switch r.Kind {
	case plan.Slot:
		return f.slots[r.Index], nil
	case plan.Result:
		return "y", nil
	case plan.Tile:
		return f.tile, nil
	case plan.Vector:
		return fmt.Sprintf("ch.v%d", r.Index), nil
	case plan.Scalar:
		if f.c == 0 {
			return fmt.Sprintf("scalar(a.a%d)", r.Index), nil
		}
		return fmt.Sprintf("ch.s%d", r.Index), nil
	case plan.Row:
		if name, ok := f.rows[r.Index]; ok {
			return name, nil
		}
		return f.load(r.Index, fmt.Sprintf("m%d", r.Index), "e"), nil
	case plan.Pixel:
		return f.load(r.Index, fmt.Sprintf("p%d", r.Index), fmt.Sprintf("(i64)at.n * %d + c", f.c)), nil
	}
	return "", fmt.Errorf("reads %v, which no tape does", r)
}

// load prints the load of an argument, once, and returns its name.
func (f *functor) load(arg int, name, at string) string {
	if have, ok := f.rows[arg]; ok {
		return have
	}
	f.line("    const auto %s = load_floats<%s>(a.a%d + %s);", name, f.vec, arg, at)
	f.rows[arg] = name
	return name
}

// expression is the C++ of an op of the IR.
func (f *functor) expression(op plan.RowOp, src []string) (string, error) {
	call := func(name string, args ...string) string { return name + "(" + strings.Join(args, ", ") + ")" }
	threshold := strconv.Itoa(op.Attrs.KeepThreshold())
	switch op.Op {
	case "copy":
		return src[0], nil
	case "relu", "relu_grad", "add", "mul", "sigmoid", "sigmoid_grad":
		return call(op.Op, src...), nil
	case "descend":
		return call(op.Op, src...), nil
	case "affine":
		return call("affine", src[0], src[1]+"[0]", src[1]+"[1]"), nil
	case "affine2":
		return call("affine2", src[0], src[1], src[2]+"[0]", src[2]+"[1]", src[2]+"[2]"), nil
	case "add_channel":
		return call("add_channel", src[0], src[1]+"[0]"), nil
	case "scale":
		return call("scale", float(op.Attrs.Alpha), src[0]), nil
	case "axpy":
		return call("axpy", float(op.Attrs.Alpha), src[0], src[1]), nil
	case "convert":
		to := op.Attrs.To.String()
		return call("round_to<"+to+">", src[0]), nil
	case "avgpool_grad":
		return call("avgpool_grad", src[0], float(float64(op.Attrs.Height*op.Attrs.Width))), nil
	case "dropout_mask":
		stream := fmt.Sprintf("a.stream%d", f.masks)
		f.masks++
		return call("dropout_mask<"+f.vec+">", threshold, stream, src[0], src[1], "e"), nil
	case "mask_scale":
		return call("mask_scale", src[0], src[1], threshold), nil
	}
	return "", fmt.Errorf("no CUDA for this op")
}

// float is a literal that has exactly the value of float32(v).
func float(v float64) string {
	s := strconv.FormatFloat(float64(float32(v)), 'g', -1, 32)
	if !strings.ContainsAny(s, ".e") {
		s += ".0"
	}
	return s + "f"
}
