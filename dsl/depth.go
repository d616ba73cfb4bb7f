package dsl

import (
	"fmt"
	"slices"
	"strings"
)

// countRule says what the depth in a network's name counts.
//
// The paper uses the word for two things. Its Table 2 gives every block
// (depth-4)/6 blocks a group, so that B(1,3,1) at "depth 40" really has 58
// convolutions; its Table 3 gives an l-fold block (depth-4)/(3l), which counts
// them. For two convolutions a block the rules agree. The 4 is the stem and the
// three projections; the classifier is not counted.
type countRule int

const (
	countDefault countRule = iota // convolutions if the block is all 3x3, else the paper's
	countConvs                    // depth = 3lN + 4
	countPaper                    // depth = 6N + 4, whatever the block
)

// maxDepthName bounds the depth in a name, and with it the size of everything
// that is built from it: past the deepest network of the paper (ResNet-1202) with
// compile times of seconds.
const maxDepthName = 1300

// period returns how much deeper one more block in each group is.
func (r countRule) period(kernels []int) int {
	if r == countDefault {
		r = countConvs
		if slices.Contains(kernels, 1) {
			r = countPaper
		}
	}
	if r == countConvs {
		return 3 * len(kernels)
	}
	return 6
}

// blocksOf returns N for a depth, or 0 where the depth is no period*N + 4 with N >= 1.
func blocksOf(depth, period int) int {
	if depth < period+4 || (depth-4)%period != 0 {
		return 0
	}
	return (depth - 4) / period
}

// nearestDepths lists the legal depths around one that is not: the next below
// and the next above, each with its N.
func nearestDepths(depth, period int) string {
	n := max(0, (depth-4)/period)
	var near []string
	for _, n := range []int{n, n + 1} {
		if d := period*n + 4; n >= 1 && d <= maxDepthName {
			near = append(near, fmt.Sprintf("%d (N=%d)", d, n))
		}
	}
	return "nearest: " + strings.Join(near, ", ")
}

// convolutions returns the true number of convolutions: the stem, l in each of
// 3N blocks, and a projection for each group whose first block changes the width.
func convolutions(blocks int, kernels []int, k float64) int {
	count := 1 + 3*blocks*len(kernels)
	w := widths(k)
	for g := 1; g < len(w); g++ {
		if w[g] != w[g-1] {
			count++
		}
	}
	return count
}

// blockName returns B(M) as the paper writes it.
func blockName(kernels []int) string {
	var b strings.Builder
	for i, k := range kernels {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprint(&b, k)
	}
	return "B(" + b.String() + ")"
}
