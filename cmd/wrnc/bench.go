package main

import (
	"cmp"
	"errors"
	"fmt"
	"runtime"
	"time"

	"wrnc/bench"
	"wrnc/compiler/ir"
	"wrnc/dsl"
)

// benchCommand is `wrnc bench`.
type benchCommand struct {
	Networks  []string       `arg:"" optional:"" name:"file|name" help:"Networks: .wrn files, or names such as WRN-16-8; by default the paper's cheap ones, WRN-16-1, WRN-16-2 and WRN-16-4."`
	Infer     bool           `help:"Measure inference instead of training steps."`
	Target    string         `help:"cpu, the default, cuda, or auto (the GPU where there is one)." default:"cpu" placeholder:"T"`
	Device    *int           `help:"cuda: the number of the GPU, among those of CUDA_VISIBLE_DEVICES; 0 by default." placeholder:"N"`
	Precision string         `help:"f32, the default; or for cuda tf32 or bf16, which use tensor cores." default:"f32" placeholder:"P"`
	Batch     []int          `help:"Images in a batch, one or more numbers with commas; by default 32,128, with --infer 1,128." placeholder:"N"`
	Threads   *int           `help:"Threads of every program, by default one a CPU." placeholder:"N"`
	ISA       string         `name:"isa" help:"cpu: instruction set: auto, avx512, avx2 or go." default:"auto" placeholder:"I"`
	Rounds    int            `help:"Turns of each program, 10 by default; six or more tell how far a figure is to be trusted." default:"10" placeholder:"N"`
	NoFuse    bool           `help:"Compare with the program that has a kernel for each operation."`
	Against   string         `help:"Compare with the same work by another program, in turns: torch." placeholder:"PROGRAM"`
	Python    string         `help:"With --against torch: a Python that has PyTorch; python3 by default." placeholder:"PATH"`
	Compile   bool           `help:"With --against torch: try torch.compile too, which takes minutes, and compare with the fastest."`
	Timeout   *time.Duration `help:"With --against torch: how long PyTorch may take for one answer; 15m by default." placeholder:"TIME"`
	Kernels   bool           `help:"Also tell what each kernel takes, and what it would take at least: at this processor's measured peaks, or a GPU's nominal ones."`
	Convs     bool           `help:"cpu: measure each distinct convolution of the networks alone."`
	JSON      bool           `help:"Print one JSON object a line: one for each program, or with --convs each convolution."`
}

// Help shows examples.
func (c *benchCommand) Help() string {
	return "Measures training steps or inference on a batch that lies in memory: images a second, and milliseconds a step with percentiles." +
		" Programs that are compared take turns, so that a slow moment of the machine meets all of them.\n\n" +
		"Examples:\n\n  wrnc bench WRN-16-1 --batch 32 --kernels\n  wrnc bench --infer --no-fuse\n" +
		"  wrnc bench WRN-16-2 --against torch --python env/bin/python --compile\n  wrnc bench --convs --against torch --python env/bin/python" +
		"\n  wrnc bench WRN-28-10 --target cuda --precision bf16 --kernels --against torch --python env/bin/python"
}

const (
	maxRounds  = 10000
	maxBatches = 16

	torchProgram = "torch"
	peerTimeout  = 15 * time.Minute // of --timeout

	// How long a turn is: what a change of turns costs does not count.
	networkTurn = 200 * time.Millisecond
	convTurn    = 50 * time.Millisecond
)

// Run measures.
func (c *benchCommand) Run(s *session) (err error) {
	if err := c.check(); err != nil {
		return err
	}
	b, err := c.session(s)
	defer func() { err = errors.Join(err, b.close()) }()
	if err != nil {
		return err
	}
	if err := b.header(); err != nil {
		return err
	}
	if c.Convs {
		return b.convolutions()
	}
	for _, net := range b.nets {
		for _, batch := range b.batches {
			if err := b.compare(net, batch); err != nil {
				return err
			}
		}
	}
	return nil
}

