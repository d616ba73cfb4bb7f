package irgen

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/compiler/ir"
	"wrnc/dsl"
)

// imageNet is the ImageNet network of a name, whatever its form.
func imageNet(t *testing.T, name string) *dsl.Network {
	t.Helper()
	net, err := dsl.Load("test.wrn", []byte("model "+name+"\ndata imagenet\n"))
	require.NoError(t, err)
	return net
}

// Tables 7 and 8, to the last parameter, with torchvision's networks of width 1;
// GMAC where they are published to two places.
func TestImageNetCounts(t *testing.T) {
	for _, c := range []struct {
		name   string
		params int
		convs  int
		gmac   string
	}{
		{"WRN-18-1", 11689512, 20, ""},
		{"WRN-18-1.5", 25875816, 21, ""},
		{"WRN-18-2", 45618216, 21, ""},
		{"WRN-18-3", 101783976, 21, ""},
		{"WRN-34-1", 21797672, 36, ""},
		{"WRN-34-1.5", 48613608, 37, ""},
		{"WRN-34-2", 86036008, 37, ""},
		{"WRN-50-1-bottleneck", 25557032, 53, ""},
		{"WRN-101-1-bottleneck", 44549160, 104, ""},
		{"WRN-152-1-bottleneck", 60192808, 155, ""},
		{"WRN-50-2-bottleneck", 68883240, 53, "11.40"},
		{"WRN-101-2-bottleneck", 126886696, 104, "22.75"},
	} {
		net := imageNet(t, c.name)
		m := build(t, net, 2)
		require.Equal(t, c.params, m.Params(), c.name)
		require.Equal(t, c.convs, net.Convs, c.name)
		infer := m.Func("infer")
		require.Equal(t, c.convs+1, convolutions(infer), "%s and its classifier", c.name)
		require.Equal(t, MACs(infer), MACs(m.Func("train")), c.name)
		if c.gmac != "" {
			require.Equal(t, c.gmac, fmt.Sprintf("%.2f", float64(MACs(infer))/1e9), c.name)
		}
	}
}

// Tables 7 and 8 in the shared facts agree with the compiler. A ResNet of table
// 8 is the network of width 1; pre-ResNet-200 is of another family.
func TestImageNetPaperFacts(t *testing.T) {
	p := readPaper(t)
	require.Len(t, p.Table7.Rows, 7)
	require.Len(t, p.Table8.Rows, 5)
	for _, r := range p.Table7.Rows {
		net := imageNet(t, fmt.Sprintf("%s-%v", r.Net, r.Width))
		require.Equal(t, r.Params, build(t, net, 1).Params(), net.Name)
	}
	for _, r := range p.Table8.Rows {
		name := r.Net
		if depth, ok := strings.CutPrefix(r.Net, "ResNet-"); ok {
			name = "WRN-" + depth + "-1-bottleneck"
		} else if r.Net == "pre-ResNet-200" {
			continue
		}
		require.Equal(t, r.Params, build(t, imageNet(t, name), 1).Params(), name)
	}
}

// Both kinds of block are held line by line against the architecture.
func TestImageNetText(t *testing.T) {
	text := build(t, imageNet(t, "WRN-18-1"), 2).Func("train").String()
	for _, part := range []string{
		// The first group keeps 64 channels and has no projection.
		`  %0 = conv2d %images, @conv0.w {pad=3, stride=2} : f32[2,112,112,64] #conv0
  %1, %2 = batch_norm %0, @bn0.gamma, @bn0.beta, @bn0.run {eps=1e-05, momentum=0.1} : f32[2,112,112,64], f32[2,64] #bn0
  %3 = relu %1 : f32[2,112,112,64] #relu0
  %4 = maxpool %3 {pad=1, stride=2, kernel=3} : f32[2,56,56,64] #maxpool
  %5 = conv2d %4, @g1.b0.conv1.w {pad=1, stride=1} : f32[2,56,56,64] #g1.b0.conv1
  %6, %7 = batch_norm %5, @g1.b0.bn1.gamma, @g1.b0.bn1.beta, @g1.b0.bn1.run {eps=1e-05, momentum=0.1} : f32[2,56,56,64], f32[2,64] #g1.b0.bn1
  %8 = relu %6 : f32[2,56,56,64] #g1.b0.relu1
  %9 = conv2d %8, @g1.b0.conv2.w {pad=1, stride=1} : f32[2,56,56,64] #g1.b0.conv2
  %10, %11 = batch_norm %9, @g1.b0.bn2.gamma, @g1.b0.bn2.beta, @g1.b0.bn2.run {eps=1e-05, momentum=0.1} : f32[2,56,56,64], f32[2,64] #g1.b0.bn2
  %12 = add %10, %4 : f32[2,56,56,64] #g1.b0.add
  %13 = relu %12 : f32[2,56,56,64] #g1.b0.relu
`,
		`  %23 = conv2d %22, @g2.b0.proj.w {pad=0, stride=2} : f32[2,28,28,128] #g2.b0.proj
  %24, %25 = batch_norm %23, @g2.b0.projbn.gamma, @g2.b0.projbn.beta, @g2.b0.projbn.run {eps=1e-05, momentum=0.1} : f32[2,28,28,128], f32[2,128] #g2.b0.projbn
  %26 = conv2d %22, @g2.b0.conv1.w {pad=1, stride=2} : f32[2,28,28,128] #g2.b0.conv1
`,
		`  %33 = add %31, %24 : f32[2,28,28,128] #g2.b0.add
  %34 = relu %33 : f32[2,28,28,128] #g2.b0.relu
`,
		`: f32[2,7,7,512] #g4.b1.relu
`,
		`: f32[2,1,1,1000] #fc
  return `,
	} {
		require.Contains(t, text, part)
	}

	// The stride is on the 3x3; k widens what lies inside.
	text = build(t, imageNet(t, "WRN-50-2-bottleneck"), 2).Func("infer").String()
	for _, part := range []string{
		"{pad=0, stride=1} : f32[2,56,56,256] #g1.b0.proj\n",
		"{pad=0, stride=2} : f32[2,28,28,512] #g2.b0.proj\n",
		"{pad=0, stride=1} : f32[2,56,56,256] #g2.b0.conv1\n",
		"{pad=1, stride=2} : f32[2,28,28,256] #g2.b0.conv2\n",
		"{pad=0, stride=1} : f32[2,28,28,512] #g2.b0.conv3\n",
		": f32[2,7,7,2048] #g4.b2.relu\n",
	} {
		require.Contains(t, text, part)
	}
	require.NotContains(t, text, "relu3")
	require.NotContains(t, text, "g1.b1.proj")
}

