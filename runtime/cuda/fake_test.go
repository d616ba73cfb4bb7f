package cuda

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"wrnc/compiler/plan"
)

var errFake = errors.New("the fake was told to fail")

// fake is a driver whose device is Go memory and whose kernels are functions of
// the test. It fails the test where a driver's caller breaks a rule.
type fake struct {
	t         *testing.T
	memory    map[Ptr][]byte
	functions map[Function]Text
	headers   map[string]string
	kernels   map[string]func(l launched) // by entry; others do nothing
	graphs    map[Graph][]Launch
	graphless bool // it has no graphs
	replays   int
	events    map[Event]time.Duration // by the fake's clock
	clock     time.Duration           // a millisecond a launch
	uploads   []upload                // that have not landed
	moves     int                     // of the last Land
	log       []launched
	writes    int

	next    Ptr
	handle  Function
	skew    Ptr // what every address is off by
	called  []string
	failAt  int // which call fails, counted from 1
	closing int // calls before the program was closed
	lost    int // allocations and functions that failed to be given back
	late    error
}

// launched is a launch as the device saw it.
type launched struct {
	entry string
	grid  Grid
	args  []byte
}

// upload is what is on its way to the device; it gets there as late as it may.
type upload struct {
	to      Ptr
	content []byte
}

func newFake(t *testing.T) *fake {
	return &fake{t: t, memory: map[Ptr][]byte{}, functions: map[Function]Text{}, kernels: map[string]func(launched){}, graphs: map[Graph][]Launch{}, events: map[Event]time.Duration{}, next: 1 << 40, handle: 100}
}

// call counts a call and tells whether it is the one that fails.
func (f *fake) call(name string) error {
	f.called = append(f.called, name)
	if len(f.called) == f.failAt {
		return fmt.Errorf("%s: %w", name, errFake)
	}
	return nil
}

// at is the memory from p on, which must hold n bytes.
func (f *fake) at(p Ptr, n int) []byte {
	for _, u := range f.uploads {
		require.False(f.t, p < u.to+Ptr(len(u.content)) && u.to < p+Ptr(n), "an access to what is on its way")
	}
	return f.inside(p, n)
}

func (f *fake) inside(p Ptr, n int) []byte {
	for base, m := range f.memory {
		if p >= base && p < base+Ptr(len(m)) {
			require.LessOrEqual(f.t, uint64(p-base)+uint64(n), uint64(len(m)), "an access past the end of an allocation")
			return m[p-base:][:n]
		}
	}
	require.FailNow(f.t, "an access to no allocation", "%#x", uint64(p))
	return nil
}

func (f *fake) Alloc(bytes int) (Ptr, error) {
	require.Positive(f.t, bytes)
	if err := f.call("Alloc"); err != nil {
		return 0, err
	}
	f.next += 1 << 20 // apart, so that an overrun is seen
	m := make([]byte, bytes)
	for i := range m {
		m[i] = 0xa5
	}
	f.memory[f.next+f.skew] = m
	return f.next + f.skew, nil
}

func (f *fake) Free(p Ptr) error {
	require.Contains(f.t, f.memory, p)
	if err := f.call("Free"); err != nil {
		f.lost++
		return err
	}
	delete(f.memory, p)
	return nil
}

func (f *fake) Write(dst Ptr, src []byte) error {
	m := f.at(dst, len(src))
	f.writes++
	if err := f.call("Write"); err != nil {
		return err
	}
	copy(m, src)
	return nil
}

func (f *fake) Upload(dst Ptr, src []byte) error {
	f.inside(dst, len(src))
	if err := f.call("Upload"); err != nil {
		return err
	}
	f.uploads = append(f.uploads, upload{dst, slices.Clone(src)})
	return nil
}

func (f *fake) Land(moves []Move) error {
	if err := f.call("Land"); err != nil {
		return err
	}
	f.moves = len(moves)
	landed := f.uploads
	f.uploads = nil
	for _, u := range landed {
		copy(f.at(u.to, len(u.content)), u.content)
	}
	for _, m := range moves {
		copy(f.at(m.To, m.Bytes), f.at(m.From, m.Bytes))
	}
	return nil
}

func (f *fake) Read(dst []byte, src Ptr) error {
	m := f.at(src, len(dst))
	if err := f.call("Read"); err != nil {
		return err
	}
	copy(dst, m)
	return nil
}

