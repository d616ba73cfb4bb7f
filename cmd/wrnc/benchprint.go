package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"wrnc/bench"
)

// header says what is measured, on what.
func (b *benchSession) header() error {
	if b.JSON {
		return nil
	}
	m := b.machine()
	w := b.s.stdout
	fmt.Fprintf(w, "wrnc %s, %s, %s; %s; %s with %d CPUs, %s, threads: %d\n", m.Wrnc, m.Go, m.System, m.Date, m.Processor, m.CPUs, m.ISA, m.Threads)
	if m.Device != "" {
		fmt.Fprintf(w, "%s, a driver for CUDA %s; the batch lies in the host's memory, and each step copies it\n", m.Device, m.CUDA)
	}
	if b.peer != nil {
		fmt.Fprintf(w, "against PyTorch %s", m.Torch)
		if m.WaitPolicy != "" {
			fmt.Fprintf(w, ", OMP_WAIT_POLICY=%s", m.WaitPolicy)
		}
		fmt.Fprintln(w)
	}
	if b.Convs {
		return b.convHeader()
	}
	what := "a step is forward, loss, backward and update"
	if b.Infer {
		what = "a step is one inference"
	}
	_, err := fmt.Fprintf(w, "%s of a batch in memory, %v; turns of each program: %d\n\n", what, b.precision, b.Rounds)
	return err
}

// print says what the programs of one network and batch came to.
func (b *benchSession) print(records []benchRecord) error {
	if b.JSON {
		var errs []error
		for _, r := range records {
			errs = append(errs, printLine(b.s.stdout, r))
		}
		return errors.Join(errs...)
	}
	w := b.s.stdout
	if err := printTimes(w, records); err != nil {
		return err
	}
	for _, r := range records {
		r.printNotes(w, records[0])
	}
	printNoise(w, records)
	for _, r := range records {
		if r.Kernels != nil {
			r.printKernels(w)
		}
	}
	_, err := fmt.Fprintln(w)
	return err
}

// printTimes prints a table of programs that have done the same work.
func printTimes(w io.Writer, records []benchRecord) error {
	fmt.Fprintf(w, "%s, batch %d\n", records[0].Network, records[0].Batch)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "  program\timages/s\tmedian ms\t95 % sure\tleast ms\tpercentiles\tallocations")
	for _, r := range records {
		allocations := "-"
		if r.Allocations != nil {
			allocations = fmt.Sprintf("%.3g", *r.Allocations)
		}
		fmt.Fprintf(t, "  %s %s\t%.1f\t%.4g\t%s\t%.4g\t%s\t%s\n", r.Program, r.How, r.ImagesPerSecond,
			r.Time.Median, r.Time.range95(), r.Time.Least, r.Time.percentiles(), allocations)
	}
	return t.Flush()
}

// percentiles are the outermost that so many steps tell of.
func (t timeRecord) percentiles() string {
	if t.Tail == 0 {
		return fmt.Sprintf("%.4g to %.4g in all", t.Low, t.High)
	}
	return fmt.Sprintf("p%d %.4g, p%d %.4g", t.Tail, t.Low, 100-t.Tail, t.High)
}

func (t timeRecord) range95() string {
	if t.Between == nil {
		return "too few rounds"
	}
	return fmt.Sprintf("%.4g to %.4g", t.Between[0], t.Between[1])
}

// printNotes says how the program compares with the first one, and what could not be
// tried.
func (r benchRecord) printNotes(w io.Writer, first benchRecord) {
	if r.Ratio != nil {
		fmt.Fprintf(w, "  %s takes %.2f times as long as %s by the medians%s, %.2f by the least steps\n", first.Program, r.Ratio.Medians, r.Program, r.Ratio.trust(), r.Ratio.Least)
	}
	if r.Model != nil {
		fmt.Fprintf(w, "  the kernels of %s would take %.4g ms at the peaks (%s): %.0f %% of the median\n", r.Program, r.Model.Least, r.Model.Peaks, 100*r.Model.Share)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Failed)) {
		why, _, _ := strings.Cut(r.Failed[name], "\n")
		fmt.Fprintf(w, "  note: PyTorch's program %s could not be tried: %.200s\n", name, why)
	}
}

// printNoise names the programs whose figures are worth little.
func printNoise(w io.Writer, records []benchRecord) {
	var noisy []string
	for _, r := range records {
		if r.Time.Noisy {
			noisy = append(noisy, r.Program)
		}
	}
	if len(noisy) > 0 {
		fmt.Fprintf(w, "  noisy: within %.0f %% the median is not known of: %s; leave the machine to this alone, or raise --rounds\n", 100*bench.Noisy, strings.Join(noisy, ", "))
	}
}

// trust says how far a ratio is to be trusted.
func (r ratioRecord) trust() string {
	switch {
	case r.Between == nil:
		return " (too few rounds to say how sure that is)"
	case r.Between[0] <= 1 && 1 <= r.Between[1]:
		return fmt.Sprintf(" (%.2f to %.2f with 95 %% confidence: no difference is shown)", r.Between[0], r.Between[1])
	case r.Noisy:
		return fmt.Sprintf(" (%.2f to %.2f with 95 %% confidence: noisy)", r.Between[0], r.Between[1])
	}
	return fmt.Sprintf(" (%.2f to %.2f with 95 %% confidence)", r.Between[0], r.Between[1])
}
