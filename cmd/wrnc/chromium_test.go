package main

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"os"
	"os/exec"
	"testing"
	"time"

	"wrnc/codegen/report/browsertest"

	"github.com/stretchr/testify/require"
)

// tab is a page in a Chromium without a window, driven by its DevTools protocol over
// a pair of pipes: JSON objects, each with a zero byte after it.
type tab struct {
	t       *testing.T
	out     *os.File
	in      *bufio.Reader
	session string
	calls   int
}

// openTab starts a browser, which ends with the test.
func openTab(t *testing.T, chromium string) *tab {
	theirIn, ourOut, err := os.Pipe()
	require.NoError(t, err)
	ourIn, theirOut, err := os.Pipe()
	require.NoError(t, err)
	cmd := exec.Command(chromium, append(browsertest.Flags(browsertest.Home(t)), "--no-proxy-server", "--remote-debugging-pipe")...)
	cmd.ExtraFiles = []*os.File{theirIn, theirOut} // 3 and 4, where it looks for them
	require.NoError(t, cmd.Start())
	require.NoError(t, theirIn.Close())
	require.NoError(t, theirOut.Close())
	require.NoError(t, ourIn.SetReadDeadline(time.Now().Add(2*time.Minute)))
	b := &tab{t: t, out: ourOut, in: bufio.NewReader(ourIn)}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()         // with the error that it was killed
		_ = ourIn.Close()
		_ = ourOut.Close()
	})
	target := b.call("Target.createTarget", map[string]any{"url": "about:blank"})
	b.session, _ = b.call("Target.attachToTarget", map[string]any{"targetId": target["targetId"], "flatten": true})["sessionId"].(string)
	require.NotEmpty(t, b.session)
	b.call("Page.enable", nil)
	return b
}

// call makes a call and waits for its answer; events are passed over.
func (b *tab) call(method string, params any) map[string]any {
	b.t.Helper()
	b.calls++
	request := map[string]any{"id": b.calls, "method": method}
	if params != nil {
		request["params"] = params
	}
	if b.session != "" {
		request["sessionId"] = b.session
	}
	text, err := json.Marshal(request)
	require.NoError(b.t, err)
	_, err = b.out.Write(append(text, 0))
	require.NoError(b.t, err)
	for {
		text, err := b.in.ReadBytes(0)
		require.NoError(b.t, err, "the browser does not answer")
		var answer struct {
			ID     int
			Result map[string]any
			Error  *struct{ Message string }
		}
		require.NoError(b.t, json.Unmarshal(text[:len(text)-1], &answer))
		if answer.ID == b.calls {
			require.Nil(b.t, answer.Error, "%s: %+v", method, answer.Error)
			return answer.Result
		}
	}
}

// eval is the value of an expression on the page.
func (b *tab) eval(expression string) any {
	b.t.Helper()
	result := b.call("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true})
	require.NotContains(b.t, result, "exceptionDetails", expression)
	value, _ := result["result"].(map[string]any)
	return value["value"]
}

// wait waits until an expression is true.
func (b *tab) wait(expression string) {
	b.t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if b.eval(expression) == true {
			return
		}
		require.True(b.t, time.Now().Before(end), "%s does not come true; the page says: %v", expression, b.eval("document.body.innerText"))
	}
}

// size is the window's.
func (b *tab) size(width, height int, phone bool) {
	b.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone})
}

// scheme is what the user prefers: light or dark.
func (b *tab) scheme(name string) {
	b.call("Emulation.setEmulatedMedia", map[string]any{"features": []any{map[string]any{"name": "prefers-color-scheme", "value": name}}})
}

// move moves the pointer.
func (b *tab) move(x, y float64) {
	b.call("Input.dispatchMouseEvent", map[string]any{"type": "mouseMoved", "x": x, "y": y})
}

// photo takes a picture of the whole page, keeps it as file, and returns how many
// colours it has and whether most of it is light.
func (b *tab) photo(file string) (colours int, light bool) {
	height := b.eval("document.documentElement.scrollHeight")
	width := b.eval("innerWidth")
	shot := b.call("Page.captureScreenshot", map[string]any{
		"captureBeyondViewport": true, "clip": map[string]any{"x": 0, "y": 0, "width": width, "height": height, "scale": 1},
	})
	text, _ := shot["data"].(string)
	data, err := base64.StdEncoding.DecodeString(text)
	require.NoError(b.t, err)
	require.NoError(b.t, os.WriteFile(file, data, 0o666))
	return browsertest.Look(b.t, file)
}
