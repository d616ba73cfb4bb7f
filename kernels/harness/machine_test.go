package harness

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The last block adds the partials in order, whichever block that is, and leaves the
// counter ready for the next launch.
func TestReduce(t *testing.T) {
	h, m := start(t)
	module := compileText(t, h, "reduce", testText(t, "reduce"))
	const n, blocks = 10000, 7
	x := make([]float32, n)
	want := 0.0
	for i := range x {
		x[i] = float32(i%101) / 7
		want += float64(x[i])
	}
	in, sum, counter := upload(t, m, floats(x...)), blank(t, m, 4), upload(t, m, make([]byte, 4))
	var first []byte
	for seed := range uint64(6) {
		r, err := m.Launch(Launch{
			Module: module, Entry: "reduce", Blocks: blocks, Threads: 256, Shared: 64, Order: Order(seed % 3), Seed: seed,
			Args: append(fields(in, blank(t, m, 4*blocks), sum, counter), fields(int32(n), int32(0))...),
		})
		require.NoError(t, err)
		require.NoError(t, r.Err())
		got, err := m.Read(sum, 4)
		require.NoError(t, err)
		if first == nil {
			first = got
		}
		require.Equal(t, first, got)
		require.InEpsilon(t, want, toFloats(got)[0], 1e-5)
		count, err := m.Read(counter, 4)
		require.NoError(t, err)
		require.Equal(t, make([]byte, 4), count)
	}
}

// Shared memory that only the first block uses has been used, though intervals were
// numbered anew since: they are after at most 2^18.
func TestRenumbering(t *testing.T) {
	h, m := start(t)
	module := compileText(t, h, "renumber", `#include "device.cuh"
struct Args {
  f32* out;
};
WRNC_KERNEL(renumber, 32, 1)(const Args args) {
  Smem smem(128);
  f32* const s = smem.take<f32, 32>();
  if (block_index() == 0) s[thread_index()] = 1;
  for (i32 i = 0; i < 30000; i++) barrier();
  if (block_index() == 0) args.out[thread_index()] = s[31 - thread_index()];
}
`)
	out := blank(t, m, 4*32)
	r, err := m.Launch(Launch{Module: module, Entry: "renumber", Blocks: 10, Threads: 32, Shared: 128, Args: fields(out)})
	require.NoError(t, err)
	require.NoError(t, r.Err())
}

const oneStore = `#include "device.cuh"
struct Args {
  u32* out;
};
WRNC_KERNEL(store, 64, 1)(const Args args) { args.out[0] = 1 + 64 * block_index() + thread_index(); }
`

// The last of racing writes wins, so it shows the order of threads and blocks.
func TestOrders(t *testing.T) {
	h, m := start(t)
	module := compileText(t, h, "store", oneStore)
	winner := func(order Order, seed uint64) uint32 {
		out := blank(t, m, 4)
		r, err := m.Launch(Launch{Module: module, Entry: "store", Blocks: 4, Threads: 64, Args: fields(out), Order: order, Seed: seed})
		require.NoError(t, err)
		require.Error(t, r.Err())
		require.Equal(t, Race, r.Violations[0].Check)
		got, err := m.Read(out, 4)
		require.NoError(t, err)
		return words(got)[0]
	}
	require.Equal(t, uint32(4*64), winner(Forward, 0))
	require.Equal(t, uint32(1), winner(Reverse, 0))
	seen := map[uint32]bool{}
	for seed := range uint64(8) {
		w := winner(Random, seed)
		require.Equal(t, w, winner(Random, seed), "seed %d", seed)
		seen[w] = true
	}
	require.Greater(t, len(seen), 4)
}

