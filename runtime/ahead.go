package runtime

// Stager is an [Executable] that takes the inputs of a call over while it computes the
// one before.
type Stager interface {
	Executable

	// Stage hands over the inputs of a call, in place of those that were handed over
	// before and did not run. It refuses what Run would. in and its slices may change
	// once Stage has returned.
	Stage(function string, in Inputs) error

	// RunStaged makes the call that was handed over, and returns its results, as Run
	// does. While it computes, next is handed over: the inputs of a call of the same
	// function; nil is none. What is wrong with next is the error of the call that is to
	// run it.
	RunStaged(next *Inputs) ([][]float32, error)
}

// Series makes calls of one function, one after the other. Where the device is a
// [Stager], the inputs of a call are handed over while the one before computes.
// Results are those of [Executable].Run, to the bit.
type Series struct {
	ex       Executable
	function string
	staged   bool // the next call's inputs are handed over
}

// NewSeries returns a series of calls of a function.
func NewSeries(ex Executable, function string) *Series { return &Series{ex: ex, function: function} }

// Function is the name of what it calls.
func (s *Series) Function() string { return s.function }

// Run makes a call. next is what the call after it will be given; nil where that is not
// known, or where there is none.
func (s *Series) Run(in Inputs, next *Inputs) ([][]float32, error) {
	stager, can := s.ex.(Stager)
	if !can || !s.staged && next == nil {
		return s.ex.Run(s.function, in)
	}
	if !s.staged {
		if err := stager.Stage(s.function, in); err != nil {
			return nil, err
		}
	}
	s.staged = next != nil
	return stager.RunStaged(next)
}
