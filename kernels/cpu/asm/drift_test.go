package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestDrift requires the assembly that is built to be what the generator writes:
// what the machine runs is then what processors run.
func TestDrift(t *testing.T) {
	for _, p := range programs() {
		require.NoError(t, p.err)
		text, decls, err := texts(p.file)
		require.NoError(t, err)
		for name, want := range map[string][]byte{p.isa + "_amd64.s": text, p.isa + "_amd64.go": decls} {
			have, err := os.ReadFile(filepath.Join("..", name))
			require.NoError(t, err)
			require.True(t, string(want) == string(have), "%s is out of date: run go generate in kernels/cpu", name)
		}
	}
}

// TestMachineFaults shows that the machine refuses what it should: a function
// that is told of more than its operands hold.
func TestMachineFaults(t *testing.T) {
	for _, p := range programs() {
		require.NoError(t, p.err)
		f := p.functions["relu"+p.suffix]
		dst, x := make([]float32, p.lanes), make([]float32, p.lanes)
		c := p.call(t, out(dst), in(x))
		params := quads(c.address(pointer{0, 0}), c.address(pointer{1, 0}), uint64(2*p.lanes))
		require.ErrorContains(t, c.machine.run(f, params), "lie in no buffer")
		c = p.call(t, in(dst), in(x))
		params = quads(c.address(pointer{0, 0}), c.address(pointer{1, 0}), uint64(p.lanes))
		require.ErrorContains(t, c.machine.run(f, params), "writes an operand")
	}
}
