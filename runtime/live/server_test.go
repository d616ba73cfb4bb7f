package live

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image/png"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"wrnc/runtime/data"
	"wrnc/runtime/train"
)

// pictures is a test set of n pictures, 3 wide and 2 high, of three classes.
func pictures(n, channels int) *data.Set {
	s := &data.Set{Name: "tiny test", Classes: []string{"a", "b", "c"}, H: 2, W: 3, C: channels, Images: make([]byte, n*6*channels)}
	for i := range n {
		s.Labels = append(s.Labels, int32(i%3))
	}
	for i := range s.Images {
		s.Images[i] = byte(7 * i)
	}
	return s
}

func monitor() *Monitor { return NewMonitor(pictures(30, 3), time.Now) }

// quick are limits that a test can wait for.
func quick() limits {
	l := usualLimits()
	l.interval, l.read, l.write, l.close = 5*time.Millisecond, 300*time.Millisecond, 300*time.Millisecond, 300*time.Millisecond
	return l
}

// serving is a server that ends with the test.
func serving(t *testing.T, m *Monitor, l limits) *Server {
	s, err := listen("0", l)
	require.NoError(t, err)
	s.Serve(m)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// ask asks a handler, as a browser at the address itself would.
func ask(h http.Handler, method, path string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	r.Host = "127.0.0.1:8080"
	for _, c := range change {
		c(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func handler(t *testing.T, m *Monitor) http.Handler {
	s, err := Listen("0")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s.handler(m)
}

func TestPage(t *testing.T) {
	w := ask(handler(t, monitor()), "GET", "/")
	require.Equal(t, 200, w.Code)
	require.Equal(t, "text/html; charset=utf-8", w.Header().Get("Content-Type"))
	text := w.Body.String()
	require.NotContains(t, text, "{{")
	// Nothing from elsewhere, no script in attributes, no HTML made of text.
	// The namespace of SVG is a name, and the icon has it.
	bare := strings.ReplaceAll(text, "http://www.w3.org/2000/svg", "")
	for _, never := range []string{"http:", "https:", "@import", "url(", "//cdn", " src=", "innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(", "onclick", "onerror="} {
		require.NotContains(t, bare, never)
	}
	require.Equal(t, 1, strings.Count(text, "<script>"))
	require.Equal(t, 1, strings.Count(text, "</script>"))
	for _, part := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'", "connect-src 'self'"} {
		require.Contains(t, w.Header().Get("Content-Security-Policy"), part)
	}
	require.NotContains(t, w.Header().Get("Content-Security-Policy"), "unsafe")
	require.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
	require.Equal(t, "same-origin", w.Header().Get("Cross-Origin-Resource-Policy"))
	require.Empty(t, w.Header().Get("Access-Control-Allow-Origin"))
}

func TestState(t *testing.T) {
	m := monitor()
	const evil = "</script><img src=x onerror=alert(1)>\u2028\x00\xff"
	m.Describe(Facts{Model: evil, Classes: []string{evil}, Seed: 1<<64 - 1})
	w := ask(handler(t, m), "GET", "/api/state")
	require.Equal(t, 200, w.Code)
	require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	require.NotContains(t, w.Body.String(), "<")
	var state struct {
		Run, Page string
		Facts     Facts
		Now       progress
	}
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &state))
	require.Equal(t, strings.TrimSuffix(evil, "\xff")+"\ufffd", state.Facts.Model)
	require.EqualValues(t, uint64(1<<64-1), state.Facts.Seed)
	require.Equal(t, Preparing, state.Now.Phase)
	require.Positive(t, state.Now.Process)
	require.NotEmpty(t, state.Run)
	require.Equal(t, pageHash, state.Page)
}

func TestPictures(t *testing.T) {
	for _, channels := range []int{1, 3} {
		set := pictures(30, channels)
		h := handler(t, NewMonitor(set, time.Now))
		w := ask(h, "GET", "/api/picture/29?0123")
		require.Equal(t, 200, w.Code)
		require.Equal(t, "image/png", w.Header().Get("Content-Type"))
		img, err := png.Decode(w.Body)
		require.NoError(t, err)
		require.Equal(t, []int{set.W, set.H}, []int{img.Bounds().Dx(), img.Bounds().Dy()})
		for p, want := range slices.Collect(slices.Chunk(set.Image(29), channels)) {
			r, g, b, a := img.At(p%set.W, p/set.W).RGBA()
			require.Equal(t, []uint32{uint32(want[0]), uint32(want[channels/2]), uint32(want[channels-1]), 255}, []uint32{r >> 8, g >> 8, b >> 8, a >> 8})
		}
	}
	h := handler(t, monitor())
	for _, none := range []string{"30", "-1", "+1", "01", "1e1", "0x1", "", "1/", "9223372036854775808", "%31%00", "..%2fstate", "１"} {
		require.Equal(t, 404, ask(h, "GET", "/api/picture/"+none).Code, none)
	}
}

func TestRoutes(t *testing.T) {
	h := handler(t, monitor())
	for _, path := range []string{"/", "/api/state", "/api/events", "/api/picture/0"} {
		w := ask(h, "HEAD", path)
		require.Equal(t, 200, w.Code, path)
		for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"} {
			w := ask(h, method, path)
			require.Equal(t, 405, w.Code, "%s %s", method, path)
			require.Equal(t, "GET, HEAD", w.Header().Get("Allow"))
			require.Equal(t, "text/plain; charset=utf-8", w.Header().Get("Content-Type"))
		}
	}
	for _, path := range []string{"/index.html", "/api", "/api/", "/api/state/", "/favicon.ico", "/api/picture", "/%2e%2e/etc/passwd", "/debug/pprof/"} {
		w := ask(h, "GET", path)
		require.Equal(t, 404, w.Code, path)
		require.Equal(t, "text/plain; charset=utf-8", w.Header().Get("Content-Type"))
	}
}

