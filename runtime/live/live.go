// Package live shows a training as it goes on a page for a browser.
//
//	train.Run ─ train.Observer ─> Monitor ─ parts that changed ─> Server ─> page
//
// A [Monitor] keeps what was last told, under a lock that nobody holds for long: the
// training never waits for a reader. A [Server] hands it out. Each reader takes the
// newest when it is ready for it, so nothing queues up for one that is slow.
//
// All numbers are for the eye. Nothing here has an influence on what is computed.
package live

import (
	"wrnc/runtime/metrics"
)

// Facts say what is trained, how and on what.
type Facts struct {
	Model      string   `json:"model"`
	Data       string   `json:"data"`
	Classes    []string `json:"classes"`
	Epochs     int      `json:"epochs"`
	Batch      int      `json:"batch"`
	Images     int      `json:"images"`      // of an epoch's training
	TestImages int      `json:"test_images"` // of a test
	Seed       uint64   `json:"seed,string"` // a browser's numbers have 53 bits
	Recipe     string   `json:"recipe"`
	Target     string   `json:"target"`
	Folder     string   `json:"folder"`  // that the run is kept in; "" where there is none yet
	Rates      []Rate   `json:"rates"`   // ascending
	Layers     []Layer  `json:"layers"`  // in order
	Kernels    []Kernel `json:"kernels"` // of a step, in the order of the plan
	Memory     Memory   `json:"memory"`
}

// Kernel is a kernel of a step of training.
type Kernel struct {
	Name string `json:"name"`
	Part string `json:"part"` // kind of the fusion that it works for
}

// Rate is the learning rate from an epoch on, counted from 1.
type Rate struct {
	From int            `json:"from"`
	Rate metrics.Number `json:"rate"`
}

// Layer is a layer of the network. Layers whose names agree up to the first dot are
// shown as a group.
type Layer struct {
	Name   string `json:"name"`
	Output string `json:"output"` // shape of one image's activation
	Params int64  `json:"params"`
	MACs   int64  `json:"macs"` // of one image, forward
}

// Memory is what was planned, in bytes.
type Memory struct {
	State       int `json:"state"`
	Activations int `json:"activations"`
	Scratch     int `json:"scratch"` // of all threads
}

// The phases of a run.
const (
	Preparing  = "preparing"
	Training   = "training"
	Evaluating = "evaluating"
	Finished   = "finished"
	Stopped    = "stopped"  // by an interrupt
	Diverged   = "diverged" // the loss or the weights were lost
	Failed     = "failed"   // by any other error
)

// progress is where a run stands.
type progress struct {
	Phase     string         `json:"phase"`
	Error     string         `json:"error"`      // that ended the run; "" without one
	Epoch     int            `json:"epoch"`      // counted from 1; 0 before the first
	Step      int64          `json:"step"`       // taken in all
	Done      int            `json:"done"`       // images of the epoch's training, or of the test after it
	Of        int            `json:"of"`         // such images in all
	Part      metrics.Number `json:"part"`       // of the run that is done, 0 to 1
	Rate      metrics.Number `json:"lr"`         // learning rate
	Loss      metrics.Number `json:"loss"`       // of the epoch so far, an image
	MeanError metrics.Number `json:"mean_error"` // of the epoch so far, percent
	Speed     metrics.Number `json:"speed"`      // images/s of training, over the last seconds
	Seconds   metrics.Number `json:"seconds"`    // of the run in this process
	EpochLeft metrics.Number `json:"epoch_left"` // seconds, the test not counted
	Left      metrics.Number `json:"left"`       // seconds of the run
	Process   uint64         `json:"process"`    // bytes that the process holds
}

// test is what the network makes of the test set.
type test struct {
	Epoch    int       `json:"epoch"`
	Images   int       `json:"images"`
	Mistakes int       `json:"mistakes"`
	Matrix   [][]int   `json:"matrix"`   // [truth][guess] images; null where there are more than maxMatrix classes
	Confused []mistake `json:"confused"` // the most frequent mistakes
	Sample   []guess   `json:"sample"`   // the same pictures in every test
	Surest   []guess   `json:"surest"`   // the mistakes that it is surest of
}

// times are the medians over the steps that were timed last.
type times struct {
	Steps   int              `json:"steps"`   // at most maxTimed
	Kernels []metrics.Number `json:"kernels"` // milliseconds, by the kernel's number
}

// mistake is a class that is taken for another.
type mistake struct {
	Truth int `json:"truth"`
	Guess int `json:"guess"`
	Count int `json:"count"`
}

// guess is what the network makes of a picture.
type guess struct {
	Picture int32          `json:"picture"` // number in the test set
	Truth   int            `json:"truth"`
	Guess   int            `json:"guess"`
	P       metrics.Number `json:"p"`       // probability that it gives its guess, 0 to 1
	PTruth  metrics.Number `json:"p_truth"` // and that it gives the truth
}
