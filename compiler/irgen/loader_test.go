package irgen

import (
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/compiler/ir"
	"wrnc/dsl"
)

func TestAddLoader(t *testing.T) {
	net, err := dsl.Load("a.wrn", []byte("model WRN-10-1\ndata cifar10\n"))
	require.NoError(t, err)
	m := build(t, net, 128)
	require.NoError(t, AddLoader(m, net, Loader{Name: "load", Pictures: 50000, Augment: true}))
	require.NoError(t, AddLoader(m, net, Loader{Name: "load_test", Pictures: 10000}))
	require.NoError(t, m.Verify())
	require.Equal(t, `func load(%pictures : u8[50000,32,32,3] resident, %order : s32[128], %seed : u64[], %epoch : u64[], %values : f32[3,256] resident) {
  %0 = augment %pictures, %order, %seed, %epoch, %values {pad=4, flip=true, fill=reflect} : f32[128,32,32,3] #load
  return %0
}
`, m.Func("load").String())
	require.Equal(t, `func load_test(%pictures : u8[10000,32,32,3] resident, %order : s32[128], %seed : u64[], %epoch : u64[], %values : f32[3,256] resident) {
  %0 = augment %pictures, %order, %seed, %epoch, %values {pad=0, flip=false, fill=zero} : f32[128,32,32,3] #load_test
  return %0
}
`, m.Func("load_test").String())
	again, err := ir.Parse("again.ir", m.String())
	require.NoError(t, err)
	require.Equal(t, m.String(), again.String())
}

func TestAddLoaderErrors(t *testing.T) {
	net, err := dsl.Load("a.wrn", []byte("model WRN-10-1\ndata cifar10 { augment crop(31, zero) }\n"))
	require.NoError(t, err)
	m := build(t, net, 2)
	require.ErrorContains(t, AddLoader(m, net, Loader{Name: "train", Pictures: 5}), "func train is there already")
	require.ErrorContains(t, AddLoader(m, net, Loader{Name: "load"}), "func load: a data set of 0 pictures of 32x32 with 3 channels")
	require.NoError(t, AddLoader(m, net, Loader{Name: "load", Pictures: 5, Augment: true}), "31 columns are the most")
	net.Input = [3]int{32, 31, 3}
	require.ErrorContains(t, AddLoader(m, net, Loader{Name: "narrow", Pictures: 5, Augment: true}), "func narrow: augment: expected a pad from 0 to 30 for pictures of 32x31, found 31")
	require.Nil(t, m.Func("narrow"))
}
