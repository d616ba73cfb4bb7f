// Package report writes what became of a network as one page of HTML: the graph
// of its fusions, and of each fusion its IR, why it was fused so, its kernels and
// their text, and how long its buffers live.
//
// The page is one file that loads nothing: styles and script stand in it, and a
// policy in its head forbids the rest. It says everything without a script as
// well; the script adds selecting, highlighting and tabs. The address names what
// is shown, so that a link leads to a fusion:
//
//	report.html#train/g1.b0.conv1
//
// The flow is [Write]: newGraph makes boxes and edges of a function and its plan,
// layout places them, newPage says of each what the template prints. Nothing on
// the page depends on the time, the machine or the order of a map.
package report

import (
	"bufio"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"

	"wrnc/compiler/ir"
	"wrnc/compiler/plan"
)

// Build is a built network.
type Build struct {
	Module    *ir.Module // fused
	Precision string
	Functions []Function
	Decisions []Decision
}

// Function is a function of the module, laid out for the target.
type Function struct {
	Plan    *plan.Plan
	Sources []plan.Source // of each kernel; nil where the target has no text
}

// Decision is what fusion made of one value, and why.
type Decision struct {
	Func, Value string   // value: op and layer, as in "relu (g1.b0.relu0)"
	Fate        string   // what became of it, as in "copied into"
	Regions     []string // the fusions that compute it
	Reason      string
	RefusedBy   string // a fusion that did not take it, or ""
	Refused     string // why not
	Saves       int    // bytes of memory traffic
}

var (
	//go:embed page.tmpl
	pageText string
	//go:embed page.css
	pageCSS template.CSS
	//go:embed page.js
	pageJS template.JS
)

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// Write writes the page.
func Write(w io.Writer, b Build) error {
	p := &page{Title: b.Module.Name, CSS: pageCSS, JS: pageJS, JSHash: hash(pageJS)}
	texts := &texts{at: map[plan.Source]*textView{}}
	for _, fn := range b.Functions {
		f := b.Module.Func(fn.Plan.Func)
		switch {
		case f == nil:
			return fmt.Errorf("report: module %s has no function %s", b.Module.Name, fn.Plan.Func)
		case fn.Sources != nil && len(fn.Sources) != len(fn.Plan.Kernels):
			return fmt.Errorf("report: %s has %d kernels and %d texts", fn.Plan.Func, len(fn.Plan.Kernels), len(fn.Sources))
		}
		for _, n := range f.Nodes {
			if n.Body == nil {
				return fmt.Errorf("report: %s has an op outside of a fusion: %v (%s)", f.Name, n.Op, n.Layer)
			}
		}
		p.Functions = append(p.Functions, newFunction(f, fn, b.Decisions, texts))
	}
	p.Texts = texts.list
	p.Facts = facts(b)
	out := bufio.NewWriterSize(w, 1<<16)
	if err := pageTemplate.Execute(out, p); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return out.Flush()
}

// hash is the script's name in the page's policy: no other script runs.
func hash(script template.JS) string {
	sum := sha256.Sum256([]byte(script))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}
