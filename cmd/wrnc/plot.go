package main

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"wrnc/runtime/metrics"
	"wrnc/runtime/metrics/chart"
)

// plotCommand is `wrnc plot`.
type plotCommand struct {
	Runs  []string `arg:"" name:"run" help:"The folders of runs."`
	SVG   string   `name:"svg" help:"Write the curves as a picture." placeholder:"FILE"`
	HTML  string   `name:"html" help:"Write curves and table as one page, which loads nothing." placeholder:"FILE"`
	ASCII bool     `name:"ascii" help:"Draw with ASCII alone, as where standard output is no terminal."`
	JSON  bool     `help:"Print one JSON object: the numbers of all epochs."`
}

// Help shows examples.
func (c *plotCommand) Help() string {
	return "Draws test and training error, loss and learning rate by epoch, and compares runs in a table. Runs are called by the settings in which they differ; " +
		"of those that differ in the seed alone it gives the median. A run that still goes on is drawn as far as it is.\n\n" +
		"Examples:\n\n  wrnc plot runs/WRN-16-1-cifar10-1-1\n  wrnc plot runs/WRN-16-1-cifar10-* --html seeds.html"
}

// plotFacts is what `wrnc plot --json` prints.
type plotFacts struct {
	Runs  []runNumbers `json:"runs"`
	Seeds []seedGroup  `json:"seeds,omitempty"`
}

// runNumbers are a run's, errors in percent.
type runNumbers struct {
	Run             string            `json:"run"` // the folder
	Label           string            `json:"label"`
	Settings        map[string]string `json:"settings"`
	PlannedEpochs   int               `json:"planned_epochs"`
	Ended           bool              `json:"ended"`
	TestError       metrics.Number    `json:"test_error"`
	BestTestError   metrics.Number    `json:"best_test_error"`
	BestEpoch       int               `json:"best_epoch"`        // 0 without one
	ImagesPerSecond metrics.Number    `json:"images_per_second"` // median of the epochs
	Seconds         metrics.Number    `json:"seconds"`
	Epochs          []metrics.Epoch   `json:"epochs"`
}

// Run draws, or reports every folder that is no run.
func (c *plotCommand) Run(s *session) error {
	if err := c.check(); err != nil {
		return err
	}
	var runs []*comparedRun
	var faults []error
	for _, dir := range c.Runs {
		r, err := readCompared(dir)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		runs = append(runs, r)
	}
	if last := len(faults) - 1; last >= 0 {
		for _, err := range faults[:last] {
			report(s.stderr, err, nil)
		}
		return faults[last]
	}
	compared := compareRuns(runs)
	if err := c.files(s, compared); err != nil {
		return err
	}
	switch {
	case c.JSON:
		return s.printJSON(compared.numbers())
	case c.SVG != "" || c.HTML != "":
		return nil
	}
	return c.draw(s, compared)
}

func (c *plotCommand) check() error {
	seen := map[string]bool{}
	for _, dir := range c.Runs {
		if seen[filepath.Clean(dir)] {
			return usagef("%s: given twice", dir)
		}
		seen[filepath.Clean(dir)] = true
	}
	switch {
	case c.ASCII && (c.JSON || c.SVG != "" || c.HTML != ""):
		return usagef("--ascii: nothing is drawn here with --json, --svg or --html; leave it out")
	case c.SVG != "" && c.HTML != "" && filepath.Clean(c.SVG) == filepath.Clean(c.HTML):
		return usagef("--svg and --html: both name %s; give two files", c.SVG)
	}
	if len(c.Runs) > chart.MaxSubjects && !(c.JSON && c.SVG == "" && c.HTML == "") {
		return usagef("%d runs: one picture tells at most %d apart; give fewer, or --json for the numbers alone", len(c.Runs), chart.MaxSubjects)
	}
	return nil
}

// readCompared reads a run's folder. One that has no log yet has no epochs.
func readCompared(dir string) (*comparedRun, error) {
	facts, err := readFacts(dir)
	if err != nil {
		return nil, err
	}
	log, err := metrics.ReadFile(filepath.Join(dir, metricsFile))
	if errors.Is(err, fs.ErrNotExist) {
		log, err = &metrics.Run{}, nil
	}
	if err != nil {
		return nil, err
	}
	return &comparedRun{dir: dir, facts: facts, log: log}, nil
}

// figure is the curves of all runs, or an error where there are none yet.
func (c *comparison) figure() (chart.Figure, error) {
	var runs []chart.Run
	epochs := 0
	for _, r := range c.runs {
		runs = append(runs, chart.Run{Name: r.label, Epochs: r.log.Epochs})
		epochs += len(r.log.Epochs)
	}
	if epochs == 0 {
		return chart.Figure{}, fmt.Errorf("%s: no epoch is trained yet; there is something to draw after the first", strings.Join(c.dirs(), ", "))
	}
	return chart.Training(c.title(), runs), nil
}

func (c *comparison) dirs() []string {
	var dirs []string
	for _, r := range c.runs {
		dirs = append(dirs, r.dir)
	}
	return dirs
}

