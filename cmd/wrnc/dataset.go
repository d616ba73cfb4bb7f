package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"wrnc/dsl"
	"wrnc/dsl/diag"
	"wrnc/runtime/data"
	"wrnc/runtime/train"
)

// dataSet is a data set that networks are trained on.
type dataSet struct {
	name    string
	network string // what to train without a network: the paper's best one for this data
	folder  string // where its files lie by default; "" where it has none
	open    func(dir string, input [3]int) (*data.Source, error)
	test    func(dir string, input [3]int) (*data.Source, error) // open for the test pictures alone
	find    func(dir string) (string, error)                     // the folder that has its files, of which it reads none; nil where it has none
	measure bool                                                 // the test pictures are all that is wanted
	classes int                                                  // of a folder of the user's own; 0 for the data sets of the table
}

// dataSets is the table of data sets.
func dataSets() []dataSet {
	files := func(open func(string) (*data.Source, error)) func(string, [3]int) (*data.Source, error) {
		return func(dir string, _ [3]int) (*data.Source, error) { return open(dir) }
	}
	digits := files(func(string) (*data.Source, error) { return data.Digits(), nil })
	return []dataSet{
		// No network of the paper was trained on digits; the smallest one does well.
		{name: "digits", network: "model WRN-10-1\ndata digits\n", open: digits, test: digits},
		// Table 9: 3.8 %, 18.3 % and 1.54 %.
		{name: "cifar10", network: "model WRN-40-10\ndropout 0.3\ndata cifar10\n", folder: "data", open: files(data.OpenCIFAR10), test: files(data.OpenCIFAR10Test), find: data.FindCIFAR10},
		{name: "cifar100", network: "model WRN-40-10\ndropout 0.3\ndata cifar100\n", folder: "data", open: files(data.OpenCIFAR100), test: files(data.OpenCIFAR100Test), find: data.FindCIFAR100},
		{name: "svhn", network: "model WRN-16-8\ndropout 0.4\ndata svhn\n", folder: "data", open: files(data.OpenSVHN), test: files(data.OpenSVHNTest), find: data.FindSVHN},
	}
}

// trainable says what --train takes.
func trainable(names []string) string {
	return strings.Join(names, ", ") + ", or a folder that has train and val in it"
}

// chooseData returns the row of a flag's value, such as --train's: one of the table, or
// one made for a folder.
func chooseData(flag, name string) (dataSet, error) {
	var names []string
	for _, d := range dataSets() {
		if d.name == name {
			return d, nil
		}
		names = append(names, d.name)
	}
	all := trainable(names)
	for _, known := range dsl.DataSets() {
		if known == name {
			return dataSet{}, usagef("%s %s: this version of wrnc cannot read %s; it reads %s", flag, name, name, all)
		}
	}
	switch info, err := os.Stat(name); {
	case err == nil && info.IsDir():
		return folderData(flag, name)
	case err == nil:
		return dataSet{}, fmt.Errorf("%s %s: this is a file; expected one of %s", flag, name, all)
	case strings.ContainsAny(name, `/\`):
		return dataSet{}, fmt.Errorf("%s %s: %w; expected one of %s", flag, name, plain(err), all)
	}
	hint := ""
	if near := diag.Nearest(strings.ToLower(name), names); near != "" {
		hint = fmt.Sprintf(", did you mean %q?", near)
	}
	return dataSet{}, usagef("%s %s: expected one of %s%s", flag, name, all, hint)
}

// folderData returns the row of a folder of pictures. The paper has no network for
// it; the default is the smaller one of its Table 6 that suits 32x32 pictures.
func folderData(flag, dir string) (dataSet, error) {
	folder, err := data.ScanFolder(dir)
	if err != nil {
		return dataSet{}, fmt.Errorf("%s %w", flag, err)
	}
	whole, err := filepath.Abs(dir)
	if err != nil {
		return dataSet{}, fmt.Errorf("%s %s: %w", flag, dir, err)
	}
	return dataSet{
		name:    folderName(filepath.Base(whole)),
		network: "model WRN-16-4\n",
		folder:  dir,
		open:    func(_ string, input [3]int) (*data.Source, error) { return folder.Read(input[0], input[1]) },
		test:    func(_ string, input [3]int) (*data.Source, error) { return folder.ReadTest(input[0], input[1]) },
		classes: len(folder.Classes),
	}, nil
}

// folderName makes a name of a folder's that can be part of a run's, and that no
// data set has.
func folderName(base string) string {
	name := strings.Map(func(r rune) rune {
		if r == '.' || r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) {
			return r
		}
		return '-'
	}, base)
	if slices.Contains(dsl.DataSets(), name) {
		return "folder-" + name
	}
	return name
}

// limited returns the source with no more than the first n training pictures.
func limited(src *data.Source, n int) *data.Source {
	set := *src.Train
	n = min(n, set.Len())
	set.Labels = set.Labels[:n]
	set.Images = set.Images[:n*set.H*set.W*set.C]
	return &data.Source{Train: &set, Test: src.Test, Notes: src.Notes}
}

// augmentation is what the network's text says of it, in package data's words.
func augmentation(d dsl.Data) data.Augment {
	a := data.Augment{Flip: d.Flip, Pad: d.CropPad}
	if d.CropMode == "reflect" {
		a.Fill = data.FillReflect
	}
	return a
}

// normalization is how the bytes of a set become numbers. The mean and deviation
// of CIFAR are those of the authors' code, for both of its data sets; any other
// set's are those of its training pictures.
func normalization(d dsl.Data, training *data.Set) data.Normalize {
	switch {
	case d.Normalize != dsl.NormalizeMeanStd:
		return data.Scale255()
	case d.Name == "cifar10" || d.Name == "cifar100":
		return data.CIFARMeanStd()
	}
	return data.MeanStdOf(training)
}

// recipe lists the epochs of a training.
func recipe(t dsl.Train) train.Recipe {
	r := train.Recipe{KeepShortBatch: t.KeepShortBatch}
	for e := range t.Epochs {
		epoch := train.Epoch{Rate: t.Rate(e)}
		for _, drop := range t.Drops {
			epoch.ResetVelocity = epoch.ResetVelocity || t.ResetVelocity && drop == e
		}
		r.Epochs = append(r.Epochs, epoch)
	}
	return r
}
