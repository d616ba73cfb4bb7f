package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"wrnc/compiler/ir"
	"wrnc/compiler/irgen"
)

// layerRow is a line of a network's table.
type layerRow struct {
	name   string
	output ir.Type // of its last op
	params int64
	macs   int64 // of one image, forward
}

// layerRows lists the layers of a forward function in order. key maps a layer's
// path to the row that it counts for; neighbours with equal keys are one row.
func layerRows(f *ir.Func, key func(path string) string) []layerRow {
	var rows []layerRow
	counted := map[*ir.State]bool{}
	for _, n := range f.Nodes {
		name := key(n.Layer)
		if len(rows) == 0 || rows[len(rows)-1].name != name {
			rows = append(rows, layerRow{name: name})
		}
		row := &rows[len(rows)-1]
		row.output = n.Result().Type
		row.macs += irgen.MACs(&ir.Func{Nodes: []*ir.Node{n}})
		for _, a := range n.Args {
			if s := a.State; s != nil && s.Role == ir.Param && !counted[s] {
				counted[s] = true
				row.params += int64(s.Type.Elems())
			}
		}
	}
	return rows
}

// byLayer and byGroup are the keys of a long table and of a short one.
func byLayer(path string) string { return path }

func byGroup(path string) string {
	group, _, _ := strings.Cut(path, ".")
	return group
}

// printRows prints a table of layers with its sum.
func printRows(w io.Writer, rows []layerRow) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "layer\toutput\tparameters\tMACs\t")
	var params, macs int64
	for _, r := range rows {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t\n", r.name, formatShape(r.output), formatCount(r.params), formatCount(r.macs))
		params += r.params
		macs += r.macs
	}
	fmt.Fprintf(t, "total\t\t%s\t%s\t\n", formatCount(params), formatCount(macs))
	return t.Flush()
}

// formatShape prints the shape of one image's activation: 32x32x16.
func formatShape(t ir.Type) string {
	var sizes []string
	for _, d := range t.Dims[min(1, len(t.Dims)):] {
		sizes = append(sizes, fmt.Sprint(d))
	}
	return strings.Join(sizes, "x")
}
