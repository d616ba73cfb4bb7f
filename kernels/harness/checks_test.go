package harness

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// rule is a kernel that keeps or breaks one rule, depending on what stands for $X.
type rule struct {
	name   string
	check  string // that bad breaks
	body   string // see rulesText; t is the thread's index, b the block's
	good   string
	bad    string
	blocks int // 1 if 0
	shared int // bytes of shared memory
}

// rulesText begins the text of all rules. A body has 64 threads, and of x (0, 1, 2,
// ...), y and z (both unwritten) 1024 floats each, and a counter at 0.
const rulesText = `#include "device.cuh"
struct Args {
  f32* x;
  f32* y;
  f32* z;
  u32* counter;
};
`

// kernel is the text of a rule's kernel with x for $X.
func (r rule) kernel(name, x string) string {
	return fmt.Sprintf(`
WRNC_KERNEL(%s, 64, 1)([[maybe_unused]] const Args args) {
  [[maybe_unused]] const i32 t = i32(thread_index()), b = i32(block_index());
%s
}
`, name, strings.ReplaceAll(r.body, "$X", x))
}

// staging is a body's shared memory: 64 floats, filled and not yet safe to read.
const staging = `
  Smem smem(256);
  f32* const s = smem.take<f32, 64>();
  s[t] = args.x[t];
`

// copying starts a copy of 16 bytes by each of 16 threads.
const copying = `
  Smem smem(256);
  f32* const s = smem.take<f32, 64>();
  if (t < 16) cp_async<16>(s + 4 * t, args.x + 4 * t, true);
  cp_async_commit();
`

