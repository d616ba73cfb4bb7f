package irgen

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/dsl"
)

// The short form is sugar: a network and its layers yield the same IR text, to
// the names of layers, and the same training.
func TestExpandedIsTheSame(t *testing.T) {
	texts := map[string]string{}
	files, err := filepath.Glob("../../testdata/nets/*.wrn")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		texts[file] = string(text)
	}
	// Every block of one to four convolutions, with dropout, either stride, and a
	// width that truncates.
	var blocks func(prefix string, l int)
	blocks = func(prefix string, l int) {
		for _, k := range []string{"1", "3"} {
			block := prefix + k
			for _, stride := range []string{"first", "first3x3"} {
				if stride == "first3x3" && !strings.Contains(block, "3") {
					continue
				}
				name := fmt.Sprintf("model WRN-40-1.3-B(%s) { blocks 2; stride %s }", block, stride)
				texts[name] = name + "\ndata cifar100\ndropout 0.25 # a comment\ntrain paper { epochs 3 }\n"
			}
			if l > 1 {
				blocks(block+",", l-1)
			}
		}
	}
	blocks("", 4)
	for _, name := range []string{"WRN-10-0.0625", "WRN-16-1 { count paper; classes 12 }", "WRN-28-10; train torch; dropout 0.3", "WRN-22-2-B( 3,1 )"} {
		texts[name] = "model " + name
	}
	for _, name := range []string{"WRN-18-0.5", "WRN-34-1.5", "WRN-50-1-bottleneck", "WRN-101-2-bottleneck", "WRN-152-1-bottleneck", "WRN-50-1.3-bottleneck { classes 1001 }"} {
		texts[name] = "model " + name + "; data imagenet"
	}
	require.Greater(t, len(texts), 70)
	for name, text := range texts {
		net, err := dsl.Load("short.wrn", []byte(text))
		require.NoError(t, err, name)
		checkExpansion(t, net)
	}
}

func TestBareNameExpands(t *testing.T) {
	for _, name := range []string{"WRN-16-8", "wrn-40-2-b(3,1,3)", "WRN-50-2-bottleneck"} {
		checkExpansion(t, named(t, name))
	}
}

// checkExpansion compares a network with its expansion, and that with its own.
func checkExpansion(t *testing.T, net *dsl.Network) {
	t.Helper()
	text, err := net.Expand()
	require.NoError(t, err, net.Name)
	expanded, err := dsl.Load("layers.wrn", []byte(text))
	require.NoError(t, err, text)
	require.Equal(t, dsl.Layered, expanded.Family)
	require.Equal(t, build(t, net, 2).String(), build(t, expanded, 2).String(), text)
	require.Equal(t, net.Convs, expanded.Convs, net.Name)
	if net.File != "<name>" { // a bare name says nothing of data, a bottleneck's implies them
		require.Equal(t, net.Data, expanded.Data, net.Name)
		require.Equal(t, net.Train, expanded.Train, net.Name)
	}
	again, err := expanded.Expand()
	require.NoError(t, err)
	require.Equal(t, text, again)
}
