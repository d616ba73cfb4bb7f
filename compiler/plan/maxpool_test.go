package plan_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/compiler/ir"
	"wrnc/compiler/lower"
	"wrnc/compiler/plan"
)

// pooled is a maxpool of a parameter and its gradient, each as a region.
func pooled(t *testing.T) (*ir.Func, *plan.Plan) {
	t.Helper()
	m, err := ir.Parse("pool.ir", `module "pool" {batch=2}
func main(%x : f32[2,9,7,5], %g : f32[2,5,4,5]) {
  %1 = fusion @pool {kind=opaque} (%x) {
    %0 = maxpool %x {pad=1, stride=2, kernel=3} : f32[2,5,4,5] #pool
    yield %0
  } : f32[2,5,4,5]
  %3 = fusion @back {kind=opaque} (%g, %x) {
    %2 = maxpool_grad %g, %x {pad=1, stride=2, kernel=3} : f32[2,9,7,5] #pool
    yield %2
  } : f32[2,9,7,5]
  return %1, %3
}
`)
	require.NoError(t, err)
	f := m.Func("main")
	p, err := lower.Plan(f, goCPU)
	require.NoError(t, err)
	return f, p
}

func TestMaxPool(t *testing.T) {
	f, p := pooled(t)
	require.NoError(t, p.VerifyAgainst(f))
	again, err := plan.Parse("plan", p.String())
	require.NoError(t, err)
	require.Equal(t, withoutLives(p), again)
	require.Contains(t, p.String(), `kernel k1 maxpool_grad back region=back {
  a0 = read b1 // g
  a1 = read b0 // x
  a2 = write b3 // back.0
  grid samples=2 batched rows=9 px=7 c=5 unit=9 tail=0
  conv h=9 w=7 c=5 p=5 q=4 k=0 r=3 pad=1 stride=2 chans=0 cblock=0 splits=0 step=0
}
`)
}

// Each mutation breaks the plan in one way; want lists what the error must name.
func TestMaxPoolMutations(t *testing.T) {
	for _, c := range []struct {
		name   string
		mutate func(pool, back *plan.Kernel)
		want   string
	}{
		{"another window", func(pool, _ *plan.Kernel) { pool.Conv.R = 4 }, "kernel pool: maxpool: 9x7 with window 4"},
		{"another pad", func(_, back *plan.Kernel) { back.Conv.Pad = 3 }, "kernel back: maxpool: window 3, pad 3"},
		{"no step", func(pool, _ *plan.Kernel) { pool.Conv.Stride = 0 }, "stride 0 is out of bounds"},
		{"no channels", func(pool, _ *plan.Kernel) { pool.Conv.C = 0 }, "out of bounds"},
		{"a filter", func(pool, _ *plan.Kernel) { pool.Conv.K = 5 }, "no filter"},
		{"another picture", func(pool, _ *plan.Kernel) { pool.Conv.H = 10 }, "buffer x is f32[2,9,7,5], expected f32[2,10,7,5]"},
		{"the grid of its result", func(pool, back *plan.Kernel) { back.Grid = pool.Grid }, "kernel back: the grid has 5 rows"},
		{"operands swapped", func(_, back *plan.Kernel) { back.Args[0], back.Args[1] = back.Args[1], back.Args[0] }, "kernel back: buffer g is"},
		{"an operand less", func(_, back *plan.Kernel) { back.Args = back.Args[:2] }, "takes 3"},
		{"a read that writes", func(pool, _ *plan.Kernel) { pool.Args[0].Mode = plan.Update }, "declared update"},
		{"a tape", func(pool, _ *plan.Kernel) { pool.Epilogue.Slots = 1 }, "no epilogue"},
		{"no such kind", func(pool, _ *plan.Kernel) { pool.Kind = plan.Augment + 1 }, "is of no kind"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, p := pooled(t)
			c.mutate(kernel(t, p, "pool"), kernel(t, p, "back"))
			require.ErrorContains(t, p.Verify(), c.want)
		})
	}
}
