package passes

import "wrnc/compiler/ir"

// SplitBN writes batch norm as what fusion can place: statistics, which belong
// to the op that produces x, arithmetic on channel vectors, and a Map, which
// belongs to the ops that read y (Ioffe and Szegedy, algorithm 1).
//
//	%y, %run = batch_norm %x, @gamma, @beta, @run {eps, momentum}
//	%dx, %dgamma, %dbeta = batch_norm_grad %g, %x, @gamma {eps}
//	%z = batch_norm_eval %x, @gamma, @beta, @run {eps}
//
// becomes, with m elements a channel in x,
//
//	%s = bn_stats %x
//	%t = bn_fold %s, @gamma, @beta {eps, count=m}
//	%y = affine %x, %t
//	%run = bn_running @run, %s {momentum, count=m}
//
//	%q = bn_grad_stats %g, %x, %s
//	%c, %dgamma, %dbeta = bn_grad_fold %q, %s, @gamma {eps, count=m}
//	%dx = affine2 %g, %x, %c
//
//	%u = bn_fold @run, @gamma, @beta {eps, count=1}
//	%z = affine %x, %u
//
// The running state has the variance where statistics have the sum of squared
// deviations; a count of 1 makes them one.
//
// Needs:    autodiff is done.
// Promises: no batch norm op is left; each x has one bn_stats.
func SplitBN(f *ir.Func, _ Options) error {
	s := &bnSplitter{
		b:     ir.NewBuilder(f),
		stats: map[*ir.Value]*ir.Value{},
		with:  map[*ir.Value]*ir.Value{},
	}
	nodes := f.Nodes
	f.Nodes = nil // the builder appends to it
	for _, n := range nodes {
		s.b.At(n.Layer, n.Pos)
		switch n.Op {
		case ir.BatchNorm:
			s.train(n)
		case ir.BatchNormEval:
			s.eval(n)
		case ir.BatchNormGrad:
			s.grad(n)
		case ir.BNStats:
			s.stats[n.Args[0]] = n.Result()
			f.Nodes = append(f.Nodes, n)
		default:
			f.Nodes = append(f.Nodes, n)
		}
	}
	f.Replace(s.with)
	return nil
}

type bnSplitter struct {
	b     *ir.Builder
	stats map[*ir.Value]*ir.Value // x -> its bn_stats
	with  map[*ir.Value]*ir.Value // what replaces the results of what was split
}

func elemsPerChannel(t ir.Type) int { return t.Elems() / t.Channels() }

func (s *bnSplitter) statsOf(x *ir.Value) *ir.Value {
	if s.stats[x] == nil {
		s.stats[x] = s.b.Op1(ir.BNStats, ir.Attrs{}, x)
	}
	return s.stats[x]
}

func (s *bnSplitter) train(n *ir.Node) {
	x, gamma, beta, run := n.Args[0], n.Args[1], n.Args[2], n.Args[3]
	count := elemsPerChannel(x.Type)
	stats := s.statsOf(x)
	t := s.b.Op1(ir.BNFold, ir.Attrs{Eps: n.Attrs.Eps, Count: count}, stats, gamma, beta)
	s.with[n.Results[0]] = s.b.Op1(ir.Affine, ir.Attrs{}, x, t)
	s.with[n.Results[1]] = s.b.Op1(ir.BNRunning, ir.Attrs{Momentum: n.Attrs.Momentum, Count: count}, run, stats)
}

func (s *bnSplitter) eval(n *ir.Node) {
	x, gamma, beta, run := n.Args[0], n.Args[1], n.Args[2], n.Args[3]
	t := s.b.Op1(ir.BNFold, ir.Attrs{Eps: n.Attrs.Eps, Count: 1}, run, gamma, beta)
	s.with[n.Result()] = s.b.Op1(ir.Affine, ir.Attrs{}, x, t)
}

func (s *bnSplitter) grad(n *ir.Node) {
	g, x, gamma := n.Args[0], n.Args[1], n.Args[2]
	stats := s.statsOf(x)
	q := s.b.Op1(ir.BNGradStats, ir.Attrs{}, g, x, stats)
	c := s.b.Op(ir.BNGradFold, ir.Attrs{Eps: n.Attrs.Eps, Count: elemsPerChannel(x.Type)}, q, stats, gamma)
	s.with[n.Results[0]] = s.b.Op1(ir.Affine2, ir.Attrs{}, g, x, c[0])
	s.with[n.Results[1]], s.with[n.Results[2]] = c[1], c[2]
}
