package metrics

import (
	"fmt"
	"io"
	"math"
	"strings"
	"time"
	"unicode/utf8"
)

// ProgressOptions says where and how progress is drawn.
type ProgressOptions struct {
	Out       io.Writer
	Terminal  bool             // Out is a terminal: redraw one line; else print plain lines
	NoColor   bool             // the user set NO_COLOR: no escape sequences
	Width     int              // columns of the terminal; 0 means 80
	Now       func() time.Time // the clock; it must not go back
	RunImages int64            // images of all stretches together, for the time left of the run; 0 leaves it out
}

// The least time between two drawings.
const (
	terminalInterval = 100 * time.Millisecond
	plainInterval    = 5 * time.Second
)

// Progress shows how far a run has come, one stretch (an epoch, an evaluation)
// after another. On a terminal it redraws one line,
//
//	epoch 3/200 [=======>            ]  37%  1240 img/s  loss 0.812  ETA 25s  run 1h22m
//
// which the stretch's summary replaces; elsewhere it prints, every five seconds
// at most, the same line without its bar, and each summary. It is for one goroutine.
type Progress struct {
	opts ProgressOptions
	err  error // the first failure to write; nothing is drawn after it

	label        string
	done, total  int64 // images of the stretch
	begun        time.Time
	drawn        time.Time // when the line was last drawn or the stretch begun
	columns      int       // columns of the line that stands on the terminal
	runDone      int64     // images of all stretches so far
	runBegun     time.Time
	runHasBegun  bool
	betweenDraws time.Duration
}

// NewProgress returns a progress display that has drawn nothing.
func NewProgress(opts ProgressOptions) *Progress {
	if opts.Width <= 0 {
		opts.Width = 80
	}
	p := &Progress{opts: opts, betweenDraws: plainInterval}
	if opts.Terminal {
		p.betweenDraws = terminalInterval
	}
	return p
}

// Begin starts a stretch of so many images under a label such as "epoch 3/200".
func (p *Progress) Begin(label string, images int64) {
	now := p.opts.Now()
	if !p.runHasBegun {
		p.runBegun, p.runHasBegun = now, true
	}
	p.label, p.done, p.total = label, 0, images
	p.begun, p.drawn = now, now
}

// Add counts images and, if it is time, redraws the line with a note such as
// "loss 0.812" (which may be empty).
func (p *Progress) Add(images int64, note string) {
	p.done += images
	p.runDone += images
	now := p.opts.Now()
	if now.Sub(p.drawn) < p.betweenDraws {
		return
	}
	p.drawn = now
	if p.opts.Terminal {
		p.redraw(p.line(now, note))
	} else {
		p.write(p.plain(now, note) + "\n")
	}
}

// Finish ends the stretch: the line gives way to the summary. An empty summary
// only clears the line.
func (p *Progress) Finish(summary string) {
	p.clear()
	if summary != "" {
		p.write(summary + "\n")
	}
}

// Print puts a line of text above the progress line, for a note in mid-stretch.
func (p *Progress) Print(text string) {
	p.clear()
	p.write(text + "\n")
	p.drawn = p.drawn.Add(-p.betweenDraws) // the next Add brings the line back
}

// Err returns the first failure to write. Training need not stop for it.
func (p *Progress) Err() error { return p.err }

// facts are the words of a line after its bar.
func (p *Progress) facts(now time.Time, note string) []string {
	words := []string{fmt.Sprintf("%3d%%", p.percent())}
	rate := perSecond(p.done, now.Sub(p.begun))
	if rate > 0 {
		words = append(words, formatRate(rate)+" img/s")
	}
	if note != "" {
		words = append(words, note)
	}
	if rate > 0 && p.total > p.done {
		words = append(words, "ETA "+FormatDuration(timeFor(p.total-p.done, rate)))
	}
	if left := p.opts.RunImages - p.runDone; left > 0 {
		if rate := perSecond(p.runDone, now.Sub(p.runBegun)); rate > 0 {
			words = append(words, "run "+FormatDuration(timeFor(left, rate)))
		}
	}
	return words
}

