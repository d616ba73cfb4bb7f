package train

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"wrnc/compiler/ir"
	"wrnc/runtime"
	"wrnc/runtime/checkpoint"
)

// A checkpoint is DIR/checkpoints/step-000000001234.safetensors: every state of
// the module, velocities included, and as metadata the format, the model, the
// seed, the point where the run stands and what the caller says of its plan.
const (
	checkpointFolder = "checkpoints"
	checkpointFormat = checkpointKind + " 1"
	checkpointKind   = "wrnc checkpoint"
	checkpointName   = "step-%012d.safetensors"
)

// newestKept is how many of the newest checkpoints stay: one to go on from, and one
// from before it, where the newest was made when the weights were already lost.
const newestKept = 2

// Checkpoint is a run's state as it was kept.
type Checkpoint struct {
	Path     string
	Point    Point
	Seed     uint64
	Identity map[string]string // as Options.Identity was

	states map[string][]float32
}

// Kept is a checkpoint in a run's folder.
type Kept struct {
	Path string
	Step int64
}

// Checkpoints lists those of a run's folder, by steps; none where nothing was kept.
func Checkpoints(dir string) ([]Kept, error) {
	folder := filepath.Join(dir, checkpointFolder)
	entries, err := os.ReadDir(folder) // sorted, and so are the steps in the names
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var kept []Kept
	for _, e := range entries {
		number, isStep := strings.CutPrefix(e.Name(), "step-")
		number, isFile := strings.CutSuffix(number, ".safetensors")
		step, err := strconv.ParseUint(number, 10, 62)
		if isStep && isFile && err == nil && e.Name() == fmt.Sprintf(checkpointName, step) {
			kept = append(kept, Kept{filepath.Join(folder, e.Name()), int64(step)})
		}
	}
	return kept, nil
}

// identityPrefix marks what the caller says of its plan among the metadata.
const identityPrefix = "run."

// IsCheckpoint tells a checkpoint of a training, of whatever format, from other files.
func IsCheckpoint(file *checkpoint.File) bool {
	return strings.HasPrefix(file.Metadata["format"], checkpointKind+" ")
}