func TestMemory(t *testing.T) {
	h, m := start(t)
	module := compileText(t, h, "store", oneStore)
	launch := func(out uint64) *Report {
		r, err := m.Launch(Launch{Module: module, Entry: "store", Blocks: 1, Threads: 64, Args: fields(out)})
		require.NoError(t, err)
		return r
	}
	p, err := m.Alloc(3, false)
	require.NoError(t, err)
	require.Zero(t, p%256)
	got, err := m.Read(p, 3)
	require.NoError(t, err)
	require.Equal(t, []byte{255, 255, 255}, got)
	require.NoError(t, m.Write(p+1, []byte{7, 8}))
	got, err = m.Read(p, 3)
	require.NoError(t, err)
	require.Equal(t, []byte{255, 7, 8}, got)

	require.ErrorContains(t, m.Write(p+2, []byte{1, 2}), "allocation")
	_, err = m.Read(p+1, 3)
	require.ErrorContains(t, err, "allocation")
	require.ErrorContains(t, m.Free(p+1), "allocation")
	_, err = m.Alloc(1<<40, false)
	require.ErrorContains(t, err, "memory")

	require.Empty(t, slicesOf(launch(p), GlobalOOB)) // bounds are even: one byte too many is not seen
	require.NoError(t, m.Poison(p, 3))
	got, err = m.Read(p, 3)
	require.NoError(t, err)
	require.Equal(t, []byte{255, 255, 255}, got)
	require.NoError(t, m.Free(p))
	require.NotEmpty(t, slicesOf(launch(p), GlobalOOB))
	empty, err := m.Alloc(0, false)
	require.NoError(t, err)
	require.NotEmpty(t, slicesOf(launch(empty), GlobalOOB))
}

// slicesOf returns the violations of one rule.
func slicesOf(r *Report, check string) (of []Violation) {
	for _, v := range r.Violations {
		if v.Check == check {
			of = append(of, v)
		}
	}
	return of
}

func TestLaunchErrors(t *testing.T) {
	h, m := start(t)
	module := compileText(t, h, "store", oneStore)
	good := Launch{Module: module, Entry: "store", Blocks: 1, Threads: 64, Args: make([]byte, 8)}
	for want, change := range map[string]func(l *Launch){
		"has no WRNC_KERNEL(other, ...)":                  func(l *Launch) { l.Entry = "other" },
		"Args has 8 bytes, the launch gives 12":           func(l *Launch) { l.Args = make([]byte, 12) },
		"the kernel is for 64 threads, the launch has 32": func(l *Launch) { l.Threads = 32 },
		"a launch without blocks":                         func(l *Launch) { l.Blocks = 0 },
	} {
		l := good
		change(&l)
		_, err := m.Launch(l)
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, "of store:")
	}
	_, err := m.Alloc(4, true) // the machine still works
	require.NoError(t, err)
}

func TestCompileErrors(t *testing.T) {
	h, m := start(t)
	_, err := h.Compile("broken", "#include \"device.cuh\"\nint f() { return nothing; }\n")
	require.ErrorContains(t, err, "kernel broken:")
	require.ErrorContains(t, err, "broken.cu:2")
	// What the runtime does not have is found when the module is loaded.
	module := compileText(t, h, "foreign", strings.Replace(oneStore, "args.out[0] =", "void nobody(); nobody(); args.out[0] =", 1))
	_, err = m.Launch(Launch{Module: module, Entry: "store", Blocks: 1, Threads: 64, Args: make([]byte, 8)})
	require.ErrorContains(t, err, "nobody")
}

// A kernel that crashes or never ends costs the machine, and the error names it.
func TestDeadMachines(t *testing.T) {
	for name, fatal := range map[string]struct{ says, body string }{
		"crash": {"exit status 3: crash", `reinterpret_cast<void (*)()>(u64(args.out[0]))();`},
		"hang":  {"no answer within 500ms", `while (args.out[0] == 0) {}`},
		"deep":  {"exit status 3: stack overflow", `struct Deep { static u32 go(u32 n) { volatile u32 big[4096]; big[n % 4096] = n; return n == 7 ? 0 : go(n + 1) + big[n % 4096]; } }; args.out[1] = Deep::go(args.out[0] + 8);`},
	} {
		t.Run(name, func(t *testing.T) {
			h, m := start(t)
			m.Timeout = 500 * time.Millisecond
			module := compileText(t, h, name, fmt.Sprintf("#include \"device.cuh\"\nstruct Args {\n  u32* out;\n};\nWRNC_KERNEL(fatal, 32, 1)(const Args args) { %s }\n", fatal.body))
			out := upload(t, m, make([]byte, 8))
			_, err := m.Launch(Launch{Module: module, Entry: "fatal", Blocks: 1, Threads: 32, Args: fields(out)})
			require.ErrorContains(t, err, "kernel fatal of "+name)
			require.ErrorContains(t, err, "the machine is dead: "+fatal.says)
			_, err = m.Alloc(4, true)
			require.ErrorContains(t, err, "the machine is dead")
			require.NoError(t, m.Close())
		})
	}
}

