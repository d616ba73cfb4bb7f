package main

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/mmcloughlin/avo/ir"
	"github.com/stretchr/testify/require"

	"wrnc/kernels/cpu"
)

// program is one instruction set's functions as the machine runs them.
type program struct {
	isa       string
	suffix    string
	lanes     int
	file      *ir.File
	functions map[string]*ir.Function
	err       error
}

var programs = sync.OnceValue(func() []*program {
	list := []*program{{isa: "avx2", suffix: "AVX2", lanes: 8}, {isa: "avx512", suffix: "AVX512", lanes: 16}}
	for _, p := range list {
		if p.file, p.err = compile(p.isa); p.err != nil {
			continue
		}
		p.functions = map[string]*ir.Function{}
		for _, f := range p.file.Functions() {
			p.functions[f.Name] = f
		}
	}
	return list
})

// each runs a test on both programs. native is the same instruction set of this
// machine, nil where it has none; plain is Go's.
func each(t *testing.T, test func(t *testing.T, p *program, native, plain *cpu.ISA)) {
	plain, err := cpu.ByName("go")
	require.NoError(t, err)
	for _, p := range programs() {
		t.Run(p.isa, func(t *testing.T) {
			require.NoError(t, p.err)
			native, err := cpu.ByName(p.isa)
			if err != nil {
				t.Logf("not compared with a processor: %v", err)
				native = nil
			}
			test(t, p, native, plain)
		})
	}
}

// in and out are operands of a call that the program may read, or read and write.
type (
	in  []float32
	out []float32
)

// pointer is an address within the call's operands: byte offset of one of them.
type pointer struct {
	operand, offset int
}

// call is one execution: the operands' memory, then the parameters. A parameter
// is a pointer, an int or a float32; structs point at operands by their address.
type call struct {
	t        *testing.T
	program  *program
	machine  machine
	operands []out
}

func (p *program) call(t *testing.T, operands ...any) *call {
	c := &call{t: t, program: p}
	for _, o := range operands {
		switch o := o.(type) {
		case in:
			c.add(bytesOf(o), false)
			c.operands = append(c.operands, nil)
		case out:
			c.add(bytesOf(o), true)
			c.operands = append(c.operands, o)
		case []byte:
			c.add(o, false)
			c.operands = append(c.operands, nil)
		default:
			require.Failf(t, "operand", "%T", o)
		}
	}
	return c
}

// add gives memory an address far from all others, and no more aligned than a
// float32 must be.
func (c *call) add(data []byte, writable bool) {
	base := uint64(len(c.machine.buffers)+1)<<32 + 4
	c.machine.buffers = append(c.machine.buffers, buffer{base, data, writable})
}

// address is where an operand lies.
func (c *call) address(p pointer) uint64 {
	return c.machine.buffers[p.operand].base + uint64(p.offset)
}

// run executes NAME and copies what it wrote back into the operands.
func (c *call) run(name string, params ...any) {
	c.t.Helper()
	f := c.program.functions[name+c.program.suffix]
	require.NotNil(c.t, f, name)
	var b []byte
	for _, p := range params {
		switch p := p.(type) {
		case pointer:
			b = binary.LittleEndian.AppendUint64(b, c.address(p))
		case int:
			b = binary.LittleEndian.AppendUint64(b, uint64(p))
		case float32:
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(p))
		}
	}
	require.Equal(c.t, f.ArgumentBytes(), len(b), name)
	require.NoError(c.t, c.machine.run(f, b))
	for i, o := range c.operands {
		if o != nil {
			_, err := binary.Decode(c.machine.buffers[i].data, binary.LittleEndian, []float32(o))
			require.NoError(c.t, err)
		}
	}
}

func bytesOf[T any](v []T) []byte {
	var b bytes.Buffer
	if err := binary.Write(&b, binary.LittleEndian, v); err != nil {
		panic(err) // a bytes.Buffer takes every fixed-size value
	}
	return b.Bytes()
}

func random(r *rand.Rand, n int) []float32 {
	f := make([]float32, n)
	for i := range f {
		f[i] = float32(r.NormFloat64())
	}
	return f
}

// special puts the numbers that need care among others.
func special(f []float32) []float32 {
	numbers := []float32{0, float32(math.Copysign(0, -1)), float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN()), 1e-42}
	for i := 0; i < len(f); i += 5 {
		f[i] = numbers[i/5%len(numbers)]
	}
	return f
}

func sameBits(t *testing.T, want, got []float32, who string) {
	t.Helper()
	require.Len(t, got, len(want))
	for i := range want {
		require.Equal(t, math.Float32bits(want[i]), math.Float32bits(got[i]), "%s, at %d: want %v, got %v", who, i, want[i], got[i])
	}
}
