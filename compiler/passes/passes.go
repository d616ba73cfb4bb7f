// Package passes holds the compiler's passes: one file each, which opens with
// the IR before and after, what the pass needs, and what it promises.
//
// A pass rewrites one function in place. It leaves fusions that are there
// already as they are, so that a module may be compiled from any point on. The
// order of the passes is a table of package compiler.
package passes

import "wrnc/compiler/ir"

// Options are what the passes are told.
type Options struct {
	Precision ir.DType    // F32, TF32 or BF16: what roots multiply and, for BF16, what is stored
	Decisions *[]Decision // fusion appends what it decided and why; may be nil
}

// hasFusion reports whether fusion has begun.
func hasFusion(f *ir.Func) bool {
	for _, n := range f.Nodes {
		if n.Op == ir.Fusion {
			return true
		}
	}
	return false
}