func TestGuard(t *testing.T) {
	h := handler(t, monitor())
	host := func(name string) func(*http.Request) { return func(r *http.Request) { r.Host = name } }
	from := func(site string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", site) }
	}
	require.Equal(t, 403, ask(h, "GET", "/api/state", host("evil.example:8080")).Code)
	require.Contains(t, ask(h, "GET", "/", host("evil.example")).Body.String(), `this is not "evil.example"; use the address that wrnc printed`)
	require.Equal(t, 200, ask(h, "GET", "/", from("none")).Code)
	require.Equal(t, 200, ask(h, "GET", "/", from("cross-site")).Code, "a link to the page")
	require.Equal(t, 200, ask(h, "GET", "/api/state", from("same-origin")).Code)
	for _, path := range []string{"/api/state", "/api/events", "/api/picture/0"} {
		require.Equal(t, 403, ask(h, "GET", path, from("cross-site")).Code)
		require.Equal(t, 403, ask(h, "GET", path, from("same-site")).Code, "another port of this machine")
	}
	for _, length := range []int64{1, 1 << 40, -1} { // -1: in chunks, of who knows what length
		w := ask(h, "GET", "/api/state", func(r *http.Request) { r.ContentLength = length })
		require.Equal(t, 413, w.Code)
		require.Equal(t, "close", w.Header().Get("Connection"))
	}
}

func TestHosts(t *testing.T) {
	own, err := os.Hostname()
	require.NoError(t, err)
	names := namesOf("gpu.example")
	for _, ok := range []string{"127.0.0.1", "127.0.0.1:1", "localhost", "LOCALHOST:8080", "localhost.", "[::1]", "[::1]:8080", "192.168.1.7:80", "gpu.example:80", own} {
		require.True(t, names.permits(ok), ok)
	}
	for _, bad := range []string{"", ":80", "evil.example", "evil.example:80", "localhost.evil.example", "127.0.0.1.evil.example", "[evil.example]", "127.1", "0x7f.1", "local host"} {
		require.False(t, names.permits(bad), bad)
	}
	require.False(t, namesOf(loopback).permits("gpu.example"))
}

