package dsl

// The bounds of a training's numbers: far above what makes sense, far below
// what overflows.
const (
	maxBatch  = 65536
	maxEpochs = 100000
	maxRuns   = 1000
	maxRate   = 1000
)

// train reads the `train` statement; without one, the paper's recipe holds.
//
//	train paper { batch 256; epochs 30; drops [10, 20]; runs 5 median }
func (c *checker) train(s *Statement) {
	c.net.Train = PaperTrain(c.net.Data.Name)
	if s == nil {
		return
	}
	c.net.TrainPos = c.pos(s.at())
	var block map[string]*Statement
	if s.Block != nil {
		block = c.section(s.Block.Statements, homeTrain)
	}
	if values := c.values(s, 1, 1, true); values != nil {
		switch recipe := c.choice(values[0], "train", "paper", "torch"); {
		case recipe == "torch" && c.net.Data.Name == imageNet:
			c.errorAt(values[0].at(), "train torch is the recipe of the authors' PyTorch port, which knows no ImageNet").Suggestion = "write train paper"
		case recipe == "torch":
			c.net.Train = TorchTrain()
		}
	}
	c.schedule(block)
	c.optimizer(block)
	if s := block["runs"]; s != nil {
		c.runs(s)
	}
}

// schedule reads how long to train and how the rate falls. New epochs stretch
// the recipe's drops; drops of one's own are taken as they are.
func (c *checker) schedule(block map[string]*Statement) {
	t := &c.net.Train
	epochsOK := true
	if s := block["epochs"]; s != nil {
		var n int
		if n, epochsOK = c.intOf(s, 1, maxEpochs); epochsOK {
			*t = t.Scaled(n)
		}
	}
	if s := block["batch"]; s != nil {
		t.Batch, _ = c.intOf(s, 1, maxBatch) // reported where it is not in order, as below
	}
	if s := block["lr"]; s != nil {
		t.LR = c.floatOf(s, "above 0 and at most 1000", func(x float64) bool { return x > 0 && x <= maxRate })
	}
	if s := block["ratio"]; s != nil {
		t.DropRatio = c.floatOf(s, "above 0 and at most 1", func(x float64) bool { return x > 0 && x <= 1 })
	}
	if s := block["drops"]; s != nil {
		last := maxEpochs
		if epochsOK {
			last = t.Epochs
		}
		c.drops(s, last)
	}
}

// drops reads `drops [60, 120, 160]`: the epochs, counted from 1 as in the
// paper, at whose start the rate drops. [] keeps the rate.
func (c *checker) drops(s *Statement, last int) {
	v := c.one(s)
	if v == nil {
		return
	}
	if v.List == nil {
		c.errorAt(v.at(), "drops wants a list of epochs, not the %s %s", v.kind(), clip(v.text(c.src))).Suggestion =
			"write " + s.example()
		return
	}
	if last == 1 && len(v.List.Values) > 0 {
		c.errorAt(v.at(), "a training of one epoch has no later one to drop at").Suggestion = "write drops []"
		return
	}
	drops := make([]int, 0, len(v.List.Values))
	for _, e := range v.List.Values {
		n, ok := c.intIn(e, "the epoch of a drop", 2, last)
		if !ok {
			continue
		}
		if len(drops) > 0 && n-1 <= drops[len(drops)-1] {
			c.errorAt(e.at(), "the epochs of drops rise; %d comes after %d", n, drops[len(drops)-1]+1)
		}
		drops = append(drops, n-1)
	}
	c.net.Train.Drops = drops
}

// optimizer reads momentum, decay and nesterov.
func (c *checker) optimizer(block map[string]*Statement) {
	t := &c.net.Train
	if s := block["momentum"]; s != nil {
		t.Momentum = c.floatOf(s, "from 0 up to, but not including, 1", func(x float64) bool { return x >= 0 && x < 1 })
	}
	if s := block["decay"]; s != nil {
		t.WeightDecay = c.floatOf(s, "from 0 to 1", func(x float64) bool { return x >= 0 && x <= 1 })
	}
	if s := block["nesterov"]; s != nil {
		if v := c.one(s); v != nil {
			t.Nesterov = c.choice(v, "nesterov", "on", "off") == "on"
		}
	}
}

// runs reads `runs 5` or `runs 5 median`; the median is what counts either way.
func (c *checker) runs(s *Statement) {
	values := c.values(s, 1, 2, false)
	if values == nil {
		return
	}
	c.net.Train.Runs, _ = c.intIn(values[0], "runs", 1, maxRuns) // reported where it is not in order
	if len(values) == 2 {
		c.choice(values[1], "the summary of runs", "median")
	}
}

// intOf reads the only value of s as a whole number from lo to hi.
func (c *checker) intOf(s *Statement, lo, hi int) (int, bool) {
	if v := c.one(s); v != nil {
		return c.intIn(v, s.Key, lo, hi)
	}
	return 0, false
}

// floatOf reads the only value of s as a number within bounds, which limits
// states in words. It returns 0 where there is none, reported.
func (c *checker) floatOf(s *Statement, limits string, within func(float64) bool) float64 {
	v := c.one(s)
	if v == nil {
		return 0
	}
	x, _ := c.floatIn(v, s.Key, limits, within) // 0 where it is reported
	return x
}
