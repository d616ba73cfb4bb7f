package compiler

import (
	"fmt"
	"slices"

	"wrnc/compiler/ir"
	"wrnc/compiler/passes"
)

// Pass is a row of the pass table.
type Pass struct {
	Name    string
	Summary string // one line, for people

	run  func(*ir.Func, passes.Options) error
	when func(Options) bool // nil: always
}

// pipeline lists the passes in the order in which they run.
var pipeline = []Pass{
	{"canonicalize", "remove ops that change nothing", passes.Canonicalize, nil},
	{"split-bn", "write batch norm as statistics, channel arithmetic and a map", passes.SplitBN, nil},
	{"fold-bn", "multiply batch norm by running statistics into the weights before it", passes.FoldBN, folded},
	{"rounding", "fix where values are narrowed to the precision", passes.Rounding, nil},
	{"cse", "keep one of several nodes that compute the same", passes.CSE, nil},
	{"deadcode", "remove nodes that nothing needs", passes.DeadCode, nil},
	{"fuse-conv", "group each root with its prologues and its epilogue", passes.FuseConv, fused},
	{"fuse-map", "group what no root has taken", passes.FuseMap, fused},
	{"isolate", "make a region of every op", passes.Isolate, unfused},
}

// order says which pass comes before which, and why. It documents the table
// above and is checked against it; it does not set the order.
var order = []struct{ before, after, because string }{
	{"canonicalize", "rounding", "a convert that changes nothing would pass for a rounding point written by hand"},
	{"split-bn", "rounding", "values between batch norm's parts are rounded"},
	{"split-bn", "fold-bn", "what is folded is the affine map of a batch norm"},
	{"fold-bn", "rounding", "a folded weight is rounded as the operand of its root"},
	{"rounding", "cse", "an operand of two roots is narrowed once"},
	{"split-bn", "cse", "the backward pass reads the forward pass's statistics"},
	{"rounding", "fuse-conv", "fusion must not decide what is rounded"},
	{"cse", "fuse-conv", "copies are counted by readers, and equal values have one set of them"},
	{"canonicalize", "deadcode", "a mask that drops nothing has lost its reader"},
	{"split-bn", "deadcode", "a norm whose running statistics nobody assigns has computed them in vain"},
	{"deadcode", "fuse-conv", "a dead reader would keep a value stored"},
	{"deadcode", "isolate", "a dead node would become a region that nothing reads"},
	{"fuse-conv", "fuse-map", "statistics belong to the root that computes their operand"},
}

func fused(o Options) bool   { return o.Fuse }
func unfused(o Options) bool { return !o.Fuse }
func folded(o Options) bool  { return o.Fold }

// Passes lists the pass table, for help texts and for --print-after.
func Passes() []Pass { return slices.Clone(pipeline) }

// checkOrder reports the first row of order that the pipeline breaks.
func checkOrder(table []Pass) error {
	at := map[string]int{}
	for i, p := range table {
		if _, twice := at[p.Name]; twice {
			return fmt.Errorf("the pass %s is listed twice", p.Name)
		}
		at[p.Name] = i
	}
	for _, o := range order {
		i, known := at[o.before]
		j, also := at[o.after]
		switch {
		case !known || !also:
			return fmt.Errorf("the order of %s and %s is fixed, but not both are passes", o.before, o.after)
		case i >= j:
			return fmt.Errorf("%s must come before %s: %s", o.before, o.after, o.because)
		}
	}
	return nil
}
