package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/codegen/report/browsertest"
	"wrnc/runtime/metrics"
)

// someRun is a run like others but for what change does to it.
func someRun(dir string, change func(f *runFacts)) *comparedRun {
	f := runFacts{
		Model: "WRN-16-1", Data: "cifar10", Images: 50000, Labels: "0123456789", Normalize: "meanstd", Flip: true, CropPad: 4, CropMode: "reflect",
		Recipe: "paper", Epochs: 200, Batch: 128, LR: 0.1, Drops: []int{60, 120, 160}, DropRatio: 0.2, Momentum: 0.9, Nesterov: true, Decay: 5e-4,
		Seed: 1, Target: "cpu", ISA: "avx2", Precision: "f32", Fused: true, Plan: "abcdefghijkl",
	}
	change(&f)
	return &comparedRun{dir: dir, facts: f, log: &metrics.Run{}}
}

func TestLabels(t *testing.T) {
	same := func(*runFacts) {}
	for _, c := range []struct {
		title   string
		labels  []string
		columns []string
		runs    []*comparedRun
	}{
		{"WRN-16-1 on cifar10", []string{"WRN-16-1 on cifar10"}, nil, []*comparedRun{someRun("runs/a", same)}},
		{"WRN-16-1 on cifar10, 2 runs", []string{"seed 1", "seed 2"}, []string{"seed"}, []*comparedRun{
			someRun("runs/a", same), someRun("runs/b", func(f *runFacts) { f.Seed = 2 }),
		}},
		{"2 runs on cifar10", []string{"WRN-16-1", "WRN-16-4"}, []string{"network"}, []*comparedRun{
			someRun("runs/a", same), someRun("runs/b", func(f *runFacts) { f.Model, f.Plan = "WRN-16-4", "other" }),
		}},
		{"WRN-16-1, 2 runs", []string{"cifar10", "digits"}, []string{"data"}, []*comparedRun{
			someRun("runs/a", same), someRun("runs/b", func(f *runFacts) { f.Data, f.Labels = "digits", "other" }),
		}},
		{"2 runs", []string{"WRN-16-1, cifar10", "WRN-28-10, svhn"}, []string{"network", "data"}, []*comparedRun{
			someRun("runs/a", same), someRun("runs/b", func(f *runFacts) { f.Model, f.Data = "WRN-28-10", "svhn" }),
		}},
		// What most runs have is not said again; what all have is in no column.
		{"3 runs on cifar10", []string{"WRN-16-1", "WRN-16-4", "WRN-16-4, dropout 0.3, lr 0.05"}, []string{"network", "dropout", "lr"}, []*comparedRun{
			someRun("runs/a", same), someRun("runs/b", func(f *runFacts) { f.Model = "WRN-16-4" }),
			someRun("runs/c", func(f *runFacts) { f.Model, f.Dropout, f.LR = "WRN-16-4", 0.3, 0.05 }),
		}},
		{"WRN-16-1 on cifar10, 3 runs", []string{"epochs 200, a", "epochs 200, b", "epochs 100"}, []string{"epochs"}, []*comparedRun{
			someRun("runs/a", same), someRun("runs/b", same), someRun("runs/c", func(f *runFacts) { f.Epochs, f.Drops = 100, []int{30, 60, 80} }),
		}},
		// Without the epochs, where they drop tells runs apart; without a layer, their plans.
		{"WRN-16-1 on cifar10, 2 runs", []string{"drops 60, 120, 160", "drops 30"}, []string{"drops"}, []*comparedRun{
			someRun("runs/a", same), someRun("runs/b", func(f *runFacts) { f.Drops = []int{30} }),
		}},
		{"WRN-16-1 on cifar10, 2 runs", []string{"plan abcdefgh", "plan short"}, []string{"plan"}, []*comparedRun{
			someRun("runs/a", same), someRun("runs/b", func(f *runFacts) { f.Plan = "short" }),
		}},
		{"WRN-16-1 on cifar10, 2 runs", []string{"fused, changed nothing", "not fused, changed rates x0.1 and another plan from step 400, avx2 from step 500"}, []string{"fusion", "changed"}, []*comparedRun{
			someRun("runs/a", same), someRun("runs/b", func(f *runFacts) {
				f.Fused, f.Changes = false, []runChange{{Step: 400, RateScale: 0.1, Plan: "x"}, {Step: 500, ISA: "avx2", Plan: "y"}}
			}),
		}},
		// Where nothing differs, folders have to do, and paths only where those do not.
		{"WRN-16-1 on cifar10, 2 runs", []string{"a", "b"}, nil, []*comparedRun{someRun("runs/a", same), someRun("runs/b/", same)}},
		{"WRN-16-1 on cifar10, 3 runs", []string{"a, x/a", "a, y/a", "b"}, nil, []*comparedRun{someRun("x/a", same), someRun("y/a", same), someRun("b", same)}},
	} {
		compared := compareRuns(c.runs)
		require.Equal(t, c.title, compared.title())
		var labels []string
		for _, r := range compared.runs {
			labels = append(labels, r.label)
		}
		require.Equal(t, c.labels, labels)
		require.Equal(t, append(c.columns, "epochs", "best test error", "last", "img/s", "time"), compared.header())
	}
}