func TestAddresses(t *testing.T) {
	for text, want := range map[string][2]string{
		"8080": {"127.0.0.1", "8080"}, ":8080": {"127.0.0.1", "8080"}, "0": {"127.0.0.1", "0"}, "localhost:80": {"localhost", "80"},
		"0.0.0.0:8080": {"0.0.0.0", "8080"}, "[::]:1": {"::", "1"},
	} {
		host, port, err := parseAddress(text)
		require.NoError(t, err, text)
		require.Equal(t, want, [2]string{host, port})
	}
	for _, text := range []string{"", ":", "x", "65536", "-1", "+80", "08", "localhost", "localhost:", "localhost:http", "::1", "1:2:3", "http://localhost:80"} {
		require.ErrorContains(t, CheckAddress(text), "expected a port from 0 to 65535", text)
	}
	s, err := Listen("0")
	require.NoError(t, err)
	require.False(t, s.Exposed())
	require.Regexp(t, `^http://127\.0\.0\.1:\d+/$`, s.URL())
	_, err = Listen(strings.TrimSuffix(strings.TrimPrefix(s.URL(), "http://"), "/"))
	require.ErrorContains(t, err, "address already in use")
	require.NoError(t, s.Close(), "one that has served nothing")
	s, err = Listen("0.0.0.0:0")
	require.NoError(t, err)
	require.True(t, s.Exposed())
	own, err := os.Hostname()
	require.NoError(t, err)
	require.Contains(t, s.URL(), "http://"+own+":")
	require.NoError(t, s.Close())
}

// stream is a reader of events.
type stream struct {
	t    *testing.T
	body io.ReadCloser
	in   *bufio.Reader
}

func follow(t *testing.T, s *Server) *stream {
	r, err := http.Get(s.URL() + "api/events")
	require.NoError(t, err)
	require.Equal(t, 200, r.StatusCode)
	require.Equal(t, "text/event-stream", r.Header.Get("Content-Type"))
	t.Cleanup(func() { _ = r.Body.Close() })
	return &stream{t, r.Body, bufio.NewReader(r.Body)}
}

// next reads an event, or a comment, which has no kind.
func (s *stream) next() (kind string, parts map[string]json.RawMessage, err error) {
	for {
		line, err := s.in.ReadString('\n')
		if err != nil {
			return "", nil, err
		}
		switch key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": "); key {
		case "event":
			kind = value
		case "data":
			require.NoError(s.t, json.Unmarshal([]byte(value), &parts))
		case "retry":
		default:
			return kind, parts, nil
		}
	}
}

func keys(parts map[string]json.RawMessage) []string {
	var names []string
	for k := range parts {
		names = append(names, k)
	}
	slices.Sort(names)
	return names
}

