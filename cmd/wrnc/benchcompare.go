package main

import (
	"fmt"
	"runtime"

	"wrnc/bench"
	"wrnc/dsl"
)

// contestant is a program that takes turns with others at the same work.
type contestant struct {
	name    string // wrnc, wrnc --no-fuse or torch
	how     string // instruction set or architecture; layout and mode
	runner  bench.Runner
	program *benchProgram  // wrnc's own; nil: the peer
	ready   bench.Prepared // the peer's
}

// compare measures a network with a batch, and says what came of it.
func (b *benchSession) compare(net *dsl.Network, batch int) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s, batch %d: %w", net.Name, batch, err)
		}
	}()
	all, err := b.contestants(net, batch)
	defer func() {
		for _, c := range all {
			if c.program != nil {
				c.program.ex.Close()
			}
		}
	}()
	if err != nil {
		return err
	}
	var runners []bench.Runner
	for _, c := range all {
		runners = append(runners, c.runner)
	}
	runtime.GC() // what compiling left behind is not collected while a program has its turn
	timings, err := bench.Turns(runners, b.Rounds, networkTurn)
	if err != nil {
		return err
	}
	var records []benchRecord
	for i, c := range all {
		r := b.record(net, batch, c, timings[i])
		if i > 0 {
			r.Ratio = newRatioRecord(timings[0].Over(timings[i]))
		}
		if c.program != nil && b.on.arch().OnGPU() {
			if r.Model, err = b.model(c.program, r.Time.Median); err != nil {
				return err
			}
		}
		if b.Kernels && c.program != nil {
			if r.Kernels, err = b.profile(c.program); err != nil {
				return err
			}
		}
		records = append(records, r)
	}
	return b.print(records)
}

// contestants are the programs that take turns, wrnc first. Those that were made
// are returned with an error, too.
func (b *benchSession) contestants(net *dsl.Network, batch int) ([]contestant, error) {
	var all []contestant
	fusions := []bool{true}
	if b.NoFuse {
		fusions = append(fusions, false)
	}
	for _, fuse := range fusions {
		p, err := b.program(net, batch, fuse)
		if err != nil {
			return all, err
		}
		name := "wrnc"
		if !fuse {
			name += " --no-fuse"
		}
		all = append(all, contestant{name: name, how: b.on.arch().ISA, runner: p, program: p})
	}
	if b.peer == nil {
		return all, nil
	}
	ready, err := b.peer.Network(b.peerNetwork(net, batch))
	if err != nil {
		return all, err
	}
	if ours := all[0].program.m.Params(); ready.Parameters != ours {
		return all, faultError{fmt.Sprintf("%s has %d parameters here and %d in PyTorch's program: these are not the same network", net.Name, ours, ready.Parameters)}
	}
	return append(all, contestant{name: torchProgram, how: ready.Program, runner: b.peer, ready: ready}), nil
}
