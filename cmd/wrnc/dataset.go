package main

import (
	"fmt"
	"strings"

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
	open    func(dir string) (*data.Source, error)
}

// dataSets is the table of data sets.
func dataSets() []dataSet {
	return []dataSet{
		// No network of the paper was trained on digits; the smallest one does well.
		{"digits", "model WRN-10-1\ndata digits\n", "", func(string) (*data.Source, error) { return data.Digits(), nil }},
		// Table 9: 3.8 %.
		{"cifar10", "model WRN-40-10\ndropout 0.3\ndata cifar10\n", "data", data.OpenCIFAR10},
	}
}

// chooseData returns the row of --train's value.
func chooseData(name string) (dataSet, error) {
	var names []string
	for _, d := range dataSets() {
		if d.name == name {
			return d, nil
		}
		names = append(names, d.name)
	}
	all := strings.Join(names, ", ")
	for _, known := range dsl.DataSets() {
		if known == name {
			return dataSet{}, usagef("--train %s: this version of wrnc cannot read %s; it trains on %s", name, name, all)
		}
	}
	hint := ""
	if near := diag.Nearest(strings.ToLower(name), names); near != "" {
		hint = fmt.Sprintf(", did you mean %q?", near)
	}
	return dataSet{}, usagef("--train %s: expected one of %s%s", name, all, hint)
}

// limited returns the source with no more than the first n training pictures.
func limited(src *data.Source, n int) *data.Source {
	set := *src.Train
	n = min(n, set.Len())
	set.Labels = set.Labels[:n]
	set.Images = set.Images[:n*set.H*set.W*set.C]
	return &data.Source{Train: &set, Test: src.Test}
}

// augmentation is what the network's text says of it, in package data's words.
func augmentation(d dsl.Data) data.Augment {
	a := data.Augment{Flip: d.Flip, Pad: d.CropPad}
	if d.CropMode == "reflect" {
		a.Fill = data.FillReflect
	}
	return a
}

func normalization(d dsl.Data) data.Normalize {
	if d.Normalize == dsl.NormalizeMeanStd {
		return data.CIFARMeanStd()
	}
	return data.Scale255()
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
