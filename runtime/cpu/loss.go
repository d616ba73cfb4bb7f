package cpu

import "math"

// softmax writes the softmax of the logits x to p in float64 and returns the
// log of the sum of exponentials, shifted by the largest logit for range.
func softmax(x []float32, p []float64) (logSum float64, largest int) {
	for i, v := range x {
		if v > x[largest] {
			largest = i
		}
	}
	shift := float64(x[largest])
	sum := 0.0
	for i, v := range x {
		p[i] = math.Exp(float64(v) - shift)
		sum += p[i]
	}
	for i := range p {
		p[i] /= sum
	}
	return shift + math.Log(sum), largest
}

// reserve gives each worker the probabilities of a sample of c classes, so that no
// call takes memory, whichever workers take the loss.
func (p *Program) reserve(c int) {
	for _, w := range p.workers {
		if len(w.probs) < c {
			w.probs = make([]float64, c)
		}
	}
}

// xentKernel sums loss and errors over the batch, in sample order, as one unit.
type xentKernel struct{ *bound }

func (k *xentKernel) run(_ int, w *worker) {
	x, labels, out := k.arg(0), k.f.labels[k.args[1]], k.arg(2)
	c := k.Grid.C
	p := w.probs[:c]
	loss, wrong := 0.0, 0.0
	for n := range k.f.n {
		row := x[n*c : (n+1)*c]
		logSum, largest := softmax(row, p)
		label := int(labels[n])
		loss += logSum - float64(row[label])
		if largest != label {
			wrong++
		}
	}
	out[0], out[1] = float32(loss), float32(wrong)
}

// xentGradKernel is the gradient of the mean loss by the logits. A unit is a
// sample.
type xentGradKernel struct{ *bound }

func (k *xentGradKernel) run(u int, w *worker) {
	c := k.Grid.C
	p := w.probs[:c]
	softmax(k.arg(0)[u*c:(u+1)*c], p)
	p[k.f.labels[k.args[1]][u]]--
	out := k.arg(2)[u*c : (u+1)*c]
	for i, v := range p {
		out[i] = float32(v / float64(k.f.n))
	}
}
