package passes

import (
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/compiler/ir"
)

// A mask that is handed out would have to be stored.
func TestMaskIsNotStored(t *testing.T) {
	const text = `module "case" {batch=2}
func main(%seed : u64[], %step : u64[]) {
  %0 = dropout_mask %seed, %step {p=0.5, stream=d} : u1[2,5,4,3] #d
  return %0
}
`
	for _, pass := range []func(*ir.Func, Options) error{FuseMap, Isolate} {
		require.ErrorContains(t, pass(parse(t, text).Funcs[0], Options{}), "dropout_mask (d) is in no fusion")
	}
}

func TestFusionHasNoCanonicalForm(t *testing.T) {
	const text = `module "case" {batch=2}
func main(%x : f32[2,5,4,3]) {
  %0 = relu %x : f32[2,5,4,3] #a
  return %0
}
`
	f := parse(t, text).Funcs[0]
	require.NoError(t, FuseMap(f, Options{}))
	_, err := Canonical(f)
	require.ErrorContains(t, err, "fusion @a.map has no canonical form")
}

// Canonical forms tell computations apart, and not orders or names.
func TestCanonical(t *testing.T) {
	form := func(body string) string {
		m := parse(t, "module \"case\" {batch=2}\nfunc main(%x : f32[2,5,4,3]) {\n"+body+"}\n")
		text, err := Canonical(m.Funcs[0])
		require.NoError(t, err)
		return text
	}
	const f32 = " : f32[2,5,4,3] #a\n"
	a := form("%0 = relu %x" + f32 + "%1 = add %x, %x" + f32 + "%2 = add %0, %1" + f32 + "return %2\n")
	b := form("%0 = add %x, %x" + f32 + "%1 = relu %x : f32[2,5,4,3] #b\n" + "%2 = add %1, %0" + f32 + "return %2\n")
	c := form("%0 = add %x, %x" + f32 + "%1 = relu %x" + f32 + "%2 = add %0, %1" + f32 + "return %2\n")
	require.Equal(t, a, b)
	require.NotEqual(t, a, c)
}

func TestSort(t *testing.T) {
	const text = `module "case" {batch=2}
func main(%x : f32[2,5,4,3]) {
  %0 = relu %x : f32[2,5,4,3] #a
  %1 = relu %0 : f32[2,5,4,3] #b
  %2 = bn_stats %x : f32[2,3] #c
  return %1, %2
}
`
	f := parse(t, text).Funcs[0]
	a, b, c := f.Nodes[0], f.Nodes[1], f.Nodes[2]
	rank := map[*ir.Node]int{a: 2, b: 0, c: 1}
	require.NoError(t, f.Sort(func(n *ir.Node) int { return rank[n] }))
	require.Equal(t, []*ir.Node{c, a, b}, f.Nodes)

	a.Args[0] = b.Result()
	require.EqualError(t, f.Sort(func(*ir.Node) int { return 0 }), "func main: relu (a) depends on itself")
	require.Equal(t, []*ir.Node{c, a, b}, f.Nodes)
}
