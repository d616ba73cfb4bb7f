// Package network is a compiled network as a program uses it: images in, logits
// out; images and labels in, a step of training. Packages that wrnc writes for a
// network are this one with the network's sizes and kernels.
package network

import (
	"fmt"
	"math"
	"strconv"

	"wrnc/compiler/ir"
	"wrnc/runtime"
	"wrnc/runtime/checkpoint"
	"wrnc/runtime/train"
)

// Network is a network with its weights, loaded on a device. It is for one
// goroutine at a time.
//
// Images are [N, height, width, channels], as prepared for the network
// (normalised the same way in training and afterwards): N is the length divided by
// the size of one.
type Network struct {
	m     *ir.Module
	ex    runtime.Executable
	shape ir.Classifier
	seed  uint64 // of dropout
	step  uint64 // steps of training that the weights have seen
}

// Loss is how well the network does on a set of images.
type Loss = train.Loss

// New makes a network of a loaded module, which has the functions of a classifier
// ([ir.Module.Classifier]), and draws its initial state from the
// seed, as wrnc run does. The network closes ex.
func New(m *ir.Module, ex runtime.Executable, seed uint64) (*Network, error) {
	shape, err := m.Classifier()
	if err != nil {
		return nil, err
	}
	if err := train.Initialize(ex, m, seed); err != nil {
		return nil, err
	}
	return newNetwork(m, ex, shape, seed), nil
}

// Open makes a network of a loaded module with the weights of a file, to infer
// with: of the module's functions infer alone must be there. The network closes ex.
func Open(m *ir.Module, ex runtime.Executable, weights *checkpoint.File) (*Network, error) {
	shape, err := m.Inference()
	if err != nil {
		return nil, err
	}
	if err := train.SetWeights(weights, ex, m); err != nil {
		return nil, err
	}
	return newNetwork(m, ex, shape, 0), nil
}

func newNetwork(m *ir.Module, ex runtime.Executable, shape ir.Classifier, seed uint64) *Network {
	return &Network{m: m, ex: ex, shape: shape, seed: seed}
}

// Close gives back the device. The network cannot be used afterwards.
func (n *Network) Close() { n.ex.Close() }

// Steps is the number of steps of training that the weights have seen.
func (n *Network) Steps() uint64 { return n.step }

// Infer returns the logits of each image, [N, classes]. N is at least 1; more
// images than a batch take several calls of the device.
func (n *Network) Infer(images []float32) ([]float32, error) {
	count, err := n.count(images)
	if err != nil {
		return nil, err
	}
	logits := make([]float32, 0, count*n.shape.Classes)
	calls := runtime.NewSeries(n.ex, "infer")
	err = n.batches(images, nil, count, func(in, next *runtime.Inputs) error {
		out, err := calls.Run(*in, next)
		if err == nil {
			logits = append(logits, out[0]...)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return logits, nil
}

// Evaluate measures the network on images with their labels, one an image, from
// 0 to classes-1. Batch norm uses its running statistics, and nothing is dropped.
func (n *Network) Evaluate(images []float32, labels []int32) (Loss, error) {
	count, err := n.countLabelled(images, labels)
	if err != nil {
		return Loss{}, err
	}
	total := Loss{}
	calls := runtime.NewSeries(n.ex, "eval")
	err = n.batches(images, labels, count, func(in, next *runtime.Inputs) error {
		loss, _, err := train.Measure(calls, in, next)
		total.Add(loss)
		return err
	})
	if err != nil {
		return Loss{}, err
	}
	return total, nil
}

// TrainStep takes one step of training on at most a batch of images with their
// labels, at a learning rate, and returns the loss by the weights before it. If
// it fails, the weights may be those of half a step.
func (n *Network) TrainStep(images []float32, labels []int32, rate float32) (Loss, error) {
	count, err := n.countLabelled(images, labels)
	if err != nil {
		return Loss{}, err
	}
	if count > n.m.Batch {
		return Loss{}, fmt.Errorf("%s: a step of %d images; the batch is %d", n.m.Name, count, n.m.Batch)
	}
	if r := float64(rate); !(r >= 0) || math.IsInf(r, 1) {
		return Loss{}, fmt.Errorf("%s: learning rate %v: expected a finite number from 0 up", n.m.Name, rate)
	}
	in := n.inputs(images, labels, 0, count)
	in.F32["lr"], in.U64["step"] = []float32{rate}, n.step
	loss, _, err := train.Measure(runtime.NewSeries(n.ex, "train"), in, nil)
	if err != nil {
		return Loss{}, err
	}
	n.step++
	return loss, nil
}

// Save writes the parameters and the running statistics to a safetensors file,
// whole or not at all, with the number of steps that they have seen.
func (n *Network) Save(path string) error {
	return train.WriteWeights(path, n.ex, n.m, map[string]string{"model": n.m.Name, "step": strconv.FormatUint(n.step, 10)})
}

// Load sets the parameters and the running statistics to those of a file that
// Save or wrnc run wrote, the momentum to zero, and the number of steps to the
// file's, so that dropout goes on from there. A file of another network is an
// error that says so, and changes nothing.
func (n *Network) Load(path string) error {
	facts, err := train.ReadWeights(path, n.ex, n.m)
	if err != nil {
		return err
	}
	n.step = 0
	if text, ok := facts["step"]; ok {
		if n.step, err = strconv.ParseUint(text, 10, 64); err != nil {
			n.step = 0
			return fmt.Errorf("%s: the number of steps is %q; the weights are loaded, and count as new", path, text)
		}
	}
	return nil
}

// count is the number of images.
func (n *Network) count(images []float32) (int, error) {
	size := n.imageSize()
	if len(images) == 0 || len(images)%size != 0 {
		return 0, fmt.Errorf("%s: images of %dx%dx%d are %d numbers each; %d are no whole number of images from 1 up",
			n.m.Name, n.shape.Height, n.shape.Width, n.shape.Channels, size, len(images))
	}
	return len(images) / size, nil
}

func (n *Network) countLabelled(images []float32, labels []int32) (int, error) {
	count, err := n.count(images)
	if err == nil && len(labels) != count {
		err = fmt.Errorf("%s: %d labels for %d images", n.m.Name, len(labels), count)
	}
	return count, err
}

func (n *Network) imageSize() int { return n.shape.Height * n.shape.Width * n.shape.Channels }

// batches calls run with the inputs of each batch of the images, the last one as short
// as it is, and those of the one after it; nil after the last.
func (n *Network) batches(images []float32, labels []int32, count int, run func(in, next *runtime.Inputs) error) error {
	var next *runtime.Inputs
	for from, in := 0, n.inputs(images, labels, 0, count); in != nil; in = next {
		from += n.m.Batch
		next = n.inputs(images, labels, from, count)
		if err := run(in, next); err != nil {
			return err
		}
	}
	return nil
}

// inputs are those of a call on the batch that begins at an image; nil from the count on.
func (n *Network) inputs(images []float32, labels []int32, from, count int) *runtime.Inputs {
	if from >= count {
		return nil
	}
	to := min(from+n.m.Batch, count)
	in := &runtime.Inputs{
		N:      to - from,
		F32:    map[string][]float32{"images": images[from*n.imageSize() : to*n.imageSize()]},
		Labels: map[string][]int32{},
		U64:    map[string]uint64{"seed": n.seed},
	}
	if labels != nil {
		in.Labels["labels"] = labels[from:to]
	}
	return in
}
