package harness

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// bfloats are the upper halves of floats that have nothing in the lower.
func bfloats(v []float32) []byte {
	b := make([]byte, 0, 2*len(v))
	for _, x := range v {
		b = binary.LittleEndian.AppendUint16(b, uint16(math.Float32bits(x)>>16))
	}
	return b
}

func toFloats(b []byte) []float32 {
	v := make([]float32, len(b)/4)
	for i := range v {
		v[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return v
}

func testText(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name + ".cu")
	require.NoError(t, err)
	return string(text)
}

func compileText(t testing.TB, h *Harness, name, text string) *Module {
	t.Helper()
	m, err := h.Compile(name, text)
	require.NoError(t, err)
	return m
}

// upload returns memory that holds b; blank returns memory that holds nothing.
func upload(t testing.TB, m *Machine, b []byte) uint64 {
	t.Helper()
	p, err := m.Alloc(len(b), true)
	require.NoError(t, err)
	require.NoError(t, m.Write(p, b))
	t.Cleanup(func() { m.Free(p) })
	return p
}

func blank(t testing.TB, m *Machine, n int) uint64 {
	t.Helper()
	p, err := m.Alloc(n, false)
	require.NoError(t, err)
	t.Cleanup(func() { m.Free(p) })
	return p
}

// gemm is a kernel of testdata that multiplies matrices.
type gemm struct {
	name            string
	tile            int
	threads, shared int
	mask            uint32 // the bits of an operand's float that the kernel's operands have
	store           func(v []float32) []byte
	transposed      bool // B is [n,k]
}

var gemms = []gemm{
	{name: "sgemm", tile: 64, threads: 256, shared: 2 * 64 * 16 * 4, mask: ^uint32(0), store: func(v []float32) []byte { return floats(v...) }},
	{name: "hgemm", tile: 64, threads: 128, shared: 3 * (64*40 + 32*72) * 2, mask: 0xffff0000, store: bfloats},
	{name: "tgemm", tile: 32, threads: 64, shared: 2 * 32 * 36 * 4, mask: 0xffffe000, store: func(v []float32) []byte { return floats(v...) }, transposed: true},
}

// random returns values of both signs that the kernel's operands can hold.
func (g gemm) random(n int, seed uint64) []float32 {
	r := rand.New(rand.NewPCG(seed, 1))
	v := make([]float32, n)
	for i := range v {
		v[i] = math.Float32frombits(math.Float32bits(r.Float32()*2-1) & g.mask)
	}
	return v
}

func (g gemm) launch(module *Module, a, b, c uint64, m, n, k int) Launch {
	return Launch{
		Module: module, Entry: g.name, Blocks: m / g.tile * (n / g.tile), Threads: g.threads, Shared: g.shared,
		Args: append(fields(a, b, c), fields(int32(m), int32(n), int32(k), int32(0))...),
	}
}

func TestGEMM(t *testing.T) {
	h, machine := start(t)
	const m, n, k = 128, 64, 96
	for _, g := range gemms {
		t.Run(g.name, func(t *testing.T) {
			module := compileText(t, h, g.name, testText(t, g.name))
			a, b := g.random(m*k, 1), g.random(k*n, 2)
			want := make([]float64, m*n)
			for i := range m {
				for p := range k {
					for j := range n {
						at := p*n + j
						if g.transposed {
							at = j*k + p
						}
						want[i*n+j] += float64(a[i*k+p]) * float64(b[at])
					}
				}
			}
			pa, pb := upload(t, machine, g.store(a)), upload(t, machine, g.store(b))
			var first []byte
			for _, order := range []Order{Forward, Reverse, Random} {
				for _, async := range []Async{Late, Early} {
					pc := blank(t, machine, 4*m*n)
					l := g.launch(module, pa, pb, pc, m, n, k)
					l.Order, l.Async, l.Seed = order, async, 7
					r, err := machine.Launch(l)
					require.NoError(t, err)
					require.NoError(t, r.Err())
					c, err := machine.Read(pc, 4*m*n)
					require.NoError(t, err)
					if first == nil {
						first = c
						for i, v := range toFloats(c) {
							require.InDelta(t, want[i], v, 1e-5*k, "%d", i)
						}
					}
					require.Equal(t, first, c, "order %d, async %d", order, async)
				}
			}
		})
	}
}

// cpuTime is what the machine's process has used: the wall clock is others' too.
func cpuTime(t testing.TB, m *Machine) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", m.cmd.Process.Pid))
	require.NoError(t, err)
	ns, err := strconv.ParseInt(strings.Fields(string(stat))[0], 10, 64)
	require.NoError(t, err)
	return time.Duration(ns)
}

