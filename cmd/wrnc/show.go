package main

import (
	"fmt"
	"io"

	"wrnc/dsl"
)

// showCommand is `wrnc show`.
type showCommand struct {
	Network string `arg:"" name:"file|name" help:"A .wrn file, or a name such as WRN-16-8."`
	JSON    bool   `help:"Print one JSON object: the model and its settings."`
}

// Help shows an example.
func (c *showCommand) Help() string {
	return "Prints the network's file with every default filled in, and where each comes from:\n" +
		"a line of the file, the paper, the authors' reference code, or wrnc.\n\n" +
		"Example: wrnc show WRN-16-8"
}

// showFacts is what `wrnc show --json` prints.
type showFacts struct {
	Model    string        `json:"model"`
	Settings []dsl.Setting `json:"settings"`
}

// Run prints the settings.
func (c *showCommand) Run(s *session) error {
	net, err := loadNetwork(c.Network)
	if err != nil {
		return err
	}
	if c.JSON {
		return s.printJSON(showFacts{Model: net.Name, Settings: net.Settings()})
	}
	for _, note := range net.Notes {
		fmt.Fprint(s.stderr, note.String())
	}
	text, err := net.Show()
	if err != nil {
		return err
	}
	_, err = io.WriteString(s.stdout, text)
	return err
}
