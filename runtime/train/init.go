package train

import (
	"hash/fnv"
	"math"

	"wrnc/compiler/ir"
	"wrnc/kernels/f32"
	"wrnc/runtime"
)

// Initialize writes the initial value of every state of m into ex. What it
// writes is a function of the seed and of each state's name, type and
// distribution alone, so a layer keeps its values when another is added.
func Initialize(ex runtime.Executable, m *ir.Module, seed uint64) error {
	for _, s := range m.States {
		if err := ex.WriteState(s.Name, initial(s, seed)); err != nil {
			return err
		}
	}
	return nil
}

// initial returns the first value of a state, in the order of its type.
func initial(s *ir.State, seed uint64) []float32 {
	values := make([]float32, s.Type.Elems())
	switch s.Init.Kind {
	case ir.Normal:
		draw(values, seed, s.Name, func(u [2]float64) [2]float64 { return normal(u, s.Init.A) })
	case ir.Uniform:
		draw(values, seed, s.Name, func(u [2]float64) [2]float64 { return uniform(u, s.Init.A, s.Init.B) })
	case ir.Constant:
		fill(values, s.Init.A)
	case ir.Rows:
		row := s.Type.Channels()
		fill(values[:row], s.Init.A)
		fill(values[row:], s.Init.B)
	case ir.Identity:
		c := s.Type.Channels()
		for i := range min(c, s.Type.Dims[0]) {
			values[i*c+i] = float32(s.Init.A)
		}
	}
	return values
}

func fill(values []float32, v float64) {
	for i := range values {
		values[i] = float32(v)
	}
}

// draw fills values, two at a time, with what pair makes of two numbers in
// (0, 1): Philox4x32-10 with key = seed and counter = (pair's index, low and
// high, FNV-1a of name, low and high).
func draw(values []float32, seed uint64, name string, pair func([2]float64) [2]float64) {
	h := fnv.New64a()
	h.Write([]byte(name)) // a hash takes every write
	stream := h.Sum64()
	key := [2]uint32{uint32(seed), uint32(seed >> 32)}
	for i := 0; i < len(values); i += 2 {
		n := uint64(i / 2)
		w := f32.Philox4x32(key, [4]uint32{uint32(n), uint32(n >> 32), uint32(stream), uint32(stream >> 32)})
		out := pair([2]float64{unit(w[0], w[1]), unit(w[2], w[3])})
		for j := range min(2, len(values)-i) {
			values[i+j] = float32(out[j])
		}
	}
}

// unit turns 52 random bits into the middle of one of 2^52 equal parts of
// (0, 1), which float64 holds exactly: neither 0, whose logarithm is infinite,
// nor 1.
func unit(high, low uint32) float64 {
	bits := (uint64(high)<<32 | uint64(low)) >> 12
	return (float64(bits) + 0.5) * 0x1p-52
}

// normal is Box and Muller's pair of independent normal numbers.
func normal(u [2]float64, deviation float64) [2]float64 {
	r := deviation * math.Sqrt(-2*math.Log(u[0]))
	sin, cos := math.Sincos(2 * math.Pi * u[1])
	return [2]float64{r * cos, r * sin}
}

// uniform lies in [a, b). Rounding to float32 may still reach b.
func uniform(u [2]float64, a, b float64) [2]float64 {
	return [2]float64{a + float64((b-a)*u[0]), a + float64((b-a)*u[1])}
}
