package plan_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/compiler/ir"
	"wrnc/compiler/lower"
	"wrnc/compiler/plan"
)

// winograd is a plan of convolutions by Winograd's tiles.
func winograd(t testing.TB) (*ir.Func, *plan.Plan) {
	t.Helper()
	m, err := ir.Parse("winograd.ir", `module "winograd" {batch=3}
state @w : f32[32,3,3,32] role=param init=normal(1)
func main(%x : f32[3,6,4,32], %g : f32[3,6,4,32]) {
  %1 = fusion @y {kind=conv_fprop} (%x, @w) {
    %0 = conv2d %x, @w {pad=1, stride=1} : f32[3,6,4,32] #y
    yield %0
  } : f32[3,6,4,32]
  %3 = fusion @dx {kind=conv_dgrad} (%g, @w) {
    %2 = conv2d_dgrad %g, @w {pad=1, stride=1, height=6, width=4} : f32[3,6,4,32] #dx
    yield %2
  } : f32[3,6,4,32]
  %5 = fusion @dw {kind=conv_wgrad} (%g, %x) {
    %4 = conv2d_wgrad %g, %x {pad=1, stride=1, kernel=3} : f32[32,3,3,32] #dw
    yield %4
  } : f32[32,3,3,32]
  return %1, %3, %5
}
`)
	require.NoError(t, err)
	f := m.Func("main")
	p, err := lower.Plan(f, goCPU)
	require.NoError(t, err)
	return f, p
}

func TestWinograd(t *testing.T) {
	f, p := winograd(t)
	require.NoError(t, p.VerifyAgainst(f))
	for _, name := range []string{"y.pack", "y", "dx", "dw", "dw.sum"} {
		require.True(t, kernel(t, p, name).Conv.Winograd, name)
	}
	again, err := plan.Parse("plan", p.String())
	require.NoError(t, err)
	require.Equal(t, p.String(), again.String())
	require.NoError(t, again.Verify())
	for _, c := range []struct {
		name   string
		change func(p *plan.Plan)
		want   string
	}{
		{"packed as taps", func(p *plan.Plan) { kernel(t, p, "y.pack").Conv.Winograd = false }, "y.packed"},
		{"blocks of inputs", func(p *plan.Plan) { kernel(t, p, "y").Conv.CBlock = 16 }, "Winograd's tiles do not fit"},
		{"half a tile", func(p *plan.Plan) { kernel(t, p, "dx").Grid.RowsPerUnit = 3 }, "multiple of the step 2"},
		{"half a band", func(p *plan.Plan) { k := kernel(t, p, "dw"); k.Conv.Step = k.Grid.RowsPerUnit + 2 }, "multiplied at a time"},
		{"a band of half a tile", func(p *plan.Plan) { kernel(t, p, "dw").Grid.RowsPerUnit = 1 }, "multiplied at a time"},
		{"more tiles than the scratch holds", func(p *plan.Plan) { kernel(t, p, "dw").Conv.Step *= 512 }, "scratch"},
		{"sums of taps", func(p *plan.Plan) { kernel(t, p, "dw.sum").Conv.Winograd = false }, "dw"},
	} {
		_, p := winograd(t)
		c.change(p)
		require.ErrorContains(t, p.Verify(), c.want, c.name)
	}
}
