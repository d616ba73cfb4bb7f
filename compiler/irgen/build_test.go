package irgen

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/compiler/ir"
	"wrnc/dsl"
	"wrnc/dsl/diag"
)

func named(t *testing.T, name string) *dsl.Network {
	t.Helper()
	net, err := dsl.FromName(name)
	require.NoError(t, err)
	return net
}

func build(t *testing.T, net *dsl.Network, batch int) *ir.Module {
	t.Helper()
	m, err := Build(net, batch)
	require.NoError(t, err)
	require.NoError(t, m.Verify())
	return m
}

// Each function is held line by line against the architecture, for a block with
// a projection, one without, a stride and dropout.
func TestTrainText(t *testing.T) {
	net := named(t, "WRN-16-1")
	net.Dropout = 0.25
	m := build(t, net, 3)
	text := m.Func("train").String()
	for _, part := range []string{
		// The stem has neither bias nor batch norm, and g1.b0 keeps 16 channels.
		`func train(%images : f32[3,32,32,3], %labels : s32[3], %lr : f32[], %seed : u64[], %step : u64[]) {
  %0 = conv2d %images, @conv0.w {pad=1, stride=1} : f32[3,32,32,16] #conv0
  %1, %2 = batch_norm %0, @g1.b0.bn0.gamma, @g1.b0.bn0.beta, @g1.b0.bn0.run {eps=1e-05, momentum=0.1} : f32[3,32,32,16], f32[2,16] #g1.b0.bn0
  %3 = relu %1 : f32[3,32,32,16] #g1.b0.relu0
  %4 = conv2d %3, @g1.b0.conv1.w {pad=1, stride=1} : f32[3,32,32,16] #g1.b0.conv1
  %5, %6 = batch_norm %4, @g1.b0.bn1.gamma, @g1.b0.bn1.beta, @g1.b0.bn1.run {eps=1e-05, momentum=0.1} : f32[3,32,32,16], f32[2,16] #g1.b0.bn1
  %7 = relu %5 : f32[3,32,32,16] #g1.b0.relu1
  %8 = dropout_mask %seed, %step {p=0.25, stream=g1.b0.drop1} : u1[3,32,32,16] #g1.b0.drop1
  %9 = mask_scale %7, %8 {p=0.25} : f32[3,32,32,16] #g1.b0.drop1
  %10 = conv2d %9, @g1.b0.conv2.w {pad=1, stride=1} : f32[3,32,32,16] #g1.b0.conv2
  %11 = add %10, %0 : f32[3,32,32,16] #g1.b0.add
`,
		// g2.b0 widens: the projection reads the shared ReLU.
		`  %25 = relu %23 : f32[3,32,32,16] #g2.b0.relu0
  %26 = conv2d %25, @g2.b0.proj.w {pad=0, stride=2} : f32[3,16,16,32] #g2.b0.proj
  %27 = conv2d %25, @g2.b0.conv1.w {pad=1, stride=2} : f32[3,16,16,32] #g2.b0.conv1
`,
		`  %33 = conv2d %32, @g2.b0.conv2.w {pad=1, stride=1} : f32[3,16,16,32] #g2.b0.conv2
  %34 = add %33, %26 : f32[3,16,16,32] #g2.b0.add
`,
		`  %71 = relu %69 : f32[3,8,8,64] #relu
  %72 = avgpool %71 : f32[3,1,1,64] #pool
  %73 = conv2d %72, @fc.w {pad=0, stride=1} : f32[3,1,1,10] #fc
  %74 = add_channel %73, @fc.b : f32[3,1,1,10] #fc
  return %74, @g1.b0.bn0.run <- %2, @g1.b0.bn1.run <- %6, `,
	} {
		require.Contains(t, text, part)
	}
	again, err := ir.Parse("again.ir", m.String())
	require.NoError(t, err)
	require.Equal(t, m.String(), again.String())
}

