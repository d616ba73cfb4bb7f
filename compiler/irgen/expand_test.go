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
	for name, text := range variedTexts(t) {
		net, err := dsl.Load("short.wrn", []byte(text))
		require.NoError(t, err, name)
		checkExpansion(t, net)
	}
}

// What `show` prints, every default written down, is the same network too.
func TestShownIsTheSame(t *testing.T) {
	for name, text := range variedTexts(t) {
		net, err := dsl.Load("short.wrn", []byte(text))
		require.NoError(t, err, name)
		checkShown(t, net)
	}
	checkShown(t, named(t, "WRN-50-2-bottleneck"))
	for _, text := range []string{
		"model WRN-10-1; train paper { epochs 1 }", "model WRN-10-1; train paper { drops [] }", "model WRN-10-1-B(3); dropout 0.3",
		"model WRN-16-2; data svhn; train paper { epochs 7 }", "model WRN-16-2; dropout 0; train torch { nesterov on; lr 1e-3 }",
		"model g { input 32x32x3; layers { conv 2x2 3 stride 3 pad 1 bias 0.25; maxpool 2x2; avgpool global; linear classes } }; data digits",
	} {
		net, err := dsl.Load("short.wrn", []byte(text))
		require.NoError(t, err, text)
		checkShown(t, net)
	}
}

func checkShown(t *testing.T, net *dsl.Network) {
	t.Helper()
	text, err := net.Show()
	require.NoError(t, err, net.Name)
	shown, err := dsl.Load("shown.wrn", []byte(text))
	require.NoError(t, err, text)
	require.Equal(t, build(t, net, 2).String(), build(t, shown, 2).String(), text)
	require.Equal(t, net.Data, shown.Data, text)
	if strings.Contains(text, "\n# drops") || strings.Contains(text, "\n  # drops") { // that no text can say
		shown.Train.Drops = net.Train.Drops
	}
	require.Equal(t, net.Train, shown.Train, text)
	for _, s := range shown.Settings() {
		if s.Key != "" && s.Key != "drops" {
			require.Equal(t, "file", s.From, "%s of %s", s.Key, text)
		}
	}
}

// variedTexts are networks that together have all that a text can say of one, by
// name.
func variedTexts(t *testing.T) map[string]string {
	t.Helper()
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
	return texts
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
