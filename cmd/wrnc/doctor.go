package main

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// doctorCommand is `wrnc doctor`.
type doctorCommand struct {
	Data   string `help:"Folder that the data's files lie in, by default data." default:"data" placeholder:"DIR"`
	Python string `help:"The Python that comparisons with PyTorch run in; python3 by default." default:"python3" placeholder:"PATH"`
	JSON   bool   `help:"Print one JSON object."`
}

// Help shows an example.
func (c *doctorCommand) Help() string {
	return "Each line is marked ok, missing (which costs speed or a feature) or problem (which is there and does not work), with the way out below it. " +
		"The exit code is 1 if there is a problem. Libraries of others are looked at in processes of their own, for a limited time.\n\n" +
		"Example: wrnc doctor --data ~/cifar"
}

// state is a finding's mark.
type state string

const (
	fine    state = "ok"
	missing state = "missing" // training runs without it
	problem state = "problem" // it is there and does not work
)

// finding is what there is to say of a part of the machine.
type finding struct {
	Part   string         `json:"part"`
	State  state          `json:"state"`
	Text   string         `json:"text"`
	Remedy string         `json:"remedy,omitempty"`
	Facts  map[string]any `json:"facts,omitempty"`
}

// doctorFacts is what `wrnc doctor --json` prints.
type doctorFacts struct {
	OK       bool      `json:"ok"`       // there is no problem
	Targets  []string  `json:"train_on"` // targets that networks can be trained on
	Findings []finding `json:"findings"`
}

// Run looks at the machine.
func (c *doctorCommand) Run(s *session) error {
	if what := os.Getenv(probeVariable); what != "" {
		return answerProbe(s.stdout, what)
	}
	facts := doctorFacts{OK: true, Targets: []string{"cpu"}}
	problems := 0
	tell := func(list ...finding) error {
		for _, f := range list {
			facts.Findings = append(facts.Findings, f)
			if f.State == problem {
				facts.OK = false
				problems++
			}
			if c.JSON {
				continue
			}
			if err := f.print(s.stdout, s.colours()); err != nil {
				return err
			}
		}
		return nil
	}
	e := examination{data: c.Data, python: c.Python, ask: ask}
	for _, part := range []func() []finding{e.program, e.processor, e.gpus, e.compiler, e.cache, e.dataSets, e.disk, e.tools} {
		if err := tell(part()...); err != nil {
			return err
		}
	}
	if e.onGPU {
		facts.Targets = []string{"cuda", "cpu"}
	}
	if c.JSON {
		if err := s.printJSON(facts); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(s.stdout, "\nnetworks can be trained by: %s\n", strings.Join(facts.Targets, ", "))
	}
	switch problems {
	case 0:
		return nil
	case 1:
		return fmt.Errorf("there is a problem")
	}
	return fmt.Errorf("there are %d problems", problems)
}

// colours tells whether standard output takes them.
func (s *session) colours() bool {
	_, is := terminal(s.stdout)
	return is && !s.noColor
}

// print writes a finding, and below it what to do.
func (f finding) print(w io.Writer, colours bool) error {
	mark := fmt.Sprintf("%-8s", f.State)
	if colours {
		mark = map[state]string{fine: "\x1b[32m", missing: "\x1b[33m", problem: "\x1b[31m"}[f.State] + mark + "\x1b[0m"
	}
	_, err := fmt.Fprintf(w, "%s %-9s %s\n", mark, f.Part, f.Text)
	if err == nil && f.Remedy != "" {
		_, err = fmt.Fprintf(w, "%19s%s\n", "", f.Remedy)
	}
	return err
}
