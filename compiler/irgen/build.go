// Package irgen writes the forward functions of a network: for each layer, blocks
// and groups written out by dsl.Network.Unroll, an op or a few. What a Wide ResNet
// is made of is known to package dsl; what a layer computes is known here.
//
// A block of two convolutions, the first of group 2, with dropout, is in training:
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
// The first block of group 2 of an ImageNet network, in training:
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
	"wrnc/compiler/ir"
	"wrnc/dsl"
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
	steps, err := check(net, batch)
	if err != nil {
		return nil, err
	}
	m := &ir.Module{Name: net.Name, Batch: batch}
	states := map[string]*ir.State{}

	train := newWriter(net, steps, m, "train", states)
	images, _ := train.images(), train.labels()
	train.b.Param("lr", ir.T(ir.F32))
	train.seed = train.b.Param("seed", ir.T(ir.U64))
	train.count = train.b.Param("step", ir.T(ir.U64))
	train.training = true
	train.returns(train.network(images))

	eval := newWriter(net, steps, m, "eval", states)
	images, labels := eval.images(), eval.labels()
	logits := eval.network(images)
	eval.returns(eval.b.At("loss", place(net.ClassesPos)).Op1(ir.Xent, ir.Attrs{}, logits, labels))

	infer := newWriter(net, steps, m, "infer", states)
	infer.returns(infer.network(infer.images()))
	return m, nil
}
