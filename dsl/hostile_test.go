package dsl_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"

	"wrnc/dsl"
)

// TestHostileTexts gives Load what nobody writes: it answers with one clear
// error of bounded size, in bounded time.
func TestHostileTexts(t *testing.T) {
	const mega = 1 << 20
	nested := "model " + strings.Repeat("a {", 400)
	for name, c := range map[string]struct{ text, want string }{
		"10 MB of brackets":   {strings.Repeat("{", 10*mega), "h.wrn: the file has 10485760 bytes; a network file has at most 1048576"},
		"1 MB of braces":      {strings.Repeat("{", mega), "words and signs"},
		"1 MB of parentheses": {"model a" + strings.Repeat("(", 60000), "brackets are nested deeper than 16"},
		"nested blocks":       {nested, "brackets are nested deeper than 16"},
		"1 MB of newlines":    {strings.Repeat("\n", mega), "words and signs"},
		"one long name":       {"model " + strings.Repeat("W", mega-6), "is no network's name"},
		"one long literal":    {"model WRN-16-8-" + strings.Repeat("B(", 20000), "nested deeper"},
		"one long depth":      {"model WRN-" + strings.Repeat("9", mega/2) + "-1", "above 1300"},
		"many kernels":        {"model WRN-16-1-B(" + strings.Repeat("3,", mega/4) + "3)", "convolutions; a block has 1 to 4"},
		"one long string":     {`model WRN-16-8;data svhn "` + strings.Repeat("x", mega/2), "not closed"},
		"many unknown keys":   {"model WRN-16-8\n" + strings.Repeat("a;", 20000), "and 19900 more mistakes"},
		"many bad lines":      {strings.Repeat("5\n", 20000), `unexpected "5"`},
		"many strays":         {strings.Repeat("?\n", 20000), `unexpected "?"`},
		"many layers":         {"model g { input 8x8x3; layers { " + strings.Repeat("bn;", 20000) + "linear classes } }", "33 layers in a row"},
		"many wrong layers":   {"model g { input 8x8x3; layers { " + strings.Repeat("conv;", 20000) + "} }", "and 19900 more mistakes"},
		"groups in groups":    {"model g { input 8x8x3; layers { " + strings.Repeat("group 9 width 9 { branch { ", 40), "brackets are nested deeper than 16"},
		"many options":        {"model g { input 8x8x3; layers { conv 3x3 4 " + strings.Repeat("pad 1 ", 10000) + "} }", "and 9899 more mistakes"},
		"billions":            {"model g { input 9999999999x9999999999x9999999999; layers { group 9999999999 width 9999999999 { branch { conv 99999999999x99999999999 9999999999 } } } }", "is out of range"},
		"binary":              {"\x7fELF\x02\x01\x01\x00\x00", "h.wrn: this is no text: byte 7 is 0x00"},
		"Latin-1":             {"model WRN-16-8 # \xe9", "byte 17 is 0xe9"},
		"UTF-16":              {"\xff\xfem\x00", "byte 0 is 0xff"},
		"a zero byte":         {"model WRN-16-8\x00", "byte 14 is 0x00"},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			_, err := dsl.Load("h.wrn", []byte(c.text))
			require.ErrorContains(t, err, c.want)
			require.Less(t, len(err.Error()), 100_000, "the message is bounded")
			require.Less(t, time.Since(start), 20*time.Second)
		})
	}
}

// TestOddButLegal holds what editors and other systems leave in a file.
func TestOddButLegal(t *testing.T) {
	for name, text := range map[string]string{
		"byte order mark":      "\ufeffmodel WRN-16-8",
		"carriage returns":     "model WRN-16-8\r\ndropout 0.4\r\n",
		"no newline at end":    "model WRN-16-8",
		"comment at the end":   "model WRN-16-8 #",
		"accents in a comment": "# é ü 模型\nmodel WRN-16-8",
	} {
		n, err := dsl.Load("a.wrn", []byte(text))
		require.NoError(t, err, name)
		require.Equal(t, "WRN-16-8", n.Name, name)
	}
}

// checkRewritten requires what Expand and Show write of a network to be the same
// layers, and to be formatted.
func checkRewritten(t *testing.T, n *dsl.Network) {
	t.Helper()
	want, err := n.Unroll()
	if err != nil { // a name whose classes or input do not fit is refused here
		return
	}
	for what, write := range map[string]func() (string, error){"expand": n.Expand, "show": n.Show} {
		text, err := write()
		require.NoError(t, err, what)
		again, err := dsl.Load("again.wrn", []byte(text))
		require.NoError(t, err, "%s: %s", what, text)
		got, err := again.Unroll()
		require.NoError(t, err, "%s: %s", what, text)
		require.Len(t, got, len(want), "%s: %s", what, text)
		for i := range want {
			a, b := want[i], got[i]
			require.Equal(t, [2]any{a.Name, a.Out}, [2]any{b.Name, b.Out}, "%s: %s", what, text)
			require.Equal(t, [5]any{a.Kernel, a.Stride, a.Pad, a.Drop, a.BiasStart}, [5]any{b.Kernel, b.Stride, b.Pad, b.Drop, b.BiasStart}, "%s: %s", what, text)
		}
		f, err := dsl.Parse("again.wrn", []byte(text))
		require.NoError(t, err)
		require.Equal(t, text, dsl.Format(f))
	}
}

func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("../testdata/dsl/*.txtar")
	require.NoError(f, err)
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		require.NoError(f, err)
		for _, part := range archive.Files {
			f.Add(part.Data)
		}
	}
	nets, err := filepath.Glob("../testdata/nets/*.wrn")
	require.NoError(f, err)
	for _, file := range nets {
		text, err := os.ReadFile(file)
		require.NoError(f, err)
		f.Add(text)
	}
	f.Add([]byte("model WRN-1003-2-B(3)")) // has the most blocks: a convolution each
	f.Fuzz(func(t *testing.T, text []byte) {
		if _, err := dsl.FromName(string(text)); err != nil {
			require.NotEmpty(t, err.Error())
		}
		n, err := dsl.Load("f.wrn", text)
		if err != nil {
			require.NotEmpty(t, err.Error())
			return
		}
		require.NotEmpty(t, describe(n))
		checkRewritten(t, n)
		if n.Family == dsl.Layered {
			return
		}
		require.Len(t, n.Widths(), len(n.Groups())+1)
		for g, blocks := range n.Groups() {
			require.Positive(t, blocks)
			require.Positive(t, n.Inner(g+1))
		}
		again, err := dsl.FromName(n.Name)
		require.True(t, err != nil || again.Name == n.Name, "a canonical name means itself")
	})
}
