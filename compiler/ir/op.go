package ir

import "slices"

// Op is an operation. Its facts are in the op table; see [Op.Info].
type Op uint8

// Class is what fusion knows about an op.
type Class uint8

// The classes. A Map computes each element of its result from the same element
// of its activations; a Broadcast from one element of a smaller picture. A
// Channel op works on per-channel vectors. A Reduce folds an activation into
// per-channel vectors. A Root is what a fusion is built around. An Opaque op is
// a region of its own.
const (
	Map Class = iota + 1
	Broadcast
	Channel
	Reduce
	Root
	Opaque
)

var classNames = [...]string{Map: "Map", Broadcast: "Broadcast", Channel: "Channel", Reduce: "Reduce", Root: "Root", Opaque: "Opaque"}

func (c Class) String() string { return classNames[c] }

// Operand is the role of an argument.
type Operand uint8

// The roles: an activation (NHWC), a weight (KRSC), a per-channel vector, a
// scalar that changes from step to step, a label per sample; of a data set that
// stays in memory its pictures (NHWC, bytes), the numbers of those that make up
// the batch, a whole number that selects what is random, and a table of what
// each byte means in each channel.
const (
	Act Operand = iota + 1
	Weight
	Vec
	Scalar
	Labels
	Pictures
	Order
	Word
	Table
)

// Info is a row of the op table.
type Info struct {
	Name  string
	Class Class
	Args  []Operand
	Outs  int      // number of results
	Attrs []string // names from the attribute table
	Infer func(n *Node) ([]Type, error)
	Means string // the definition, for people; package interp defines it for machines
}

func (i *Info) hasAttr(name string) bool { return slices.Contains(i.Attrs, name) }

// The ops. Shapes: x, g, y activations [N,H,W,C]; w [K,R,S,C]; s, q, t, run
// [2,C]; c [3,C]; gamma, beta, b [C].
const (
	InvalidOp Op = iota
	Conv2D
	Conv2DDgrad
	Conv2DWgrad
	AvgPool
	AvgPoolGrad
	MaxPool
	MaxPoolGrad
	ReLU
	ReLUGrad
	Sigmoid
	SigmoidGrad
	Add
	Mul
	Scale
	AddChannel
	Affine
	Affine2
	DropoutMask
	MaskScale
	Convert
	Axpy
	Descend
	BatchNorm
	BatchNormEval
	BatchNormGrad
	BNStats
	BNFold
	BNRunning
	FoldFilter
	BNGradStats
	BNGradFold
	ChannelSum
	Xent
	XentGrad
	Augment
	Fusion
	numOps
)

