package dsl

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Setting is one thing that a network's file says, or that a default says for it.
type Setting struct {
	Block string `json:"block,omitempty"` // the key whose block it stands in; "" for none
	Key   string `json:"key"`             // "" for a fact that no key changes
	Value string `json:"value"`
	From  string `json:"from"` // one of the sources
	Why   string `json:"why"`  // where in it
}

// The sources of settings.
const (
	fromFile      = "file"
	fromName      = "command line"
	fromPaper     = "paper"
	fromReference = "reference code"
	fromWrnc      = "wrnc"
)

// Settings lists all that decides a network, in the order of a file.
func (n *Network) Settings() []Setting {
	s := &settings{net: n}
	s.model()
	s.data()
	s.train()
	s.facts()
	return s.list
}

type settings struct {
	net  *Network
	list []Setting
}

// given returns the statement of the file that says key in a block, or nil.
func (s *settings) given(block, key string) *Statement {
	if s.net.file == nil {
		return nil
	}
	find := func(statements []*Statement, key string) *Statement {
		i := slices.IndexFunc(statements, func(s *Statement) bool { return s.Key == key })
		if i < 0 {
			return nil
		}
		return statements[i]
	}
	if block == "" {
		return find(s.net.file.Statements, key)
	}
	if outer := find(s.net.file.Statements, block); outer != nil && outer.Block != nil {
		return find(outer.Block.Statements, key)
	}
	return nil
}

// add lists a setting: from the file where it says so, else from where the default
// comes.
func (s *settings) add(block, key, value, from, why string) {
	if g := s.given(block, key); g != nil {
		from, why = fromFile, fmt.Sprintf("line %d", g.Pos.Line)
		if s.net.File == NameFile {
			from, why = fromName, "the name"
		}
	}
	s.list = append(s.list, Setting{block, key, value, from, why})
}

func (s *settings) model() {
	n := s.net
	s.add("", "model", n.Name, fromFile, "the name")
	if n.Family == Layered {
		s.add("model", "input", shapeText(n.Input), fromFile, "")
	}
	classes, why := fromWrnc, "no data named"
	if n.Data.Name != "" {
		why = "as many as " + n.Data.Name + " has"
	}
	switch n.Family {
	case Layered:
		s.add("model", "classes", fmt.Sprint(n.Classes), classes, why)
		s.add("model", "gamma", n.Gamma.String(), fromReference, "torch's default start of batch norm's scale: uniform in [0,1)")
		s.add("model", "layers", "", fromFile, "")
		return
	case CIFAR:
		s.blocks()
		s.stride()
	}
	s.add("model", "classes", fmt.Sprint(n.Classes), classes, why)
	s.dropout()
}

// blocks is the number of blocks a group, whichever key decides it.
func (s *settings) blocks() {
	n := s.net
	from, why := fromPaper, "Table 1: depth 6N+4"
	switch {
	case s.given("model", "count") != nil:
		from, why = fromFile, fmt.Sprintf("count in line %d", s.given("model", "count").Pos.Line)
	case len(n.Kernels) == 2:
	case slices.Contains(n.Kernels, 1):
		why = "Table 2: depth 6N+4, whatever the block"
	default:
		why = fmt.Sprintf("Table 3: depth %dN+4 counts the convolutions", 3*len(n.Kernels))
	}
	s.add("model", "blocks", fmt.Sprint(n.Blocks), from, why)
}

func (s *settings) stride() {
	from, why := fromReference, "the first convolution of a group's first block; Table 1 too"
	if !slices.Equal(s.net.Kernels, []int{3, 3}) {
		from, why = fromWrnc, "as the reference code's B(3,3), the only block it has"
	}
	s.add("model", "stride", s.net.Stride.String(), from, why)
}

