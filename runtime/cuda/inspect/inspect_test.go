package inspect

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/runtime/cuda/cubin"
	"wrnc/runtime/cuda/nvrtc"
	"wrnc/runtime/cuda/toolkit"
)

var update = flag.Bool("update", false, "rewrite testdata/MANIFEST")

func TestMain(m *testing.M) {
	nvrtc.Worker()
	os.Exit(m.Run())
}

// prelude is the folder of the GPU's device.cuh.
const prelude = "../../../kernels/gpu"

// files reads the files of a folder, by their names.
func files(t *testing.T, folder string) map[string]string {
	paths, err := filepath.Glob(filepath.Join(folder, "*.cu*"))
	require.NoError(t, err)
	require.NotEmpty(t, paths, folder)
	out := map[string]string{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		out[filepath.Base(path)] = string(text)
	}
	return out
}

// kernel reads testdata/FOLDER/NAME.cu.
func kernel(t *testing.T, folder, name string) Kernel {
	text, err := os.ReadFile(filepath.Join("testdata", folder, name+".cu"))
	require.NoError(t, err)
	return Kernel{Name: name, Source: string(text)}
}

func start(t *testing.T, archs ...string) *Inspector {
	i, err := Start(files(t, prelude), archs)
	if err != nil {
		toolkit.Missing(t, err)
	}
	t.Cleanup(i.Close)
	return i
}

// kernels are written by hand against the prelude, one for each thing that the
// generated ones will do.
func kernels(t *testing.T) []Kernel {
	list := []Kernel{
		{Name: "copy", Expect: []string{"LDG.128", "STG.128", "!LDS"}, Networks: []string{"by-hand"}},
		{Name: "gemm_bf16", Shared: 2 * 2 * 64 * 32 * 2, Expect: []string{"HMMA.16816.BF16", "LDGSTS.128", "LDSM.4"}, Networks: []string{"by-hand"}},
		{Name: "gemm_tf32", Shared: 2 * 32 * 16 * 4, Expect: []string{"HMMA.1688.TF32", "LDSM.4", "LDSM.2", "LDG.128", "!LDGSTS"}, Networks: []string{"by-hand"}},
		{Name: "sum", Shared: 8 * 4, Expect: []string{"LDG.128", "SHFL", "ATOMG", "BAR", "!HMMA"}, Networks: []string{"by-hand", "another"}},
	}
	for n := range list {
		list[n].Source = kernel(t, "kernels", list[n].Name).Source
	}
	return list
}

func TestKernels(t *testing.T) {
	i := start(t, Archs()...)
	reports, err := i.Inspect(context.Background(), kernels(t))
	require.NoError(t, err)
	require.Empty(t, Faults(reports))
	t.Log("\n" + Table(reports))
	require.NoError(t, i.Manifest(reports).Hold("testdata/MANIFEST", *update))
}

// TestPrelude holds each function of the prelude to the instructions that it is
// there for, neither fewer nor more.
func TestPrelude(t *testing.T) {
	i := start(t, Archs()...)
	counts := map[string]map[string]int{
		"wide": {
			"LDG.U8": 1, "STG.U8": 1, "LDG.U16": 1, "STG.U16": 1, "LDG.64": 2, "STG.64": 2, "LDG.128": 7, "STG.128": 7,
			"LDG": 14, "STG": 14,
		},
		"shared": {
			"LDGSTS.128": 1, "LDGSTS.BYPASS": 1, "LDGSTS.64": 1, "LDGSTS": 3, "LDGDEPBAR": 1, "LDS.128": 1, "LDS.64": 1,
			"LDS": 4, "STS": 1, "BAR.SYNC": 3, "LDG": 0,
		},
		"matrix": {
			"LDSM.M88.4": 1, "LDSM.M88.2": 1, "LDSM.MT88.4": 1, "LDSM.MT88.2": 1, "LDSM": 4,
			"HMMA.16816.F32.BF16": 1, "HMMA.1688.F32.TF32": 1, "HMMA": 2, "STS.128": 2,
		},
		"arithmetic": {
			"SHFL.BFLY": 2, "SHFL.DOWN": 2, "ATOMG.ADD.STRONG.GPU": 1, "ATOM": 0, "RED": 0, "MEMBAR.GPU": 1, "CCTL.IVALL": 1, "BAR.RED.OR": 2, "BAR.SYNC": 1,
			"MUFU.EX2": 1, "CALL": 2, "IMAD.HI": 1, "F2FP.BF16": 1,
		},
	}
	var list []Kernel
	for name := range counts {
		k := kernel(t, "prelude", name)
		k.Shared = map[string]int{"shared": 3584, "matrix": 1024}[name]
		list = append(list, k)
	}
	reports, err := i.Inspect(context.Background(), list)
	require.NoError(t, err)
	require.Len(t, reports, len(counts))
	require.Empty(t, Faults(reports))
	for _, r := range reports {
		require.Len(t, r.Facts, len(i.archs))
		for _, f := range r.Facts {
			for pattern, want := range counts[r.Name] {
				require.Equal(t, want, f.Mnemonics.Count(pattern), "%s for %s: %s in %v", r.Name, f.Arch, pattern, f.Mnemonics)
			}
		}
	}
}

// TestPreludeText holds the prelude to the rules that no compiler checks.
func TestPreludeText(t *testing.T) {
	assembly := regexp.MustCompile(`\basm\b`)
	include := regexp.MustCompile(`#include.*`)
	for name, text := range files(t, prelude) {
		if name != "ptx.cuh" {
			require.NotRegexp(t, assembly, text, name)
		}
		for _, line := range include.FindAllString(text, -1) {
			require.Equal(t, `#include "ptx.cuh"`, line, "%s needs no CUDA header", name)
		}
		require.NotContains(t, text, "#if", name)
	}
}

