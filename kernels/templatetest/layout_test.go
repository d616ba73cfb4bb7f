package templatetest

// The sizes that the generator must know of a kernel, as the templates compute them.

func ceilDiv(a, b int) int { return (a + b - 1) / b }
func up16(n int) int       { return ceilDiv(n, 16) * 16 }

// unitGroup is kUnitGroup, splitGroup kSplitGroup.
const (
	unitGroup  = 32
	splitGroup = 8
)

type box struct{ samples, rows, pixels int }

func (b box) volume() int { return b.samples * b.rows * b.pixels }

// shape is a ConvShape.
type shape struct {
	h, w, c, p, q, k, r, pad, stride int
	dgrad                            bool
}

func newShape(h, w, c, k, r, pad, stride int, dgrad bool) shape {
	return shape{h, w, c, (h+2*pad-r)/stride + 1, (w+2*pad-r)/stride + 1, k, r, pad, stride, dgrad}
}

func (s shape) in() int {
	if s.dgrad {
		return s.k
	}
	return s.c
}

func (s shape) out() int {
	if s.dgrad {
		return s.c
	}
	return s.k
}

func (s shape) phase() int {
	if s.dgrad {
		return s.stride
	}
	return 1
}

// units counts a result's units.
func units(rows, cols, phase, n int, b box) int {
	return ceilDiv(n, b.samples) * ceilDiv(ceilDiv(rows, phase), b.rows) * ceilDiv(ceilDiv(cols, phase), b.pixels) * phase * phase
}

// window counts the positions of an input tile.
func (s shape) window(b box) int {
	advance, span := 1, s.r
	switch {
	case s.dgrad:
		first := (s.pad - s.r + 1) / s.stride // rounds to 0, as in C++
		span = (s.stride-1+s.pad)/s.stride - first + 1
	case s.r > 1:
		advance = s.stride
	}
	rows, cols := (b.rows-1)*advance+span, (b.pixels-1)*advance+span
	return b.samples * rows * ceilDiv(cols, advance) * advance
}

// tile is a ConvTile or a WgradTile.
type tile struct {
	math           string // Bf16, Tf32, Ffma
	m, n, k        int
	warpsM, warpsN int
	stages         int // conv
	warpsT         int // wgrad
}

func (t tile) dtype() dtype {
	return map[string]dtype{"Bf16": half, "Tf32": tf32, "Ffma": float}[t.math]
}
func (t tile) size() int { return t.dtype().size() }
func (t tile) step() int { return map[string]int{"Bf16": 16, "Tf32": 8, "Ffma": 4}[t.math] }

func (t tile) odd(elements int) int {
	if elements*t.size()/16%2 == 0 {
		return elements + 16/t.size()
	}
	return elements
}

func (t tile) columnsRow(elements int) int {
	switch {
	case t.math == "Bf16":
		return t.odd(elements)
	case elements%16 == 0:
		return elements + 8
	}
	return elements
}

// resultColumns is the number of columns of the result tile.
func (t tile) resultColumns() int {
	ni := t.n / t.warpsN / 8
	limit := min(8192/t.m, 64) / (8 * t.warpsN)
	for blocks := 8; blocks > 1; blocks /= 2 {
		if ni%blocks == 0 && limit >= blocks {
			return blocks * 8 * t.warpsN
		}
	}
	return 8 * t.warpsN
}

// scratch is the floats that Reduces need.
func scratch(columns, v, threads int) int {
	vectors := columns / v
	slots := threads / 32
	if vectors >= 32 {
		slots = threads / vectors
	}
	return max(slots*(2*columns+vectors), 3*threads)
}

func (t tile) convThreads() int  { return 32 * t.warpsM * t.warpsN }
func (t tile) wgradThreads() int { return t.convThreads() * t.warpsT }

func (t tile) convShared(s shape, b box, v int, reduces bool) int {
	input := s.window(b) * t.odd(t.k)
	if s.in() > t.k {
		input *= 2
	}
	weights := s.r * t.n * t.odd(t.k)
	if s.dgrad {
		weights = s.r * t.k * t.columnsRow(t.n)
	}
	result := up16(t.m * (t.resultColumns() + 8) * 4)
	if reduces {
		result += up16(4 * scratch(t.resultColumns(), v, t.convThreads()))
	}
	return max(up16(4*s.window(b))+up16(input*t.size())+up16(t.stages*weights*t.size()), result)
}

func (t tile) wgradShared(s shape, b box) int {
	volume := ceilDiv(b.volume(), t.step()) * t.step()
	tables := up16(2*volume*4) + up16(2*s.window(b)*4)
	gradient, picture := volume*t.columnsRow(t.m), s.window(b)*t.columnsRow(t.n)
	return max(up16(2*gradient*t.size())+up16(2*picture*t.size())+tables, up16(t.m*(t.resultColumns()+8)*4))
}
