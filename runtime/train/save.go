package train

import (
	"path/filepath"
	"strconv"

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
		"step":  strconv.FormatInt(r.sum.Steps, 10),
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
	return WriteWeights(filepath.Join(r.o.Dir, file), r.ex, r.m, facts)
}

func number(n metrics.Number) string { return strconv.FormatFloat(float64(n), 'g', -1, 64) }
