package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	kernels "wrnc/kernels/cpu"
)

// versionCommand is `wrnc version`.
type versionCommand struct {
	JSON bool `help:"Print one JSON object."`
}

// Help shows an example.
func (c *versionCommand) Help() string { return "Example: wrnc version --json" }

// versionFacts is what `wrnc version --json` prints.
type versionFacts struct {
	Version  string   `json:"version"`
	Revision string   `json:"revision"`
	Go       string   `json:"go"`
	System   string   `json:"system"`
	Targets  []string `json:"targets"`
	ISAs     []string `json:"isas"` // that this machine runs, the fastest first
}

// Run prints which wrnc this is and what this machine can run.
func (c *versionCommand) Run(s *session) error {
	facts := thisVersion()
	if c.JSON {
		return s.printJSON(facts)
	}
	_, err := fmt.Fprintf(s.stdout, "wrnc %v, %s %s\ntargets: %s\ninstruction sets of this machine: %s\n",
		facts, facts.Go, facts.System, strings.Join(facts.Targets, ", "), strings.Join(facts.ISAs, ", "))
	return err
}

// thisVersion says which wrnc this is and what this machine can run.
func thisVersion() versionFacts {
	facts := versionFacts{Version: "(devel)", Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH, Targets: targetNames()}
	if info, ok := debug.ReadBuildInfo(); ok {
		if info.Main.Version != "" {
			facts.Version = info.Main.Version
		}
		for _, setting := range info.Settings {
			if setting.Key == "vcs.revision" {
				facts.Revision = setting.Value
			}
		}
	}
	for _, isa := range kernels.Available() {
		facts.ISAs = append(facts.ISAs, isa.Name)
	}
	return facts
}

// String is the version and, where it is known, the revision.
func (f versionFacts) String() string { return strings.TrimSpace(f.Version + " " + f.Revision) }
