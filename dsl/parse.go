package dsl

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/alecthomas/participle/v2"
	"github.com/alecthomas/participle/v2/lexer"

	"wrnc/dsl/diag"
)

// maxSyntaxErrors is how many syntax errors are looked for in one text. Each
// costs one more parse of it.
const maxSyntaxErrors = 10

// Parse reads a network file. name is shown in front of positions and is not
// opened. The error is a diag.List with a diagnostic for each syntax error.
// Any text is safe: size, tokens and nesting are bounded.
func Parse(name string, text []byte) (*File, error) {
	if len(text) > maxText {
		return nil, diag.List{{
			Pos:     diag.Pos{File: name},
			Message: fmt.Sprintf("the file has %d bytes; a network file has at most %d", len(text), maxText),
		}}
	}
	f := &File{Source: diag.Source{Name: name, Text: string(text)}}
	src := &f.Source
	if i := firstNonText(src.Text); i >= 0 {
		return nil, diag.List{{
			Pos:        diag.Pos{File: name},
			Message:    fmt.Sprintf("this is no text: byte %d is 0x%02x", i, src.Text[i]),
			Suggestion: "a network file is UTF-8 text such as: model WRN-16-8",
		}}
	}
	all, errs := lexAll(src)
	if len(errs) > 0 {
		return nil, errs.Err()
	}
	if errs := checkBrackets(src, all); len(errs) > 0 {
		return nil, errs.Err()
	}
	doc, errs := parseTokens(src, all)
	if len(errs) > 0 {
		return nil, errs.Err()
	}
	f.Statements = doc.Statements
	return f, nil
}

// Load parses and checks a network file. The error is a diag.List of all that
// is wrong with it.
func Load(name string, text []byte) (*Network, error) {
	f, err := Parse(name, text)
	if err != nil {
		return nil, err
	}
	n, errs := Check(f)
	if err := errs.Err(); err != nil {
		return nil, err
	}
	return n, nil
}

// firstNonText returns the offset of the first byte that is no UTF-8 text, or -1.
func firstNonText(text string) int {
	for i, r := range text {
		if r == 0 {
			return i
		}
		if r == utf8.RuneError {
			if _, size := utf8.DecodeRuneInString(text[i:]); size == 1 {
				return i
			}
		}
	}
	return -1
}

// parseTokens runs the grammar. After a syntax error it takes the statement at
// fault out of the tokens and goes again, so one mistake does not hide the next.
func parseTokens(src *diag.Source, all []lexer.Token) (*document, diag.List) {
	var errs diag.List
	for {
		lex, err := lexer.Upgrade(&replay{tokens: all}, tokenComment, tokenSpace)
		if err != nil {
			return nil, append(errs, diag.New(src, diag.Error, 0, 0, err.Error()))
		}
		doc, err := grammar.ParseFromLexer(lex)
		if err == nil {
			return doc, errs
		}
		var unexpected *participle.UnexpectedTokenError
		if !errors.As(err, &unexpected) {
			return nil, append(errs, diag.New(src, diag.Error, 0, 0, err.Error()))
		}
		at := indexAt(all, unexpected.Unexpected.Pos.Offset)
		errs = append(errs, syntaxError(src, all, at))
		if all[at].EOF() || len(errs) == maxSyntaxErrors {
			return nil, errs
		}
		from, to := statementAround(all, at)
		all = append(append([]lexer.Token(nil), all[:from]...), all[to:]...)
	}
}

// replay hands out tokens that have been read before.
type replay struct {
	tokens []lexer.Token
	next   int
}

// Next returns the next token, and the last one, the end, for ever after.
func (r *replay) Next() (lexer.Token, error) {
	t := r.tokens[min(r.next, len(r.tokens)-1)]
	r.next++
	return t, nil
}

// indexAt returns the index of the first token that starts at offset or later.
func indexAt(all []lexer.Token, offset int) int {
	for i, t := range all {
		if t.Pos.Offset >= offset && !isBlank(t) {
			return i
		}
	}
	return len(all) - 1
}

func isBlank(t lexer.Token) bool { return t.Type == tokenSpace || t.Type == tokenComment }

func isBrace(t lexer.Token) bool {
	return t.Type == tokenPunct && (t.Value == "{" || t.Value == "}")
}

// statementAround returns the tokens [from, to) of the statement that holds
// token at, its block included. The brackets are known to match.
func statementAround(all []lexer.Token, at int) (from, to int) {
	for from = at; from > 0; from-- {
		if p := all[from-1]; p.Type == tokenSep || isBrace(p) {
			break
		}
	}
	depth := 0
	for to = at; !all[to].EOF(); to++ {
		t := all[to]
		if depth == 0 && (t.Type == tokenSep || isBrace(t) && t.Value == "}") {
			break
		}
		if isBrace(t) {
			if t.Value == "{" {
				depth++
			} else if depth--; depth == 0 {
				return from, to + 1
			}
		}
	}
	return from, max(to, at+1)
}

// syntaxError says what is wrong at the token where the grammar gave up.
func syntaxError(src *diag.Source, all []lexer.Token, at int) diag.Diagnostic {
	t := all[at]
	what := "unexpected " + quote(t.Value)
	if t.EOF() {
		what = "the text ends too early"
	}
	d := diag.New(src, diag.Error, t.Pos.Offset, len(t.Value), what)

	from, _ := statementAround(all, at)
	first, inside := true, "" // whether the statement begins here; the bracket t lies in
	for _, p := range all[from:at] {
		first = first && isBlank(p)
		if p.Type == tokenPunct && p.Value != "," {
			inside = map[string]string{"(": "(", "[": "["}[p.Value]
		}
	}
	switch {
	case first:
		return d.Suggest("a statement begins with a key, such as model or dropout")
	case inside == "(", t.Value == "(":
		return d.Suggest("the arguments of a call are values with commas between: crop(4, reflect)")
	case inside == "[", t.Value == "[":
		return d.Suggest("the elements of a list are values with commas between: [60, 120, 160]")
	case t.Value == ",":
		return d.Suggest("values are separated by spaces; commas stand only in calls and lists")
	default:
		return d.Suggest("a statement is a key, its values and perhaps a block in braces")
	}
}
