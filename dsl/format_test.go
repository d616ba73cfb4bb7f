package dsl_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"

	"wrnc/dsl"
)

// TestFormat runs testdata/format/*.txtar: each NAME.in becomes NAME.out, which
// stays as it is.
func TestFormat(t *testing.T) {
	files, err := filepath.Glob("../testdata/format/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		require.NoError(t, err)
		require.Zero(t, len(archive.Files)%2)
		for i := 0; i < len(archive.Files); i += 2 {
			in, out := archive.Files[i], archive.Files[i+1]
			require.Equal(t, strings.TrimSuffix(in.Name, ".in")+".out", out.Name)
			require.Equal(t, string(out.Data), formatted(t, in.Name, string(in.Data)), in.Name)
			require.Equal(t, string(out.Data), formatted(t, out.Name, string(out.Data)), out.Name)
			checkFormat(t, string(in.Data))
		}
	}
}

func formatted(t *testing.T, name, text string) string {
	t.Helper()
	f, err := dsl.Parse(name, []byte(text))
	require.NoError(t, err, text)
	return dsl.Format(f)
}

// checkFormat holds what formatting promises of any text: it is the same
// statements and comments, and formatting it again changes nothing. A text that
// does not parse promises nothing.
func checkFormat(t *testing.T, text string) {
	t.Helper()
	f, err := dsl.Parse("a.wrn", []byte(text))
	if err != nil {
		return
	}
	once := dsl.Format(f)
	again, err := dsl.Parse("b.wrn", []byte(once))
	require.NoError(t, err, once)
	require.Equal(t, outline(f.Statements), outline(again.Statements), once)
	require.Equal(t, comments(text), comments(once))
	require.Equal(t, once, dsl.Format(again), "from %q", text)
}

// outline is statements without their layout.
func outline(statements []*dsl.Statement) string {
	var b strings.Builder
	for _, s := range statements {
		b.WriteString(s.Key + values(s.Values))
		if s.Block != nil {
			b.WriteString(" {" + outline(s.Block.Statements) + "}")
		}
		b.WriteString(";")
	}
	return b.String()
}

func values(list []*dsl.Value) string {
	var b strings.Builder
	for _, v := range list {
		literal := strings.ToLower(strings.NewReplacer(" ", "", "\t", "", "\r", "").Replace(v.Literal))
		fmt.Fprintf(&b, " %s%s%s%s%s", literal, v.String, v.Shape, v.Number, v.Name)
		if v.Args != nil {
			b.WriteString("(" + values(v.Args.Values) + ")")
		}
		if v.List != nil {
			b.WriteString("[" + values(v.List.Values) + "]")
		}
	}
	return b.String()
}

var noComment = regexp.MustCompile(`"[^"\n]*"`)

// comments lists the comments of a text in order, a # in a string left aside.
func comments(text string) []string {
	var found []string
	for line := range strings.Lines(noComment.ReplaceAllString(text, "s")) {
		if _, comment, ok := strings.Cut(strings.TrimRight(line, "\n"), "#"); ok {
			found = append(found, strings.TrimRight(comment, " \t\r"))
		}
	}
	return found
}

// Every text of the test data that parses keeps what formatting promises.
func TestFormatKeepsEverything(t *testing.T) {
	texts := sampleTexts(t)
	require.Greater(t, len(texts), 100)
	for _, text := range texts {
		checkFormat(t, text)
	}
}

// The sample networks show the canonical layout.
func TestSamplesAreFormatted(t *testing.T) {
	nets, err := filepath.Glob("../testdata/nets/*.wrn")
	require.NoError(t, err)
	require.NotEmpty(t, nets)
	for _, file := range nets {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, string(text), formatted(t, file, string(text)), "wrnc fmt -w %s", file)
	}
}

// sampleTexts are the sample networks and the texts of all cases.
func sampleTexts(t testing.TB) []string {
	t.Helper()
	var texts []string
	nets, err := filepath.Glob("../testdata/nets/*.wrn")
	require.NoError(t, err)
	for _, file := range nets {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		texts = append(texts, string(text))
	}
	for _, pattern := range []string{"../testdata/dsl/*.txtar", "../testdata/format/*.txtar"} {
		files, err := filepath.Glob(pattern)
		require.NoError(t, err)
		for _, file := range files {
			archive, err := txtar.ParseFile(file)
			require.NoError(t, err)
			for _, part := range archive.Files {
				texts = append(texts, string(part.Data))
			}
		}
	}
	return texts
}

func FuzzFormat(f *testing.F) {
	for _, text := range sampleTexts(f) {
		f.Add(text)
	}
	f.Fuzz(checkFormat)
}
