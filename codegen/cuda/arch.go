package cuda

import (
	"fmt"
	"strings"

	"wrnc/compiler/plan"
)

// archs are the GPUs that kernels are written for: one card of each compute
// capability, with its nominal figures. Shared memory is from the CUDA C++
// Programming Guide, "Technical Specifications per Compute Capability";
// multiprocessors, clock, memory and dense rates from the makers' data sheets,
// the rates divided by clock and multiprocessors.
var archs = []struct {
	name, card string
	l2         int
	gpu        plan.GPU
}{
	// sm_80 has 163 KiB for a block. What is planned for it is to run on all that
	// came after, and some of those have 99.
	{"sm_80", "A100 80GB", 40 << 20, plan.GPU{SMs: 108, Shared: 99 << 10, SharedSM: 164 << 10, MHz: 1410, GBs: 2039, FFMA: 64, TF32: 512, BF16: 1024}},
	{"sm_86", "RTX 3090", 6 << 20, plan.GPU{SMs: 82, Shared: 99 << 10, SharedSM: 100 << 10, MHz: 1695, GBs: 936, FFMA: 128, TF32: 128, BF16: 256}},
	{"sm_89", "RTX 4090", 72 << 20, plan.GPU{SMs: 128, Shared: 99 << 10, SharedSM: 100 << 10, MHz: 2520, GBs: 1008, FFMA: 128, TF32: 128, BF16: 256}},
	{"sm_90", "H100 SXM", 50 << 20, plan.GPU{SMs: 132, Shared: 227 << 10, SharedSM: 228 << 10, MHz: 1830, GBs: 3350, FFMA: 128, TF32: 1024, BF16: 2048}},
	{"sm_100", "B200", 126 << 20, plan.GPU{SMs: 148, Shared: 227 << 10, SharedSM: 228 << 10, MHz: 1850, GBs: 8000, FFMA: 128, TF32: 2048, BF16: 4096}},
	{"sm_120", "RTX 5090", 96 << 20, plan.GPU{SMs: 170, Shared: 99 << 10, SharedSM: 100 << 10, MHz: 2407, GBs: 1792, FFMA: 128, TF32: 128, BF16: 256}},
}

// DefaultArch is the oldest architecture; what is planned for it runs on all.
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
			return plan.Arch{Target: "cuda", ISA: a.name, Chans: 1, L1: 64 << 10, L2: a.l2, GPU: a.gpu}, nil
		}
	}
	return plan.Arch{}, unknown(name)
}

// Card is the card whose nominal figures those of a named architecture are.
func Card(name string) (string, error) {
	for _, a := range archs {
		if a.name == name {
			return a.card, nil
		}
	}
	return "", unknown(name)
}

func unknown(name string) error {
	return fmt.Errorf("unknown GPU architecture %q; kernels are written for %s", name, strings.Join(Archs(), ", "))
}

// Nearest returns the newest architecture of [Archs] that a GPU of a compute
// capability runs: sm_86 for 8.7.
func Nearest(major, minor int) (string, error) {
	nearest := ""
	for _, a := range archs { // the newest last
		var number int
		if _, err := fmt.Sscanf(a.name, "sm_%d", &number); err != nil {
			return "", fmt.Errorf("architecture %q has no number: %w", a.name, err)
		}
		if number <= 10*major+minor {
			nearest = a.name
		}
	}
	if nearest == "" {
		return "", fmt.Errorf("a GPU of compute capability %d.%d is older than %s, the first that kernels are written for", major, minor, DefaultArch)
	}
	return nearest, nil
}
