package glue_test

import (
	"flag"
	"fmt"
	"go/format"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"

	printer "wrnc/codegen/cuda"
	"wrnc/codegen/glue"
	"wrnc/compiler"
	"wrnc/compiler/ir"
	"wrnc/compiler/lower"
	"wrnc/compiler/plan"
	"wrnc/dsl"
)

var update = flag.Bool("update", false, "rewrite the files of testdata/glue")

// headers stand for the templates: each that a text includes, and the prelude.
func headers(sources [][]plan.Source) map[string]string {
	h := map[string]string{"device.cuh": "#pragma once\n"}
	for _, list := range sources {
		for _, s := range list {
			for line := range strings.Lines(s.Text) {
				if name, ok := strings.CutPrefix(line, "#include \""); ok {
					name, _, _ = strings.Cut(name, "\"")
					h[name] = "#pragma once\n#include \"device.cuh\"\n"
				}
			}
		}
	}
	return h
}

// input compiles a network for a package.
func input(t *testing.T, net *dsl.Network, precision ir.DType) glue.Input {
	t.Helper()
	c, err := compiler.Compile(net, compiler.Options{Batch: net.Train.Batch, Precision: precision, Fuse: true})
	require.NoError(t, err)
	arch, err := printer.Arch("sm_80")
	require.NoError(t, err)
	in := glue.Input{Module: c.Module}
	for _, f := range c.Module.Funcs {
		p, err := lower.Plan(f, arch)
		require.NoError(t, err)
		s, err := printer.Emit(p, f)
		require.NoError(t, err)
		in.Plans, in.Sources = append(in.Plans, p), append(in.Sources, s)
	}
	in.Headers = headers(in.Sources)
	return in
}

// TestGolden compares the package of each testdata/glue/NET.PRECISION.txtar: its
// network.go whole, and the names of its other files but those of kernels.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("../../testdata/glue/*")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			parts := strings.Split(filepath.Base(file), ".")
			require.True(t, len(parts) == 3 && parts[2] == "txtar", "a file that belongs to no case")
			precision, ok := ir.ParseDType(parts[1])
			require.True(t, ok, parts[1])
			ar, err := txtar.ParseFile(file)
			require.NoError(t, err)
			require.NotEmpty(t, ar.Comment, "a case says why it is there")
			require.Equal(t, "network.wrn", ar.Files[0].Name)
			net, err := dsl.Load("network.wrn", ar.Files[0].Data)
			require.NoError(t, err)
			got, err := glue.Package(input(t, net, precision))
			require.NoError(t, err)

			formatted, err := format.Source(got["network.go"])
			require.NoError(t, err)
			require.Equal(t, string(formatted), string(got["network.go"]), "as gofmt prints it")
			again, err := glue.Package(input(t, net, precision))
			require.NoError(t, err)
			require.Equal(t, got, again, "the same bytes")

			var names strings.Builder
			for _, name := range slices.Sorted(maps.Keys(got)) {
				if !strings.HasPrefix(name, "kernels/") {
					fmt.Fprintln(&names, name)
				}
			}
			if *update {
				ar.Files = append(ar.Files[:1], txtar.File{Name: "files", Data: []byte(names.String())}, txtar.File{Name: "network.go", Data: got["network.go"]})
				require.NoError(t, os.WriteFile(file, txtar.Format(ar), 0o644))
			}
			require.Len(t, ar.Files, 3)
			require.Equal(t, string(ar.Files[1].Data), names.String())
			require.Equal(t, string(ar.Files[2].Data), string(got["network.go"]))
		})
	}
}

func TestName(t *testing.T) {
	for network, want := range map[string]string{
		"WRN-16-8":             "wrn16x8",
		"WRN-40-2-B(3,1,3)":    "wrn40x2b313",
		"WRN-16-1.5":           "wrn16x1p5",
		"WRN-50-2-bottleneck":  "wrn50x2bottleneck",
		"my-net":               "mynet",
		"go":                   "netgo",
		"len":                  "netlen",
		"main":                 "netmain",
		"28-10":                "net28x10",
		"résumé":               "rsum",
		"":                     "net",
		"a\npackage main\nb-1": "apackagemainb1",
	} {
		require.Equal(t, want, glue.Name(network), network)
	}
}
