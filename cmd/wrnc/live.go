package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"syscall"

	"wrnc/compiler/ir"
	"wrnc/compiler/irgen"
	"wrnc/compiler/plan"
	"wrnc/dsl"
	"wrnc/runtime/live"
	"wrnc/runtime/metrics"
	"wrnc/runtime/train"
)

// livePage is the page that --serve shows a training on. A nil one shows nothing.
type livePage struct {
	words   io.Writer
	server  *live.Server
	monitor *live.Monitor // nil until there is something to show
	facts   live.Facts
}

// openPage takes the address of --serve, so that one that is in use is refused before
// the work; without an address there is no page.
func openPage(address string, words io.Writer) (*livePage, error) {
	if address == "" {
		return nil, nil
	}
	if err := live.CheckAddress(address); err != nil {
		return nil, usagef("--serve %v", err)
	}
	server, err := live.Listen(address)
	if err != nil {
		way := "take another port, or 0 for any that is free"
		if errors.As(err, new(*net.DNSError)) || errors.Is(err, syscall.EADDRNOTAVAIL) {
			way = "expected a name or an address of this machine before the port"
		}
		return nil, fmt.Errorf("--serve %s: %w; %s", address, err, way)
	}
	return &livePage{words: words, server: server}, nil
}

// show begins to serve, and has the training observed.
func (p *livePage) show(s *session, j job, l *laidOut, o *train.Options) error {
	if p == nil {
		return nil
	}
	forward, err := irgen.Build(j.net, j.net.Train.Batch)
	if err != nil {
		return err
	}
	r, planned := j.net.Train, memoryOf(l.plans)
	p.facts = live.Facts{
		Model: j.net.Name, Data: j.net.Data.Name, Classes: j.src.Test.Classes,
		Epochs: r.Epochs, Batch: r.Batch, Images: epochImages(j), TestImages: j.src.Test.Len(), Seed: j.seed, Recipe: r.Recipe,
		Target: fmt.Sprintf("%s, %s, %v", j.target.name, j.on.describe(), j.precision),
		Rates:  rates(r, rateScale(o)), Kernels: stepKernels(l.module, l.known),
		Memory: live.Memory{State: planned.state, Activations: planned.arena, Scratch: planned.counters + j.on.workers()*planned.scratch},
	}
	for _, row := range layerRows(forward.Func("infer"), byLayer) {
		p.facts.Layers = append(p.facts.Layers, live.Layer{Name: row.name, Output: formatShape(row.output), Params: row.params, MACs: row.macs})
	}
	p.monitor = live.NewMonitor(j.src.Test, s.now)
	p.monitor.Describe(p.facts)
	if o.From != nil {
		for _, e := range o.From.Point.Epochs {
			p.monitor.Epoch(e)
		}
	}
	o.Observer = p.monitor
	p.server.Serve(p.monitor)
	fmt.Fprintf(p.words, "live page %s\n", p.server.URL())
	if p.server.Exposed() {
		fmt.Fprintf(p.words, "warning: the live page has no password; whoever can reach this address sees the network, its results and the test pictures\n")
	}
	return nil
}

// stepKernels lists the kernels of a step with what their fusions are for.
func stepKernels(m *ir.Module, plans []*plan.Plan) []live.Kernel {
	step := plans[slices.IndexFunc(plans, func(p *plan.Plan) bool { return p.Func == "train" })]
	parts := map[string]string{}
	for _, n := range m.Func(step.Func).Nodes {
		parts[n.Layer] = n.Attrs.Kind
	}
	var kernels []live.Kernel
	for _, k := range step.Kernels {
		kernels = append(kernels, live.Kernel{Name: k.Name, Part: parts[k.Region]})
	}
	return kernels
}

// rateScale is what the recipe's rates are multiplied by from here on.
func rateScale(o *train.Options) float64 {
	scale := 1.0
	if o.From != nil {
		scale = o.From.Point.RateScale
	}
	if o.RateScale != 0 {
		scale *= o.RateScale
	}
	return scale
}

// rates says where the learning rate changes.
func rates(r dsl.Train, scale float64) []live.Rate {
	var list []live.Rate
	for e := range r.Epochs {
		if e == 0 || r.Rate(e) != r.Rate(e-1) {
			list = append(list, live.Rate{From: e + 1, Rate: metrics.Number(r.Rate(e) * scale)})
		}
	}
	return list
}

// expect tells how long the work will take.
func (p *livePage) expect(e train.Estimate) {
	if p != nil {
		p.monitor.Expect(e.Step, e.Test)
	}
}

// keptIn tells where the run is kept, that now begins.
func (p *livePage) keptIn(dir string) {
	if p != nil {
		p.facts.Folder = dir
		p.monitor.Describe(p.facts)
	}
}

// close shows how the training ended, err, until Ctrl-C, unless that is what ended
// it or it never began, and returns err, as reported where the user knows it by then.
func (p *livePage) close(s *session, err error) error {
	if p == nil {
		return err
	}
	told := err
	if p.monitor != nil {
		p.monitor.End(err)
		if began := p.facts.Folder != ""; began && !errors.Is(err, context.Canceled) {
			if err != nil {
				told = reportedError{err, report(s.stderr, err, s.args)}
			}
			p.stay()
		}
	}
	if closeErr := p.server.Close(); closeErr != nil {
		return errors.Join(err, closeErr)
	}
	return told
}

// stay waits for Ctrl-C.
func (p *livePage) stay() {
	fmt.Fprintf(p.words, "the live page stays at %s until Ctrl-C\n", p.server.URL())
	ctx, stop := interruptible(func() {})
	defer stop()
	<-ctx.Done()
}
