package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"wrnc/compiler/ir"
	"wrnc/compiler/plan"
	"wrnc/dsl"
	kernels "wrnc/kernels/cpu"
	"wrnc/runtime/checkpoint"
	"wrnc/runtime/metrics"
	"wrnc/runtime/train"
)

// resumption is a run that goes on.
type resumption struct {
	dir       string
	facts     runFacts
	fromStep  *int64   // a step to go back to
	scale     *float64 // of the rates
	otherPlan bool     // is allowed

	from *train.Checkpoint // nil where none was kept; the run then begins again
}

// resume goes on with the run in a folder. The run is this process's before
// anything in it is read that another one could change.
func (c *runCommand) resume(s *session) (err error) {
	if err := c.scaleAllowed(); err != nil {
		return err
	}
	if _, err := readRun(c.Resume); err != nil {
		return err
	}
	unlock, err := lockRun(c.Resume)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	facts, err := readRun(c.Resume)
	if err != nil {
		return err
	}
	if err := c.contradiction(facts); err != nil {
		return err
	}
	if c.FromStep != nil { // told before the work
		kept, err := train.Checkpoints(c.Resume)
		if err != nil {
			return err
		}
		if _, err := keptAt(c.Resume, kept, *c.FromStep); err != nil {
			return err
		}
	}
	c.adopt(facts)
	if err := c.sameISA(facts); err != nil {
		return err
	}
	j, err := c.job(s, io.Discard) // what its notes say was said when the run began
	if err != nil {
		return err
	}
	j.resumed = &resumption{dir: c.Resume, facts: facts, fromStep: c.FromStep, scale: c.ScaleLR, otherPlan: c.OtherPlan}
	return s.train(j)
}

// sameISA takes the instruction set of the run, which this machine must have unless
// another is allowed.
func (c *runCommand) sameISA(f runFacts) error {
	if c.Target != "cpu" || f.Target != "cpu" {
		return nil
	}
	runs := func(isa *kernels.ISA) bool { return isa.Name == f.ISA }
	if here := slices.ContainsFunc(kernels.Available(), runs); !here && !c.OtherPlan {
		return fmt.Errorf("--resume %s: the run was begun with %s, which this machine cannot run; go on where it can, or add --allow-other-plan: the results then agree within rounding", c.Resume, f.ISA)
	} else if here && c.ISA == "auto" {
		c.ISA = f.ISA
	}
	return nil
}

// withoutGPU adds to an error for want of a run's GPU how it goes on without one.
func (c *runCommand) withoutGPU(err error) error {
	if c.kept == nil || c.Target == "cpu" || errors.As(err, new(usageError)) {
		return err
	}
	return fmt.Errorf("--resume %s: the run was begun on %s; where there is none, it goes on by --target cpu --allow-other-plan, with results that agree within rounding: %w",
		c.Resume, c.Target, err)
}

func (c *runCommand) scaleAllowed() error {
	if x := c.ScaleLR; x != nil && !(*x > 0 && *x <= maxScale) {
		return usagef("--scale-lr %v: expected a number above 0 and at most %d", *x, maxScale)
	}
	return nil
}

