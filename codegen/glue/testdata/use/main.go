// Use trains and asks the network of package wrn10x1, which wrnc wrote, and prints
// what came of it as JSON:
//
//	use cpu|idle|emulated WEIGHTS < batches
//
// idle is a device whose kernels do nothing, emulated one whose kernels run on the
// CPU and are kept in $WRNC_HARNESS_DIR.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"example.test/use/wrn10x1"
	"wrnc/kernels/harness"
	"wrnc/runtime/cuda/emulator"
)

// Batch is one step's data.
type Batch struct {
	Images []float32
	Labels []int32
}

// Result is what the network answered.
type Result struct {
	Sizes    []int
	Losses   []wrn10x1.Loss
	Logits   []float32
	Measured wrn10x1.Loss
	Again    []float32 // the logits of a network that loads the weights
	Launches int       // of the idle device
}

func main() {
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(target, weights string) error {
	var batches []Batch
	if err := json.NewDecoder(os.Stdin).Decode(&batches); err != nil {
		return err
	}
	o := wrn10x1.Options{Seed: 5, Threads: 2}
	idle := &driver{memory: map[uint64][]byte{}}
	switch target {
	case "idle":
		o.Target, o.Driver = wrn10x1.CUDA, idle
	case "emulated":
		h, err := harness.New(os.Getenv("WRNC_HARNESS_DIR"))
		if err != nil {
			return err
		}
		d, err := emulator.Open(h, emulator.Options{})
		if err != nil {
			return err
		}
		defer d.Close()
		o.Target, o.Driver = wrn10x1.CUDA, d
	}
	net, err := wrn10x1.New(o)
	if err != nil {
		return err
	}
	r := Result{Sizes: []int{wrn10x1.Height, wrn10x1.Width, wrn10x1.Channels, wrn10x1.Classes, wrn10x1.Batch, wrn10x1.Parameters}}
	for _, b := range batches {
		loss, err := net.TrainStep(b.Images, b.Labels, 0.125)
		if err != nil {
			return err
		}
		r.Losses = append(r.Losses, loss)
	}
	first := batches[0]
	if r.Logits, err = net.Infer(first.Images); err != nil {
		return err
	}
	if r.Measured, err = net.Evaluate(first.Images, first.Labels); err != nil {
		return err
	}
	if err := net.Save(weights); err != nil {
		return err
	}
	if net.Steps() != uint64(len(batches)) {
		return fmt.Errorf("%d steps", net.Steps())
	}
	net.Close()

	o.Seed = 6
	if net, err = wrn10x1.New(o); err != nil {
		return err
	}
	defer net.Close()
	if err := net.Load(weights); err != nil {
		return err
	}
	if r.Again, err = net.Infer(first.Images); err != nil {
		return err
	}
	r.Launches = idle.launches
	return json.NewEncoder(os.Stdout).Encode(r)
}
