package train

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"

	"wrnc/runtime/metrics"
)

// Point is where a run stands between two steps: all that is not in the module's
// states, the seed and the recipe. With these, the rest of the run follows.
type Point struct {
	Step  int64 // steps taken in all
	Epoch int   // that is trained, counted from 0; the recipe's length after the last
	Batch int   // of the epoch that is next

	Loss     float64 // of the epoch so far, summed over its images
	Mistakes float64
	Images   int

	RateScale float64 // what the recipe's rates are multiplied by, 1 at first

	Epochs        []metrics.Epoch // those that were finished
	BestTestError float64         // percent, the least of them; NaN without one
	BestEpoch     int             // counted from 1; 0 without one

	Seconds      float64 // that the run has taken
	EpochSeconds float64 // that this epoch's training has taken
}

// start is where a run begins.
func start() Point { return Point{RateScale: 1, BestTestError: math.NaN()} }

// trained is the epoch so far.
func (p Point) trained() Loss { return Loss{p.Loss, int(p.Mistakes), p.Images} }

// facts writes the point as a checkpoint's metadata. Numbers are printed so that
// they read back as the same bits.
func (p Point) facts() (map[string]string, error) {
	var records bytes.Buffer
	log := metrics.NewLog(&records)
	for _, e := range p.Epochs {
		if err := log.Epoch(e); err != nil {
			return nil, err
		}
	}
	return map[string]string{
		"step":            strconv.FormatInt(p.Step, 10),
		"epoch":           strconv.Itoa(p.Epoch),
		"next_batch":      strconv.Itoa(p.Batch),
		"sum_loss":        float(p.Loss),
		"sum_mistakes":    float(p.Mistakes),
		"sum_images":      strconv.Itoa(p.Images),
		"rate_scale":      float(p.RateScale),
		"best_test_error": float(p.BestTestError),
		"best_epoch":      strconv.Itoa(p.BestEpoch),
		"seconds":         float(p.Seconds),
		"epoch_seconds":   float(p.EpochSeconds),
		"records":         records.String(),
	}, nil
}

func float(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

// parsePoint reads what facts wrote. The file is not trusted: a point that no run
// comes to is an error.
func parsePoint(facts map[string]string) (Point, error) {
	var p Point
	r := factReader{facts: facts}
	p.Step = int64(r.whole("step"))
	p.Epoch, p.Batch = r.whole("epoch"), r.whole("next_batch")
	p.Loss, p.Mistakes, p.Images = r.float("sum_loss"), r.float("sum_mistakes"), r.whole("sum_images")
	p.RateScale = r.float("rate_scale")
	p.BestTestError, p.BestEpoch = r.float("best_test_error"), r.whole("best_epoch")
	p.Seconds, p.EpochSeconds = r.float("seconds"), r.float("epoch_seconds")
	log, err := metrics.Read(bytes.NewReader([]byte(r.text("records"))))
	if err = errors.Join(r.err, err); err != nil {
		return Point{}, err
	}
	p.Epochs = log.Epochs
	switch {
	case len(p.Epochs) != p.Epoch:
		return Point{}, fmt.Errorf("it has records of %d epochs after %d", len(p.Epochs), p.Epoch)
	case p.BestEpoch > p.Epoch:
		return Point{}, fmt.Errorf("its best epoch is %d of %d", p.BestEpoch, p.Epoch)
	case !(p.RateScale > 0) || math.IsInf(p.RateScale, 0):
		return Point{}, fmt.Errorf("its rate_scale is %v", p.RateScale)
	}
	return p, nil
}

// factReader reads facts and keeps the first failure.
type factReader struct {
	facts map[string]string
	err   error
}

func (r *factReader) text(key string) string {
	value, ok := r.facts[key]
	if !ok && r.err == nil {
		r.err = fmt.Errorf("its metadata has no %q", key)
	}
	return value
}

func (r *factReader) whole(key string) int {
	v, err := strconv.ParseUint(r.text(key), 10, 63)
	if err != nil && r.err == nil {
		r.err = fmt.Errorf("its metadata %q: %w", key, err)
	}
	return int(v)
}

func (r *factReader) float(key string) float64 {
	v, err := strconv.ParseFloat(r.text(key), 64)
	if err != nil && r.err == nil {
		r.err = fmt.Errorf("its metadata %q: %w", key, err)
	}
	return v
}
