package dsl

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/alecthomas/participle/v2/lexer"
)

// Format returns the canonical text of a file that parses, comments included.
// Formatting it again changes nothing.
//
//	model   WRN-40-2-b( 3,1 , 3 ){stride first } ;data svhn   #  why
//
// becomes
//
//	model WRN-40-2-B(3,1,3) { stride first }
//	data svhn  #  why
//
// Line breaks between statements are the author's: those that share a line inside
// a block keep sharing it, and a block on one line stays on it, as long as the line
// has at most 100 characters and no comment is in the way. Outside of blocks each
// statement has a line of its own. At most one blank line stands anywhere. In
// neighbouring lines of a block of settings the values begin in one column, and so do
// comments behind neighbouring lines everywhere; outside of blocks values begin in
// column 7, which is behind model and train.
func Format(f *File) string {
	all, errs := lexAll(&f.Source)
	if len(errs) > 0 {
		return f.Source.Text // no file: Parse has refused it
	}
	p := &layout{tokens: all}
	w := &printer{}
	w.items(p.items(), 0, "")
	return w.text()
}

// maxLine is how long a line may be that could be broken, in characters.
const maxLine = 100

const (
	indentation = "  "
	keyWidth    = 5 // of a key outside of blocks, unless it is longer
)

// item is a statement or a comment on a line of its own.
type item struct {
	words   string // a statement without its block
	key     int    // length of its key; that of words where there are no values
	block   []item // nil where there is none
	opened  string // comment behind the block's {
	comment string // behind the statement, or alone where words are empty
	newLine bool   // begins a line
	blank   bool   // stands after a blank line
	broken  bool   // a line ends inside of the block
}

// layout reads tokens as items.
type layout struct {
	tokens []lexer.Token
	next   int
}

func (p *layout) peek() lexer.Token { return p.tokens[p.next] }

// items reads until the end of the text or the } of a block.
func (p *layout) items() []item {
	list := []item{} // not nil: an empty block is one
	breaks := 2      // newlines since the last item; a text begins a line
	for {
		switch t := p.peek(); {
		case t.EOF():
			return list
		case t.Type == tokenSpace:
			p.next++
		case t.Type == tokenSep:
			p.next++
			if t.Value == "\n" {
				breaks++
			}
		case isBrace(t): // the } that ends these items
			p.next++
			return list
		case t.Type == tokenComment:
			p.next++
			text := strings.TrimRight(t.Value, " \t\r")
			if n := len(list); n > 0 && breaks == 0 && list[n-1].comment == "" {
				list[n-1].comment = text
			} else {
				list = append(list, item{comment: text, newLine: true, blank: breaks > 1 && n > 0})
			}
			breaks = 0
		default:
			it := p.statement()
			it.newLine, it.blank = breaks > 0, breaks > 1 && len(list) > 0
			list = append(list, it)
			breaks = 0
		}
	}
}

// statement reads a key, its values and its block.
func (p *layout) statement() item {
	var it item
	var words strings.Builder
	var before lexer.Token
	for ; ; p.next++ {
		t := p.peek()
		if t.EOF() || t.Type == tokenSep || t.Type == tokenComment || isBrace(t) {
			break
		}
		if t.Type == tokenSpace {
			continue
		}
		if words.Len() > 0 && spaced(before, t) {
			words.WriteByte(' ')
		}
		words.WriteString(canonicalToken(t))
		if before.Value == "" {
			it.key = words.Len()
		}
		before = t
	}
	it.words = words.String()
	if t := p.peek(); isBrace(t) && t.Value == "{" {
		from := p.next
		p.next++
		it.opened = p.openingComment()
		it.block = p.items()
		for _, t := range p.tokens[from:p.next] {
			it.broken = it.broken || t.Type == tokenSep && t.Value == "\n"
		}
	}
	return it
}

// openingComment reads the comment behind a {.
func (p *layout) openingComment() string {
	for p.peek().Type == tokenSpace {
		p.next++
	}
	if t := p.peek(); t.Type == tokenComment {
		p.next++
		return strings.TrimRight(t.Value, " \t\r")
	}
	return ""
}

// spaced tells whether a space stands between two tokens of a statement.
func spaced(a, b lexer.Token) bool {
	switch {
	case a.Value == "(" || a.Value == "[":
		return false
	case b.Type == tokenPunct && strings.Contains("()],", b.Value):
		return false
	}
	return true
}

// canonicalToken writes a network's name as the paper does.
func canonicalToken(t lexer.Token) string {
	if t.Type != tokenLiteral {
		return t.Value
	}
	text := strings.NewReplacer(" ", "", "\t", "", "\r", "").Replace(t.Value)
	text = "WRN" + text[len("WRN"):]
	return strings.Replace(text, "-b(", "-B(", 1)
}

// printer collects lines.
type printer struct{ lines []line }

type line struct {
	text    string // with its indentation
	comment string
}

