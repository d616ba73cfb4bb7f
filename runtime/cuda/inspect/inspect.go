// Package inspect compiles kernel texts by the real compiler and looks at what
// came out: no register spilled, the instructions there that a text was written
// for, blocks enough on a multiprocessor. No GPU is needed. A Manifest keeps the
// facts of all texts under version control.
//
//	func TestMain(m *testing.M) {
//		nvrtc.Worker() // this binary compiles, too, in processes of its own
//		os.Exit(m.Run())
//	}
//
//	func TestKernels(t *testing.T) {
//		i, err := inspect.Start(headers, inspect.Archs())
//		if err != nil {
//			toolkit.Missing(t, err)
//		}
//		defer i.Close()
//		reports, err := i.Inspect(ctx, kernels)
//		require.NoError(t, err)
//		require.Empty(t, inspect.Faults(reports))
//		require.NoError(t, i.Manifest(reports).Hold("testdata/kernels/MANIFEST", *update))
//	}
package inspect

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"wrnc/runtime/cuda/cubin"
	"wrnc/runtime/cuda/nvrtc"
)

// Kernel is a text and what it was written for.
type Kernel struct {
	Name     string   // of its entry point
	Source   string   // the .cu text
	Shared   int      // bytes of dynamic shared memory of a launch
	Expect   []string // instructions, as patterns of cubin.Mnemonics: HMMA occurs, !LDS does not
	Networks []string // that use it
}

// Facts are what one architecture's compiler made of a text.
type Facts struct {
	Arch      string
	Registers int
	Shared    int // static and dynamic
	Stack     int // bytes of local memory a thread
	Threads   int // a block
	Blocks    int // on a multiprocessor at once
	Mnemonics cubin.Mnemonics
	Warnings  string
	Compile   time.Duration
}

// Report is a text with its facts, one for each architecture.
type Report struct {
	Kernel
	Hash  string
	Facts []Facts
}

// Hash names a text in a manifest.
func Hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return fmt.Sprintf("%x", sum[:6])
}

// Archs are the architectures that texts are inspected for: the oldest that they
// run on, and those whose limits or code differ.
func Archs() []string { return []string{"sm_80", "sm_90", "sm_120"} }

// Inspector compiles in two processes: that is what NVRTC leaves room for on the
// two cores of a small machine.
type Inspector struct {
	pool    *nvrtc.Pool
	disasm  *cubin.Disassembler
	headers map[string]string
	archs   []string
	release string // of the compiler, once it has compiled something
}

const processes = 2

// Start finds the tools. An architecture that this NVRTC does not know is left
// out, unless it knows none.
func Start(headers map[string]string, archs []string) (*Inspector, error) {
	c, err := nvrtc.Open("")
	if err != nil {
		return nil, err
	}
	i := &Inspector{headers: headers}
	for _, arch := range archs {
		n, err := number(arch)
		if err != nil {
			return nil, err
		}
		if slices.Contains(c.Archs(), n) {
			i.archs = append(i.archs, arch)
		}
	}
	if len(i.archs) == 0 {
		return nil, fmt.Errorf("NVRTC %s knows none of %s", c.Version(), strings.Join(archs, ", "))
	}
	if i.disasm, err = cubin.FindDisassembler(); err != nil {
		return nil, err
	}
	if i.pool, err = nvrtc.NewPool(processes, nvrtc.Self); err != nil {
		return nil, err
	}
	return i, nil
}

// Close ends the processes.
func (i *Inspector) Close() { i.pool.Close() }

// number is 90 for sm_90 and sm_90a.
func number(arch string) (int, error) {
	digits, ok := strings.CutPrefix(arch, "sm_")
	n, err := strconv.Atoi(strings.TrimRight(digits, "af"))
	if !ok || err != nil {
		return 0, fmt.Errorf("%q is no architecture; expected sm_90 or the like", arch)
	}
	return n, nil
}