// Intervals between barriers are numbered; when the numbers run out, they start
// again, and races are found as before.
func TestNumbersRunOut(t *testing.T) {
	h, m := start(t)
	module := compileText(t, h, "long", `#include "device.cuh"
struct Args {
  u32* x;
  u32* y;
  u32 barriers;
};
WRNC_KERNEL(barriers, 32, 1)(const Args args) {
  const u32 t = thread_index();
  const u32 v = args.x[t];
  for (u32 i = 0; i < args.barriers; i++) barrier();
  args.x[t] = v + 1;
  args.y[t] = 1;
}
`)
	x := upload(t, m, make([]byte, 128))
	races := 0
	for i := range 24 { // 32000 each, of 262144
		blocks := 1
		if i%5 == 4 {
			blocks = 2 // which race
		}
		r, err := m.Launch(Launch{Module: module, Entry: "barriers", Blocks: blocks, Threads: 32, Args: append(fields(x, blank(t, m, 128)), fields(uint32(32000), uint32(0))...)})
		require.NoError(t, err)
		if blocks == 1 {
			require.NoError(t, r.Err(), "launch %d", i)
		} else if len(slicesOf(r, Race)) > 0 {
			races++
		}
	}
	// Where numbers run out between two blocks, the first is forgotten.
	require.GreaterOrEqual(t, races, 3)
	got, err := m.Read(x, 4)
	require.NoError(t, err)
	require.Equal(t, uint32(24+4), words(got)[0])
}

// Two goroutines that want the same text wait for one compiler; another process or
// harness finds the result.
func TestCompileOnce(t *testing.T) {
	h, _ := start(t)
	text := oneStore + "// " + t.Name() + fmt.Sprint(time.Now().UnixNano()) + "\n"
	var wg sync.WaitGroup
	paths := make([]string, 4)
	for i := range paths {
		wg.Go(func() {
			module, err := h.Compile("once", text)
			if err == nil {
				paths[i] = module.path
			}
		})
	}
	wg.Wait()
	for _, p := range paths {
		require.Equal(t, paths[0], p)
	}
	defer os.Remove(paths[0])
	before, err := os.Stat(paths[0])
	require.NoError(t, err)
	again, err := New(h.dir)
	require.NoError(t, err)
	module, err := again.Compile("once", text)
	require.NoError(t, err)
	after, err := os.Stat(module.path)
	require.NoError(t, err)
	require.True(t, os.SameFile(before, after))
}

// What nobody has used for long goes; what is used stays.
func TestCacheForgets(t *testing.T) {
	h, _ := start(t)
	old := time.Now().Add(-2 * kept)
	unused, used := filepath.Join(h.dir, "unused.so"), compileText(t, h, "used", oneStore).path
	require.NoError(t, os.WriteFile(unused, nil, 0o644))
	require.NoError(t, os.Chtimes(unused, old, old))
	require.NoError(t, os.Chtimes(used, old, old))
	compileText(t, h, "used", oneStore) // by the same harness: no look at the file
	again, err := New(h.dir)
	require.NoError(t, err)
	require.NoFileExists(t, unused)
	require.FileExists(t, compileText(t, again, "used", oneStore).path)
	compileText(t, again, "used", oneStore)
	_, err = New(h.dir)
	require.NoError(t, err)
	require.FileExists(t, used)
}