// TestEveryFactIsASetting changes each fact of a run in turn: a label must tell it.
func TestEveryFactIsASetting(t *testing.T) {
	text, err := json.Marshal(someRun("", func(*runFacts) {}).facts)
	require.NoError(t, err)
	var facts map[string]any
	require.NoError(t, json.Unmarshal(text, &facts))
	other := map[string]any{
		"drops": []int{7}, "changes": []runChange{{Step: 3, Plan: "x"}}, "crop_mode": "zero",
	}
	for name, value := range facts {
		if name == "choices" || name == "network" {
			continue // what they say is said by the other facts, and by the plan
		}
		if _, has := other[name]; !has {
			switch value := value.(type) {
			case string:
				other[name] = "x" + value
			case float64:
				other[name] = value + 1
			case bool:
				other[name] = !value
			}
		}
	}
	for name, value := range other {
		changed := map[string]any{name: value}
		a, b := someRun("same", func(*runFacts) {}), someRun("same", func(f *runFacts) {
			text, err := json.Marshal(changed)
			require.NoError(t, err)
			require.NoError(t, json.Unmarshal(text, f))
		})
		c := compareRuns([]*comparedRun{a, b})
		require.Len(t, c.columns, 1, name)
		require.NotEqual(t, a.label, b.label, name)
	}
}

func epochs(errors ...float64) *metrics.Run {
	run := &metrics.Run{}
	for i, e := range errors {
		run.Epochs = append(run.Epochs, metrics.Epoch{Epoch: i + 1, TestError: metrics.Number(e), Seconds: 1})
	}
	return run
}

func TestMedianOverSeeds(t *testing.T) {
	nan := math.NaN()
	run := func(seed uint64, log *metrics.Run) *comparedRun {
		r := someRun(fmt.Sprint(seed), func(f *runFacts) { f.Seed, f.Epochs = seed, 3 })
		r.log = log
		return r
	}
	groups := compareRuns([]*comparedRun{
		run(1, epochs(9, 5, 6)), run(2, epochs(9, 4, 5)), run(3, epochs(9, 8, 8)), run(4, epochs(9, 1)), run(5, epochs(1, 1, nan)), run(1, epochs(9, 5, 6)),
	}).seeds()
	require.Len(t, groups, 1)
	require.Equal(t, "WRN-16-1 on cifar10, 5 seeds: of the 3 that have ended, median test error 6.00 % (5.00 to 8.00) after the last epoch, 5.00 % (4.00 to 8.00) at best", groups[0].String())
	groups = compareRuns([]*comparedRun{run(1, epochs(9, 5, 6)), run(2, epochs(9, 4, 5))}).seeds()
	require.Equal(t, metrics.Number(5.5), groups[0].Last.Median)
	groups = compareRuns([]*comparedRun{run(1, epochs()), run(2, epochs(9))}).seeds()
	require.Equal(t, "WRN-16-1 on cifar10, 2 seeds: 0 of them ended so far", groups[0].String())

	// Of other settings there are other groups, of which one run is none.
	other := run(3, epochs(7, 7, 7))
	other.facts.LR = 0.01
	groups = compareRuns([]*comparedRun{run(1, epochs(9, 5, 6)), run(2, epochs(9, 4, 5)), other}).seeds()
	require.Len(t, groups, 1)
	require.Equal(t, "lr 0.1", groups[0].Label)
	require.Equal(t, 2, groups[0].Runs)
}

func TestBest(t *testing.T) {
	nan := math.NaN()
	r := &comparedRun{log: epochs(nan, 7, 3, nan, 3)}
	best, epoch := r.best()
	require.Equal(t, 3.0, best)
	require.Equal(t, 3, epoch)
	require.Equal(t, 2, r.missing())
	_, epoch = (&comparedRun{log: epochs(nan)}).best()
	require.Zero(t, epoch)
	require.Equal(t, "-", formatSeconds(1e300))
	require.Equal(t, "-", formatSeconds(nan))
}

// writeRun writes a run's folder with as many epochs as there are test errors.
func writeRun(t *testing.T, r *comparedRun) {
	require.NoError(t, os.MkdirAll(r.dir, 0o777))
	require.NoError(t, r.facts.write(r.dir))
	var text bytes.Buffer
	log := metrics.NewLog(&text)
	for _, e := range r.log.Epochs {
		require.NoError(t, log.Epoch(e))
	}
	require.NoError(t, os.WriteFile(filepath.Join(r.dir, metricsFile), text.Bytes(), 0o666))
}

