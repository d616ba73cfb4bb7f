package irgen

import (
	"fmt"
	"slices"

	"wrnc/compiler/ir"
	"wrnc/dsl"
	"wrnc/dsl/diag"
)

// maxElems bounds one activation and one weight. Package ir reads back no larger
// value, and below it every product of dimensions fits an int.
const maxElems = 1 << 40

// check returns the steps of a network, or a diag.List of what the language
// allows and no module can hold. It takes networks that no text names, too.
func check(net *dsl.Network, batch int) ([]dsl.Step, error) {
	var errs diag.List
	fault := func(pos diag.Pos, format string, args ...any) {
		errs = append(errs, diag.Diagnostic{Pos: pos, Message: fmt.Sprintf(format, args...)})
	}
	if batch < 1 {
		fault(net.TrainPos, "a batch has at least 1 picture, found %d", batch)
	}
	for i, what := range []string{"height", "width", "channel count"} {
		if net.Input[i] < 1 {
			fault(net.Pos, "the pictures' %s is at least 1, found %d", what, net.Input[i])
		}
	}
	if net.Classes < 1 {
		fault(net.ClassesPos, "there is at least 1 class, found %d", net.Classes)
	}
	if net.Family != dsl.Layered {
		checkNamed(net, fault)
	}
	if len(errs) > 0 {
		return nil, errs
	}
	steps, err := net.Unroll()
	if err != nil {
		return nil, err
	}
	return steps, checkSteps(net, steps, batch)
}

// checkNamed reports what a name cannot say, and a changed network can be.
func checkNamed(net *dsl.Network, fault func(diag.Pos, string, ...any)) {
	for g, width := range net.Widths() {
		if width < 1 {
			fault(net.WidthPos, "width %v leaves group %d without a channel", net.Width, g)
			break
		}
	}
	if net.Family == dsl.CIFAR {
		if net.Blocks < 1 || len(net.Kernels) < 1 {
			fault(net.DepthPos, "a group has at least one block of at least one convolution, found %d of %d", net.Blocks, len(net.Kernels))
		}
		return
	}
	basic := slices.Equal(net.Kernels, []int{3, 3})
	switch {
	case !basic && !slices.Equal(net.Kernels, []int{1, 3, 1}):
		fault(net.KernelsPos, "a block for ImageNet has the kernels 3, 3 or 1, 3, 1; found %v", net.Kernels)
	case net.Groups() == nil:
		fault(net.DepthPos, "there is no ImageNet network of depth %d with these blocks", net.Depth)
	case net.Bottleneck() && net.Inner(1) < 1:
		fault(net.WidthPos, "width %v leaves a block without a channel", net.Width)
	case net.Dropout != 0:
		fault(net.DropoutPos, "ImageNet networks have no dropout, found %v", net.Dropout)
	}
}

// checkSteps reports the first step that a batch makes too large or too small.
func checkSteps(net *dsl.Network, steps []dsl.Step, batch int) error {
	fault := func(pos diag.Pos, suggestion, format string, args ...any) error {
		return diag.List{{Pos: pos, Message: fmt.Sprintf(format, args...), Suggestion: suggestion}}
	}
	large := func(s [3]int) error {
		if product(batch, s[0], s[1], s[2]) <= maxElems {
			return nil
		}
		return fault(net.TrainPos, "take a smaller batch", "a batch of %d pictures of %dx%d and %d channels is more than 2^40 numbers", batch, s[0], s[1], s[2])
	}
	if err := large(net.Input); err != nil {
		return err
	}
	for i := range steps {
		s := &steps[i]
		if err := large(s.Out); err != nil {
			return err
		}
		switch s.Kind {
		case dsl.KindConv, dsl.KindLinear:
			if product(s.Channels, s.Kernel, s.Kernel, s.In[2]) > maxElems {
				return fault(s.Pos, "take fewer channels", "a filter of %d times %dx%dx%d is more than 2^40 numbers", s.Channels, s.Kernel, s.Kernel, s.In[2])
			}
		case dsl.KindDropout:
			if t := (ir.Attrs{P: s.Drop}).KeepThreshold(); !(s.Drop >= 0) || t >= 65536 {
				return fault(s.Pos, "", "dropout %v is outside 0 to 65535/65536, the steps of a probability", s.Drop)
			}
		case dsl.KindBatchNorm:
			if product(batch, s.In[0], s.In[1], 1) == 1 {
				where := s.Name
				if s.Unit > 0 {
					where = fmt.Sprintf("group %d", s.Unit)
				}
				return fault(net.TrainPos, "take a larger batch or larger pictures",
					"batch norm cannot train on one number a channel: %s of one %dx%d picture is 1x1", where, net.Input[0], net.Input[1])
			}
		}
	}
	return nil
}

// product multiplies sizes of at least 1, or returns a number above maxElems.
func product(sizes ...int) int {
	p := 1
	for _, n := range sizes {
		if n > maxElems/p {
			return maxElems + 1
		}
		p *= n
	}
	return p
}
