package main

import (
	"strings"

	pages "wrnc/codegen/report"
)

// report is the build as one page of HTML.
func (c *buildCommand) report(b *built) (string, error) {
	r := pages.Build{Module: b.module, Precision: c.Precision}
	for i, p := range b.plans {
		f := pages.Function{Plan: p}
		if b.sources != nil {
			f.Sources = b.sources[i]
		}
		r.Functions = append(r.Functions, f)
	}
	for _, d := range b.decisions {
		r.Decisions = append(r.Decisions, pages.Decision{
			Func: d.Func, Value: d.Value, Fate: d.Fate.String(), Regions: d.Regions,
			Reason: d.Reason, RefusedBy: d.RefusedBy, Refused: d.Refused, Saves: d.Saves,
		})
	}
	var w strings.Builder
	err := pages.Write(&w, r)
	return w.String(), err
}
