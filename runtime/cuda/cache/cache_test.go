package cache

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// notes keeps what a cache says.
type notes struct {
	mu   sync.Mutex
	list []string
}

func (n *notes) add(s string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.list = append(n.list, s)
}

// quiet opens a cache that must not say anything.
func quiet(t *testing.T, dir string, limit int64) *Cache {
	return Open(dir, limit, func(s string) { t.Error(s) })
}

func TestRoundTrip(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	c := quiet(t, dir, Limit)
	k := KeyOf("text", "sm_90")
	_, ok := c.Get(k)
	require.False(t, ok)
	c.Put(k, []byte("code"))
	content, ok := c.Get(k)
	require.True(t, ok)
	require.Equal(t, "code", string(content))
	c.Put(k, nil)
	content, ok = quiet(t, dir, Limit).Get(k)
	require.True(t, ok)
	require.Empty(t, content)

	info, err := os.Stat(dir)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
	list, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, list, 1, "nothing is left aside")
}

func TestKeys(t *testing.T) {
	seen := map[Key]bool{}
	for _, parts := range [][]string{{}, {""}, {"", ""}, {"ab"}, {"a", "b"}, {"b", "a"}, {"a", "b", ""}} {
		seen[KeyOf(parts...)] = true
	}
	require.Len(t, seen, 7)
	require.Equal(t, KeyOf("a", "b"), KeyOf("a", "b"))
}

func TestDir(t *testing.T) {
	t.Setenv("WRNC_CACHE", "/elsewhere")
	dir, err := Dir()
	require.NoError(t, err)
	require.Equal(t, "/elsewhere", dir)
	t.Setenv("WRNC_CACHE", "")
	t.Setenv("XDG_CACHE_HOME", "")
	t.Setenv("HOME", "")
	_, err = Dir()
	require.ErrorContains(t, err, "WRNC_CACHE can name one")
}

func TestDamage(t *testing.T) {
	c := quiet(t, t.TempDir(), Limit)
	k, other := KeyOf("k"), KeyOf("other")
	content := []byte("some code of a kernel")
	whole := encode(k, content)
	damage := map[string][]byte{
		"empty": nil, "another's": encode(other, content), "another format": append([]byte("x"), whole...), "longer": append(bytes.Clone(whole), 0),
	}
	for i := range whole {
		flipped := bytes.Clone(whole)
		flipped[i] ^= 0x10
		damage[fmt.Sprintf("byte %d", i)] = flipped
		damage[fmt.Sprintf("cut at %d", i)] = whole[:i]
	}
	for name, file := range damage {
		require.NoError(t, os.WriteFile(c.path(k), file, 0o600))
		_, ok := c.Get(k)
		require.False(t, ok, name)
		require.NoFileExists(t, c.path(k), name)
	}
	c.Put(k, content)
	_, ok := c.Get(k)
	require.True(t, ok)
}

func TestLimit(t *testing.T) {
	dir := t.TempDir()
	const entry = 1000
	c := quiet(t, dir, 20*entry)
	content := make([]byte, entry-headSize)
	key := func(i int) Key { return KeyOf(fmt.Sprint(i)) }
	for i := range 16 {
		c.Put(key(i), content)
		old := time.Now().Add(time.Duration(i-100) * time.Minute)
		require.NoError(t, os.Chtimes(c.path(key(i)), old, old))
	}
	_, ok := c.Get(key(0)) // the oldest becomes the newest
	require.True(t, ok)
	foreign := filepath.Join(dir, "README")
	require.NoError(t, os.WriteFile(foreign, make([]byte, 100*entry), 0o600))
	left := filepath.Join(dir, aside+"123")
	require.NoError(t, os.WriteFile(left, content, 0o600))
	old := time.Now().Add(-2 * abandoned)
	require.NoError(t, os.Chtimes(left, old, old))
	for i := 16; i < 60; i++ {
		c.Put(key(i), content)
	}
	sizes, kept := int64(0), 0
	list, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range list {
		if strings.HasSuffix(e.Name(), suffix) {
			info, err := e.Info()
			require.NoError(t, err)
			sizes += info.Size()
			kept++
		}
	}
	require.LessOrEqual(t, sizes, int64(20*entry))
	require.GreaterOrEqual(t, kept, 15)
	_, ok = c.Get(key(1))
	require.False(t, ok)
	_, ok = c.Get(key(59))
	require.True(t, ok)
	require.FileExists(t, foreign)
	require.NoFileExists(t, left)

	// What is larger than the cache is not kept.
	c.Put(key(100), make([]byte, 21*entry))
	_, ok = c.Get(key(100))
	require.False(t, ok)
}

func TestTrimKeepsWhatIsUsed(t *testing.T) {
	c := quiet(t, t.TempDir(), 8000)
	content := make([]byte, 1000-headSize)
	for i := range 8 {
		require.NoError(t, c.write(KeyOf(fmt.Sprint(i)), content))
		old := time.Now().Add(time.Duration(i-100) * time.Minute)
		require.NoError(t, os.Chtimes(c.path(KeyOf(fmt.Sprint(i))), old, old))
	}
	_, ok := c.Get(KeyOf("0"))
	require.True(t, ok)
	require.NoError(t, c.trim())
	_, ok = c.Get(KeyOf("0"))
	require.True(t, ok)
	_, ok = c.Get(KeyOf("1"))
	require.False(t, ok)
	_, ok = c.Get(KeyOf("2"))
	require.True(t, ok)
}

