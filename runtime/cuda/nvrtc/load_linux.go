//go:build (amd64 || arm64) && !static

package nvrtc

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/ebitengine/purego"

	"wrnc/runtime/cuda/dlopen"
)

// load opens the library and finds its functions.
func load(path string) (*library, error) {
	loadBuiltins(path)
	handle, err := dlopen.Open(path)
	if err != nil {
		return nil, err
	}
	l := &library{}
	for name, function := range l.symbols() {
		address, err := dlopen.Symbol(handle, name)
		if err != nil {
			return nil, fmt.Errorf("%s is no NVRTC that wrnc can use: %w", path, err)
		}
		purego.RegisterFunc(function, address)
	}
	return l, nil
}

// loadBuiltins loads libnvrtc-builtins from the folder of a library that was named
// by its path. NVRTC opens it by its bare name during the first compilation and
// fails where the system's loader does not search that folder, unless a library of
// that name is there already. What goes wrong here is left for NVRTC to report.
func loadBuiltins(path string) {
	if !strings.ContainsRune(path, filepath.Separator) {
		return
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	_, major, _ := strings.Cut(filepath.Base(path), ".so.")
	major, _, _ = strings.Cut(major, ".")
	files, err := filepath.Glob(filepath.Join(filepath.Dir(path), "libnvrtc-builtins.so."+major+"*"))
	if err != nil {
		return
	}
	for _, file := range files {
		_, _ = dlopen.Open(file)
	}
}
