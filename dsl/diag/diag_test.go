package diag_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/dsl/diag"
)

func TestPosCountsLinesAndCharacters(t *testing.T) {
	src := &diag.Source{Name: "a.wrn", Text: "ab\n\tçd\n"}
	for _, c := range []struct{ offset, line, col int }{
		{0, 1, 1}, {1, 1, 2}, {2, 1, 3}, {3, 2, 1}, {4, 2, 2}, {6, 2, 3}, {7, 2, 4}, {8, 3, 1},
	} {
		p := src.Pos(c.offset)
		require.Equal(t, diag.Pos{File: "a.wrn", Line: c.line, Col: c.col, Offset: c.offset}, p)
	}
	require.Equal(t, 8, src.Pos(99).Offset, "an offset past the end is the end")
	require.Equal(t, 0, src.Pos(-1).Offset)
}

func TestRender(t *testing.T) {
	src := &diag.Source{Name: "a.wrn", Text: "model WRN-17-8\r\n\tdrop é 3"}
	for name, c := range map[string]struct {
		d    diag.Diagnostic
		want string
	}{
		"error with suggestion": {
			diag.New(src, diag.Error, 10, 2, "depth 17 is not 6N+4").Suggest("nearest: 16 (N=2)"),
			"a.wrn:1:11: depth 17 is not 6N+4; nearest: 16 (N=2)\n    model WRN-17-8\n              ^^\n",
		},
		"tab and wide character": {
			diag.New(src, diag.Note, 25, 1, "m").Note("free").NoteAt(src.Pos(0), "first here"),
			"a.wrn:2:9: note: m\n    \tdrop é 3\n    \t       ^\n    note: free\na.wrn:1:1: note: first here\n",
		},
		"at the end of the text": {
			diag.New(src, diag.Warning, 26, 5, "m"),
			"a.wrn:2:10: warning: m\n    \tdrop é 3\n    \t        ^\n",
		},
		"no source": {
			diag.Diagnostic{Pos: diag.Pos{File: "x"}, Message: "m"},
			"x: m\n",
		},
		"terminal escapes do not pass": {
			diag.New(&diag.Source{Name: "e\x1b", Text: "\x1b[2J"}, diag.Error, 0, 1, "bad \x1b"),
			"e\uFFFD:1:1: bad \uFFFD\n    \uFFFD[2J\n    ^\n",
		},
	} {
		require.Equal(t, c.want, c.d.String(), name)
	}
}

func TestExcerptOfAHugeLineIsBounded(t *testing.T) {
	text := strings.Repeat("é", 1<<19)
	src := &diag.Source{Name: "a", Text: text}
	for _, offset := range []int{0, 1, 150, 151, 1 << 19, len(text) - 1, len(text)} {
		e := src.Excerpt(offset, len(text))
		require.Less(t, len(e.Text), 250)
		require.LessOrEqual(t, e.Skip+e.Mark, 250)
	}
	require.Equal(t, 3+50, src.Excerpt(1000, 2).Skip, "three dots, then a hundred bytes of two-byte characters")
}

func TestList(t *testing.T) {
	src := &diag.Source{Name: "a", Text: "xyz"}
	at := func(s diag.Severity, offset int, m string) diag.Diagnostic {
		return diag.New(src, s, offset, 1, m)
	}
	l := diag.List{at(diag.Error, 2, "third"), at(diag.Error, 0, "first"), at(diag.Error, 0, "second")}
	l.Sort()
	var all diag.List
	require.True(t, errors.As(l.Err(), &all))
	text := all.Error()
	require.False(t, strings.HasSuffix(text, "\n"))
	first, second, third := strings.Index(text, "first"), strings.Index(text, "second"), strings.Index(text, "third")
	require.True(t, 0 <= first && first < second && second < third, text)

	require.NoError(t, diag.List(nil).Err())
	require.NoError(t, diag.List{at(diag.Note, 0, "n"), at(diag.Warning, 0, "w")}.Err(), "remarks are no error")
}

func TestNearest(t *testing.T) {
	keys := []string{"model", "dropout", "data", "train"}
	for word, want := range map[string]string{
		"dorpout": "dropout", "dropuot": "dropout", "dat": "data", "traim": "train",
		"modle": "model", "zzzzz": "", "": "", "d": "",
		strings.Repeat("a", 1<<20): "",
	} {
		require.Equal(t, want, diag.Nearest(word, keys), "%.20q", word)
	}
}