// ReadCheckpoint reads the checkpoint of a training of m.
func ReadCheckpoint(path string, m *ir.Module) (*Checkpoint, error) {
	file, err := checkpoint.ReadIf(path, func(header *checkpoint.File) error { return checkStates(header, m) })
	if err != nil {
		return nil, err
	}
	fail := func(err error) (*Checkpoint, error) { return nil, fmt.Errorf("%s: %w", path, err) }
	c := &Checkpoint{Path: path, Identity: map[string]string{}, states: map[string][]float32{}}
	if c.Seed, err = strconv.ParseUint(file.Metadata["seed"], 10, 64); err != nil {
		return fail(fmt.Errorf("its metadata \"seed\": %w", err))
	}
	if c.Point, err = parsePoint(file.Metadata); err != nil {
		return fail(err)
	}
	for key, value := range file.Metadata {
		if name, ok := strings.CutPrefix(key, identityPrefix); ok {
			c.Identity[name] = value
		}
	}
	for _, s := range m.States {
		if c.states[s.Name], err = file.Float32s(s.Name, s.Type.Dims); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// checkStates tells whether a file is a checkpoint of a training of m: one of this
// format, with a tensor for each state, of its shape, and no other.
func checkStates(file *checkpoint.File, m *ir.Module) error {
	if format := file.Metadata["format"]; format != checkpointFormat {
		return fmt.Errorf("%s: its format is %q; this version of wrnc goes on from %q", file.Path, format, checkpointFormat)
	}
	for _, s := range m.States {
		if err := file.Check(s.Name, s.Type.Dims); err != nil {
			return err
		}
	}
	if len(file.Tensors) != len(m.States) {
		return fmt.Errorf("%s: it has %d tensors where %s has %d states; it is of another network", file.Path, len(file.Tensors), m.Name, len(m.States))
	}
	return nil
}

// restore sets the states of ex.
func (c *Checkpoint) restore(ex runtime.Executable, m *ir.Module) error {
	for _, s := range m.States {
		if err := ex.WriteState(s.Name, c.states[s.Name]); err != nil {
			return err
		}
	}
	c.states = nil // half a GiB for the largest networks
	return nil
}

// checkpoint keeps the run as it stands and then removes what is no longer needed.
// Weights that are not finite are not kept: nothing can go on from them.
func (r *run) checkpoint() error {
	if r.saved == r.at.Step && r.savedEpoch == r.at.Epoch {
		return nil // it is there
	}
	tensors := make([]checkpoint.Tensor, 0, len(r.m.States))
	for _, s := range r.m.States {
		values, err := r.ex.ReadState(s.Name)
		if err != nil {
			return err
		}
		if i, bad := firstBad(values); bad {
			return r.diverged(BadValue{s.Name, i, values[i]})
		}
		tensors = append(tensors, checkpoint.FromFloat32s(s.Name, s.Type.Dims, values))
	}
	p := r.at
	p.Seconds = r.seconds()
	if p.Batch > 0 {
		p.EpochSeconds = r.epochSeconds()
	}
	facts, err := p.facts()
	if err != nil {
		return err
	}
	maps.Copy(facts, map[string]string{"format": checkpointFormat, "model": r.m.Name, "seed": strconv.FormatUint(r.o.Seed, 10)})
	for key, value := range r.o.Identity {
		facts[identityPrefix+key] = value
	}
	folder := filepath.Join(r.o.Dir, checkpointFolder)
	if err := checkpoint.MakeFolder(folder); err != nil && !errors.Is(err, fs.ErrExist) {
		return &SaveError{r.saved, err}
	}
	path := filepath.Join(folder, fmt.Sprintf(checkpointName, p.Step))
	if err := r.write(path, tensors, facts); err != nil {
		return &SaveError{r.saved, err}
	}
	r.saved, r.savedEpoch = p.Step, p.Epoch
	if err := r.prune(); err != nil {
		return &SaveError{r.saved, err}
	}
	return nil
}

// prune removes checkpoints but the newest, that of the best epoch, those of every
// KeepEvery-th epoch, and the one at which the run stands, which is safe on the disk
// by now.
func (r *run) prune() error {
	kept, err := Checkpoints(r.o.Dir)
	if err != nil {
		return err
	}
	needed := map[int64]bool{r.at.Step: true}
	for i, e := range r.at.Epochs {
		if i+1 == r.at.BestEpoch || r.o.KeepEvery > 0 && (i+1)%r.o.KeepEvery == 0 {
			needed[e.Step] = true
		}
	}
	for i, k := range kept {
		if i >= len(kept)-newestKept || needed[k.Step] {
			continue
		}
		if err := os.Remove(k.Path); err != nil {
			return err
		}
	}
	return nil
}

// GoBack makes the checkpoint of a step the newest one of a run's folder: it
// removes the later ones, the latest first, and renames a best.safetensors of a
// later epoch, so that it is not overwritten, to best-epoch-N.safetensors.
func GoBack(dir string, to *Checkpoint) error {
	kept, err := Checkpoints(dir)
	if err != nil {
		return err
	}
	best := filepath.Join(dir, bestFile)
	epoch, err := epochOf(best)
	if err != nil {
		return err
	}
	if epoch > to.Point.Epoch {
		if err := os.Rename(best, filepath.Join(dir, fmt.Sprintf("best-epoch-%d.safetensors", epoch))); err != nil {
			return err
		}
	}
	for _, k := range slices.Backward(kept) {
		if k.Step <= to.Point.Step {
			break
		}
		if err := os.Remove(k.Path); err != nil {
			return err
		}
	}
	return nil
}

// SaveError says that a run's folder could not be written.
type SaveError struct {
	Step int64 // of the newest checkpoint that is safe; 0 where there is none
	Err  error
}

// Error says what is lost.
func (e *SaveError) Error() string {
	if e.Step == 0 {
		return fmt.Sprintf("%v; no checkpoint was kept before", e.Err)
	}
	return fmt.Sprintf("%v; the checkpoint of step %d is safe", e.Err, e.Step)
}

// Unwrap returns the cause.
func (e *SaveError) Unwrap() error { return e.Err }
