package plan

import (
	"fmt"
)

// Rate is the multiply-adds a clock of a multiprocessor, for ffma, tf32 or bf16.
func (g GPU) Rate(math string) int {
	switch math {
	case "bf16":
		return g.BF16
	case "tf32":
		return g.TF32
	}
	return g.FFMA
}

// FLOPs is the nominal peak of the multiply for ffma, tf32 or bf16: floating-point
// operations a second, two for each multiply-add.
func (g GPU) FLOPs(math string) float64 {
	return 2 * float64(g.SMs) * float64(g.Rate(math)) * float64(g.MHz) * 1e6
}

// Bandwidth is the nominal peak of memory, in bytes a second.
func (g GPU) Bandwidth() float64 { return float64(g.GBs) * 1e9 }

// Cost is what a kernel has to do for a full batch, at least.
type Cost struct {
	FLOPs float64 // two for each multiply-add of its root; elementwise work is not counted
	Bytes float64 // of its arguments, each read or written once
}

// Cost counts a kernel's work. A buffer that it reads and writes counts twice.
func (p *Plan) Cost(k *Kernel) Cost {
	var c Cost
	for i, a := range k.Args {
		b := p.Buffers[a.Buffer]
		if b.Space == Counter {
			continue
		}
		n := float64(b.Type.Bytes())
		if k.Kind == Augment && i == 0 { // of the data set, the batch
			n *= float64(k.Grid.Samples) / float64(b.Type.Dims[0])
		}
		if a.Mode == Update {
			n *= 2
		}
		c.Bytes += n
	}
	g := k.Conv
	switch k.Kind {
	case Conv, Wgrad, WgradSum:
		samples := k.Grid.Samples
		if k.Kind == WgradSum {
			samples = k.Pixels.Samples
		}
		c.FLOPs = 2 * float64(samples) * float64(g.taps()) * float64(g.C) * float64(g.K)
	case Pool:
		c.FLOPs = float64(k.Grid.Samples * g.H * g.W * g.C)
	}
	return c
}

// taps counts the pairs of a result and a tap of it inside the picture.
func (g ConvShape) taps() int {
	along := func(results, picture int) int {
		n := 0
		for p := range results {
			for r := range g.R {
				if at := p*g.Stride + r - g.Pad; at >= 0 && at < picture {
					n++
				}
			}
		}
		return n
	}
	return along(g.P, g.H) * along(g.Q, g.W)
}

// Seconds is the least time of a kernel on a GPU by its nominal figures, and what
// bounds it: its multiply-adds or its bytes.
func (g GPU) Seconds(c Cost, math string) (seconds float64, bound string) {
	multiply, memory := c.FLOPs/g.FLOPs(math), c.Bytes/g.Bandwidth()
	if multiply > memory {
		return multiply, "the multiply"
	}
	return memory, "memory"
}

// Model says in a line what the kernel costs on the plan's GPU.
func (p *Plan) Model(k *Kernel) string {
	c := p.Cost(k)
	seconds, bound := p.Arch.GPU.Seconds(c, k.Block.Math)
	return fmt.Sprintf("%.3g GFLOP, %.3g MB, at least %.3g us on %s, bound by %s", c.FLOPs/1e9, c.Bytes/1e6, seconds*1e6, p.Arch.ISA, bound)
}