// files writes what is asked for, and says so.
func (c *plotCommand) files(s *session, compared *comparison) error {
	if c.SVG == "" && c.HTML == "" {
		return nil
	}
	figure, err := compared.figure()
	if err != nil {
		return err
	}
	say := s.stdout
	if c.JSON {
		say = s.stderr
	}
	write := func(flag, path string, text func() (string, error)) error {
		if path == "" {
			return nil
		}
		content, err := text()
		if err != nil {
			return err
		}
		if err := writeText(path, content); err != nil {
			return fmt.Errorf("%s %s: %w", flag, path, plain(err))
		}
		_, err = fmt.Fprintf(say, "%s: %s\n", path, chart.Printable(compared.title()))
		return err
	}
	if err := write("--svg", c.SVG, func() (string, error) { return figure.SVG(), nil }); err != nil {
		return err
	}
	return write("--html", c.HTML, func() (string, error) { return plotPage(compared, figure) })
}

// draw prints curves and table.
func (c *plotCommand) draw(s *session, compared *comparison) error {
	figure, err := compared.figure()
	if err != nil {
		return err
	}
	width, isTerminal := terminal(s.stdout)
	if width == 0 {
		width = 80
	}
	o := chart.TextOptions{Width: width - 1, ASCII: c.ASCII || !isTerminal, Color: isTerminal && !s.noColor}
	table, err := compared.text(figure, o)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.stdout, "%s\n\n%s\n%s", chart.Printable(compared.title()), figure.Text(o), table)
	return err
}

// header and rows are the table of runs: the settings that differ, and what came of
// each run.
func (c *comparison) header() []string {
	var cells []string
	for _, i := range c.columns {
		cells = append(cells, c.runs[0].settings[i].name)
	}
	return append(cells, "epochs", "best test error", "last", "img/s", "time")
}

func (c *comparison) row(r *comparedRun) []string {
	var cells []string
	for _, i := range c.columns {
		cells = append(cells, chart.Printable(r.settings[i].value))
	}
	n := 0
	if len(r.log.Epochs) > 0 {
		n = r.log.Epochs[len(r.log.Epochs)-1].Epoch
	}
	epochs := fmt.Sprint(n)
	if !r.ended() {
		epochs = fmt.Sprintf("%d of %d", n, r.facts.Epochs)
	}
	best, epoch := r.best()
	bestText := formatPercent(best)
	if epoch > 0 {
		bestText += fmt.Sprintf(" (epoch %d)", epoch)
	}
	speed := "-"
	if v := r.speed(); !math.IsNaN(v) {
		speed = fmt.Sprintf("%.0f", v)
	}
	return append(cells, epochs, bestText, formatPercent(r.last()), speed, formatSeconds(r.seconds()))
}

// text is the table as text, with a sign for each run that is also that of its curves,
// and what is to be said of runs.
func (c *comparison) text(figure chart.Figure, o chart.TextOptions) (string, error) {
	var table strings.Builder
	t := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, strings.Join(c.header(), "\t"))
	for _, r := range c.runs {
		fmt.Fprintln(t, strings.Join(c.row(r), "\t"))
	}
	if err := t.Flush(); err != nil {
		return "", err
	}
	var b strings.Builder
	for i, line := range strings.SplitAfter(strings.TrimSuffix(table.String(), "\n"), "\n") {
		sign := strings.Repeat(" ", chart.SignWidth)
		if i > 0 {
			sign = figure.Sign(i-1, o)
		}
		fmt.Fprintf(&b, "%s  %s\n", sign, strings.TrimRight(line, " \n"))
	}
	for _, note := range c.notes() {
		fmt.Fprintf(&b, "\n%s", note)
	}
	if len(c.notes()) > 0 {
		b.WriteByte('\n')
	}
	return b.String(), nil
}

// notes are the medians over seeds, and what of runs cannot be drawn.
func (c *comparison) notes() []string {
	var notes []string
	for _, g := range c.seeds() {
		notes = append(notes, chart.Printable(g.String()))
	}
	for _, r := range c.runs {
		switch n := r.missing(); {
		case len(r.log.Epochs) == 0:
			notes = append(notes, chart.Printable(r.label)+": no epoch is trained yet")
		case n > 0:
			notes = append(notes, fmt.Sprintf("%s: %d of %d epochs have numbers that are not known or not finite, and leave gaps", chart.Printable(r.label), n, len(r.log.Epochs)))
		}
	}
	return notes
}

// numbers are all numbers of the comparison.
func (c *comparison) numbers() plotFacts {
	facts := plotFacts{Runs: []runNumbers{}, Seeds: c.seeds()}
	for _, r := range c.runs {
		settings := map[string]string{}
		for _, s := range r.settings {
			settings[s.name] = s.value
		}
		best, epoch := r.best()
		epochs := r.log.Epochs
		if epochs == nil {
			epochs = []metrics.Epoch{} // in JSON a list all the same
		}
		facts.Runs = append(facts.Runs, runNumbers{
			Run: r.dir, Label: r.label, Settings: settings, PlannedEpochs: r.facts.Epochs, Ended: r.ended(),
			TestError: metrics.Number(r.last()), BestTestError: metrics.Number(best), BestEpoch: epoch,
			ImagesPerSecond: metrics.Number(r.speed()), Seconds: metrics.Number(r.seconds()), Epochs: epochs,
		})
	}
	return facts
}

// formatPercent prints an error, or a dash where it is not known.
func formatPercent(v float64) string {
	if math.IsNaN(v) {
		return "-"
	}
	return fmt.Sprintf("%.2f %%", v)
}

// formatSeconds prints a time, or a dash where it is not known.
func formatSeconds(v float64) string {
	if !(v >= 0 && v < math.MaxInt64/float64(time.Second)) { // nor is NaN
		return "-"
	}
	return metrics.FormatDuration(time.Duration(v * float64(time.Second)))
}
