// Package contract tests that a [cuda.Driver] keeps what the interface promises.
// Only tests use it.
package contract

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"wrnc/compiler/plan"
	"wrnc/kernels"
	"wrnc/runtime/cuda"
)

// Options say what can be expected of a device.
type Options struct {
	Executes bool // kernels; otherwise a launch has no effect
}

// Test holds drivers to the contract. open returns a new one for each subtest, and
// sees to it that it is closed.
func Test(t *testing.T, open func(t *testing.T) cuda.Driver, o Options) {
	for name, test := range map[string]func(*testing.T, cuda.Driver, Options){
		"memory": memory, "copies": copies, "order": order, "uploads": uploads, "misuse": misuse, "kernels": launches, "graphs": graphs, "events": events, "texts at fault": faults, "close": closing,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t), o) })
	}
}

// pattern are bytes that differ from their neighbours and between seeds.
func pattern(n, seed int) []byte {
	out := make([]byte, n)
	for i := range out {
		out[i] = byte(31*i + i/253 + 7*seed)
	}
	return out
}

func alloc(t *testing.T, d cuda.Driver, n int) cuda.Ptr {
	t.Helper()
	p, err := d.Alloc(n)
	require.NoError(t, err)
	require.NotZero(t, p)
	require.Zero(t, p%plan.Align, "an allocation begins at %#x", uint64(p))
	return p
}

func read(t *testing.T, d cuda.Driver, p cuda.Ptr, n int) []byte {
	t.Helper()
	out := make([]byte, n)
	require.NoError(t, d.Read(out, p))
	return out
}

func memory(t *testing.T, d cuda.Driver, _ Options) {
	var all []cuda.Ptr
	sizes := []int{1, 3, 64, 4097, 1 << 20}
	for i, n := range sizes {
		p := alloc(t, d, n)
		require.NoError(t, d.Write(p, pattern(n, i)))
		all = append(all, p)
	}
	for i, n := range sizes {
		require.Equal(t, pattern(n, i), read(t, d, all[i], n), "allocation %d", i)
	}
	for _, p := range all {
		require.NoError(t, d.Free(p))
	}
}

// copies has sizes around those of the memory that a driver may stage copies in.
func copies(t *testing.T, d cuda.Driver, _ Options) {
	const large = 9<<20 + 5
	p := alloc(t, d, large)
	for seed, n := range []int{1, 2, 100, 4<<20 - 1, 4 << 20, 4<<20 + 1, 8 << 20, large} {
		src := pattern(n, seed)
		require.NoError(t, d.Write(p, src))
		clear(src) // it may change once Write has returned
		require.Equal(t, pattern(n, seed), read(t, d, p, n), "%d bytes", n)
	}
	// Many small ones, none of which waits for another.
	want := make([]byte, 3000)
	for i := range want {
		one := []byte{byte(i * 7)}
		want[i] = one[0]
		require.NoError(t, d.Write(p+cuda.Ptr(i), one))
		one[0] = 0
	}
	require.Equal(t, want, read(t, d, p, len(want)))
	require.NoError(t, d.Sync())
	for i := range 7 {
		require.NoError(t, d.Write(p+cuda.Ptr(i<<20), pattern(2<<20, i)))
	}
	for i := range 7 {
		require.Equal(t, pattern(2<<20, i)[:1<<20], read(t, d, p+cuda.Ptr(i<<20), 1<<20), "piece %d", i)
	}
	require.NoError(t, d.Free(p))
}

func order(t *testing.T, d cuda.Driver, _ Options) {
	p := alloc(t, d, 1000)
	require.NoError(t, d.Fill(p, 0xff, 1000))
	require.NoError(t, d.Write(p+100, pattern(200, 1)))
	require.NoError(t, d.Fill(p+200, 3, 300))
	require.NoError(t, d.Write(p+499, []byte{9}))
	want := bytes.Repeat([]byte{0xff}, 1000)
	copy(want[100:], pattern(200, 1))
	copy(want[200:500], bytes.Repeat([]byte{3}, 300))
	want[499] = 9
	require.Equal(t, want, read(t, d, p, 1000))
	require.Equal(t, want[150:350], read(t, d, p+150, 200))
	require.NoError(t, d.Sync())
	require.NoError(t, d.Sync())
	require.NoError(t, d.Free(p))
}

