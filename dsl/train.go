package dsl

// Train is how a network is trained: stochastic gradient descent whose rate
// drops by a ratio at the start of certain epochs.
type Train struct {
	Recipe         string // "paper" or "torch"
	Epochs         int
	Batch          int
	LR             float64 // rate of the first epoch
	Momentum       float64
	WeightDecay    float64 // added to the gradient of every parameter
	Nesterov       bool
	Drops          []int   // 0-based epochs at whose start the rate is multiplied by DropRatio; ascending
	DropRatio      float64 // factor of each drop
	ResetVelocity  bool    // whether a drop forgets the momentum
	KeepShortBatch bool    // whether an epoch's last, short batch is trained on
	Runs           int     // trainings with different seeds, of which the median counts
	LinearInit     string  // "uniform": +-1/sqrt(in), or "kaiming": normal with variance 2/in
}

// PaperTrain returns the paper's recipe for a data set (section 3; the drops as
// the authors' logs show them). CIFAR: 200 epochs at 0.1, a fifth at the start
// of the 60th, 120th and 160th. SVHN: 160 epochs at 0.01, a tenth at the start
// of the 80th and 120th. ImageNet: that of fb.resnet.torch, which the authors
// trained with: 90 epochs at 0.1, a tenth at the start of the 31st and 61st,
// momentum and short batches kept. Every other name gets CIFAR's; but digits,
// which the paper does not know, is learned in six epochs of smaller batches, so
// that a first run ends within minutes.
func PaperTrain(dataSet string) Train {
	t := Train{
		Recipe:        "paper",
		Epochs:        200,
		Batch:         128,
		LR:            0.1,
		Momentum:      0.9,
		WeightDecay:   5e-4,
		Nesterov:      true,
		Drops:         []int{59, 119, 159},
		DropRatio:     0.2,
		ResetVelocity: true,
		Runs:          1,
		LinearInit:    "uniform",
	}
	switch dataSet {
	case "svhn":
		t.Epochs, t.LR, t.DropRatio, t.Drops = 160, 0.01, 0.1, []int{79, 119}
	case imageNet:
		t.Epochs, t.Batch, t.WeightDecay = 90, 256, 1e-4
		t.DropRatio, t.Drops = 0.1, []int{30, 60}
		t.ResetVelocity, t.KeepShortBatch = false, true
	case "digits":
		t.Epochs, t.Batch, t.Drops = 6, 64, []int{3, 4, 5}
	}
	return t
}

// TorchTrain returns the recipe of the authors' PyTorch port: that of CIFAR
// whatever the data, without Nesterov's momentum, with the last batch kept and
// the classifier drawn as a convolution is. The port has no dropout either.
func TorchTrain() Train {
	t := PaperTrain("cifar10")
	t.Recipe = "torch"
	t.Nesterov = false
	t.KeepShortBatch = true
	t.LinearInit = "kaiming"
	return t
}

// Scaled returns the recipe stretched or shrunk to a number of epochs, at least
// 1: each drop moves in proportion, to the nearest epoch, but never to the very
// first. Drops may meet in a very short training; each still counts (see Rate).
func (t Train) Scaled(epochs int) Train {
	drops := make([]int, len(t.Drops))
	for i, d := range t.Drops {
		drops[i] = max(1, (2*d*epochs+t.Epochs)/(2*t.Epochs))
	}
	t.Drops, t.Epochs = drops, epochs
	return t
}

// Rate returns the learning rate of a 0-based epoch: LR times DropRatio for each
// drop at or before it.
func (t Train) Rate(epoch int) float64 {
	rate := t.LR
	for _, d := range t.Drops {
		if d <= epoch {
			rate *= t.DropRatio
		}
	}
	return rate
}
