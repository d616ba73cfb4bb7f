package report_test

import (
	"bytes"
	"encoding/xml"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wrnc/codegen/report/browsertest"

	"github.com/stretchr/testify/require"
)

// visit opens a file in a browser without a window and returns what it prints.
func visit(t *testing.T, chromium, file, fragment string, flags ...string) []byte {
	t.Helper()
	address := url.URL{Scheme: "file", Path: file, Fragment: fragment}
	return browsertest.Visit(t, chromium, address.String(), flags...)
}

// parseDOM reads what --dump-dom prints: HTML, whose void elements are not closed.
func parseDOM(t *testing.T, dom string) *element {
	t.Helper()
	dom = without(t, without(t, dom, "style"), "script")
	d := xml.NewDecoder(strings.NewReader(dom))
	d.Strict, d.AutoClose, d.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	var strict bytes.Buffer // the same as XML
	e := xml.NewEncoder(&strict)
	for {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		if _, ok := token.(xml.Directive); ok {
			continue
		}
		if start, ok := token.(xml.StartElement); ok {
			start.Name.Space = ""
			for i := range start.Attr {
				start.Attr[i].Name.Space = ""
			}
			token = start
		}
		if end, ok := token.(xml.EndElement); ok {
			end.Name.Space = ""
			token = end
		}
		require.NoError(t, e.EncodeToken(token))
	}
	require.NoError(t, e.Close())
	return parse(t, strict.String())
}

// TestBrowser selects fusions of a report by the address and looks at what the
// browser shows.
func TestBrowser(t *testing.T) {
	chromium := browsertest.Find(t)
	b := small(t)
	file := filepath.Join(t.TempDir(), "report.html")
	require.NoError(t, os.WriteFile(file, []byte(write(t, b)), 0o666))

	// load opens the page and holds it to what every page must be.
	load := func(t *testing.T, fragment string) *element {
		root := parseDOM(t, string(visit(t, chromium, file, fragment, "--window-size=1400,1000", "--dump-dom"))).all("html", "")[0]
		require.Equal(t, "", root.attrs["data-errors"])
		require.Equal(t, "1", root.attrs["data-ready"], "the script did not reach its end")
		return root
	}
	t.Run("fusion", func(t *testing.T) {
		const layer = "g1.b0.conv1.dgrad"
		root := load(t, "train/"+layer)
		shown := root.all("article", "on")
		require.Len(t, shown, 1)
		require.Equal(t, "train/"+layer, shown[0].attrs["id"])

		f, fn := b.Module.Func("train"), b.Functions[0]
		texts, _ := f.Pieces()
		from := map[string]bool{}
		for i, n := range f.Nodes {
			if n.Layer != layer {
				continue
			}
			require.Equal(t, texts[i], shown[0].all("pre", "ir")[0].text)
			for _, v := range n.Args {
				if v.Node != nil {
					from[v.Node.Layer] = true
				}
			}
		}
		var kernels int
		for i, k := range fn.Plan.Kernels {
			if k.Region == layer {
				kernels++
				filled := shown[0].all("div", "filled")
				require.Len(t, filled, 1)
				require.Equal(t, fn.Sources[i].Text, filled[0].all("pre", "")[0].text)
			}
		}
		require.Equal(t, 1, kernels)

		got := map[string]bool{}
		for _, e := range root.all("a", "source") {
			got[strings.TrimPrefix(e.attrs["href"], "#train/")] = true
		}
		require.Equal(t, from, got)
		hot := root.all("a", "hot")
		require.Len(t, hot, 1)
		require.Equal(t, "#train/"+layer, hot[0].attrs["href"])
		require.NotEmpty(t, root.all("rect", "r"), "what it reads is marked in the chart of memory")
		require.NotEmpty(t, root.all("rect", "w"))
		for _, s := range root.all("section", "function") {
			_, hidden := s.attrs["hidden"]
			require.Equal(t, s.attrs["id"] != "train", hidden)
		}
	})
	t.Run("function", func(t *testing.T) {
		root := load(t, "infer")
		require.Empty(t, root.all("article", "on"))
		for _, s := range root.all("section", "function") {
			_, hidden := s.attrs["hidden"]
			require.Equal(t, s.attrs["id"] != "infer", hidden)
		}
	})
	t.Run("text", func(t *testing.T) {
		for _, d := range load(t, "text:3").all("details", "") {
			if d.attrs["id"] == "text:3" {
				require.Contains(t, d.attrs, "open")
			}
		}
	})
	t.Run("nonsense", func(t *testing.T) {
		require.Empty(t, load(t, "train/nothing").all("article", "on"))
	})
	t.Run("hands", func(t *testing.T) {
		frame := filepath.Join(filepath.Dir(file), "frame.html")
		require.NoError(t, os.WriteFile(frame, []byte(hands), 0o666))
		dom := string(visit(t, chromium, frame, "", "--allow-file-access-from-files", "--dump-dom"))
		_, said, _ := strings.Cut(dom, "<pre>")
		said, _, _ = strings.Cut(said, "</pre>")
		require.Equal(t, "all is well", said)
	})
	t.Run("picture", func(t *testing.T) {
		for _, c := range []struct {
			name, size string
			flags      []string
		}{
			{"wide", "1400,1000", nil},
			{"narrow", "420,900", nil},
			{"dark", "1400,1000", []string{"--blink-settings=preferredColorScheme=0"}},
		} {
			picture := filepath.Join(pictures(t), c.name+".png")
			visit(t, chromium, file, "train", append(c.flags, "--window-size="+c.size, "--screenshot="+picture)...)
			seen, light := browsertest.Look(t, picture)
			require.Greater(t, seen, 100, "%s: the picture has hardly any colours", c.name)
			require.Equal(t, c.name != "dark", light, c.name)
		}
	})
}

