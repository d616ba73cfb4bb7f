package plan

import (
	"slices"
	"sort"
)

// spans maps every byte of a space to a value: sorted, without gaps, from 0 to
// maxSize. The zero value of T says that nothing is known of a byte.
type spans[T any] []span[T]

type span[T any] struct {
	lo, hi int
	val    T
}

// in returns the spans that make up [lo, hi), after cutting those that stick out.
func (s *spans[T]) in(lo, hi int) []span[T] {
	if len(*s) == 0 {
		*s = spans[T]{{lo: 0, hi: maxSize}}
	}
	if lo >= hi {
		return nil
	}
	i := s.cut(lo)
	j := s.cut(hi) // may move the spans
	return (*s)[i:j]
}

// cut makes a span begin at the byte and returns its index.
func (s *spans[T]) cut(at int) int {
	i := sort.Search(len(*s), func(i int) bool { return (*s)[i].hi > at })
	if i == len(*s) || (*s)[i].lo == at {
		return i
	}
	right := (*s)[i]
	right.lo = at
	(*s)[i].hi = at
	*s = slices.Insert(*s, i+1, right)
	return i + 1
}

// set gives all of [lo, hi) one value.
func (s *spans[T]) set(lo, hi int, val T) {
	if n := len(s.in(lo, hi)); n > 0 {
		i := s.cut(lo)
		*s = slices.Replace(*s, i, i+n, span[T]{lo, hi, val})
	}
}

// home is the address space that a buffer's bytes are counted in; each input
// has one to itself.
type home struct {
	space Space
	input int
}

func (p *Plan) home(buffer int) home {
	b := p.Buffers[buffer]
	if b.Space == Input {
		return home{Input, buffer}
	}
	return home{space: b.Space}
}

// extent is the range of bytes of a buffer in its home.
func (p *Plan) extent(buffer int) (lo, hi int) {
	b := p.Buffers[buffer]
	if b.Space == Input {
		return 0, b.Bytes
	}
	return b.Offset, b.Offset + b.Bytes
}
