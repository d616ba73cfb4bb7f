package autodiff

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/compiler/ir"
	"wrnc/compiler/ir/interp"
	"wrnc/compiler/irgen"
	"wrnc/dsl"
)

// networks are small ones that together have each thing a network can have.
var networks = []struct {
	name    string
	dropout float64
	stride  dsl.StrideChoice
	input   [3]int
	batch   int
}{
	{"WRN-10-1", 0, dsl.StrideFirst, [3]int{8, 8, 3}, 2},                  // identity in group 1, projections in 2 and 3
	{"WRN-16-0.25", 0.3, dsl.StrideFirst, [3]int{8, 8, 3}, 2},             // dropout, a narrowing projection
	{"WRN-10-0.5", 0.5, dsl.StrideFirst, [3]int{7, 5, 1}, 3},              // odd pictures
	{"WRN-10-0.25-B(3)", 0.5, dsl.StrideFirst, [3]int{8, 8, 3}, 2},        // l = 1: no dropout has a place
	{"WRN-13-0.25-B(3,3,3)", 0.2, dsl.StrideFirst, [3]int{8, 8, 3}, 2},    // l = 3
	{"WRN-16-0.25-B(3,3,3,3)", 0.2, dsl.StrideFirst, [3]int{8, 6, 2}, 2},  // l = 4
	{"WRN-10-0.5-B(1,3)", 0.3, dsl.StrideFirst, [3]int{8, 8, 3}, 2},       // a 1x1 that strides
	{"WRN-10-0.5-B(1,3)", 0.3, dsl.StrideFirst3x3, [3]int{8, 8, 3}, 2},    // the 3x3 that strides
	{"WRN-10-0.25-B(3,1,3)", 0.3, dsl.StrideFirst3x3, [3]int{9, 8, 3}, 3}, // kernels mixed
	{"WRN-10-1.1", 0, dsl.StrideFirst, [3]int{8, 8, 3}, 2},                // odd channels
}

// Whole networks, forward and backward, against differences of the mean loss.
func TestNetworkGradients(t *testing.T) {
	for _, c := range networks {
		t.Run(c.name, func(t *testing.T) {
			net := named(t, c.name)
			net.Dropout, net.Stride, net.Input = c.dropout, c.stride, c.input
			checkNetwork(t, net, c.batch)
		})
	}
}

// The ImageNet family, with a stem that does not widen, a max pool and the
// activation after the sum: odd pictures, and few of the thousand classes.
func TestImageNetGradients(t *testing.T) {
	net, err := dsl.Load("test.wrn", []byte("model WRN-18-0.0625\ndata imagenet\n"))
	require.NoError(t, err)
	net.Input, net.Classes = [3]int{40, 35, 3}, 5
	checkNetwork(t, net, 2)
}

// What only the layer form can say.
func TestLayeredGradients(t *testing.T) {
	for name, layers := range map[string]string{
		"nin":     "conv 5x5 4 bias; relu; conv 1x1 3 bias 0.5; relu; maxpool 3x3 stride 2 pad 1; dropout 0.5; conv 3x3 classes bias; relu; avgpool global",
		"vgg":     "conv 3x3 4; bn; relu; maxpool 2x2; linear 6; bn; relu; linear classes",
		"highway": "conv 3x3 4; group 2 width 6 stride 2 { branch { conv 3x3 bias; relu } gate { conv 3x3 bias -2; sigmoid } }; avgpool global; linear classes",
		"pad":     "conv 3x3 4; bn; relu; group 2 width 6 stride 2 { branch { conv 3x3; bn; relu; conv 3x3; bn } shortcut pad; after { relu } }; avgpool global; linear classes",
		"none":    "group 2 width 4 stride 2 { shared { bn; relu } branch { conv 3x3; sigmoid } shortcut none }; avgpool global; linear classes",
	} {
		t.Run(name, func(t *testing.T) {
			net, err := dsl.Load("test.wrn", []byte("model "+name+" { input 8x8x3; classes 4; layers { "+layers+" } }"))
			require.NoError(t, err)
			checkNetwork(t, net, 2)
		})
	}
}

