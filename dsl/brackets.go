package dsl

import (
	"fmt"

	"github.com/alecthomas/participle/v2/lexer"

	"wrnc/dsl/diag"
)

// opener tells each closing bracket its opening one.
var opener = map[string]string{"}": "{", ")": "(", "]": "["}

// checkBrackets walks the tokens once and reports brackets that do not match,
// lie too deep, or run over a line's end. It comes before the grammar, whose
// recursion is thereby bounded, and it alone can say where a bracket opened.
func checkBrackets(src *diag.Source, all []lexer.Token) diag.List {
	var open []lexer.Token
	for _, t := range all {
		switch {
		case t.Type == tokenSep && len(open) > 0 && open[len(open)-1].Value != "{":
			return diag.List{unclosed(src, open[len(open)-1], "before the statement ends")}
		case t.Type != tokenPunct || t.Value == ",":
		case opener[t.Value] == "":
			if len(open) == maxDepth {
				return diag.List{diag.New(src, diag.Error, t.Pos.Offset, 1,
					fmt.Sprintf("brackets are nested deeper than %d", maxDepth))}
			}
			if n := len(open); n > 0 && t.Value == "{" && open[n-1].Value != "{" {
				return diag.List{unclosed(src, open[n-1], "before this block begins")}
			}
			open = append(open, t)
		case len(open) == 0:
			return diag.List{diag.New(src, diag.Error, t.Pos.Offset, 1,
				fmt.Sprintf("%s closes nothing: no %s is open here", t.Value, opener[t.Value]))}
		case open[len(open)-1].Value != opener[t.Value]:
			last := open[len(open)-1]
			return diag.List{diag.New(src, diag.Error, t.Pos.Offset, 1,
				fmt.Sprintf("%s cannot close %s", t.Value, last.Value)).
				NoteAt(src.Pos(last.Pos.Offset), last.Value+" opened here")}
		default:
			open = open[:len(open)-1]
		}
	}
	// Each open bracket needs a closing one of its own, so all are reported.
	var errs diag.List
	for _, t := range open {
		errs = append(errs, unclosed(src, t, "before the text ends"))
	}
	return errs
}

// unclosed is the diagnostic for the opening bracket t without its partner.
func unclosed(src *diag.Source, t lexer.Token, where string) diag.Diagnostic {
	closing := map[string]string{"{": "}", "(": ")", "[": "]"}[t.Value]
	return diag.New(src, diag.Error, t.Pos.Offset, 1,
		fmt.Sprintf("%s opens here and is not closed %s; %s is missing", t.Value, where, closing))
}
