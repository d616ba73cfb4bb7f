package main

import (
	"fmt"
	"io"
	"math"
	"text/tabwriter"

	"wrnc/compiler/irgen"
	"wrnc/dsl"
)

// checkCommand is `wrnc check`.
type checkCommand struct {
	Paper checkPaperCommand `cmd:"" help:"Count the parameters of every network of the paper, beside the paper's counts."`
}

// checkPaperCommand is `wrnc check paper`.
type checkPaperCommand struct {
	JSON bool `help:"Print one JSON object."`
}

// Help shows an example.
func (c *checkPaperCommand) Help() string {
	return "A count agrees where it is the known exact one and rounds to what the paper prints. The exit code is 1 if one does not, " +
		"unless the paper's own figure is a known slip, which the table says.\n\nExample: wrnc check paper"
}

// counted is a line of the table: a network of the paper and its count.
type counted struct {
	Table      string  `json:"table"`
	Network    string  `json:"network"`
	Classes    int     `json:"classes,omitempty"`
	Convs      int     `json:"convs,omitempty"`
	Parameters int     `json:"parameters,omitempty"`     // 0 where wrnc describes no such network
	Exact      int     `json:"exact,omitempty"`          // known from the authors' code or logs; 0 where it is not
	Millions   float64 `json:"paper_millions,omitempty"` // as the paper prints it; 0 where it prints none
	Agrees     bool    `json:"agrees"`
	Note       string  `json:"note,omitempty"`
}

// paperFacts is what `wrnc check paper --json` prints.
type paperFacts struct {
	Networks []counted `json:"networks"`
	Counted  int       `json:"counted"` // that have a count
	Differ   int       `json:"differ"`
}

// Run counts.
func (c *checkPaperCommand) Run(s *session) error {
	rows, err := paperRows(paperText)
	if err != nil {
		return faultError{fmt.Sprintf("the paper's tables: %v", err)}
	}
	return checkRows(s, rows, c.JSON)
}

// checkRows counts the networks of the rows and prints them.
func checkRows(s *session, rows []paperRow, json bool) error {
	var facts paperFacts
	for _, r := range rows {
		line, err := r.count()
		if err != nil {
			return faultError{fmt.Sprintf("%s, %s: %v", r.table, r.network, err)}
		}
		facts.Networks = append(facts.Networks, line)
		if line.Parameters > 0 {
			facts.Counted++
		}
		if !line.Agrees {
			facts.Differ++
		}
	}
	if json {
		if err := s.printJSON(facts); err != nil {
			return err
		}
	} else if err := facts.print(s.stdout); err != nil {
		return err
	}
	if facts.Differ > 0 {
		return fmt.Errorf("%d of %d counts differ from the paper's", facts.Differ, facts.Counted)
	}
	return nil
}

// count builds the network of a row and compares.
func (r paperRow) count() (counted, error) {
	line := counted{Table: r.table, Network: r.network, Exact: r.exact, Millions: r.millions, Note: r.slip, Agrees: true}
	if r.text == "" {
		line.Note = "described elsewhere; not built"
		return line, nil
	}
	net, err := dsl.Load(r.network, []byte(r.text))
	if err != nil {
		return line, err
	}
	m, err := irgen.Build(net, 2)
	if err != nil {
		return line, err
	}
	line.Classes, line.Convs, line.Parameters = net.Classes, net.Convs, m.Params()
	rounded := math.Round(float64(line.Parameters)/1e5) / 10
	switch {
	case r.exact != 0 && line.Parameters != r.exact:
		line.Agrees, line.Note = false, fmt.Sprintf("the exact count is %s", formatCount(int64(r.exact)))
	case r.slip == "" && r.millions != 0 && rounded != r.millions:
		line.Agrees, line.Note = false, fmt.Sprintf("rounds to %vM", rounded)
	}
	return line, nil
}

// print writes the table.
func (f *paperFacts) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "table\tnetwork\tclasses\tconvs\t parameters\t paper\t")
	slips := 0
	for _, n := range f.Networks {
		printed, verdict := "-", "agrees"
		if n.Millions != 0 {
			printed = fmt.Sprintf("%.1fM", n.Millions)
		}
		classes, convs, parameters := fmt.Sprint(n.Classes), fmt.Sprint(n.Convs), formatCount(int64(n.Parameters))
		switch {
		case n.Parameters == 0:
			classes, convs, parameters, verdict = "-", "-", "-", n.Note
		case !n.Agrees:
			verdict = "DIFFERS: " + n.Note
		case n.Note != "":
			verdict = "a slip of the paper: " + n.Note
			slips++
		case n.Exact == 0 && n.Millions == 0:
			verdict = "nothing to compare with"
		}
		fmt.Fprintf(t, "%s\t%s\t%7s\t%5s\t%11s\t%6s\t%s\n", n.Table, n.Network, classes, convs, parameters, printed, verdict)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%d networks counted: %d differ; %d figures of the paper are slips\n", f.Counted, f.Differ, slips)
	return err
}
