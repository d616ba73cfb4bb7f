// Package browsertest lets tests look at pages in Chromium without a window. Only
// tests use it.
package browsertest

import (
	"bytes"
	"context"
	"image/png"
	"os"
	"os/exec"
	"testing"
	"time"
)

// Find returns the path of Chromium, or skips the test. Where WRNC_REQUIRE_BROWSER is
// 1, as in continuous integration, it must be there.
func Find(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	const missing = "no Chromium here, so the page is not looked at in a browser: apt-get install chromium"
	if os.Getenv("WRNC_REQUIRE_BROWSER") == "1" {
		t.Fatal(missing + "; WRNC_REQUIRE_BROWSER=1 asks for it")
	}
	t.Skip(missing)
	return ""
}

// Flags are those of a browser without a window that keeps to itself, with its files in
// home.
func Flags(home string) []string {
	return []string{
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars", "--user-data-dir=" + home,
	}
}

// Home makes a folder for a browser's files, which goes away with the test.
func Home(t testing.TB) string {
	t.Helper()
	home, err := os.MkdirTemp("", "wrnc-browser-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(home) }) // what a dying process still writes there does not matter
	return home
}

// Visit opens an address and returns what the browser prints.
func Visit(t testing.TB, chromium, address string, flags ...string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, chromium, append(append(Flags(Home(t)), flags...), address)...)
	cmd.WaitDelay = 5 * time.Second
	var errors bytes.Buffer
	cmd.Stderr = &errors
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, &errors)
	}
	return out
}

// Look counts the colours of a PNG picture and tells whether most of it is light.
func Look(t testing.TB, file string) (colours int, light bool) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	seen := map[[3]uint32]bool{}
	balance := 0
	for y := img.Bounds().Min.Y; y < img.Bounds().Max.Y; y++ {
		for x := img.Bounds().Min.X; x < img.Bounds().Max.X; x++ {
			r, g, b, _ := img.At(x, y).RGBA()
			seen[[3]uint32{r, g, b}] = true
			if r+g+b > 3<<15 {
				balance++
			} else {
				balance--
			}
		}
	}
	return len(seen), balance > 0
}
