package ir_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/compiler/ir"
)

// In the cases below, "main: BODY" stands for a function with that body in a
// module that has the usual states and parameters.
const frame = `module "m" {batch=2}
state @w : f32[4,3,3,3] role=param init=normal(1)
state @b : f32[3] role=param init=constant(0)
state @run : f32[2,3] role=running init=rows(0,1)
func main(%%x : f32[2,5,5,3], %%y : s32[2], %%m : u1[2,5,5,3], %%lr : f32[], %%seed : u64[], %%set : u8[9,4,6,3] resident, %%vals : f32[3,256] resident) {
%s
}
`

func inFrame(body string) string { return fmt.Sprintf(frame, body) }

func TestFrameIsLegal(t *testing.T) {
	_, err := ir.Parse("a.ir", inFrame("return %x"))
	require.NoError(t, err)
}

func TestReject(t *testing.T) {
	for _, c := range []struct{ name, body, want string }{
		// Definitions and uses.
		{"use before def", "%0 = relu %1 : f32[2,5,5,3]\n%1 = relu %x : f32[2,5,5,3]\nreturn %0", `a.ir:6: unknown value "%1"`},
		{"unknown state", "%0 = relu @z : f32[2,5,5,3]\nreturn %0", `a.ir:6: unknown state @z`},
		{"defined twice", "%0 = relu %x : f32[2,5,5,3]\n%0 = relu %x : f32[2,5,5,3]\nreturn %0", `a.ir:7: expected a new value name, found "%0"`},
		{"shadowed parameter", "%x = relu %x : f32[2,5,5,3]\nreturn %x", `a.ir:6: expected a new value name, found "%x"`},
		{"undefined return", "return %9", `a.ir:6: unknown value "%9"`},
		{"assigned twice", "return @b <- @b, @b <- @b", `a.ir: func main: @b is assigned twice`},
		{"assigned another type", "return @b <- %x", `a.ir: func main: @b is f32[3], the value assigned to it f32[2,5,5,3]`},
		{"assigned to a value", "return %x <- %x", `a.ir:6: %x is not a state`},
		{"no return", "%0 = relu %x : f32[2,5,5,3]", `a.ir:7: expected %N = OP ..., found "}"`},

		// Types.
		{"wrong type", "%0 = relu %x : f32[2,5,5,4]\nreturn %0", `a.ir: func main: relu (): result 0 is f32[2,5,5,4], expected f32[2,5,5,3]`},
		{"wrong element type", "%0 = relu %x : bf16[2,5,5,3]\nreturn %0", `a.ir: func main: relu (): result 0 is bf16[2,5,5,3], expected f32[2,5,5,3]`},
		{"unknown element type", "%0 = relu %x : f16[2]\nreturn %0", `a.ir:6: unknown element type "f16"; there are u1, u8, s32, u64, bf16, tf32, f32`},
		{"zero dimension", "%0 = relu %x : f32[0]\nreturn %0", `a.ir:6: bad dimension "0" in type "f32[0]": expected a whole number from 1, at most 1099511627776 elements in all`},
		{"overflow", "%0 = relu %x : f32[1099511627776,1099511627776]\nreturn %0", `a.ir:6: bad dimension "1099511627776" in type`},
		{"five dimensions", "%0 = relu %x : f32[1,1,1,1,1]\nreturn %0", `a.ir:6: type "f32[1,1,1,1,1]" has 5 dimensions; at most 4 are known`},
		{"no type", "%0 = relu %x\nreturn %0", `a.ir:6: expected a type after " : "`},
		{"too many results", "%0, %1 = relu %x : f32[2,5,5,3], f32[1]\nreturn %0", `a.ir: func main: relu (): has 2 results, expected 1`},
		{"results without types", "%0, %1 = relu %x : f32[2,5,5,3]\nreturn %0", `a.ir:6: 2 results but 1 types`},

		// Operands.
		{"operand count", "%0 = relu %x, %x : f32[2,5,5,3]\nreturn %0", `relu (): relu takes 1 operands, found 2`},
		{"labels as activation", "%0 = relu %y : f32[2]\nreturn %0", `relu: operand 0: expected a tensor of floats, found s32[2]`},
		{"mask as activation", "%0 = relu %m : f32[2,5,5,3]\nreturn %0", `relu: expected a tensor of floats, found the mask u1[2,5,5,3]`},
		{"scalar as activation", "%0 = relu %lr : f32[]\nreturn %0", `relu: operand 0: expected a tensor of floats, found f32[]`},
		{"activation as scalar", "%0 = descend %x, %x, %x : f32[2,5,5,3]\nreturn %0", `descend: operand 2: expected a scalar f32[], found f32[2,5,5,3]`},
		{"integer as learning rate", "%0 = descend %x, %x, %seed : f32[2,5,5,3]\nreturn %0", `descend: operand 2: expected a scalar f32[], found u64[]`},
		{"shapes differ", "%0 = add %x, @b : f32[2,5,5,3]\nreturn %0", `add: operands differ in shape: f32[2,5,5,3] and f32[3]`},
		{"channel vector", "%0 = affine %x, @b : f32[2,5,5,3]\nreturn %0", `affine: expected a channel vector f32[2,3], found f32[3]`},
		{"input channels", "%0 = conv2d_dgrad %x, @w {pad=1, stride=1, height=5, width=5} : f32[2,5,5,3]\nreturn %0", `conv2d_dgrad: expected a gradient f32[2,5,5,4], found f32[2,5,5,3]`},
		{"filter as vector", "%0 = conv2d %x, @b {pad=1, stride=1} : f32[2,5,5,3]\nreturn %0", `conv2d: expected a square filter [K,R,R,C], found f32[3]`},
		{"precision of operands", "%0 = convert %x {to=bf16} : bf16[2,5,5,3]\n%1 = conv2d %0, @w {pad=1, stride=1} : f32[2,5,5,4]\nreturn %1", `picture and filter differ in element type: bf16 and f32`},
		{"labels of a loss", "%0 = xent %x, %y : f32[2]\nreturn %0", `xent: expected logits [N,1,1,K] and labels s32[N], found f32[2,5,5,3] and s32[2]`},
		{"mask of another shape", "%0 = dropout_mask %seed, %seed {p=0.5, stream=a} : u1[2,5,5,1]\n%1 = mask_scale %x, %0 {p=0.5} : f32[2,5,5,3]\nreturn %1", `mask_scale: expected a mask u1[2,5,5,3], found u1[2,5,5,1]`},
		{"float as seed", "%0 = dropout_mask %lr, %seed {p=0.5, stream=a} : u1[2,5,5,1]\nreturn %0", `dropout_mask (): expected seed u64[], step u64[] -> one mask`},
		{"mask of floats", "%0 = dropout_mask %seed, %seed {p=0.5, stream=a} : f32[2,5,5,1]\nreturn %0", `dropout_mask (): expected a mask u1[N,H,W,C], found f32[2,5,5,1]`},

		// Attributes.
		{"unknown op", "%0 = gelu %x : f32[2,5,5,3]\nreturn %0", `a.ir:6: unknown op "gelu"`},
		{"unknown attribute", "%0 = conv2d %x, @w {pad=1, dilation=1} : f32[2,5,5,4]\nreturn %0", `a.ir:6: conv2d has the attributes [pad stride], found "dilation=1"`},
		{"missing attribute", "%0 = conv2d %x, @w {pad=1} : f32[2,5,5,4]\nreturn %0", `a.ir:6: conv2d has the attributes [pad stride], found "pad=1"`},
		{"attribute twice", "%0 = conv2d %x, @w {pad=1, pad=1} : f32[2,5,5,4]\nreturn %0", `a.ir:6: conv2d has the attributes [pad stride], found "pad=1"`},
		{"attribute that is none", "%0 = conv2d %x, @w {pad=1, stride=two} : f32[2,5,5,4]\nreturn %0", `a.ir:6: attribute stride: expected a whole number, found "two"`},
		{"stride 0", "%0 = conv2d %x, @w {pad=1, stride=0} : f32[2,5,5,4]\nreturn %0", `conv2d: expected stride >= 1 and 0 <= pad < 3, found stride 0, pad 1`},
		{"wide pad", "%0 = conv2d %x, @w {pad=3, stride=1} : f32[2,9,9,4]\nreturn %0", `conv2d: expected stride >= 1 and 0 <= pad < 3, found stride 1, pad 3`},
		{"infinity", "%0 = axpy %x, %x {alpha=inf} : f32[2,5,5,3]\nreturn %0", `a.ir:6: attribute alpha: expected a finite number, found "inf"`},
		{"dropout of all", "%0 = mask_scale %x, %m {p=1} : f32[2,5,5,3]\nreturn %0", `mask_scale: dropout probability 1 is outside [0, 1)`},
		{"dropout of nearly all", "%0 = mask_scale %x, %m {p=0.99999999} : f32[2,5,5,3]\nreturn %0", `mask_scale: dropout probability 0.99999999 is outside [0, 1)`},
		{"dropout of a negative part", "%0 = mask_scale %x, %m {p=-0.1} : f32[2,5,5,3]\nreturn %0", `mask_scale: dropout probability -0.1 is outside [0, 1)`},
		{"dropout past any integer", "%0 = mask_scale %x, %m {p=1e300} : f32[2,5,5,3]\nreturn %0", `mask_scale: dropout probability 1e+300 is outside [0, 1)`},
		{"count 0", "%0 = bn_fold @run, @b, @b {eps=0, count=0} : f32[2,3]\nreturn %0", `bn_fold: expected count >= 1, found 0`},
		{"a vector of another filter", "%0, %1 = fold_filter @w, @run : f32[4,3,3,3], f32[4]\nreturn %0", `fold_filter: expected a channel vector f32[2,4], found f32[2,3]`},
		{"a filter of rank 1", "%0, %1 = fold_filter @b, @run : f32[3], f32[3]\nreturn %0", `fold_filter: expected a filter f32[K,R,S,C], found f32[3]`},
		{"running statistics of one", "%0 = bn_running @run, @run {momentum=0.1, count=1} : f32[2,3]\nreturn %0", `bn_running: expected count >= 2 (an unbiased variance needs two elements), found 1`},
		{"running statistics of a vector", "%0 = bn_running @b, @b {momentum=0.1, count=2} : f32[3]\nreturn %0", `bn_running: expected a channel vector f32[2,3], found f32[3]`},
		{"window and pad", "%0 = maxpool %x {pad=2, stride=2, kernel=2} : f32[2,4,4,3]\nreturn %0", `maxpool: expected stride >= 1 and 0 <= pad < kernel, found stride 2, pad 2, kernel 2`},
		{"window without a step", "%0 = maxpool %x {pad=1, stride=0, kernel=3} : f32[2,4,4,3]\nreturn %0", `found stride 0, pad 1, kernel 3`},
		{"window larger than the picture", "%0 = maxpool %x {pad=1, stride=1, kernel=8} : f32[2,1,1,3]\nreturn %0", `maxpool: picture f32[2,5,5,3] with pad 1 is smaller than the window of 8`},
		{"maxpool of a vector", "%0 = maxpool @b {pad=0, stride=1, kernel=1} : f32[3]\nreturn %0", `maxpool: expected an activation [N,H,W,C], found f32[3]`},
		{"gradient of another window", "%0 = maxpool_grad %x, %x {pad=1, stride=2, kernel=3} : f32[2,5,5,3]\nreturn %0", `maxpool_grad: expected a gradient f32[2,3,3,3], found f32[2,5,5,3]`},
		{"mask as gradient", "%0 = maxpool_grad %m, %x {pad=1, stride=1, kernel=3} : f32[2,5,5,3]\nreturn %0", `maxpool_grad: expected a gradient f32[2,5,5,3], found u1[2,5,5,3]`},
		{"pictures that are floats", "%0 = augment %x, %y, %seed, %seed, %vals {pad=0, flip=false, fill=zero} : f32[2,5,5,3]\nreturn %0", `augment: operand 0: expected pictures u8[M,H,W,C], found f32[2,5,5,3]`},
		{"an order of floats", "%0 = augment %set, %x, %seed, %seed, %vals {pad=0, flip=false, fill=zero} : f32[2,4,6,3]\nreturn %0", `augment: operand 1: expected numbers of pictures s32[N], found f32[2,5,5,3]`},
		{"a float as epoch", "%0 = augment %set, %y, %seed, %lr, %vals {pad=0, flip=false, fill=zero} : f32[2,4,6,3]\nreturn %0", `augment: operand 3: expected a scalar u64[], found f32[]`},
		{"a table of states", "%0 = augment %set, %y, %seed, %seed, @run {pad=0, flip=false, fill=zero} : f32[2,4,6,3]\nreturn %0", `augment: operand 4: expected a table f32[C,256], found f32[2,3]`},
		{"a wide crop", "%0 = augment %set, %y, %seed, %seed, %vals {pad=4, flip=false, fill=zero} : f32[2,4,6,3]\nreturn %0", `augment: expected a pad from 0 to 3 for pictures of 4x6, found 4`},
		{"an unknown border", "%0 = augment %set, %y, %seed, %seed, %vals {pad=1, flip=false, fill=wrap} : f32[2,4,6,3]\nreturn %0", `augment: expected fill=zero or fill=reflect, found "wrap"`},
		{"a flip that is none", "%0 = augment %set, %y, %seed, %seed, %vals {pad=1, flip=1, fill=zero} : f32[2,4,6,3]\nreturn %0", `a.ir:6: attribute flip: expected true or false, found "1"`},
		{"pictures of another size", "%0 = augment %set, %y, %seed, %seed, %vals {pad=1, flip=true, fill=zero} : f32[9,4,6,3]\nreturn %0", `augment (): result 0 is f32[9,4,6,3], expected f32[2,4,6,3]`},
		{"convert to a mask", "%0 = convert %x {to=u1} : u1[2,5,5,3]\nreturn %0", `convert: convert is between float types, found f32 to u1`},

		// Fusions.
		{"opaque in a larger body", "%a, %b = fusion @r {kind=map} (%x, @b, @run) {\n%0 = relu %x : f32[2,5,5,3]\n%1 = batch_norm_eval %0, @b, @b, @run {eps=0.1} : f32[2,5,5,3]\nyield %0, %1\n} : f32[2,5,5,3], f32[2,5,5,3]\nreturn %a",
			`fusion @r: batch_norm_eval is opaque and must be a region of its own`},
		{"capture missing", "%a = fusion @r {kind=map} (%x) {\n%0 = affine %x, @run : f32[2,5,5,3]\nyield %0\n} : f32[2,5,5,3]\nreturn %a", `fusion @r: captures 2 values, lists 1`},
		{"captures in another order", "%a = fusion @r {kind=map} (@run, %x) {\n%0 = affine %x, @run : f32[2,5,5,3]\nyield %0\n} : f32[2,5,5,3]\nreturn %a", `fusion @r: operand 0 is not the value captured there`},
		{"roots of two types", "%a, %b = fusion @r {kind=conv_fprop} (%x, @w) {\n%0 = conv2d %x, @w {pad=1, stride=1} : f32[2,5,5,4]\n%1 = conv2d %x, @w {pad=1, stride=2} : f32[2,3,3,4]\nyield %0, %1\n} : f32[2,5,5,4], f32[2,3,3,4]\nreturn %a",
			`fusion @r: two roots of different types, f32[2,5,5,4] and f32[2,3,3,4]`},
		{"bad node in a body", "%a = fusion @r {kind=map} (%x) {\n%0 = relu %x : f32[2]\nyield %0\n} : f32[2]\nreturn %a", `fusion @r: relu (): result 0 is f32[2], expected f32[2,5,5,3]`},
		{"yield of a capture", "%a = fusion @r {kind=map} (%x) {\n%0 = relu %x : f32[2,5,5,3]\nyield %x\n} : f32[2,5,5,3]\nreturn %a", `fusion @r: yield 0 is not a value of the body of type f32[2,5,5,3]`},
		{"yield of another type", "%a = fusion @r {kind=map} (%x) {\n%0 = relu %x : f32[2,5,5,3]\nyield %0\n} : f32[2]\nreturn %a", `fusion @r: yield 0 is not a value of the body of type f32[2]`},
		{"yields and results", "%a = fusion @r {kind=map} (%x) {\n%0 = relu %x : f32[2,5,5,3]\nyield %0, %0\n} : f32[2,5,5,3]\nreturn %a", `fusion @r: yields 2 values, has 1 results`},
		{"reading into a body", "%a = fusion @r {kind=map} (%x) {\n%0 = relu %x : f32[2,5,5,3]\nyield %0\n} : f32[2,5,5,3]\n%1 = relu %0 : f32[2,5,5,3]\nreturn %1", `relu (): operand 0 is not defined before it is read`},
		{"returning from a body", "%a = fusion @r {kind=map} (%x) {\n%0 = relu %x : f32[2,5,5,3]\nyield %0\n} : f32[2,5,5,3]\nreturn %0", `func main: a returned value is not defined`},
		{"fusion in a fusion", "%a = fusion @r {kind=map} (%x) {\n%b = fusion @s {kind=map} (%x) {", `a.ir:7: a fusion inside a fusion`},
		{"empty body", "%a = fusion @r {kind=map} () {\nyield %x\n} : f32[2,5,5,3]\nreturn %a", `fusion @r: empty body`},
		{"one name twice", "%a = fusion @r {kind=map} (%x) {\n%0 = relu %x : f32[2,5,5,3]\nyield %0\n} : f32[2,5,5,3]\n%b = fusion @r {kind=map} (%x) {\n%1 = relu %x : f32[2,5,5,3]\nyield %1\n} : f32[2,5,5,3]\nreturn %a", `func main: two fusions are called @r`},
		{"no yield", "%a = fusion @r {kind=map} (%x) {\n%0 = relu %x : f32[2,5,5,3]", `a.ir:8: expected %N = OP ..., found "}"`},
		{"body not closed", "%a = fusion @r {kind=map} (%x) {\n%0 = relu %x : f32[2,5,5,3]\nyield %0\nreturn %a", `a.ir:9: expected } : TYPES after yield, found "return %a"`},
		{"bad fusion head", "%a = fusion @r {kind=map} {\nreturn %a", `a.ir:6: expected: fusion @NAME {kind=KIND} (ARGS) {`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ir.Parse("a.ir", inFrame(c.body))
			require.ErrorContains(t, err, c.want)
			require.True(t, strings.HasPrefix(err.Error(), "a.ir:"), "the file is named: %v", err)
		})
	}
}

