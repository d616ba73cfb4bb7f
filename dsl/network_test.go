package dsl_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/dsl"
	"wrnc/dsl/diag"
)

// TestPaperFacts holds blocks a group and true convolutions to the paper: its
// Tables 2, 3, 4 and 6, and the reference's own count of convolutions.
func TestPaperFacts(t *testing.T) {
	for _, c := range []struct {
		name          string
		blocks, convs int
	}{
		// Tables 4, 5 and 6; 40-1 and 52-1 have no projection in group 1.
		{"WRN-40-1", 6, 39},
		{"WRN-40-2", 6, 40},
		{"WRN-40-4", 6, 40},
		{"WRN-40-8", 6, 40},
		{"WRN-40-10", 6, 40},
		{"WRN-28-10", 4, 28},
		{"WRN-28-12", 4, 28},
		{"WRN-22-8", 3, 22},
		{"WRN-22-10", 3, 22},
		{"WRN-16-4", 2, 16},
		{"WRN-16-8", 2, 16},
		{"WRN-16-10", 2, 16},
		{"WRN-52-1", 8, 51},
		// Table 2: N = (depth-4)/6 whatever the block.
		{"WRN-40-2-B(1,3,1)", 6, 58},
		{"WRN-40-2-B(3,1)", 6, 40},
		{"WRN-40-2-B(1,3)", 6, 40},
		{"WRN-40-2-B(3,1,1)", 6, 58},
		{"WRN-28-2-B(3,3)", 4, 28},
		{"WRN-22-2-B(3,1,3)", 3, 31},
		// Table 3: N = (depth-4)/(3l), so the convolutions stay.
		{"WRN-40-2-B(3)", 12, 40},
		{"WRN-40-2-B(3,3)", 6, 40},
		{"WRN-40-2-B(3,3,3)", 4, 40},
		{"WRN-40-2-B(3,3,3,3)", 3, 40},
		// The smallest of each.
		{"WRN-10-1", 1, 9},
		{"WRN-7-2-B(3)", 1, 7},
		{"WRN-13-2-B(3,3,3)", 1, 13},
		{"WRN-16-2-B(3,3,3,3)", 1, 16},
		// int(16k) = 16: the width changes, the first group's channels do not.
		{"WRN-16-1.05", 2, 15},
		{"WRN-16-1.0625", 2, 16},
	} {
		n, err := dsl.FromName(c.name)
		require.NoError(t, err, c.name)
		require.Equal(t, c.blocks, n.Blocks, c.name)
		require.Equal(t, c.convs, n.Convs, c.name)
		require.Equal(t, len(n.Kernels) != 2, len(n.Notes) == 1, "%s: a note wherever the depth has two meanings", c.name)
	}
}

func TestNames(t *testing.T) {
	for name, canonical := range map[string]string{
		"WRN-16-8":            "WRN-16-8",
		"wrn-016-8.50":        "WRN-16-8.5",
		"WRN-40-2-B( 3,1, 3)": "WRN-40-2-B(3,1,3)",
		"WRN-16-2-B(3,3)":     "WRN-16-2",
	} {
		n, err := dsl.FromName(name)
		require.NoError(t, err, name)
		require.Equal(t, canonical, n.Name)
		require.Equal(t, "<name>", n.File)
		again, err := dsl.FromName(n.Name)
		require.NoError(t, err)
		require.Equal(t, n.Name, again.Name, "the canonical name means itself")
	}
	for name, want := range map[string]string{
		"WRN-17-8":               "<name>:1:5: depth 17 is not 6N+4; nearest: 16 (N=2), 22 (N=3)\n    WRN-17-8\n        ^^",
		"":                       "<name>:1:1: \"\" is no network's name",
		"resnet-50":              "<name>:1:1: \"resnet-50\" is no network's name",
		"WRN-":                   "depth \"\" is not a whole number",
		"WRN-16-8-B(3,3) {":      "missing",
		"WRN-16-8\n\x00\x1b":     "width \"8\\n\\x00\\x1b\" is not a number",
		strings.Repeat("W", 4e6): "the name has 4000000 bytes",
	} {
		n, err := dsl.FromName(name)
		require.Nil(t, n)
		require.ErrorContains(t, err, want, "%.20q", name)
	}
}

func TestIsName(t *testing.T) {
	for arg, want := range map[string]bool{
		"WRN-16-8": true, "wrn-40-1.5": true, "WRN-40-2-B(3,1,3)": true, "WRN-x": true,
		"wrn-16-8.wrn": false, "WRN-16-8.WRN": false, "nets/WRN-16-8": false, "./WRN-16-8": false,
		`nets\WRN-16-8`: false, "net.wrn": false, "": false, "WRN": false, "resnet": false,
	} {
		require.Equal(t, want, dsl.IsName(arg), arg)
	}
}

