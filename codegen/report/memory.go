package report

import (
	"fmt"
	"html/template"

	"wrnc/compiler/plan"
)

// Sizes of the chart of memory, in pixels.
const (
	chartWidth  = 560
	chartHeight = 190
	chartLeft   = 58
	chartRight  = 8
	chartTop    = 16
	chartBottom = 20
)

// memoryView is the arena over the launches: a bar for each buffer, as long as
// it lives and as high as it is large.
type memoryView struct {
	W, H                     int
	Left, Right, Top, Bottom int // of the plot
	Bars                     []barView
	Rows                     []tickView // sizes
	Columns                  []tickView // launches
	Live                     string     // bytes that live in each launch, as a line
	Peak                     string
	PeakX, PeakY, PeakWidth  string
	PeakTextX                string
	PeakAnchor               string
	Turn                     string // x of the first launch of the backward pass, or ""
	Summary                  string
}

// Plot is the height of the plot.
func (m *memoryView) Plot() int { return m.Bottom - m.Top }

type barView struct {
	Buffer     int
	X, Y, W, H string
	Class      string
	Title      string
	Link       template.URL
}

type tickView struct{ At, Text string }

// memory draws the arena, or returns nil where there is none.
func (b *builder) memory() *memoryView {
	p := b.g.p
	n := len(p.Launches)
	if p.Arena == 0 || n == 0 {
		return nil
	}
	m := &memoryView{W: chartWidth, H: chartHeight, Left: chartLeft, Right: chartWidth - chartRight, Top: chartTop, Bottom: chartHeight - chartBottom}
	column := float64(m.Right-m.Left) / float64(n)
	x := func(launch int) float64 { return float64(m.Left) + column*float64(launch) }
	high := func(bytes int) float64 { return float64(m.Bottom-m.Top) * float64(bytes) / float64(p.Arena) }
	live := make([]int, n)
	for i, buf := range p.Buffers {
		if buf.Space != plan.Arena {
			continue
		}
		last := min(buf.Last, n-1)
		for l := buf.First; l <= last; l++ {
			live[l] += buf.Bytes
		}
		bar := barView{
			Buffer: i, Class: "scratch",
			X: px(x(buf.First)), W: px(max(1, x(last+1)-x(buf.First)-0.5)),
			Y: px(float64(m.Bottom) - high(buf.Offset+buf.Bytes)), H: px(max(0.6, high(buf.Bytes)-0.4)),
			Title: fmt.Sprintf("%s: %s, %s, %s", buf.Name, shape(buf.Type), bytesText(buf.Bytes), lifeText(p, buf)),
		}
		if w := b.g.writers[i]; w != nil {
			bar.Link = b.links[w]
			if isResult(w, buf.Name) {
				bar.Class = map[lane]string{prepareLane: "prepare", forwardLane: "forward", backwardLane: "backward", gradientLane: "gradient", updateLane: "gradient"}[w.lane]
			}
		}
		m.Bars = append(m.Bars, bar)
	}
	m.axes(b, n, x, high)
	peak := 0
	for l, bytes := range live {
		if bytes > live[peak] {
			peak = l
		}
		if l == 0 {
			m.Live = "M"
		} else {
			m.Live += "L"
		}
		y := px(float64(m.Bottom) - high(bytes))
		m.Live += px(x(l)) + " " + y + "L" + px(x(l+1)) + " " + y
	}
	m.PeakX, m.PeakWidth, m.PeakY = px(x(peak)), px(column), px(float64(m.Bottom)-high(live[peak]))
	m.Peak = fmt.Sprintf("peak: %s live in launch %d", bytesText(live[peak]), peak)
	m.PeakTextX, m.PeakAnchor = px(x(peak)+column/2), "middle"
	switch at := x(peak) - float64(m.Left); {
	case at < 100:
		m.PeakTextX, m.PeakAnchor = px(x(peak)), "start"
	case at > float64(m.Right-m.Left)-100:
		m.PeakTextX, m.PeakAnchor = px(x(peak+1)), "end"
	}
	m.Summary = fmt.Sprintf("The arena has %s and holds %s over %s; at most %s live at once, in launch %d.",
		bytesText(p.Arena), plural(len(m.Bars), "buffer"), launchCount(n), bytesText(live[peak]), peak)
	return m
}

// isResult tells whether a buffer holds a result of the box's fusion, and not
// what its kernels need among themselves.
func isResult(n *node, buffer string) bool {
	if n.fusion == nil {
		return false
	}
	for i := range n.fusion.Results {
		if buffer == fmt.Sprintf("%s.%d", n.name, i) {
			return true
		}
	}
	return false
}

// axes makes the ticks, and marks where the backward pass begins.
func (m *memoryView) axes(b *builder, n int, x func(int) float64, high func(int) float64) {
	step := 1 << 10
	for high(step) < 30 {
		step *= 2
	}
	for at := 0; at <= b.g.p.Arena; at += step {
		m.Rows = append(m.Rows, tickView{px(float64(m.Bottom) - high(at)), sizeTick(at)})
	}
	every := 1
	for _, e := range []int{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000} {
		if every = e; x(e)-x(0) >= 30 {
			break
		}
	}
	for l := 0; l < n; l += every {
		m.Columns = append(m.Columns, tickView{px((x(l) + x(l+1)) / 2), fmt.Sprint(l)})
	}
	for _, box := range b.g.nodes {
		if box.lane == backwardLane || box.lane == gradientLane {
			m.Turn = px(x(box.first))
			break
		}
	}
}

// sizeTick prints a size that is a power of two or a multiple of one.
func sizeTick(n int) string {
	for _, u := range []struct {
		bytes int
		name  string
	}{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		switch {
		case n >= u.bytes && n%u.bytes == 0:
			return fmt.Sprintf("%d %s", n/u.bytes, u.name)
		case n >= u.bytes:
			return fmt.Sprintf("%.1f %s", float64(n)/float64(u.bytes), u.name)
		}
	}
	return "0"
}

// px prints a coordinate.
func px(x float64) string { return fmt.Sprintf("%.1f", x) }