// inline is the block of an item on one line, or false where it has none: where
// the author broke it or a comment is inside.
func (it *item) inline() (string, bool) {
	if it.block == nil {
		return it.words, true
	}
	if it.broken || it.opened != "" {
		return "", false
	}
	if len(it.block) == 0 {
		return it.words + " { }", true
	}
	inside, ok := joined(it.block)
	return it.words + " { " + inside + " }", ok
}

// joined is statements on one line. After a block no sign is needed, but what
// follows a statement without one needs its semicolon.
func joined(items []item) (string, bool) {
	var b strings.Builder
	for i := range items {
		text, ok := items[i].inline()
		if !ok || items[i].comment != "" && i < len(items)-1 || items[i].words == "" {
			return "", false
		}
		if i > 0 {
			if items[i-1].block == nil {
				b.WriteByte(';')
			}
			b.WriteByte(' ')
		}
		b.WriteString(text)
	}
	return b.String(), true
}

// items prints statements at a depth, in the block of a key.
func (w *printer) items(items []item, depth int, of string) {
	indent := strings.Repeat(indentation, depth)
	// What shares a line with item i: inside of a block, all up to the next break.
	sharing := func(i int) (end int) {
		end = i + 1
		for depth > 0 && end < len(items) && !items[end].newLine {
			end++
		}
		return end
	}
	// Lines are broken before anything is aligned: what was taken apart stands in
	// its column like what the author had put on lines of its own.
	for i := 0; i < len(items); {
		end := sharing(i)
		if text, ok := joined(items[i:end]); !ok || !fits(indent+text) {
			for j := i; j < end; j++ {
				items[j].newLine = true
			}
		}
		i = end
	}
	if !slices.Contains(sequences, home(of)) {
		align(items, depth)
	}
	for i := 0; i < len(items); {
		if items[i].blank && len(w.lines) > 0 {
			w.add("", "")
		}
		end := sharing(i)
		if end == i+1 {
			w.item(&items[i], indent, depth)
		} else {
			text, _ := joined(items[i:end]) // fits, or it would have been broken
			w.add(indent+text, items[end-1].comment)
		}
		i = end
	}
}

// sequences are the blocks whose lines follow each other instead of standing side by
// side: those of layers.
var sequences = []home{homeLayers, "shared", "branch", "gate", "after", "shortcut"}

// align puts spaces behind keys: outside of blocks up to a width that is always the
// same, in a block up to the longest key of neighbouring lines. Only statements
// that have a line to themselves and no block take part there.
func align(items []item, depth int) {
	alone := func(i int) bool {
		return items[i].newLine && (i+1 == len(items) || items[i+1].newLine) && items[i].block == nil && items[i].key < len(items[i].words)
	}
	for i := 0; i < len(items); {
		if depth == 0 {
			items[i].pad(keyWidth)
			i++
			continue
		}
		end, widest := i, 0
		for end < len(items) && alone(end) && (end == i || !items[end].blank) {
			widest = max(widest, items[end].key)
			end++
		}
		for j := i; j < end; j++ {
			items[j].pad(widest)
		}
		i = max(end, i+1)
	}
}

// pad widens the key of a statement that has values.
func (it *item) pad(width int) {
	if it.key < len(it.words) && it.key < width {
		it.words = it.words[:it.key] + strings.Repeat(" ", width-it.key) + it.words[it.key:]
	}
}

func fits(text string) bool { return utf8.RuneCountInString(text) <= maxLine }

// item prints one statement on lines of its own, or a comment.
func (w *printer) item(it *item, indent string, depth int) {
	switch text, ok := it.inline(); {
	case it.words == "":
		w.add(indent+it.comment, "")
		return
	case ok && (len(it.block) == 0 || fits(indent+text)):
		w.add(indent+text, it.comment)
		return
	}
	w.add(indent+it.words+" {", it.opened)
	if !it.broken { // a line that was too long: each statement gets its own
		for i := range it.block {
			it.block[i].newLine = true
		}
	}
	w.items(it.block, depth+1, it.words[:it.key])
	w.add(indent+"}", it.comment)
}

func (w *printer) add(text, comment string) { w.lines = append(w.lines, line{text, comment}) }

// text returns the lines, with the comments behind neighbours in one column.
func (w *printer) text() string {
	var b strings.Builder
	for i := 0; i < len(w.lines); {
		end, widest := i, 0
		for ; end < len(w.lines) && w.lines[end].comment != ""; end++ {
			widest = max(widest, utf8.RuneCountInString(w.lines[end].text))
		}
		for ; i < end; i++ {
			l := w.lines[i]
			b.WriteString(l.text + strings.Repeat(" ", widest-utf8.RuneCountInString(l.text)+2) + l.comment + "\n")
		}
		if i < len(w.lines) {
			b.WriteString(w.lines[i].text + "\n")
			i++
		}
	}
	return b.String()
}
