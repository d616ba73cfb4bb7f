// Package compiler turns a network into fused functions.
//
// The flow is [Compile]: irgen writes the forward functions, autodiff makes one
// of them a training step, and the passes of one table rewrite each function
// until every node is a fusion, which is what package lower takes.
package compiler

import (
	"fmt"
	"runtime/debug"

	"wrnc/compiler/autodiff"
	"wrnc/compiler/ir"
	"wrnc/compiler/irgen"
	"wrnc/compiler/passes"
	"wrnc/dsl"
)

// Options are how a network is compiled.
type Options struct {
	Batch     int      // samples of a full batch; only Compile reads it
	Precision ir.DType // F32, TF32 or BF16; zero means F32
	Fuse      bool     // false: every op is a region of its own
	Fold      bool     // batch norm by running statistics becomes part of the weights: results agree within rounding
	Verify    bool     // check the module after every pass, not at the end only

	// Loaders are functions that take batches out of a data set in the device's
	// memory; only Compile reads them. None: batches come from the host.
	Loaders []irgen.Loader

	// After is called with the module after irgen ("irgen"), autodiff
	// ("autodiff") and each pass; nil: not called. It must not change the module.
	After func(pass string, m *ir.Module)
}

// Result is a compiled module and how it came about.
type Result struct {
	Module    *ir.Module
	Decisions []passes.Decision // fuse-conv's of each function in program order, then fuse-map's; isolate's
}

// InternalError is a fault of the compiler itself, not of what it compiles.
type InternalError struct {
	Stage string // "irgen", "autodiff" or the name of a pass
	Cause error
	Stack string // where a broken invariant was found; empty if the verifier found it
}

func (e *InternalError) Error() string {
	return fmt.Sprintf("internal error in %s: %v; this is a fault of the compiler, please report it with the output of --print-after all", e.Stage, e.Cause)
}

// Unwrap returns the cause.
func (e *InternalError) Unwrap() error { return e.Cause }

// Compile compiles a network. A network or an option that cannot be compiled is
// an error that says why; a fault of the compiler is an [*InternalError].
func Compile(net *dsl.Network, o Options) (*Result, error) {
	c := &compilation{opt: o, stage: "irgen"}
	err := c.guard(func() error {
		if err := c.start(); err != nil {
			return err
		}
		m, err := irgen.Build(net, o.Batch)
		if err != nil {
			return err
		}
		for _, l := range o.Loaders {
			if err := irgen.AddLoader(m, net, l); err != nil {
				return err
			}
		}
		if err := c.finish(m); err != nil {
			return err
		}
		c.stage = "autodiff"
		train := m.Func("train")
		if err := autodiff.TrainStep(train, train.Returns[0], net.Train); err != nil {
			return err
		}
		if err := c.finish(m); err != nil {
			return err
		}
		return c.passes(m)
	})
	return c.result(err)
}

// CompileModule runs the passes on a module read from text, from where it
// stands: what is split, rounded or fused already stays so. The module is
// changed in place.
func CompileModule(m *ir.Module, o Options) (*Result, error) {
	if err := m.Verify(); err != nil {
		return nil, fmt.Errorf("module %q: %w", m.Name, err)
	}
	c := &compilation{opt: o, stage: "start"}
	err := c.guard(func() error {
		if err := c.start(); err != nil {
			return err
		}
		return c.passes(m)
	})
	return c.result(err)
}

// compilation is the state of one run of the flow.
type compilation struct {
	opt   Options
	stage string
	res   Result
}

// start checks the options and the pass table.
func (c *compilation) start() error {
	switch c.opt.Precision {
	case ir.InvalidDType:
		c.opt.Precision = ir.F32
	case ir.F32, ir.TF32, ir.BF16:
	default:
		return fmt.Errorf("precision %v is none of f32, tf32 and bf16", c.opt.Precision)
	}
	if err := checkOrder(pipeline); err != nil {
		return &InternalError{Stage: "the pass table", Cause: err}
	}
	return nil
}

// passes runs the pass table.
func (c *compilation) passes(m *ir.Module) error {
	c.res.Module = m
	opt := passes.Options{Precision: c.opt.Precision, Decisions: &c.res.Decisions}
	for _, p := range pipeline {
		if p.when != nil && !p.when(c.opt) {
			continue
		}
		c.stage = p.Name
		for _, f := range m.Funcs {
			if err := p.run(f, opt); err != nil {
				return fmt.Errorf("pass %s: %w", p.Name, err)
			}
		}
		if err := c.finish(m); err != nil {
			return err
		}
	}
	if err := m.Verify(); err != nil {
		return &InternalError{Stage: c.stage, Cause: err}
	}
	return nil
}

// finish ends a stage: it verifies the module and shows it.
func (c *compilation) finish(m *ir.Module) error {
	if c.opt.Verify {
		if err := m.Verify(); err != nil {
			return &InternalError{Stage: c.stage, Cause: err}
		}
	}
	if c.opt.After != nil {
		c.opt.After(c.stage, m)
	}
	return nil
}

// guard turns a panic, by which a broken invariant shows, into an error.
func (c *compilation) guard(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &InternalError{Stage: c.stage, Cause: fmt.Errorf("%v", r), Stack: string(debug.Stack())}
		}
	}()
	return f()
}

func (c *compilation) result(err error) (*Result, error) {
	if err != nil {
		return nil, err
	}
	return &c.res, nil
}