func TestEvaluationNeitherDropsNorAssigns(t *testing.T) {
	net := named(t, "WRN-10-2")
	net.Dropout = 0.5
	m := build(t, net, 2)
	for name, last := range map[string]ir.Op{"eval": ir.Xent, "infer": ir.AddChannel} {
		f := m.Func(name)
		require.Empty(t, f.Assigns)
		require.Len(t, f.Returns, 1)
		require.Equal(t, last, f.Returns[0].Node.Op)
		require.Equal(t, f.Nodes[len(f.Nodes)-1], f.Returns[0].Node)
		text := f.String()
		require.NotContains(t, text, "dropout_mask")
		require.NotContains(t, text, "batch_norm %")
		require.Equal(t, 7, strings.Count(text, "batch_norm_eval %"))
	}
	require.Equal(t, "loss", m.Func("eval").Returns[0].Node.Layer)
	require.Contains(t, m.Func("infer").String(), "func infer(%images : f32[2,32,32,3]) {")
}

func TestStates(t *testing.T) {
	net := named(t, "WRN-10-1.5-B(3,1)")
	m := build(t, net, 1)
	var lines []string
	for _, s := range m.States {
		lines = append(lines, fmt.Sprintf("%s %v %v %v", s.Name, s.Type, s.Role, s.Init))
	}
	normal := func(fanIn int) string { return fmt.Sprintf("normal(%v)", math.Sqrt(2/float64(fanIn))) }
	require.Equal(t, []string{
		"conv0.w f32[16,3,3,3] param " + normal(27),
		"g1.b0.bn0.gamma f32[16] param uniform(0,1)",
		"g1.b0.bn0.beta f32[16] param constant(0)",
		"g1.b0.bn0.run f32[2,16] running rows(0,1)",
		"g1.b0.proj.w f32[24,1,1,16] param " + normal(16),
		"g1.b0.conv1.w f32[24,3,3,16] param " + normal(144),
		"g1.b0.bn1.gamma f32[24] param uniform(0,1)",
		"g1.b0.bn1.beta f32[24] param constant(0)",
		"g1.b0.bn1.run f32[2,24] running rows(0,1)",
		"g1.b0.conv2.w f32[24,1,1,24] param " + normal(24),
	}, lines[:10])
	bound := 1 / math.Sqrt(96)
	require.Equal(t, []string{
		"bn.gamma f32[96] param uniform(0,1)",
		"bn.beta f32[96] param constant(0)",
		"bn.run f32[2,96] running rows(0,1)",
		fmt.Sprintf("fc.w f32[10,1,1,96] param uniform(%v,%v)", -bound, bound),
		"fc.b f32[10] param constant(0)",
	}, lines[len(lines)-5:])

	net.Train = dsl.TorchTrain()
	require.Equal(t, fmt.Sprintf("normal(%v)", math.Sqrt(2.0/96)), build(t, net, 1).State("fc.w").Init.String())
}

// The stride is on one convolution of the block and on the projection, and only
// in the first block of groups 2 and 3.
func TestStride(t *testing.T) {
	for _, c := range []struct {
		name   string
		choice dsl.StrideChoice
		want   string
	}{
		{"WRN-16-2", dsl.StrideFirst, "g2.b0.proj g2.b0.conv1 g3.b0.proj g3.b0.conv1"},
		{"WRN-16-2-B(1,3)", dsl.StrideFirst, "g2.b0.proj g2.b0.conv1 g3.b0.proj g3.b0.conv1"},
		{"WRN-16-2-B(1,3)", dsl.StrideFirst3x3, "g2.b0.proj g2.b0.conv2 g3.b0.proj g3.b0.conv2"},
		{"WRN-16-2-B(1,3,1)", dsl.StrideFirst3x3, "g2.b0.proj g2.b0.conv2 g3.b0.proj g3.b0.conv2"},
		{"WRN-16-2-B(3,1)", dsl.StrideFirst3x3, "g2.b0.proj g2.b0.conv1 g3.b0.proj g3.b0.conv1"},
	} {
		net := named(t, c.name)
		net.Stride = c.choice
		var strided []string
		for _, n := range build(t, net, 1).Func("train").Nodes {
			if n.Op == ir.Conv2D && n.Attrs.Stride != 1 {
				require.Equal(t, 2, n.Attrs.Stride)
				strided = append(strided, n.Layer)
			}
		}
		require.Equal(t, c.want, strings.Join(strided, " "), "%s, stride %v", c.name, c.choice)
	}
}

