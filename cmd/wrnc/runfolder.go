package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"wrnc/dsl"
	"wrnc/runtime/checkpoint"
)

// checkOut refuses a folder for a run that holds something: no run is
// overwritten.
func checkOut(out string) error {
	entries, err := os.ReadDir(out)
	switch {
	case err == nil && len(entries) > 0:
		return fmt.Errorf("--out %s: the folder is not empty; take another, since no run is overwritten", out)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("--out %s: %w", out, plain(err))
	}
	return nil
}

// makeRunFolder makes the folder that a run is kept in: out, or
// runs/NET-DATA-SEED-N with the first N that is free.
func makeRunFolder(out string, net *dsl.Network, seed uint64) (string, error) {
	if out != "" {
		if err := checkOut(out); err != nil {
			return "", err
		}
		if err := os.MkdirAll(out, 0o777); err != nil {
			return "", fmt.Errorf("--out %s: %w", out, plain(err))
		}
		return out, nil
	}
	const parent, most = "runs", 100000
	if err := os.MkdirAll(parent, 0o777); err != nil {
		return "", fmt.Errorf("%s: %w; give another folder by --out", parent, plain(err))
	}
	for n := 1; n <= most; n++ {
		dir := filepath.Join(parent, fmt.Sprintf("%s-%s-%d-%d", fileName(net.Name), net.Data.Name, seed, n))
		err := os.Mkdir(dir, 0o777)
		switch {
		case err == nil:
			return dir, nil
		case !errors.Is(err, fs.ErrExist):
			return "", fmt.Errorf("%s: %w; give another folder by --out", dir, plain(err))
		}
	}
	return "", fmt.Errorf("%s holds %d runs of this network, data and seed; give a folder by --out", parent, most)
}

// runFacts are the choices that a run was made with, kept in run.json beside its
// weights.
type runFacts struct {
	Model     string  `json:"model"`
	Dropout   float64 `json:"dropout"`
	Data      string  `json:"data"`
	Images    int     `json:"images"` // that an epoch draws from
	Normalize string  `json:"normalize"`
	Flip      bool    `json:"flip"`
	CropPad   int     `json:"crop_pad"`
	CropMode  string  `json:"crop_mode"`
	Recipe    string  `json:"recipe"`
	Epochs    int     `json:"epochs"`
	Batch     int     `json:"batch"`
	LR        float64 `json:"lr"`
	Drops     []int   `json:"drops"` // counted from 0
	DropRatio float64 `json:"drop_ratio"`
	Momentum  float64 `json:"momentum"`
	Nesterov  bool    `json:"nesterov"`
	Decay     float64 `json:"decay"`
	Seed      uint64  `json:"seed"`
	Target    string  `json:"target"`
	ISA       string  `json:"isa"`
	Precision string  `json:"precision"`
	Fused     bool    `json:"fused"`
}

// write keeps the facts in a run's folder.
func (f runFacts) write(dir string) error {
	text, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	return checkpoint.Replace(filepath.Join(dir, "run.json"), func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "%s\n", text)
		return err
	})
}
