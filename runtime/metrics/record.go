// Package metrics reports how a training run goes: as JSON lines that scripts
// read ([Log], [Read]) and as a progress line that people read ([Progress]).
//
// A log has one JSON object a line: one [Epoch] per epoch and one [Done] at the
// end. Errors are in percent, times in seconds.
package metrics

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
)

// Number is a float64 whose JSON is null when it is not finite, since JSON has
// no NaN and no infinity. A null reads back as NaN.
type Number float64

// MarshalJSON prints the shortest decimal that reads back as the same float64.
func (n Number) MarshalJSON() ([]byte, error) {
	v := float64(n)
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return []byte("null"), nil
	}
	return strconv.AppendFloat(nil, v, 'g', -1, 64), nil
}

// UnmarshalJSON reads a JSON number or null.
func (n *Number) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		*n = Number(math.NaN())
		return nil
	}
	var v float64
	if err := json.Unmarshal(text, &v); err != nil {
		return fmt.Errorf("expected a number or null: %w", err)
	}
	*n = Number(v)
	return nil
}

// unknown is a number that a record does not have.
var unknown = Number(math.NaN())

// Epoch is what one epoch gave. A number that its JSON does not have is NaN.
type Epoch struct {
	Epoch           int    `json:"epoch"` // 1 is the first
	Step            int64  `json:"step"`  // steps since the start of the run, at the end of this epoch
	LR              Number `json:"lr"`
	TrainLoss       Number `json:"train_loss"`  // mean over the epoch
	TrainError      Number `json:"train_error"` // percent
	TestError       Number `json:"test_error"`  // percent
	ImagesPerSecond Number `json:"images_per_second"`
	Seconds         Number `json:"seconds"` // of this epoch, evaluation included
}

// UnmarshalJSON reads a record.
func (e *Epoch) UnmarshalJSON(text []byte) error {
	type fields Epoch // without the method, which would call itself
	f := fields{LR: unknown, TrainLoss: unknown, TrainError: unknown, TestError: unknown, ImagesPerSecond: unknown, Seconds: unknown}
	if err := json.Unmarshal(text, &f); err != nil {
		return err
	}
	*e = Epoch(f)
	return nil
}

// Done is what a whole run gave. A number that its JSON does not have is NaN.
type Done struct {
	Run           string `json:"run"` // the run's folder
	Target        string `json:"target"`
	Precision     string `json:"precision"`
	Seed          uint64 `json:"seed"`
	TestError     Number `json:"test_error"`      // percent, after the last epoch
	BestTestError Number `json:"best_test_error"` // percent, the least of all epochs
	Seconds       Number `json:"seconds"`         // of the whole run
}

// MarshalJSON prints the record with "done": true first, by which a reader
// tells it from an epoch.
func (d Done) MarshalJSON() ([]byte, error) {
	type fields Done // without the method, which would call itself
	return json.Marshal(struct {
		Done bool `json:"done"`
		fields
	}{true, fields(d)})
}

// UnmarshalJSON reads a record.
func (d *Done) UnmarshalJSON(text []byte) error {
	type fields Done
	f := fields{TestError: unknown, BestTestError: unknown, Seconds: unknown}
	if err := json.Unmarshal(text, &f); err != nil {
		return err
	}
	*d = Done(f)
	return nil
}
