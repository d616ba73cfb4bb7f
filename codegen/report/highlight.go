package report

import (
	"html/template"
	"strings"
)

// Texts are coloured by a reader of tokens that knows next to nothing: comments,
// words, and what a leading character means. Each token is escaped by itself, so
// that the result says what the text says and nothing else. A colour is an
// element, not a class: pages hold tens of thousands of them.
const (
	keyword = "b"
	typ     = "i"
	comment = "em"
	literal = "samp"
	state   = "var"
	opName  = "strong"
)

// cppWords are the words of CUDA C++ that are coloured.
var cppWords = words(keyword, "using struct static constexpr const template class return if else for while auto static_assert void true false sizeof") +
	words(typ, "f32 bf16 u8 u16 u32 u64 i32 i64 bool char int float Floats Acc At Args Shape Unit Tile Prologue Epilogue Gradient Picture WRNC_DEVICE WRNC_KERNEL WRNC_MEMBER")

// irWords are those of the IR.
var irWords = words(keyword, "fusion yield")

// wordList is a list of words with their elements, as in " const:b f32:i ".
type wordList string

func words(element, list string) wordList {
	var b strings.Builder
	for _, w := range strings.Fields(list) {
		b.WriteString(" " + w + ":" + element)
	}
	return wordList(b.String() + " ")
}

// element is that of a word, or "".
func (l wordList) element(word string) string {
	_, after, _ := strings.Cut(string(l), " "+word+":")
	element, _, _ := strings.Cut(after, " ")
	return element
}

// token is the first of a text: its length, and the element and the address that
// it has on the page, either "" for none.
type token struct {
	length        int
	element, href string
}

// cpp colours CUDA C++.
func cpp(text string) template.HTML {
	return highlight(text, func(rest string) token {
		line := strings.IndexByte(rest+"\n", '\n')
		switch {
		case strings.HasPrefix(rest, "//"):
			return token{length: line, element: comment}
		case rest[0] == '#':
			return token{length: line, element: keyword}
		case rest[0] == '"':
			if n := strings.IndexAny(rest[1:], "\"\n"); n >= 0 && rest[1+n] == '"' {
				return token{length: n + 2, element: literal}
			}
		case isWord(rest[0]):
			n := wordLength(rest)
			return token{length: n, element: cppWords.element(rest[:n])}
		}
		return token{length: 1}
	})
}

// irText colours IR. link gives the address that a value leads to, or "".
func irText(text string, link func(value string) string) template.HTML {
	afterEquals := false
	return highlight(text, func(rest string) token {
		isOp := afterEquals
		afterEquals = false
		switch c := rest[0]; {
		case c == '%':
			n := 1 + nameLength(rest[1:])
			return token{length: n, href: link(rest[:n])}
		case c == '@':
			return token{length: 1 + nameLength(rest[1:]), element: state}
		case c == '#':
			return token{length: 1 + nameLength(rest[1:]), element: comment}
		case strings.HasPrefix(rest, "= "):
			afterEquals = true
			return token{length: 2}
		case isWord(c):
			n := nameLength(rest)
			element := irWords.element(rest[:n])
			if element == "" && isOp {
				element = opName
			}
			return token{length: n, element: element}
		}
		return token{length: 1}
	})
}

// highlight cuts a text into tokens and marks those that have an element or an
// address.
func highlight(text string, next func(rest string) token) template.HTML {
	var b strings.Builder
	plain := 0
	escape := func(s string) { template.HTMLEscape(&b, []byte(s)) }
	for i := 0; i < len(text); {
		t := next(text[i:])
		end := i + t.length
		if t.element != "" || t.href != "" {
			escape(text[plain:i])
			element := t.element
			if t.href != "" {
				element = "a"
				b.WriteString(`<a href="`)
				escape(t.href)
				b.WriteString(`">`)
			} else {
				b.WriteString("<" + element + ">")
			}
			escape(text[i:end])
			b.WriteString("</" + element + ">")
			plain = end
		}
		i = end
	}
	escape(text[plain:])
	return template.HTML(b.String())
}

func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// wordLength is the length of the word or number that a text begins with.
func wordLength(s string) int {
	n := 0
	for n < len(s) && isWord(s[n]) {
		n++
	}
	return n
}

// nameLength is the length of the name that a text begins with: as in the IR,
// with dots and hyphens.
func nameLength(s string) int {
	n := 0
	for n < len(s) && (isWord(s[n]) || s[n] == '.' || s[n] == '-') {
		n++
	}
	return n
}
