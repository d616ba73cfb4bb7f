package plan_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/compiler/ir"
	"wrnc/compiler/plan"
)

func TestParseErrors(t *testing.T) {
	_, p := small(t)
	text := p.String()
	for _, c := range []struct {
		name, from, to, want string
	}{
		{"no plan", "plan \"small\"", "plain", "small.plan:1: expected: plan"},
		{"the batch", "batch=3", "batch=0", "small.plan:1: batch: expected a whole number from 1"},
		{"a leading zero", "batch=3", "batch=03", "small.plan:1: batch"},
		{"arch", "arch target", "arc target", "small.plan:2: expected \"arch\""},
		{"a word too many", "isa=go", "isa=go fast", "small.plan:2: expected chans="},
		{"a huge size", "memory state=", "memory state=9999999999", "small.plan:3: state"},
		{"a buffer's number", "buffer b1 ", "buffer b2 ", "small.plan:6: expected \"b1\""},
		{"a space", "b0 state", "b0 heap", "small.plan:5: expected a space (state, input, arena, counter), found \"heap\""},
		{"a type", "f32[4,3,3,3]", "f33[4,3,3,3]", "small.plan:5: expected a type"},
		{"a huge type", "f32[4,3,3,3]", "f32[1099511627776,3,3,3]", "small.plan:5: bad dimension"},
		{"a negative offset", "offset=0", "offset=-64", "small.plan:5: offset"},
		{"a kind", "kernel k0 pack", "kernel k0 pick", "expected a kind"},
		{"a mode", "a0 = read", "a0 = reads", "expected a mode (read, write, update), found \"reads\""},
		{"a buffer that is not there", "a0 = read b0 ", "a0 = read b999 ", "expected one of 68 indices b0, b1, ..., found \"b999\""},
		{"an op", "bn_stats partial", "bn_status partial", "unknown op \"bn_status\""},
		{"an operand", "t = affine_relu a1, v2", "t = affine_relu a1, v9", "found \"v9\""},
		{"an operand's letter", "t = affine_relu a1, v2", "t = affine_relu a1, z2", "found \"z2\""},
		{"a register", "r0 = affine_relu_grad r1, a1, v2", "r7 = affine_relu_grad r1, a1, v2", "expected one of 2 indices r0, r1, ..., found \"r7\""},
		{"a missing attribute", "{p=0.3, stream=b.drop0}", "{p=0.3}", "dropout_mask has 2 attributes"},
		{"an attribute", "{p=0.3, stream=b.drop0}", "{q=0.3, stream=b.drop0}", "expected the attribute p"},
		{"a bad attribute", "{p=0.3, stream=b.drop0}", "{p=NaN, stream=b.drop0}", "expected a finite number"},
		{"no channel op", "= bn_fold", "= relu", "expected a channel op, found \"relu\""},
		{"a launch's number", "launch 1 ", "launch 2 ", "expected \"1\""},
		{"a kernel that is not there", "launch 0 k0", "launch 0 k999", "found \"k999\""},
		{"text after the end", "return b40", "return b40\nmore", "expected nothing after return"},
		{"no end", "return b40", "", "at last return"},
		{"no brace", "}\n\nlaunch 0 k0", "\n\nlaunch 0 k0", "found \"launch 0 k0\""},
		{"many registers", "epilogue slots=2", "epilogue slots=2000000000", "slots"},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Contains(t, text, c.from)
			_, err := plan.Parse("small.plan", strings.Replace(text, c.from, c.to, 1))
			require.ErrorContains(t, err, c.want)
			var e *plan.Error
			require.ErrorAs(t, err, &e)
			require.Positive(t, e.Line)
		})
	}
	_, err := plan.Parse("big", strings.Repeat(" ", plan.MaxText+1))
	require.ErrorContains(t, err, "at most 16777216 are read")
}

// TestParseTruncated cuts the text behind every line.
func TestParseTruncated(t *testing.T) {
	_, p := small(t)
	lines := strings.SplitAfter(p.String(), "\n")
	for i := range len(lines) - 2 {
		_, err := plan.Parse("cut", strings.Join(lines[:i], ""))
		require.Error(t, err, "after line %d", i)
	}
}

func FuzzParse(f *testing.F) {
	_, p := small(f)
	text := p.String()
	f.Add(text)
	_, load := loaded(f, ir.BF16, true)
	f.Add(load.String())
	_, tiles := winograd(f)
	f.Add(tiles.String())
	_, infer := prepared(f)
	f.Add(strings.Replace(infer.String(), "chans=8", "chans=8 narrow=4", 1))
	f.Add("plan \"//\" func=f batch=1\narch target=cpu isa=go chans=8 l1=0 l2=0\nmemory state=0 arena=0 scratch=0\nreturn")
	for _, cut := range []string{"kernel k2 ", "kernel k9 ", "launch "} {
		f.Add(text[:strings.Index(text, cut)])
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := plan.Parse("fuzz", text)
		if err != nil {
			return
		}
		again, err := plan.Parse("again", p.String())
		require.NoError(t, err)
		require.Equal(t, p, again)
		require.Equal(t, p.String(), again.String())
		if p.Verify() == nil {
			plan.Edges(p)
		}
	})
}
