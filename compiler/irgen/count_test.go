package irgen

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/compiler/ir"
	"wrnc/dsl"
)

// counts says what a network of the paper has: the exact numbers of parameters
// and of convolutions, and GMAC a picture of 100 classes to three places.
type counts struct {
	params10, params100 int
	convs               int
	gmac                string
}

// table4 is the paper's Table 4 and its neighbours, with the counts that the
// printed millions round.
var table4 = map[string]counts{
	"WRN-40-1":  {563930, 569780, 39, "0.083"},
	"WRN-40-2":  {2243546, 2255156, 40, "0.328"},
	"WRN-40-4":  {8949210, 8972340, 40, "1.299"},
	"WRN-40-8":  {35748314, 35794484, 40, "5.172"},
	"WRN-40-10": {55841754, 55899444, 40, "8.075"},
	"WRN-28-10": {36479194, 36536884, 28, "5.243"},
	"WRN-28-12": {52517850, 52587060, 28, "7.544"},
	"WRN-22-8":  {17158106, 17204276, 22, "2.454"},
	"WRN-22-10": {26797914, 26855604, 22, "3.828"},
	"WRN-16-4":  {2748890, 2772020, 16, "0.393"},
	"WRN-16-8":  {10961370, 11007540, 16, "1.548"},
	"WRN-16-10": {17116634, 17174324, 16, "2.412"},
	"WRN-52-1":  {758362, 764212, 51, "0.112"},
}

func TestCounts(t *testing.T) {
	for name, want := range table4 {
		net := named(t, name)
		net.Classes = 10
		m := build(t, net, 1)
		require.Equal(t, want.params10, m.Params(), name)
		infer := m.Func("infer")
		require.Equal(t, want.convs+1, convolutions(infer), "%s and its classifier", name)
		require.Equal(t, want.convs, net.Convs, name)

		net.Classes = 100
		m = build(t, net, 3)
		require.Equal(t, want.params100, m.Params(), name)
		require.Equal(t, want.gmac, fmt.Sprintf("%.3f", float64(MACs(m.Func("infer")))/1e9), name)
		require.Equal(t, MACs(m.Func("infer")), MACs(m.Func("train")), name)
		require.Equal(t, 90*int64(net.Widths()[3]), MACs(m.Func("infer"))-MACs(infer), "%s: 90 more classes", name)
	}
}

func convolutions(f *ir.Func) int {
	count := 0
	for _, n := range f.Nodes {
		if n.Op == ir.Conv2D {
			count++
		}
	}
	return count
}

// paper is what the counts need of the paper's tables.
type paper struct {
	Table2 struct{ Rows []table2Row }
	Table3 struct{ Rows []table3Row }
	Table4 struct{ Rows []wrnRow }
	Table6 struct{ Rows []wrnRow }
	Table7 struct{ Rows []imageNetRow }
	Table8 struct{ Rows []imageNetRow }
}

type table2Row struct {
	Block  []int
	K      float64
	Depth  int
	N      int
	Convs  int
	Params int `json:"params_exact"`
}

type table3Row struct {
	L      int
	N      int
	Params int `json:"params_exact"`
}

type wrnRow struct {
	Depth     int
	K         float64
	Params10  int `json:"params10"`
	Params100 int `json:"params100"`
}

type imageNetRow struct {
	Net    string
	Width  float64
	Params int `json:"params_exact"`
}

func readPaper(t *testing.T) paper {
	t.Helper()
	text, err := os.ReadFile("../../testdata/paper.json")
	require.NoError(t, err)
	var p paper
	require.NoError(t, json.Unmarshal(text, &p))
	return p
}

func blockOf(kernels []int) string {
	return "B(" + strings.Trim(strings.ReplaceAll(fmt.Sprint(kernels), " ", ","), "[]") + ")"
}

// Table 2: six blocks at k = 2.
func TestBlocks(t *testing.T) {
	rows := readPaper(t).Table2.Rows
	require.Len(t, rows, 6)
	for _, r := range rows {
		name := fmt.Sprintf("WRN-%d-%v-%s", r.Depth, r.K, blockOf(r.Block))
		net := named(t, name)
		require.Equal(t, r.N, net.Blocks, name)
		require.Equal(t, r.Convs, net.Convs, name)
		for _, stride := range []dsl.StrideChoice{dsl.StrideFirst, dsl.StrideFirst3x3} {
			net.Stride = stride
			m := build(t, net, 1)
			require.Equal(t, r.Params, m.Params(), name)
			require.Equal(t, r.Convs+1, convolutions(m.Func("infer")), "%s and its classifier", name)
		}
	}
}

// Table 3: one to four 3x3 convolutions a block leave the number of parameters
// and of multiply-adds exactly as they are.
func TestConvolutionsPerBlock(t *testing.T) {
	rows := readPaper(t).Table3.Rows
	require.Len(t, rows, 4)
	var macs int64
	for _, r := range rows {
		kernels := []int{3, 3, 3, 3}[:r.L]
		net := named(t, "WRN-40-2-"+blockOf(kernels))
		require.Equal(t, r.N, net.Blocks)
		m := build(t, net, 2)
		require.Equal(t, r.Params, m.Params(), "l = %d", r.L)
		require.Equal(t, 2243546, m.Params(), "l = %d", r.L)
		if macs == 0 {
			macs = MACs(m.Func("infer"))
			require.Equal(t, "327.6", fmt.Sprintf("%.1f", float64(macs)/1e6))
		}
		require.Equal(t, macs, MACs(m.Func("infer")), "l = %d", r.L)
	}
}

// Tables 4 and 6 in the shared facts agree with the compiler.
func TestPaperFacts(t *testing.T) {
	p := readPaper(t)
	require.Len(t, p.Table4.Rows, 10)
	require.Len(t, p.Table6.Rows, 6)
	for _, r := range append(p.Table4.Rows, p.Table6.Rows...) {
		net := named(t, fmt.Sprintf("WRN-%d-%v", r.Depth, r.K))
		require.Equal(t, r.Params10, build(t, net, 1).Params(), net.Name)
		if r.Params100 > 0 {
			net.Classes = 100
			require.Equal(t, r.Params100, build(t, net, 1).Params(), net.Name)
		}
	}
}
