package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

	"wrnc/bench"
	"wrnc/dsl"
)

// benchMachine is what a figure is measured on and by. Scripts rely on the keys.
type benchMachine struct {
	Date       string `json:"date"`
	Wrnc       string `json:"wrnc"`
	Go         string `json:"go"`
	System     string `json:"system"`
	Processor  string `json:"processor"`
	CPUs       int    `json:"cpus"`
	Target     string `json:"target"`
	ISA        string `json:"isa"`              // or a GPU's architecture that is planned for
	Device     string `json:"device,omitempty"` // the GPU
	CUDA       string `json:"cuda,omitempty"`   // the newest that its driver knows
	Threads    int    `json:"threads"`
	Torch      string `json:"torch,omitempty"`
	WaitPolicy string `json:"omp_wait_policy,omitempty"` // of the environment, which PyTorch's threads follow
}

// benchRecord is a line of `wrnc bench --json`: what one program took. Scripts rely
// on the keys.
type benchRecord struct {
	Network         string             `json:"network"`
	Batch           int                `json:"batch"`
	Work            string             `json:"work"` // train or infer
	Precision       string             `json:"precision"`
	Program         string             `json:"program"`
	How             string             `json:"how"`
	Rounds          int                `json:"rounds"`
	Time            timeRecord         `json:"time"`
	ImagesPerSecond float64            `json:"images_per_second"`     // by the median
	Allocations     *float64           `json:"allocations,omitempty"` // a step; of wrnc's programs
	Ratio           *ratioRecord       `json:"ratio,omitempty"`       // of all but the first: wrnc's time divided by this program's
	Tried           map[string]float64 `json:"tried_ms,omitempty"`    // PyTorch's programs, of which this is the fastest
	Failed          map[string]string  `json:"failed,omitempty"`      // those that could not be tried
	Model           *modelRecord       `json:"model,omitempty"`       // of wrnc's programs on a GPU
	Kernels         *kernelsRecord     `json:"kernels,omitempty"`
	Machine         benchMachine       `json:"machine"`
}

// timeRecord is a summary in milliseconds a step.
type timeRecord struct {
	Steps   int         `json:"steps"`
	Median  float64     `json:"median_ms"`
	Least   float64     `json:"least_ms"`
	Tail    int         `json:"tail_percent"` // low and high are that percentile and 100 minus it; 0: least and most
	Low     float64     `json:"low_ms"`
	High    float64     `json:"high_ms"`
	Between *[2]float64 `json:"median_between_ms,omitempty"` // 95 % confidence; none with fewer than six rounds
	Noisy   bool        `json:"noisy"`                       // so wide that the figure is not to be quoted
}

// ratioRecord is one time divided by another.
type ratioRecord struct {
	Medians float64     `json:"medians"`
	Least   float64     `json:"least"`
	Between *[2]float64 `json:"between,omitempty"` // 95 % confidence; none with fewer than six rounds
	Noisy   bool        `json:"noisy"`
}

func newTimeRecord(t bench.Timing) timeRecord {
	s := t.Summarize()
	return timeRecord{Steps: s.Steps, Median: 1e3 * s.Median, Least: 1e3 * s.Least, Tail: s.Tail, Low: 1e3 * s.Low, High: 1e3 * s.High,
		Between: between(s.Between, 1e3), Noisy: s.Between.Width() > bench.Noisy}
}

func newRatioRecord(r bench.Ratio) *ratioRecord {
	return &ratioRecord{Medians: r.Medians, Least: r.Least, Between: between(r.Between, 1), Noisy: r.Between.Width() > bench.Noisy}
}

// between is an interval in other units, or nil where there is none.
func between(i bench.Interval, scale float64) *[2]float64 {
	if !i.Known() {
		return nil
	}
	return &[2]float64{scale * i.Low, scale * i.High}
}

// record is what a contestant's turns came to.
func (b *benchSession) record(net *dsl.Network, batch int, c contestant, t bench.Timing) benchRecord {
	r := benchRecord{Network: net.Name, Batch: batch, Work: b.function(), Precision: b.precision.String(), Program: c.name, How: c.how, Rounds: b.Rounds,
		Time: newTimeRecord(t), Failed: c.ready.Failed, Machine: b.machine()}
	r.ImagesPerSecond = 1e3 * float64(batch) / r.Time.Median
	if c.program != nil {
		a := c.program.allocations()
		r.Allocations = &a
	}
	if len(c.ready.Probe) > 0 {
		r.Tried = map[string]float64{}
		for name, seconds := range c.ready.Probe {
			r.Tried[name] = 1e3 * seconds
		}
	}
	return r
}

// machine is what this call measures on.
func (b *benchSession) machine() benchMachine {
	v := thisVersion()
	m := benchMachine{Date: b.s.now().Format("2006-01-02"), Wrnc: v.String(), Go: v.Go, System: v.System,
		Processor: processor("/proc/cpuinfo"), CPUs: runtime.NumCPU(), Target: b.target, ISA: b.on.arch().ISA, Device: b.on.device(), Threads: b.threads}
	if g, is := b.on.(*gpuMachine); is {
		m.CUDA = cudaVersion(g.Info().Driver)
	}
	if b.peer != nil {
		m.Torch, m.WaitPolicy = b.peer.Torch, os.Getenv("OMP_WAIT_POLICY")
	}
	return m
}

// processor is what Linux calls this machine's processor; elsewhere its kind.
func processor(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return runtime.GOARCH
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if key, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// printLine writes v as JSON on one line.
func printLine(w io.Writer, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s\n", text)
	return err
}
