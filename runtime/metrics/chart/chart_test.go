package chart

import (
	"encoding/xml"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"

	"wrnc/runtime/metrics"
)

var update = flag.Bool("update", false, "write what the cases yield into testdata")

// TestGolden draws the logs of testdata/*.txtar, each of which is named after its run,
// and compares with the parts whose names begin with "want".
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			require.NoError(t, err)
			var runs []Run
			var logs []txtar.File
			for _, part := range archive.Files {
				name, isLog := strings.CutSuffix(part.Name, ".jsonl")
				if !isLog {
					continue
				}
				log, err := metrics.Read(strings.NewReader(string(part.Data)))
				require.NoError(t, err)
				runs = append(runs, Run{Name: name, Epochs: log.Epochs})
				logs = append(logs, part)
			}
			f := Training(filepath.Base(file), runs)
			color := strings.ReplaceAll(f.Text(TextOptions{Width: 60, Color: true}), "\x1b", `\e`)
			got := &txtar.Archive{Comment: archive.Comment, Files: append(logs,
				txtar.File{Name: "want.ascii", Data: []byte(f.Text(TextOptions{Width: 60, ASCII: true}))},
				txtar.File{Name: "want.plain", Data: []byte(f.Text(TextOptions{Width: 60}))},
				txtar.File{Name: "want.color", Data: []byte(color)},
				txtar.File{Name: "want.svg", Data: []byte(f.SVG())},
			)}
			if *update {
				require.NoError(t, os.WriteFile(file, txtar.Format(got), 0o666))
				return
			}
			require.Equal(t, string(txtar.Format(archive)), string(txtar.Format(got)))
		})
	}
}

// training makes runs whose errors fall from 90 to a few percent, with noise, and
// whose rates drop three times; each run ends an epoch before the one before it.
func training(n, epochs int, name func(i int) string) []Run {
	random := rand.New(rand.NewPCG(1, uint64(n)))
	var runs []Run
	for i := range n {
		r := Run{Name: name(i)}
		for e := 1; e <= max(1, epochs-i); e++ {
			rate := 0.1 * math.Pow(0.2, float64(4*(e-1)/epochs))
			test := 4 + 0.1*float64(i) + 86*math.Exp(-8*float64(e)/float64(epochs))
			r.Epochs = append(r.Epochs, metrics.Epoch{
				Epoch: e, LR: metrics.Number(rate), TrainLoss: metrics.Number(test / 40),
				TrainError: metrics.Number(test * 0.7), TestError: metrics.Number(test * (1 + rate*random.Float64())),
			})
		}
		runs = append(runs, r)
	}
	return runs
}

func seeds(i int) string { return fmt.Sprintf("WRN-28-10, seed %d", i) }

// words reads an SVG and returns the texts in it. It must be XML, and no number in it
// may be one that no reader understands.
func words(t *testing.T, svg string) []string {
	t.Helper()
	var found []string
	d := xml.NewDecoder(strings.NewReader(svg))
	depth := 0
	for {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		require.NoError(t, err, svg)
		switch token := token.(type) {
		case xml.StartElement:
			depth++
			for _, a := range token.Attr {
				require.NotContains(t, a.Value, "NaN")
				require.NotContains(t, a.Value, "Inf")
				if a.Name.Local == "d" || a.Name.Local == "height" {
					require.NotContains(t, a.Value, "e+")
				}
			}
			if token.Name.Local == "text" || token.Name.Local == "title" {
				var text string
				require.NoError(t, d.DecodeElement(&text, &token))
				depth--
				found = append(found, text)
			}
			require.NotEqual(t, "script", token.Name.Local)
		case xml.EndElement:
			depth--
		}
	}
	require.Zero(t, depth)
	return found
}

