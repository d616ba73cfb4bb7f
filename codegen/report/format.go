package report

import (
	"fmt"
	"html/template"
	"net/url"
	"strconv"
	"strings"

	"wrnc/compiler/ir"
	"wrnc/compiler/plan"
)

// bytesText prints a size with three digits, in its largest binary unit.
func bytesText(n int) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	size, i := float64(n), 0
	for size >= 1024 && i < len(units)-1 {
		size /= 1024
		i++
	}
	if i == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return digits(size) + " " + units[i]
}

// timeText prints seconds with three digits, in milliseconds or microseconds.
func timeText(s float64) string {
	if us := s * 1e6; us < 999.5 {
		return digits(us) + " µs"
	}
	return digits(s*1e3) + " ms"
}

// digits prints a number with three digits, or all of those before the point;
// below a hundredth it only says so.
func digits(x float64) string {
	switch {
	case x == 0:
		return "0"
	case x < 0.005:
		return "<0.01"
	case x >= 99.95:
		return strconv.FormatFloat(x, 'f', 0, 64)
	case x >= 9.995:
		return strconv.FormatFloat(x, 'f', 1, 64)
	}
	return strconv.FormatFloat(x, 'f', 2, 64)
}

// countText prints a number with a comma between thousands.
func countText(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// plural is "1 kernel" or "2 kernels".
func plural(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return countText(n) + " " + what
}

// percent is a share of a whole.
func percent(part, whole float64) string {
	switch {
	case whole <= 0:
		return ""
	case part > 0 && part/whole < 0.0005:
		return "<0.1 %"
	}
	return strconv.FormatFloat(100*part/whole, 'f', 1, 64) + " %"
}

// width is a share of a whole as the width of a bar, in percent.
func width(part, whole float64) string {
	if whole <= 0 {
		return "0"
	}
	return strconv.FormatFloat(100*part/whole, 'f', 2, 64)
}

// shape prints dimensions as in "128×32×32×16".
func shape(t ir.Type) string {
	if t.Rank() == 0 {
		return t.DType.String()
	}
	var dims []string
	for _, d := range t.Dims {
		dims = append(dims, strconv.Itoa(d))
	}
	return t.DType.String() + " " + strings.Join(dims, "×")
}

// launches prints a range of launches.
func launches(first, last int) string {
	if first == last {
		return fmt.Sprintf("launch %d", first)
	}
	return fmt.Sprintf("launches %d–%d", first, last)
}

// opLabel is an op with what matters of a root: its filter and its stride.
func opLabel(n *ir.Node) string {
	label := n.Op.String()
	size := n.Attrs.Kernel
	for i, role := range n.Op.Info().Args {
		if role == ir.Weight && i < len(n.Args) && n.Args[i].Type.Rank() == 4 {
			size = n.Args[i].Type.Dims[1]
		}
	}
	if size > 0 {
		label += fmt.Sprintf(" %d×%d", size, size)
	}
	if n.Attrs.Stride > 1 {
		label += fmt.Sprintf(" /%d", n.Attrs.Stride)
	}
	if n.Op == ir.Convert {
		label += " " + n.Attrs.To.String()
	}
	return label
}

// kindClass is the colour of a kind of fusion.
func kindClass(kind string) string {
	switch kind {
	case "conv_fprop", "conv_dgrad", "conv_wgrad", "map", "pool", "channel", "opaque":
		return kind
	}
	return "other"
}

// tileText says what a block of threads does.
func tileText(k *plan.Kernel) string {
	b := k.Block
	switch {
	case b.Math == "" && b.N > 0:
		return plural(b.N, "channel")
	case b.Math == "":
		return ""
	case k.Kind == plan.WgradSum:
		return fmt.Sprintf("%d × %d channels, %s a step, %d×%d×%d warps, %s by %s", b.M, b.N, plural(b.K, "pixel"), b.WarpsM, b.WarpsN, b.WarpsT, plural(k.Conv.Splits, "split"), b.Math)
	}
	return fmt.Sprintf("%d pixels × %d channels, %s a step, %d×%d warps, %s, %s", b.M, b.N, plural(b.K, "input channel"), b.WarpsM, b.WarpsN, plural(b.Stages, "stage"), b.Math)
}

// link is the address of an element of the page.
func link(id string) template.URL {
	return template.URL("#" + (&url.URL{Fragment: id}).EscapedFragment())
}
