package plan_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/compiler/ir"
	"wrnc/compiler/plan"
)

func TestEdgesOfBytes(t *testing.T) {
	buffer := func(space plan.Space, offset, bytes int) plan.Buffer {
		return plan.Buffer{Space: space, Type: ir.T(ir.F32, bytes/4), Offset: offset, Bytes: bytes}
	}
	const r, w, u = plan.Read, plan.Write, plan.Update
	p := &plan.Plan{
		Buffers: []plan.Buffer{
			buffer(plan.Arena, 0, 128),
			buffer(plan.Arena, 64, 128), // shares 64 bytes with the first
			buffer(plan.Arena, 192, 64),
			buffer(plan.State, 0, 128), // the same offset in another space
			buffer(plan.Input, 0, 128),
			buffer(plan.Input, 0, 128), // another input, not the same bytes
		},
		Kernels: []*plan.Kernel{
			{Args: []plan.Arg{{Buffer: 4, Mode: r}, {Buffer: 0, Mode: w}}},
			{Args: []plan.Arg{{Buffer: 0, Mode: r}, {Buffer: 3, Mode: u}}},
			{Args: []plan.Arg{{Buffer: 5, Mode: r}, {Buffer: 1, Mode: w}}},
			{Args: []plan.Arg{{Buffer: 0, Mode: r}, {Buffer: 2, Mode: w}}},
			{Args: []plan.Arg{{Buffer: 3, Mode: r}, {Buffer: 1, Mode: u}, {Buffer: 2, Mode: w}}},
		},
		Launches: []plan.Launch{{Kernels: []int{0}}, {Kernels: []int{1}}, {Kernels: []int{2}}, {Kernels: []int{3}}, {Kernels: []int{4}}},
	}
	require.Equal(t, []plan.Edge{
		{From: 0, To: 1, Kind: plan.RAW},
		{From: 0, To: 2, Kind: plan.WAW},
		{From: 1, To: 2, Kind: plan.WAR},
		{From: 0, To: 3, Kind: plan.RAW}, // bytes 0 to 64; bytes 64 to 128 are kernel 2's
		{From: 2, To: 3, Kind: plan.RAW},
		{From: 1, To: 4, Kind: plan.RAW},
		{From: 2, To: 4, Kind: plan.RAW},
		{From: 3, To: 4, Kind: plan.WAW}, // and WAR, which is weaker
	}, plan.Edges(p))
}

// TestEdgesAgainstPairs compares the edges of a training step with the pairs of
// kernels that share a byte: each edge is such a pair, and each pair is ordered
// by a path of edges.
func TestEdgesAgainstPairs(t *testing.T) {
	_, p := small(t)
	overlap := func(a, b int) bool {
		x, y := p.Buffers[a], p.Buffers[b]
		if x.Space != y.Space || x.Space == plan.Input {
			return a == b
		}
		return x.Offset < y.Offset+y.Bytes && y.Offset < x.Offset+x.Bytes
	}
	conflict := func(i, j int) bool {
		for _, a := range p.Kernels[i].Args {
			for _, b := range p.Kernels[j].Args {
				if overlap(a.Buffer, b.Buffer) && (a.Mode != plan.Read || b.Mode != plan.Read) {
					return true
				}
			}
		}
		return false
	}
	var order []int
	launch := map[int]int{}
	for n, l := range p.Launches {
		for _, k := range l.Kernels {
			order = append(order, k)
			launch[k] = n
		}
	}
	n := len(p.Kernels)
	reach := make([][]bool, n)
	for i := range reach {
		reach[i] = make([]bool, n)
	}
	seen := map[[2]int]bool{}
	for _, e := range plan.Edges(p) {
		require.False(t, seen[[2]int{e.From, e.To}], "listed once")
		seen[[2]int{e.From, e.To}] = true
		require.True(t, conflict(e.From, e.To), "%+v", e)
		require.Less(t, launch[e.From], launch[e.To])
		reach[e.From][e.To] = true
	}
	for _, via := range order { // edges lead forward in the order
		for i := range n {
			for j := range n {
				reach[i][j] = reach[i][j] || reach[i][via] && reach[via][j]
			}
		}
	}
	pairs := 0
	for a, i := range order {
		for _, j := range order[a+1:] {
			if conflict(i, j) {
				pairs++
				require.True(t, reach[i][j], "%s before %s", p.Kernels[i].Name, p.Kernels[j].Name)
			}
		}
	}
	require.Greater(t, pairs, len(seen), "the arena is reused")
}
