//go:build !amd64

package cpu

// Available lists the instruction sets that this machine can run.
func Available() []*ISA { return []*ISA{&goISA} }