// opTable is the one place that lists facts about ops. Adding an op means a row
// here, its shape rule in infer.go, its meaning in interp, its gradient in
// autodiff, and a test of each.
var opTable = [numOps]Info{
	Conv2D:      {"conv2d", Root, []Operand{Act, Weight}, 1, []string{"pad", "stride"}, inferConv2D, "y[n,p,q,k] = sum over r,s,c of x[n, p*stride+r-pad, q*stride+s-pad, c] * w[k,r,s,c]; zero outside the picture"},
	Conv2DDgrad: {"conv2d_dgrad", Root, []Operand{Act, Weight}, 1, []string{"pad", "stride", "height", "width"}, inferDgrad, "gradient of conv2d by its picture: g [N,P,Q,K], w -> [N,height,width,C]"},
	Conv2DWgrad: {"conv2d_wgrad", Root, []Operand{Act, Act}, 1, []string{"pad", "stride", "kernel"}, inferWgrad, "gradient of conv2d by its weight: g [N,P,Q,K], x [N,H,W,C] -> [K,kernel,kernel,C]"},
	AvgPool:     {"avgpool", Root, []Operand{Act}, 1, nil, inferAvgPool, "mean over the picture: [N,H,W,C] -> [N,1,1,C]"},
	AvgPoolGrad: {"avgpool_grad", Broadcast, []Operand{Act}, 1, []string{"height", "width"}, inferAvgPoolGrad, "g / (height*width) at each position: [N,1,1,C] -> [N,height,width,C]"},
	MaxPool:     {"maxpool", Opaque, []Operand{Act}, 1, []string{"pad", "stride", "kernel"}, inferMaxPool, "y[n,p,q,c] = largest of x[n, p*stride+r-pad, q*stride+s-pad, c] over r, s below kernel inside the picture; a NaN is larger than any number"},
	MaxPoolGrad: {"maxpool_grad", Opaque, []Operand{Act, Act}, 1, []string{"pad", "stride", "kernel"}, inferMaxPoolGrad, "gradient of maxpool by its picture: g [N,P,Q,C], x -> each g added where its window's largest x is, the first of equals row by row; where windows overlap, in their order"},

	ReLU:        {"relu", Map, []Operand{Act}, 1, nil, inferSame, "0 where x < 0, else x"},
	ReLUGrad:    {"relu_grad", Map, []Operand{Act, Act}, 1, nil, inferSame, "g where x > 0, else 0"},
	Sigmoid:     {"sigmoid", Map, []Operand{Act}, 1, nil, inferSame, "1/(1 + e^-x)"},
	SigmoidGrad: {"sigmoid_grad", Map, []Operand{Act, Act}, 1, nil, inferSame, "g, y -> g*(y*(1-y)), where y is the sigmoid's result"},
	Add:         {"add", Map, []Operand{Act, Act}, 1, nil, inferSame, "a + b"},
	Mul:         {"mul", Map, []Operand{Act, Act}, 1, nil, inferSame, "a * b"},
	Scale:       {"scale", Map, []Operand{Act}, 1, []string{"alpha"}, inferSame, "alpha * x"},
	AddChannel:  {"add_channel", Map, []Operand{Act, Vec}, 1, nil, inferAddChannel, "x + b[c]"},
	Affine:      {"affine", Map, []Operand{Act, Vec}, 1, nil, inferAffine, "fma(x, t[0,c], t[1,c])"},
	Affine2:     {"affine2", Map, []Operand{Act, Act, Vec}, 1, nil, inferAffine2, "fma(c[0], g, fma(c[1], x, c[2])), each c by channel"},
	DropoutMask: {"dropout_mask", Map, []Operand{Scalar, Scalar}, 1, []string{"p", "stream"}, nil, "seed, step -> 1 where the element's 16 Philox bits are at least round(65536 p)"},
	MaskScale:   {"mask_scale", Map, []Operand{Act, Act}, 1, []string{"p"}, inferMaskScale, "x * 65536/(65536-T) where the mask is 1, else 0; T = round(65536 p)"},
	Convert:     {"convert", Map, []Operand{Act}, 1, []string{"to"}, inferConvert, "x rounded to nearest even in the element type `to`"},
	Axpy:        {"axpy", Map, []Operand{Act, Act}, 1, []string{"alpha"}, inferSame, "fma(alpha, x, y)"},
	Descend:     {"descend", Map, []Operand{Act, Act, Scalar}, 1, nil, inferSame, "p, u, lr -> fma(-lr, u, p)"},

	BatchNorm:     {"batch_norm", Opaque, []Operand{Act, Vec, Vec, Vec}, 2, []string{"eps", "momentum"}, inferBatchNorm, "x, gamma, beta, run -> y, the new run, by the statistics of the batch"},
	BatchNormEval: {"batch_norm_eval", Opaque, []Operand{Act, Vec, Vec, Vec}, 1, []string{"eps"}, inferBatchNorm, "x, gamma, beta, run -> y, by the running statistics"},
	BatchNormGrad: {"batch_norm_grad", Opaque, []Operand{Act, Act, Vec}, 3, []string{"eps"}, inferBatchNormGrad, "g, x, gamma -> gradients by x, gamma, beta"},

	BNStats:     {"bn_stats", Reduce, []Operand{Act}, 1, nil, inferBNStats, "[mean, sum of squared deviations from it] of each channel"},
	BNGradStats: {"bn_grad_stats", Reduce, []Operand{Act, Act, Vec}, 1, nil, inferBNGradStats, "g, x, s -> [sum of g, sum of g*(x - s[0])] of each channel"},
	ChannelSum:  {"channel_sum", Reduce, []Operand{Act}, 1, nil, inferChannelSum, "sum of each channel"},

	BNFold:     {"bn_fold", Channel, []Operand{Vec, Vec, Vec}, 1, []string{"eps", "count"}, inferBNFold, "s, gamma, beta -> t with t[0] = gamma*r, t[1] = beta - s[0]*t[0], r = 1/sqrt(s[1]/count + eps)"},
	BNRunning:  {"bn_running", Channel, []Operand{Vec, Vec}, 1, []string{"momentum", "count"}, inferBNRunning, "run, s -> (1-momentum)*run + momentum*[s[0], s[1]/(count-1)]"},
	FoldFilter: {"fold_filter", Channel, []Operand{Weight, Vec}, 2, nil, inferFoldFilter, "w, t -> w' with w'[k,r,s,c] = t[0,k] * w[k,r,s,c], and the vector t[1]"},
	BNGradFold: {"bn_grad_fold", Channel, []Operand{Vec, Vec, Vec}, 3, []string{"eps", "count"}, inferBNGradFold, "q, s, gamma -> c, gradients by gamma (r*q[1]) and beta (q[0]); c = [gamma*r, -gamma*r^3*q[1]/m, -gamma*r*q[0]/m - c[1]*s[0]], m = count"},

	Xent:     {"xent", Opaque, []Operand{Act, Labels}, 1, nil, inferXent, "logits [N,1,1,K], labels -> [sum of -log softmax at the label, number of samples whose largest logit is elsewhere]"},
	XentGrad: {"xent_grad", Opaque, []Operand{Act, Labels}, 1, nil, inferXentGrad, "(softmax - onehot(label)) / n"},

	Augment: {"augment", Opaque, []Operand{Pictures, Order, Word, Word, Table}, 1, []string{"pad", "flip", "fill"}, inferAugment, "pictures, order, seed, epoch, values -> y[n,h,w,c] = values[c, byte], the byte of picture order[n] at (h+dy, w+dx, c), of its mirror image where flip is drawn; beyond the border 0, or with fill=reflect the byte mirrored at the border pixel; flip is the top bit of word 0, dy and dx are words 1 and 2 scaled to -pad..pad, of Philox4x32-10 with key = seed, counter = (order[n], 0, epoch, FNV-1a of \"augment\")"},

	Fusion: {"fusion", Opaque, nil, 0, []string{"kind"}, nil, "the body, as one region"},
}

// Info returns the op's row of the op table.
func (o Op) Info() *Info { return &opTable[o] }

func (o Op) String() string { return opTable[o].Name }

// Class is short for Info().Class.
func (o Op) Class() Class { return opTable[o].Class }

// Ops lists all ops, for tables that must cover each of them.
func Ops() []Op {
	ops := make([]Op, 0, numOps-1)
	for o := InvalidOp + 1; o < numOps; o++ {
		ops = append(ops, o)
	}
	return ops
}

func parseOp(name string) (Op, bool) {
	for o := InvalidOp + 1; o < numOps; o++ {
		if opTable[o].Name == name {
			return o, true
		}
	}
	return InvalidOp, false
}
