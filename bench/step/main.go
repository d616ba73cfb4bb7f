// Command step times one training step of wrnc against PyTorch's, in turns, so
// that a slow moment of the machine meets both:
//
//	go run ./bench/step -python env/bin/python -batch 32 WRN-16-1 WRN-16-2
//
// Each network is compiled and loaded as `wrnc run` does it and gets a random
// batch; the peer is bench/torch_peer.py. What is printed is the median and the
// least step of both, and the ratio of the medians.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"time"

	"wrnc/compiler"
	"wrnc/compiler/ir"
	"wrnc/compiler/lower"
	"wrnc/compiler/plan"
	"wrnc/dsl"
	kernels "wrnc/kernels/cpu"
	"wrnc/runtime"
	"wrnc/runtime/cpu"
)

type options struct {
	python  string
	peer    string
	batch   int
	threads int
	rounds  int
	isa     string
	noFuse  bool
}

func main() {
	var o options
	flag.StringVar(&o.python, "python", "", "Python with PyTorch; without it wrnc runs alone")
	flag.StringVar(&o.peer, "peer", "bench/torch_peer.py", "the peer's program")
	flag.IntVar(&o.batch, "batch", 32, "samples a step")
	flag.IntVar(&o.threads, "threads", 2, "threads of either side")
	flag.IntVar(&o.rounds, "rounds", 8, "turns of each side, three steps a turn")
	flag.StringVar(&o.isa, "isa", "", "instruction set; the best one if empty")
	flag.BoolVar(&o.noFuse, "no-fuse", false, "also time the unfused program")
	flag.Parse()
	if flag.NArg() == 0 || o.rounds < 1 {
		fmt.Fprintln(os.Stderr, "usage: step [flags] NETWORK..., with at least one round; step -help lists the flags")
		os.Exit(2)
	}
	fmt.Printf("%-12s %6s %8s  %-22s %10s %10s\n", "network", "batch", "threads", "program", "median ms", "least ms")
	for _, name := range flag.Args() {
		if err := compare(name, o); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

// contestant runs n steps and returns the seconds of each.
type contestant struct {
	name string
	step func(n int) ([]float64, error)
	all  []float64

	parameters int
}

func compare(name string, o options) error {
	ours, err := load(name, o, true)
	if err != nil {
		return err
	}
	all := []*contestant{ours}
	if o.noFuse {
		unfused, err := load(name, o, false)
		if err != nil {
			return err
		}
		all = append(all, unfused)
	}
	if o.python != "" {
		torch, stop, err := start(name, ours.parameters, o)
		if err != nil {
			return err
		}
		defer stop()
		all = append(all, torch)
	}
	for round := range o.rounds + 1 {
		for _, c := range all {
			t, err := c.step(3)
			if err != nil {
				return err
			}
			if round > 0 { // the first turn warms up
				c.all = append(c.all, t...)
			}
		}
	}
	median := func(c *contestant) float64 { return c.all[len(c.all)/2] }
	for _, c := range all {
		slices.Sort(c.all)
		fmt.Printf("%-12s %6d %8d  %-22s %10.2f %10.2f", name, o.batch, o.threads, c.name, 1e3*median(c), 1e3*c.all[0])
		if c != all[0] {
			fmt.Printf("   wrnc / %s = %.2f (least %.2f)", c.name, median(all[0])/median(c), all[0].all[0]/c.all[0])
		}
		fmt.Println()
	}
	return nil
}

// load compiles a network for the CPU target with random state and data.
func load(name string, o options, fuse bool) (*contestant, error) {
	isa := kernels.Detect()
	if o.isa != "" {
		var err error
		if isa, err = kernels.ByName(o.isa); err != nil {
			return nil, err
		}
	}
	net, err := dsl.FromName(name)
	if err != nil {
		return nil, err
	}
	c, err := compiler.Compile(net, compiler.Options{Batch: o.batch, Precision: ir.F32, Fuse: fuse})
	if err != nil {
		return nil, err
	}
	p, err := lower.Plan(c.Module.Func("train"), cpu.Arch(isa))
	if err != nil {
		return nil, err
	}
	prog, err := cpu.Load(c.Module, []*plan.Plan{p}, cpu.Options{ISA: isa, Threads: o.threads})
	if err != nil {
		return nil, err
	}
	r := rand.New(rand.NewPCG(1, 2))
	normal := func(n int, scale float64) []float32 {
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(r.NormFloat64() * scale)
		}
		return v
	}
	for _, s := range c.Module.States {
		values := make([]float32, s.Type.Elems())
		switch s.Init.Kind {
		case ir.Normal:
			values = normal(len(values), s.Init.A)
		case ir.Uniform:
			values = normal(len(values), 0.1)
		}
		if err := prog.WriteState(s.Name, values); err != nil {
			return nil, err
		}
	}
	in := runtime.Inputs{N: o.batch, F32: map[string][]float32{"images": normal(o.batch*3072, 1), "lr": {0.01}},
		Labels: map[string][]int32{"labels": make([]int32, o.batch)}, U64: map[string]uint64{"seed": 1, "step": 1}}
	for i := range in.Labels["labels"] {
		in.Labels["labels"][i] = int32(r.IntN(net.Classes))
	}
	label := "wrnc " + isa.Name
	if !fuse {
		label += " unfused"
	}
	return &contestant{name: label, parameters: c.Module.Params(), step: func(n int) ([]float64, error) {
		var times []float64
		for range n {
			t := time.Now()
			if _, err := prog.Run("train", in); err != nil {
				return nil, err
			}
			times = append(times, time.Since(t).Seconds())
		}
		return times, nil
	}}, nil
}

// start runs the peer and returns it with a function that ends it.
func start(name string, parameters int, o options) (*contestant, func(), error) {
	cmd := exec.Command(o.python, o.peer, "--net", name, "--batch", fmt.Sprint(o.batch), "--threads", fmt.Sprint(o.threads), "--layout", "best")
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, fmt.Errorf("the peer did not start: %w", err)
	}
	stop := func() {
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			fmt.Fprintln(os.Stderr, "the peer:", err)
		}
	}
	lines := bufio.NewReader(stdout)
	var ready struct {
		Torch, Layout string
		Parameters    int
	}
	if err := readLine(lines, &ready); err != nil {
		stop()
		return nil, nil, fmt.Errorf("the peer did not get ready: %w", err)
	}
	if ready.Parameters != parameters {
		stop()
		return nil, nil, fmt.Errorf("%s has %d parameters here and %d in the peer: not the same network", name, parameters, ready.Parameters)
	}
	step := func(n int) ([]float64, error) {
		if _, err := fmt.Fprintf(stdin, "step %d\n", n); err != nil {
			return nil, err
		}
		var a struct {
			Seconds []float64
			Error   string
		}
		if err := readLine(lines, &a); err != nil {
			return nil, err
		}
		if a.Error != "" {
			return nil, fmt.Errorf("the peer: %s", a.Error)
		}
		return a.Seconds, nil
	}
	return &contestant{name: fmt.Sprintf("torch %s %s", ready.Torch, ready.Layout), step: step}, stop, nil
}

func readLine(r *bufio.Reader, into any) error {
	line, err := r.ReadBytes('\n')
	if err != nil && err != io.EOF {
		return err
	}
	return json.Unmarshal(line, into)
}
