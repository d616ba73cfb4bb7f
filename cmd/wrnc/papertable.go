package main

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"
)

// paperText is a copy of testdata/paper.json, the paper's tables; a test holds the
// two together.
//
//go:embed paper.json
var paperText []byte

// paperRow is a network of the paper: how to build it, and what is known of it.
type paperRow struct {
	table, network string
	text           string  // of a .wrn file; "" where wrnc does not describe it
	exact          int     // parameters; 0 where they are not known
	millions       float64 // as the paper prints them; 0 where it does not
	slip           string  // why the paper's figure is known to be wrong; "" where it is right
}

// paperTables is what the counts need of the paper's tables.
type paperTables struct {
	Table2, Table3, Table4, Table5, Table6, Table7, Table8, Table9 struct{ Rows []tableRow }

	Logs []struct { // of the authors' own runs
		Net    string
		Params int
	} `json:"reference_logs_zca_cifar10"`
}

// tableRow has the columns of all tables.
type tableRow struct {
	Block     []int
	L         int
	Depth     int
	K, Width  float64
	Dropout   bool
	Net       string
	Data      string
	Method    string
	Millions  float64 `json:"params_paper_M"`
	Exact     int     `json:"params_exact"`
	ExactA    int     `json:"params_exact_A"`
	Params10  int     `json:"params10"`
	Params100 int     `json:"params100"`
}

// paperRows reads the tables: every network of the paper, in its order.
func paperRows(text []byte) ([]paperRow, error) {
	var p paperTables
	if err := json.Unmarshal(text, &p); err != nil {
		return nil, err
	}
	var rows []paperRow
	add := func(table, network, text string, exact int, millions float64) {
		rows = append(rows, paperRow{table: table, network: network, text: text, exact: exact, millions: millions})
	}
	for _, r := range p.Table2.Rows {
		name := fmt.Sprintf("WRN-%d-%v-%s", r.Depth, r.K, blockText(r.Block))
		add("2", name, "model "+name, r.Exact, r.Millions)
	}
	for _, r := range p.Table3.Rows {
		name := "WRN-40-2-" + blockText([]int{3, 3, 3, 3}[:r.L])
		add("3", name, "model "+name, r.Exact, r.Millions)
	}
	for _, r := range p.Table4.Rows {
		name := fmt.Sprintf("WRN-%d-%v", r.Depth, r.K)
		add("4", name, "model "+name, r.Params10, r.Millions)
		add("4", name, "model "+name+"; data cifar100", r.Params100, 0) // the figure is of 10 classes
	}
	for _, r := range p.Table5.Rows {
		rows = append(rows, r.compared()...)
	}
	for _, r := range p.Table6.Rows {
		name, dropout := fmt.Sprintf("WRN-%d-%v", r.Depth, r.K), ""
		if r.Dropout {
			dropout = "; dropout 0.3"
		}
		add("6", name+strings.TrimSuffix(strings.Replace(dropout, "; ", " with ", 1), " 0.3"), "model "+name+dropout, r.Params10, 0)
	}
	for _, r := range p.Table7.Rows {
		name := fmt.Sprintf("%s-%v", r.Net, r.Width)
		add("7", name, "model "+name+"; data imagenet", r.Exact, r.Millions)
	}
	for _, r := range p.Table8.Rows {
		add("8", r.Net, imageNetText(r.Net), r.Exact, r.Millions)
	}
	for _, r := range p.Table9.Rows {
		text := "model " + r.Net
		switch {
		case strings.HasSuffix(r.Net, "-bottleneck"):
		case strings.HasPrefix(r.Data, "COCO"):
			text += "; data imagenet" // the features; the detector is not wrnc's
		default:
			text += "; dropout 0.3; data " + strings.ToLower(strings.ReplaceAll(r.Data, "-", ""))
		}
		add("9", r.Net+" for "+r.Data, text, 0, 0)
	}
	for _, r := range p.Logs {
		text, known := loggedTexts()[r.Net]
		if !known {
			text = "model " + r.Net
		}
		add("logs", r.Net, text, r.Params, 0)
	}
	return rows, nil
}

// compared is a row of Table 5: a network that the paper compares with its own, or
// one of its own.
func (r tableRow) compared() []paperRow {
	row := paperRow{table: "5", network: r.Method, exact: r.ExactA, millions: r.Millions}
	if r.Depth > 0 {
		row.network = fmt.Sprintf("%s-%d", r.Method, r.Depth)
	}
	switch r.Method {
	case "NIN":
		row.text = ninText
	case "WRN":
		row.network += fmt.Sprintf("-%v", r.K)
		row.text = "model " + row.network
	case "original-ResNet", "stoc-depth": // the second drops whole blocks, and has the weights of the first
		row.text = originalResNet(r.Depth)
		if r.Depth == 1202 {
			row.slip = "19.4M with the shortcuts that the authors used"
		}
	case "pre-act-ResNet":
		row.text, row.exact = preActResNet(r.Depth, 10), r.Params10
		if r.Depth == 1001 {
			row.slip = "10.3M in its authors' code"
		}
	}
	rows := []paperRow{row}
	if r.Params100 > 0 {
		row.text, row.exact = preActResNet(r.Depth, 100), r.Params100
		row.slip, row.millions = "", 0 // of 10 classes
		rows = append(rows, row)
	}
	return rows
}

func blockText(kernels []int) string {
	return "B(" + strings.Trim(strings.ReplaceAll(fmt.Sprint(kernels), " ", ","), "[]") + ")"
}
