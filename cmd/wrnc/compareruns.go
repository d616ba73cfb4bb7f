package main

import (
	"cmp"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"wrnc/runtime/metrics"
)

// setting is a fact of a run in words.
type setting struct {
	name  string // the column of a table
	value string // what stands in it
	words string // in a label, where the value alone does not say what it is; "" for the value
	minor bool   // follows from other settings; it counts only where they agree
}

// label is the setting as a part of a run's label.
func (s setting) label() string {
	if s.words != "" {
		return s.words
	}
	return s.value
}

// seedSetting is the name of the setting in which runs may differ and still be the
// same experiment.
const seedSetting = "seed"

// settings are all facts that make a difference, the same list for every run.
func (f runFacts) settings() []setting {
	named := func(name string, value any) setting {
		text := fmt.Sprint(value)
		return setting{name: name, value: text, words: name + " " + text}
	}
	number := func(name string, value float64) setting { return named(name, fmt.Sprintf("%.6g", value)) }
	minor := func(s setting) setting {
		s.minor = true
		return s
	}
	fusion := "fused"
	if !f.Fused {
		fusion = "not fused"
	}
	return []setting{
		{name: "network", value: f.Model},
		{name: "data", value: f.Data},
		number("dropout", f.Dropout),
		named("images", formatCount(int64(f.Images))),
		named("normalize", f.Normalize),
		named("augment", f.augmentation()),
		{name: "recipe", value: f.Recipe, words: f.Recipe + " recipe"},
		named("epochs", f.Epochs),
		named("batch", f.Batch),
		number("lr", f.LR),
		number("ratio", f.DropRatio),
		number("momentum", f.Momentum),
		named("nesterov", onOff(f.Nesterov)),
		number("decay", f.Decay),
		named(seedSetting, f.Seed),
		{name: "target", value: f.Target},
		{name: "isa", value: f.ISA},
		{name: "precision", value: f.Precision},
		{name: "fusion", value: fusion},
		named("changed", f.changes()),
		minor(named("drops", strings.Trim(strings.ReplaceAll(fmt.Sprint(f.Drops), " ", ", "), "[]"))),
		minor(named("labels", shortHash(f.Labels))),
		minor(named("device", cmp.Or(f.Device, "none"))),
		minor(named("plan", shortHash(f.Plan))),
	}
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

// shortHash is enough of a hash to tell two apart.
func shortHash(hash string) string { return hash[:min(len(hash), 8)] }

// augmentation says what is done to training pictures, as a network's text does.
func (f runFacts) augmentation() string {
	var words []string
	if f.Flip {
		words = append(words, "flip")
	}
	if f.CropPad > 0 {
		words = append(words, fmt.Sprintf("crop(%d, %s)", f.CropPad, f.CropMode))
	}
	if len(words) == 0 {
		return "none"
	}
	return strings.Join(words, " ")
}

// changes are what the run went on with: "rates x0.1 and avx2 from step 400".
func (f runFacts) changes() string {
	var words []string
	for _, c := range f.Changes {
		var what []string
		if c.RateScale != 0 {
			what = append(what, fmt.Sprintf("rates x%.4g", c.RateScale))
		}
		switch {
		case c.ISA != "":
			what = append(what, c.ISA)
		case c.Plan != "":
			what = append(what, "another plan")
		case c.Device != "":
			what = append(what, c.Device)
		}
		words = append(words, fmt.Sprintf("%s from step %d", strings.Join(what, " and "), c.Step))
	}
	if len(words) == 0 {
		return "nothing"
	}
	return strings.Join(words, ", ")
}

// comparison is several runs side by side.
type comparison struct {
	runs    []*comparedRun
	columns []int // of the settings, those in which the runs differ
}

// comparedRun is a run and what tells it from the others.
type comparedRun struct {
	dir      string
	facts    runFacts
	log      *metrics.Run
	settings []setting
	label    string
}

// compareRuns finds what tells runs apart. One alone has its network and data as label.
func compareRuns(runs []*comparedRun) *comparison {
	c := &comparison{runs: runs}
	for _, r := range runs {
		r.settings = r.facts.settings()
	}
	if len(runs) == 0 {
		return c
	}
	for i, s := range runs[0].settings {
		if !s.minor && c.differ(runs, i) {
			c.columns = append(c.columns, i)
		}
	}
	// What follows from other settings says something only of runs that are else alike.
	for i, s := range runs[0].settings {
		alike := c.alike(c.columns)
		if s.minor && slices.ContainsFunc(alike, func(group []*comparedRun) bool { return c.differ(group, i) }) {
			c.columns = append(c.columns, i)
		}
	}
	c.name()
	return c
}

// differ tells whether runs differ in a setting.
func (c *comparison) differ(runs []*comparedRun, setting int) bool {
	return slices.ContainsFunc(runs, func(r *comparedRun) bool {
		return r.settings[setting].value != runs[0].settings[setting].value
	})
}

// alike groups the runs that agree in some settings but for the seed.
func (c *comparison) alike(columns []int) [][]*comparedRun {
	var groups [][]*comparedRun
	at := map[string]int{}
	for _, r := range c.runs {
		var key strings.Builder
		for _, i := range columns {
			if s := r.settings[i]; s.name != seedSetting {
				fmt.Fprintf(&key, "%q", s.value)
			}
		}
		g, known := at[key.String()]
		if !known {
			g = len(groups)
			at[key.String()] = g
			groups = append(groups, nil)
		}
		groups[g] = append(groups[g], r)
	}
	return groups
}

// name gives each run a label of what it differs in: at its shortest without the
// settings, but for network, data and seed, that most runs share. Runs that differ in
// nothing also have the names of their folders, or their paths where those agree too.
func (c *comparison) name() {
	if len(c.runs) == 1 {
		c.runs[0].label = c.runs[0].facts.title()
		return
	}
	for _, r := range c.runs {
		own := slices.DeleteFunc(slices.Clone(c.columns), func(i int) bool {
			s := r.settings[i]
			return s.words != "" && s.name != seedSetting && c.usual(i, s.value)
		})
		if len(own) == 0 {
			own = c.columns
		}
		r.label = r.words(own)
	}
	folder := func(r *comparedRun) string { return filepath.Base(filepath.Clean(r.dir)) }
	path := func(r *comparedRun) string { return r.dir }
	for _, more := range []func(*comparedRun) string{folder, path} {
		same := map[string]int{}
		for _, r := range c.runs {
			same[r.label]++
		}
		for _, r := range c.runs {
			if same[r.label] > 1 {
				r.label = strings.TrimPrefix(r.label+", "+more(r), ", ")
			}
		}
	}
}

// usual tells whether more than half of the runs have a setting's value.
func (c *comparison) usual(setting int, value string) bool {
	n := 0
	for _, r := range c.runs {
		if r.settings[setting].value == value {
			n++
		}
	}
	return 2*n > len(c.runs)
}

// words are some settings of the run, for a label.
func (r *comparedRun) words(columns []int) string {
	var words []string
	for _, i := range columns {
		words = append(words, r.settings[i].label())
	}
	return strings.Join(words, ", ")
}

// title is what a run trained on what.
func (f runFacts) title() string { return f.Model + " on " + f.Data }

// title says what is compared.
func (c *comparison) title() string {
	first := c.runs[0].facts
	sameModel := !slices.ContainsFunc(c.runs, func(r *comparedRun) bool { return r.facts.Model != first.Model })
	sameData := !slices.ContainsFunc(c.runs, func(r *comparedRun) bool { return r.facts.Data != first.Data })
	n := len(c.runs)
	switch {
	case n == 1:
		return first.title()
	case sameModel && sameData:
		return fmt.Sprintf("%s, %d runs", first.title(), n)
	case sameModel:
		return fmt.Sprintf("%s, %d runs", first.Model, n)
	case sameData:
		return fmt.Sprintf("%d runs on %s", n, first.Data)
	}
	return fmt.Sprintf("%d runs", n)
}

// ended tells whether all epochs of the run are trained.
func (r *comparedRun) ended() bool {
	n := len(r.log.Epochs)
	return r.log.Done != nil || n > 0 && r.log.Epochs[n-1].Epoch == r.facts.Epochs
}

// last is the test error after the last epoch, in percent, or NaN.
func (r *comparedRun) last() float64 {
	if n := len(r.log.Epochs); n > 0 {
		return float64(r.log.Epochs[n-1].TestError)
	}
	return math.NaN()
}

// best is the least test error, in percent, and its epoch; NaN and 0 without one.
func (r *comparedRun) best() (test float64, epoch int) {
	test = math.NaN()
	for _, e := range r.log.Epochs {
		if v := float64(e.TestError); epoch == 0 && !math.IsNaN(v) || v < test {
			test, epoch = v, e.Epoch
		}
	}
	return test, epoch
}

// speed is the median of the epochs' images a second, or NaN.
func (r *comparedRun) speed() float64 {
	var speeds []float64
	for _, e := range r.log.Epochs {
		speeds = append(speeds, float64(e.ImagesPerSecond))
	}
	return median(speeds)
}

// seconds are those of the whole run, or of its epochs so far.
func (r *comparedRun) seconds() float64 {
	if r.log.Done != nil {
		return float64(r.log.Done.Seconds)
	}
	sum := 0.0
	for _, e := range r.log.Epochs {
		sum += float64(e.Seconds)
	}
	return sum
}

// missing counts the epochs that lack a number, or have one that is not finite.
func (r *comparedRun) missing() int {
	n := 0
	for _, e := range r.log.Epochs {
		if math.IsNaN(float64(e.TrainLoss + e.TrainError + e.TestError)) { // the log has no infinity
			n++
		}
	}
	return n
}
