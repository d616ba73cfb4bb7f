package train

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/compiler/ir"
)

func moments(values []float32) (mean, deviation float64) {
	for _, v := range values {
		mean += float64(v)
	}
	mean /= float64(len(values))
	for _, v := range values {
		deviation += (float64(v) - mean) * (float64(v) - mean)
	}
	return mean, math.Sqrt(deviation / float64(len(values)))
}

func TestNormal(t *testing.T) {
	s := &ir.State{Name: "conv0.w", Type: ir.T(ir.F32, 64, 3, 3, 33), Init: ir.Init{Kind: ir.Normal, A: 0.5}}
	values := initial(s, 1)
	mean, deviation := moments(values)
	require.InDelta(t, 0, mean, 0.02)
	require.InDelta(t, 0.5, deviation, 0.02)
	within := 0
	for _, v := range values {
		if math.Abs(float64(v)) < 0.5 {
			within++
		}
	}
	require.InDelta(t, 0.6827, float64(within)/float64(len(values)), 0.02, "the share within one deviation")
}

func TestUniform(t *testing.T) {
	s := &ir.State{Name: "fc.w", Type: ir.T(ir.F32, 9999), Init: ir.Init{Kind: ir.Uniform, A: -0.25, B: 0.75}}
	values := initial(s, 1)
	mean, deviation := moments(values)
	require.InDelta(t, 0.25, mean, 0.02)
	require.InDelta(t, 1/math.Sqrt(12), deviation, 0.01)
	for _, v := range values {
		require.True(t, v >= -0.25 && v <= 0.75)
	}
}

func TestConstantAndRows(t *testing.T) {
	s := &ir.State{Name: "b", Type: ir.T(ir.F32, 3), Init: ir.Init{Kind: ir.Constant, A: 2}}
	require.Equal(t, []float32{2, 2, 2}, initial(s, 1))
	s = &ir.State{Name: "run", Type: ir.T(ir.F32, 2, 3), Init: ir.Init{Kind: ir.Rows, A: 0, B: 1}}
	require.Equal(t, []float32{0, 0, 0, 1, 1, 1}, initial(s, 1))
}

func TestIdentity(t *testing.T) {
	s := &ir.State{Name: "pad.w", Type: ir.T(ir.F32, 3, 1, 1, 2), Init: ir.Init{Kind: ir.Identity, A: 1}}
	require.Equal(t, []float32{1, 0, 0, 1, 0, 0}, initial(s, 1))
}

func TestInitialDependsOnSeedAndNameAlone(t *testing.T) {
	at := func(name string, seed uint64, n int) []float32 {
		return initial(&ir.State{Name: name, Type: ir.T(ir.F32, n), Init: ir.Init{Kind: ir.Normal, A: 1}}, seed)
	}
	require.Equal(t, at("a", 7, 11), at("a", 7, 11))
	require.Equal(t, at("a", 7, 11)[:5], at("a", 7, 5))
	for name, other := range map[string][]float32{
		"name":             at("b", 7, 11),
		"seed":             at("a", 8, 11),
		"seed's high half": at("a", 7+1<<40, 11),
	} {
		for i, v := range at("a", 7, 11) {
			require.NotEqual(t, v, other[i], name)
		}
	}
}

func TestUnitIsOpen(t *testing.T) {
	require.Equal(t, 0x1p-53, unit(0, 0))
	require.Equal(t, 1-0x1p-53, unit(math.MaxUint32, math.MaxUint32))
}