var rules = []rule{
	// Races.
	{name: "read before the barrier", check: Race, shared: 256,
		body: staging + `$X args.y[t] = s[63 - t];`, good: `barrier();`},
	{name: "write after a read", check: Race, shared: 256,
		body: staging + `barrier(); const f32 v = s[63 - t]; $X s[t] = v; barrier(); args.y[t] = s[t];`, good: `barrier();`},
	{name: "a shuffle is no fence", check: Race, shared: 256,
		body: staging + `$X args.y[t] = s[t ^ 1];`, good: `barrier();`, bad: `shuffle_xor(1u, 1);`},
	{name: "two threads write", check: Race,
		body: `args.y[$X] = 1;`, good: `t`, bad: `t / 2`},
	{name: "two threads write bytes of one word", check: Race,
		body: `u8* const p = reinterpret_cast<u8*>(args.y); p[$X] = 1;`, good: `t`, bad: `t / 2`},
	{name: "a thread uses its own bytes", check: Race,
		body: `u8* const p = reinterpret_cast<u8*>(args.y);
  p[2 * t] = 1; p[2 * t + 1] = 2;
  const u16 both = *reinterpret_cast<u16*>(p + 2 * t);
  p[(2 * t + $X) % 128] = u8(both);`, good: `1`, bad: `2`},
	{name: "global memory within a block", check: Race,
		body: `args.y[t] = 1; $X args.z[t] = args.y[63 - t];`, good: `barrier();`},
	{name: "two blocks write", check: Race, blocks: 2,
		body: `args.y[$X] = 1;`, good: `64 * b + t`, bad: `t`},
	{name: "a block reads what another wrote", check: Race, blocks: 2,
		body: `args.x[64 * b + t] = 1;
  if ($X) args.z[t] = args.x[t] + args.x[64 + t];`, good: `last_block(args.counter, 2)`, bad: `b == 1`},
	{name: "written after last_block", check: Race, blocks: 2,
		body: `args.y[64 * b + t] = 1;
  const bool last = last_block(args.counter, 2);
  $X
  if (last) args.z[t] = args.y[t] + args.y[64 + t];`, bad: `if (!last) args.y[64 * b + t] = 2;`},
	{name: "last_block of another counter", check: Race, blocks: 4,
		body: `args.x[64 * b + t] = 1;
  if (last_block(args.counter + b / 2, 2)) args.z[64 * b + t] = args.x[64 * (b ^ $X) + t];`, good: `1`, bad: `2`},
	{name: "a second Smem too early", check: Race, shared: 256,
		body: staging + `barrier(); args.y[t] = s[63 - t]; $X
  Smem again(256);
  f32* const r = again.take<f32, 64>();
  r[t] = 1; barrier(); args.z[t] = r[63 - t];`, good: `barrier();`},

	// Memory.
	{name: "after an allocation", check: GlobalOOB,
		body: `args.z[t] = args.x[t + $X];`, good: `960`, bad: `961`},
	{name: "before an allocation", check: GlobalOOB,
		body: `args.y[t - $X] = 1;`, good: `0`, bad: `1`},
	{name: "a null pointer", check: GlobalOOB,
		body: `const f32* p = args.x; if ($X) p = reinterpret_cast<const f32*>(u64(args.counter[0])); args.y[t] = p[t];`, good: `t > 64`, bad: `t > 32`},
	{name: "a copy of run-time size", check: GlobalOOB,
		body: `if (t == 0) __builtin_memcpy(args.y, args.x, 4u * (args.counter[0] + $X));`, good: `1024`, bad: `1025`},
	{name: "a read of nothing", check: GlobalUninit,
		body: `$X args.z[t] = args.y[t];`, good: `args.y[t] = 1;`},
	{name: "after a piece", check: SharedOOB, shared: 256,
		body: staging + `s[t + $X] = 1;`, good: `0`, bad: `1`},
	{name: "before a piece", check: SharedOOB, shared: 256,
		body: staging + `s[t - $X] = 1;`, good: `0`, bad: `1`},
	{name: "from one piece to the next", check: SharedOOB, shared: 512,
		body: `Smem smem(512);
  f32* const s = smem.take<f32, 64>();
  f32* const r = smem.take<f32, 64>();
  r[t] = 1; s[t] = 2; s[t + $X] = 2;`, good: `0`, bad: `64`},
	{name: "an old Smem", check: SharedOOB, shared: 256,
		body: staging + `barrier();
  Smem again(256);
  f32* const r = again.take<f32, 64>();
  r[t] = 1; barrier(); args.y[t] = $X[63 - t];`, good: `r`, bad: `s`},
	{name: "shared memory before it is written", check: SharedUninit, shared: 256,
		body: `Smem smem(256); f32* const s = smem.take<f32, 64>(); $X barrier(); args.y[t] = s[63 - t];`, good: `s[t] = 1;`},
	{name: "shared memory of the block before", check: SharedUninit, shared: 256, blocks: 2,
		body: `Smem smem(256); f32* const s = smem.take<f32, 64>();
  $X s[t] = 1;
  barrier();
  args.y[64 * b + t] = s[63 - t];`, bad: `if (b == 0)`},
	{name: "a new Smem's content", check: SharedUninit, shared: 256,
		body: staging + `barrier();
  Smem again(256);
  f32* const r = again.take<f32, 64>();
  $X args.y[t] = r[t]; r[t] = 2;`, good: `r[t] = 1;`},
	{name: "a vector at an odd place", check: Misaligned,
		body: `const Vec<f32, 4> v = load<f32, 4>(args.x + 4 * t + $X); args.y[t] = v.v[3];`, good: `4`, bad: `2`},
	{name: "a vector of 32 bytes", check: Misaligned,
		body: `const Vec<f32, 8> v = load<f32, 8>(args.x + 4 * t + $X); args.y[t] = v.v[7];`, good: `4`, bad: `2`},
	{name: "read-only loads", check: ReadOnly,
		body: `args.y[t] = 1; barrier(); args.z[t] = load_readonly<f32, 1>($X + t).v[0] + args.y[t];`, good: `args.x`, bad: `args.y`},
	{name: "a pointer to global memory", check: NotGlobal, shared: 256,
		body: staging + `args.y[t] = load<f32, 1>(global($X + t)).v[0];`, good: `args.x`, bad: `s`},
	{name: "a local array", check: ArrayBounds,
		body: `f32 v[4] = {1, 2, 3, 4}; for (i32 i = 0; i < 4; i++) v[i] += args.x[t]; args.y[t] = v[t % $X];`, good: `4`, bad: `5`},
	{name: "an overflow", check: Overflow,
		body: `args.y[t] = f32((t + i32(args.x[7])) * $X);`, good: `1000000`, bad: `1000000000`},
	{name: "a shift", check: Overflow,
		body: `args.y[t] = f32(1u << (i32(args.x[7]) + $X));`, good: `3`, bad: `30`},
	{name: "a division", check: Overflow,
		body: `args.y[t] = f32(t / (i32(args.x[7]) - $X));`, good: `6`, bad: `7`},

	// Barriers and warps.
	{name: "barriers at two places", check: BarrierDivergence,
		body: "if (t < $X) {\n barrier();\n } else {\n barrier();\n }", good: `64`, bad: `32`},
	{name: "a barrier that some miss", check: BarrierDivergence,
		body: `if (t < $X) barrier();`, good: `64`, bad: `32`},
	{name: "two kinds of barrier", check: BarrierDivergence,
		body: `if (t < $X) barrier(); else barrier_or(true);`, good: `64`, bad: `32`},
	{name: "lanes at two shuffles", check: WarpDivergence,
		body: "u32 v;\n if (t % 32 < $X)\n v = shuffle_xor(1u, 1);\n else\n v = shuffle_xor(2u, 1);\n args.y[t] = f32(v);", good: `32`, bad: `16`},
	{name: "half a warp at a barrier", check: Deadlock,
		body: `u32 v = 0; if (t % 32 < $X) v = shuffle_xor(1u, 1); barrier(); args.y[t] = f32(v);`, good: `32`, bad: `16`},
	{name: "half a warp ends", check: Deadlock,
		body: `if (t % 32 < $X) args.y[t] = f32(shuffle_xor(1u, 1));`, good: `32`, bad: `16`},
	{name: "endless barriers", check: TooLong,
		body: `for (i32 i = 0; i < $X; i++) barrier();`, good: `1000`, bad: `40000`},
	{name: "a used counter", check: LastBlock,
		body: `if (last_block(args.counter, $X)) args.y[t] = 1; if (last_block(args.counter, 1)) args.z[t] = 1;`, good: `1`, bad: `2`},
	{name: "a counter that nobody set", check: LastBlock,
		body: `if (last_block($X, 1)) args.z[t] = 1;`, good: `args.counter`, bad: `reinterpret_cast<u32*>(args.y)`},
	{name: "two counters", check: LastBlock,
		body: `if (last_block(args.counter + $X, 1)) args.z[t] = 1;`, good: `0`, bad: `t / 32`},

	// Layout of shared memory.
	{name: "less than the launch has", check: SmemSize, shared: 256,
		body: `Smem smem($X); f32* const s = smem.take<f32, $X / 4>(); if (t < $X / 4) s[t] = 1;`, good: `256`, bad: `128`},
	{name: "a piece that is not taken", check: SmemSize, shared: 512,
		body: `Smem smem(512); f32* const s = smem.take<f32, 64>(); s[t] = 1; $X`, good: `smem.take<f32, 64>()[t] = 1;`},
	{name: "a piece too much", check: SmemSize, shared: 256,
		body: `Smem smem(256); f32* const s = smem.take<f32, 64>(); s[t] = 1; $X`, bad: `smem.take<f32, 64>()[t] = 1;`},
	{name: "shared memory that is not for the kernel", check: SmemSize, shared: 256,
		body: `$X args.y[t] = 1;`, good: `Smem smem(256); smem.take<f32, 64>()[t] = 1;`},
	{name: "a piece that nobody uses", check: SmemUnused, shared: 512,
		body: `Smem smem(512); f32* const s = smem.take<f32, 64>(); f32* const r = smem.take<f32, 64>(); s[t] = 1; $X;`, good: `r[t] = 1`, bad: `(void)r`},
	{name: "threads that take different pieces", check: SmemDivergence, shared: 256,
		body: `Smem smem(256); f32* s; if (t < $X) s = smem.take<f32, 64>(); else s = smem.take<f32, 62>(); if (t < 62) s[t] = 1;`, good: `64`, bad: `32`},

	// Asynchronous copies.
	{name: "read before the wait", check: AsyncPending, shared: 256,
		body: copying + `$X barrier(); args.y[t] = s[t]; cp_async_wait<0>();`, good: `cp_async_wait<0>();`},
	{name: "one wait too weak", check: AsyncPending, shared: 256,
		body: copying + `cp_async_wait<$X>(); barrier(); args.y[t] = s[t]; cp_async_wait<0>();`, good: `0`, bad: `1`},
	{name: "a copy that was not committed", check: AsyncPending, shared: 256,
		body: `Smem smem(256); f32* const s = smem.take<f32, 64>();
  cp_async<4>(s + t, args.x + t, true);
  $X
  cp_async_wait<0>(); barrier(); args.y[t] = s[t]; cp_async_commit(); cp_async_wait<0>();`, good: `cp_async_commit();`},
	{name: "write into a copy's destination", check: AsyncPending, shared: 256,
		body: copying + `$X barrier(); s[t] = 1; cp_async_wait<0>();`, good: `cp_async_wait<0>();`},
	{name: "copy into a copy's destination", check: AsyncPending, shared: 256,
		body: copying + `$X if (t < 16) cp_async<16>(s + 4 * t, args.x, true); cp_async_commit(); cp_async_wait<0>();`, good: `cp_async_wait<0>();`},
	{name: "copies in flight at the end", check: AsyncPending, shared: 256,
		body: copying + `$X`, good: `cp_async_wait<0>();`},
	{name: "copies in flight into an old Smem", check: AsyncPending, shared: 256,
		body: copying + `$X barrier(); Smem again(256); again.take<f32, 64>()[t] = 1; cp_async_wait<0>();`, good: `cp_async_wait<0>();`},
	{name: "a copy that others may not see yet", check: Race, shared: 256,
		body: copying + `cp_async_wait<0>(); $X args.y[t] = s[t];`, good: `barrier();`},
	{name: "a copy over what others read", check: Race, shared: 256,
		body: staging + `barrier(); args.y[t] = s[63 - t]; $X cp_async<4>(s + t, args.x, true); cp_async_commit(); cp_async_wait<0>();`, good: `barrier();`},
	{name: "a source that changes", check: AsyncSource, shared: 256,
		body: `Smem smem(256); f32* const s = smem.take<f32, 64>();
  args.y[t] = 1;
  cp_async<4>(s + t, args.y + t, true); cp_async_commit();
  $X args.y[t] = 2; cp_async_wait<0>(); barrier(); args.z[t] = s[63 - t];`, good: `cp_async_wait<0>();`},
	{name: "a destination in global memory", check: AsyncAddress, shared: 256,
		body: `Smem smem(256); f32* const s = smem.take<f32, 64>(); s[t] = 1;
  cp_async<4>($X + t, args.x + t, true); cp_async_commit(); cp_async_wait<0>();`, good: `s`, bad: `args.y`},
	{name: "a source in shared memory", check: AsyncAddress, shared: 512,
		body: `Smem smem(512); f32* const s = smem.take<f32, 64>(); f32* const r = smem.take<f32, 64>(); r[t] = 1;
  cp_async<4>(s + t, $X + t, true); cp_async_commit(); cp_async_wait<0>();`, good: `args.x`, bad: `r`},
	{name: "a source out of bounds", check: GlobalOOB, shared: 256,
		body: `Smem smem(256); f32* const s = smem.take<f32, 64>();
  cp_async<4>(s + t, args.x + 961 + t, $X); cp_async_commit(); cp_async_wait<0>();`, good: `t < 63`, bad: `true`},
	{name: "a destination out of bounds", check: SharedOOB, shared: 256,
		body: `Smem smem(256); f32* const s = smem.take<f32, 64>();
  cp_async<4>(s + t + $X, args.x, true); cp_async_commit(); cp_async_wait<0>();`, good: `0`, bad: `1`},
	{name: "a misaligned copy", check: Misaligned, shared: 1040,
		body: `Smem smem(1040); f32* const s = smem.take<f32, 260>();
  cp_async<16>(s + 4 * t + $X, args.x + 4 * t, true); cp_async_commit(); cp_async_wait<0>();`, good: `4`, bad: `2`},

	// Matrix instructions.
	{name: "ldmatrix of global memory", check: LdmatrixAddress, shared: 1024,
		body: `Smem smem(1024); f32* const s = smem.take<f32, 256>();
  for (i32 i = t; i < 256; i += 64) s[i] = 1;
  barrier();
  u32 r[4]; ldmatrix_x4(r, $X + 4 * (t % 32)); args.y[t] = from_bits(r[0] + r[1] + r[2] + r[3]);`, good: `s`, bad: `args.x`},
	{name: "a misaligned row", check: Misaligned, shared: 1040,
		body: `Smem smem(1040); f32* const s = smem.take<f32, 260>();
  for (i32 i = t; i < 260; i += 64) s[i] = 1;
  barrier();
  u32 r[4]; ldmatrix_x4(r, s + 4 * (t % 32) + $X); args.y[t] = from_bits(r[0] + r[1] + r[2] + r[3]);`, good: `4`, bad: `2`},
	{name: "the unused rows of x2", check: SharedOOB, shared: 256,
		body: `Smem smem(256); f32* const s = smem.take<f32, 64>(); s[t] = 1;
  barrier();
  u32 r[2]; ldmatrix_x2(r, s + 4 * (t % $X)); args.y[t] = from_bits(r[0] + r[1]);`, good: `32`, bad: `16 + 8`},
	{name: "tf32 that is not rounded", check: TF32Unrounded,
		body: `f32 d[4] = {}; const u32 a[4] = {}; const u32 v[2] = {bits_of(1.5f), bits_of($X)}; mma_tf32(d, a, v); args.y[t] = d[0];`,
		good: `1.25f`, bad: `1.2f`},
}