func TestHostileNames(t *testing.T) {
	names := []string{
		`</text></svg><script>alert("1")</script>`, `a & b < c > d "e" 'f'`, "]]>&amp;<!--", "\x1b[2J\x00\u202e\r\n\xff",
		strings.Repeat("W", 1000), "日本語のネットワーク", "",
	}
	runs := training(len(names), 20, func(i int) string { return names[i] })
	f := Training(names[0]+names[3], runs)
	found := words(t, f.SVG())
	require.Equal(t, names[0]+"�[2J�����", found[0])
	for i, name := range names[:6] {
		last := runs[i].Epochs[len(runs[i].Epochs)-1].TestError
		require.Contains(t, found, fit(fmt.Sprintf("%.2f %% %s", float64(last), name)))
	}
	for _, text := range found[1:] {
		require.LessOrEqual(t, textWidth(text), float64(labelWidth))
	}
	words(t, Swatch(7))
	f.Panels[0].Title = names[3]
	require.NotContains(t, f.Text(TextOptions{Width: 80, Color: true}), "\x1b[2J")
}

// TestNothingTouches looks at the room of all texts of many figures.
func TestNothingTouches(t *testing.T) {
	name := func(i int) string { return strings.Repeat("Wm", i) }
	for n := 1; n <= MaxSubjects; n++ {
		for _, epochs := range []int{1, 2, 9, 30, 200, 99999} {
			if epochs > 1000 && n > 1 {
				continue
			}
			p := newPicture(Training("", training(n, epochs, name)))
			for i, a := range p.texts {
				require.GreaterOrEqual(t, a.left, 0.0, a.text)
				require.LessOrEqual(t, a.right, float64(pictureWidth), a.text)
				for _, b := range p.texts[:i] {
					apart := a.right <= b.left || b.right <= a.left || a.bottom <= b.top || b.bottom <= a.top
					require.True(t, apart, "%d runs of %d epochs: %q touches %q", n, epochs, a.text, b.text)
				}
			}
		}
	}
}

// TestTextFits draws at many widths: no line is wider, and ASCII is ASCII.
func TestTextFits(t *testing.T) {
	for _, n := range []int{1, 3, MaxSubjects} {
		f := Training("", training(n, 60, seeds))
		for width := minWidth; width < 200; width += 3 {
			for _, o := range []TextOptions{{Width: width}, {Width: width, ASCII: true}} {
				for line := range strings.Lines(f.Text(o)) {
					require.LessOrEqual(t, utf8.RuneCountInString(strings.TrimRight(line, "\n")), width, line)
					for _, r := range line {
						require.True(t, !o.ASCII || r < utf8.RuneSelf, "%q", line)
						require.NotEqual(t, '\x1b', r)
					}
				}
			}
		}
	}
}

// Every run can be found in a figure of letters: the last epochs are its own.
func TestLetters(t *testing.T) {
	f := Training("", training(5, 200, seeds))
	o := TextOptions{Width: 100, ASCII: true}
	text := f.Text(o)
	for i := range 5 {
		require.Equal(t, string(rune('A'+i))+" ", f.Sign(i, o))
	}
	require.Contains(t, text, "A..E test  a..e train")
	require.Contains(t, text, "A")
	require.Contains(t, text, "e")
	require.Equal(t, "* ", Training("", training(1, 5, seeds)).Sign(0, o))
	require.Equal(t, "\x1b[38;5;166m━━\x1b[0m", f.Sign(1, TextOptions{Color: true}))
}