// TestFaults has a text for each fault.
func TestFaults(t *testing.T) {
	i := start(t, "sm_80")
	list := map[string]Kernel{
		"local":     {},
		"doubles":   {},
		"generic":   {Shared: 128},
		"unbounded": {},
		"warning":   {},
		"overdrawn": {Shared: 64},
	}
	var all []Kernel
	for name, k := range list {
		shared := k.Shared
		k = kernel(t, "faults", name)
		k.Shared = shared
		all = append(all, k)
	}
	reports, err := i.Inspect(context.Background(), all)
	require.NoError(t, err)
	require.Len(t, reports, len(list))
	want := map[string][]string{
		"local":     {`256 bytes of local memory a thread`, `\d+ LDL: registers or arrays lie in local memory`, `\d+ STL: registers or arrays lie in local memory`},
		"doubles":   {`1 DMUL: double precision, perhaps by a literal without f`, `2 F2F.F64: double precision, perhaps by a literal without f`},
		"generic":   {`1 LD: a load from an address that is not known to be global or shared`, `1 ST: a store to an address that is not known to be global or shared`},
		"unbounded": {`no launch bounds`},
		"warning":   {`the compiler warns:\n(?s).*warning.cu\(\d\): warning #549-D: variable "v" is used before its value is set.*`},
		"overdrawn": {`1 BPT: a trap, which Smem sets where pieces do not fit`},
	}
	for _, r := range reports {
		got := r.faults(r.Facts[0])
		require.Len(t, got, len(want[r.Name]), "%s: %q", r.Name, got)
		for n, pattern := range want[r.Name] {
			require.Regexp(t, "^"+pattern+"$", got[n])
		}
	}
	require.Contains(t, strings.Join(Faults(reports), "\n"), "unbounded ("+Hash(list["unbounded"].Source+kernel(t, "faults", "unbounded").Source)+") for sm_80: no launch bounds")
}

// TestRules needs no compiler.
func TestRules(t *testing.T) {
	facts := func() Facts {
		return Facts{Arch: "sm_80", Registers: 32, Threads: 128, Blocks: 4, Mnemonics: cubin.Mnemonics{"FFMA": 3, "LDG.E.128": 1, "EXIT": 1}}
	}
	r := Report{Kernel: Kernel{Expect: []string{"LDG.128", "!HMMA"}}}
	require.Empty(t, r.faults(facts()))

	r.Expect = []string{"HMMA", "!FFMA", "!LDG.64"}
	require.Equal(t, []string{"no HMMA, for which it was written", "3 FFMA, but none is expected"}, r.faults(facts()))

	r.Expect = nil
	f := facts()
	f.Blocks, f.Shared = 0, 200000
	require.Equal(t, []string{"a block of 128 threads with 32 registers each and 200000 bytes of shared memory cannot run"}, r.faults(f))

	// What never should be may be expected.
	f = facts()
	f.Stack = 16
	f.Mnemonics["LDL.64"], f.Mnemonics["STL"], f.Mnemonics["DFMA"] = 1, 1, 1
	require.Len(t, r.faults(f), 4)
	r.Expect = []string{"LDL", "STL", "DFMA"}
	require.Empty(t, r.faults(f))
}

func TestInspectErrors(t *testing.T) {
	i := start(t, "sm_80", "sm_90")
	good := kernels(t)[0]
	bad := good
	bad.Name, bad.Source = "bad", "nonsense"
	renamed := good
	renamed.Name, renamed.Source = "renamed", good.Source+"\n"
	reports, err := i.Inspect(context.Background(), []Kernel{bad, good, renamed})
	require.ErrorContains(t, err, "bad.cu does not compile for sm_80:\nbad.cu(1): error")
	require.ErrorContains(t, err, "bad.cu does not compile for sm_90:\nbad.cu(1): error")
	require.ErrorContains(t, err, "renamed for sm_80: the cubin has no kernel renamed, but copy")
	require.Len(t, reports, 1)
	require.Equal(t, "copy", reports[0].Name)
	require.Len(t, reports[0].Facts, 2)

	other := good
	other.Shared = 16
	_, err = i.Inspect(context.Background(), []Kernel{good, other})
	require.EqualError(t, err, "one text is both copy with 0 bytes of shared memory and copy with 16")

	_, err = Start(nil, []string{"90"})
	require.EqualError(t, err, `"90" is no architecture; expected sm_90 or the like`)
	_, err = Start(nil, []string{"sm_999"})
	require.ErrorContains(t, err, "knows none of sm_999")
}

// TestEqualTextsAreOne joins what is said of equal texts.
func TestEqualTextsAreOne(t *testing.T) {
	reports, err := distinct([]Kernel{
		{Name: "b", Source: "text", Expect: []string{"LDG"}, Networks: []string{"two", "one"}},
		{Name: "a", Source: "other"},
		{Name: "b", Source: "text", Expect: []string{"HMMA", "LDG"}, Networks: []string{"one", "three"}},
		{Name: "a", Source: "more"},
	})
	require.NoError(t, err)
	var names []string
	for _, r := range reports {
		names = append(names, r.Name+" "+r.Hash)
	}
	require.Len(t, names, 3)
	require.True(t, slices.IsSorted(names), "by name, then hash: %v", names)
	require.Equal(t, []string{"HMMA", "LDG"}, reports[2].Expect)
	require.Equal(t, []string{"one", "three", "two"}, reports[2].Networks)
}
