package train

import (
	"path/filepath"
	"strconv"

	"wrnc/compiler/ir"
	"wrnc/runtime/checkpoint"
	"wrnc/runtime/metrics"
)

// The files of weights in a run's folder.
const (
	lastFile = "last.safetensors"
	bestFile = "best.safetensors"
)

// save writes the parameters and the running statistics, as they are, with the
// run's facts and the number of epochs that they have seen whole. Velocities are
// left out: they say nothing about the network. record is that epoch's, or nil
// where training stopped between two.
func (r *run) save(file string, epoch int, record *metrics.Epoch) error {
	var tensors []checkpoint.Tensor
	for _, s := range r.m.States {
		if s.Role == ir.Velocity {
			continue
		}
		values, err := r.ex.ReadState(s.Name)
		if err != nil {
			return err
		}
		tensors = append(tensors, checkpoint.FromFloat32s(s.Name, s.Type.Dims, values))
	}
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
	return checkpoint.Write(filepath.Join(r.o.Dir, file), tensors, facts)
}

func number(n metrics.Number) string { return strconv.FormatFloat(float64(n), 'g', -1, 64) }