func TestGapsAndHostileNumbers(t *testing.T) {
	values := []float64{math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, -math.MaxFloat64, 5e-324, -5e-324, 0, 1e11, -1e11, 3}
	for i := range values {
		for j := range values {
			r := Run{Name: "a"}
			for e, v := range []float64{values[i], values[j], 1, values[i]} {
				r.Epochs = append(r.Epochs, metrics.Epoch{
					Epoch: e + 1, LR: metrics.Number(v), TrainLoss: metrics.Number(v), TrainError: metrics.Number(v), TestError: metrics.Number(v),
				})
			}
			f := Training("", []Run{r, {Name: "none"}})
			require.Less(t, len(f.SVG()), 20000)
			words(t, f.SVG())
			require.Less(t, len(f.Text(TextOptions{Width: 80, ASCII: true})), 5000)
		}
	}

	c := Curve{Points: []Point{{1, 5}, {2, math.NaN()}, {3, 4}, {4, 3}, {5, math.Inf(1)}}}
	require.Equal(t, [][]Point{{{1, 5}}, {{3, 4}, {4, 3}}}, c.strokes())
	c.Style = Steps
	require.Equal(t, [][]Point{{{0, 5}, {1, 5}}, {{2, 4}, {3, 4}, {3, 3}, {4, 3}}}, c.strokes())
	last, ok := c.last()
	require.True(t, ok)
	require.Equal(t, Point{4, 3}, last)
}

func TestNothingToDraw(t *testing.T) {
	for _, runs := range [][]Run{nil, {{Name: "a"}}, {{Name: "a"}, {Name: "b"}}} {
		f := Training("nothing", runs)
		words(t, f.SVG())
		require.NotEmpty(t, f.Text(TextOptions{}))
	}
}

// A long training is no long file.
func TestManyEpochs(t *testing.T) {
	f := Training("", training(3, 100000, seeds))
	require.Less(t, len(f.SVG()), 400<<10)
	points := make([]Point, 5000)
	for i := range points {
		points[i] = Point{float64(i) / 1000, float64(i * 7919 % 5000)}
	}
	kept := thin(points)
	require.LessOrEqual(t, len(kept), 4*10)
	for _, want := range []Point{points[0], points[4999]} {
		require.Contains(t, kept, want)
	}
	y := func(p Point) float64 { return p.Y }
	require.Equal(t, 0.0, y(slices.MinFunc(kept, func(a, b Point) int { return int(a.Y - b.Y) })))
	require.Equal(t, 4999.0, y(slices.MaxFunc(kept, func(a, b Point) int { return int(a.Y - b.Y) })))
	require.True(t, slices.IsSortedFunc(kept, func(a, b Point) int { return int(1000 * (a.X - b.X)) }))
}

func TestTicks(t *testing.T) {
	require.Equal(t, []float64{0, 2, 4, 6, 8}, horizontal(9, 8).ticks)
	require.Equal(t, []float64{0, 1}, horizontal(1, 8).ticks)
	require.Equal(t, []float64{0, 50, 100, 150, 200}, horizontal(200, 6).ticks)
	require.Equal(t, []float64{1, 10, 100, 1000}, logTicks(0.5, 2000, 5))
	require.Equal(t, []float64{0.1, 0.2, 0.5, 1}, logTicks(0.08, 1.2, 5))
	require.Equal(t, []float64{4.2, 4.3, 4.4}, logTicks(4.15, 4.41, 50)[:3])
	require.Equal(t, []float64{0, 0.1, 0.2, 0.3}, multiples(0.1, 0.3))

	p := Panel{Curves: []Curve{{Points: []Point{{1, 47}, {2, 3}}}}}
	require.Equal(t, axis{hi: 50, ticks: []float64{0, 10, 20, 30, 40, 50}}, p.vertical(7, 0.1))
	p.Ticks = []float64{40, 39, 3, 900}
	require.Equal(t, []float64{40, 3}, p.vertical(7, 0.1).ticks)
	p.Top = 20
	require.Equal(t, " (cut off above 20)", p.heading())
	require.Equal(t, []float64{3}, p.vertical(7, 0.1).ticks)
	require.Equal(t, 20.0, p.vertical(7, 0.1).hi)
	for v, want := range map[float64]string{0.1 * 0.2 * 0.2: "0.004", 50: "50", 0: "0", 1e-7: "1e-07", 0.00001: "0.00001"} {
		require.Equal(t, want, formatNumber(v))
	}
}