// uploads have sizes as copies have. What is uploaded later leaves alone what has landed,
// and what lands is in order with all else.
func uploads(t *testing.T, d cuda.Driver, _ Options) {
	const large = 9<<20 + 5
	from, to := alloc(t, d, large), alloc(t, d, large)
	upload := func(n, seed int) []byte {
		src := pattern(n, seed)
		require.NoError(t, d.Upload(from, src))
		clear(src) // it may change once Upload has returned
		return pattern(n, seed)
	}
	land := func(n int) { require.NoError(t, d.Land([]cuda.Move{{To: to, From: from, Bytes: n}})) }
	for seed, n := range []int{1, 100, 4<<20 + 1, 8 << 20, large, 3000, large} {
		want := upload(n, seed)
		land(n)
		next := upload(n, seed+1)
		require.Equal(t, want, read(t, d, to, n), "%d bytes, while others are on their way to where they were", n)
		land(n)
		require.Equal(t, next, read(t, d, to, n), "%d bytes", n)
	}

	upload(1000, 20) // never lands
	want := upload(1000, 21)
	require.NoError(t, d.Fill(to, 0xff, 1000))
	require.NoError(t, d.Land([]cuda.Move{{To: to + 100, From: from, Bytes: 100}, {To: to + 300, From: from + 500, Bytes: 7}}))
	require.NoError(t, d.Write(to+150, []byte{5}))
	require.NoError(t, d.Fill(to+303, 3, 300))
	image := bytes.Repeat([]byte{0xff}, 1000)
	copy(image[100:], want[:100])
	copy(image[300:], want[500:507])
	image[150] = 5
	copy(image[303:], bytes.Repeat([]byte{3}, 300))
	require.Equal(t, image, read(t, d, to, 1000))

	var pieces []byte
	for i := range 300 { // small ones
		piece := pattern(10, i)
		require.NoError(t, d.Upload(from+cuda.Ptr(10*i), piece))
		pieces = append(pieces, piece...)
	}
	require.NoError(t, d.Sync())
	land(3000)
	require.Equal(t, pieces, read(t, d, to, 3000))
	require.NoError(t, d.Land(nil))
	upload(large, 30)
	require.NoError(t, d.Sync())
	require.NoError(t, d.Free(from))
	require.NoError(t, d.Free(to))
}

// misuse has calls that must fail, after which the driver works on.
func misuse(t *testing.T, d cuda.Driver, _ Options) {
	p := alloc(t, d, 1000)
	require.NoError(t, d.Fill(p, 1, 1000))
	for name, err := range map[string]error{
		"write past the end":        d.Write(p+900, make([]byte, 101)),
		"write nowhere":             d.Write(0, make([]byte, 1)),
		"upload past the end":       d.Upload(p+900, make([]byte, 101)),
		"land past the end":         d.Land([]cuda.Move{{To: p + 901, From: p, Bytes: 100}}),
		"land from past the end":    d.Land([]cuda.Move{{To: p, From: p + 901, Bytes: 100}}),
		"read past the end":         d.Read(make([]byte, 1001), p),
		"fill past the end":         d.Fill(p+1, 0, 1000),
		"free what is none":         d.Free(p + 64),
		"launch what is none":       d.Launch(1<<40, cuda.Grid{Blocks: 1, Threads: 1}, nil),
		"unload what is none":       d.Unload(1 << 40),
		"more memory than there is": allocTooMuch(d),
	} {
		require.Error(t, err, name)
	}
	require.Equal(t, bytes.Repeat([]byte{1}, 1000), read(t, d, p, 1000))
	require.NoError(t, d.Free(p))
	require.Error(t, d.Free(p))
	require.Error(t, d.Read(make([]byte, 1), p))
}

func allocTooMuch(d cuda.Driver) error {
	_, err := d.Alloc(1 << 50)
	return err
}

const threads = 64

