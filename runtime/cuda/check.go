package cuda

import (
	"fmt"

	"wrnc/compiler/ir"
	"wrnc/compiler/plan"
)

// check refuses plans that do not belong together or that no GPU runs. Of what
// [plan.Plan.Verify] holds it checks again what keeps accesses inside the memory.
func (p *Program) check(plans []*plan.Plan, sources [][]plan.Source) error {
	if len(plans) == 0 {
		return fmt.Errorf("%s: no plans", p.module.Name)
	}
	if len(sources) != len(plans) {
		return fmt.Errorf("%s: texts of %d plans, there are %d", p.module.Name, len(sources), len(plans))
	}
	p.states = statesOf(plans[0])
	seen := map[string]bool{}
	for i, pl := range plans {
		switch {
		case !pl.Arch.OnGPU():
			return fmt.Errorf("the plan of %s is for the %s target with %s, which is no GPU", pl.Func, pl.Arch.Target, pl.Arch.ISA)
		case pl.Arch != plans[0].Arch:
			return fmt.Errorf("the plan of %s is for %s, that of %s for %s", pl.Func, pl.Arch.ISA, plans[0].Func, plans[0].Arch.ISA)
		case seen[pl.Func]:
			return fmt.Errorf("two plans of %s", pl.Func)
		case len(sources[i]) != len(pl.Kernels):
			return fmt.Errorf("the plan of %s has %d kernels, and there are %d texts", pl.Func, len(pl.Kernels), len(sources[i]))
		}
		seen[pl.Func] = true
		if err := p.checkBuffers(pl); err != nil {
			return fmt.Errorf("%s: %w", pl.Func, err)
		}
		if err := checkKernels(pl); err != nil {
			return fmt.Errorf("%s: %w", pl.Func, err)
		}
	}
	for _, s := range p.module.States {
		if b, ok := p.states[s.Name]; !ok || !b.Type.Equal(s.Type) {
			return fmt.Errorf("state @%s (%v) has no place in the plan of %s", s.Name, s.Type, plans[0].Func)
		}
	}
	return nil
}

func statesOf(pl *plan.Plan) map[string]plan.Buffer {
	states := map[string]plan.Buffer{}
	for _, b := range pl.Buffers {
		if b.Space == plan.State {
			states[b.Name] = b
		}
	}
	return states
}

// checkBuffers also requires that all plans keep states at the same place.
func (p *Program) checkBuffers(pl *plan.Plan) error {
	states := 0
	for _, b := range pl.Buffers {
		size := 0
		switch b.Space {
		case plan.State:
			states++
			if first := p.states[b.Name]; first.Offset != b.Offset || first.Bytes != b.Bytes || !first.Type.Equal(b.Type) {
				return fmt.Errorf("state @%s lies elsewhere than in another function", b.Name)
			}
			if b.Type.DType != ir.F32 {
				return fmt.Errorf("state @%s is %v, expected f32", b.Name, b.Type)
			}
			size = pl.State
		case plan.Arena:
			size = pl.Arena
		case plan.Counter:
			size = pl.Counters
		case plan.Input:
			if !input(&b) {
				return fmt.Errorf("parameter %s: the %s target takes f32, s32 and u64, and u8 that is the same for every batch; found %v", b.Name, pl.Arch.Target, b.Type)
			}
			continue
		}
		if b.Offset < 0 || b.Offset%plan.Align != 0 || b.Bytes < b.Type.Bytes() || b.Bytes > size-b.Offset {
			return fmt.Errorf("buffer %s: %d bytes at %d do not fit the %v space of %d bytes", b.Name, b.Bytes, b.Offset, b.Space, size)
		}
	}
	if states != len(p.states) {
		return fmt.Errorf("%d states, another function has %d", states, len(p.states))
	}
	for _, i := range pl.Returns {
		if b := pl.Buffers[i]; b.Type.DType != ir.F32 && b.Type.DType != ir.BF16 && b.Type.DType != ir.TF32 {
			return fmt.Errorf("result %s is %v, expected floats", b.Name, b.Type)
		}
	}
	return nil
}

// checkKernels requires every kernel to run once, in blocks that exist.
func checkKernels(pl *plan.Plan) error {
	runs := make([]int, len(pl.Kernels))
	for t, l := range pl.Launches {
		for _, k := range l.Kernels {
			if k < 0 || k >= len(runs) {
				return fmt.Errorf("launch %d: there is no kernel k%d", t, k)
			}
			runs[k]++
		}
	}
	for i, k := range pl.Kernels {
		if runs[i] != 1 {
			return fmt.Errorf("kernel %s runs in %d launches", k.Name, runs[i])
		}
		if k.Block.Threads < 1 {
			return fmt.Errorf("kernel %s has blocks of %d threads", k.Name, k.Block.Threads)
		}
		if err := checkTile(k); err != nil {
			return fmt.Errorf("kernel %s: %w", k.Name, err)
		}
	}
	return nil
}

// checkTile requires what the number of blocks is counted by.
func checkTile(k *plan.Kernel) error {
	switch {
	case k.Kind == plan.Finish && (len(k.Channel) == 0 || len(k.Channel[0].Src) == 0):
		return fmt.Errorf("it runs no channel op")
	case k.Tabled() || k.Kind == plan.Xent || k.Kind == plan.XentGrad || k.Kind == plan.Augment:
		return nil
	case k.Block.N < 1 || k.Kind == plan.WgradSum && k.Block.M < 1:
		return fmt.Errorf("a tile of %d by %d", k.Block.M, k.Block.N)
	}
	return nil
}

// loadTexts loads every distinct text once.
func (p *Program) loadTexts(plans []*plan.Plan, sources [][]plan.Source) (map[plan.Source]Function, error) {
	texts := Texts{Headers: p.opts.Headers}
	index := map[plan.Source]int{}
	for i, pl := range plans {
		for j, k := range pl.Kernels {
			s := sources[i][j]
			t := Text{Source: s, Threads: k.Block.Threads, Shared: k.Block.Shared}
			at, known := index[s]
			if !known {
				index[s] = len(texts.Kernels)
				texts.Kernels = append(texts.Kernels, t)
			} else if texts.Kernels[at] != t {
				return nil, fmt.Errorf("%s: kernel %s has blocks of %d threads and %d bytes, %s has %d and %d elsewhere",
					pl.Func, k.Name, t.Threads, t.Shared, s.Entry, texts.Kernels[at].Threads, texts.Kernels[at].Shared)
			}
		}
	}
	var err error
	if p.code, err = p.d.Load(texts); err != nil {
		p.code = nil
		return nil, fmt.Errorf("%s: loading %d kernels: %w", p.module.Name, len(texts.Kernels), err)
	}
	if len(p.code) != len(texts.Kernels) {
		return nil, fmt.Errorf("%s: the driver has loaded %d kernels of %d", p.module.Name, len(p.code), len(texts.Kernels))
	}
	codes := map[plan.Source]Function{}
	for s, at := range index {
		codes[s] = p.code[at]
	}
	return codes, nil
}
