package dsl

import (
	"fmt"

	"github.com/alecthomas/participle/v2"
	"github.com/alecthomas/participle/v2/lexer"

	"wrnc/dsl/diag"
)

// tokens are the rules of the lexer; the first that matches wins. The last ones
// match whatever is left, so that a stray character becomes a diagnostic with a
// place instead of ending the lexer.
var tokens = lexer.MustSimple([]lexer.SimpleRule{
	{Name: "Comment", Pattern: `#[^\n]*`},
	{Name: "Space", Pattern: `[ \t\r\x{FEFF}]+`},
	{Name: "Sep", Pattern: `[;\n]`},
	{Name: "String", Pattern: `"[^"\n]*"`},
	{Name: "OpenString", Pattern: `"[^"\n]*`},
	{Name: "Literal", Pattern: `(?i:wrn)-[0-9A-Za-z_.+\-]*(?:\([^()\[\]{};#"\n]*\)?)?`},
	{Name: "Shape", Pattern: `[0-9]+(?:x[0-9]+)+\b`},
	{Name: "Number", Pattern: `[-+]?\.?[0-9][0-9A-Za-z_.+\-]*`},
	{Name: "Name", Pattern: `[A-Za-z_][0-9A-Za-z_.\-]*`},
	{Name: "Punct", Pattern: `[{}()\[\],]`},
	{Name: "Stray", Pattern: `(?s:.)`},
})

var (
	tokenComment    = tokens.Symbols()["Comment"]
	tokenSpace      = tokens.Symbols()["Space"]
	tokenSep        = tokens.Symbols()["Sep"]
	tokenOpenString = tokens.Symbols()["OpenString"]
	tokenLiteral    = tokens.Symbols()["Literal"]
	tokenPunct      = tokens.Symbols()["Punct"]
	tokenStray      = tokens.Symbols()["Stray"]
)

// grammar is the parser of a whole text.
var grammar = participle.MustBuild[document](
	participle.Lexer(tokens),
	participle.Elide("Comment", "Space"),
)

// The limits of a text. A network is a few hundred bytes; these only bound the
// time and memory that a hostile text costs.
const (
	maxText   = 1 << 20 // bytes
	maxTokens = 1 << 16
	maxDepth  = 16 // brackets in brackets, of any kind
)

// lexAll returns the tokens of src, the end of the text included, or what is
// wrong with them: too many, or characters that belong to none.
func lexAll(src *diag.Source) ([]lexer.Token, diag.List) {
	lex, err := tokens.LexString(src.Name, src.Text)
	if err != nil {
		return nil, diag.List{diag.New(src, diag.Error, 0, 0, err.Error())}
	}
	var (
		all       []lexer.Token
		errs      diag.List
		strayLine int // of the last stray character: a line's first one is enough
	)
	for len(errs) < maxSyntaxErrors {
		t, err := lex.Next()
		if err != nil {
			return nil, append(errs, diag.New(src, diag.Error, 0, 0, err.Error()))
		}
		all = append(all, t)
		if t.EOF() {
			break
		}
		if len(all) > maxTokens {
			return nil, append(errs, diag.New(src, diag.Error, t.Pos.Offset, len(t.Value),
				fmt.Sprintf("a network file has at most %d words and signs; this one goes on", maxTokens)))
		}
		switch t.Type {
		case tokenOpenString:
			errs = append(errs, diag.New(src, diag.Error, t.Pos.Offset, 1,
				`the string is not closed: its second " is missing on this line`))
		case tokenStray:
			if t.Pos.Line != strayLine {
				errs = append(errs, stray(src, t))
			}
			strayLine = t.Pos.Line
		}
	}
	return all, errs
}

// stray is the diagnostic for a character that begins no token.
func stray(src *diag.Source, t lexer.Token) diag.Diagnostic {
	d := diag.New(src, diag.Error, t.Pos.Offset, len(t.Value), fmt.Sprintf("unexpected %q", t.Value))
	switch t.Value {
	case "=", ":":
		return d.Suggest("a key and its value are separated by a space: dropout 0.4")
	case "/", "\\", "~":
		return d.Suggest(`a path is written in quotes: data cifar10 "/data/cifar"`)
	case "'":
		return d.Suggest(`a string is written in double quotes: "/data/cifar"`)
	default:
		return d
	}
}