func TestScaledAndRate(t *testing.T) {
	paper := dsl.PaperTrain("cifar10")
	for epoch, rate := range map[int]float64{0: 0.1, 58: 0.1, 59: 0.02, 118: 0.02, 119: 0.004, 158: 0.004, 159: 0.0008, 199: 0.0008} {
		require.InEpsilon(t, rate, paper.Rate(epoch), 1e-12, "epoch %d", epoch)
	}
	for epochs, drops := range map[int][]int{
		200: {59, 119, 159}, 400: {118, 238, 318}, 30: {9, 18, 24}, 10: {3, 6, 8}, 3: {1, 2, 2}, 1: {1, 1, 1},
	} {
		s := paper.Scaled(epochs)
		require.Equal(t, drops, s.Drops, "%d epochs", epochs)
		require.Equal(t, epochs, s.Epochs)
		require.Equal(t, 0.1, s.Rate(0), "no drop before the first epoch")
	}
	require.Equal(t, []int{59, 119, 159}, paper.Drops, "scaling copies")
	require.InEpsilon(t, 0.1*0.2*0.2, paper.Scaled(3).Rate(2)/0.2, 1e-12, "drops that meet each count")
	require.Equal(t, []int{79, 119}, dsl.PaperTrain("svhn").Drops)
	require.Equal(t, []int{3, 4, 5}, dsl.PaperTrain("digits").Drops)
}

func TestWithData(t *testing.T) {
	n, err := dsl.Load("a.wrn", []byte("model WRN-16-2\ndata svhn \"/s\" { augment flip }\ntrain paper { batch 64 }"))
	require.NoError(t, err)

	same, err := n.WithData("svhn")
	require.NoError(t, err)
	require.Equal(t, n, same)

	cifar, err := n.WithData("cifar100")
	require.NoError(t, err)
	require.Equal(t, 100, cifar.Classes)
	require.Equal(t, dsl.Data{Name: "cifar100", Normalize: dsl.NormalizeMeanStd, Flip: true, CropPad: 4, CropMode: "reflect"}, cifar.Data)
	require.Equal(t, 0.1, cifar.Train.LR, "the recipe is that of the data")
	require.Equal(t, 64, cifar.Train.Batch, "what the text says of training stays")
	require.Len(t, cifar.Notes, 1)
	require.Contains(t, cifar.Notes[0].String(), "a.wrn:2:1: note: data cifar100 replaces")
	require.Empty(t, n.Notes, "the network itself does not change")

	_, err = n.WithData("cifar1000")
	require.ErrorContains(t, err, "did you mean cifar100?")
	_, err = (&dsl.Network{Name: "by hand"}).WithData("svhn")
	require.Error(t, err)

	ten, err := dsl.Load("a.wrn", []byte("model WRN-16-2 { classes 10 }"))
	require.NoError(t, err)
	_, err = ten.WithData("cifar100")
	require.ErrorContains(t, err, "classes 10 is too few")

	named, err := dsl.FromName("WRN-16-8")
	require.NoError(t, err)
	for _, set := range dsl.DataSets() {
		if set == "imagenet" { // whose networks are others
			continue
		}
		with, err := named.WithData(set)
		require.NoError(t, err)
		require.Equal(t, set, with.Data.Name)
		require.Empty(t, with.Notes)
	}
}

func TestWithFolder(t *testing.T) {
	n, err := dsl.Load("a.wrn", []byte("model WRN-16-2\ndata svhn\ntrain paper { batch 64 }"))
	require.NoError(t, err)
	with, err := n.WithFolder("flowers", "pictures/flowers", 7)
	require.NoError(t, err)
	require.Equal(t, 7, with.Classes)
	require.Equal(t, dsl.Data{Name: "flowers", Path: "pictures/flowers", Normalize: dsl.NormalizeMeanStd, Flip: true, CropPad: 4, CropMode: "reflect"}, with.Data)
	require.Equal(t, 0.1, with.Train.LR, "CIFAR's recipe")
	require.Equal(t, 64, with.Train.Batch)
	require.Len(t, with.Notes, 1)
	require.Contains(t, with.Notes[0].String(), "note: data flowers replaces")

	_, err = n.WithFolder("svhn", "svhn", 10)
	require.ErrorContains(t, err, "svhn is the name of a data set")
	few, err := dsl.Load("a.wrn", []byte("model WRN-16-2 { classes 5 }"))
	require.NoError(t, err)
	_, err = few.WithFolder("flowers", "flowers", 7)
	require.ErrorContains(t, err, "classes 5 is too few: flowers has 7")
}

// TestNets loads every sample network: legal, and opening with why it is there.
// A note is allowed only for the depth rule.
func TestNets(t *testing.T) {
	files, err := filepath.Glob("../testdata/nets/*.wrn")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(string(text), "# "), file)
		n, err := dsl.Load(file, text)
		require.NoError(t, err)
		require.NotEmpty(t, n.Data.Name, file)
		plain := strings.NewReplacer("(", "", ")", "", ",", "", "-B", "-b").Replace(strings.ToLower(n.Name))
		if n.Family == dsl.ImageNet && !n.Bottleneck() {
			plain += "-imagenet"
		}
		require.Equal(t, plain+".wrn", filepath.Base(file), "a file is named after its network")
		for _, note := range n.Notes {
			require.Equal(t, diag.Note, note.Severity)
			require.NotEqual(t, 2, len(n.Kernels), note.String())
		}
	}
}