// Inspect compiles each distinct text for each architecture. Reports are sorted by
// name, then hash. The error holds every text that does not compile; the others
// have reports all the same.
func (i *Inspector) Inspect(ctx context.Context, kernels []Kernel) ([]Report, error) {
	reports, err := distinct(kernels)
	if err != nil {
		return nil, err
	}
	tasks := make([]*task, 0, len(reports)*len(i.archs))
	for r := range reports {
		for _, arch := range i.archs {
			tasks = append(tasks, &task{kernel: reports[r].Kernel, report: r, facts: Facts{Arch: arch}})
		}
	}
	parallel(len(tasks), i.pool.Size(), func(n int) { tasks[n].err = i.compile(ctx, tasks[n]) })
	// One disassembler for each architecture reads all its kernels.
	failed := make([]error, len(i.archs))
	parallel(len(i.archs), processes, func(n int) { failed[n] = i.disassemble(ctx, i.archs[n], tasks) })

	broken := map[int]bool{}
	for _, t := range tasks {
		if t.err != nil {
			failed = append(failed, t.err)
			broken[t.report] = true
			continue
		}
		i.release = t.release
		reports[t.report].Facts = append(reports[t.report].Facts, t.facts)
	}
	var whole []Report
	for r, report := range reports {
		if !broken[r] {
			whole = append(whole, report)
		}
	}
	return whole, errors.Join(failed...)
}

// task is one text for one architecture.
type task struct {
	kernel  Kernel
	report  int // whose it is
	facts   Facts
	code    []byte
	release string
	err     error
}

// compile compiles a text and reads its cubin.
func (i *Inspector) compile(ctx context.Context, t *task) error {
	n, err := number(t.facts.Arch)
	if err != nil {
		return err
	}
	limits, err := cubin.LimitsOf(n)
	if err != nil {
		return err
	}
	result, err := i.pool.Compile(ctx, nvrtc.Source{
		Name: t.kernel.Name + ".cu", Text: t.kernel.Source, Headers: i.headers,
		Arch: t.facts.Arch, Options: nvrtc.Options(),
	})
	if err != nil {
		return err
	}
	file, err := cubin.Parse(result.CUBIN)
	if err != nil {
		return fmt.Errorf("%s for %s: %w", t.kernel.Name, t.facts.Arch, err)
	}
	k, err := file.Kernel(t.kernel.Name)
	if err != nil {
		return fmt.Errorf("%s for %s: %w", t.kernel.Name, t.facts.Arch, err)
	}
	t.code, t.release = k.Code, result.Release()
	t.facts.Registers, t.facts.Stack, t.facts.Threads = k.Registers, k.Stack, k.MaxThreads
	t.facts.Shared = k.Shared + t.kernel.Shared
	t.facts.Blocks = k.BlocksPerSM(limits, k.MaxThreads, t.kernel.Shared)
	t.facts.Warnings, t.facts.Compile = result.Log, result.Time
	return nil
}

// disassemble counts the instructions of what compiled for an architecture.
func (i *Inspector) disassemble(ctx context.Context, arch string, tasks []*task) error {
	var codes [][]byte
	var owners []*task
	for _, t := range tasks {
		if t.facts.Arch == arch && t.err == nil {
			codes, owners = append(codes, t.code), append(owners, t)
		}
	}
	if len(codes) == 0 {
		return nil
	}
	n, err := number(arch)
	if err != nil {
		return err
	}
	counts, err := i.disasm.Mnemonics(ctx, n, codes)
	if err != nil {
		return err
	}
	for n, m := range counts {
		owners[n].facts.Mnemonics = m
	}
	return nil
}

// distinct joins kernels with the same text into one report.
func distinct(kernels []Kernel) ([]Report, error) {
	byHash := map[string]*Report{}
	for _, k := range kernels {
		hash := Hash(k.Source)
		r, ok := byHash[hash]
		if !ok {
			k.Expect, k.Networks = slices.Clone(k.Expect), slices.Clone(k.Networks)
			byHash[hash] = &Report{Kernel: k, Hash: hash}
			continue
		}
		if r.Name != k.Name || r.Kernel.Shared != k.Shared {
			return nil, fmt.Errorf("one text is both %s with %d bytes of shared memory and %s with %d", r.Name, r.Kernel.Shared, k.Name, k.Shared)
		}
		r.Expect = append(r.Expect, k.Expect...)
		r.Networks = append(r.Networks, k.Networks...)
	}
	var out []Report
	for _, r := range byHash {
		r.Expect, r.Networks = unique(r.Expect), unique(r.Networks)
		out = append(out, *r)
	}
	slices.SortFunc(out, func(a, b Report) int { return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Hash, b.Hash)) })
	return out, nil
}

func unique(words []string) []string {
	set := map[string]bool{}
	for _, word := range words {
		set[word] = true
	}
	return slices.Sorted(maps.Keys(set))
}

// parallel calls f with 0 to n-1, up to width at once.
func parallel(n, width int, f func(int)) {
	next := make(chan int)
	var group sync.WaitGroup
	for range width {
		group.Go(func() {
			for k := range next {
				f(k)
			}
		})
	}
	for k := range n {
		next <- k
	}
	close(next)
	group.Wait()
}