// percent is rounded down, so that 100 means all.
func (p *Progress) percent() int {
	if p.total <= 0 {
		return 100
	}
	return int(100 * min(1, max(0, float64(p.done)/float64(p.total))))
}

func (p *Progress) plain(now time.Time, note string) string {
	return p.label + "  " + strings.TrimSpace(strings.Join(p.facts(now, note), "  "))
}

// line lays out a terminal line of at most Width-1 columns, since a full line
// makes some terminals wrap. The bar shrinks first and then goes; what still
// does not fit is cut.
func (p *Progress) line(now time.Time, note string) (before, bar, after string) {
	const longestBar, shortestBar = 30, 5
	before = p.label + " "
	after = " " + strings.Join(p.facts(now, note), "  ")
	room := p.opts.Width - 1 - utf8.RuneCountInString(before+after)
	if inner := min(longestBar, room-2); inner >= shortestBar {
		full := inner * p.percent() / 100
		bar = "[" + strings.Repeat("=", full)
		if full < inner {
			bar += ">" + strings.Repeat(" ", inner-full-1)
		}
		return before, bar + "]", after
	}
	text := []rune(p.label + after)
	return string(text[:min(len(text), p.opts.Width-1)]), "", ""
}

// redraw overwrites the line on the terminal. Blanks cover what was longer, so
// that no escape sequence is needed but for colour.
func (p *Progress) redraw(before, bar, after string) {
	columns := utf8.RuneCountInString(before + bar + after)
	blanks := strings.Repeat(" ", max(0, p.columns-columns))
	if bar != "" && !p.opts.NoColor {
		bar = "\x1b[36m" + bar + "\x1b[0m"
	}
	p.write("\r" + before + bar + after + blanks)
	p.columns = columns
}

// clear removes the line from the terminal.
func (p *Progress) clear() {
	if p.columns > 0 {
		p.write("\r" + strings.Repeat(" ", p.columns) + "\r")
		p.columns = 0
	}
}

func (p *Progress) write(text string) {
	if p.err != nil {
		return
	}
	if _, err := io.WriteString(p.opts.Out, text); err != nil {
		p.err = fmt.Errorf("progress: %w", err)
	}
}

// perSecond is images / elapsed, or 0 where that says nothing.
func perSecond(images int64, elapsed time.Duration) float64 {
	if images <= 0 || elapsed <= 0 {
		return 0
	}
	return float64(images) / elapsed.Seconds()
}

// timeFor is how long so many images take; more than a time.Duration can hold is its maximum.
func timeFor(images int64, rate float64) time.Duration {
	ns := float64(images) / rate * float64(time.Second)
	if ns >= math.MaxInt64 {
		return math.MaxInt64
	}
	return time.Duration(ns)
}

// formatRate prints three digits or so.
func formatRate(rate float64) string {
	if rate < 100 {
		return fmt.Sprintf("%.1f", rate)
	}
	return fmt.Sprintf("%.0f", rate)
}

// FormatDuration prints a time in its two largest units, rounded to the smaller:
// 25s, 3m07s, 1h22m, 2d04h. A negative one prints as 0s.
func FormatDuration(d time.Duration) string {
	const day = 24 * time.Hour
	if d < 0 {
		return "0s"
	}
	if s := d.Round(time.Second); s < time.Minute {
		return fmt.Sprintf("%ds", s/time.Second)
	} else if s < time.Hour {
		return fmt.Sprintf("%dm%02ds", s/time.Minute, s%time.Minute/time.Second)
	}
	if m := d.Round(time.Minute); m < day {
		return fmt.Sprintf("%dh%02dm", m/time.Hour, m%time.Hour/time.Minute)
	}
	h := d.Round(time.Hour)
	return fmt.Sprintf("%dd%02dh", h/day, h%day/time.Hour)
}
