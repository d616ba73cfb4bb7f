package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"wrnc/codegen/report/browsertest"
	"wrnc/runtime/cuda/jit"
	"wrnc/runtime/data"
	"wrnc/runtime/live"
	"wrnc/runtime/metrics"
	"wrnc/runtime/train"
)

// words are what a program says, while it says it.
type words struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (w *words) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(p)
}

func (w *words) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

// hear waits for a part of what is said, and returns its groups.
func (w *words) hear(t *testing.T, pattern string) []string {
	t.Helper()
	var found []string
	require.Eventually(t, func() bool {
		found = regexp.MustCompile(pattern).FindStringSubmatch(w.String())
		return found != nil
	}, time.Minute, 5*time.Millisecond, "%s is not said", pattern)
	return found
}

func noInterrupt(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a process cannot interrupt another there")
	}
}

// TestServeChangesNothing requires of a training that is shown all the bits of one
// that is not, and that it ends by an interrupt.
func TestServeChangesNothing(t *testing.T) {
	noInterrupt(t)
	whole := reference(t)
	dir := filepath.Join(t.TempDir(), "shown")
	// show runs wrnc with a page until it has trained, and returns what the page is told.
	show := func(dir string, args []string, meanwhile func()) string {
		var said words
		cmd := exec.Command("wrnctiny", append(args, "--serve", "0")...)
		cmd.Stdout, cmd.Stderr = &said, &said
		require.NoError(t, cmd.Start())
		url := said.hear(t, `live page (http://127\.0\.0\.1:\d+/)\n`)[1]
		said.hear(t, "test error .* kept in .*\nthe live page stays at "+regexp.QuoteMeta(url)+" until Ctrl-C\n$")
		state := string(stateOf(t, url))
		require.Contains(t, state, `"phase":"finished"`)
		require.Contains(t, state, `"folder":"`+dir+`"`)
		meanwhile()
		require.NoError(t, cmd.Process.Signal(os.Interrupt))
		require.NoError(t, cmd.Wait(), "%s", said.String())
		return state
	}
	show(dir, begin(t, dir), func() {
		again, err := exec.Command("wrnctiny", resume(dir)...).CombinedOutput()
		require.NoError(t, err, "the run is free while the page stays: %s", again)
	})
	requireSameRun(t, whole, dir)
	// A run that was not shown can be when it goes on.
	state := show(whole, resume(whole), func() {})
	require.Contains(t, state, `{"epoch":4,`)
	requireSameRun(t, dir, whole)
}

// TestServedPredictions requires that the matrix has as many mistakes as eval counts.
func TestServedPredictions(t *testing.T) {
	noInterrupt(t)
	for _, args := range [][]string{nil, {"--no-fuse"}} {
		p := serve(t, someDigits(96, 50), append([]string{"WRN-10-1", "--epochs", "1", "--batch", "32"}, args...)...)
		p.said.hear(t, "stays at")
		var state struct {
			Epochs []metrics.Epoch
			Test   struct {
				Images, Mistakes int
				Matrix           [][]int
			}
			Facts struct{ Kernels []live.Kernel }
			Times struct{ Kernels []float64 }
		}
		require.NoError(t, json.Unmarshal(p.state(), &state))
		p.interrupt(0)
		require.Equal(t, 50, state.Test.Images)
		require.Equal(t, float64(state.Epochs[0].TestError), 100*float64(state.Test.Mistakes)/50)
		sum, right := 0, 0
		for i, row := range state.Test.Matrix {
			right += row[i]
			for _, n := range row {
				sum += n
			}
		}
		require.Equal(t, []int{50, state.Test.Mistakes}, []int{sum, sum - right})
		require.Len(t, state.Times.Kernels, len(state.Facts.Kernels), "every kernel is timed, and knows what it is for")
		for _, k := range state.Facts.Kernels {
			require.NotEmpty(t, k.Part, k.Name)
		}
	}
}

// TestServeDiverged shows a training that is lost, until Ctrl-C, and then fails.
func TestServeDiverged(t *testing.T) {
	noInterrupt(t)
	p := serve(t, someDigits(64, 20), "WRN-10-1", "--epochs", "4", "--batch", "32", "--lr", "1000")
	p.said.hear(t, "\nthe live page stays at")
	const once = "^wrnc: training diverged: .*\n$"
	require.Regexp(t, once, p.errors.String(), "before the user ends it")
	require.Contains(t, string(p.state()), `"phase":"diverged","error":"training diverged: `)
	p.interrupt(1)
	require.Regexp(t, once, p.errors.String())
}