func TestEvents(t *testing.T) {
	m := monitor()
	l := quick()
	l.quiet = 50 * time.Millisecond
	s, err := listen("0", l)
	require.NoError(t, err)
	s.Serve(m)
	events := follow(t, s)
	kind, parts, err := events.next()
	require.NoError(t, err)
	require.Equal(t, "all", kind)
	require.Equal(t, []string{"epochs", "facts", "loss", "now", "page", "run", "speeds", "test", "times"}, keys(parts))

	begun := time.Now()
	for range 14 { // longer than a request may take
		kind, parts, err = events.next()
		require.NoError(t, err)
		require.Empty(t, kind, "nothing is new: %v", parts)
	}
	require.Greater(t, time.Since(begun), l.read)

	m.Begin(train.Stretch{Epoch: 1, Images: 40})
	m.Step(train.Step{Step: 1, Images: 4, Done: 4, Loss: 2})
	got := map[string]json.RawMessage{}
	for got["loss"] == nil {
		kind, parts, err = events.next()
		require.NoError(t, err)
		if kind == "" {
			continue
		}
		require.Equal(t, "change", kind)
		for k, v := range parts {
			got[k] = v
		}
	}
	require.Equal(t, []string{"loss", "now", "speeds"}, keys(got), "and no other part")
	require.JSONEq(t, `[{"at":0.1,"value":2}]`, string(got["loss"]))

	m.End(context.Canceled)
	require.NoError(t, s.Close())
	var last progress
	for {
		_, parts, err = events.next()
		if err != nil {
			break
		}
		if parts["now"] != nil {
			require.NoError(t, json.Unmarshal(parts["now"], &last))
		}
	}
	require.ErrorIs(t, err, io.EOF, "the stream ends in order")
	require.Equal(t, Stopped, last.Phase, "after the last word")
	_, err = http.Get(s.URL())
	require.Error(t, err)
}

// TestThrottle requires that a training of quick steps is told of in few events, the
// last of which has the last step.
func TestThrottle(t *testing.T) {
	m := monitor()
	l := quick()
	l.interval = 50 * time.Millisecond
	s := serving(t, m, l)
	events := follow(t, s)
	m.Begin(train.Stretch{Epoch: 1, Images: 1e6})
	const steps = 20000
	begun := time.Now()
	for i := range int64(steps) {
		m.Step(train.Step{Step: i + 1, Images: 1, Done: int(i) + 1, Loss: 1})
		if i%1000 == 0 {
			time.Sleep(5 * time.Millisecond)
		}
	}
	var now progress
	count := 0
	for now.Step < steps {
		_, parts, err := events.next()
		require.NoError(t, err)
		count++
		require.NoError(t, json.Unmarshal(parts["now"], &now))
	}
	require.LessOrEqual(t, count, 3+int(time.Since(begun)/l.interval))
}