// checkNetwork holds the gradients of a batch's mean loss by every state to
// differences.
func checkNetwork(t *testing.T, net *dsl.Network, batch int) {
	t.Helper()
	r := rand.New(rand.NewPCG(3, 4))
	in := randomInputs(r, net, batch)

	m, err := irgen.Build(net, batch)
	require.NoError(t, err)
	forward := m.Func("train")
	withLoss(forward)
	states := randomStates(r, m)
	mean := func(y []float64) float64 { return y[0] / float64(batch) }

	m, err = irgen.Build(net, batch)
	require.NoError(t, err)
	f := m.Func("train")
	logits := f.Returns[0]
	g := ir.NewBuilder(f).At("loss", logits.Node.Pos).Op1(ir.XentGrad, ir.Attrs{}, logits, f.Param("labels"))
	grads, err := gradients(f, logits, g)
	require.NoError(t, err)
	f.Returns = nil
	for _, g := range grads {
		f.Returns = append(f.Returns, g.value)
	}
	require.NoError(t, m.Verify())
	checkGradients(t, r, lossOf{forward, in, states, mean}, grads, run(t, f, in, states).Returns, 1)
}

// withLoss makes f return the loss of the logits that it returns.
func withLoss(f *ir.Func) {
	logits := f.Returns[0]
	b := ir.NewBuilder(f).At("loss", logits.Node.Pos)
	f.Returns = b.Op(ir.Xent, ir.Attrs{}, logits, f.Param("labels"))
}

// randomInputs are the parameters of a training step for a batch of noise.
func randomInputs(r *rand.Rand, net *dsl.Network, batch int) tensors {
	labels := &interp.Tensor{Type: ir.T(ir.S32, batch), U: make([]uint64, batch)}
	for i := range labels.U {
		labels.U[i] = r.Uint64N(uint64(net.Classes))
	}
	return tensors{
		"images": randomTensor(r, ir.T(ir.F32, batch, net.Input[0], net.Input[1], net.Input[2])),
		"labels": labels,
		"lr":     {Type: ir.T(ir.F32), F: []float64{0.1}},
		"seed":   {Type: ir.T(ir.U64), U: []uint64{0x0123456789abcdef}},
		"step":   {Type: ir.T(ir.U64), U: []uint64{11}},
	}
}

// A step moves parameters and velocities as the formula says, from velocities
// that are not zero, and assigns what the forward pass assigns.
func TestUpdate(t *testing.T) {
	const batch = 2
	for _, opt := range []dsl.Train{
		{Momentum: 0.9, WeightDecay: 5e-4, Nesterov: true},
		{Momentum: 0.8, WeightDecay: 0.3},
		{},
	} {
		net := named(t, "WRN-10-0.25")
		net.Input, net.Train = [3]int{8, 8, 3}, opt
		r := rand.New(rand.NewPCG(5, 6))
		in := randomInputs(r, net, batch)

		m, err := irgen.Build(net, batch)
		require.NoError(t, err)
		f := m.Func("train")
		runs := len(f.Assigns)
		require.Equal(t, 7, runs)
		g := ir.NewBuilder(f).At("loss", ir.Pos{Line: 1, Col: 1}).Op1(ir.XentGrad, ir.Attrs{}, f.Returns[0], f.Param("labels"))
		grads, err := gradients(f, f.Returns[0], g)
		require.NoError(t, err)
		f.Returns = nil
		for _, g := range grads {
			f.Returns = append(f.Returns, g.value)
		}

		trained := step(t, net, batch)
		states := randomStates(r, trained.Module)
		values := run(t, f, in, states)
		after := run(t, trained, in, states)
		require.Len(t, after.State, len(trained.Module.States))
		for i, g := range grads {
			name := g.param.Name
			p, v := states[name].F, states[name+".v"].F
			for j := range p {
				d := values.Returns[i].F[j] + float64(opt.WeightDecay*p[j])
				v2 := float64(opt.Momentum*v[j]) + d
				u := v2
				if opt.Nesterov {
					u = d + float64(opt.Momentum*v2)
				}
				require.InDelta(t, p[j]-float64(0.1*u), after.State[name].F[j], 1e-9, "@%s at %d", name, j)
				require.InDelta(t, v2, after.State[name+".v"].F[j], 1e-9, "@%s.v at %d", name, j)
			}
		}
		for _, s := range trained.Module.States {
			if s.Role == ir.Running {
				require.Equal(t, values.State[s.Name].F, after.State[s.Name].F, s.Name)
				require.NotEqual(t, states[s.Name].F, after.State[s.Name].F, s.Name)
			}
		}
	}
}