// A log is drawn as far as it goes, wherever it was cut off; one too large is refused.
func TestPlotOfALogCutOff(t *testing.T) {
	r := someRun(filepath.Join(t.TempDir(), "run"), func(*runFacts) {})
	r.log = epochs(9, 8, 7)
	writeRun(t, r)
	path := filepath.Join(r.dir, metricsFile)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	for n := range len(text) + 1 {
		require.NoError(t, os.WriteFile(path, text[:n], 0o666))
		var stdout, stderr bytes.Buffer
		code := run([]string{"plot", r.dir}, &stdout, &stderr)
		if whole := strings.Count(string(text[:n]), "}"); whole > 0 {
			require.Equal(t, exitOK, code, stderr.String())
			require.Contains(t, stdout.String(), fmt.Sprintf("%d of 200", whole))
		} else {
			require.Equal(t, exitUser, code)
			require.Contains(t, stderr.String(), "no epoch is trained yet")
		}
	}
	require.NoError(t, os.Truncate(path, 1<<30))
	var stderr bytes.Buffer
	require.Equal(t, exitUser, run([]string{"plot", r.dir}, io.Discard, &stderr))
	require.Equal(t, "wrnc: "+path+": the file has 1073741824 bytes; a metrics log has at most 67108864\n", stderr.String())
}

// realistic are runs of 200 epochs of several networks and seeds.
func realistic(dir string, n int) []*comparedRun {
	var runs []*comparedRun
	for i := range n {
		r := someRun(filepath.Join(dir, fmt.Sprintf("run-%d", i+1)), func(f *runFacts) {
			f.Model, f.Seed = fmt.Sprintf("WRN-16-%d", 1+i/2), uint64(1+i%2)
		})
		floor := 8 - 0.7*float64(i)
		for e := 1; e <= 200-20*(i%3); e++ {
			rate := 0.1
			for _, drop := range r.facts.Drops {
				if e > drop {
					rate *= 0.2
				}
			}
			train := 70*math.Exp(-float64(e)/8) + 110*rate
			noise := 20 * rate * math.Sin(float64(e*(i+3))*1.7)
			r.log.Epochs = append(r.log.Epochs, metrics.Epoch{
				Epoch: e, LR: metrics.Number(rate), TrainLoss: metrics.Number(0.01 + train/30), TrainError: metrics.Number(train),
				TestError: metrics.Number(floor + train + noise), ImagesPerSecond: metrics.Number(900 / float64(1+i)), Seconds: metrics.Number(60 * (1 + i)),
			})
		}
		runs = append(runs, r)
	}
	return runs
}

// TestPlotPage makes pages of one, three and eight runs and looks at them in a browser:
// by light and by dark at one, or at all where WRNC_PICTURES=DIR keeps the pictures.
func TestPlotPage(t *testing.T) {
	pictures := os.Getenv("WRNC_PICTURES")
	if pictures == "" {
		pictures = t.TempDir()
	}
	for _, n := range []int{1, 3, 8} {
		dir := t.TempDir()
		args := []string{"plot"}
		for _, r := range realistic(dir, n) {
			writeRun(t, r)
			args = append(args, r.dir)
		}
		page := filepath.Join(dir, "page.html")
		var stderr bytes.Buffer
		require.Equal(t, exitOK, run(append(args, "--html", page), io.Discard, &stderr), stderr.String())
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		requireSelfContained(t, string(text))
		for _, scheme := range []string{"dark", "light"} { // as Chromium numbers them
			if n != 8 && os.Getenv("WRNC_PICTURES") == "" {
				continue
			}
			picture := filepath.Join(pictures, fmt.Sprintf("plot-%d-%s.png", n, scheme))
			browsertest.Visit(t, browsertest.Find(t), "file://"+page, "--window-size=1040,1160", "--screenshot="+picture,
				fmt.Sprintf("--blink-settings=preferredColorScheme=%d", slices.Index([]string{"dark", "light"}, scheme)))
			seen, light := browsertest.Look(t, picture)
			require.Greater(t, seen, 50, "the picture has hardly any colours")
			require.Equal(t, scheme == "light", light)
		}
	}
}

// requireSelfContained holds a page to what works without a network and a script, and
// to being XML.
func requireSelfContained(t *testing.T, page string) {
	d := xml.NewDecoder(strings.NewReader(page))
	d.Entity = xml.HTMLEntity
	for {
		token, err := d.Token()
		if err == io.EOF {
			return
		}
		require.NoError(t, err)
		if start, ok := token.(xml.StartElement); ok {
			require.NotContains(t, []string{"script", "link", "img", "iframe", "object", "image", "use", "a"}, start.Name.Local)
			for _, a := range start.Attr {
				require.False(t, strings.HasPrefix(a.Name.Local, "on") || a.Name.Local == "href" || a.Name.Local == "src", "%s=%q", a.Name.Local, a.Value)
			}
		}
	}
}
