package inspect

import (
	"fmt"
	"slices"
	"strings"
)

// never are instructions that no text should compile to unless it expects them,
// each with what it means.
var never = []struct{ pattern, means string }{
	{"LDL", "registers or arrays lie in local memory"},
	{"STL", "registers or arrays lie in local memory"},
	{"LD", "a load from an address that is not known to be global or shared"},
	{"ST", "a store to an address that is not known to be global or shared"},
	{"DADD", "double precision, perhaps by a literal without f"},
	{"DMUL", "double precision, perhaps by a literal without f"},
	{"DFMA", "double precision, perhaps by a literal without f"},
	{"BPT", "a trap, which Smem sets where pieces do not fit"},
	{"F2F.F64", "double precision, perhaps by a literal without f"},
}

// Faults lists what is wrong with the compiled texts.
func Faults(reports []Report) []string {
	var faults []string
	for _, r := range reports {
		for _, f := range r.Facts {
			for _, what := range r.faults(f) {
				faults = append(faults, fmt.Sprintf("%s (%s) for %s: %s", r.Name, r.Hash, f.Arch, what))
			}
		}
	}
	return faults
}

func (r Report) faults(f Facts) []string {
	var faults []string
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	if f.Warnings != "" {
		fault("the compiler warns:\n%s", f.Warnings)
	}
	if f.Stack > 0 && !slices.Contains(r.Expect, "LDL") {
		fault("%d bytes of local memory a thread", f.Stack)
	}
	if f.Threads == 0 {
		fault("no launch bounds")
	} else if f.Blocks == 0 {
		fault("a block of %d threads with %d registers each and %d bytes of shared memory cannot run", f.Threads, f.Registers, f.Shared)
	}
	for _, n := range never {
		if count := f.Mnemonics.Count(n.pattern); count > 0 && !slices.Contains(r.Expect, n.pattern) {
			fault("%d %s: %s", count, n.pattern, n.means)
		}
	}
	for _, pattern := range r.Expect {
		if absent, ok := strings.CutPrefix(pattern, "!"); ok {
			if count := f.Mnemonics.Count(absent); count > 0 {
				fault("%d %s, but none is expected", count, absent)
			}
		} else if f.Mnemonics.Count(pattern) == 0 {
			fault("no %s, for which it was written", pattern)
		}
	}
	return faults
}

// columns are the instructions that Table counts.
var columns = []string{"HMMA", "LDGSTS", "LDSM", "LDG.128", "STG.128", "FFMA"}

// Table prints reports for people, a line for each text and architecture.
func Table(reports []Report) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-32s %-7s %4s %7s %3s", "kernel", "arch", "regs", "shared", "blk")
	for _, column := range columns {
		fmt.Fprintf(&b, " %7s", column)
	}
	fmt.Fprintf(&b, " %6s %8s\n", "all", "compile")
	for _, r := range reports {
		for _, f := range r.Facts {
			fmt.Fprintf(&b, "%-32s %-7s %4d %7d %3d", r.Name, f.Arch, f.Registers, f.Shared, f.Blocks)
			for _, column := range columns {
				fmt.Fprintf(&b, " %7d", f.Mnemonics.Count(column))
			}
			fmt.Fprintf(&b, " %6d %5d ms\n", f.Mnemonics.Total(), f.Compile.Milliseconds())
		}
	}
	return b.String()
}
