// Package glue writes a network as a Go package: its kernels, its plans and its
// IR, embedded, and a typed interface to them.
//
//	net, err := wrn16x8.New(wrn16x8.Options{Seed: 1})
//	loss, err := net.TrainStep(images, labels, 0.1)
//	logits, err := net.Infer(images)
//
// What the package does lies in runtime/network; what is written knows the
// network's sizes and where its files are.
package glue

import (
	"fmt"

	"wrnc/compiler/bundle"
	"wrnc/compiler/ir"
	"wrnc/compiler/plan"
)

// Input is what a package is made of.
type Input struct {
	Module  *ir.Module        // after the last pass: every node is a fusion
	Plans   []*plan.Plan      // one for each of its functions, all for one GPU
	Sources [][]plan.Source   // the texts of each plan's kernels, in their order
	Headers map[string]string // by the name that an #include gives; what no text includes is left out
}

// Package returns the files of a package, by path with slashes:
//
//	network.go   the package
//	network.ir   the module
//	plans/       of each function a plan and the list of its entries
//	kernels/     the texts and what they include
//
// The folder that holds them is to be called what [Name] makes of the network's
// name. The same input gives the same bytes. A module that is no classifier of
// images, which has other functions than a network, is an error.
func Package(in Input) (map[string][]byte, error) {
	shape, err := in.Module.Classifier()
	if err != nil {
		return nil, err
	}
	if len(in.Plans) != len(in.Module.Funcs) {
		return nil, fmt.Errorf("%s: %d plans for %d functions", in.Module.Name, len(in.Plans), len(in.Module.Funcs))
	}
	for i, p := range in.Plans {
		switch {
		case !p.Arch.OnGPU():
			return nil, fmt.Errorf("%s: the plan of %s is for the %s target; a package holds plans for a GPU", in.Module.Name, p.Func, p.Arch.Target)
		case p.Arch != in.Plans[0].Arch:
			return nil, fmt.Errorf("%s: the plan of %s is for %s, that of %s for %s", in.Module.Name, p.Func, p.Arch.ISA, in.Plans[0].Func, in.Plans[0].Arch.ISA)
		case p.Net != in.Module.Name || p.Func != in.Module.Funcs[i].Name || p.Batch != in.Module.Batch:
			return nil, fmt.Errorf("%s: the plan of %s of %s for a batch of %d is not of function %s for a batch of %d",
				in.Module.Name, p.Func, p.Net, p.Batch, in.Module.Funcs[i].Name, in.Module.Batch)
		}
	}
	b := bundle.Bundle{Plans: in.Plans, Sources: in.Sources, Headers: in.Headers}
	files, err := b.Files()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", in.Module.Name, err)
	}
	files["network.ir"] = []byte(in.Module.Format(ir.PrintOptions{}))
	w := &writer{m: in.Module, shape: shape, arch: in.Plans[0].Arch, name: Name(in.Module.Name)}
	if files["network.go"], err = w.source(); err != nil {
		return nil, fmt.Errorf("%s: %w", in.Module.Name, err)
	}
	return files, nil
}
