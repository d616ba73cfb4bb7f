package dsl

import (
	"strings"

	"wrnc/dsl/diag"
)

// dataSet is a data set's row: its classes and the paper's way with it.
type dataSet struct {
	name    string
	classes int
	data    Data // defaults
}

// dataSets returns the table of data sets: 32x32 colour pictures, but for the
// 224x224 ones of ImageNet, which networks are built for and not trained on.
// CIFAR is normalized and augmented as in the paper's Table 5 (mean and deviation,
// flips, crops from a border of 4), SVHN as in its section 3: scaled, no more.
// Of ImageNet's augmentation only the flip has a word here.
func dataSets() []dataSet {
	scaled := func(name string) Data { return Data{Name: name, Normalize: NormalizeScale} }
	return []dataSet{
		{"digits", 10, scaled("digits")},
		cifar("cifar10", 10),
		cifar("cifar100", 100),
		{"svhn", 10, scaled("svhn")},
		{imageNet, 1000, Data{Name: imageNet, Normalize: NormalizeMeanStd, Flip: true}},
	}
}

// input is the size of the set's pictures.
func (d dataSet) input() [3]int {
	if d.name == imageNet {
		return [3]int{224, 224, 3}
	}
	return [3]int{32, 32, 3}
}

// cifar returns the row of a data set that is treated as CIFAR is.
func cifar(name string, classes int) dataSet {
	return dataSet{name, classes, Data{Name: name, Normalize: NormalizeMeanStd, Flip: true, CropPad: 4, CropMode: "reflect"}}
}

// DataSets returns the names that `data` takes, in the order shown to users.
func DataSets() []string {
	var names []string
	for _, d := range dataSets() {
		names = append(names, d.name)
	}
	return names
}

func findDataSet(name string) (dataSet, bool) {
	for _, d := range dataSets() {
		if d.name == name {
			return d, true
		}
	}
	return dataSet{}, false
}

// unknownDataSet says what to write instead of a data set that is not known.
func unknownDataSet(name string) string {
	all := "the data sets are " + strings.Join(DataSets(), ", ")
	if near := diag.Nearest(strings.ToLower(name), DataSets()); near != "" {
		return "did you mean " + near + "? " + all
	}
	return all
}
