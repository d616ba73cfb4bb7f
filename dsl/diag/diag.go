package diag

import (
	"slices"
	"strings"
)

// Severity says how much a diagnostic matters.
type Severity int

// The severities, the gravest first.
const (
	Error   Severity = iota // nothing is built
	Warning                 // built, but hardly what was meant
	Note                    // a fact worth knowing
)

// String returns the word printed in front of a message.
func (s Severity) String() string {
	switch s {
	case Error:
		return "error"
	case Warning:
		return "warning"
	default:
		return "note"
	}
}

// Related is a remark that belongs to a diagnostic.
type Related struct {
	Pos     Pos // the zero Pos where the remark is about no place
	Message string
}

// Diagnostic is one mistake or remark.
type Diagnostic struct {
	Severity   Severity
	Pos        Pos
	Len        int     // bytes of the source that the diagnostic is about
	Excerpt    Excerpt // their line; the zero Excerpt shows none
	Message    string  // what is wrong, without a full stop
	Suggestion string  // what to write instead: "did you mean dropout?"; may be empty
	Notes      []Related
}

// New returns a diagnostic about length bytes of src at offset.
func New(src *Source, severity Severity, offset, length int, message string) Diagnostic {
	return Diagnostic{
		Severity: severity,
		Pos:      src.Pos(offset),
		Len:      length,
		Excerpt:  src.Excerpt(offset, length),
		Message:  message,
	}
}

// Suggest returns d with a suggestion.
func (d Diagnostic) Suggest(suggestion string) Diagnostic {
	d.Suggestion = suggestion
	return d
}

// Note returns d with one more remark, which is about no place of its own.
func (d Diagnostic) Note(message string) Diagnostic {
	return d.NoteAt(Pos{}, message)
}

// NoteAt returns d with one more remark about another place.
func (d Diagnostic) NoteAt(pos Pos, message string) Diagnostic {
	d.Notes = append(slices.Clip(d.Notes), Related{Pos: pos, Message: message})
	return d
}

// List is a set of diagnostics. A list that holds an Error is an error; Err
// turns any list into the right error value.
type List []Diagnostic

// Err returns l if it holds a diagnostic of severity Error, else nil.
func (l List) Err() error {
	for _, d := range l {
		if d.Severity == Error {
			return l
		}
	}
	return nil
}

// Error returns every diagnostic, rendered, without a newline at the end.
func (l List) Error() string {
	return strings.TrimSuffix(l.String(), "\n")
}

// Sort orders l by place; diagnostics about one place keep their order.
func (l List) Sort() {
	slices.SortStableFunc(l, func(a, b Diagnostic) int { return a.Pos.Offset - b.Pos.Offset })
}