// TestServeAddresses refuses an address that is in use before any work, and warns
// where others can see the page.
func TestServeAddresses(t *testing.T) {
	noInterrupt(t)
	p := serve(t, someDigits(32, 10), "WRN-10-1", "--epochs", "1", "--batch", "32", "--serve", "0.0.0.0:0")
	p.said.hear(t, "\nwarning: the live page has no password; whoever can reach this address sees the network")
	p.said.hear(t, "stays at")
	_, port, err := net.SplitHostPort(strings.Trim(strings.TrimPrefix(p.url, "http://"), "/"))
	require.NoError(t, err)
	var said, errors words
	require.Equal(t, 1, run([]string{"run", "--train", "digits", "--serve", port}, &said, &errors))
	require.Contains(t, errors.String(), "wrnc: --serve "+port+": listen tcp 127.0.0.1:"+port+": bind: address already in use; take another port, or 0 for any that is free")
	require.Empty(t, said.String())
	p.interrupt(0)
}

// served is a training with a page, in this process.
type served struct {
	t            *testing.T
	url          string
	said, errors *words
	code         chan int
}

// digits are made once for all tests.
var digits = sync.OnceValue(data.Digits)

// someDigits are the first pictures of digits, and of those to test with.
func someDigits(train, test int) *data.Source {
	src := limited(digits(), train)
	rest := *src.Test
	rest.Labels, rest.Images = rest.Labels[:test], rest.Images[:test*rest.H*rest.W*rest.C]
	src.Test = &rest
	return src
}

// serve begins a training on src, at a port that is free unless one is given.
func serve(t *testing.T, src *data.Source, args ...string) *served {
	return serveOn(t, openDriver, src, args...)
}

// serveOn is serve with a way to open GPUs.
func serveOn(t *testing.T, open func(string, int, jit.Options) (gpu, error), src *data.Source, args ...string) *served {
	p := &served{t: t, said: &words{}, errors: &words{}, code: make(chan int, 1)}
	s := newSession(p.said, p.errors)
	s.gpu = open
	s.open = func(dataSet, string, [3]int) (*data.Source, error) { return src, nil }
	if !strings.Contains(strings.Join(args, " "), "--serve") {
		args = append(args, "--serve", "0")
	}
	args = append([]string{"run", "--train", "digits", "--out", filepath.Join(t.TempDir(), "run")}, args...)
	go func() { p.code <- s.run(args) }()
	p.url = p.said.hear(t, `live page (http://\S+)\n`)[1]
	return p
}

// state is all that the page is told.
func (p *served) state() []byte { return stateOf(p.t, p.url) }

func stateOf(t *testing.T, url string) []byte {
	r, err := http.Get(url + "api/state")
	require.NoError(t, err)
	text, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	require.NoError(t, r.Body.Close())
	return text
}

// interrupt ends it as Ctrl-C does.
func (p *served) interrupt(code int) {
	p.t.Helper()
	self, err := os.FindProcess(os.Getpid())
	require.NoError(p.t, err)
	require.NoError(p.t, self.Signal(os.Interrupt))
	require.Equal(p.t, code, <-p.code, "%s%s", p.said, p.errors)
}

