package driver

import (
	"fmt"

	"wrnc/runtime/cuda"
	"wrnc/runtime/cuda/libcuda"
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
	if err := d.failed(d.api.StreamBeginCapture(d.work.stream)); err != nil {
		return 0, err
	}
	g, failure := d.enqueueAll(launches)
	captured, err := d.api.StreamEndCapture(d.work.stream)
	if err = d.failed(err); err != nil {
		captured = 0
		if failure == nil { // else it follows from that
			failure = err
		}
	}
	var handle libcuda.GraphExec
	if failure == nil {
		handle, err = d.api.GraphInstantiate(captured)
		failure = d.failed(err)
	}
	if captured != 0 {
		if err := d.failed(d.api.GraphDestroy(captured)); failure == nil && err != nil {
			_ = d.api.GraphExecDestroy(handle)
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
	if err := d.failed(d.api.GraphLaunch(libcuda.GraphExec(handle), d.work.stream)); err != nil {
		return err
	}
	d.launched.count += g.count
	d.launched.last = g.last
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
	if err := d.failed(d.api.GraphExecDestroy(libcuda.GraphExec(handle))); err != nil {
		return err
	}
	delete(d.graphs, handle)
	return nil
}