// contradiction refuses a flag that says otherwise than the run.
func (c *runCommand) contradiction(f runFacts) error {
	if _, err := chooseTarget(c.Target); err != nil {
		return err
	}
	differs := func(flag string, given, was any) error {
		return usagef("%s %v: the run in %s was begun with %v; leave the flag out, or begin another run with --train", flag, given, c.Resume, was)
	}
	number := func(flag string, given *int, was any) error {
		if given == nil || *given == was {
			return nil
		}
		return differs(flag, *given, was)
	}
	limit := any("all pictures")
	if f.Choices.Limit != nil {
		limit = *f.Choices.Limit
	}
	switch {
	case c.Train != "" && !f.trainedOn(c.Train):
		return differs("--train", c.Train, f.trained())
	case c.LR != nil && *c.LR != f.LR:
		return usagef("--lr %v: the run in %s was begun with %v; --scale-lr %.4g changes the rates of all steps to come", *c.LR, c.Resume, f.LR, *c.LR/f.LR)
	case c.Seed != nil && *c.Seed != f.Seed:
		return differs("--seed", *c.Seed, f.Seed)
	case c.Target != "auto" && c.Target != f.Target && !c.OtherPlan:
		return usagef("--target %s: the run in %s was begun on %s, and the results would differ in rounding; leave the flag out, or add --allow-other-plan", c.Target, c.Resume, f.Target)
	case c.Precision != "" && c.Precision != f.Precision:
		return differs("--precision", c.Precision, f.Precision)
	case c.NoFuse && f.Fused:
		return usagef("--no-fuse: the run in %s was begun with fusion; leave the flag out, or begin another run with --train", c.Resume)
	case c.Out != "" && filepath.Clean(c.Out) != filepath.Clean(c.Resume):
		return usagef("--out %s: the run goes on in its own folder, %s; copy that to keep it as it is", c.Out, c.Resume)
	case c.ISA != "auto" && c.Target == "auto" && f.ISA == "":
		return usagef("--isa %s: the run in %s was begun on %s, which has no instruction sets; leave the flag out", c.ISA, c.Resume, f.Target)
	case c.ISA != "auto" && c.ISA != f.ISA && !c.OtherPlan:
		return usagef("--isa %s: the run in %s was begun with %s, and the results would differ in rounding; leave the flag out, or add --allow-other-plan", c.ISA, c.Resume, f.ISA)
	}
	if err := errors.Join(number("--epochs", c.Epochs, f.Epochs), number("--batch", c.Batch, f.Batch), number("--limit", c.Limit, limit)); err != nil {
		return err
	}
	if c.Network == "" {
		return nil
	}
	set, err := chooseData("--train", f.trained())
	if err != nil {
		return err
	}
	if text, err := c.text(set); err != nil {
		return err
	} else if text.Text != f.Network.Text {
		was := f.Network.title()
		if was == c.Network {
			was = "another text of that name, which its run.json keeps"
		}
		return usagef("%s: the run in %s was begun with %s; leave the network out, or begin another run with --train", c.Network, c.Resume, was)
	}
	return nil
}

// title is what the user called the network.
func (t networkText) title() string {
	if name, is := strings.CutPrefix(t.Text, "model "); is && t.Name == dsl.NameFile {
		return strings.TrimSpace(name)
	}
	return t.Name
}

// ownFolder tells a run on a folder of the user's own, which no data set is.
func (f runFacts) ownFolder() bool { return !slices.Contains(dsl.DataSets(), f.Data) }

// trained returns what --train said.
func (f runFacts) trained() string {
	if f.ownFolder() {
		return f.Choices.Folder
	}
	return f.Data
}

// trainedOn tells whether --train said the same.
func (f runFacts) trainedOn(name string) bool {
	if whole, err := filepath.Abs(name); err == nil && f.ownFolder() {
		name = whole
	}
	return name == f.trained()
}

// adopt takes the choices of the run.
func (c *runCommand) adopt(f runFacts) {
	was := f.Choices
	c.Train, c.kept = f.trained(), &f.Network
	files := was.Folder
	if f.ownFolder() { // which may have moved as well
		c.Train, c.Data, files = cmp.Or(c.Data, files), "", ""
	}
	c.Seed, c.NoFuse, c.Precision = &f.Seed, !f.Fused, f.Precision
	if c.Target == "auto" {
		c.Target = f.Target
	}
	c.Epochs, c.LR, c.Batch, c.Limit = was.Epochs, was.LR, was.Batch, was.Limit
	if c.Data == "" { // the files may have moved
		c.Data = files
	}
	if c.SaveEvery == nil {
		c.SaveEvery = was.SaveEvery
	}
	if c.KeepEvery == nil {
		c.KeepEvery = was.KeepEvery
	}
}

