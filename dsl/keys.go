package dsl

import (
	"strings"

	"wrnc/dsl/diag"
)

// home is where a key belongs.
type home string

const (
	homeFile    home = "" // the file itself, outside any block
	homeModel   home = "model"
	homeData    home = "data"
	homeTrain   home = "train"
	homeLayers  home = "layers" // and every other block of layers
	homeGroup   home = "group"
	homeCommand home = "the command line" // a flag, and no key at all
)

// key is a word that a statement begins with.
type key struct {
	word    string
	home    home
	example string // a whole statement
}

// keys returns the table of keys.
func keys() []key {
	return []key{
		{"model", homeFile, "model WRN-16-8"},
		{"dropout", homeFile, "dropout 0.4"},
		{"data", homeFile, "data cifar10"},
		{"train", homeFile, "train paper"},

		{"count", homeModel, "count convs"},
		{"blocks", homeModel, "blocks 6"},
		{"stride", homeModel, "stride first3x3"},
		{"classes", homeModel, "classes 10"},
		{"input", homeModel, "input 32x32x3"},
		{"gamma", homeModel, "gamma one"},
		{"layers", homeModel, "layers { ... }"},

		{"conv", homeLayers, "conv 3x3 16"},
		{"bn", homeLayers, "bn"},
		{"relu", homeLayers, "relu"},
		{"sigmoid", homeLayers, "sigmoid"},
		{"dropout", homeLayers, "dropout 0.3"},
		{"maxpool", homeLayers, "maxpool 3x3 stride 2"},
		{"avgpool", homeLayers, "avgpool global"},
		{"linear", homeLayers, "linear classes"},
		{"group", homeLayers, "group 2 width 64 stride 2 { branch { conv 3x3; bn; relu } }"},

		{"shared", homeGroup, "shared { bn; relu }"},
		{"branch", homeGroup, "branch { conv 3x3; bn; relu; conv 3x3 }"},
		{"gate", homeGroup, "gate { conv 3x3 bias -2; sigmoid }"},
		{"shortcut", homeGroup, "shortcut auto"},
		{"after", homeGroup, "after { relu }"},

		{"normalize", homeData, "normalize meanstd"},
		{"augment", homeData, "augment flip crop(4, reflect)"},

		{"batch", homeTrain, "batch 128"},
		{"epochs", homeTrain, "epochs 200"},
		{"lr", homeTrain, "lr 0.1"},
		{"momentum", homeTrain, "momentum 0.9"},
		{"decay", homeTrain, "decay 5e-4"},
		{"nesterov", homeTrain, "nesterov on"},
		{"drops", homeTrain, "drops [60, 120, 160]"},
		{"ratio", homeTrain, "ratio 0.2"},
		{"runs", homeTrain, "runs 5 median"},

		{"seed", homeCommand, "--seed"},
		{"precision", homeCommand, "--precision"},
		{"target", homeCommand, "--target"},
		{"threads", homeCommand, "--threads"},
	}
}

// findKey returns the row of a word: that of h, or the first of any home.
func findKey(word string, h home) (key, bool) {
	var found key
	for _, k := range keys() {
		if k.word == word && (found.word == "" || k.home == h) {
			found = k
		}
	}
	return found, found.word != ""
}

// wordsOf returns the keys that belong in h.
func wordsOf(h home) []string {
	var words []string
	for _, k := range keys() {
		if k.home == h {
			words = append(words, k.word)
		}
	}
	return words
}

// section sorts the statements of the file or of one block by key. It reports
// keys that are unknown, out of place or there twice, and leaves those out.
func (c *checker) section(statements []*Statement, h home) map[string]*Statement {
	found := make(map[string]*Statement)
	for _, s := range statements {
		switch k, known := findKey(s.Key, h); {
		case !known:
			c.unknownKey(s, h)
		case k.home != h:
			c.misplacedKey(s, k)
		case found[s.Key] != nil:
			first := found[s.Key]
			if d := c.errorAt(s.at(), "%s is given twice", s.Key); c.extra == 0 {
				*d = d.NoteAt(c.pos(first.at()), "first given here")
			}
		default:
			found[s.Key] = s
		}
	}
	return found
}

func (c *checker) unknownKey(s *Statement, h home) {
	where := "a network file"
	switch h {
	case homeFile:
	case homeLayers:
		where = "a block of layers"
	default:
		where = "the block of " + string(h)
	}
	d := c.errorAt(s.at(), "unknown key %s in %s", quote(s.Key), where)
	word := strings.ToLower(s.Key)
	if near := diag.Nearest(word, wordsOf(h)); near != "" {
		d.Suggestion = "did you mean " + near + "?"
		return
	}
	d.Suggestion = "its keys are " + strings.Join(wordsOf(h), ", ")
}

func (c *checker) misplacedKey(s *Statement, k key) {
	switch k.home {
	case homeCommand:
		c.errorAt(s.at(), "%s is not part of a network file", k.word).Suggestion =
			"give it on the command line: " + k.example
	case homeFile:
		c.errorAt(s.at(), "%s stands in no block", k.word).Suggestion =
			"write it on a line of its own: " + k.example
	default:
		parent, _ := findKey(string(k.home), homeFile) // every home but these two is a key of the table
		before, _, _ := strings.Cut(parent.example, " {")
		c.errorAt(s.at(), "%s belongs in the block of %s", k.word, k.home).Suggestion =
			"write " + before + " { " + k.example + " }"
	}
}