func TestRejectModules(t *testing.T) {
	const head = "module \"m\" {batch=2}\n"
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", `a.ir:1: expected: module "NAME" {batch=N}`},
		{"no quotes", "module m {batch=2}", `a.ir:1: expected the module's name in quotes`},
		{"no batch", `module "m"`, `a.ir:1: expected {batch=N} with N from 1 to 1048576, found ""`},
		{"batch 0", `module "m" {batch=0}`, `a.ir:1: expected {batch=N} with N from 1 to 1048576, found "{batch=0}"`},
		{"stray text", head + "hello", `a.ir:2: expected state, then func; found "hello"`},
		{"state after func", head + "func f() {\nreturn\n}\nstate @a : f32[2] role=param init=normal(1)", `a.ir:5: expected state, then func; found`},
		{"state twice", head + "state @a : f32[2] role=param init=normal(1)\nstate @a : f32[2] role=param init=normal(1)", `a.ir:3: state @a is declared twice`},
		{"state name", head + "state @a/b : f32[2] role=param init=normal(1)", `a.ir:2: expected: state @NAME : TYPE role=ROLE init=INIT`},
		{"role", head + "state @a : f32[2] role=weight init=normal(1)", `a.ir:2: expected role=param|velocity|running, found "role=weight"`},
		{"init", head + "state @a : f32[2] role=param init=cauchy(1)", `a.ir:2: expected init=normal(S), uniform(A,B), constant(A), rows(A,B) or identity(A), found "init=cauchy(1)"`},
		{"init of infinity", head + "state @a : f32[2] role=param init=normal(inf)", `found "init=normal(inf)"`},
		{"init with too many numbers", head + "state @a : f32[2] role=param init=normal(1,2)", `found "init=normal(1,2)"`},
		{"identity of a larger filter", head + "state @a : f32[2,3,3,2] role=running init=identity(1)", `a.ir: state @a: init=identity(1) needs a 1x1 filter, found f32[2,3,3,2]`},
		{"rows of a vector", head + "state @a : f32[2] role=running init=rows(0,1)", `a.ir: state @a: init=rows(0,1) needs a type of two rows, found f32[2]`},
		{"function twice", head + "func f() {\nreturn\n}\nfunc f() {\nreturn\n}", `a.ir:5: func f is defined twice`},
		{"parameter twice", head + "func f(%a : f32[], %a : f32[]) {\nreturn\n}", `a.ir:2: expected a new parameter as %NAME : TYPE, found "%a : f32[]"`},
		{"parameter that is a number", head + "func f(%0 : f32[]) {\nreturn\n}", `a.ir: func f: parameter %0 needs a name that is not a number, as those of values are`},
		{"resident scalar", head + "func f(%a : f32[] resident) {\nreturn\n}", `a.ir: func f: parameter %a is a scalar; only what could have the batch's dimension is resident`},
		{"resident of no type", head + "func f(%a : resident) {\nreturn\n}", `a.ir:2: expected a type`},
		{"table of other channels", head + "func f(%a : u8[9,4,6,1] resident, %o : s32[2], %s : u64[], %v : f32[3,256] resident) {\n%0 = augment %a, %o, %s, %s, %v {pad=0, flip=false, fill=zero} : f32[2,4,6,1]\nreturn %0\n}", `augment: expected a table f32[1,256], found f32[3,256]`},
		{"batch of a parameter", head + "func f(%a : f32[3,1]) {\nreturn\n}", `a.ir: func f: parameter %a is f32[3,1]; its leading dimension must be the batch, 2`},
		{"cut off", head + "func f() {", `a.ir:2: func f ends without return`},
		{"text after return", head + "func f() {\nreturn\nreturn\n}", `a.ir:4: expected } after return, found "return"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ir.Parse("a.ir", c.text)
			require.ErrorContains(t, err, c.want)
		})
	}
}

// What text cannot say but a pass can do.
func TestVerifyRejectsBrokenModules(t *testing.T) {
	for _, c := range []struct {
		name    string
		corrupt func(m *ir.Module)
		want    string
	}{
		{"no position", func(m *ir.Module) { m.Funcs[0].Nodes[3].Pos = ir.Pos{} }, "no position"},
		{"parameter name twice", func(m *ir.Module) { m.Funcs[0].Params[1].Name = "images" }, "two parameters are called %images"},
		{"order", func(m *ir.Module) { n := m.Funcs[0].Nodes; n[0], n[2] = n[2], n[0] }, "is not defined before it is read"},
		{"another module", func(m *ir.Module) { m.Funcs[0].Module = &ir.Module{} }, "func train belongs to another module"},
		{"state dropped", func(m *ir.Module) { m.States = m.States[1:] }, "operand 0 is not defined before it is read"},
		{"state of another function", func(m *ir.Module) { m.Funcs[0].Nodes[1].Args[0] = m.Funcs[1].StateValue(m.States[0]) }, "operand 0 is not defined before it is read"},
		{"state name twice", func(m *ir.Module) { m.States[1].Name = m.States[0].Name }, "state @g1.b0.conv1.w is declared twice"},
		{"node twice", func(m *ir.Module) { f := m.Funcs[0]; f.Nodes = append(f.Nodes, f.Nodes[0]) }, "convert (conv0): result 0 is not its own"},
		{"result of another node", func(m *ir.Module) { n := m.Funcs[0].Nodes; n[0].Result().Node = n[1] }, "result 0 is not its own"},
		{"body of a plain op", func(m *ir.Module) { m.Funcs[0].Nodes[0].Body = &ir.Body{} }, "only a fusion has a body"},
		{"body value twice", func(m *ir.Module) {
			b := m.Funcs[1].Nodes[1].Body
			b.Nodes = append(b.Nodes, b.Nodes[0])
		}, "affine (bn): result 0 is not its own"},
		{"stale captures", func(m *ir.Module) { m.Funcs[1].Nodes[1].Args = nil }, "captures 2 values, lists 0"},
		{"assignment to a foreign state", func(m *ir.Module) { m.Funcs[0].Assigns[0].State = &ir.State{Name: "z"} }, "@z is not a state of the module"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := everyOp()
			c.corrupt(m)
			require.ErrorContains(t, m.Verify(), c.want)
		})
	}
}
