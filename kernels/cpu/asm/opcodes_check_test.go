package main

import (
	"math"
	"slices"
	"testing"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
	"github.com/stretchr/testify/require"
)

// step runs one instruction, built by avo so that it is one that exists.
func step(t *testing.T, m *machine, f func(c *build.Context)) {
	t.Helper()
	c := build.NewContext()
	c.Function("f")
	f(c)
	file, err := c.Result()
	require.NoError(t, err)
	i := file.Functions()[0].Instructions()[0]
	opcodes[i.OpcodeWithSuffixes()](m, i.Operands)
}

// lanes fills a vector with some words, again and again.
func lanes(words ...uint32) (v vector) {
	v.known = true
	for i := range 16 {
		putU32(v.data[:], i, words[i%len(words)])
	}
	return v
}

func floatLanes(f ...float32) vector {
	var words []uint32
	for _, v := range f {
		words = append(words, math.Float32bits(v))
	}
	return lanes(words...)
}

// low is a vector with its upper bytes clear, as a shorter result leaves it.
func low(v vector, bytes int) vector {
	clear(v.data[bytes:])
	return v
}

// TestOpcodes checks instructions whose operands could be confused against
// values worked out by hand from Intel's manual, on the widest registers: for
// these no processor without AVX-512 answers.
func TestOpcodes(t *testing.T) {
	imm := func(v uint64) operand.Op { return operand.Imm(v) }
	nan, negative := float32(math.NaN()), float32(math.Copysign(0, -1))
	count := lanes(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
	for _, k := range []struct {
		name         string
		z1, z2, want vector // Z3 holds 10, 20, 30, 40 before; want is Z3 after
		f            func(c *build.Context)
	}{
		{"VSUBPS is second less first", floatLanes(1, 2, 3, 4), floatLanes(5), floatLanes(4, 3, 2, 1),
			func(c *build.Context) { c.VSUBPS(reg.Z1, reg.Z2, reg.Z3) }},
		{"VMAXPS is the first for NaN and zeros", floatLanes(0, 1, nan, negative), floatLanes(negative, nan, 1, 0), floatLanes(0, 1, nan, negative),
			func(c *build.Context) { c.VMAXPS(reg.Z1, reg.Z2, reg.Z3) }},
		{"VFMADD231PS adds to the destination", floatLanes(1, 2, 3, 4), floatLanes(2), floatLanes(12, 24, 36, 48),
			func(c *build.Context) { c.VFMADD231PS(reg.Z1, reg.Z2, reg.Z3) }},
		{"VFMADD213PS multiplies the destination", floatLanes(1, 2, 3, 4), floatLanes(2), floatLanes(21, 42, 63, 84),
			func(c *build.Context) { c.VFMADD213PS(reg.Z1, reg.Z2, reg.Z3) }},
		{"VPANDD", lanes(0b1100, 1, math.MaxUint32, 0), lanes(0b1010, 3, 7, 7), lanes(0b1000, 1, 7, 0),
			func(c *build.Context) { c.VPANDD(reg.Z1, reg.Z2, reg.Z3) }},
		{"VPXORD", lanes(0b1100, 1, math.MaxUint32, 0), lanes(0b1010, 3, 7, 7), lanes(0b0110, 2, math.MaxUint32-7, 7),
			func(c *build.Context) { c.VPXORD(reg.Z1, reg.Z2, reg.Z3) }},
		{"VPSUBD is second less first", lanes(1, 2, 3, 9), lanes(5), lanes(4, 3, 2, math.MaxUint32-3),
			func(c *build.Context) { c.VPSUBD(reg.Z1, reg.Z2, reg.Z3) }},
		{"VPADDQ carries inside quadwords", lanes(math.MaxUint32, 1, 1, math.MaxUint32), lanes(1, 2, 3, 1), lanes(0, 4, 4, 0),
			func(c *build.Context) { c.VPADDQ(reg.Z1, reg.Z2, reg.Z3) }},
		{"VPMULUDQ takes even words", lanes(math.MaxUint32, 9, 3, 9), lanes(math.MaxUint32, 9, 1<<31, 9), lanes(1, math.MaxUint32-1, 1<<31, 1),
			func(c *build.Context) { c.VPMULUDQ(reg.Z1, reg.Z2, reg.Z3) }},
		{"VPSRLQ", lanes(0, 7, 1, 8), lanes(0), lanes(7, 0, 8, 0),
			func(c *build.Context) { c.VPSRLQ(imm(32), reg.Z1, reg.Z3) }},
		{"VPSRAD copies the sign", lanes(1<<31, 1, 1<<30, math.MaxUint32), lanes(0), lanes(math.MaxUint32, 0, 0, math.MaxUint32),
			func(c *build.Context) { c.VPSRAD(imm(31), reg.Z1, reg.Z3) }},
		{"VPSHUFD stays in 128 bits", count, lanes(0), lanes(3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12),
			func(c *build.Context) { c.VPSHUFD(imm(0b00_01_10_11), reg.Z1, reg.Z3) }},
		{"VEXTRACTI64X4", count, lanes(0), low(lanes(8, 9, 10, 11, 12, 13, 14, 15), 32),
			func(c *build.Context) { c.VEXTRACTI64X4(imm(1), reg.Z1, reg.Y3) }},
		{"VEXTRACTI128", count, lanes(0), low(lanes(4, 5, 6, 7), 16),
			func(c *build.Context) { c.VEXTRACTI128(imm(1), reg.Y1, reg.X3) }},
		{"VPMOVZXWD", lanes(0xffff_0001, 7, 0xfffe_0000, 5), lanes(0), lanes(1, 0xffff, 7, 0, 0, 0xfffe, 5, 0),
			func(c *build.Context) { c.VPMOVZXWD(reg.Y1, reg.Z3) }},
		{"VMOVAPS of 256 bits clears what lies above", count, lanes(0), low(count, 32),
			func(c *build.Context) { c.VMOVAPS(reg.Y1, reg.Y3) }},
	} {
		var m machine
		m.vectors[1], m.vectors[2], m.vectors[3] = k.z1, k.z2, floatLanes(10, 20, 30, 40)
		step(t, &m, k.f)
		require.Equal(t, k.want, m.vectors[3], k.name)
	}

	var m machine
	m.vectors[1], m.vectors[2] = floatLanes(1, 2, nan, 0), floatLanes(0, 2, 0, negative)
	step(t, &m, func(c *build.Context) { c.VCMPPS(imm(1), reg.Z1, reg.Z2, reg.K1) }) // Z2 < Z1
	require.Equal(t, word{true, 0x1111}, m.masks[1])
	step(t, &m, func(c *build.Context) { c.VMOVAPS_Z(reg.Z1, reg.K1, reg.Z3) })
	require.Equal(t, floatLanes(1, 0, 0, 0), m.vectors[3])
}

// TestJumps compares signed comparisons with Go's on the borders of overflow.
func TestJumps(t *testing.T) {
	values := []int64{math.MinInt64, math.MinInt64 + 1, -1, 0, 1, math.MaxInt64 - 1, math.MaxInt64}
	for _, a := range values {
		for _, b := range values {
			for _, f := range []func(c *build.Context){
				func(c *build.Context) { c.CMPQ(reg.RAX, reg.RBX) }, // flags of AX - BX
				func(c *build.Context) { c.SUBQ(reg.RBX, reg.RAX) },
			} {
				var m machine
				m.write(reg.RAX, uint64(a))
				m.write(reg.RBX, uint64(b))
				step(t, &m, f)
				for jump, want := range map[string]bool{"JE": a == b, "JNE": a != b, "JL": a < b, "JLE": a <= b, "JGE": a >= b} {
					require.Equal(t, want, m.taken(jump), "%s after %d - %d", jump, a, b)
				}
			}
		}
	}
}

// TestExtensions requires each function to keep to what Available asks of the
// processor before it offers the instruction set.
func TestExtensions(t *testing.T) {
	asked := map[string][]string{"avx2": {"MMX+", "AVX", "AVX2", "FMA3"}} // the first has the prefetches, as has every amd64
	asked["avx512"] = append([]string{"AVX512F", "AVX512DQ", "AVX512VL", "AVX512BW"}, asked["avx2"]...)
	for _, p := range programs() {
		require.NoError(t, p.err)
		for _, f := range p.file.Functions() {
			for _, extension := range f.ISA {
				require.True(t, slices.Contains(asked[p.isa], extension), "%s needs %s", f.Name, extension)
			}
		}
	}
}