func (f *fake) Fill(p Ptr, value byte, bytes int) error {
	m := f.at(p, bytes)
	if err := f.call("Fill"); err != nil {
		return err
	}
	for i := range m {
		m[i] = value
	}
	return nil
}

func (f *fake) Load(t Texts) ([]Function, error) {
	if err := f.call("Load"); err != nil {
		return nil, err
	}
	f.headers = t.Headers
	var out []Function
	for _, text := range t.Kernels {
		f.handle++
		f.functions[f.handle] = text
		out = append(out, f.handle)
	}
	return out, nil
}

func (f *fake) Unload(fn Function) error {
	require.Contains(f.t, f.functions, fn)
	if err := f.call("Unload"); err != nil {
		f.lost++
		return err
	}
	delete(f.functions, fn)
	return nil
}

func (f *fake) Launch(fn Function, g Grid, args []byte) error {
	if err := f.call("Launch"); err != nil {
		return err
	}
	f.launch(fn, g, args)
	return nil
}

func (f *fake) launch(fn Function, g Grid, args []byte) {
	require.Contains(f.t, f.functions, fn)
	text := f.functions[fn]
	require.Positive(f.t, g.Blocks)
	require.Equal(f.t, text.Threads, g.Threads)
	require.Equal(f.t, text.Shared, g.Shared)
	f.clock += time.Millisecond
	l := launched{text.Entry, g, slices.Clone(args)}
	f.log = append(f.log, l)
	if run := f.kernels[text.Entry]; run != nil {
		run(l)
	}
}

func (f *fake) Capture(launches []Launch) (Graph, error) {
	if f.graphless {
		return 0, fmt.Errorf("it has none: %w", errors.ErrUnsupported)
	}
	if err := f.call("Capture"); err != nil {
		return 0, err
	}
	f.handle++
	for _, l := range launches {
		l.Args = slices.Clone(l.Args)
		f.graphs[Graph(f.handle)] = append(f.graphs[Graph(f.handle)], l)
	}
	return Graph(f.handle), nil
}

func (f *fake) Replay(g Graph) error {
	require.Contains(f.t, f.graphs, g)
	if err := f.call("Replay"); err != nil {
		return err
	}
	f.replays++
	for _, l := range f.graphs[g] {
		f.launch(l.Function, l.Grid, l.Args)
	}
	return nil
}

func (f *fake) Discard(g Graph) error {
	require.Contains(f.t, f.graphs, g)
	if err := f.call("Discard"); err != nil {
		f.lost++
		return err
	}
	delete(f.graphs, g)
	return nil
}

func (f *fake) NewEvent() (Event, error) {
	if err := f.call("NewEvent"); err != nil {
		return 0, err
	}
	f.handle++
	f.events[Event(f.handle)] = -1
	return Event(f.handle), nil
}

func (f *fake) Record(e Event) error {
	require.Contains(f.t, f.events, e)
	if err := f.call("Record"); err != nil {
		return err
	}
	f.events[e] = f.clock
	return nil
}

func (f *fake) Elapsed(from, to Event) (time.Duration, error) {
	require.GreaterOrEqual(f.t, f.events[from], time.Duration(0))
	require.GreaterOrEqual(f.t, f.events[to], f.events[from])
	if err := f.call("Elapsed"); err != nil {
		return 0, err
	}
	return f.events[to] - f.events[from], nil
}

func (f *fake) FreeEvent(e Event) error {
	require.Contains(f.t, f.events, e)
	if err := f.call("FreeEvent"); err != nil {
		f.lost++
		return err
	}
	delete(f.events, e)
	return nil
}

func (f *fake) Sync() error {
	if err := f.call("Sync"); err != nil {
		return err
	}
	err := f.late
	f.late = nil
	return err
}

func (f *fake) Close() error { return f.call("Close") }

// empty requires that everything was given back.
func (f *fake) empty(t *testing.T) {
	require.Equal(t, f.lost, len(f.memory)+len(f.functions)+len(f.graphs)+len(f.events), "memory, kernels, graphs or events are left")
}

var _ Driver = (*fake)(nil)

// entries lists what was launched.
func (f *fake) entries() []string {
	var names []string
	for _, l := range f.log {
		names = append(names, l.entry)
	}
	return names
}

// source is the text of a kernel of the tests: kernels named X.update do the same.
func source(k *plan.Kernel) plan.Source {
	name := k.Name
	if len(name) > 2 && name[1:] == ".update" {
		name = "update"
	}
	return plan.Source{Entry: name + "_entry", Text: "// " + name}
}
