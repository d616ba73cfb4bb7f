package checkpoint

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"unicode/utf8"
)

// Write writes the tensors and the metadata to a safetensors file at path, as
// [Replace] does. Tensors of wider elements come first, so that each begins at a
// multiple of its element size, then they go by name; neither the order of the
// arguments nor the time shows in the bytes.
func Write(path string, tensors []Tensor, metadata map[string]string) error {
	h, sorted, err := layOut(tensors, metadata)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	text, err := h.render()
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return Replace(path, func(w io.Writer) error {
		return encode(w, text, sorted)
	})
}

// layOut checks and sorts the tensors and gives each its place.
func layOut(tensors []Tensor, metadata map[string]string) (*header, []Tensor, error) {
	for key, value := range metadata {
		if !utf8.ValidString(key) || !utf8.ValidString(value) {
			return nil, nil, fmt.Errorf("metadata %s is not UTF-8", quote(key))
		}
	}
	sorted := slices.Clone(tensors)
	slices.SortFunc(sorted, func(a, b Tensor) int {
		if wider := b.DType.Size() - a.DType.Size(); wider != 0 {
			return wider
		}
		return strings.Compare(a.Name, b.Name)
	})
	h := &header{metadata: metadata, entries: make([]entry, 0, len(sorted))}
	seen := make(map[string]bool, len(sorted))
	var at int64
	for _, t := range sorted {
		if err := checkName(t.Name); err != nil {
			return nil, nil, err
		}
		if seen[t.Name] {
			return nil, nil, fmt.Errorf("two tensors have the name %s", quote(t.Name))
		}
		seen[t.Name] = true
		size, err := byteSize(t.DType, t.Shape)
		if err != nil {
			return nil, nil, fmt.Errorf("tensor %s: %w", quote(t.Name), err)
		}
		if size != int64(len(t.Data)) {
			return nil, nil, fmt.Errorf("tensor %s: %s%v takes %d bytes, but its data has %d", quote(t.Name), t.DType, t.Shape, size, len(t.Data))
		}
		shape := t.Shape
		if shape == nil {
			shape = []int{} // a scalar prints as [], not null
		}
		h.entries = append(h.entries, entry{name: t.Name, dtype: t.DType, shape: shape, begin: at, end: at + size})
		at += size
	}
	return h, sorted, nil
}

// encode writes the three parts of a file.
func encode(w io.Writer, headerText []byte, sorted []Tensor) error {
	var prefix [8]byte
	binary.LittleEndian.PutUint64(prefix[:], uint64(len(headerText)))
	if _, err := w.Write(prefix[:]); err != nil {
		return err
	}
	if _, err := w.Write(headerText); err != nil {
		return err
	}
	for _, t := range sorted {
		if _, err := w.Write(t.Data); err != nil {
			return err
		}
	}
	return nil
}

// Replace writes a file so that whoever looks, after a power cut too, finds
// either what was at path before or all that write wrote: into a new file beside
// it, ".NAME.0.partial", which is synced, renamed to path, and the folder synced.
// If anything fails before the rename, the old file stays and the new one is
// removed; only a killed process leaves one behind, which nothing reads.
func Replace(path string, write func(io.Writer) error) error {
	if err := replace(path, write); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

func replace(path string, write func(io.Writer) error) (err error) {
	f, err := createBeside(path)
	if err != nil {
		return err
	}
	closed, renamed := false, false
	defer func() {
		if !closed {
			err = errors.Join(err, f.Close())
		}
		if !renamed {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	out := bufio.NewWriterSize(f, 1<<20)
	if err := write(out); err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	closed = true
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	renamed = true
	return syncFolder(filepath.Dir(path))
}

// createBeside creates a new file in the folder of path. os.CreateTemp would
// make it readable by its owner only, and a renamed file keeps its mode.
func createBeside(path string) (*os.File, error) {
	const attempts = 100
	dir, base := filepath.Split(path)
	for i := range attempts {
		name := filepath.Join(dir, fmt.Sprintf(".%s.%d.partial", base, i))
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
		if !errors.Is(err, os.ErrExist) {
			return f, err
		}
	}
	return nil, fmt.Errorf("%d files named .%s.N.partial lie in the same folder, left by runs that were killed; remove them", attempts, base)
}

// MakeFolder makes a folder that lasts, as [Replace] makes a file. One that is there
// is an error that errors.Is tells as fs.ErrExist.
func MakeFolder(path string) error {
	if err := os.Mkdir(path, 0o777); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// syncFolder makes a rename in the folder lasting.
func syncFolder(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // a folder cannot be synced there; the file system journals the rename
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
