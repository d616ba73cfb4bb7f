package cuda

import (
	"fmt"
	"strings"

	"wrnc/compiler/plan"
)

// archs are the GPUs that kernels are written for, with the largest common part
// of each compute capability: multiprocessors of a typical card, bytes of the
// second cache, and shared memory of a block and of a multiprocessor (CUDA C++
// Programming Guide, "Technical Specifications per Compute Capability").
var archs = []struct {
	name                      string
	sms, l2, shared, sharedSM int
}{
	{"sm_80", 108, 40 << 20, 163 << 10, 164 << 10},   // A100
	{"sm_86", 82, 6 << 20, 99 << 10, 100 << 10},      // RTX 3090
	{"sm_89", 128, 72 << 20, 99 << 10, 100 << 10},    // RTX 4090
	{"sm_90", 132, 50 << 20, 227 << 10, 228 << 10},   // H100, H200
	{"sm_100", 148, 126 << 20, 227 << 10, 228 << 10}, // B200
	{"sm_120", 170, 96 << 20, 99 << 10, 100 << 10},   // RTX 5090
}

// DefaultArch is the oldest architecture; what is written for it runs on all.
const DefaultArch = "sm_80"

// Archs lists the names that [Arch] takes.
func Archs() []string {
	var names []string
	for _, a := range archs {
		names = append(names, a.name)
	}
	return names
}

// Arch is what scheduling must know to plan for a GPU of the named architecture.
func Arch(name string) (plan.Arch, error) {
	for _, a := range archs {
		if a.name == name {
			return plan.Arch{Target: "cuda", ISA: a.name, Chans: 1, L1: 64 << 10, L2: a.l2,
				GPU: plan.GPU{SMs: a.sms, Shared: a.shared, SharedSM: a.sharedSM}}, nil
		}
	}
	return plan.Arch{}, fmt.Errorf("unknown GPU architecture %q; kernels are written for %s", name, strings.Join(Archs(), ", "))
}
