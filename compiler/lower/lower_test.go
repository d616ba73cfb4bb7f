package lower_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/compiler/ir"
	"wrnc/compiler/lower"
	"wrnc/compiler/plan"
)

var arch = plan.Arch{Target: "cpu", ISA: "go", Chans: 8, L1: 32 << 10, L2: 512 << 10}

const head = `module "test" {batch=2}
state @a : f32[4,3,3,4] role=param init=constant(1)
state @b : f32[4,3,3,4] role=param init=constant(2)
func main(%x : f32[2,6,5,4]) {
  %1 = fusion @sum {kind=map} (@a, @b) {
    %0 = add @a, @b : f32[4,3,3,4] #sum
    yield %0
  } : f32[4,3,3,4]
`

func lowered(t *testing.T, text string) (*ir.Func, *plan.Plan) {
	t.Helper()
	m, err := ir.Parse("test.ir", text)
	require.NoError(t, err)
	f := m.Func("main")
	p, err := lower.Plan(f, arch)
	require.NoError(t, err)
	require.NoError(t, p.VerifyAgainst(f), p.String())
	return f, p
}

func kernels(p *plan.Plan) []string {
	var names []string
	for _, k := range p.Kernels {
		names = append(names, k.Name)
	}
	return names
}

// TestAssign holds each way in which a state can get its new value: in place
// where nothing reads the old one afterwards, else by a copy at the end.
func TestAssign(t *testing.T) {
	for _, c := range []struct {
		name, end string
		want      []string
	}{
		{"in place", "  return @a <- %1\n}\n", []string{"sum"}},
		{"old value returned", "  return @a, @a <- %1\n}\n", []string{"sum", "a.save", "a.assign"}},
		{"swapped", "  return %1, @a <- @b, @b <- @a\n}\n", []string{"sum", "b.save", "a.save", "a.assign", "b.assign"}},
		{"itself", "  return %1, @a <- @a\n}\n", []string{"sum"}},
		{"one value twice", "  return @a <- %1, @b <- %1\n}\n", []string{"sum", "b.assign"}},
		{"read later", `  %3 = fusion @again {kind=map} (%1, @a) {
    %2 = add %1, @a : f32[4,3,3,4] #again
    yield %2
  } : f32[4,3,3,4]
  return %3, @a <- %1
}
`, []string{"sum", "again", "a.assign"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, p := lowered(t, head+c.end)
			require.Equal(t, c.want, kernels(p))
		})
	}
}

// TestBatchOutsideText requires the same kernels, word for word, for any batch that
// has a unit for each of some workers.
func TestBatchOutsideText(t *testing.T) {
	text := func(n string) string {
		return `module "test" {batch=` + n + `}
state @w : f32[16,3,3,4] role=param init=constant(1)
func main(%x : f32[` + n + `,12,12,4]) {
  %2, %3 = fusion @c {kind=conv_fprop} (%x, @w) {
    %0 = conv2d %x, @w {pad=1, stride=1} : f32[` + n + `,12,12,16] #c
    %1 = bn_stats %0 : f32[2,16] #c
    yield %0, %1
  } : f32[` + n + `,12,12,16], f32[2,16]
  return %2, %3
}
`
	}
	_, p := lowered(t, text("8"))
	_, q := lowered(t, text("15"))
	require.Equal(t, len(p.Kernels), len(q.Kernels))
	for i := range p.Kernels {
		a, b := *p.Kernels[i], *q.Kernels[i]
		a.Grid.Samples, b.Grid.Samples = 0, 0
		for j := range a.Reduces {
			a.Reduces[j].Grid.Samples, b.Reduces[j].Grid.Samples = 0, 0
		}
		require.Equal(t, a, b)
	}
}

// A convolution of few samples is cut into eight units or more, of no less than two
// rows.
func TestUnitsOfFewSamples(t *testing.T) {
	for _, c := range []struct{ rows, samples, band int }{
		{32, 1, 4}, {32, 2, 8}, {32, 3, 11}, {32, 8, 32}, {12, 1, 2}, {8, 1, 2}, {3, 1, 3}, {1, 1, 1},
	} {
		_, p := lowered(t, fmt.Sprintf(`module "test" {batch=%[1]d}
state @w : f32[16,3,3,4] role=param init=constant(1)
func main(%%x : f32[%[1]d,%[2]d,%[2]d,4]) {
  %%1 = fusion @c {kind=conv_fprop} (%%x, @w) {
    %%0 = conv2d %%x, @w {pad=1, stride=1} : f32[%[1]d,%[2]d,%[2]d,16] #c
    yield %%0
  } : f32[%[1]d,%[2]d,%[2]d,16]
  return %%1
}
`, c.samples, c.rows))
		for _, k := range p.Kernels {
			if k.Kind == plan.Conv {
				require.Equal(t, c.band, k.Grid.RowsPerUnit, "%+v", c)
			}
		}
		require.Len(t, p.Kernels, 2)
	}
}

