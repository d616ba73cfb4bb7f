package main

import (
	"fmt"
	"strings"

	"wrnc/bench"
	"wrnc/compiler"
	"wrnc/compiler/ir"
	"wrnc/compiler/lower"
)

// convKinds names what a convolution computes.
var convKinds = map[ir.Op]string{ir.Conv2D: "fprop", ir.Conv2DDgrad: "dgrad", ir.Conv2DWgrad: "wgrad"}

// convRecord is a line of `wrnc bench --convs --json`: one convolution, alone and
// with nothing fused to it. Scripts rely on the keys.
type convRecord struct {
	bench.Convolution
	Count      int          `json:"count"` // in the functions of all networks with this batch
	GFLOP      float64      `json:"gflop"`
	PeakGFLOPs float64      `json:"peak_gflops"`
	Wrnc       timeRecord   `json:"wrnc"`
	Torch      *timeRecord  `json:"torch,omitempty"`
	Ratio      *ratioRecord `json:"ratio,omitempty"` // wrnc's time divided by PyTorch's
	Machine    benchMachine `json:"machine"`
}

// convolution is one op of a network.
type convolution struct {
	shape bench.Convolution
	node  *ir.Node // the first one of that shape
	count int
}

// convolutions measures each distinct convolution of the networks.
func (b *benchSession) convolutions() error {
	for _, batch := range b.batches {
		all, err := b.distinct(batch)
		if err != nil {
			return err
		}
		var sum convSum
		for _, c := range all {
			r, err := b.convolution(c)
			if err != nil {
				return fmt.Errorf("%s: %w", convName(c.shape), err)
			}
			if err := b.printConv(r); err != nil {
				return err
			}
			sum.add(r)
		}
		if err := b.printConvSum(batch, sum); err != nil {
			return err
		}
	}
	return nil
}

// distinct lists the convolutions of what is measured of the networks, each shape
// once, in the order of the first. The classifier, which sees one pixel, is not one.
func (b *benchSession) distinct(batch int) ([]*convolution, error) {
	var all []*convolution
	seen := map[bench.Convolution]*convolution{}
	for _, net := range b.nets {
		result, err := compiler.Compile(net, compiler.Options{Batch: batch, Precision: ir.F32, Fuse: false})
		if err != nil {
			return nil, err
		}
		for _, region := range result.Module.Func(b.function()).Nodes {
			for _, n := range region.Body.Nodes {
				shape, is := shapeOf(n)
				if !is || shape.Height*shape.Width == 1 {
					continue
				}
				if seen[shape] == nil {
					seen[shape] = &convolution{shape: shape, node: n}
					all = append(all, seen[shape])
				}
				seen[shape].count++
			}
		}
	}
	return all, nil
}

// shapeOf is the shape of a convolution or of a gradient of one.
func shapeOf(n *ir.Node) (bench.Convolution, bool) {
	kind, is := convKinds[n.Op]
	if !is {
		return bench.Convolution{}, false
	}
	var picture, result, weight []int
	switch n.Op {
	case ir.Conv2D:
		picture, weight, result = n.Args[0].Type.Dims, n.Args[1].Type.Dims, n.Result().Type.Dims
	case ir.Conv2DDgrad:
		result, weight, picture = n.Args[0].Type.Dims, n.Args[1].Type.Dims, n.Result().Type.Dims
	case ir.Conv2DWgrad:
		result, picture, weight = n.Args[0].Type.Dims, n.Args[1].Type.Dims, n.Result().Type.Dims
	}
	return bench.Convolution{Kind: kind, Batch: picture[0], Height: picture[1], Width: picture[2], Inputs: picture[3],
		Outputs: result[3], Kernel: weight[1], Pad: n.Attrs.Pad, Stride: n.Attrs.Stride}, true
}

// oneOp is a module whose one function does what the node does: activations are its
// parameters, the weight is its state.
func oneOp(n *ir.Node, batch int) (*ir.Module, error) {
	m := &ir.Module{Name: "convolution", Batch: batch}
	f := &ir.Func{Name: "main", Module: m}
	m.Funcs = []*ir.Func{f}
	build := ir.NewBuilder(f).At("conv", n.Pos)
	var args []*ir.Value
	for i, a := range n.Args {
		if n.Op.Info().Args[i] == ir.Weight {
			s := &ir.State{Name: "w", Type: a.Type, Role: ir.Param, Init: ir.Init{Kind: ir.Normal, A: 0.1}}
			m.States = append(m.States, s)
			args = append(args, f.StateValue(s))
		} else {
			args = append(args, build.Param(string(rune('x'+i)), a.Type))
		}
	}
	f.Returns = []*ir.Value{build.Op1(n.Op, n.Attrs, args...)}
	_, err := compiler.CompileModule(m, compiler.Options{Precision: ir.F32, Fuse: false})
	return m, err
}

