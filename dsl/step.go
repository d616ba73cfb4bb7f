package dsl

import "fmt"

// The bounds of a network whose blocks are written out. They keep the time that it
// takes to compile within a minute or so: fusion looks at every run of elementwise
// layers once for each of them.
const (
	maxConvs    = maxDepthName // convolutions and linear layers
	maxNorms    = 2 * maxConvs // batch norms
	maxUnrolled = 1 << 13      // steps
	maxRun      = 32           // elementwise steps in a row
)

// add adds a step and returns its index, or what it reads where it does not fit.
func (u *unroller) add(l Layer, s *scope, name string, from ...int) int {
	in := u.shape(from[0])
	out, ok := u.result(&l, in)
	if !ok {
		return from[0]
	}
	run := u.run(l.Kind, from)
	switch {
	case u.convs > maxConvs:
		u.fail(&l, "the network has more than %d convolutions, its blocks written out", maxConvs)
	case u.norms > maxNorms:
		u.fail(&l, "the network has more than %d batch norms, its blocks written out", maxNorms)
	case len(u.steps) == maxUnrolled:
		u.fail(&l, "the network has more than %d layers, its blocks written out", maxUnrolled)
	case run > maxRun:
		u.fail(&l, "%d layers in a row without a convolution or a pool are too many", run).Suggestion = fmt.Sprintf("at most %d", maxRun)
	}
	if u.err != nil {
		return from[0]
	}
	u.runs = append(u.runs, run)
	unique := name
	for i := 2; u.taken[unique]; i++ {
		unique = fmt.Sprintf("%s_%d", name, i)
	}
	u.taken[unique] = true
	u.steps = append(u.steps, Step{Layer: l, Name: unique, From: from, Unit: s.unit, In: in, Out: out})
	return len(u.steps) - 1
}

// run counts the elementwise steps in a row that a step ends: along the shorter way,
// since a sum with a convolution's result begins anew.
func (u *unroller) run(kind LayerKind, from []int) int {
	switch kind {
	case KindConv, KindLinear:
		u.convs++
		return 0
	case KindMaxPool, KindAvgPool, KindPadding:
		return 0
	case KindBatchNorm:
		u.norms++
	}
	shortest := maxUnrolled
	for _, at := range from {
		before := 0
		if at != Images {
			before = u.runs[at]
		}
		shortest = min(shortest, before)
	}
	return shortest + 1
}

// result returns the shape of a layer's result, or false, noted.
func (u *unroller) result(l *Layer, in [3]int) ([3]int, bool) {
	h, w, c := in[0], in[1], in[2]
	switch l.Kind {
	case KindConv, KindMaxPool:
		if h+2*l.Pad < l.Kernel || w+2*l.Pad < l.Kernel {
			d := u.fail(l, "%s %dx%d with pad %d is larger than its picture, which is %dx%d here", l.Kind, l.Kernel, l.Kernel, l.Pad, h, w)
			d.Suggestion = fmt.Sprintf("take pad %d or more, or stride less before it", (l.Kernel-min(h, w)+1)/2)
			return in, false
		}
		if l.Kind == KindConv {
			c = l.Channels
		}
		return [3]int{convOut(h, l), convOut(w, l), c}, true
	case KindPadding:
		return [3]int{(h-1)/l.Stride + 1, (w-1)/l.Stride + 1, l.Channels}, true
	case KindAvgPool:
		return [3]int{1, 1, c}, true
	case KindLinear:
		if h != w || h > maxKernel {
			u.fail(l, "linear reads %s here, which is no square of at most %dx%d", shapeText(in), maxKernel, maxKernel).Suggestion =
				"write avgpool global before it"
			return in, false
		}
		l.Kernel = h
		return [3]int{1, 1, l.Channels}, true
	}
	return in, true
}

func convOut(n int, l *Layer) int { return (n+2*l.Pad-l.Kernel)/l.Stride + 1 }

// end checks that the last layer yields logits.
func (u *unroller) end(layers []Layer, last int) {
	if want := [3]int{1, 1, u.net.Classes}; u.shape(last) != want {
		u.fail(&layers[len(layers)-1], "the last layer yields %s; a network for %d classes ends in %s", shapeText(u.shape(last)), u.net.Classes, shapeText(want)).Suggestion =
			"end with avgpool global; linear classes"
	}
}

func shapeText(s [3]int) string { return fmt.Sprintf("%dx%dx%d", s[0], s[1], s[2]) }
