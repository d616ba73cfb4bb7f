// Package runtime is what targets and the training loop share: a compiled
// module, loaded on a device. Its folders hold the targets (cpu), the data sets,
// the training loop, checkpoints and metrics.
package runtime

// Executable is a module's functions, loaded on a device with all the memory
// they will ever use. It is for one goroutine at a time.
type Executable interface {
	// Run executes a function on a batch. The results are views that the next
	// call overwrites; an activation's result has as many samples as the batch.
	Run(function string, in Inputs) ([][]float32, error)

	// ReadState copies a state out, in the order of its type.
	ReadState(name string) ([]float32, error)

	// WriteState sets a state. The length must be that of its type.
	WriteState(name string, values []float32) error

	// Allocated is the number of bytes that state, arena and scratch take.
	Allocated() int

	// Close frees the device.
	Close()
}

// Inputs are the parameters of a function, by name, for a batch of N samples.
type Inputs struct {
	N      int                  // samples, from 1 to the module's batch
	F32    map[string][]float32 // activations [N,H,W,C], and scalars as one element
	Labels map[string][]int32   // classes [N]
	U64    map[string]uint64    // scalars
}
