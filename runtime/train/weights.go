package train

import (
	"fmt"

	"wrnc/compiler/ir"
	"wrnc/runtime"
	"wrnc/runtime/checkpoint"
)

// WriteWeights writes the parameters and the running statistics to a safetensors
// file, with facts about them. Velocities are left out: they say nothing about
// the network. The file is written whole or not at all.
func WriteWeights(path string, ex runtime.Executable, m *ir.Module, facts map[string]string) error {
	tensors, err := weights(ex, m)
	if err != nil {
		return err
	}
	return checkpoint.Write(path, tensors, facts)
}

// weights copies out the parameters and the running statistics.
func weights(ex runtime.Executable, m *ir.Module) ([]checkpoint.Tensor, error) {
	var tensors []checkpoint.Tensor
	for _, s := range m.States {
		if s.Role == ir.Velocity {
			continue
		}
		values, err := ex.ReadState(s.Name)
		if err != nil {
			return nil, err
		}
		tensors = append(tensors, checkpoint.FromFloat32s(s.Name, s.Type.Dims, values))
	}
	return tensors, nil
}

// ReadWeights sets the parameters and the running statistics to those of a file
// that [WriteWeights] wrote, and the velocities to zero. It returns the facts. A
// file that lacks one of them, has one of another shape, or has what the module
// has not, is of another network: the error says so, and nothing is set.
func ReadWeights(path string, ex runtime.Executable, m *ir.Module) (map[string]string, error) {
	file, err := checkpoint.ReadIf(path, func(header *checkpoint.File) error { return CheckWeights(header, m) })
	if err != nil {
		return nil, err
	}
	return file.Metadata, SetWeights(file, ex, m)
}

// SetWeights is [ReadWeights] of a file that is read already.
func SetWeights(file *checkpoint.File, ex runtime.Executable, m *ir.Module) error {
	if err := CheckWeights(file, m); err != nil {
		return err
	}
	values := make([][]float32, len(m.States))
	for i, s := range m.States {
		var err error
		if s.Role == ir.Velocity {
			values[i] = make([]float32, s.Type.Elems())
		} else if values[i], err = file.Float32s(s.Name, s.Type.Dims); err != nil {
			return err
		}
	}
	for i, s := range m.States {
		if err := ex.WriteState(s.Name, values[i]); err != nil {
			return err
		}
	}
	return nil
}

// CheckWeights tells whether a file has the weights of the module: a tensor for
// each parameter and running statistic, of its shape, and no other; with velocities
// it is a training's checkpoint, which [ReadCheckpoint] reads. It looks at no data, so
// that [checkpoint.ReadIf] can ask it.
func CheckWeights(file *checkpoint.File, m *ir.Module) error {
	for _, s := range m.States {
		if s.Role == ir.Velocity {
			continue
		}
		if err := file.Check(s.Name, s.Type.Dims); err != nil {
			return err
		}
	}
	for _, t := range file.Tensors {
		switch s := m.State(t.Name); {
		case s == nil:
			return fmt.Errorf("%s: tensor %q is of another network than %s", file.Path, t.Name, m.Name)
		case s.Role == ir.Velocity:
			return fmt.Errorf("%s: tensor %q is a velocity, of a training's checkpoint; expected a file of weights, such as best.safetensors", file.Path, t.Name)
		}
	}
	return nil
}
