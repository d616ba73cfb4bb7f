package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"

	"wrnc/runtime/cuda/jit"
	"wrnc/runtime/data"
)

// session is what a command sees of the world.
type session struct {
	stdout, stderr io.Writer
	args           []string // the command line after the program's name
	noColor        bool     // https://no-color.org
	now            func() time.Time
	open           func(set dataSet, folder string, input [3]int) (*data.Source, error) // reads a data set
	gpu            func(driver string, device int, o jit.Options) (gpu, error)
}

// read reads what is wanted of the data set from its folder.
func (d dataSet) read(folder string, input [3]int) (*data.Source, error) {
	if d.measure {
		return d.test(folder, input)
	}
	return d.open(folder, input)
}

func newSession(stdout, stderr io.Writer) *session {
	return &session{stdout: stdout, stderr: stderr, noColor: os.Getenv("NO_COLOR") != "", now: time.Now, open: dataSet.read, gpu: openDriver}
}

// terminal tells whether w is a terminal, and how wide it is.
func terminal(w io.Writer) (width int, ok bool) {
	f, isFile := w.(*os.File)
	if !isFile || !term.IsTerminal(int(f.Fd())) {
		return 0, false
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0, true // a terminal that does not say how wide it is
	}
	return width, true
}

// printJSON writes v as one indented object.
func (s *session) printJSON(v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.stdout, "%s\n", text)
	return err
}