// run executes one of the kernels in fresh memory.
func (r rule) run(t *testing.T, m *Machine, module *Module, entry string, order Order, async Async) *Report {
	t.Helper()
	const n = 1024
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(i)
	}
	args := fields(upload(t, m, floats(x...)), blank(t, m, 4*n), blank(t, m, 4*n), upload(t, m, make([]byte, 64)))
	report, err := m.Launch(Launch{
		Module: module, Entry: entry, Blocks: max(1, r.blocks), Threads: 64, Shared: r.shared, Args: args,
		Order: order, Async: async, Seed: 3,
	})
	require.NoError(t, err)
	return report
}

// Each rule is found broken in the kernel that breaks it, in every order, and in no
// order in the one that keeps it.
func TestRules(t *testing.T) {
	h, m := start(t)
	var all strings.Builder // one text: compiling each would take most of the test's time
	all.WriteString(rulesText)
	for i, r := range rules {
		all.WriteString(r.kernel(fmt.Sprint("good", i), r.good))
		all.WriteString(r.kernel(fmt.Sprint("bad", i), r.bad))
	}
	module := compileText(t, h, "rules", all.String())
	for i, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			for _, order := range []Order{Forward, Reverse, Random} {
				for _, async := range []Async{Late, Early} {
					require.NoError(t, r.run(t, m, module, fmt.Sprint("good", i), order, async).Err())
					broken := r.run(t, m, module, fmt.Sprint("bad", i), order, async)
					at := slices.IndexFunc(broken.Violations, func(v Violation) bool { return v.Check == r.check })
					require.GreaterOrEqual(t, at, 0, "order %d, async %d: %v", order, async, broken.Err())
					if r.check != SmemSize && r.check != SmemUnused && r.check != TooLong { // these have no place
						require.Regexp(t, `^rules\.cu:\d+$`, broken.Violations[at].Where)
					}
					if testing.Verbose() && order == Forward && async == Late {
						t.Log(broken.Err())
					}
				}
			}
		})
	}
}