// TestLivePage watches a training of two epochs in a browser, and then, on the same
// page, one of a network and classes with hostile names.
func TestLivePage(t *testing.T) {
	noInterrupt(t)
	b := openTab(t, browsertest.Find(t)) // before the training, so as to miss nothing
	p := serve(t, someDigits(448, 100), "WRN-10-1", "--epochs", "2", "--batch", "32")
	b.size(1440, 1000, false)
	b.scheme("light")
	b.call("Page.navigate", map[string]any{"url": p.url})
	b.wait(`document.documentElement?.dataset.ready === '1'`)
	b.wait(`document.getElementById('phase').textContent === 'training'`)
	b.wait(`document.querySelectorAll('#loss path.faint').length === 1`)
	b.wait(`document.getElementById('phase').textContent === 'finished'`)
	clean := func() { require.Nil(t, b.eval(`document.documentElement.dataset.errors`)) }
	clean()

	// What is shown is what was told.
	require.EqualValues(t, 2, b.eval(`document.querySelectorAll('#loss circle.dot').length`))
	require.EqualValues(t, 2, b.eval(`document.querySelectorAll('#errors path.line').length`))
	require.Greater(t, b.eval(`document.querySelector('#loss path.faint').getAttribute('d').split('L').length`), 9.0)
	require.EqualValues(t, 100, b.eval(`[...document.querySelectorAll('#matrix td')].reduce((a, e) => a + Number(e.textContent), 0)`))
	require.EqualValues(t, 100, b.eval(`document.querySelectorAll('#matrix td').length`))
	b.wait(`[...document.querySelectorAll('#pictures img')].filter(e => e.complete && e.naturalWidth === 32).length === 35`)
	require.EqualValues(t, b.eval(`state.test.sample.filter(g => g.guess !== g.truth).length`), b.eval(`document.querySelectorAll('#pictures .wrong').length`))
	require.Equal(t, "WRN-10-1", b.eval(`document.getElementById('model').textContent`))
	require.Equal(t, "77,850 parameters; 12,501,632 multiply-adds an image, forward.", b.eval(`document.getElementById('network-note').textContent`))
	require.Equal(t, "100", b.eval(`document.getElementById('run').getAttribute('aria-valuenow')`))
	tile := `[...document.querySelectorAll('#tiles > div')].find(e => e.textContent.includes('test error')).querySelector('dd').textContent`
	require.Equal(t, p.said.hear(t, `epoch 2/2 .* test error (\S+ %)`)[1], b.eval(tile))
	require.Greater(t, b.eval(`document.querySelectorAll('#kernels tbody tr').length`), 50.0)
	require.Equal(t, false, b.eval(`document.getElementById('kernels').hidden`))
	require.EqualValues(t, 2, b.eval(`document.querySelectorAll('#numbers tbody tr').length`))

	// Hands.
	b.eval(`[...document.querySelectorAll('#network button')].find(e => e.textContent === 'g2').click()`)
	require.Equal(t, "g2.b0.conv1", b.eval(`[...document.querySelectorAll('#network .inner td')].find(e => e.textContent === 'g2.b0.conv1')?.textContent`))
	b.eval(`document.querySelector('[data-list=surest]').click()`)
	b.wait(`[...document.querySelectorAll('#pictures figure')].every(e => e.matches('.wrong'))`)
	b.eval(`document.querySelector('[data-list=sample]').click()`)
	middle := func(selector string) (x, y float64) {
		b.eval(`document.querySelector('` + selector + `').scrollIntoView({ block: 'center' })`)
		at := b.eval(`(r => [r.x + r.width / 2, r.y + r.height / 2])(document.querySelector('` + selector + `').getBoundingClientRect())`).([]any)
		return at[0].(float64), at[1].(float64)
	}
	b.move(middle("#matrix td"))
	require.Regexp(t, `^0: \d+ of 10 are right`, b.eval(`document.getElementById('matrix-cell').textContent`))
	b.move(middle("#errors svg"))
	require.Regexp(t, `^epoch 1training[\d.]+ %test[\d.]+ %$`, b.eval(`document.querySelector('#errors .tip').textContent`))
	b.eval(`document.querySelector('#loss .toggle').click()`)
	require.Equal(t, "true", b.eval(`document.querySelector('#loss .toggle').getAttribute('aria-pressed')`))
	b.eval(`document.querySelector('#loss .toggle').click()`)
	b.move(1, 1)
	b.eval(`scrollTo(0, 0)`)
	clean()

	folder := livePictures(t)
	for _, look := range []struct {
		name, scheme  string
		width, height int
	}{{"wide", "light", 1440, 1000}, {"dark", "dark", 1440, 1000}, {"narrow", "light", 390, 800}} {
		b.size(look.width, look.height, look.width < 500)
		b.scheme(look.scheme)
		b.eval(`new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))`)
		require.LessOrEqual(t, b.eval(`document.documentElement.scrollWidth`), float64(look.width), "%s: nothing sticks out", look.name)
		seen, light := b.photo(filepath.Join(folder, "live-"+look.name+".png"))
		require.Greater(t, seen, 100, look.name)
		require.Equal(t, look.scheme == "light", light, look.name)
	}
	clean()

	// Another run at the same address.
	first := b.eval(`state.run`)
	p.interrupt(0)
	b.wait(`!document.getElementById('gone').hidden`)
	const evil = `<img src=x onerror="hacked=1"><script>hacked=1</script>`
	src := someDigits(64, 40)
	src.Test.Classes = nil
	for i := range 10 {
		src.Test.Classes = append(src.Test.Classes, fmt.Sprintf("%d%s", i, evil))
	}
	address := strings.Trim(strings.TrimPrefix(p.url, "http://"), "/")
	p = serve(t, src, "WRN-10-1", "--epochs", "1", "--batch", "32", "--serve", address)
	b.wait(`document.getElementById('gone').hidden && document.getElementById('phase').textContent === 'finished'`)
	require.NotEqual(t, first, b.eval(`state.run`))
	require.Equal(t, "0"+evil, b.eval(`document.querySelector('#matrix th.column').textContent`))
	require.Equal(t, false, b.eval(`'hacked' in window`))
	require.EqualValues(t, 35, b.eval(`document.images.length`))
	require.EqualValues(t, 1, b.eval(`document.scripts.length`))
	b.photo(filepath.Join(folder, "live-hostile.png"))
	clean()
	p.interrupt(0)

	// A hundred classes are a heat map.
	m := hundred()
	server, err := live.Listen(address)
	require.NoError(t, err)
	server.Serve(m)
	b.wait(`document.getElementById('gone').hidden && document.querySelectorAll('#matrix canvas').length === 1`)
	require.Equal(t, "Epoch 150 of 200 · test 100 % · step 300", b.eval(`document.getElementById('where').textContent`))
	require.Equal(t, "7 mistakes in 100 pictures (7.00 %) after epoch 149. A row is the truth, a column what the network says.", b.eval(`document.getElementById('matrix-note').textContent`))
	b.size(1440, 1000, false)
	x, y := middle("#matrix canvas")
	side := b.eval(`document.querySelector('#matrix canvas').getBoundingClientRect().width / 100`).(float64)
	b.move(x+0.5*side, y+0.5*side) // row and column 50, counted from 0
	require.Equal(t, "class number 50: 1 of 1 are right (100.0 %)", b.eval(`document.getElementById('matrix-cell').textContent`))
	require.EqualValues(t, 149, b.eval(`document.querySelectorAll('#numbers tbody tr').length`))
	require.EqualValues(t, 1, b.eval(`document.querySelectorAll('#network tbody tr').length`), "no layer of the run before")
	b.eval(`scrollTo(0, 0)`)
	b.photo(filepath.Join(folder, "live-hundred.png"))
	clean()
	require.NoError(t, server.Close())
}

