package cpu_test

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/compiler"
	"wrnc/compiler/ir"
	"wrnc/compiler/ir/gen"
	"wrnc/compiler/lower"
	"wrnc/compiler/plan"
	"wrnc/dsl"
	kernels "wrnc/kernels/cpu"
	"wrnc/runtime/cpu"
)

// small is a network on small pictures, compiled for a small batch.
func small(t *testing.T, name, keys string, side, batch int, fuse bool) *ir.Module {
	t.Helper()
	net, err := dsl.Load("test.wrn", []byte("model "+name+" "+keys))
	require.NoError(t, err)
	if net.Family != dsl.Layered { // those say their input
		net.Input = [3]int{side, side, 3}
	}
	if net.Family == dsl.ImageNet {
		net.Input[1], net.Classes = side+4, 7 // width, and few of the thousand classes
	}
	c, err := compiler.Compile(net, compiler.Options{Batch: batch, Precision: ir.F32, Fuse: fuse, Verify: true})
	require.NoError(t, err)
	return c.Module
}

// networks are the shapes of the language: stride, projection, dropout, blocks
// of one to four convolutions, 1x1 filters, fractional width, odd pictures, the
// layer form, and the ImageNet family (wide enough for batch norm to be well
// conditioned).
var networks = []struct {
	name, keys string
	side       int
}{
	{"WRN-10-1", "", 8},
	{"WRN-10-2", "; dropout 0.3", 9},
	{"WRN-16-1", "", 8},
	{"WRN-10-1-B(3,1)", "; dropout 0.5", 8},
	{"WRN-10-1.5-B(1,3)", "{ stride first3x3 }", 7},
	{"WRN-13-1-B(3,3,3)", "", 6},
	{"WRN-10-1-B(3,1,3)", "; dropout 0.2", 8},
	{"nin", `{ input 9x8x3; classes 5; layers {
		conv 5x5 12 bias; relu; conv 1x1 7 bias 0.5; relu; maxpool 3x3 stride 2 pad 1; dropout 0.5
		conv 3x3 9 bias; relu; conv 1x1 classes bias; relu; avgpool global } }`, 0},
	{"vgg", `{ input 8x8x3; classes 5; layers {
		conv 3x3 12; bn; relu; maxpool 2x2; conv 3x3 16; bn; relu; maxpool 2x2; linear 9; bn; relu; dropout 0.5; linear classes } }`, 0},
	{"highway", `{ input 8x8x3; classes 5; layers {
		conv 3x3 12; group 2 width 20 stride 2 { branch { conv 3x3 bias; relu } gate { conv 3x3 bias -2; sigmoid } }
		avgpool global; linear classes } }`, 0},
	{"resnet", `{ input 9x8x3; classes 5; layers {
		conv 3x3 16; bn; relu; group 2 width 24 stride 2 { branch { conv 3x3; bn; relu; conv 3x3; bn } shortcut pad; after { relu } }
		group 2 width 24 { branch { conv 1x1 8; bn; relu; conv 3x3 8; bn; relu; conv 1x1; bn } shortcut none }
		avgpool global; linear classes } }`, 0},
	{"WRN-18-0.25", "; data imagenet", 35}, // no ReLU reads a number so near 0 that rounding decides
}

// TestNetworks runs every function of small networks, fused and not, on every
// instruction set, with dead memory poisoned, against the interpreter.
func TestNetworks(t *testing.T) {
	for _, n := range networks {
		for _, fuse := range []bool{true, false} {
			for _, isa := range kernels.Available() {
				t.Run(fmt.Sprintf("%s/fuse=%v/%s", n.name, fuse, isa.Name), func(t *testing.T) {
					m := small(t, n.name, n.keys, n.side, 3, fuse)
					for _, f := range m.Funcs {
						r := rand.New(rand.NewPCG(5, 6))
						in, state := gen.Inputs(m, f, r)
						compare(t, m, f, in, state, cpu.Options{ISA: isa, Threads: 2, Poison: true})
					}
				})
			}
		}
	}
}

// goBits is the hash of the states that TestThreads ends with where the Go functions
// run: they give the same bits on every processor. It changes with the plan's units
// and splits, as the order of sums does.
const goBits = "78f518ee13804506"

// TestThreads requires the same bits from 1, 2, 3 and 7 workers after three
// steps, the last one on a short batch.
func TestThreads(t *testing.T) {
	for _, isa := range kernels.Available() {
		var want map[string][]float32
		for _, threads := range []int{1, 2, 3, 7} {
			m := small(t, "WRN-10-1", "; dropout 0.3", 12, 5, true)
			f := m.Func("train")
			p, err := lower.Plan(f, cpu.Arch(isa))
			require.NoError(t, err)
			prog, err := cpu.Load(m, []*plan.Plan{p}, cpu.Options{ISA: isa, Threads: threads})
			require.NoError(t, err)
			in, state := gen.Inputs(m, f, rand.New(rand.NewPCG(1, 1)))
			for _, s := range m.States {
				require.NoError(t, prog.WriteState(s.Name, floats(state[s.Name])))
			}
			args := inputs(f, in)
			for step := range uint64(3) {
				args.U64["step"] = step
				if step == 2 {
					args.N = 3
					args.F32["images"] = args.F32["images"][:3*12*12*3]
					args.Labels["labels"] = args.Labels["labels"][:3]
				}
				_, err := prog.Run("train", args)
				require.NoError(t, err)
			}
			got := map[string][]float32{}
			for _, s := range m.States {
				v, err := prog.ReadState(s.Name)
				require.NoError(t, err)
				got[s.Name] = v
			}
			prog.Close()
			if want == nil {
				want = got
			}
			for name := range want {
				require.Equal(t, want[name], got[name], "%s, %d threads, @%s", isa.Name, threads, name)
			}
		}
		if isa.Name == "go" {
			require.Equal(t, goBits, hashed(want))
		}
	}
}

// hashed is the hash of states, in the order of their names.
func hashed(states map[string][]float32) string {
	hash := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(states)) {
		_ = binary.Write(hash, binary.LittleEndian, states[name]) // a hash takes all
	}
	return fmt.Sprintf("%x", hash.Sum(nil)[:8])
}
