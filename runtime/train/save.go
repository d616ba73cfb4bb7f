package train

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"

	"wrnc/runtime/checkpoint"
	"wrnc/runtime/metrics"
)

// The files of weights in a run's folder.
const (
	lastFile = "last.safetensors"
	bestFile = "best.safetensors"
)

// save keeps the weights as they are, with the run's facts and the number of
// epochs that they have seen whole. record is that epoch's, or nil where training
// stopped between two.
func (r *run) save(file string, epoch int, record *metrics.Epoch) error {
	facts := map[string]string{
		"model": r.m.Name,
		"epoch": strconv.Itoa(epoch),
		"step":  strconv.FormatInt(r.at.Step, 10),
		"seed":  strconv.FormatUint(r.o.Seed, 10),
	}
	if record != nil {
		facts["train_loss"] = number(record.TrainLoss)
		facts["train_error"] = number(record.TrainError)
		facts["test_error"] = number(record.TestError)
	}
	for key, value := range r.o.Metadata {
		facts[key] = value
	}
	tensors, err := weights(r.ex, r.m)
	if err != nil {
		return err
	}
	if err := r.write(filepath.Join(r.o.Dir, file), tensors, facts); err != nil {
		return &SaveError{r.saved, err}
	}
	return nil
}

func number(n metrics.Number) string { return float(float64(n)) }

// epochOf reads the epoch of a file of weights; 0 where there is no file.
func epochOf(path string) (int, error) {
	file, err := checkpoint.ReadHeader(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	epoch, err := strconv.Atoi(file.Metadata["epoch"])
	if err != nil {
		return 0, fmt.Errorf("%s: its metadata \"epoch\": %w", path, err)
	}
	return epoch, nil
}