func BenchmarkGEMM(b *testing.B) {
	h, machine := start(b)
	const n = 256
	for _, g := range gemms {
		b.Run(g.name, func(b *testing.B) {
			module := compileText(b, h, g.name, testText(b, g.name))
			pa, pb := upload(b, machine, g.store(g.random(n*n, 1))), upload(b, machine, g.store(g.random(n*n, 2)))
			pc := blank(b, machine, 4*n*n)
			var c Counters
			before := cpuTime(b, machine)
			for b.Loop() {
				r, err := machine.Launch(g.launch(module, pa, pb, pc, n, n, n))
				require.NoError(b, err)
				require.NoError(b, r.Err())
				c = r.Counters
			}
			perOp := (cpuTime(b, machine) - before).Seconds() / float64(b.N)
			b.ReportMetric(n*n*n/perOp/1e9, "GMAC/s")
			b.ReportMetric(perOp*1e9/float64(c.Accesses), "ns/access")
			b.ReportMetric(0, "ns/op")
			b.Logf("%+v", c)
		})
	}
}

// What one access costs, by size and memory: a loop of nothing else.
func BenchmarkAccess(b *testing.B) {
	h, machine := start(b)
	module := compileText(b, h, "access", `#include "device.cuh"
struct Args {
  const u32* in;
  u32* out;
};
template <u32 N>
WRNC_DEVICE u32 sum(const u32* p) {
  u32 s = 0;
  for (u32 i = 0; i < 1024; i++) s += load<u32, N>(p + (N * (thread_index() + i)) % 1024).v[0];
  return s;
}
WRNC_KERNEL(global1, 256, 1)(const Args args) { args.out[thread_index()] = sum<1>(args.in); }
WRNC_KERNEL(global4, 256, 1)(const Args args) { args.out[thread_index()] = sum<4>(args.in); }
template <u32 N>
WRNC_DEVICE void shared(const Args& args) {
  Smem smem(4096);
  u32* const s = smem.take<u32, 1024>();
  for (u32 i = thread_index(); i < 1024; i += 256) s[i] = args.in[i];
  barrier();
  args.out[thread_index()] = sum<N>(s);
}
WRNC_KERNEL(shared1, 256, 1)(const Args args) { shared<1>(args); }
WRNC_KERNEL(shared4, 256, 1)(const Args args) { shared<4>(args); }
WRNC_KERNEL(shuffles, 256, 1)(const Args args) {
  u32 s = thread_index();
  for (u32 i = 0; i < 1024; i++) s += shuffle_xor(s, 1);
  args.out[thread_index()] = s;
}
`)
	in, out := upload(b, machine, make([]byte, 4096)), blank(b, machine, 1024)
	for _, entry := range []string{"global1", "global4", "shared1", "shared4", "shuffles"} {
		b.Run(entry, func(b *testing.B) {
			shared := 0
			if strings.HasPrefix(entry, "shared") {
				shared = 4096
			}
			before := cpuTime(b, machine)
			for b.Loop() {
				r, err := machine.Launch(Launch{Module: module, Entry: entry, Blocks: 1, Threads: 256, Shared: shared, Args: fields(in, out)})
				require.NoError(b, err)
				require.NoError(b, r.Err())
			}
			b.ReportMetric(float64((cpuTime(b, machine)-before).Nanoseconds())/float64(b.N)/256/1024, "ns/each")
			b.ReportMetric(0, "ns/op")
		})
	}
}