// Pictures of odd and of unequal sides halve upward on both ways to the sum.
func TestOddPictures(t *testing.T) {
	for _, name := range []string{"WRN-10-1", "WRN-10-2-B(1,3)", "WRN-10-0.25-B(3,1)"} {
		for _, stride := range []dsl.StrideChoice{dsl.StrideFirst, dsl.StrideFirst3x3} {
			net := named(t, name)
			net.Input, net.Stride = [3]int{7, 9, 1}, stride
			m := build(t, net, 2)
			for _, n := range m.Func("train").Nodes {
				if n.Op == ir.AvgPool {
					require.Equal(t, []int{2, 2, 3, net.Widths()[3]}, n.Args[0].Type.Dims)
				}
			}
		}
	}
}

func TestPositions(t *testing.T) {
	net, err := dsl.Load("a.wrn", []byte("model WRN-10-2\n  dropout 0.3\n"))
	require.NoError(t, err)
	drops := 0
	for _, n := range build(t, net, 2).Func("train").Nodes {
		line := 1
		if n.Op == ir.DropoutMask || n.Op == ir.MaskScale {
			line, drops = 2, drops+1
		}
		require.Equal(t, line, n.Pos.Line, "%s of %s", n.Op, n.Layer)
	}
	require.Equal(t, 6, drops)
}

// A layer has the place of its word, counted in characters.
func TestLayerPositions(t *testing.T) {
	net, err := dsl.Load("a.wrn", []byte("# é\nmodel g { input 8x8x3\n layers {\n\tconv 3x3 4; relu\ngroup 1 width 4 { branch { conv 3x3 } }\n  avgpool global; linear classes } }"))
	require.NoError(t, err)
	places := map[string]string{}
	for _, n := range build(t, net, 2).Func("infer").Nodes {
		places[n.Layer] = n.Pos.String()
	}
	require.Equal(t, map[string]string{
		"conv0": "4:2", "relu0": "4:14", "g1.b0.conv1": "5:28", "g1.b0.add": "5:1", "pool": "6:3", "fc": "6:19",
	}, places)
}

func TestRefused(t *testing.T) {
	for _, c := range []struct {
		what  string
		spoil func(*dsl.Network)
		batch int
		want  string
	}{
		{"no batch", func(*dsl.Network) {}, 0, "a batch has at least 1 picture, found 0"},
		{"one number a channel", func(n *dsl.Network) { n.Input = [3]int{4, 3, 3} }, 1,
			"batch norm cannot train on one number a channel: group 3 of one 4x3 picture is 1x1; take a larger batch or larger pictures"},
		{"huge batch", func(*dsl.Network) {}, 1 << 62, "is more than 2^40 numbers; take a smaller batch"},
		{"huge pictures", func(n *dsl.Network) { n.Input = [3]int{1 << 40, 1 << 40, 3} }, 1, "is more than 2^40 numbers"},
		{"no pictures", func(n *dsl.Network) { n.Input = [3]int{32, 0, -3} }, 1, "the pictures' width is at least 1, found 0"},
		{"no channel", func(n *dsl.Network) { n.Width = 0.06 }, 1, "width 0.06 leaves group 1 without a channel"},
		{"no classes", func(n *dsl.Network) { n.Classes = 0 }, 1, "there is at least 1 class, found 0"},
		{"no blocks", func(n *dsl.Network) { n.Blocks = 0 }, 1, "found 0 of 2"},
		{"all dropped", func(n *dsl.Network) { n.Dropout = 0.999999 }, 1, "dropout 0.999999 is outside 0 to 65535/65536"},
		{"dropout not a number", func(n *dsl.Network) { n.Dropout = math.NaN() }, 1, "dropout NaN is outside"},
	} {
		net := named(t, "WRN-10-1")
		c.spoil(net)
		m, err := Build(net, c.batch)
		require.Nil(t, m, c.what)
		require.ErrorContains(t, err, c.want, c.what)
		var list diag.List
		require.ErrorAs(t, err, &list, c.what)
	}
	net := named(t, "WRN-10-1")
	net.Input = [3]int{5, 4, 3} // 2x1 in group 3: the least that trains
	build(t, net, 1)
}
