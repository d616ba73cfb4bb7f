package main

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"wrnc/compiler/plan"
	"wrnc/dsl"
	"wrnc/runtime/checkpoint"
	"wrnc/runtime/data"
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
		err := checkpoint.MakeFolder(dir)
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
// weights. All that a run needs to go on is in them.
type runFacts struct {
	Model     string  `json:"model"`
	Dropout   float64 `json:"dropout"`
	Data      string  `json:"data"`
	Images    int     `json:"images"` // that an epoch draws from
	Labels    string  `json:"labels"` // hash of their classes, by which other data is noticed
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
	ISA       string  `json:"isa"`              // or the GPU's architecture
	Device    string  `json:"device,omitempty"` // the GPU's name
	Precision string  `json:"precision"`
	Fused     bool    `json:"fused"`

	Plan    string      `json:"plan"`              // hash of the texts in plan-*.txt
	Choices runChoices  `json:"choices"`           // of the command line
	Network networkText `json:"network"`           // as it was written
	Changes []runChange `json:"changes,omitempty"` // that were allowed later
}

// runChoices are what the command line said, but for what the other facts say.
type runChoices struct {
	Folder    string   `json:"folder,omitempty"` // of the data's files, absolute
	Epochs    *int     `json:"epochs,omitempty"`
	LR        *float64 `json:"lr,omitempty"`
	Batch     *int     `json:"batch,omitempty"`
	Limit     *int     `json:"limit,omitempty"`
	SaveEvery *int     `json:"save_every,omitempty"`
	KeepEvery *int     `json:"keep_every,omitempty"`
}

// networkText is a network's text and what it is called in messages.
type networkText struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// runChange is what a run went on with from a step.
type runChange struct {
	Step      int64   `json:"step"`
	Target    string  `json:"target,omitempty"`     // another target, or
	ISA       string  `json:"isa,omitempty"`        // another instruction set, or
	Device    string  `json:"device,omitempty"`     // another GPU, or
	Plan      string  `json:"plan,omitempty"`       // another plan
	RateScale float64 `json:"rate_scale,omitempty"` // what the rates were multiplied by
}

// The files in a run's folder that this program writes itself.
const (
	runFile     = "run.json"
	metricsFile = "metrics.jsonl"
)

// write keeps the facts in a run's folder.
func (f runFacts) write(dir string) error {
	text, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	return writeText(filepath.Join(dir, runFile), string(text)+"\n")
}

// readRun reads the facts of the run in a folder, to go on with it.
func readRun(dir string) (runFacts, error) {
	f, err := readFacts(dir)
	if errors.Is(err, errNoRun) {
		return f, fmt.Errorf("--resume %w; begin it again with --train", err)
	}
	if err != nil {
		return f, fmt.Errorf("--resume %w", err)
	}
	if f.Network.Text == "" {
		return f, fmt.Errorf("%s: it says nothing of the network's text; an older wrnc made this run, which cannot go on", filepath.Join(dir, runFile))
	}
	return f, nil
}

// errNoRun says that a folder has no facts of a run.
var errNoRun = fmt.Errorf("there is no %s, so it is no run, or one that ended before it trained", runFile)

// readFacts reads the facts of the run in a folder.
func readFacts(dir string) (runFacts, error) {
	var f runFacts
	path := filepath.Join(dir, runFile)
	if info, err := os.Stat(dir); err != nil {
		return f, fmt.Errorf("%s: %w", dir, plain(err))
	} else if !info.IsDir() {
		return f, fmt.Errorf("%s: this is no folder; expected that of a run", dir)
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return f, fmt.Errorf("%s: %w", dir, errNoRun)
	case err != nil:
		return f, fmt.Errorf("%s: %w", path, plain(err))
	case !info.Mode().IsRegular() || info.Size() > maxFile:
		return f, fmt.Errorf("%s: not the facts of a run: expected an ordinary file of at most %d bytes", path, maxFile)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return f, fmt.Errorf("%s: %w", path, plain(err))
	}
	if err := json.Unmarshal(text, &f); err != nil {
		return f, fmt.Errorf("%s: not the facts of a run: %w", path, err)
	}
	return f, nil
}

// writeText writes a file whole or not at all.
func writeText(path, text string) error {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return errors.New("this is a folder; expected a file")
	}
	return checkpoint.Replace(path, func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	})
}

// writePlans keeps the plans in a run's folder, to be read where another wrnc
// plans otherwise.
func writePlans(dir string, plans []*plan.Plan) error {
	for _, p := range plans {
		if err := writeText(filepath.Join(dir, "plan-"+p.Func+".txt"), p.String()); err != nil {
			return err
		}
	}
	return nil
}

// planHash is a hash of the plans' texts.
func planHash(plans []*plan.Plan) string {
	h := sha256.New()
	for _, p := range plans {
		io.WriteString(h, p.String()) // a hash takes every write
	}
	return hex.EncodeToString(h.Sum(nil))
}

// labelHash is a hash of a set's labels.
func labelHash(set *data.Set) string {
	h := sha256.New()
	for _, label := range set.Labels {
		var text [4]byte
		binary.LittleEndian.PutUint32(text[:], uint32(label))
		h.Write(text[:]) // a hash takes every write
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// removePartial removes what killed processes left half written in a run's folder.
func removePartial(dir string) error {
	for _, pattern := range []string{".*.partial", "*/.*.partial"} {
		paths, err := filepath.Glob(filepath.Join(escapeGlob(dir), pattern))
		if err != nil {
			return err
		}
		for _, path := range paths {
			if err := os.Remove(path); err != nil {
				return err
			}
		}
	}
	return nil
}

// escapeGlob makes a pattern that matches a path alone.
func escapeGlob(path string) string {
	if os.PathSeparator == '\\' {
		return path // there is no escape there, and no * or ? in a name
	}
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(path)
}
