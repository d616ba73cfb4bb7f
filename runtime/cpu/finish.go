package cpu

import (
	"fmt"
	"math"

	"wrnc/compiler/ir"
	"wrnc/compiler/plan"
)

// finishKernel merges the partials of Reduces in unit order, then runs the
// Channel ops, in float64 with one rounding a result. It is one unit.
type finishKernel struct {
	*bound
	a, b []float64 // one row of a merged result each
}

func newFinish(b *bound) (*finishKernel, error) {
	k := &finishKernel{bound: b}
	for _, r := range b.Reduces {
		c := b.f.plan.Buffers[b.args[r.Out]].Type.Channels()
		if len(k.a) < c {
			k.a, k.b = make([]float64, c), make([]float64, c)
		}
	}
	for _, op := range b.Channel {
		if channelFuncs[op.Op] == nil {
			return nil, fmt.Errorf("no channel function for %s", op.Op)
		}
	}
	return k, nil
}

func (k *finishKernel) run(_ int, _ *worker) {
	for _, r := range k.Reduces {
		if r.Op == ir.BNStats {
			k.mergeStats(r)
		} else {
			k.mergeSums(r)
		}
	}
	for i := range k.Channel {
		op := &k.Channel[i]
		count := float64(op.Attrs.Count)
		if op.Attrs.Count > 1 {
			count = count * float64(k.f.n) / float64(k.f.plan.Batch)
		}
		channelFuncs[op.Op](k, op, count)
	}
}

// mergeStats joins (mean, M2) of all units by Chan, Golub and LeVeque's
// formula (Algorithms for computing the sample variance, 1983):
// with d = mean_b - mean_a and n = n_a + n_b,
// mean = mean_a + d n_b/n and M2 = M2_a + M2_b + d^2 n_a n_b/n.
func (k *finishKernel) mergeStats(r plan.Reduce) {
	out, parts := k.arg(r.Out), k.arg(r.Partial)
	c := len(out) / 2
	mean, m2 := k.a[:c], k.b[:c]
	clear(mean)
	clear(m2)
	na := 0.0
	for u := range r.Grid.Units(k.f.n) {
		p := parts[u*2*c : (u+1)*2*c]
		nb := float64(r.Grid.Pixels(u))
		n := na + nb
		toMean, toM2 := nb/n, na*nb/n
		for i := range c {
			d := float64(p[i]) - mean[i]
			mean[i] += float64(d * toMean)
			m2[i] += float64(p[c+i]) + float64(float64(d*d)*toM2)
		}
		na = n
	}
	for i := range c {
		out[i], out[c+i] = float32(mean[i]), float32(m2[i])
	}
}

// mergeSums adds the partial sums of all units.
func (k *finishKernel) mergeSums(r plan.Reduce) {
	out, parts := k.arg(r.Out), k.arg(r.Partial)
	c := len(out)
	if r.Op == ir.BNGradStats {
		c /= 2
	}
	rows := len(out) / c
	for row := range rows {
		sum := k.a[:c]
		clear(sum)
		for u := range r.Grid.Units(k.f.n) {
			for i, v := range parts[(u*rows+row)*c:][:c] {
				sum[i] += float64(v)
			}
		}
		for i, v := range sum {
			out[row*c+i] = float32(v)
		}
	}
}

// channelFuncs are the Channel ops of the IR's op table.
var channelFuncs = map[ir.Op]func(k *finishKernel, op *plan.ChannelOp, count float64){
	ir.BNFold:     bnFold,
	ir.BNRunning:  bnRunning,
	ir.FoldFilter: foldFilter,
	ir.BNGradFold: bnGradFold,
}

func bnFold(k *finishKernel, op *plan.ChannelOp, count float64) {
	s, gamma, beta, t := k.arg(op.Src[0]), k.arg(op.Src[1]), k.arg(op.Src[2]), k.arg(op.Dst[0])
	c := len(gamma)
	for i := range c {
		scale := float64(gamma[i]) / math.Sqrt(float64(s[c+i])/count+op.Attrs.Eps)
		shift := float64(beta[i]) - float64(float64(s[i])*scale)
		t[i], t[c+i] = float32(scale), float32(shift)
	}
}

func foldFilter(k *finishKernel, op *plan.ChannelOp, _ float64) {
	w, t, out, shift := k.arg(op.Src[0]), k.arg(op.Src[1]), k.arg(op.Dst[0]), k.arg(op.Dst[1])
	n := len(shift)
	each := len(w) / n
	for i, scale := range t[:n] {
		for j, v := range w[i*each : (i+1)*each] {
			out[i*each+j] = scale * v
		}
	}
	copy(shift, t[n:])
}

func bnRunning(k *finishKernel, op *plan.ChannelOp, count float64) {
	run, s, out := k.arg(op.Src[0]), k.arg(op.Src[1]), k.arg(op.Dst[0])
	c, m := len(run)/2, op.Attrs.Momentum
	for i := range run {
		v := float64(s[i])
		if i >= c {
			v /= count - 1
		}
		out[i] = float32(float64((1-m)*float64(run[i])) + float64(m*v))
	}
}

func bnGradFold(k *finishKernel, op *plan.ChannelOp, m float64) {
	q, s, gamma := k.arg(op.Src[0]), k.arg(op.Src[1]), k.arg(op.Src[2])
	t, dgamma, dbeta := k.arg(op.Dst[0]), k.arg(op.Dst[1]), k.arg(op.Dst[2])
	c := len(gamma)
	for i := range c {
		r := 1 / math.Sqrt(float64(s[c+i])/m+op.Attrs.Eps)
		q0, q1, g := float64(q[i]), float64(q[c+i]), float64(gamma[i])
		c1 := -g * r * r * r * q1 / m
		c2 := float64(-g*r*q0/m) - float64(c1*float64(s[i]))
		t[i], t[c+i], t[2*c+i] = float32(g*r), float32(c1), float32(c2)
		dgamma[i], dbeta[i] = float32(r*q1), q[i]
	}
}