// check refuses flags that make no sense.
func (c *benchCommand) check() error {
	errs := []error{
		within("--threads", c.Threads, 1, maxThreads),
		within("--rounds", &c.Rounds, 1, maxRounds),
		oneOf("--precision", c.Precision, precisions()...),
	}
	for i := range c.Batch {
		errs = append(errs, within("--batch", &c.Batch[i], 1, maxBatch))
	}
	if len(c.Batch) > maxBatches {
		errs = append(errs, usagef("--batch: %d numbers; at most %d are taken", len(c.Batch), maxBatches))
	}
	if c.Against != "" {
		errs = append(errs, oneOf("--against", c.Against, torchProgram))
	}
	switch {
	case c.Against == "" && c.Compile:
		errs = append(errs, usagef("--compile: only with --against torch"))
	case c.Against == "" && c.Python != "":
		errs = append(errs, usagef("--python %s: only with --against torch", c.Python))
	case c.Against == "" && c.Timeout != nil:
		errs = append(errs, usagef("--timeout %v: only with --against torch", *c.Timeout))
	case c.Timeout != nil && *c.Timeout <= 0:
		errs = append(errs, usagef("--timeout %v: expected a time such as 30s or 15m", *c.Timeout))
	case c.Convs && c.Target != "cpu":
		errs = append(errs, usagef("--convs: convolutions alone are measured on the processor; leave out --target %s", c.Target))
	case c.Convs && c.NoFuse:
		errs = append(errs, usagef("--no-fuse: a convolution alone, as --convs measures it, is never fused"))
	case c.Convs && c.Kernels:
		errs = append(errs, usagef("--kernels: the kernels are those of whole networks; leave out --convs"))
	case c.Convs && c.Compile:
		errs = append(errs, usagef("--compile: PyTorch's convolutions alone are not compiled; leave out --convs"))
	}
	return errors.Join(errs...)
}

// benchSession is a call of `wrnc bench`, all choices made.
type benchSession struct {
	*benchCommand
	s         *session
	target    string
	on        machine
	threads   int // of every program
	precision ir.DType
	nets      []*dsl.Network
	batches   []int
	meter     *bench.Meter // nil unless a processor's peaks are wanted
	peer      *bench.Peer  // nil unless compared with PyTorch
}

// session makes all choices. What was opened is returned with an error, too.
func (c *benchCommand) session(s *session) (*benchSession, error) {
	b := &benchSession{benchCommand: c, s: s, batches: c.Batch, threads: runtime.GOMAXPROCS(0)}
	b.precision, _ = ir.ParseDType(c.Precision) // check has seen it
	if c.Threads != nil {
		b.threads = *c.Threads
	}
	switch {
	case len(c.Batch) > 0:
	case c.Infer:
		b.batches = []int{1, 128}
	default:
		b.batches = []int{32, 128}
	}
	if err := b.load(); err != nil {
		return b, err
	}
	if err := b.open(); err != nil {
		return b, err
	}
	return b, b.startPeer()
}

// open opens the machine to measure on.
func (b *benchSession) open() error {
	words := b.s.stdout
	if b.JSON {
		words = b.s.stderr
	}
	t, on, err := openTarget(b.Target, machineChoice{isa: b.ISA, threads: b.threads, device: b.Device, precision: b.precision, words: words, gpu: b.s.gpu})
	if err != nil {
		return err
	}
	b.target, b.on = t.name, on
	if c, is := on.(*cpuMachine); is && (b.Kernels || b.Convs) {
		b.meter = bench.NewMeter(c.isa, b.threads)
	}
	return nil
}

// startPeer starts PyTorch, on the same device.
func (b *benchSession) startPeer() (err error) {
	if b.Against == "" {
		return nil
	}
	o := bench.PeerOptions{Threads: b.threads, Device: "cpu", Precision: b.Precision, Timeout: peerTimeout}
	if b.Timeout != nil {
		o.Timeout = *b.Timeout
	}
	if b.on.arch().OnGPU() {
		o.Device = "cuda:0"
		if b.Device != nil {
			o.Device = fmt.Sprintf("cuda:%d", *b.Device)
		}
	}
	if b.peer, err = bench.StartPeer(cmp.Or(b.Python, "python3"), o); err != nil {
		return err
	}
	if ours := b.on.device(); ours != "" && ours != b.peer.Device {
		return fmt.Errorf("PyTorch would use %s, and wrnc uses %s: name one GPU by CUDA_VISIBLE_DEVICES", b.peer.Device, ours)
	}
	return nil
}

// load reads the networks, and refuses those that the peer cannot build.
func (b *benchSession) load() error {
	names := b.Networks
	if len(names) == 0 {
		names = []string{"WRN-16-1", "WRN-16-2", "WRN-16-4"}
	}
	for _, name := range names {
		net, err := loadNetwork(name)
		if err != nil {
			return err
		}
		if b.Against != "" && !b.Convs {
			if err := peerBuilds(net); err != nil {
				return err
			}
		}
		b.nets = append(b.nets, net)
	}
	return nil
}

func (b *benchSession) close() error {
	if b.peer != nil {
		b.peer.Close()
	}
	if b.on == nil {
		return nil
	}
	return b.on.close()
}

// function is what is measured of a network.
func (b *benchSession) function() string {
	if b.Infer {
		return "infer"
	}
	return "train"
}