func (s *settings) dropout() {
	n := s.net
	value := strconv.FormatFloat(n.Dropout, 'g', -1, 64)
	g := s.given("", "dropout")
	if g != nil && n.Dropout == 0 && !strings.ContainsAny(g.Values[0].Number, "123456789") {
		g = nil // 0 as the file says
	}
	switch {
	case g != nil && n.Dropout == 0 && n.Train.Recipe == "torch":
		s.list = append(s.list, Setting{"", "dropout", value, fromReference, fmt.Sprintf("its PyTorch port has none, whatever line %d says", g.Pos.Line)})
	case g != nil && n.Dropout == 0:
		s.list = append(s.list, Setting{"", "dropout", value, fromWrnc, fmt.Sprintf("a block of one convolution has no place for that of line %d", g.Pos.Line)})
	default:
		s.add("", "dropout", value, fromPaper, "none but in Table 6 and where Table 9 says so")
	}
}

func (s *settings) data() {
	n := s.net
	d := n.Data
	if d.Name == "" {
		return
	}
	value := d.Name
	if d.Path != "" {
		value += ` "` + d.Path + `"`
	}
	s.add("", "data", value, fromWrnc, "a bottleneck's name stands for ImageNet")
	if d.Name == imageNet {
		return
	}
	from, normalize, augment := fromPaper, "Table 5: mean and deviation", "section 3: flips, and crops from a border of 4 reflected pixels"
	switch d.Name {
	case "svhn":
		normalize, augment = "section 3: bytes / 255", "section 3: none"
	case "digits":
		from, normalize, augment = fromWrnc, "as SVHN", "as SVHN"
	}
	s.add("data", "normalize", d.Normalize.String(), from, normalize)
	s.add("data", "augment", d.augmentText(), from, augment)
}

func (d *Data) augmentText() string {
	var words []string
	if d.Flip {
		words = append(words, "flip")
	}
	if d.CropPad > 0 {
		words = append(words, fmt.Sprintf("crop(%d, %s)", d.CropPad, d.CropMode))
	}
	if len(words) == 0 {
		return "none"
	}
	return strings.Join(words, " ")
}

// recipe says where a recipe's numbers come from.
func (s *settings) recipe() (from, why, drops string) {
	switch {
	case s.net.Train.Recipe == "torch":
		return fromReference, "pytorch/main.py", "pytorch/main.py"
	case s.net.Data.Name == imageNet:
		return fromReference, "fb.resnet.torch, which the authors trained with", "fb.resnet.torch"
	case s.net.Data.Name == "digits":
		return fromWrnc, "so that a first run takes minutes", "so that a first run takes minutes"
	}
	return fromPaper, "section 3", "section 3; the epochs as in the authors' logs"
}

func (s *settings) train() {
	t := s.net.Train
	s.add("", "train", t.Recipe, fromWrnc, "the paper's recipe unless another is named")
	from, why, drops := s.recipe()
	number := func(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }
	s.add("train", "epochs", fmt.Sprint(t.Epochs), from, why)
	s.add("train", "batch", fmt.Sprint(t.Batch), from, why)
	shared, sharedWhy := from, why // what digits takes from the paper
	if s.net.Data.Name == "digits" && t.Recipe == "paper" {
		shared, sharedWhy = fromPaper, "section 3"
	}
	s.add("train", "lr", number(t.LR), shared, sharedWhy)
	if s.given("train", "epochs") != nil && s.given("train", "drops") == nil {
		drops = "in proportion to the epochs"
		from = fromWrnc
	}
	s.add("train", "drops", t.dropsText(), from, drops)
	s.add("train", "ratio", number(t.DropRatio), shared, sharedWhy)
	s.add("train", "momentum", number(t.Momentum), shared, sharedWhy)
	s.add("train", "decay", number(t.WeightDecay), shared, sharedWhy+", on all parameters")
	nesterov := "off"
	if t.Nesterov {
		nesterov = "on"
	}
	s.add("train", "nesterov", nesterov, shared, sharedWhy)
	s.add("train", "runs", fmt.Sprint(t.Runs), fromWrnc, "the paper takes the median of 5")
}

