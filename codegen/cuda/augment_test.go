package cuda

import (
	"encoding/binary"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/compiler"
	"wrnc/compiler/ir"
	"wrnc/compiler/irgen"
	"wrnc/compiler/lower"
	"wrnc/compiler/oracle"
	"wrnc/dsl"
	"wrnc/kernels/harness"
	"wrnc/runtime/data"
)

// loader compiles a network with a loader and prints its kernel.
func loader(t *testing.T, text string, batch int, l irgen.Loader) program {
	t.Helper()
	net, err := dsl.Load("a.wrn", []byte(text))
	require.NoError(t, err)
	c, err := compiler.Compile(net, compiler.Options{Batch: batch, Precision: ir.BF16, Fuse: true, Loaders: []irgen.Loader{l}})
	require.NoError(t, err)
	arch, err := Arch(DefaultArch)
	require.NoError(t, err)
	f := c.Module.Func(l.Name)
	p, err := lower.Plan(f, arch)
	require.NoError(t, err)
	require.NoError(t, p.VerifyAgainst(f))
	src, err := Emit(p, f)
	require.NoError(t, err)
	return program{l.Name, p, f, src}
}

func TestLoaderText(t *testing.T) {
	g := loader(t, "model WRN-10-1\ndata cifar10\n", 128, irgen.Loader{Name: "load", Pictures: 50000, Augment: true})
	require.Equal(t, strings.ReplaceAll(`// a batch of a data set, augmented
//
//   %0 = augment a0, a1, a2, a3, a4 {pad=4, flip=true, fill=reflect} : f32[N,32,32,3]
//   a5 = %0
#include "augment.cuh"

struct Args {
  const u8* a0;
  const i32* a1;
  const u64* a2;
  const u64* a3;
  const f32* a4;
  f32* a5;
  i32 n;
  i32 pictures;
};

using Shape = AugmentShape<32, 32, 3, 4, true, true>;  // H W C, pad, flip, reflect

WRNC_KERNEL(ENTRY, 256, 2)(const Args args) {
  augment<Shape, 256>(args.a0, args.a1, args.a2, args.a3, args.a4, args.a5, args.n, args.pictures);
}
`, "ENTRY", g.src[0].Entry), g.src[0].Text)
	again := loader(t, "model WRN-16-2\ndata cifar100\n", 64, irgen.Loader{Name: "load_more", Pictures: 45000, Augment: true})
	require.Equal(t, g.src, again.src, "neither the batch nor the size of the data set is in the text")
}

// The printed kernel of a network's loader yields the batches of runtime/data's
// Loader, to the bit: what a network trains on does not depend on who loads it.
func TestLoaderIsTheHosts(t *testing.T) {
	m, err := harness.NewForTest(t).Start()
	require.NoError(t, err)
	defer m.Close()
	const seed, batch = 3, 5
	for _, c := range []struct {
		text    string
		augment data.Augment
		train   bool
	}{
		{"model WRN-10-1\ndata cifar10\n", data.Augment{Flip: true, Pad: 4, Fill: data.FillReflect}, true},
		{"model WRN-10-1\ndata cifar10 { augment flip crop(3, zero) }\n", data.Augment{Flip: true, Pad: 3, Fill: data.FillZero}, true},
		{"model WRN-10-1\ndata svhn\n", data.Augment{}, true},
		{"model WRN-10-1\ndata cifar10\n", data.Augment{}, false},
	} {
		set := &data.Set{Name: "noise", Classes: []string{"a"}, H: 32, W: 32, C: 3, Images: make([]byte, 12*32*32*3), Labels: make([]int32, 12)}
		for i := range set.Images {
			set.Images[i] = byte(i * i / 7)
		}
		host, err := data.NewLoader(set, data.LoaderOptions{Batch: batch, Seed: seed, Shuffle: true, Augment: c.augment, Normalize: data.CIFARMeanStd()})
		require.NoError(t, err)
		program := loader(t, c.text, batch, irgen.Loader{Name: "load", Pictures: set.Len(), Augment: c.train})
		r := oracle.Regions(program.p, program.f)[0]
		values := binary32(data.CIFARMeanStd().Values(3))
		for epoch := range uint64(2) {
			for _, want := range host.Epoch(int(epoch), 0) {
				g := &rig{h: harness.NewForTest(t), m: m, p: program.p, f: program.f, src: program.src, mem: map[int]uint64{}, opts: harness.Launch{Order: harness.Random}}
				order, err := binary.Append(nil, binary.LittleEndian, want.Index)
				require.NoError(t, err)
				for i, bytes := range [][]byte{set.Images, order, binary.LittleEndian.AppendUint64(nil, seed), binary.LittleEndian.AppendUint64(nil, epoch), values} {
					require.NoError(t, g.put(r.Buffer(r.Node.Args[i]), bytes))
				}
				for _, i := range r.Kernels {
					require.NoError(t, g.launch([]int{i}, want.N))
				}
				require.Empty(t, g.found)
				got, err := m.Read(g.mem[g.p.Returns[0]], 4*len(want.Images))
				require.NoError(t, err)
				require.Equal(t, binary32(want.Images), got, "%s, epoch %d", c.text, epoch)
				g.free()
			}
		}
	}
}

func binary32(values []float32) []byte {
	var b []byte
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}
