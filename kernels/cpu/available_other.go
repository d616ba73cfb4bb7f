//go:build !amd64

package cpu

// All lists the instruction sets that this program holds.
func All() []*ISA { return []*ISA{&goISA} }

// Available lists the instruction sets that this machine can run.
func Available() []*ISA { return []*ISA{&goISA} }
