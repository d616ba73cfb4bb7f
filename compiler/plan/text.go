package plan

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"wrnc/compiler/ir"
)

// Bounds on what a plan may hold. They keep every product that [Kernel.Layout]
// and the verifier form inside an int, and a hostile text from asking for more
// memory than its own size justifies.
const (
	maxCount = 1 << 16 // buffers, kernels, and entries of any list inside a kernel
	maxSlots = 1 << 10 // row registers of a tape
	maxSize  = 1 << 40 // bytes or elements of anything
	maxName  = 1 << 10 // letters of a name

	maxThreads = 1 << 10 // threads of a block
)

// attrText is how one attribute of an op prints and parses, by its name in the
// op table.
type attrText struct {
	name  string
	print func(a *ir.Attrs) string
	parse func(a *ir.Attrs, s string) error
}

func countAttr(name string, at func(a *ir.Attrs) *int) attrText {
	return attrText{name,
		func(a *ir.Attrs) string { return strconv.Itoa(*at(a)) },
		func(a *ir.Attrs, s string) (err error) {
			*at(a), err = parseInt(s, 0, maxSize)
			return err
		}}
}

func realAttr(name string, at func(a *ir.Attrs) *float64) attrText {
	return attrText{name,
		func(a *ir.Attrs) string { return strconv.FormatFloat(*at(a), 'g', -1, 64) },
		func(a *ir.Attrs, s string) error {
			v, err := strconv.ParseFloat(s, 64)
			if err != nil || v-v != 0 {
				return fmt.Errorf("expected a finite number, found %q", clip(s))
			}
			*at(a) = v
			return nil
		}}
}

// attrTexts covers the attributes of the ops that tapes and channel ops hold, and
// those of augment.
var attrTexts = []attrText{
	countAttr("pad", func(a *ir.Attrs) *int { return &a.Pad }),
	countAttr("height", func(a *ir.Attrs) *int { return &a.Height }),
	countAttr("width", func(a *ir.Attrs) *int { return &a.Width }),
	countAttr("count", func(a *ir.Attrs) *int { return &a.Count }),
	realAttr("eps", func(a *ir.Attrs) *float64 { return &a.Eps }),
	realAttr("momentum", func(a *ir.Attrs) *float64 { return &a.Momentum }),
	realAttr("alpha", func(a *ir.Attrs) *float64 { return &a.Alpha }),
	realAttr("p", func(a *ir.Attrs) *float64 { return &a.P }),
	{"stream",
		func(a *ir.Attrs) string { return a.Stream },
		func(a *ir.Attrs, s string) error {
			a.Stream = s
			return checkName(s)
		}},
	{"to",
		func(a *ir.Attrs) string { return a.To.String() },
		func(a *ir.Attrs, s string) error {
			d, ok := ir.ParseDType(s)
			if !ok {
				return fmt.Errorf("unknown element type %q", clip(s))
			}
			a.To = d
			return nil
		}},
	{"flip",
		func(a *ir.Attrs) string { return strconv.FormatBool(a.Flip) },
		func(a *ir.Attrs, s string) error {
			if a.Flip = s == "true"; !a.Flip && s != "false" {
				return fmt.Errorf("expected true or false, found %q", clip(s))
			}
			return nil
		}},
	{"fill",
		func(a *ir.Attrs) string { return a.Fill },
		func(a *ir.Attrs, s string) error {
			a.Fill = s
			return checkName(s)
		}},
}

// findOp returns the op of that name; a joined row function and "copy" are none.
func findOp(name string) (ir.Op, bool) {
	for _, o := range ir.Ops() {
		if o.String() == name {
			return o, true
		}
	}
	return ir.InvalidOp, false
}

// attrsOf lists the attributes of the op of that name, in the order they print.
func attrsOf(name string) []attrText {
	o, _ := findOp(name)
	var rows []attrText
	for _, row := range attrTexts {
		if slices.Contains(o.Info().Attrs, row.name) {
			rows = append(rows, row)
		}
	}
	return rows
}

// formatAttrs prints the attributes that the op has, as " {eps=1e-05, count=8192}".
func formatAttrs(op string, a ir.Attrs) string {
	var words []string
	for _, row := range attrsOf(op) {
		words = append(words, row.name+"="+row.print(&a))
	}
	if len(words) == 0 {
		return ""
	}
	return " {" + strings.Join(words, ", ") + "}"
}

// parseAttrs reads what formatAttrs prints: each attribute of the op, in order.
func parseAttrs(op, s string) (a ir.Attrs, err error) {
	words, rows := splitList(s), attrsOf(op)
	if len(words) != len(rows) {
		return a, fmt.Errorf("%s has %d attributes, found %q", clip(op), len(rows), clip(s))
	}
	for i, row := range rows {
		val, ok := strings.CutPrefix(words[i], row.name+"=")
		if !ok {
			return a, fmt.Errorf("%s: expected the attribute %s, found %q", op, row.name, clip(words[i]))
		}
		if err := row.parse(&a, val); err != nil {
			return a, fmt.Errorf("%s, attribute %s: %w", op, row.name, err)
		}
	}
	return a, nil
}

// parseType reads what [ir.Type.String] prints.
func parseType(s string) (ir.Type, error) {
	name, dims, ok := strings.Cut(strings.TrimSuffix(s, "]"), "[")
	d, known := ir.ParseDType(name)
	if !ok || !known || !strings.HasSuffix(s, "]") || strings.Count(dims, ",") > 3 {
		return ir.Type{}, fmt.Errorf("expected a type such as f32[128,32,32,16], found %q", clip(s))
	}
	t := ir.Type{DType: d}
	if dims == "" {
		return t, nil
	}
	elems := 1
	for _, w := range strings.Split(dims, ",") {
		n, err := parseInt(w, 1, maxSize/8/elems)
		if err != nil {
			return ir.Type{}, fmt.Errorf("bad dimension in the type %q: %w", clip(s), err)
		}
		elems *= n
		t.Dims = append(t.Dims, n)
	}
	return t, nil
}

func parseInt(s string, lo, hi int) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < lo || n > hi || strconv.Itoa(n) != s {
		return 0, fmt.Errorf("expected a whole number from %d to %d, found %q", lo, hi, clip(s))
	}
	return n, nil
}

// checkName accepts the names that package ir gives to layers and states.
func checkName(s string) error {
	ok := s != "" && len(s) <= maxName
	for i := 0; i < len(s) && ok; i++ {
		c := s[i]
		ok = c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '.' || c == '-'
	}
	if !ok {
		return fmt.Errorf("expected a name of letters, digits, '_', '.' and '-', found %q", clip(s))
	}
	return nil
}

func clip(s string) string {
	if len(s) > 60 {
		return s[:60] + "..."
	}
	return s
}

func splitList(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ", ")
}