// choices are those that a run's folder keeps.
func (c *runCommand) choices(set dataSet, net *dsl.Network) (runChoices, error) {
	kept := runChoices{Epochs: c.Epochs, LR: c.LR, Batch: c.Batch, Limit: c.Limit, SaveEvery: c.SaveEvery, KeepEvery: c.KeepEvery}
	if folder := c.folder(set, net); folder != "" {
		var err error
		if kept.Folder, err = filepath.Abs(folder); err != nil {
			return runChoices{}, err
		}
	}
	return kept, nil
}

// text is the network as it was written.
func (c *runCommand) text(set dataSet) (networkText, error) {
	switch {
	case c.kept != nil:
		return *c.kept, nil
	case c.Network == "":
		return networkText{defaultName(set), set.network}, nil
	case dsl.IsName(c.Network):
		return networkText{dsl.NameFile, "model " + c.Network + "\n"}, nil
	}
	text, err := readNetwork(c.Network, fileOrName)
	return networkText{c.Network, string(text)}, err
}

// check refuses to go on where the numbers would be others.
func (r *resumption) check(j job, plans []*plan.Plan) error {
	was, is := r.facts, j.facts(plans)
	if !r.otherPlan && is.ISA != was.ISA {
		return fmt.Errorf("%s: the run was begun with %s, and here it would go on with %s; go on where it was begun, or add --allow-other-plan: the results then agree within rounding", r.dir, was.ISA, is.ISA)
	}
	if !r.otherPlan && is.Plan != was.Plan {
		return fmt.Errorf("%s: this wrnc plans the network otherwise than the run's plan-*.txt say (hash %.12s, here %.12s), so the results would differ in rounding; take the wrnc that began the run, or add --allow-other-plan",
			r.dir, was.Plan, is.Plan)
	}
	// These may differ, or say where a choice came from.
	is.Target, is.ISA, is.Device, is.Plan = was.Target, was.ISA, was.Device, was.Plan
	is.Choices, is.Network, is.Changes = was.Choices, was.Network, was.Changes
	return sameFacts(r.dir, was, is)
}

// sameFacts compares all that a run depends on, and names the first difference.
func sameFacts(dir string, was, is runFacts) error {
	var values [2]map[string]json.RawMessage
	for i, f := range []runFacts{was, is} {
		text, err := json.Marshal(f)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(text, &values[i]); err != nil {
			return err
		}
	}
	for _, key := range slices.Sorted(maps.Keys(values[0])) {
		if a, b := values[0][key], values[1][key]; string(a) != string(b) {
			return fmt.Errorf("%s: the run was begun with %s %s, and here it is %s; go on with the data and the wrnc that it was begun with, or begin another run with --train", filepath.Join(dir, runFile), key, a, b)
		}
	}
	return nil
}

// choose reads the checkpoint to go on from.
func (r *resumption) choose(m *ir.Module, o *train.Options) error {
	kept, err := train.Checkpoints(r.dir)
	if err != nil {
		return err
	}
	if r.scale != nil {
		o.RateScale = *r.scale
	}
	if r.fromStep == nil && len(kept) == 0 {
		return nil
	}
	at := len(kept) - 1
	if r.fromStep != nil {
		if at, err = keptAt(r.dir, kept, *r.fromStep); err != nil {
			return err
		}
	}
	if r.from, err = train.ReadCheckpoint(kept[at].Path, m); err != nil {
		if at > 0 {
			return fmt.Errorf("%w; go back to the one before by: wrnc run --resume %s --from-step %d", err, shellWord(r.dir), kept[at-1].Step)
		}
		return fmt.Errorf("%w; there is none before it: remove it to begin the run again", err)
	}
	if p := r.from.Point; p.Epoch > len(o.Recipe.Epochs) || r.from.Seed != r.facts.Seed {
		return fmt.Errorf("%s: it is a checkpoint of another run: of seed %d, after %d epochs, where the run in %s has seed %d and %d epochs; remove it, or put back the one that was there",
			r.from.Path, r.from.Seed, p.Epoch, r.dir, r.facts.Seed, len(o.Recipe.Epochs))
	}
	o.From = r.from
	return nil
}

