package lower

import (
	"slices"

	"wrnc/compiler/plan"
)

// runs is the second table: two steps that one row function does, with the same
// result to the bit, where the value between them is read by nothing else. The
// joined op reads the first op's operands in place of the one they pass on.
var runs = []struct {
	first, second, joined string
	operand               int // of second, where first's result goes
}{
	{"affine", "relu", "affine_relu", 0},
	{"affine", "relu_grad", "affine_relu_grad", 1},
}

// joinRuns replaces runs of ops of a tape by joined ones. The first op may stand
// earlier, if it can as well run where the second one does.
//
//	r0 = affine a1, v2
//	r1 = avgpool_grad p3
//	r1 = relu_grad r1, r0     =>     r1 = avgpool_grad p3
//	                                 r1 = affine_relu_grad r1, a1, v2
func joinRuns(ops []plan.RowOp) []plan.RowOp {
	ops = slices.Clone(ops)
	for i := 0; i < len(ops); i++ {
		for _, run := range runs {
			if ops[i].Op != run.first || ops[i].Dst.Kind != plan.Slot {
				continue
			}
			j := onlyReader(ops, i)
			if j < 0 || ops[j].Op != run.second || !readsOnceAt(ops[j], ops[i].Dst, run.operand) || !movable(ops, i, j) {
				continue
			}
			b := ops[j]
			src := append([]plan.Ref(nil), b.Src[:run.operand]...)
			src = append(append(src, ops[i].Src...), b.Src[run.operand+1:]...)
			ops[j] = plan.RowOp{Op: run.joined, Dst: b.Dst, Src: src}
			ops = slices.Delete(ops, i, i+1)
			i--
			break
		}
	}
	return ops
}

// onlyReader is the index of the one op that reads the register that ops[i]
// writes, or -1.
func onlyReader(ops []plan.RowOp, i int) int {
	reader := -1
	for j := i + 1; j < len(ops); j++ {
		if slices.Contains(ops[j].Src, ops[i].Dst) {
			if reader >= 0 {
				return -1
			}
			reader = j
		}
		if ops[j].Dst == ops[i].Dst {
			break
		}
	}
	return reader
}

func readsOnceAt(op plan.RowOp, r plan.Ref, operand int) bool {
	for i, s := range op.Src {
		if (s == r) != (i == operand) {
			return false
		}
	}
	return true
}

// movable reports whether ops[i] reads the same just before ops[j]: nothing
// between them writes what it reads.
func movable(ops []plan.RowOp, i, j int) bool {
	for _, op := range ops[i+1 : j] {
		if slices.Contains(ops[i].Src, op.Dst) {
			return false
		}
	}
	return true
}