// TestSlowReader drops one who takes nothing, while the training goes on.
func TestSlowReader(t *testing.T) {
	m := monitor()
	s := serving(t, m, quick())
	c, err := net.Dial("tcp", s.listener.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.(*net.TCPConn).SetReadBuffer(4096))
	_, err = io.WriteString(c, "GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return len(s.readers) == 1 }, 5*time.Second, time.Millisecond)
	facts := Facts{Model: strings.Repeat("x", 1<<20)}
	longest := time.Duration(0)
	require.Eventually(t, func() bool {
		begun := time.Now()
		m.Describe(facts)
		longest = max(longest, time.Since(begun))
		return len(s.readers) == 0
	}, 20*time.Second, 5*time.Millisecond, "it is dropped")
	require.Less(t, longest, quick().write, "nobody waits for it")
}

func TestManyReaders(t *testing.T) {
	l := quick()
	l.readers = 3
	s := serving(t, monitor(), l)
	var open []*stream
	for range l.readers {
		open = append(open, follow(t, s))
	}
	r, err := http.Get(s.URL() + "api/events")
	require.NoError(t, err)
	text, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	require.NoError(t, r.Body.Close())
	require.Equal(t, 503, r.StatusCode)
	require.Equal(t, "5", r.Header.Get("Retry-After"))
	require.Equal(t, "3 pages are open, and no more are served; close one\n", string(text))
	require.NoError(t, open[0].body.Close())
	require.Eventually(t, func() bool { return len(s.readers) == l.readers-1 }, 5*time.Second, time.Millisecond)
	_, _, err = follow(t, s).next()
	require.NoError(t, err)
}

func TestManyConnections(t *testing.T) {
	l := quick()
	l.connections, l.read, l.idle = 4, 10*time.Second, 10*time.Second
	s := serving(t, monitor(), l)
	dial := func() net.Conn {
		c, err := net.Dial("tcp", s.listener.Addr().String())
		require.NoError(t, err)
		t.Cleanup(func() { _ = c.Close() })
		require.NoError(t, c.SetDeadline(time.Now().Add(5*time.Second)))
		return c
	}
	// works tells whether a connection is answered.
	works := func(c net.Conn) bool {
		if _, err := io.WriteString(c, "HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			return false
		}
		line, err := bufio.NewReader(c).ReadString('\n')
		return err == nil && strings.HasPrefix(line, "HTTP/1.1 200")
	}
	var held []net.Conn
	for range l.connections {
		held = append(held, dial())
		require.True(t, works(held[len(held)-1]))
	}
	require.False(t, works(dial()), "one more is closed")
	require.NoError(t, held[0].Close())
	require.Eventually(t, func() bool { return works(dial()) }, 5*time.Second, 10*time.Millisecond)
}

func TestHostileRequests(t *testing.T) {
	s := serving(t, monitor(), quick())
	// said is all that the server answers to a text before it ends the connection.
	said := func(text string) string {
		c, err := net.Dial("tcp", s.listener.Addr().String())
		require.NoError(t, err)
		defer c.Close()
		require.NoError(t, c.SetDeadline(time.Now().Add(5*time.Second)))
		_, _ = io.WriteString(c, text) // it may be cut off in the middle
		answer, err := io.ReadAll(c)
		if err != nil {
			require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "the connection is held")
		}
		return string(answer)
	}
	require.Contains(t, said("GET / HTTP/1.1\r\nHost: localhost\r\nX: "+strings.Repeat("x", 64<<10)+"\r\n\r\n"), "431 Request Header Fields Too Large")
	require.Contains(t, said("GET /"+strings.Repeat("x", 64<<10)+" HTTP/1.1\r\nHost: localhost\r\n\r\n"), "431 ")
	require.Contains(t, said("GET / HTTP/1.1\r\n\r\n"), "400 Bad Request: missing required Host header")
	require.Contains(t, said("GET / HTTP/1.0\r\n\r\n"), "403 Forbidden")
	require.Contains(t, said("nonsense\r\n\r\n"), "400 Bad Request")
	require.Contains(t, said("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), "400 Bad Request")
	require.Contains(t, said("GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\nx"), "413 Request Entity Too Large")
	require.Contains(t, said("GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n"), "413 Request Entity Too Large")
	require.NotContains(t, said("GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow:"), "200", "a request that never ends")
	require.Contains(t, said("CONNECT evil.example:443 HTTP/1.1\r\nHost: localhost\r\n\r\n"+"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"), "HTTP/1.1 40")

	r, err := http.Get(s.URL())
	require.NoError(t, err)
	require.NoError(t, r.Body.Close())
	require.Equal(t, 200, r.StatusCode, "it serves on")
}

// TestReadersDuringChanges is for the race detector.
func TestReadersDuringChanges(t *testing.T) {
	m := monitor()
	s := serving(t, m, quick())
	m.Describe(Facts{Epochs: 50, Images: 8, TestImages: 2, Batch: 4})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for e := range 50 {
			trainEpoch(m, e+1)
			time.Sleep(time.Millisecond)
		}
		m.End(nil)
	}()
	events := follow(t, s)
	for {
		_, parts, err := events.next()
		require.NoError(t, err)
		var now progress
		if parts["now"] != nil {
			require.NoError(t, json.Unmarshal(parts["now"], &now))
		}
		if now.Phase == Finished {
			break
		}
		for _, path := range []string{"api/state", "api/picture/1"} {
			r, err := http.Get(s.URL() + path)
			require.NoError(t, err)
			_, err = io.Copy(io.Discard, r.Body)
			require.NoError(t, err)
			require.NoError(t, r.Body.Close())
		}
	}
	<-done
	var state map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(bytes.TrimSpace(ask(s.handler(m), "GET", "/api/state").Body.Bytes()), &state))
	require.Contains(t, string(state["epochs"]), fmt.Sprintf(`"epoch":%d,`, 50))
}