// dropsText is the list of epochs, counted from 1.
func (t *Train) dropsText() string {
	var words []string
	for _, d := range t.Drops {
		words = append(words, fmt.Sprint(d+1))
	}
	return "[" + strings.Join(words, ", ") + "]"
}

// writable tells whether a text may say the drops: those of a short training can
// meet or lie past its end.
func (t *Train) writable() bool {
	last := 0
	for _, d := range t.Drops {
		if d <= last || d >= t.Epochs {
			return false
		}
		last = d
	}
	return true
}

// facts are what no key changes.
func (s *settings) facts() {
	n := s.net
	fact := func(from, why, format string, args ...any) {
		s.list = append(s.list, Setting{Value: fmt.Sprintf(format, args...), From: from, Why: why})
	}
	if n.Family != Layered {
		table := "Table 1"
		if n.Family == ImageNet {
			table = "Tables 7 and 8"
		}
		fact(fromPaper, table, "%d convolutions; widths %s", n.Convs, strings.Trim(fmt.Sprint(n.Widths()), "[]"))
		if n.Family == ImageNet {
			fact(fromReference, "fb.resnet.torch, as torchvision", "a block strides in its first 3x3; a projection has a batch norm")
			fact(fromReference, "fb.resnet.torch", "batch norm's scales start at 1")
		} else {
			fact(fromReference, "", "a projection has neither bias nor batch norm, and reads the block's first ReLU")
			fact(fromReference, "torch's default", "batch norm's scales start uniform in [0,1)")
		}
	}
	fact(fromReference, "torch's defaults", "batch norm: eps 1e-5, momentum 0.1, unbiased running variance")
	fact(fromReference, "He et al.", "convolutions start normal with variance 2/(inputs of a sum)")
	if n.Train.LinearInit == "kaiming" {
		fact(fromReference, "pytorch/main.py", "linear layers start as convolutions do")
	} else {
		fact(fromReference, "torch's default", "linear layers start uniform in +-1/sqrt(inputs), their biases at 0")
	}
	if n.Train.ResetVelocity {
		fact(fromReference, "", "a drop of the rate forgets the momentum")
	} else {
		fact(fromReference, "fb.resnet.torch", "a drop of the rate keeps the momentum")
	}
	if n.Train.KeepShortBatch {
		fact(fromReference, "", "an epoch's last, short batch is trained on")
	} else {
		fact(fromReference, "", "an epoch's last, short batch is left out")
	}
}

// Show returns a network's file with every default filled in and, behind each
// line, where it comes from. It loads to the same network.
func (n *Network) Show() (string, error) {
	var b strings.Builder
	settings := n.Settings()
	open := ""
	for i, s := range settings {
		if open != "" && s.Block != open {
			b.WriteString("}\n")
			open = ""
		}
		comment := "  # " + s.From
		if s.Why != "" {
			comment += ": " + s.Why
		}
		switch {
		case s.Key == "":
			fmt.Fprintf(&b, "# %s (%s)\n", s.Value, strings.TrimPrefix(comment, "  # "))
		case s.Key == "layers":
			fmt.Fprintf(&b, "layers {%s\n%s\n}\n", comment, n.sequenceOf(true))
		case s.Key == "drops" && !n.Train.writable():
			fmt.Fprintf(&b, "# drops %s%s\n", s.Value, strings.Replace(comment, "  #", ",", 1))
		default:
			fmt.Fprintf(&b, "%s %s", s.Key, s.Value)
			if i+1 < len(settings) && s.Block == "" && settings[i+1].Block == s.Key {
				b.WriteString(" {")
				open = s.Key
			}
			b.WriteString(comment + "\n")
		}
	}
	f, err := Parse(n.File, []byte(b.String()))
	if err != nil {
		return "", err
	}
	return Format(f), nil
}