// An op that would read and compare one value with itself is refused by name.
func TestOneOperandTwice(t *testing.T) {
	m, err := ir.Parse("test.ir", `module "test" {batch=2}
func main(%x : f32[2,6,5,4]) {
  %1 = fusion @back {kind=opaque} (%x) {
    %0 = maxpool_grad %x, %x {pad=1, stride=1, kernel=3} : f32[2,6,5,4] #pool
    yield %0
  } : f32[2,6,5,4]
  return %1
}
`)
	require.NoError(t, err)
	_, err = lower.Plan(m.Func("main"), arch)
	require.EqualError(t, err, "main, fusion @back: maxpool_grad: operands 0 and 1 are one value; this target takes two")
}

// TestArenaReuse requires memory of values that are dead to be used again.
func TestArenaReuse(t *testing.T) {
	text := `module "test" {batch=2}
func main(%x : f32[2,32,32,16]) {
`
	prev := "%x"
	for i := range 6 {
		n := string(rune('0' + i))
		text += "  %r" + n + " = fusion @f" + n + " {kind=map} (" + prev + ") {\n    %i" + n + " = relu " + prev + " : f32[2,32,32,16] #f\n    yield %i" + n + "\n  } : f32[2,32,32,16]\n"
		prev = "%r" + n
	}
	_, p := lowered(t, text+"  return "+prev+"\n}\n")
	require.Equal(t, 2*4*2*32*32*16, p.Arena, "six values in a chain need the room of two")
}

// TestRefusals are regions that the target cannot run; each names the reason.
func TestRefusals(t *testing.T) {
	for _, c := range []struct{ name, body, want string }{
		{"unfused", "  %0 = relu %x : f32[2,6,5,4] #r\n  return %0\n}\n", "relu (r) is in no fusion"},
		{"bf16", `  %1 = fusion @c {kind=map} (%x) {
    %0 = convert %x {to=bf16} : bf16[2,6,5,4] #c
    yield %0
  } : bf16[2,6,5,4]
  return %1
}
`, "use --precision f32"},
		{"mask", `  %1 = fusion @m {kind=map} (%seed, %step) {
    %0 = dropout_mask %seed, %step {p=0.5, stream=m} : u1[2,6,5,4] #m
    yield %0
  } : u1[2,6,5,4]
  return %1
}
`, "yields a mask"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := ir.Parse("test.ir", "module \"test\" {batch=2}\nfunc main(%x : f32[2,6,5,4], %seed : u64[], %step : u64[]) {\n"+c.body)
			require.NoError(t, err)
			_, err = lower.Plan(m.Func("main"), arch)
			require.ErrorContains(t, err, c.want)
		})
	}
}