// hundred is a run of 200 epochs that tests 100 classes with a picture each, of which
// it takes seven for the next one.
func hundred() *live.Monitor {
	set := &data.Set{H: 32, W: 32, C: 3, Images: make([]byte, 100*32*32*3)}
	var tested train.Tested
	for i := range 100 {
		set.Classes = append(set.Classes, fmt.Sprintf("class number %d", i))
		set.Labels = append(set.Labels, int32(i))
		tested.Index = append(tested.Index, int32(i))
		logits := make([]float32, 100)
		if logits[i] = 2; i%15 == 1 {
			logits[i+1] = 3
		}
		tested.Logits = append(tested.Logits, logits...)
	}
	tested.Labels = set.Labels
	at := time.Unix(0, 0)
	m := live.NewMonitor(set, func() time.Time { at = at.Add(time.Second); return at })
	m.Describe(live.Facts{Model: "WRN-28-10", Data: "hundred", Classes: set.Classes, Epochs: 200, Batch: 4, Images: 8, TestImages: 100})
	for e := 1; ; e++ {
		step := int64(2 * (e - 1))
		m.Begin(train.Stretch{Epoch: e, Step: step, Images: 8, Rate: 0.1})
		for i := range 2 {
			loss := 4 / float64(e+i)
			m.Step(train.Step{Step: step + int64(i) + 1, Images: 4, Done: 4 * (i + 1), Loss: loss, MeanLoss: loss, MeanError: 20 * loss})
		}
		m.Begin(train.Stretch{Epoch: e, Test: true, Step: step + 2, Images: 100, Rate: 0.1})
		m.Tested(tested)
		if e == 150 {
			return m
		}
		m.Epoch(metrics.Epoch{Epoch: e, Step: step + 2, LR: 0.1, TrainLoss: metrics.Number(4 / float64(e)), TrainError: metrics.Number(80 / e), TestError: 7, ImagesPerSecond: 4, Seconds: 102})
	}
}

// livePictures is the folder for screenshots: WRNC_PICTURES, or one that goes away.
func livePictures(t *testing.T) string {
	if dir := os.Getenv("WRNC_PICTURES"); dir != "" {
		require.NoError(t, os.MkdirAll(dir, 0o777))
		return dir
	}
	return t.TempDir()
}