// adding is the text of a kernel that adds a number to what it reads, through
// shared memory where it has some.
func adding(name string, shared int) cuda.Text {
	body := "  args.y[i] = args.x[i] + args.add;\n"
	if shared > 0 {
		body = fmt.Sprintf(`  Smem smem(%d);
  u32* const a = smem.take<u32, %d>();
  for (u32 at = t; at < %[2]d; at += %d) a[at] = args.x[i];
  args.y[i] = a[%[2]d - %[3]d + t] + args.add;
`, shared, shared/4, threads)
	}
	return cuda.Text{Threads: threads, Shared: shared, Source: plan.Source{Entry: name, Text: fmt.Sprintf(`#include "device.cuh"
struct Args { const u32* x; u32* y; u32 add; };
WRNC_KERNEL(%s, %d, 1)(const Args args) {
  const u32 t = thread_index(), i = block_index() * %[2]d + t;
%[3]s}
`, name, threads, body)}}
}

// args are the bytes of struct Args.
func args(x, y cuda.Ptr, add uint32) []byte {
	var b []byte
	b = binary.LittleEndian.AppendUint64(b, uint64(x))
	b = binary.LittleEndian.AppendUint64(b, uint64(y))
	b = binary.LittleEndian.AppendUint32(b, add)
	return append(b, 0, 0, 0, 0)
}

func launches(t *testing.T, d cuda.Driver, o Options) {
	const large = 64 << 10
	texts := cuda.Texts{Kernels: []cuda.Text{adding("add", 0), adding("add_shared", 4096), adding("add_much", large)}, Headers: kernels.Headers()}
	functions, err := d.Load(texts)
	require.NoError(t, err)
	require.Len(t, functions, 3)
	const blocks = 3
	const n = 4 * threads * blocks
	x, y := alloc(t, d, n), alloc(t, d, n)
	in := make([]uint32, n/4)
	for i := range in {
		in[i] = uint32(i * i)
	}
	values := make([]byte, n)
	for i, v := range in {
		binary.LittleEndian.PutUint32(values[4*i:], v)
	}
	require.NoError(t, d.Write(x, values))
	require.NoError(t, d.Fill(y, 0, n))
	from, to := x, y
	for i, f := range functions {
		a := args(from, to, uint32(1000+i))
		require.NoError(t, d.Launch(f, cuda.Grid{Blocks: blocks, Threads: threads, Shared: texts.Kernels[i].Shared}, a))
		clear(a) // Launch keeps no reference
		from, to = to, from
	}
	got := read(t, d, y, n)
	if o.Executes {
		for i, v := range in {
			require.Equal(t, v+3003, binary.LittleEndian.Uint32(got[4*i:]), "element %d", i)
		}
	}
	require.NoError(t, d.Sync())
	for _, f := range functions {
		require.NoError(t, d.Unload(f))
		require.Error(t, d.Unload(f))
	}
	require.Error(t, d.Launch(functions[0], cuda.Grid{Blocks: 1, Threads: threads}, args(x, y, 1)))
	require.NoError(t, d.Free(x))
	require.NoError(t, d.Free(y))
}