// Gamma starts at 1, the classifier as everywhere.
func TestImageNetStates(t *testing.T) {
	m := build(t, imageNet(t, "WRN-18-1.5"), 2)
	require.Equal(t, "constant(1)", m.State("bn0.gamma").Init.String())
	require.Equal(t, "constant(1)", m.State("g1.b0.projbn.gamma").Init.String())
	require.Equal(t, "constant(0)", m.State("g1.b0.bn1.beta").Init.String())
	require.Equal(t, ir.Uniform, m.State("fc.w").Init.Kind)
	require.Equal(t, []int{1000, 1, 1, 768}, m.State("fc.w").Type.Dims)
}

// Pictures of odd and of unequal sides shrink upward on both ways to each sum.
func TestImageNetOddPictures(t *testing.T) {
	for _, name := range []string{"WRN-18-0.0625", "WRN-18-1", "WRN-50-0.0625-bottleneck"} {
		for _, c := range []struct{ h, w, lastH, lastW int }{{40, 36, 2, 2}, {33, 70, 2, 3}, {225, 223, 8, 7}} {
			net := imageNet(t, name)
			net.Input = [3]int{c.h, c.w, 3}
			m := build(t, net, 2)
			for _, n := range m.Func("train").Nodes {
				if n.Op == ir.AvgPool {
					require.Equal(t, []int{2, c.lastH, c.lastW, net.Widths()[4]}, n.Args[0].Type.Dims)
				}
			}
		}
	}
}

func TestImageNetRefused(t *testing.T) {
	for _, c := range []struct {
		what  string
		spoil func(*dsl.Network)
		batch int
		want  string
	}{
		{"depth", func(n *dsl.Network) { n.Depth = 40 }, 1, "no ImageNet network of depth 40"},
		{"blocks", func(n *dsl.Network) { n.Kernels = []int{3, 1} }, 1, "found [3 1]"},
		{"dropout", func(n *dsl.Network) { n.Dropout = 0.3 }, 1, "have no dropout, found 0.3"},
		{"one number a channel", func(n *dsl.Network) { n.Input = [3]int{32, 30, 3} }, 1, "group 4 of one 32x30 picture is 1x1"},
		{"width", func(n *dsl.Network) { n.Width = 0.001 }, 1, "without a channel"},
		{"width inside", func(n *dsl.Network) { n.Depth, n.Width, n.Kernels = 50, 0.001, []int{1, 3, 1} }, 1, "leaves a block without a channel"},
		{"huge pictures", func(n *dsl.Network) { n.Input = [3]int{1 << 24, 1 << 24, 3} }, 1, "more than 2^40 numbers"},
		{"huge batch", func(n *dsl.Network) {}, 1 << 22, "pictures of 112x112 and 64 channels is more than 2^40 numbers; take a smaller batch"},
	} {
		net := imageNet(t, "WRN-18-1")
		c.spoil(net)
		m, err := Build(net, c.batch)
		require.Nil(t, m, c.what)
		require.ErrorContains(t, err, c.want, c.what)
		require.Equal(t, 1, strings.Count(err.Error(), "\n")+1, "%s: one message", c.what)
	}
	net := imageNet(t, "WRN-18-1")
	net.Input = [3]int{33, 32, 3} // 2x1 in group 4: the least that trains
	build(t, net, 1)
}
