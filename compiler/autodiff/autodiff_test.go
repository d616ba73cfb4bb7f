package autodiff

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/compiler/ir"
	"wrnc/compiler/irgen"
	"wrnc/dsl"
)

// Every op either has a gradient or says why it has none.
func TestTableCoversEveryOp(t *testing.T) {
	for _, op := range ir.Ops() {
		_, has := vjps[op]
		_, hasNot := noGradient[op]
		require.True(t, has != hasNot, "%s: a VJP %v, a reason for none %v", op, has, hasNot)
	}
	require.Len(t, ir.Ops(), len(vjps)+len(noGradient))
}

const tiny = `module "tiny" {batch=2}

state @conv.w : f32[4,3,3,3] role=param init=constant(0)
state @fc.w : f32[5,1,1,4] role=param init=constant(0)
state @fc.b : f32[5] role=param init=constant(0)

func train(%images : f32[2,6,7,3], %labels : s32[2], %lr : f32[]) {
  %0 = conv2d %images, @conv.w {pad=1, stride=2} : f32[2,3,4,4] #conv
  %1 = avgpool %0 : f32[2,1,1,4] #pool
  %2 = conv2d %1, @fc.w {pad=0, stride=1} : f32[2,1,1,5] #fc
  %3 = add_channel %2, @fc.b : f32[2,1,1,5] #fc
  return %3
}
`

func parse(t *testing.T, text string) *ir.Module {
	t.Helper()
	m, err := ir.Parse("test.ir", text)
	require.NoError(t, err)
	return m
}

func TestTrainStepText(t *testing.T) {
	m := parse(t, tiny)
	f := m.Func("train")
	require.NoError(t, TrainStep(f, f.Returns[0], dsl.Train{Momentum: 0.75, WeightDecay: 0.25, Nesterov: true}))
	require.NoError(t, m.Verify())
	require.Equal(t, `module "tiny" {batch=2}

state @conv.w : f32[4,3,3,3] role=param init=constant(0)
state @fc.w : f32[5,1,1,4] role=param init=constant(0)
state @fc.b : f32[5] role=param init=constant(0)
state @conv.w.v : f32[4,3,3,3] role=velocity init=constant(0)
state @fc.w.v : f32[5,1,1,4] role=velocity init=constant(0)
state @fc.b.v : f32[5] role=velocity init=constant(0)

func train(%images : f32[2,6,7,3], %labels : s32[2], %lr : f32[]) {
  %0 = conv2d %images, @conv.w {pad=1, stride=2} : f32[2,3,4,4] #conv
  %1 = avgpool %0 : f32[2,1,1,4] #pool
  %2 = conv2d %1, @fc.w {pad=0, stride=1} : f32[2,1,1,5] #fc
  %3 = add_channel %2, @fc.b : f32[2,1,1,5] #fc
  %4 = xent %3, %labels : f32[2] #loss
  %5 = xent_grad %3, %labels : f32[2,1,1,5] #loss
  %6 = channel_sum %5 : f32[5] #fc
  %7 = conv2d_dgrad %5, @fc.w {pad=0, stride=1, height=1, width=1} : f32[2,1,1,4] #fc
  %8 = conv2d_wgrad %5, %1 {pad=0, stride=1, kernel=1} : f32[5,1,1,4] #fc
  %9 = avgpool_grad %7 {height=3, width=4} : f32[2,3,4,4] #pool
  %10 = conv2d_wgrad %9, %images {pad=1, stride=2, kernel=3} : f32[4,3,3,3] #conv
  %11 = axpy @conv.w, %10 {alpha=0.25} : f32[4,3,3,3] #conv
  %12 = axpy @conv.w.v, %11 {alpha=0.75} : f32[4,3,3,3] #conv
  %13 = axpy %12, %11 {alpha=0.75} : f32[4,3,3,3] #conv
  %14 = descend @conv.w, %13, %lr : f32[4,3,3,3] #conv
  %15 = axpy @fc.w, %8 {alpha=0.25} : f32[5,1,1,4] #fc
  %16 = axpy @fc.w.v, %15 {alpha=0.75} : f32[5,1,1,4] #fc
  %17 = axpy %16, %15 {alpha=0.75} : f32[5,1,1,4] #fc
  %18 = descend @fc.w, %17, %lr : f32[5,1,1,4] #fc
  %19 = axpy @fc.b, %6 {alpha=0.25} : f32[5] #fc
  %20 = axpy @fc.b.v, %19 {alpha=0.75} : f32[5] #fc
  %21 = axpy %20, %19 {alpha=0.75} : f32[5] #fc
  %22 = descend @fc.b, %21, %lr : f32[5] #fc
  return %4, @conv.w <- %14, @conv.w.v <- %12, @fc.w <- %18, @fc.w.v <- %16, @fc.b <- %22, @fc.b.v <- %20
}
`, m.String())
}

// step compiles a network up to its training step.
func step(t *testing.T, net *dsl.Network, batch int) *ir.Func {
	t.Helper()
	m, err := irgen.Build(net, batch)
	require.NoError(t, err)
	f := m.Func("train")
	require.NoError(t, TrainStep(f, f.Returns[0], net.Train))
	require.NoError(t, m.Verify())
	return f
}

func named(t *testing.T, name string) *dsl.Network {
	t.Helper()
	net, err := dsl.FromName(name)
	require.NoError(t, err)
	return net
}

func TestEveryStateIsAssigned(t *testing.T) {
	f := step(t, named(t, "WRN-16-2"), 2)
	assigned := map[string]bool{}
	for _, a := range f.Assigns {
		assigned[a.State.Name] = true
	}
	velocities := 0
	for _, s := range f.Module.States {
		require.True(t, assigned[s.Name], s.Name)
		if s.Role == ir.Velocity {
			velocities += s.Type.Elems()
		}
	}
	require.Equal(t, f.Module.Params(), velocities)
	require.Len(t, assigned, len(f.Module.States))
}

