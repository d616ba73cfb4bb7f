// Package ir is wrnc's intermediate representation: a [Module] of named state
// and functions, each function a list of [Node] values in topological order.
//
// One node prints as one line:
//
//	%6 = relu %5 : f32[128,32,32,16] #g1.b0.bn0
//
// A name after % is a value of the function, a name after @ is a state of the
// module, the word after # is the layer the value belongs to. Activations are
// NHWC, weights KRSC (output channel, row, column, input channel). A linear
// layer is a 1x1 convolution of a 1x1 picture.
//
// Every op is pure. The only effect of a function is its last line,
//
//	return %40, @conv0.w <- %57
//
// which assigns each state at most once. What an op means is stated in the op
// table ([Op.Info]) and defined by package interp; what it may be fused with
// follows from its [Class] alone.
//
// A node of op [Fusion] holds a [Body]: ordinary nodes that run as one region.
// A body reads values of the function around it directly; the node's Args list
// them in order of first use. Numbers are unique through a function, so
// inlining a body never renames anything:
//
//	%9, %10 = fusion @g1.b0.conv1 {kind=conv_fprop} (%2, %4, @g1.b0.conv1.w) {
//	  %5 = affine %2, %4 : f32[128,32,32,16] #g1.b0.bn0
//	  ...
//	  yield %7, %8
//	} : f32[128,32,32,32], f32[2,32]
//
// The leading dimension of every activation is the batch, and so is that of
// every parameter but those marked resident, which are the same for every batch:
//
//	func load(%pictures : u8[50000,32,32,3] resident, %order : s32[128], ...) {
//
// A module is compiled for its declared batch and runs with any smaller one.
package ir
