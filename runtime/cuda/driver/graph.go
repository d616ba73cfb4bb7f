package driver

import (
	"fmt"
	"unsafe"

	"wrnc/runtime/cuda"
)

// graph is what messages say of launches that were captured. Its handle is the
// driver's.
type graph struct {
	count int    // of launches
	last  string // entry
}

// Capture is cuda.Driver's: the stream captures the launches instead of doing them.
func (d *Device) Capture(launches []cuda.Launch) (cuda.Graph, error) {
	defer d.leave()
	if err := d.enter(); err != nil {
		return 0, err
	}
	if err := d.do(cuStreamBeginCapture, d.stream, captureThread); err != nil {
		return 0, err
	}
	g, failure := d.enqueueAll(launches)
	var captured uintptr
	err := d.do(cuStreamEndCapture, d.stream, uintptr(unsafe.Pointer(&captured)))
	if failure == nil {
		failure = err // else it follows from the failure
	}
	var handle uintptr
	if failure == nil {
		failure = d.do(cuGraphInstantiate, uintptr(unsafe.Pointer(&handle)), captured, 0)
	}
	if captured != 0 {
		if err := d.do(cuGraphDestroy, captured); failure == nil && err != nil {
			_ = d.l.do(cuGraphExecDestroy, handle)
			failure = err
		}
	}
	if failure != nil {
		return 0, failure
	}
	d.graphs[cuda.Graph(handle)] = g
	return cuda.Graph(handle), nil
}

// enqueueAll enqueues launches up to the first that fails.
func (d *Device) enqueueAll(launches []cuda.Launch) (graph, error) {
	g := graph{count: len(launches)}
	for _, l := range launches {
		k, err := d.enqueue(l)
		if err != nil {
			return g, err
		}
		g.last = k.entry
	}
	return g, nil
}

// Replay is cuda.Driver's.
func (d *Device) Replay(handle cuda.Graph) error {
	defer d.leave()
	if err := d.enter(); err != nil {
		return err
	}
	g, ok := d.graphs[handle]
	if !ok {
		return fmt.Errorf("there is no graph %#x", uint64(handle))
	}
	if err := d.do(cuGraphLaunch, uintptr(handle), d.stream); err != nil {
		return err
	}
	d.launch.count += g.count
	d.launch.last = g.last
	return nil
}

// Discard is cuda.Driver's.
func (d *Device) Discard(handle cuda.Graph) error {
	defer d.leave()
	if err := d.enter(); err != nil {
		return err
	}
	if _, ok := d.graphs[handle]; !ok {
		return fmt.Errorf("there is no graph %#x", uint64(handle))
	}
	if err := d.do(cuGraphExecDestroy, uintptr(handle)); err != nil {
		return err
	}
	delete(d.graphs, handle)
	return nil
}