// TestUnusable has folders that cannot be used: one note each, and no error.
func TestUnusable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	open := t.TempDir()
	require.NoError(t, os.Chmod(open, 0o777))
	gone := t.TempDir()
	for dir, want := range map[string]string{
		filepath.Join(file, "cache"): "not a directory",
		open:                         "others may write to " + open + "; chmod 700 makes it usable",
		gone:                         "compiled kernels are not kept: the cache " + gone,
		"":                           "kernels are compiled anew at each start",
	} {
		var n notes
		c := Open(dir, Limit, n.add)
		if dir == gone {
			require.NoError(t, os.Remove(gone)) // as a folder that cannot be written to
		}
		for i := range 3 {
			k := KeyOf(fmt.Sprint(i))
			c.Put(k, []byte("code"))
			_, ok := c.Get(k)
			require.False(t, ok)
		}
		require.Len(t, n.list, 1, dir)
		require.Contains(t, n.list[0], want)
	}
	Open(file, Limit, nil).Put(Key{}, nil)
}

// TestReadOnly reads from a file system that cannot be written to.
func TestReadOnly(t *testing.T) {
	dir := t.TempDir()
	if err := exec.Command("mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", dir).Run(); err != nil {
		t.Skip("a file system of the test's own needs root: ", err)
	}
	defer func() { require.NoError(t, exec.Command("umount", dir).Run()) }()
	kept := KeyOf("kept")
	quiet(t, dir, Limit).Put(kept, []byte("code"))
	require.NoError(t, exec.Command("mount", "-o", "remount,ro", dir).Run())
	var n notes
	c := Open(dir, Limit, n.add)
	content, ok := c.Get(kept)
	require.True(t, ok)
	require.Equal(t, "code", string(content))
	require.Empty(t, n.list)
	for i := range 3 {
		c.Put(KeyOf(fmt.Sprint(i)), []byte("code"))
	}
	require.Len(t, n.list, 1)
	require.Contains(t, n.list[0], "read-only file system")
}

// TestFullDisk writes to a device that is always full.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := exec.Command("mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "tmpfs", dir).Run(); err != nil {
		t.Skip("a small file system needs root: ", err)
	}
	defer func() { require.NoError(t, exec.Command("umount", dir).Run()) }()
	var n notes
	c := Open(dir, Limit, n.add)
	small, large := KeyOf("small"), KeyOf("large")
	c.Put(small, []byte("code"))
	c.Put(large, make([]byte, 1<<20))
	c.Put(KeyOf("more"), []byte("code"))
	require.Len(t, n.list, 1)
	require.Contains(t, n.list[0], "no space left on device")
	_, ok := c.Get(small)
	require.True(t, ok, "what is there is still read")
	_, ok = c.Get(large)
	require.False(t, ok)
	list, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, list, 1)
}

const actor = "WRNC_CACHE_TEST_ACTOR"

// TestTwoProcesses has processes that write and read the same entries at once, in a
// cache too small for them.
func TestTwoProcesses(t *testing.T) {
	dir := t.TempDir()
	if named := os.Getenv(actor); named != "" {
		dir = named
	} else {
		for range 2 {
			cmd := exec.Command(os.Args[0], "-test.run=^TestTwoProcesses$")
			cmd.Env = append(os.Environ(), actor+"="+dir)
			var out bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &out
			require.NoError(t, cmd.Start())
			defer func() { require.NoError(t, cmd.Wait(), out.String()) }()
		}
	}
	c := quiet(t, dir, 100_000)
	hits := 0
	for round := range 10 {
		for i := range 20 {
			k := KeyOf(fmt.Sprint(i))
			want := bytes.Repeat([]byte{byte(i)}, 8000)
			read := func() {
				if content, ok := c.Get(k); ok {
					hits++
					require.Equal(t, want, content, "round %d", round)
				}
			}
			read() // there only if another process has written it lately
			c.Put(k, want)
			read() // gone only if others have written much since
		}
	}
	require.Positive(t, hits)
}

// TestLook counts entries alone, leaves nothing behind, and says what is wrong.
func TestLook(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o700))
	c := Open(dir, Limit, func(s string) { t.Error(s) })
	c.Put(KeyOf("a"), []byte("code"))
	c.Put(KeyOf("b"), []byte("code"))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "other"), []byte("x"), 0o600))
	u, err := Look(dir)
	require.NoError(t, err)
	require.Equal(t, Usage{Entries: 2, Bytes: int64(2 * (headSize + 4))}, u)
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, left, 3)

	_, err = Look(filepath.Join(dir, "none"))
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = Look(filepath.Join(dir, "other"))
	require.ErrorContains(t, err, "other is no folder")
	if os.Geteuid() == 0 {
		t.Skip("root may write anywhere")
	}
	require.NoError(t, os.Chmod(dir, 0o500))
	defer func() { require.NoError(t, os.Chmod(dir, 0o700)) }()
	u, err = Look(dir)
	require.ErrorIs(t, err, fs.ErrPermission)
	require.Equal(t, 2, u.Entries)
}
