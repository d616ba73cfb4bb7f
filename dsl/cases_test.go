package dsl_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"

	"wrnc/dsl"
	"wrnc/dsl/diag"
)

var update = flag.Bool("update", false, "write what the cases yield into their .want parts")

// TestCases runs testdata/dsl/*.txtar. A part NAME.wrn is a text, and the part
// NAME.want after it all that the user sees of it: the diagnostics, or the
// network and its notes.
func TestCases(t *testing.T) {
	files, err := filepath.Glob("../testdata/dsl/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			require.NoError(t, err)
			require.NotEmpty(t, archive.Comment, "the comment says why the cases are here")
			want := make(map[string]string)
			for _, part := range archive.Files {
				want[part.Name] = string(part.Data)
			}
			var out []txtar.File
			for _, part := range archive.Files {
				base, isText := strings.CutSuffix(part.Name, ".wrn")
				if !isText {
					require.True(t, strings.HasSuffix(part.Name, ".want"), part.Name)
					require.Contains(t, want, strings.TrimSuffix(part.Name, ".want")+".wrn", "orphan %s", part.Name)
					continue
				}
				got := outcome(part.Name, part.Data)
				out = append(out, part, txtar.File{Name: base + ".want", Data: []byte(got)})
				if !*update {
					require.Equal(t, want[base+".want"], got, part.Name)
				}
			}
			if *update {
				text := txtar.Format(&txtar.Archive{Comment: archive.Comment, Files: out})
				require.NoError(t, os.WriteFile(file, text, 0o644))
				return
			}
			require.Len(t, archive.Files, len(out), "each .wrn has one .want")
		})
	}
}

func outcome(name string, text []byte) string {
	n, err := dsl.Load(name, text)
	if err != nil {
		return err.Error() + "\n"
	}
	return describe(n)
}

// describe prints every field of a network that a text can change.
func describe(n *dsl.Network) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s at %s\n", n.Name, n.Pos)
	if n.Family == dsl.Layered {
		fmt.Fprintf(&b, "groups %v convs=%d input %v classes %d (%s) gamma %s\n", n.Groups(), n.Convs, n.Input, n.Classes, place(n.ClassesPos), n.Gamma)
		steps, err := n.Unroll()
		if err != nil {
			return err.Error()
		}
		for _, s := range steps {
			fmt.Fprintf(&b, "  %s %v%v -> %v\n", s.Name, s.From, s.In, s.Out)
			if b.Len() > 4000 { // a case's block is never so large
				b.WriteString("  ...\n")
				break
			}
		}
		return b.String()
	}
	fmt.Fprintf(&b, "depth %d (%s) width %g (%s) kernels %v (%s)\n",
		n.Depth, place(n.DepthPos), n.Width, place(n.WidthPos), n.Kernels, place(n.KernelsPos))
	fmt.Fprintf(&b, "N=%d convs=%d widths %v stride %s (%s) on conv %d\n",
		n.Blocks, n.Convs, n.Widths(), n.Stride, place(n.StridePos), n.StrideConv())
	if n.Family == dsl.ImageNet {
		fmt.Fprintf(&b, "imagenet groups %v inner %d to %d\n", n.Groups(), n.Inner(1), n.Inner(4))
	}
	fmt.Fprintf(&b, "dropout %g (%s) input %v classes %d (%s)\n",
		n.Dropout, place(n.DropoutPos), n.Input, n.Classes, place(n.ClassesPos))
	fmt.Fprintf(&b, "data %q %q (%s) %s flip=%t crop=%d %q\n",
		n.Data.Name, n.Data.Path, place(n.DataPos), n.Data.Normalize, n.Data.Flip, n.Data.CropPad, n.Data.CropMode)
	t := n.Train
	fmt.Fprintf(&b, "train %s (%s) epochs=%d batch=%d lr=%g momentum=%g decay=%g nesterov=%t\n",
		t.Recipe, place(n.TrainPos), t.Epochs, t.Batch, t.LR, t.Momentum, t.WeightDecay, t.Nesterov)
	fmt.Fprintf(&b, "drops %v by %g reset=%t short=%t runs=%d linear=%s\n",
		t.Drops, t.DropRatio, t.ResetVelocity, t.KeepShortBatch, t.Runs, t.LinearInit)
	b.WriteString(diag.List(n.Notes).String())
	return b.String()
}

func place(p diag.Pos) string { return fmt.Sprintf("%d:%d", p.Line, p.Col) }
