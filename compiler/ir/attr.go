package ir

import (
	"fmt"
	"strconv"
	"strings"
)

// Attrs are the compile-time constants of a node. Which of them an op has is a
// column of the op table; all others are zero.
type Attrs struct {
	Pad      int     // convolution: rows and columns of zeros around the picture; maxpool: of nothing; augment: largest shift of the crop
	Stride   int     // convolution, maxpool: step between outputs, both directions
	Kernel   int     // conv2d_wgrad: R = S of the filter; maxpool: rows and columns of a window
	Height   int     // conv2d_dgrad, avgpool_grad: rows of the result
	Width    int     // conv2d_dgrad, avgpool_grad: columns of the result
	Count    int     // batch norm: elements a channel has at the module's batch; 1 for running statistics
	Eps      float64 // batch norm: added to the variance
	Momentum float64 // bn_running: weight of the new statistics
	Alpha    float64 // axpy, scale: the factor
	P        float64 // dropout: probability that an element is dropped
	Stream   string  // dropout_mask: name whose FNV-1a hash is the random stream
	To       DType   // convert: the element type of the result
	Flip     bool    // augment: whether half of the pictures are mirrored
	Fill     string  // augment: what lies beyond a picture's border, FillZero or FillReflect
	Kind     string  // fusion: what its root is
}

// What lies beyond a picture's border when a crop reaches there: 0 in the
// result, or the picture mirrored at its border pixels, which are not repeated.
const (
	FillZero    = "zero"
	FillReflect = "reflect"
)

// attrInfo is a row of the attribute table: how one attribute prints and parses.
type attrInfo struct {
	name  string
	print func(*Attrs) string
	parse func(*Attrs, string) error
}

func intAttr(name string, f func(*Attrs) *int) attrInfo {
	return attrInfo{name,
		func(a *Attrs) string { return strconv.Itoa(*f(a)) },
		func(a *Attrs, s string) error {
			n, err := strconv.Atoi(s)
			if err != nil || n < 0 || n > maxElems {
				return fmt.Errorf("attribute %s: expected a whole number, found %q", name, s)
			}
			*f(a) = n
			return nil
		}}
}

func floatAttr(name string, f func(*Attrs) *float64) attrInfo {
	return attrInfo{name,
		func(a *Attrs) string { return strconv.FormatFloat(*f(a), 'g', -1, 64) },
		func(a *Attrs, s string) error {
			v, err := strconv.ParseFloat(s, 64)
			if err != nil || v-v != 0 {
				return fmt.Errorf("attribute %s: expected a finite number, found %q", name, s)
			}
			*f(a) = v
			return nil
		}}
}

func nameAttr(name string, f func(*Attrs) *string) attrInfo {
	return attrInfo{name,
		func(a *Attrs) string { return *f(a) },
		func(a *Attrs, s string) error {
			if !isName(s) {
				return fmt.Errorf("attribute %s: expected a name, found %q", name, s)
			}
			*f(a) = s
			return nil
		}}
}

// attrTable lists the attributes in the order they print.
var attrTable = []attrInfo{
	nameAttr("kind", func(a *Attrs) *string { return &a.Kind }),
	intAttr("pad", func(a *Attrs) *int { return &a.Pad }),
	intAttr("stride", func(a *Attrs) *int { return &a.Stride }),
	intAttr("kernel", func(a *Attrs) *int { return &a.Kernel }),
	intAttr("height", func(a *Attrs) *int { return &a.Height }),
	intAttr("width", func(a *Attrs) *int { return &a.Width }),
	floatAttr("eps", func(a *Attrs) *float64 { return &a.Eps }),
	floatAttr("momentum", func(a *Attrs) *float64 { return &a.Momentum }),
	intAttr("count", func(a *Attrs) *int { return &a.Count }),
	floatAttr("alpha", func(a *Attrs) *float64 { return &a.Alpha }),
	floatAttr("p", func(a *Attrs) *float64 { return &a.P }),
	nameAttr("stream", func(a *Attrs) *string { return &a.Stream }),
	{"to",
		func(a *Attrs) string { return a.To.String() },
		func(a *Attrs, s string) error {
			d, ok := ParseDType(s)
			if !ok {
				return fmt.Errorf("attribute to: unknown element type %q", s)
			}
			a.To = d
			return nil
		}},
	{"flip",
		func(a *Attrs) string { return strconv.FormatBool(a.Flip) },
		func(a *Attrs, s string) error {
			if a.Flip = s == "true"; !a.Flip && s != "false" {
				return fmt.Errorf("attribute flip: expected true or false, found %q", s)
			}
			return nil
		}},
	nameAttr("fill", func(a *Attrs) *string { return &a.Fill }),
}

func findAttr(name string) *attrInfo {
	for i := range attrTable {
		if attrTable[i].name == name {
			return &attrTable[i]
		}
	}
	return nil
}

// Format prints the op's attributes as " {pad=1, stride=2}", or nothing.
func (a Attrs) Format(op Op) string {
	var words []string
	for _, row := range attrTable {
		if op.Info().hasAttr(row.name) {
			words = append(words, row.name+"="+row.print(&a))
		}
	}
	if len(words) == 0 {
		return ""
	}
	return " {" + strings.Join(words, ", ") + "}"
}

// KeepThreshold is T = round(65536 p), the number of 16-bit values that drop an
// element; an element is kept where its 16 random bits are at least T.
func (a Attrs) KeepThreshold() int { return int(a.P*65536 + 0.5) }

// KeepScale is 65536/(65536-T), the factor on kept elements (inverted dropout,
// paper section 2.4; the exact expectation of the quantised probability).
func (a Attrs) KeepScale() float64 { return 65536 / float64(65536-a.KeepThreshold()) }

// StreamID is the 32-bit FNV-1a hash of the stream's name.
func (a Attrs) StreamID() uint32 {
	h := uint32(2166136261)
	for i := 0; i < len(a.Stream); i++ {
		h = (h ^ uint32(a.Stream[i])) * 16777619
	}
	return h
}
