// Package irgen writes the forward functions of a Wide Residual Network. It is
// the only package that knows what a WRN block is; below it there are ops.
//
// A network for 32x32 pictures is a 3x3 stem of 16 channels, three groups of
// blocks, and a final batch norm, ReLU, average pool and linear layer. A block of
// two convolutions, the first of group 2, with dropout, is in training:
//
//	%1, %2 = batch_norm %0, @g2.b0.bn0.gamma, @g2.b0.bn0.beta, @g2.b0.bn0.run
//	%3 = relu %1                                     #g2.b0.relu0
//	%4 = conv2d %3, @g2.b0.proj.w {stride=2}         #g2.b0.proj
//	%5 = conv2d %3, @g2.b0.conv1.w {pad=1, stride=2} #g2.b0.conv1
//	%6, %7 = batch_norm %5, ...                      #g2.b0.bn1
//	%8 = relu %6                                     #g2.b0.relu1
//	%9 = dropout_mask %seed, %step {p=0.3}           #g2.b0.drop1
//	%10 = mask_scale %8, %9 {p=0.3}                  #g2.b0.drop1
//	%11 = conv2d %10, @g2.b0.conv2.w {pad=1}         #g2.b0.conv2
//	%12 = add %11, %4                                #g2.b0.add
//
// The projection stands before the branch, so that the reverse sweep meets the
// branch's gradient first; both sums, forward and backward, begin with the
// branch. A block that keeps its width adds its raw input, %0, instead.
//
// A network for ImageNet has the order of operations of the first ResNets: a 7x7
// stem with batch norm, ReLU and a max pool, four groups of blocks that end in
// the sum and a ReLU, and average pool and linear layer. The first block of group 2 of a basic one, in training:
//
//	%1 = conv2d %0, @g2.b0.proj.w {stride=2}         #g2.b0.proj
//	%2, %3 = batch_norm %1, ...                      #g2.b0.projbn
//	%4 = conv2d %0, @g2.b0.conv1.w {pad=1, stride=2} #g2.b0.conv1
//	%5, %6 = batch_norm %4, ...                      #g2.b0.bn1
//	%7 = relu %5                                     #g2.b0.relu1
//	%8 = conv2d %7, @g2.b0.conv2.w {pad=1}           #g2.b0.conv2
//	%9, %10 = batch_norm %8, ...                     #g2.b0.bn2
//	%11 = add %9, %2                                 #g2.b0.add
//	%12 = relu %11                                   #g2.b0.relu
package irgen

import (
	"fmt"
	"slices"

	"wrnc/compiler/ir"
	"wrnc/dsl"
	"wrnc/dsl/diag"
)

// Build writes the module of a network for batches of up to batch pictures: its
// states and three functions. The states are in the order in which the forward
// pass first reads them.
//
//	train(%images, %labels, %lr, %seed, %step)  returns the logits and assigns
//	                                            the running statistics;
//	                                            autodiff makes it a training step
//	eval(%images, %labels)                      returns xent: loss and mistakes
//	infer(%images)                              returns the logits
//
// Images are f32[batch,H,W,C], labels s32[batch], logits f32[batch,1,1,classes].
// The error is a diag.List that says why a network or batch cannot be built.
func Build(net *dsl.Network, batch int) (*ir.Module, error) {
	if errs := check(net, batch); len(errs) > 0 {
		return nil, errs.Err()
	}
	m := &ir.Module{Name: net.Name, Batch: batch}
	states := map[string]*ir.State{}

	train := newWriter(net, m, "train", states)
	images, _ := train.images(), train.labels()
	train.b.Param("lr", ir.T(ir.F32))
	train.seed = train.b.Param("seed", ir.T(ir.U64))
	train.step = train.b.Param("step", ir.T(ir.U64))
	train.training = true
	train.returns(train.network(images))

	eval := newWriter(net, m, "eval", states)
	images, labels := eval.images(), eval.labels()
	logits := eval.network(images)
	eval.returns(eval.at("loss", net.ClassesPos).Op1(ir.Xent, ir.Attrs{}, logits, labels))

	infer := newWriter(net, m, "infer", states)
	infer.returns(infer.network(infer.images()))
	return m, nil
}

// maxElems bounds one activation. Package ir reads back no larger value, and
// below it every product of dimensions fits an int.
const maxElems = 1 << 40

// check reports what the language allows and no module can hold.
func check(net *dsl.Network, batch int) diag.List {
	var errs diag.List
	fault := func(pos diag.Pos, format string, args ...any) {
		errs = append(errs, diag.Diagnostic{Pos: pos, Message: fmt.Sprintf(format, args...)})
	}
	widths := net.Widths()
	if batch < 1 {
		fault(net.TrainPos, "a batch has at least 1 picture, found %d", batch)
	}
	for i, what := range []string{"height", "width", "channel count"} {
		if net.Input[i] < 1 {
			fault(net.Pos, "the pictures' %s is at least 1, found %d", what, net.Input[i])
		}
	}
	for g, width := range widths {
		if width < 1 {
			fault(net.WidthPos, "width %v leaves group %d without a channel", net.Width, g)
			break
		}
	}
	if net.Family == dsl.ImageNet {
		checkImageNet(net, fault)
	} else if net.Blocks < 1 || len(net.Kernels) < 1 {
		fault(net.DepthPos, "a group has at least one block of at least one convolution, found %d of %d", net.Blocks, len(net.Kernels))
	}
	if net.Classes < 1 {
		fault(net.ClassesPos, "there is at least 1 class, found %d", net.Classes)
	}
	if t := (ir.Attrs{P: net.Dropout}).KeepThreshold(); !(net.Dropout >= 0) || t >= 65536 {
		fault(net.DropoutPos, "dropout %v is outside 0 to 65535/65536, the steps of a probability", net.Dropout)
	}
	if len(errs) > 0 {
		return errs
	}

	for _, a := range largestActivations(net) {
		h, w, c := a[0], a[1], a[2]
		if h > maxElems/w || batch > maxElems/(h*w) || c > maxElems/(h*w*batch) {
			return append(errs, diag.Diagnostic{Pos: net.TrainPos, Suggestion: "take a smaller batch",
				Message: fmt.Sprintf("a batch of %d pictures of %dx%d and %d channels is more than 2^40 numbers", batch, h, w, c)})
		}
	}
	groups := len(widths) - 1
	if batch*lastSide(net, net.Input[0])*lastSide(net, net.Input[1]) == 1 {
		return append(errs, diag.Diagnostic{Pos: net.TrainPos, Suggestion: "take a larger batch or larger pictures",
			Message: fmt.Sprintf("batch norm cannot train on one number a channel: group %d of one %dx%d picture is 1x1", groups, net.Input[0], net.Input[1])})
	}
	return nil
}

// largestActivations bounds the sizes and channels of everything between layers.
func largestActivations(net *dsl.Network) [][3]int {
	h, w := net.Input[0], net.Input[1]
	if net.Family == dsl.ImageNet {
		return largestOfImageNet(net, h, w)
	}
	return [][3]int{{h, w, max(slices.Max(net.Widths()), net.Input[2], net.Classes)}}
}

// lastSide is the height of the last group's pictures for images of height n,
// and the same for the width.
func lastSide(net *dsl.Network, n int) int {
	if net.Family == dsl.ImageNet {
		n = poolSide(stemSide(n))
	}
	for g := range net.Groups() {
		n = ir.ConvOut(n, 1, 0, groupStride(g+1))
	}
	return n
}
