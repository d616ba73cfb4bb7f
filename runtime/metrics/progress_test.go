package metrics

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// clock is a time that moves only when told.
type clock struct{ at time.Time }

func newClock() *clock { return &clock{time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)} }

func (c *clock) now() time.Time          { return c.at }
func (c *clock) advance(d time.Duration) { c.at = c.at.Add(d) }
func lines(out *bytes.Buffer) []string {
	return strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
}
func lastDrawn(out *bytes.Buffer) string { s := strings.Split(out.String(), "\r"); return s[len(s)-1] }
func plainBar(full, empty int) string {
	return "[" + strings.Repeat("=", full) + ">" + strings.Repeat(" ", empty) + "]"
}
func terminal(o *bytes.Buffer, c *clock, w int) *Progress {
	return NewProgress(ProgressOptions{Out: o, Terminal: true, NoColor: true, Width: w, Now: c.now})
}

func TestPlainLinesAreRare(t *testing.T) {
	var out bytes.Buffer
	c := newClock()
	p := NewProgress(ProgressOptions{Out: &out, Now: c.now})
	p.Begin("epoch 1/2", 1000)
	for range 100 { // 10 images each 110 ms: 11 s
		c.advance(110 * time.Millisecond)
		p.Add(10, "loss 0.5")
	}
	p.Finish("epoch 1/2: test error 41.07%")
	require.Equal(t, []string{
		"epoch 1/2  46%  90.9 img/s  loss 0.5  ETA 6s",
		"epoch 1/2  92%  90.9 img/s  loss 0.5  ETA 1s",
		"epoch 1/2: test error 41.07%",
	}, lines(&out))
	require.NoError(t, p.Err())
}

func TestTerminalLine(t *testing.T) {
	var out bytes.Buffer
	c := newClock()
	p := terminal(&out, c, 80)
	p.Begin("epoch 1/2", 1000)
	c.advance(99 * time.Millisecond)
	p.Add(100, "loss 0.5")
	require.Empty(t, out.String(), "too early")
	c.advance(901 * time.Millisecond)
	p.Add(400, "loss 0.5")
	require.Equal(t, "\repoch 1/2 "+plainBar(15, 14)+"  50%  500 img/s  loss 0.5  ETA 1s", out.String())

	out.Reset()
	c.advance(time.Second)
	p.Add(500, "")
	require.Equal(t, "\repoch 1/2 ["+strings.Repeat("=", 30)+"] 100%  500 img/s"+strings.Repeat(" ", 18), out.String())

	out.Reset()
	p.Finish("done")
	require.Equal(t, "\r"+strings.Repeat(" ", 58)+"\rdone\n", out.String())

	out.Reset()
	p.Finish("")
	require.Empty(t, out.String())
}

func TestTimeLeftOfTheRun(t *testing.T) {
	var out bytes.Buffer
	c := newClock()
	p := NewProgress(ProgressOptions{Out: &out, Now: c.now, RunImages: 100_000})
	p.Begin("epoch 1/2", 50_000)
	c.advance(100 * time.Second)
	p.Add(50_000, "")
	p.Finish("")
	p.Begin("epoch 2/2", 50_000)
	c.advance(50 * time.Second) // half as fast as the first epoch
	p.Add(12_500, "")
	require.Equal(t, []string{
		"epoch 1/2  100%  500 img/s  run 1m40s",
		"epoch 2/2  25%  250 img/s  ETA 2m30s  run 1m30s",
	}, lines(&out))
}

func TestColour(t *testing.T) {
	for _, noColor := range []bool{false, true} {
		var out bytes.Buffer
		c := newClock()
		p := NewProgress(ProgressOptions{Out: &out, Terminal: true, NoColor: noColor, Now: c.now})
		p.Begin("e", 10)
		c.advance(time.Second)
		p.Add(5, "")
		require.Equal(t, noColor, !strings.Contains(out.String(), "\x1b"))
	}
}

func TestLineNeverFillsTheTerminal(t *testing.T) {
	for width := 1; width < 100; width++ {
		var out bytes.Buffer
		c := newClock()
		p := terminal(&out, c, width)
		p.Begin("époque 1/2", 10)
		c.advance(time.Second)
		p.Add(5, "loss 0.5")
		line := lastDrawn(&out)
		require.Less(t, utf8.RuneCountInString(line), width)
		require.True(t, utf8.ValidString(line))
		if width > 60 {
			require.Contains(t, line, "loss 0.5  ETA 1s")
		}
	}
}

func TestPrintBringsTheLineBack(t *testing.T) {
	var out bytes.Buffer
	c := newClock()
	p := terminal(&out, c, 80)
	p.Begin("e", 10)
	c.advance(time.Second)
	p.Add(1, "")
	drawn := utf8.RuneCountInString(lastDrawn(&out))
	out.Reset()
	p.Print("note: learning rate is now 0.02")
	require.Equal(t, "\r"+strings.Repeat(" ", drawn)+"\rnote: learning rate is now 0.02\n", out.String())
	p.Add(1, "")
	require.Contains(t, lastDrawn(&out), "20%")
}

func TestOddStretches(t *testing.T) {
	var out bytes.Buffer
	c := newClock()
	p := NewProgress(ProgressOptions{Out: &out, Now: c.now})
	p.Begin("none", 0)
	c.advance(10 * time.Second)
	p.Add(0, "")
	p.Begin("more than said", 10)
	c.advance(10 * time.Second)
	p.Add(25, "")
	p.Begin("slow", math.MaxInt64)
	c.advance(10 * time.Second)
	p.Add(1, "")
	require.Equal(t, []string{
		"none  100%",
		"more than said  100%  2.5 img/s",
		"slow  0%  0.1 img/s  ETA 106751d23h",
	}, lines(&out))
}

func TestFailureToWriteIsKept(t *testing.T) {
	c := newClock()
	p := NewProgress(ProgressOptions{Out: broken{}, Now: c.now})
	p.Begin("e", 10)
	require.NoError(t, p.Err())
	p.Finish("a")
	p.Finish("b")
	require.ErrorContains(t, p.Err(), "pipe closed")
}

func TestFormatDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second:                          "0s",
		0:                                     "0s",
		499 * time.Millisecond:                "0s",
		500 * time.Millisecond:                "1s",
		59*time.Second + 499*time.Millisecond: "59s",
		59*time.Second + 500*time.Millisecond: "1m00s",
		187 * time.Second:                     "3m07s",
		time.Hour - 501*time.Millisecond:      "59m59s",
		time.Hour - 500*time.Millisecond:      "1h00m",
		82 * time.Minute:                      "1h22m",
		24*time.Hour - 31*time.Second:         "23h59m",
		24*time.Hour - 30*time.Second:         "1d00h",
		52 * time.Hour:                        "2d04h",
	} {
		require.Equal(t, want, FormatDuration(d), d)
	}
}
