package lower

import "wrnc/compiler/plan"

// prepare moves the kernels that depend on states alone to the front, such as those
// that fold and pack weights, and returns their number. A function that assigns a
// state has none: they would have to run again in every call.
func prepare(p *plan.Plan) int {
	var early, rest []*plan.Kernel
	ready := map[int]bool{} // buffers that early kernels have written
	for i, b := range p.Buffers {
		ready[i] = b.Space == plan.State
	}
	for _, k := range p.Kernels {
		constant := true
		for _, a := range k.Args {
			space := p.Buffers[a.Buffer].Space
			if space == plan.State && a.Mode != plan.Read {
				return 0
			}
			constant = constant && (a.Mode == plan.Read && ready[a.Buffer] || a.Mode == plan.Write && space == plan.Arena)
		}
		if !constant {
			rest = append(rest, k)
			continue
		}
		early = append(early, k)
		for _, a := range k.Args {
			ready[a.Buffer] = true
		}
	}
	p.Kernels = append(early, rest...)
	return len(early)
}