// graphs has launches that start as one, in order with all else, as often as wanted.
func graphs(t *testing.T, d cuda.Driver, o Options) {
	texts := cuda.Texts{Kernels: []cuda.Text{adding("add", 0), adding("add_shared", 4096)}, Headers: kernels.Headers()}
	functions, err := d.Load(texts)
	require.NoError(t, err)
	const n = 4 * threads
	x, y := alloc(t, d, n), alloc(t, d, n)
	require.NoError(t, d.Fill(x, 0, n))
	require.NoError(t, d.Fill(y, 0, n))
	launch := func(i int, from, to cuda.Ptr, add uint32) cuda.Launch {
		return cuda.Launch{Function: functions[i], Grid: cuda.Grid{Blocks: 1, Threads: threads, Shared: texts.Kernels[i].Shared}, Args: args(from, to, add)}
	}
	launches := []cuda.Launch{launch(0, x, y, 1), launch(1, y, x, 10)}
	there, err := d.Capture(launches)
	require.NoError(t, err)
	require.NotZero(t, there)
	clear(launches[0].Args) // Capture keeps no reference
	other, err := d.Capture([]cuda.Launch{launch(0, x, x, 100)})
	require.NoError(t, err)
	require.NotEqual(t, there, other)
	require.Equal(t, make([]byte, n), read(t, d, x, n), "nothing is started")

	value := func() uint32 { return binary.LittleEndian.Uint32(read(t, d, x, n)[n-4:]) }
	for range 3 {
		require.NoError(t, d.Replay(there))
	}
	require.NoError(t, d.Replay(other))
	if o.Executes {
		require.EqualValues(t, 3*11+100, value())
	}
	require.NoError(t, d.Fill(x, 0, n))
	require.NoError(t, d.Replay(there))
	if o.Executes {
		require.EqualValues(t, 11, value(), "in order with what is no launch")
	}
	none, err := d.Capture(nil)
	require.NoError(t, err)
	require.NoError(t, d.Replay(none))

	_, err = d.Capture([]cuda.Launch{launch(0, x, y, 1), {Function: 1 << 40, Grid: cuda.Grid{Blocks: 1, Threads: threads}}})
	require.Error(t, err)
	require.NoError(t, d.Sync())
	require.Error(t, d.Replay(1<<40))
	require.Error(t, d.Discard(1<<40))
	require.NoError(t, d.Discard(there))
	require.Error(t, d.Discard(there))
	require.Error(t, d.Replay(there))
	require.NoError(t, d.Replay(other))
	for _, g := range []cuda.Graph{other, none} {
		require.NoError(t, d.Discard(g))
	}
	require.NoError(t, d.Sync())
}

// events are moments between what was asked for.
func events(t *testing.T, d cuda.Driver, _ Options) {
	var all []cuda.Event
	p := alloc(t, d, 1<<20)
	for range 3 {
		e, err := d.NewEvent()
		require.NoError(t, err)
		require.NotZero(t, e)
		require.NotContains(t, all, e)
		all = append(all, e)
		require.NoError(t, d.Record(e))
		require.NoError(t, d.Fill(p, 1, 1<<20))
	}
	first, err := d.Elapsed(all[0], all[1])
	require.NoError(t, err)
	second, err := d.Elapsed(all[1], all[2])
	require.NoError(t, err)
	both, err := d.Elapsed(all[0], all[2])
	require.NoError(t, err)
	require.GreaterOrEqual(t, first, time.Duration(0))
	require.InDelta(t, both, first+second, 3000, "nanoseconds, of a clock of half a microsecond")
	require.NoError(t, d.Record(all[0])) // now the last of them
	turned, err := d.Elapsed(all[2], all[0])
	require.NoError(t, err)
	require.GreaterOrEqual(t, turned, time.Duration(0))
	for _, e := range all {
		require.NoError(t, d.FreeEvent(e))
		require.Error(t, d.FreeEvent(e))
		require.Error(t, d.Record(e))
	}
	_, err = d.Elapsed(all[0], all[1])
	require.Error(t, err)
	require.NoError(t, d.Free(p))
}

func faults(t *testing.T, d cuda.Driver, _ Options) {
	wrong := adding("wrong", 0)
	wrong.Text += "this is no kernel\n"
	_, err := d.Load(cuda.Texts{Kernels: []cuda.Text{adding("right", 0), wrong}, Headers: kernels.Headers()})
	require.ErrorContains(t, err, "wrong")
	functions, err := d.Load(cuda.Texts{Kernels: []cuda.Text{adding("right", 0)}, Headers: kernels.Headers()})
	require.NoError(t, err)
	require.NoError(t, d.Unload(functions[0]))
	functions, err = d.Load(cuda.Texts{})
	require.NoError(t, err)
	require.Empty(t, functions)
}

// closing leaves memory, an upload, a kernel and a graph to Close.
func closing(t *testing.T, d cuda.Driver, _ Options) {
	p := alloc(t, d, 100)
	require.NoError(t, d.Fill(p, 1, 50))
	require.NoError(t, d.Upload(p+50, pattern(50, 1)))
	functions, err := d.Load(cuda.Texts{Kernels: []cuda.Text{adding("add", 0)}, Headers: kernels.Headers()})
	require.NoError(t, err)
	_, err = d.Capture([]cuda.Launch{{Function: functions[0], Grid: cuda.Grid{Blocks: 1, Threads: threads}, Args: args(p, p, 1)}})
	require.NoError(t, err)
	require.NoError(t, d.Close())
}
