package cpu_test

import (
	"fmt"
	"maps"

	"wrnc/compiler/ir"
	"wrnc/compiler/ir/interp"
	"wrnc/runtime"
)

// trainer is a module with its states, on a target or in the interpreter.
// WriteState is that of [runtime.Executable].
type trainer interface {
	module() *ir.Module
	WriteState(name string, values []float32) error
	run(function string, b batch) ([][]float64, error)
	read(name string) ([]float64, error)
}

// stateWriter is as much of an executable as setting its states takes.
type stateWriter struct {
	runtime.Executable
	tr trainer
}

func (w stateWriter) WriteState(name string, values []float32) error {
	return w.tr.WriteState(name, values)
}

// loaded is a module on the CPU target.
type loaded struct {
	m *ir.Module
	runtime.Executable
}

func (l loaded) module() *ir.Module { return l.m }

func (l loaded) run(function string, b batch) ([][]float64, error) {
	out, err := l.Run(function, runtime.Inputs{
		N:      len(b.labels),
		F32:    map[string][]float32{"images": b.images, "lr": {float32(b.lr)}},
		Labels: map[string][]int32{"labels": b.labels},
		U64:    map[string]uint64{"seed": b.seed, "step": b.step},
	})
	if err != nil {
		return nil, err
	}
	wide := make([][]float64, len(out))
	for i, v := range out {
		wide[i] = widen(v)
	}
	return wide, nil
}

func (l loaded) read(name string) ([]float64, error) {
	v, err := l.ReadState(name)
	return widen(v), err
}

func widen(v []float32) []float64 {
	out := make([]float64, len(v))
	for i, x := range v {
		out[i] = float64(x)
	}
	return out
}

// interpreted is a module in the interpreter.
type interpreted struct {
	m     *ir.Module
	opt   interp.Options
	state map[string]*interp.Tensor
}

func (x *interpreted) module() *ir.Module { return x.m }

func (x *interpreted) WriteState(name string, values []float32) error {
	s := x.m.State(name)
	if s == nil || s.Type.Elems() != len(values) {
		return fmt.Errorf("no state @%s of %d elements", name, len(values))
	}
	x.state[name] = interp.Floats(s.Type, widen(values)...)
	return nil
}

func (x *interpreted) run(function string, b batch) ([][]float64, error) {
	f := x.m.Func(function)
	labels := make([]uint64, len(b.labels))
	for i, l := range b.labels {
		labels[i] = uint64(l)
	}
	lr := b.lr
	if !x.opt.Float64 {
		lr = float64(float32(lr))
	}
	images := f.Param("images").Type
	in := map[string]*interp.Tensor{
		"images": interp.Floats(ir.T(ir.F32, len(labels), images.Dims[1], images.Dims[2], images.Dims[3]), widen(b.images)...),
		"labels": interp.Words(ir.T(ir.S32, len(labels)), labels...),
		"lr":     interp.Floats(ir.T(ir.F32), lr),
		"seed":   interp.Words(ir.T(ir.U64), b.seed),
		"step":   interp.Words(ir.T(ir.U64), b.step),
	}
	res, err := interp.Run(f, in, x.state, x.opt)
	if err != nil {
		return nil, err
	}
	maps.Copy(x.state, res.State)
	out := make([][]float64, len(res.Returns))
	for i, r := range res.Returns {
		out[i] = r.F
	}
	return out, nil
}

func (x *interpreted) read(name string) ([]float64, error) {
	s := x.state[name]
	if s == nil {
		return nil, fmt.Errorf("no state @%s", name)
	}
	return s.F, nil
}