// The start of a training is cut off where it would flatten the rest, and only then.
func TestTop(t *testing.T) {
	panel := func(values ...float64) Panel {
		var c Curve
		for i, v := range values {
			c.Points = append(c.Points, Point{float64(i + 1), v})
		}
		return Panel{Curves: []Curve{c}}
	}
	late := []float64{30, 25, 20, 15, 12, 10, 9, 8, 7, 6, 5, 5, 5, 5, 5, 5, 5, 5}
	require.Equal(t, 30.0, top(panel(append([]float64{90, 60}, late...)...)))
	require.Equal(t, 0.0, top(panel(append([]float64{31, 30}, late...)...)))
	require.Equal(t, 0.0, top(panel(90, 20, 5)), "few epochs are all shown")
	require.Equal(t, 0.0, top(panel()))
	require.Equal(t, 0.0, top(panel(math.NaN())))
}

func TestRatesThatAgreeAreOneCurve(t *testing.T) {
	runs := training(3, 20, seeds)
	rates := ratePanel(runs)
	require.Len(t, rates.Curves, 1)
	require.Equal(t, Shared, rates.Curves[0].Subject)
	require.Len(t, rates.Curves[0].Points, 20, "the longest")
	require.Len(t, rates.Ticks, 4)
	require.Equal(t, []float64{5, 10, 15}, drops(rates))

	runs[1].Epochs[0].LR = 0.3
	rates = ratePanel(runs)
	require.Len(t, rates.Curves, 3)
	require.Equal(t, 0.3, rates.Ticks[0])
	require.Equal(t, []float64{1, 5, 10, 15}, drops(rates))

	for i := range runs[0].Epochs { // each rate another
		runs[0].Epochs[i].LR = metrics.Number(math.Cos(float64(i) / 20))
	}
	rates = ratePanel(runs[:1])
	require.Nil(t, rates.Ticks)
	require.Nil(t, drops(rates))
}

func TestSpread(t *testing.T) {
	require.Equal(t, []float64{10, 40, 70}, spread([]float64{10, 40, 70}, 0, 100, 10), "nothing is in the way")
	require.Equal(t, []float64{45, 55}, spread([]float64{50, 50}, 0, 100, 10))
	require.Equal(t, []float64{100, 90, 80}, spread([]float64{99, 98, 97}, 0, 100, 10))
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		n, gap := 1+random.IntN(10), 10.0
		wanted := make([]float64, n)
		for i := range wanted {
			wanted[i] = float64(random.IntN(120)) - 10
		}
		got := spread(wanted, 0, 100, gap)
		order := make([]int, n)
		for i := range order {
			order[i] = i
		}
		slices.SortFunc(order, func(a, b int) int { return int(got[a] - got[b]) })
		for i, k := range order {
			require.True(t, got[k] >= -1e-9 && got[k] <= 100+1e-9, "%v: %v", wanted, got)
			if i > 0 {
				require.GreaterOrEqual(t, got[k]-got[order[i-1]], gap-1e-9, "%v: %v", wanted, got)
				require.LessOrEqual(t, wanted[order[i-1]], wanted[k], "their order stays: %v: %v", wanted, got)
			}
		}
	}
}

func TestClip(t *testing.T) {
	for _, c := range []struct {
		a, b, wantA, wantB Point
		ok                 bool
	}{
		{Point{0, 0.2}, Point{1, 0.8}, Point{0, 0.2}, Point{1, 0.8}, true},
		{Point{0, 2}, Point{1, 0}, Point{0.5, 1}, Point{1, 0}, true},
		{Point{0, -1}, Point{1, 3}, Point{0.25, 0}, Point{0.5, 1}, true},
		{Point{0, 2}, Point{1, 3}, Point{}, Point{}, false},
		{Point{0, -2}, Point{1, -3}, Point{}, Point{}, false},
	} {
		a, b, ok := clip(c.a, c.b)
		require.Equal(t, c.ok, ok)
		if ok {
			require.Equal(t, []Point{c.wantA, c.wantB}, []Point{a, b})
		}
	}
}
