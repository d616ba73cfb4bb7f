package main

import (
	_ "embed"
	"html/template"
	"strings"

	"wrnc/runtime/metrics/chart"
)

//go:embed plot.tmpl
var plotTemplate string

// plotView is what plot.tmpl prints.
type plotView struct {
	Title   string
	Figure  template.HTML
	Notes   []string
	Columns []string
	Rows    []plotRow
}

type plotRow struct {
	Swatch template.HTML
	Cells  []string
	Folder string
}

// plotPage is curves and table on one page of HTML, which loads nothing and has no
// script.
func plotPage(c *comparison, figure chart.Figure) (string, error) {
	view := plotView{
		Title: chart.Printable(c.title()), Figure: template.HTML(figure.SVG()), Notes: c.notes(), Columns: c.header(),
	}
	for i, r := range c.runs {
		view.Rows = append(view.Rows, plotRow{template.HTML(chart.Swatch(i)), c.row(r), chart.Printable(r.dir)})
	}
	page, err := template.New("plot").Parse(plotTemplate)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	err = page.Execute(&b, view)
	return b.String(), err
}