// Each node of the backward pass stands in the layer and at the place of the
// forward node whose gradient it is, and none is of the images.
func TestLayersAndPositions(t *testing.T) {
	net, err := dsl.Load("a.wrn", []byte("model WRN-10-2 {\n  classes 7\n}\ndropout 0.3\n"))
	require.NoError(t, err)
	at := map[string]ir.Pos{}
	gradients := map[ir.Op]int{}
	for _, n := range step(t, net, 2).Nodes {
		if pos, seen := at[n.Layer]; seen {
			require.Equal(t, pos, n.Pos, "%s of %s", n.Op, n.Layer)
		}
		at[n.Layer] = n.Pos
		gradients[n.Op]++
		if n.Op == ir.Conv2DDgrad {
			require.NotEqual(t, "conv0", n.Layer)
		}
	}
	require.Equal(t, 4, at["g2.b0.drop1"].Line)
	require.Equal(t, 2, at["fc"].Line)
	require.Equal(t, gradients[ir.Conv2D], gradients[ir.Conv2DWgrad])
	require.Equal(t, gradients[ir.Conv2D]-1, gradients[ir.Conv2DDgrad])
	require.Equal(t, gradients[ir.BatchNorm], gradients[ir.BatchNormGrad])
	require.Equal(t, 3, gradients[ir.DropoutMask])
	require.Equal(t, 6, gradients[ir.MaskScale])
}

// Training's multiply-adds are three times the forward pass's, but for the
// stem's missing gradient of the images.
func TestTrainingMACs(t *testing.T) {
	f := step(t, named(t, "WRN-16-2"), 3)
	forward := irgen.MACs(f.Module.Func("infer"))
	require.Equal(t, 3*forward-32*32*3*3*3*16, irgen.MACs(f))
}

// Sums begin with the branch of a block that projects, and with the shortcut of
// one that does not.
func TestOrderOfSums(t *testing.T) {
	f := step(t, named(t, "WRN-16-1"), 2)
	sums := map[string][]string{}
	for _, n := range f.Nodes {
		if n.Op == ir.Add {
			sums[n.Layer] = []string{n.Args[0].Node.Op.String(), n.Args[0].Node.Layer, n.Args[1].Node.Op.String(), n.Args[1].Node.Layer}
		}
	}
	require.Equal(t, []string{"conv2d", "g2.b0.conv2", "conv2d", "g2.b0.proj"}, sums["g2.b0.add"])
	require.Equal(t, []string{"conv2d_dgrad", "g2.b0.conv1", "conv2d_dgrad", "g2.b0.proj"}, sums["g2.b0.proj"])
	require.Equal(t, []string{"batch_norm_grad", "g3.b0.bn0", "batch_norm_grad", "g2.b1.bn0"}, sums["g2.b1.bn0"])
	require.Len(t, sums, 6+2+4, "forward, projections, identities")
}

// What no parameter reaches, before the first of them or beside, has no gradient.
func TestNoGradientWithoutParameter(t *testing.T) {
	m := parse(t, strings.NewReplacer(
		"%lr : f32[]", "%lr : f32[], %bias : f32[2,1,1,5]",
		"  %0 = conv2d %images,", "  %8 = relu %images : f32[2,6,7,3] #in\n  %9 = add %8, %8 : f32[2,6,7,3] #in\n  %0 = conv2d %9,",
		"  return %3", "  %10 = relu %bias : f32[2,1,1,5] #side\n  %11 = add %3, %10 : f32[2,1,1,5] #sum\n  return %11",
	).Replace(tiny))
	f := m.Func("train")
	require.NoError(t, TrainStep(f, f.Returns[0], dsl.Train{}))
	require.NoError(t, m.Verify())
	count := map[string]int{}
	for _, n := range f.Nodes {
		count[n.Layer]++
	}
	require.Equal(t, 2, count["in"])
	require.Equal(t, 1, count["side"])
	require.Equal(t, 1, count["sum"], "the gradient of a sum is that of its operands")
}

func TestRefused(t *testing.T) {
	for _, c := range []struct {
		old, new, want string
	}{
		{", %lr : f32[]", "", "func train: a training step needs the parameters %labels and %lr"},
		{"%labels : s32[2]", "%labels : f32[2]", "no loss of these logits and labels"},
		{"%lr : f32[]", "%lr : u64[]", "parameter %lr is u64[], expected f32[]"},
		{"  return %3", "  return %images", "the logits must be the result of a node"},
		{"  return %3", "  return %2", "the loss does not depend on the parameter @fc.b"},
		{"state @fc.b :", "state @fc.w.v : f32[5] role=param init=constant(0)\nstate @fc.b :", "the loss does not depend on the parameter @fc.w.v"},
		{"state @fc.b :", "state @fc.w.v : f32[5] role=running init=constant(0)\nstate @fc.b :", "state @fc.w.v, the velocity of @fc.w, is declared already"},
		{"  %1 = avgpool %0 :", "  %9 = convert %0 {to=bf16} : bf16[2,3,4,4] #conv\n  %1 = avgpool %9 :", "convert (conv) has no gradient: passes make it"},
	} {
		require.Contains(t, tiny, c.old)
		f := parse(t, strings.Replace(tiny, c.old, c.new, 1)).Func("train")
		require.ErrorContains(t, TrainStep(f, f.Returns[0], dsl.Train{}), c.want)
	}
	f := parse(t, tiny).Func("train")
	require.ErrorContains(t, TrainStep(f, nil, dsl.Train{}), "the logits must be the result of a node")
}
