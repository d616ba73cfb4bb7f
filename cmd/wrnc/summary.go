package main

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"text/tabwriter"

	"wrnc/compiler"
	"wrnc/compiler/ir"
	"wrnc/compiler/irgen"
	"wrnc/compiler/lower"
	"wrnc/dsl"
)

// summaryCommand is `wrnc summary`.
type summaryCommand struct {
	Network string `arg:"" name:"file|name" help:"A .wrn file, or a name such as WRN-16-8."`
	Batch   *int   `help:"Images in a batch; by default the recipe's." placeholder:"N"`
	Threads *int   `help:"Worker threads to count memory for; by default one a CPU." placeholder:"N"`
	JSON    bool   `help:"Print one JSON object."`
}

// Help shows an example.
func (c *summaryCommand) Help() string {
	return "Example: wrnc summary WRN-28-10 --batch 64\n\n" +
		"The peaks are planned for the cpu target in f32 with this machine's instruction set; a run allocates exactly that."
}

// summaryFacts is what `wrnc summary --json` prints. Scripts rely on the keys.
type summaryFacts struct {
	Model          string `json:"model"`
	Parameters     int    `json:"parameters"`
	Convs          int    `json:"convs"`
	BlocksPerGroup int    `json:"blocks_per_group,omitempty"` // where groups are alike
	Blocks         []int  `json:"blocks,omitempty"`           // of each group, where they differ
	MACs           int64  `json:"macs"`                       // of one image, forward
	PeakBytesTrain int    `json:"peak_bytes_train"`
	PeakBytesInfer int    `json:"peak_bytes_infer"`
}

// Run prints the summary.
func (c *summaryCommand) Run(s *session) error {
	if err := within("--batch", c.Batch, 1, maxBatch); err != nil {
		return err
	}
	if err := within("--threads", c.Threads, 1, maxThreads); err != nil {
		return err
	}
	net, err := loadNetwork(c.Network)
	if err != nil {
		return err
	}
	if c.Batch != nil {
		net.Train.Batch = *c.Batch
	}
	threads := runtime.GOMAXPROCS(0)
	if c.Threads != nil {
		threads = *c.Threads
	}
	forward, err := irgen.Build(net, net.Train.Batch)
	if err != nil {
		return err
	}
	training, inferring, m, err := planMemory(net)
	if err != nil {
		return err
	}
	facts := summaryFacts{
		Model: net.Name, Parameters: m.Params(), Convs: net.Convs, BlocksPerGroup: net.Blocks,
		MACs:           irgen.MACs(forward.Func("infer")),
		PeakBytesTrain: training.peak(threads), PeakBytesInfer: inferring.peak(threads),
	}
	blocks := fmt.Sprintf("; %d blocks a group", net.Blocks)
	if net.Blocks == 0 {
		facts.Blocks = net.Groups()
		blocks = ""
		if len(facts.Blocks) > 0 {
			blocks = fmt.Sprintf("; %s blocks a group", strings.Trim(strings.ReplaceAll(fmt.Sprint(facts.Blocks), " ", ", "), "[]"))
		}
	}
	if c.JSON {
		return s.printJSON(facts)
	}
	for _, note := range net.Notes {
		fmt.Fprint(s.stderr, note.String())
	}
	fmt.Fprintf(s.stdout, "%s\n\n", net.Name)
	if err := printRows(s.stdout, layerRows(forward.Func("train"), byLayer)); err != nil {
		return err
	}
	fmt.Fprintln(s.stdout)
	return printTotals(s.stdout, facts, blocks, m, training, inferring, net.Train.Batch, threads)
}

// planMemory compiles a network and plans what training (with its evaluation)
// and inference, which folds and prepares, need.
func planMemory(net *dsl.Network) (training, inferring memory, m *ir.Module, err error) {
	fail := func(err error) (memory, memory, *ir.Module, error) { return memory{}, memory{}, nil, err }
	result, err := compiler.Compile(net, compiler.Options{Batch: net.Train.Batch, Precision: ir.F32, Fuse: true, Verify: true})
	if err != nil {
		return fail(err)
	}
	m = result.Module
	arch, err := cpuArch(machineType{})
	if err != nil {
		return fail(err)
	}
	trainPlans, err := layOut(m, arch, lower.Plan, trainingFunctions()...)
	if err != nil {
		return fail(err)
	}
	inference, err := compileAlone(net, "infer", compiler.Options{Batch: net.Train.Batch, Precision: ir.F32, Fuse: true, Fold: true, Verify: true})
	if err != nil {
		return fail(err)
	}
	inferPlans, err := layOut(inference, arch, lower.PlanPrepared)
	if err != nil {
		return fail(err)
	}
	return memoryOf(trainPlans), memoryOf(inferPlans), m, nil
}

// printTotals prints what the table of layers does not say; blocks says how
// many a group has, or each.
func printTotals(w io.Writer, facts summaryFacts, blocks string, m *ir.Module, training, inferring memory, batch, threads int) error {
	bytes := map[ir.Role]int{}
	for _, s := range m.States {
		bytes[s.Role] += s.Type.Bytes()
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(key, format string, args ...any) {
		fmt.Fprintf(t, "%s\t"+format+"\n", append([]any{key}, args...)...)
	}
	line("parameters", "%s", formatCount(int64(facts.Parameters)))
	line("convolutions", "%d, the classifier not counted%s", facts.Convs, blocks)
	line("MACs", "%s an image, forward", formatCount(facts.MACs))
	line("weights", "%s, and %s of running statistics", formatBytes(bytes[ir.Param]), formatBytes(bytes[ir.Running]))
	line("optimizer", "%s", formatBytes(bytes[ir.Velocity]))
	line("activations", "%s in training, %s in inference, for a batch of %d", formatBytes(training.arena), formatBytes(inferring.arena), batch)
	line("scratch", "%s in training, %s in inference, for %d threads", formatBytes(threads*training.scratch), formatBytes(threads*inferring.scratch), threads)
	line("peak", "%s in training, %s in inference", formatBytes(facts.PeakBytesTrain), formatBytes(facts.PeakBytesInfer))
	return t.Flush()
}