// convolution measures one, in turns with PyTorch and the peaks.
func (b *benchSession) convolution(c *convolution) (convRecord, error) {
	fail := func(err error) (convRecord, error) { return convRecord{}, err }
	m, err := oneOp(c.node, c.shape.Batch)
	if err != nil {
		return fail(err)
	}
	p, err := b.start(m, lower.Plan, "main", 1)
	if err != nil {
		return fail(err)
	}
	defer p.ex.Close()
	runners := []bench.Runner{p, metering{b.meter}}
	if b.peer != nil {
		if _, err := b.peer.Convolution(c.shape); err != nil {
			return fail(err)
		}
		runners = append(runners, b.peer)
	}
	timings, err := bench.Turns(runners, b.Rounds, convTurn)
	if err != nil {
		return fail(err)
	}
	r := convRecord{Convolution: c.shape, Count: c.count, PeakGFLOPs: b.meter.Measure().FLOPs / 1e9, Wrnc: newTimeRecord(timings[0]), Machine: b.machine()}
	for _, k := range p.plan.Kernels {
		r.GFLOP += p.plan.Cost(k).FLOPs / 1e9
	}
	if b.peer != nil {
		theirs := newTimeRecord(timings[2])
		r.Torch, r.Ratio = &theirs, newRatioRecord(timings[0].Over(timings[2]))
	}
	return r, nil
}

func convName(c bench.Convolution) string {
	name := fmt.Sprintf("%s %dx%d, %dx%dx%d to %d", c.Kind, c.Kernel, c.Kernel, c.Height, c.Width, c.Inputs, c.Outputs)
	if c.Stride > 1 {
		name += fmt.Sprintf(", stride %d", c.Stride)
	}
	return name
}

func (b *benchSession) convHeader() error {
	_, err := fmt.Fprintf(b.s.stdout, "each distinct convolution of %s alone, not fused, f32; turns of each program: %d\n\n%5s  %-40s %5s %8s %10s %8s", b.names(), b.Rounds,
		"batch", "convolution", "times", "GFLOP/s", "median ms", "of peak")
	if err == nil && b.peer != nil {
		_, err = fmt.Fprintf(b.s.stdout, " %14s  %s", "torch GFLOP/s", "wrnc's rate / torch's")
	}
	if err == nil {
		_, err = fmt.Fprintln(b.s.stdout)
	}
	return err
}

// names lists the networks.
func (b *benchSession) names() string {
	var names []string
	for _, net := range b.nets {
		names = append(names, net.Name)
	}
	return strings.Join(names, ", ")
}

func (b *benchSession) printConv(r convRecord) error {
	if b.JSON {
		return printLine(b.s.stdout, r)
	}
	row := fmt.Sprintf("%5d  %-40s %5d %8.1f %10.4g %6.0f %%", r.Batch, convName(r.Convolution), r.Count, r.rate(r.Wrnc), r.Wrnc.Median, 100*r.rate(r.Wrnc)/r.PeakGFLOPs)
	if r.Torch != nil {
		row += fmt.Sprintf(" %14.1f  %s", r.rate(*r.Torch), r.Ratio.inverse())
	}
	_, err := fmt.Fprintln(b.s.stdout, row)
	return err
}

// rate is GFLOP a second by the median.
func (r convRecord) rate(t timeRecord) float64 { return 1e3 * r.GFLOP / t.Median }

// inverse is the ratio of the rates, with how far it is to be trusted.
func (r ratioRecord) inverse() string {
	text := fmt.Sprintf("%.2f", 1/r.Medians)
	if r.Between != nil {
		text += fmt.Sprintf(" (%.2f to %.2f)", 1/r.Between[1], 1/r.Between[0])
	}
	text += fmt.Sprintf(", %.2f at best", 1/r.Least)
	if r.Noisy {
		text += "; noisy"
	}
	return text
}

// convSum adds convolutions up, each as often as it occurs, in milliseconds.
type convSum struct {
	wrnc, torch           float64 // medians
	leastWrnc, leastTorch float64
	noisy, all            int // convolutions, each shape once
}

func (s *convSum) add(r convRecord) {
	n := float64(r.Count)
	s.wrnc += n * r.Wrnc.Median
	s.leastWrnc += n * r.Wrnc.Least
	s.all++
	noisy := r.Wrnc.Noisy
	if r.Torch != nil {
		s.torch += n * r.Torch.Median
		s.leastTorch += n * r.Torch.Least
		noisy = r.Ratio.Noisy
	}
	if noisy {
		s.noisy++
	}
}

// printConvSum says what all convolutions take.
func (b *benchSession) printConvSum(batch int, s convSum) error {
	if b.JSON {
		return nil
	}
	text := fmt.Sprintf("%5d  all of them, as often as they occur: %.4g ms, %.4g at best", batch, s.wrnc, s.leastWrnc)
	if b.peer != nil {
		text += fmt.Sprintf("; torch %.4g ms, %.4g at best; wrnc's rate / torch's %.2f, %.2f at best", s.torch, s.leastTorch, s.torch/s.wrnc, s.leastTorch/s.leastWrnc)
	}
	if s.noisy > 0 {
		text += fmt.Sprintf("\n%5d  noisy: %d of %d; leave the machine to this alone, or raise --rounds", batch, s.noisy, s.all)
	}
	_, err := fmt.Fprintf(b.s.stdout, "%s\n\n", text)
	return err
}
