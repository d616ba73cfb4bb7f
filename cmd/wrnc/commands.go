package main

import (
	"fmt"
	"slices"
	"strings"

	"wrnc/dsl/diag"
)

const description = `Compiles Wide Residual Networks to fused kernels, trains them, and uses them.

A network is a .wrn file or a name: WRN-16-8, WRN-40-2-B(3,1,3).

  wrnc run --train digits      train on pictures that wrnc makes itself
  wrnc run --infer RUN a.png   tell what is on a picture
  wrnc summary WRN-28-10       layers, parameters, memory
  wrnc expand WRN-16-8         the network as layers, to be changed
  wrnc build WRN-16-4 -o out   every stage of the compilation, as text`

// commands is the command line. Each command is a file.
type commands struct {
	Build   buildCommand   `cmd:"" help:"Compile a network and write down every stage."`
	Run     runCommand     `cmd:"" help:"Train a network, measure what was trained, or tell what is on pictures."`
	Plot    plotCommand    `cmd:"" help:"Draw the curves of runs, and compare them."`
	Bench   benchCommand   `cmd:"" help:"Measure how fast networks train or infer, here and in PyTorch."`
	Summary summaryCommand `cmd:"" help:"Say what a network is made of, before anything runs."`
	Show    showCommand    `cmd:"" help:"Print a network with every default, and where each comes from."`
	Expand  expandCommand  `cmd:"" help:"Print a network as layers."`
	Fmt     fmtCommand     `cmd:"" help:"Print or rewrite network files in their canonical layout."`
	Verify  verifyCommand  `cmd:"" help:"Compare a machine's kernels with the interpreter."`
	Doctor  doctorCommand  `cmd:"" help:"Say what of the machine wrnc can use, what is missing, and how to get it."`
	Check   checkCommand   `cmd:"" help:"Compare with the paper: wrnc check paper."`
	Version versionCommand `cmd:"" help:"Say which wrnc this is."`
}

// oneOf refuses a flag's value that is none of the choices, and suggests the nearest.
func oneOf(flag, value string, choices ...string) error {
	if slices.Contains(choices, value) {
		return nil
	}
	hint := ""
	if near := diag.Nearest(strings.ToLower(value), choices); near != "" {
		hint = fmt.Sprintf(", did you mean %q?", near)
	}
	return usagef("%s %s: expected one of %s%s", flag, value, strings.Join(choices, ", "), hint)
}

// The bounds of flags, those of the language.
const (
	maxBatch   = 65536
	maxEpochs  = 100000
	maxRate    = 1000
	maxScale   = 1000000 // of rates
	maxThreads = 1024
)

// within refuses a whole number outside lo..hi. An absent flag is nil.
func within(flag string, value *int, lo, hi int) error {
	if value != nil && (*value < lo || *value > hi) {
		return usagef("%s %d: expected %d to %d", flag, *value, lo, hi)
	}
	return nil
}
