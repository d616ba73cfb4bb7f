package cuda

import (
	"fmt"
	"strings"

	"wrnc/compiler/ir"
)

// reduceKinds are the C++ names of the Reduce ops' sums, and the fields of a
// merged one, in the order of its rows.
var reduceKinds = map[ir.Op]struct {
	name   string
	fields []string
}{
	ir.BNStats:     {"Stats", []string{"mean", "m2"}},
	ir.BNGradStats: {"GradStats", []string{"sum", "dot"}},
	ir.ChannelSum:  {"ChannelSum", []string{"sum"}},
}

// sums prints the accumulators of a thread.
func (f *functor) sums() {
	if len(f.k.Reduces) == 0 {
		f.line("  struct Sums {};")
		return
	}
	f.line("  struct Sums {")
	for i, r := range f.k.Reduces {
		f.line("    Acc<%s, %s> q%d;", reduceKinds[r.Op].name, f.vec, i)
	}
	f.line("  };")
}

// reduces prints what a block does with its sums, and what the last block of a
// tile of channels does with those of all.
func (w *writer) reduces(c int) error {
	w.line("  template <class R>")
	w.line("  WRNC_DEVICE void partials(const Args& a, const Sums& s, R& r) {")
	for i, q := range w.k.Reduces {
		w.line("    r.write(a.a%d, s.q%d);", q.Partial, i)
	}
	w.line("  }")
	w.line("  template <class R>")
	w.line("  WRNC_DEVICE void finish(const Args& a, R& r) {")
	known := map[int]rows{} // by argument
	for i, q := range w.k.Reduces {
		facts := reduceKinds[q.Op]
		w.line("    const %s q%d = r.merge(a.a%d, %s{});", facts.name, i, q.Partial, facts.name)
		merged := rows{whole: fmt.Sprintf("q%d", i)}
		for _, field := range facts.fields {
			merged.each = append(merged.each, fmt.Sprintf("q%d.%s", i, field))
		}
		known[q.Out] = merged
	}
	w.line("    if (r.owns()) {")
	w.line("      const i32 c = r.channel();")
	for _, q := range w.k.Reduces {
		for row, v := range known[q.Out].each {
			w.line("      a.a%d[%s] = %s;", q.Out, rowAt(row, fmt.Sprint(c)), v)
		}
	}
	if err := w.channelOps(fmt.Sprint(c), known, "      "); err != nil {
		return err
	}
	w.line("    }")
	w.line("  }")
	w.line("  WRNC_DEVICE u32* counter(const Args& a) { return a.a%d; }", w.counter())
	return nil
}

// rowAt is the index of channel c in a row of a channel vector of so many channels.
func rowAt(row int, channels string) string {
	switch row {
	case 0:
		return "c"
	case 1:
		return channels + " + c"
	}
	return fmt.Sprintf("%d * %s + c", row, channels)
}

// channelFuncs are the Channel ops: what each operand is, the rows of each result,
// the fields of what the C++ function returns, and the attribute that it takes
// after the operands.
var channelFuncs = map[ir.Op]struct {
	operands []operand
	results  []int
	fields   []string
	attr     func(a ir.Attrs) float64
}{
	ir.BNFold:     {[]operand{stats, vector, vector}, []int{2}, []string{"scale", "shift"}, func(a ir.Attrs) float64 { return a.Eps }},
	ir.BNRunning:  {[]operand{twoRows, stats}, []int{2}, []string{"mean", "var"}, func(a ir.Attrs) float64 { return a.Momentum }},
	ir.BNGradFold: {[]operand{gradStats, stats, vector}, []int{3, 1, 1}, []string{"c0", "c1", "c2", "dgamma", "dbeta"}, func(a ir.Attrs) float64 { return a.Eps }},
}

// operand is how a C++ function takes a channel vector: as a struct of its rows,
// or row by row.
type operand struct {
	rows int
	name string
}

var (
	stats     = operand{2, "Stats"}
	gradStats = operand{2, "GradStats"}
	twoRows   = operand{rows: 2}
	vector    = operand{rows: 1}
)

// rows are the C++ of a channel vector's rows at channel c, and of the struct that
// holds them all, where there is one.
type rows struct {
	each  []string
	whole string
}

// value is the operand's C++.
func (o operand) value(r rows) string {
	list := strings.Join(r.each, ", ")
	switch {
	case o.name == "":
		return list
	case r.whole != "":
		return r.whole
	}
	return o.name + "{" + list + "}"
}

// channelOps prints the Channel ops for channel c. known holds the values that
// are at hand, by argument.
func (w *writer) channelOps(channels string, known map[int]rows, indent string) error {
	for i, op := range w.k.Channel {
		facts, ok := channelFuncs[op.Op]
		if !ok {
			return fmt.Errorf("%v: no CUDA for this op", op.Op)
		}
		var args []string
		for j, arg := range op.Src {
			have, ok := known[arg]
			for row := range facts.operands[j].rows {
				if !ok {
					have.each = append(have.each, fmt.Sprintf("a.a%d[%s]", arg, rowAt(row, channels)))
				}
			}
			args = append(args, facts.operands[j].value(have))
		}
		args = append(args, float(facts.attr(op.Attrs)), fmt.Sprintf("a.count%d", i))
		w.line("%sconst auto t%d = %v(%s);", indent, i, op.Op, strings.Join(args, ", "))
		field := 0
		for j, arg := range op.Dst {
			var written rows
			for row := range facts.results[j] {
				value := fmt.Sprintf("t%d.%s", i, facts.fields[field])
				field++
				w.line("%sa.a%d[%s] = %s;", indent, arg, rowAt(row, channels), value)
				written.each = append(written.each, value)
			}
			known[arg] = written
		}
	}
	return nil
}

// finishBody prints a kernel of Channel ops alone.
func finishBody(w *writer) error {
	if len(w.k.Reduces) > 0 {
		return fmt.Errorf("merges partials, which on a GPU the kernel that wrote them does")
	}
	w.line("struct Body {")
	w.line("  WRNC_DEVICE void apply(const Segment& a, i32 c) {")
	if err := w.channelOps("a.channels", map[int]rows{}, "    "); err != nil {
		return err
	}
	w.line("  }")
	w.line("};")
	w.line("")
	w.line("WRNC_KERNEL(%s, %d, 1)(const Args args) {", entryHere, w.k.Block.Threads)
	w.line("  channels<Body, %d>(args.table, args.first_block, args.segments);", w.k.Block.Threads)
	w.line("}")
	return nil
}