// TestRefusedOperands are regions whose operands this target cannot read; each
// is an error of lowering, not a wrong plan.
func TestRefusedOperands(t *testing.T) {
	for _, c := range []struct{ name, state, params, node, want string }{
		{"parameter of rank 2", "@b : f32[8]", "%x : f32[2,8]", "add_channel %x, @b : f32[2,8]", "takes f32[N,H,W,C]"},
		{"vector over rows", "@b : f32[2,8]", "%x : f32[2,6,5,4]", "affine @b, @b : f32[2,8]", "a channel vector over f32[2,8]"},
		{"narrow state", "@b : bf16[8,3,3,8]", "%x : f32[2,6,5,4]", "relu @b : f32[8,3,3,8]", "reads bf16"},
		{"state as picture", "@b : f32[3,3,3,3]", "%x : f32[2,6,5,4]", "conv2d @b, @b {pad=1, stride=1} : f32[3,3,3,3]", "no activation of the batch"},
		{"batch as filter", "@b : f32[3,3,3,3]", "%x : f32[2,3,3,4]", "conv2d %x, %x {pad=1, stride=1} : f32[2,3,3,2]", "a row for each sample"},
		{"batch and state", "@b : f32[2,6,5,4]", "%x : f32[2,6,5,4]", "add %x, @b : f32[2,6,5,4]", "one has the batch"},
		{"filter of 65", "@b : f32[1,65,65,4]", "%x : f32[2,65,65,4]", "conv2d %x, @b {pad=0, stride=1} : f32[2,1,1,1]", "at most 64"},
	} {
		t.Run(c.name, func(t *testing.T) {
			typ := c.node[strings.LastIndex(c.node, ": ")+2:]
			text := "module \"test\" {batch=2}\nstate " + c.state + " role=param init=constant(1)\nfunc main(" + c.params + ") {\n" +
				"  %1 = fusion @f {kind=map} (OPERANDS) {\n    %0 = " + c.node + " #n\n    yield %0\n  } : " + typ + "\n  return %1\n}\n"
			words := strings.Fields(strings.SplitN(strings.SplitN(c.node, " ", 2)[1], " : ", 2)[0])
			operands := strings.TrimSuffix(words[0], ",")
			if second := strings.TrimSuffix(words[min(1, len(words)-1)], ","); second != operands {
				operands += ", " + second
			}
			m, err := ir.Parse("test.ir", strings.Replace(text, "OPERANDS", operands, 1))
			require.NoError(t, err)
			_, err = lower.Plan(m.Func("main"), arch)
			require.ErrorContains(t, err, c.want)
		})
	}
}

// TestOverwriteAcrossKernels holds a state whose old value one kernel of a region
// reads after another has the new one: it is not overwritten in place.
func TestOverwriteAcrossKernels(t *testing.T) {
	_, p := lowered(t, `module "test" {batch=2}
state @w : f32[3,3,3,4] role=param init=constant(1)
state @s : f32[3,3,3,4] role=param init=constant(1)
func main(%x : f32[2,6,5,4], %g : f32[2,6,5,3]) {
  %5, %6 = fusion @f {kind=conv_wgrad} (@s, %g, %x) {
    %2 = relu @s : f32[3,3,3,4] #f
    %3 = conv2d_wgrad %g, %x {pad=1, stride=1, kernel=3} : f32[3,3,3,4] #f
    %4 = relu %3 : f32[3,3,3,4] #f
    yield %2, %4
  } : f32[3,3,3,4], f32[3,3,3,4]
  return %5, @s <- %6
}
`)
	require.Contains(t, kernels(p), "s.assign")
}

// The CPU's batches come from a loader; what is resident is refused with the reason.
func TestResident(t *testing.T) {
	m, err := ir.Parse("load.ir", `module "load" {batch=2}
func load(%pictures : u8[9,4,6,3] resident, %order : s32[2], %seed : u64[], %epoch : u64[], %values : f32[3,256] resident) {
  %1 = fusion @load {kind=opaque} (%pictures, %order, %seed, %epoch, %values) {
    %0 = augment %pictures, %order, %seed, %epoch, %values {pad=1, flip=true, fill=zero} : f32[2,4,6,3] #load
    yield %0
  } : f32[2,4,6,3]
  return %1
}
`)
	require.NoError(t, err)
	_, err = lower.Plan(m.Func("load"), arch)
	require.ErrorContains(t, err, "load: parameter %pictures : u8[9,4,6,3] is resident, and the cpu target has no op that takes a batch out of a data set: its batches come from a loader")
	gpu := plan.Arch{Target: "cuda", ISA: "sm_80", Chans: 1, GPU: plan.GPU{SMs: 1, Shared: 1 << 16, SharedSM: 1 << 16}}
	p, err := lower.Plan(m.Func("load"), gpu)
	require.NoError(t, err)
	require.NoError(t, p.VerifyAgainst(m.Func("load")))

	text := m.String()
	for _, c := range []struct{ from, to, want string }{
		{"%pictures : u8[9,4,6,3] resident", "%pictures : u8[2,4,6,3]", "parameter %pictures is u8[2,4,6,3]"},
		{"%values : f32[3,256] resident", "%values : f32[3,256] resident, %more : s32[4] resident", "parameter %more : s32[4] is resident: the cuda target keeps pictures"},
	} {
		m, err := ir.Parse("load.ir", strings.Replace(text, c.from, c.to, 1))
		require.NoError(t, err)
		_, err = lower.Plan(m.Func("load"), gpu)
		require.ErrorContains(t, err, c.want)
	}
}