// keptAt finds the checkpoint of a step among those that are kept in a run's folder.
func keptAt(dir string, kept []train.Kept, step int64) (int, error) {
	at := slices.IndexFunc(kept, func(k train.Kept) bool { return k.Step == step })
	if at < 0 {
		return 0, usagef("--from-step %d: no checkpoint of that step is kept in %s; %s", step, dir, stepList(kept))
	}
	return at, nil
}

// stepList says which steps there are.
func stepList(kept []train.Kept) string {
	if len(kept) == 0 {
		return "there is none"
	}
	text := "there are those of"
	for i, k := range kept {
		if i > 0 {
			text += ","
		}
		text += fmt.Sprintf(" %d", k.Step)
	}
	return text
}

// prepare makes the folder what it was at the checkpoint: without later
// checkpoints where the user goes back, without later records, with what changes
// from here on in run.json.
func (r *resumption) prepare(j job, plans []*plan.Plan, o train.Options) error {
	if err := removePartial(r.dir); err != nil {
		return err
	}
	point := train.Point{}
	if r.from != nil {
		point = r.from.Point
		if r.fromStep != nil {
			if err := train.GoBack(r.dir, r.from); err != nil {
				return err
			}
		}
	}
	facts, changed := r.changed(j, plans, point.Step)
	if changed {
		if err := writePlans(r.dir, plans); err != nil {
			return r.unwritten(err, point)
		}
		if err := facts.write(r.dir); err != nil {
			return r.unwritten(err, point)
		}
	}
	err := checkpoint.Replace(filepath.Join(r.dir, metricsFile), func(w io.Writer) error {
		log := metrics.NewLog(w)
		for _, e := range point.Epochs {
			if err := log.Epoch(e); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return r.unwritten(err, point)
	}
	switch {
	case r.from == nil:
		fmt.Fprintf(j.words, "no checkpoint was kept in %s, so the run begins again\n\n", r.dir)
	case point.Epoch == len(o.Recipe.Epochs):
		fmt.Fprintf(j.words, "all %d epochs of the run in %s are trained\n", point.Epoch, r.dir)
	default:
		fmt.Fprintf(j.words, "the run in %s goes on after step %d, in epoch %d; %s were trained before\n\n",
			r.dir, point.Step, point.Epoch+1, metrics.FormatDuration(time.Duration(point.Seconds*float64(time.Second))))
	}
	return nil
}

// unwritten says that nothing has been lost.
func (r *resumption) unwritten(err error, at train.Point) error {
	return advise(&train.SaveError{Step: at.Step, Err: err}, r.dir, train.Summary{})
}

// changed returns the run's facts with what is another from a step on.
func (r *resumption) changed(j job, plans []*plan.Plan, step int64) (runFacts, bool) {
	was, is := r.facts, j.facts(plans)
	change := runChange{Step: step}
	if is.Target != was.Target {
		change.Target = is.Target
	}
	if is.ISA != was.ISA {
		change.ISA = is.ISA
	}
	if is.Device != was.Device {
		change.Device = is.Device
	}
	if is.Plan != was.Plan {
		change.Plan = is.Plan
	}
	if r.scale != nil {
		change.RateScale = *r.scale
	}
	is.Network, is.Changes = was.Network, was.Changes
	if change == (runChange{Step: step}) {
		return is, !equalChoices(is.Choices, was.Choices)
	}
	is.Changes = append(is.Changes, change)
	return is, true
}

// equalChoices compares what may be chosen anew.
func equalChoices(a, b runChoices) bool {
	return a.Folder == b.Folder && orZero(a.SaveEvery) == orZero(b.SaveEvery) && orZero(a.KeepEvery) == orZero(b.KeepEvery)
}
