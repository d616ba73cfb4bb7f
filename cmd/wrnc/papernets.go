package main

import (
	"fmt"
	"strings"
)

// The networks that the paper compares with its own, in the layer form.

// ninText is Network in Network as Lin et al. describe it (2014, section 4).
const ninText = `model NIN { input 32x32x3; classes 10; layers {
	conv 5x5 192 bias; relu; conv 1x1 160 bias; relu; conv 1x1 96 bias; relu; maxpool 3x3 stride 2 pad 1; dropout 0.5
	conv 5x5 192 bias; relu; conv 1x1 192 bias; relu; conv 1x1 192 bias; relu; maxpool 3x3 stride 2 pad 1; dropout 0.5
	conv 3x3 192 bias; relu; conv 1x1 192 bias; relu; conv 1x1 classes bias; relu; avgpool global } }`

// loggedTexts are networks of the authors' logs that are not named as the paper
// names its own.
func loggedTexts() map[string]string {
	const nin = "conv 5x5 192 bias; bn; relu; conv 1x1 160 bias; bn; relu; conv 1x1 96 bias; bn; relu; maxpool 3x3 stride 2 pad 1; dropout 0.5\n" +
		"conv 5x5 192 bias; bn; relu; conv 1x1 192 bias; bn; relu; conv 1x1 192 bias; bn; relu; maxpool 3x3 stride 2 pad 1; dropout 0.5\n" +
		"conv 3x3 192 bias; bn; relu; conv 1x1 192 bias; bn; relu; conv 1x1 192 bias; bn; relu; avgpool global; linear classes"
	var vgg strings.Builder
	for _, c := range []struct{ convs, channels int }{{2, 64}, {2, 128}, {4, 256}, {4, 512}, {4, 512}} {
		vgg.WriteString(strings.Repeat(fmt.Sprintf("conv 3x3 %d; bn; relu\n", c.channels), c.convs) + "maxpool 2x2 stride 2\n")
	}
	return map[string]string{
		"NIN":                "model NIN { input 32x32x3; classes 10; layers { " + nin + " } }",
		"VGG-BN":             "model VGG-BN { input 32x32x3; classes 10; layers { " + vgg.String() + "linear classes } }",
		"pre-act ResNet-164": preActResNet(164, 10),
	}
}

// groupsText writes three groups that double their width, the first without a stride.
func groupsText(blocks, width int, block func(width int) string) string {
	var b strings.Builder
	for g, stride := range []int{1, 2, 2} {
		fmt.Fprintf(&b, "group %d width %d stride %d { %s }\n", blocks, width<<g, stride, block(width<<g))
	}
	return b.String()
}

// originalResNet is a ResNet for CIFAR in the original order, with shortcuts that
// pad (He et al., 2015, section 4.2 and option A): 6n+2 layers.
func originalResNet(depth int) string {
	groups := groupsText((depth-2)/6, 16, func(int) string {
		return "branch { conv 3x3; bn; relu; conv 3x3; bn } shortcut pad; after { relu }"
	})
	return fmt.Sprintf("model ResNet-%d { input 32x32x3; classes 10; layers { conv 3x3 16; bn; relu\n%savgpool global; linear classes } }", depth, groups)
}

// preActResNet is a ResNet for CIFAR with pre-activation (He et al., 2016): 6n+2
// layers of basic blocks at depth 110, else 9n+2 of bottlenecks.
func preActResNet(depth, classes int) string {
	blocks, width := (depth-2)/9, 64
	block := func(width int) string {
		return fmt.Sprintf("shared { bn; relu } branch { conv 1x1 %[1]d; bn; relu; conv 3x3 %[1]d; bn; relu; conv 1x1 }", width/4)
	}
	if depth == 110 {
		blocks, width = (depth-2)/6, 16
		block = func(int) string { return "shared { bn; relu } branch { conv 3x3; bn; relu; conv 3x3 }" }
	}
	return fmt.Sprintf("model pre-act-ResNet-%d { input 32x32x3; classes %d; layers { conv 3x3 16\n%sbn; relu; avgpool global; linear classes } }",
		depth, classes, groupsText(blocks, width, block))
}

// imageNetText is a network of Table 8: a ResNet is the paper's network of width 1.
func imageNetText(net string) string {
	switch depth, isResNet := strings.CutPrefix(net, "ResNet-"); {
	case isResNet:
		return "model WRN-" + depth + "-1-bottleneck"
	case net == "pre-ResNet-200":
		return preResNet200()
	}
	return "model " + net
}

// preResNet200 is the pre-activation ResNet-200 (He et al., 2016, appendix).
func preResNet200() string {
	var groups strings.Builder
	for g, blocks := range []int{3, 24, 36, 3} {
		width := 256 << g
		fmt.Fprintf(&groups, "group %d width %d stride %d { shared { bn; relu } branch { conv 1x1 %[4]d; bn; relu; conv 3x3 %[4]d stride group; bn; relu; conv 1x1 } }\n",
			blocks, width, min(g, 1)+1, width/4)
	}
	return "model pre-ResNet-200 { input 224x224x3; classes 1000; gamma one; layers { conv 7x7 64 stride 2; bn; relu; maxpool 3x3 stride 2 pad 1\n" +
		groups.String() + "bn; relu; avgpool global; linear classes } }"
}
