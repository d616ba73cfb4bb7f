package cuda

import (
	"time"

	"wrnc/compiler/plan"
)

// Driver is the door to a device: its memory, its kernels, and the order of
// work. It has one order: a call takes effect after those before it, so that a
// Read sees what the launches before it wrote. It is for one goroutine at a time,
// and may serve several programs in turn.
//
// What is uploaded has an order of its own, which [Driver.Land] joins to the first.
//
// Launch, Replay, Fill, Write, Upload and Land may return before the device has done what
// they ask for. What goes wrong on the device afterwards is the error of a later call, at
// the latest of Sync. After an error of the device nothing in its memory is
// known.
type Driver interface {
	// Alloc takes memory, whose content is unknown. It starts at a multiple of
	// plan.Align; bytes is at least 1.
	Alloc(bytes int) (Ptr, error)

	// Free gives back what Alloc returned. Nothing may use it any more.
	Free(p Ptr) error

	// Write copies src to the device. src may change once Write has returned.
	Write(dst Ptr, src []byte) error

	// Upload copies src to the device beside the order of work: while the device does
	// what it was asked for before. Of what else is asked for, only Land may use that
	// memory. src may change once Upload has returned. A driver that has one order alone
	// does what Write does.
	Upload(dst Ptr, src []byte) error

	// Land copies what was uploaded to where it is used. Its copies are part of the order
	// of work, after all uploads before it and before all uploads after it, which may
	// overwrite what it copied.
	Land(moves []Move) error

	// Read copies len(dst) bytes from the device, after waiting for what was
	// asked for before.
	Read(dst []byte, src Ptr) error

	// Fill sets bytes of the device's memory to one value.
	Fill(p Ptr, value byte, bytes int) error

	// Load compiles texts, or finds what they compile to, and loads it. It
	// returns a function for each, in order, or an error that names the entry
	// at fault and then has loaded none.
	Load(t Texts) ([]Function, error)

	// Unload gives back a function that Load returned.
	Unload(f Function) error

	// Launch starts a function. args are the bytes of its one parameter, a struct
	// that it takes by value; Launch keeps no reference to them.
	Launch(f Function, g Grid, args []byte) error

	// Capture makes a graph of launches, which Replay starts as one. It starts nothing
	// and keeps no reference to the arguments. The functions must stay loaded while the
	// graph is used. A driver that has no graphs returns errors.ErrUnsupported.
	Capture(launches []Launch) (Graph, error)

	// Replay starts the launches of a graph, in their order.
	Replay(g Graph) error

	// Discard gives back a graph that Capture returned.
	Discard(g Graph) error

	// NewEvent makes an event, which is a moment in the order of work.
	NewEvent() (Event, error)

	// Record makes the event the moment at which all that was asked for so far is done.
	Record(e Event) error

	// Elapsed waits for two recorded events and returns the time between them.
	Elapsed(from, to Event) (time.Duration, error)

	// FreeEvent gives back an event.
	FreeEvent(e Event) error

	// Sync waits until the device has done all that was asked for.
	Sync() error

	// Close ends the use of the device and gives back what is left of it.
	Close() error
}

// Ptr is an address in a device's memory; 0 is none.
type Ptr uint64

// Function is a driver's handle of a kernel that it has loaded.
type Function uint64

// Graph is a driver's handle of launches that it has captured; 0 is none.
type Graph uint64

// Event is a driver's handle of a moment; 0 is none.
type Event uint64

// Move is a copy within the device's memory, between places that do not overlap.
type Move struct {
	To, From Ptr
	Bytes    int
}

// Launch is what [Driver.Launch] takes.
type Launch struct {
	Function Function
	Grid     Grid
	Args     []byte
}

// Texts are kernels and the files that they include.
type Texts struct {
	Kernels []Text
	Headers map[string]string // by the name that an #include gives; a driver with preludes of its own may leave them aside
}

// Text is one kernel and what its launches ask for.
type Text struct {
	plan.Source
	Threads int // of each block
	Shared  int // bytes of dynamic shared memory of each block
}

// Grid is the extent of a launch, in one dimension.
type Grid struct {
	Blocks  int // at least 1
	Threads int // of each block
	Shared  int // bytes of dynamic shared memory of each block
}
