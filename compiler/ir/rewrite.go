package ir

import (
	"container/heap"
	"fmt"
)

// Clone makes a node that belongs to no function yet: n, which is no fusion, with
// other operands and fresh results of the same types.
func (n *Node) Clone(args []*Value) *Node {
	c := &Node{Op: n.Op, Args: args, Attrs: n.Attrs, Layer: n.Layer, Pos: n.Pos}
	for i, r := range n.Results {
		c.Results = append(c.Results, &Value{Type: r.Type, Node: c, Index: i})
	}
	return c
}

// Sort puts the function's nodes into topological order; among nodes that could
// come next, that of the lowest rank does, and the earlier one where ranks are
// equal. The error names a node of a cycle, if there is one; the order is then
// unchanged.
func (f *Func) Sort(rank func(*Node) int) error {
	at := make(map[*Node]int, len(f.Nodes))
	for i, n := range f.Nodes {
		at[n] = i
	}
	missing := make([]int, len(f.Nodes)) // operands still to be computed
	users := make([][]int, len(f.Nodes))
	ready := &readyNodes{}
	for i, n := range f.Nodes {
		for _, a := range n.Args {
			if j, ok := at[a.Node]; ok && a.Node != nil {
				missing[i]++
				users[j] = append(users[j], i)
			}
		}
		if missing[i] == 0 {
			ready.items = append(ready.items, readyNode{rank(n), i})
		}
	}
	heap.Init(ready)
	sorted := make([]*Node, 0, len(f.Nodes))
	for ready.Len() > 0 {
		i := heap.Pop(ready).(readyNode).index
		sorted = append(sorted, f.Nodes[i])
		for _, u := range users[i] {
			if missing[u]--; missing[u] == 0 {
				heap.Push(ready, readyNode{rank(f.Nodes[u]), u})
			}
		}
	}
	if len(sorted) < len(f.Nodes) {
		for i, n := range f.Nodes {
			if missing[i] > 0 {
				return fmt.Errorf("func %s: %s (%s) depends on itself", f.Name, n.Op, n.Layer)
			}
		}
	}
	f.Nodes = sorted
	return nil
}

type readyNode struct{ rank, index int }

// readyNodes is a heap of the nodes whose operands are computed.
type readyNodes struct{ items []readyNode }

func (r *readyNodes) Len() int { return len(r.items) }
func (r *readyNodes) Less(i, j int) bool {
	a, b := r.items[i], r.items[j]
	return a.rank < b.rank || a.rank == b.rank && a.index < b.index
}
func (r *readyNodes) Swap(i, j int) { r.items[i], r.items[j] = r.items[j], r.items[i] }
func (r *readyNodes) Push(x any)    { r.items = append(r.items, x.(readyNode)) }
func (r *readyNodes) Pop() any {
	last := r.items[len(r.items)-1]
	r.items = r.items[:len(r.items)-1]
	return last
}
