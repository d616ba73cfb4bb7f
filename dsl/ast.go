// Package dsl is wrnc's language: a paper's name is the program, everything
// else is a stated default.
//
//	model WRN-16-8
//	dropout 0.4
//	data svhn "/data/svhn"
//	train paper { batch 256 }
//
// Parse reads a text into a File, Check turns a File into a Network and reports
// every mistake with its place. Load does both, and FromName takes a bare name
// such as WRN-40-2-B(3,1,3).
package dsl

import (
	"strings"

	"github.com/alecthomas/participle/v2/lexer"

	"wrnc/dsl/diag"
)

// File is a parsed text. It keeps the text, because diagnostics show it.
type File struct {
	Source     diag.Source
	Statements []*Statement
}

// document is the grammar's root:
//
//	model WRN-16-8; dropout 0.4
type document struct {
	Statements []*Statement `parser:"Sep* ( @@ Sep* )*"`
}

// Statement is a key, its values and perhaps a block. A newline or a semicolon
// ends it; after a block neither is needed.
//
//	data cifar10 { normalize meanstd; augment flip }
type Statement struct {
	Pos    lexer.Position
	Key    string   `parser:"@Name"`
	Values []*Value `parser:"@@*"`
	Block  *Block   `parser:"@@?"`
}

// Block is the part in braces.
type Block struct {
	Pos        lexer.Position
	Statements []*Statement `parser:"'{' Sep* ( @@ Sep* )* '}'"`
}

// Value is one value of a statement. Exactly one field beside Pos, EndPos and
// Args is set; Args only stands beside Name.
type Value struct {
	Pos     lexer.Position
	EndPos  lexer.Position
	Literal string `parser:"(  @Literal"` // WRN-40-2-B(3,1,3)
	String  string `parser:" | @String"`  // "a path", its quotes included
	Shape   string `parser:" | @Shape"`   // 32x32x3
	Number  string `parser:" | @Number"`  // 0.4
	Name    string `parser:" | @Name"`    // paper
	Args    *Args  `parser:"   @@?"`      // (4, reflect), which makes the name a call
	List    *List  `parser:" | @@ )"`     // [60, 120, 160]
}

// Args are the arguments of a call.
type Args struct {
	Pos    lexer.Position
	Values []*Value `parser:"'(' ( @@ ( ',' @@ )* )? ')'"`
}

// List is a list of values.
type List struct {
	Pos    lexer.Position
	Values []*Value `parser:"'[' ( @@ ( ',' @@ )* )? ']'"`
}

// text returns v as it stands in the source.
func (v *Value) text(src *diag.Source) string {
	return src.Text[v.Pos.Offset:v.EndPos.Offset]
}

// unquoted returns the text between the quotes of a string value. There are no
// escapes, so that a Windows path needs none.
func (v *Value) unquoted() string {
	return strings.TrimSuffix(strings.TrimPrefix(v.String, `"`), `"`)
}

// kind names what sort of value v is, for messages.
func (v *Value) kind() string {
	switch {
	case v.Literal != "":
		return "network"
	case v.String != "":
		return "string"
	case v.Shape != "":
		return "shape"
	case v.Number != "":
		return "number"
	case v.List != nil:
		return "list"
	case v.Args != nil:
		return "call"
	default:
		return "name"
	}
}
