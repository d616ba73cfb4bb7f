package main

import (
	"fmt"
	"io"

	"wrnc/dsl"
)

// printAST prints a parsed text, a node a line with its place:
//
//	2:1 dropout
//	  2:9 number 0.4
func printAST(w io.Writer, f *dsl.File) {
	printStatements(w, f.Statements, "")
}

func printStatements(w io.Writer, statements []*dsl.Statement, indent string) {
	for _, s := range statements {
		fmt.Fprintf(w, "%s%d:%d %s\n", indent, s.Pos.Line, s.Pos.Column, s.Key)
		printValues(w, s.Values, indent+"  ")
		if s.Block != nil {
			fmt.Fprintf(w, "%s  %d:%d block\n", indent, s.Block.Pos.Line, s.Block.Pos.Column)
			printStatements(w, s.Block.Statements, indent+"    ")
		}
	}
}

func printValues(w io.Writer, values []*dsl.Value, indent string) {
	for _, v := range values {
		kind, text := "name", v.Name
		var inner []*dsl.Value
		switch {
		case v.Literal != "":
			kind, text = "network", v.Literal
		case v.String != "":
			kind, text = "string", v.String
		case v.Shape != "":
			kind, text = "shape", v.Shape
		case v.Number != "":
			kind, text = "number", v.Number
		case v.List != nil:
			kind, text, inner = "list", fmt.Sprintf("of %d", len(v.List.Values)), v.List.Values
		case v.Args != nil:
			kind, inner = "call", v.Args.Values
		}
		fmt.Fprintf(w, "%s%d:%d %s %s\n", indent, v.Pos.Line, v.Pos.Column, kind, text)
		printValues(w, inner, indent+"  ")
	}
}