// hands is a page that uses the report beside it as a reader does, and says what
// went otherwise than it should.
const hands = `<!doctype html>
<pre>nothing happened</pre>
<iframe src="report.html" width="1400" height="900"></iframe>
<script>
const wrong = [];
const hold = (what, ok) => { if (!ok) wrong.push(what); };
addEventListener('load', () => {
  try { use(document.querySelector('iframe').contentWindow); } catch (e) { wrong.push(String(e)); }
  document.querySelector('pre').textContent = wrong.join('; ') || 'all is well';
});
function use(w) {
  const d = w.document;
  const on = () => d.querySelector('article.on')?.id;
  const box = id => d.querySelector('.box[href="#' + id + '"]');
  const key = (at, k) => at.dispatchEvent(new w.KeyboardEvent('keydown', { key: k, bubbles: true, cancelable: true }));
  const over = (at, kind) => at.dispatchEvent(new w.MouseEvent(kind, { bubbles: true }));
  hold('nothing is selected at first', on() === undefined);
  hold('train is shown at first', !d.getElementById('train').hidden && d.getElementById('eval').hidden);

  box('train/g1.b0.conv1').click();
  hold('a click selects', on() === 'train/g1.b0.conv1');
  hold('the address follows', w.location.hash === '#train/g1.b0.conv1');
  hold('the box is marked', box('train/g1.b0.conv1').getAttribute('aria-current') === 'true');
  hold('its text is there', d.querySelector('article.on .filled pre').textContent.includes('WRNC_KERNEL('));

  over(box('train/g1.b0.conv2'), 'mouseover');
  hold('pointing marks', box('train/g1.b0.conv2').matches('.hot') && box('train/g1.b0.conv1').matches('.source'));
  hold('pointing selects nothing', on() === 'train/g1.b0.conv1');
  d.querySelector('#train .graph').dispatchEvent(new w.MouseEvent('mouseleave'));
  hold('what is selected is marked again', box('train/g1.b0.conv1').matches('.hot') && box('train/g1.b0.conv2').matches('.reader'));

  box('train/g1.b0.conv1').focus();
  key(box('train/g1.b0.conv1'), 'ArrowDown');
  hold('an arrow goes on', on() === 'train/g1.b0.conv2' && d.activeElement === box('train/g1.b0.conv2'));
  box('train/g1.b0.conv2').click(); // without a pointer, as by Enter
  hold('Enter goes into the panel', d.activeElement.matches('#train .panel'));
  key(d.activeElement, 'Escape');
  hold('Escape comes back', d.activeElement === box('train/g1.b0.conv2') && on() === 'train/g1.b0.conv2');
  key(d.activeElement, 'Escape');
  hold('Escape closes', on() === undefined && w.location.hash === '#train');

  const bar = d.querySelector('#train .arena a');
  over(bar.firstElementChild, 'mouseover');
  hold('a bar of memory marks its fusion', d.querySelector('#train .box.hot').getAttribute('href') === bar.getAttribute('href'));
  bar.dispatchEvent(new w.MouseEvent('click', { bubbles: true, cancelable: true }));
  hold('a bar of memory selects', '#' + on() === bar.getAttribute('href'));

  d.querySelector('.tabs a[href="#eval"]').click();
  hold('a tab shows its function', !d.getElementById('eval').hidden && d.getElementById('train').hidden);
  d.querySelector('#eval .tall code').closest('a').click();
  hold('a text opens', d.querySelectorAll('.texts details[open]').length === 1);
  d.querySelector('#eval .tall tbody a').click();
  hold('a kernel of the table selects', on().startsWith('eval/'));
  hold('no errors: ' + d.documentElement.dataset.errors, d.documentElement.dataset.errors === undefined);
}
</script>
`

// pictures is the folder for screenshots: WRNC_PICTURES, or one that goes away.
func pictures(t *testing.T) string {
	if dir := os.Getenv("WRNC_PICTURES"); dir != "" {
		require.NoError(t, os.MkdirAll(dir, 0o777))
		return dir
	}
	return t.TempDir()
}
