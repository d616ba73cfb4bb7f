// Command wrnc compiles Wide Residual Networks and trains them.
//
//	wrnc run --train digits          train the default network, with no download
//	wrnc summary WRN-28-10           what a network is made of
//	wrnc show WRN-16-8               every default, and where it comes from
//	wrnc expand WRN-16-8 > my.wrn    its layers, to be changed
//	wrnc build WRN-16-4 -o out       every stage of its compilation, as text
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"unicode"

	"github.com/alecthomas/kong"

	"wrnc/compiler"
	"wrnc/dsl/diag"
	"wrnc/runtime/cuda/nvrtc"
)

// The exit codes.
const (
	exitOK    = 0
	exitUser  = 1 // the user's network, data or weights
	exitUsage = 2 // the command line
	exitFault = 3 // wrnc itself
)

func main() {
	nvrtc.Worker() // this process may be one that compiles kernels
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// usageError is a mistake in the command line that kong does not know of.
type usageError struct{ message string }

func (e usageError) Error() string { return e.message }

func usagef(format string, args ...any) error { return usageError{fmt.Sprintf(format, args...)} }

// faultError is a broken promise of wrnc's own.
type faultError struct{ message string }

func (e faultError) Error() string { return e.message }

// reportedError is an error that the user has been told of, with its exit code.
type reportedError struct {
	error
	code int
}

func (e reportedError) Unwrap() error { return e.error }

// run runs wrnc with the arguments after its name and returns the exit code.
func run(args []string, stdout, stderr io.Writer) (code int) {
	return newSession(stdout, stderr).run(args)
}

func (s *session) run(args []string) (code int) {
	stdout, stderr := s.stdout, s.stderr
	defer func() {
		if fault := recover(); fault != nil {
			code = report(stderr, faultError{fmt.Sprintf("%v\n\n%s", fault, debug.Stack())}, args)
		}
	}()
	var commands commands
	finished := false // by a flag such as --help, after which kong parses on
	parser, err := kong.New(&commands,
		kong.Name("wrnc"),
		kong.Description(description),
		kong.Writers(stdout, stderr),
		kong.Exit(func(int) { finished = true }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true, WrapUpperBound: 100}),
	)
	if err != nil {
		return report(stderr, faultError{err.Error()}, args)
	}
	s.args = args
	switch { // what many programs understand
	case len(args) == 0:
		args = []string{"--help"}
	case args[0] == "help":
		args = append(slices.Clone(args[1:]), "--help")
	case args[0] == "--version":
		args = append([]string{"version"}, args[1:]...)
	}
	if i := slices.Index(args, ""); i >= 0 {
		return report(stderr, usagef("argument %d is empty; a variable of the shell may have no value", i+1), args)
	}
	command, err := parser.Parse(args)
	switch {
	case finished:
		return exitOK
	case err != nil:
		return report(stderr, usageError{noValue.ReplaceAllString(err.Error(), "$1: expected a value after it")}, args)
	}
	return report(stderr, command.Run(s), args)
}

// noValue is kong's message about a flag that ends the command line.
var noValue = regexp.MustCompile(`^(--\S+): expected \S+ value but got "EOL" \(<EOL>\)$`)

// report tells the user about err, if there is one, and returns the exit code.
func report(stderr io.Writer, err error, args []string) int {
	var (
		diagnostics diag.List
		usage       usageError
		fault       faultError
		internal    *compiler.InternalError
		told        reportedError
	)
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &told):
		return told.code
	case errors.As(err, &usage):
		for _, message := range strings.Split(err.Error(), "\n") { // several mistakes, or one
			fmt.Fprintf(stderr, "wrnc: %s\n", harmless(message))
		}
		fmt.Fprint(stderr, "wrnc --help lists the commands, wrnc COMMAND --help the flags of one.\n")
		return exitUsage
	case errors.As(err, &internal):
		return reportFault(stderr, fmt.Sprintf("%s: %v\n%s", internal.Stage, internal.Cause, internal.Stack), args)
	case errors.As(err, &fault):
		return reportFault(stderr, fault.message, args)
	case errors.As(err, &diagnostics):
		fmt.Fprint(stderr, diagnostics.String())
		return exitUser
	}
	complain(stderr, err)
	return exitUser
}

// complain tells about a mistake.
func complain(stderr io.Writer, err error) {
	fmt.Fprintf(stderr, "wrnc: %s\n", harmless(err.Error()))
}

// harmless replaces what would do something to a terminal: names in a message may be
// those of files from anywhere.
func harmless(message string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return unicode.ReplacementChar
		}
		return r
	}, message)
}

// reportFault asks the user to report a fault of wrnc, and says what with.
func reportFault(stderr io.Writer, what string, args []string) int {
	fmt.Fprintf(stderr, "wrnc: internal error: %s\n\n"+
		"This is a fault of wrnc, not of your network. Please report it with the text above,\n"+
		"the network's file, what `wrnc version` prints, and this command line:\n\n    wrnc %s\n",
		strings.TrimSpace(what), strings.Join(args, " "))
	return exitFault
}
