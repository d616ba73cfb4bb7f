package ir_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/compiler/ir"
)

// classifier is a network that looks at the mean of each channel.
const classifier = `module "mean" {batch=2}
state @w : f32[5,1,1,3] role=param init=constant(1)
func train(%images : f32[2,4,6,3], %labels : s32[2], %lr : f32[], %seed : u64[], %step : u64[]) {
  %0 = avgpool %images : f32[2,1,1,3] #pool
  %1 = conv2d %0, @w {pad=0, stride=1} : f32[2,1,1,5] #fc
  %2 = xent %1, %labels : f32[2] #loss
  return %2
}
func eval(%images : f32[2,4,6,3], %labels : s32[2]) {
  %0 = avgpool %images : f32[2,1,1,3] #pool
  %1 = conv2d %0, @w {pad=0, stride=1} : f32[2,1,1,5] #fc
  %2 = xent %1, %labels : f32[2] #loss
  return %2
}
func infer(%images : f32[2,4,6,3]) {
  %0 = avgpool %images : f32[2,1,1,3] #pool
  %1 = conv2d %0, @w {pad=0, stride=1} : f32[2,1,1,5] #fc
  return %1
}
`

func TestClassifier(t *testing.T) {
	m, err := ir.Parse("mean.ir", classifier)
	require.NoError(t, err)
	c, err := m.Classifier()
	require.NoError(t, err)
	require.Equal(t, ir.Classifier{Height: 4, Width: 6, Channels: 3, Classes: 5}, c)
}

func TestNoClassifier(t *testing.T) {
	for name, c := range map[string]struct{ from, to, want string }{
		"no infer":  {"func infer", "func logits", "it has no function infer"},
		"no eval":   {"func eval", "func test", "it has no function eval"},
		"no images": {"infer(%images : f32[2,4,6,3]) {\n  %0 = avgpool %images", "infer(%x : f32[2,4,6,3]) {\n  %0 = avgpool %x", "infer takes no images"},
		"new":       {"%lr : f32[]", "%rate : f32[]", "train takes %rate, of which nothing is known"},
		"scalar":    {"%lr : f32[]", "%lr : u64[]", "train takes %lr as u64[], expected f32[]"},
		"pictures":  {"eval(%images : f32[2,4,6,3]", "eval(%images : f32[2,6,4,3]", "eval takes %images as f32[2,6,4,3], expected f32[2,4,6,3]"},
		"result":    {"#loss\n  return %2", "#loss\n  return %1", "train does not return one f32[2]"},
		"logits":    {"#fc\n  return %1", "#fc\n  return %1, %0", "infer does not return one f32[2,1,1,0]"},
	} {
		t.Run(name, func(t *testing.T) {
			require.Contains(t, classifier, c.from)
			m, err := ir.Parse("mean.ir", strings.Replace(classifier, c.from, c.to, 1))
			require.NoError(t, err)
			_, err = m.Classifier()
			require.EqualError(t, err, "mean is no classifier of images: "+c.want)
		})
	}
}
