// Package benchtest stands in for a Python with PyTorch: it answers as wrnc's program
// for it does, rightly or in one of the wrong ways. Only tests use it.
package benchtest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"
)

// The environment that tells the stand-in what to do.
const (
	Mode       = "WRNC_FAKE_PEER"            // a key of answers
	Parameters = "WRNC_FAKE_PEER_PARAMETERS" // of the networks that it says to have built
	Device     = "WRNC_FAKE_PEER_DEVICE"     // the name of its GPU
)

// answers are the wrong answers, by mode, to what is asked first, of a network or a
// convolution, and of steps; where one is empty the right one is given.
var answers = map[string]struct{ hello, job, steps string }{
	"right":    {},
	"compiled": {},
	"missing":  {hello: `{"missing": "No module named 'torch'"}`},
	"blind":    {hello: `{"no_gpu": "Torch not compiled with CUDA enabled"}`},
	"nowhere":  {hello: `{"torch": "2.7.1", "threads": 2}`},
	"nameless": {hello: `{}`},
	"threads":  {hello: `{"torch": "2.7.1", "threads": 77, "device": "cpu"}`},
	"garbage":  {hello: `Python 3.11.7`},
	"long":     {hello: strings.Repeat("x", 2<<20)},
	"ends":     {hello: "END"},
	"dies":     {job: "END"},
	"hangs":    {steps: "HANG"},
	"error":    {job: `{"error": "RuntimeError: out of memory"}`},
	"list":     {job: `[1, 2]`},
	"nothing":  {job: `{}`},
	"few":      {steps: `{"seconds": []}`},
	"negative": {steps: `{"seconds": [-1]}`},
	"text":     {steps: `{"seconds": "soon"}`},
}

// Main is the stand-in. Its arguments are those of Python: -c PROGRAM THREADS DEVICE PRECISION.
func Main() {
	if len(os.Args) != 6 || os.Args[1] != "-c" || !strings.Contains(os.Args[2], "import torch") {
		fmt.Fprintln(os.Stderr, "usage: -c PROGRAM THREADS DEVICE PRECISION")
		os.Exit(2)
	}
	mode := os.Getenv(Mode)
	wrong, known := answers[mode]
	if !known {
		fmt.Fprintf(os.Stderr, "%s=%s is no mode\n", Mode, mode)
		os.Exit(2)
	}
	device := os.Args[4]
	if device != "cpu" {
		device = os.Getenv(Device)
	}
	say(wrong.hello, fmt.Sprintf(`{"torch": "2.7.1", "threads": %s, "device": %q}`, os.Args[3], device))
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var job struct {
			Do    string
			Count int
		}
		if err := json.Unmarshal(lines.Bytes(), &job); err != nil {
			say("", `{"error": "no JSON"}`)
			continue
		}
		switch job.Do {
		case "steps":
			say(wrong.steps, `{"seconds": [0.002`+strings.Repeat(", 0.002", job.Count-1)+`]}`)
		case "conv":
			say(wrong.job, `{"program": "channels_last"}`)
		case "network":
			say(wrong.job, prepared(mode == "compiled"))
		}
	}
}

func prepared(compileFails bool) string {
	failed := ""
	if compileFails {
		failed = `, "failed": {"contiguous compiled": "CppCompileError: no compiler\nand much else"}`
	}
	parameters := os.Getenv(Parameters)
	if parameters == "" {
		parameters = "0"
	}
	return fmt.Sprintf(`{"program": "channels_last eager", "parameters": %s, "probe": {"channels_last eager": 0.002, "contiguous eager": 0.003}%s}`, parameters, failed)
}

// say answers, wrongly where there is a wrong answer.
func say(wrong, right string) {
	switch wrong {
	case "":
		fmt.Println(right)
	case "END":
		fmt.Fprintln(os.Stderr, "Illegal instruction")
		os.Exit(132)
	case "HANG":
		time.Sleep(time.Hour)
	default:
		fmt.Println(wrong)
	}
}
