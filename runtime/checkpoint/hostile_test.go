package checkpoint

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// raw builds a file from header text and data, without any check.
func raw(header string, dataBytes int) []byte {
	file := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	file = append(file, header...)
	return append(file, make([]byte, dataBytes)...)
}

func decodeBytes(file []byte) (*File, error) {
	return decodeSized(file, int64(len(file)))
}

// decodeSized decodes a file that is said to have size bytes.
func decodeSized(file []byte, size int64) (*File, error) {
	return decode("w.safetensors", bytes.NewReader(file), size, func(*File) error { return nil })
}

func TestReadRefuses(t *testing.T) {
	tensor := func(fields string) string { return `{"a":{` + fields + `}}` }
	good := `"dtype":"F32","shape":[2],"data_offsets":[0,8]`
	long := strings.Repeat("n", 1000)
	cases := []struct {
		name string
		file []byte
		want string
	}{
		{"empty file", nil, "the file has 0 bytes"},
		{"seven bytes", make([]byte, 7), "the file has 7 bytes"},
		{"header length too large", binary.LittleEndian.AppendUint64(nil, math.MaxUint64), "header length is 18446744073709551615; at most 67108864"},
		{"one over the limit", binary.LittleEndian.AppendUint64(nil, 64<<20+1), "at most 67108864"},
		{"header longer than file", binary.LittleEndian.AppendUint64(nil, 64<<20), "only 0 bytes follow"},
		{"no header", raw("", 0), "starts with '{'"},
		{"not an object", raw(`[1]`, 0), "starts with '{'"},
		{"leading space", raw(` {}`, 0), "starts with '{'"},
		{"not utf-8", raw("{\"a\xff\":1}", 0), "not UTF-8"},
		{"cut short", raw(`{"a":{"dtype":"F32"`, 0), "ends too early"},
		{"not json", raw(`{"a":{"dtype":F32}}`, 0), `tensor "a": dtype: not JSON`},
		{"after the object", raw(`{} {}`, 0), "2 bytes follow the JSON object"},
		{"tensor twice", raw(`{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":{}}`, 0), `"a" stands twice`},
		{"metadata twice", raw(`{"__metadata__":{},"__metadata__":{}}`, 0), `"__metadata__" stands twice`},
		{"metadata key twice", raw(`{"__metadata__":{"k":"1","k":"2"}}`, 0), `__metadata__: "k" stands twice`},
		{"metadata not text", raw(`{"__metadata__":{"k":{}}}`, 0), `__metadata__: "k": expected a string, found '{'`},
		{"metadata null", raw(`{"__metadata__":null}`, 0), "expected '{', found null"},
		{"nameless", raw(`{"":{}}`, 0), "a tensor has no name"},
		{"not described", raw(`{"a":7}`, 0), `tensor "a": expected '{', found the number "7"`},
		{"deep", raw(`{"a":`+strings.Repeat("[", 1<<20), 0), `tensor "a": expected '{', found '['`},
		{"deep shape", raw(tensor(`"shape":[[2]]`), 0), "shape: expected an integer, found '['"},
		{"unknown key", raw(tensor(good+`,"x":1`), 8), `unknown key "x"`},
		{"key twice", raw(tensor(good+`,"dtype":"F32"`), 8), `"dtype" stands twice`},
		{"no dtype", raw(tensor(`"shape":[2],"data_offsets":[0,8]`), 8), "dtype is missing"},
		{"no shape", raw(tensor(`"dtype":"F32","data_offsets":[0,8]`), 8), "shape is missing"},
		{"no offsets", raw(tensor(`"dtype":"F32","shape":[2]`), 8), "data_offsets is missing"},
		{"unknown dtype", raw(tensor(`"dtype":"f32","shape":[2],"data_offsets":[0,8]`), 8), `unknown dtype "f32"; expected one of F64 F32`},
		{"dtype number", raw(tensor(`"dtype":32`), 8), `dtype: expected a string, found the number "32"`},
		{"negative shape", raw(tensor(`"dtype":"F32","shape":[-2],"data_offsets":[0,8]`), 8), `expected an integer from 0 to 2^63-1, found the number "-2"`},
		{"fraction", raw(tensor(`"dtype":"F32","shape":[2.0],"data_offsets":[0,8]`), 8), `found the number "2.0"`},
		{"exponent", raw(tensor(`"dtype":"F32","shape":[2e0],"data_offsets":[0,8]`), 8), `found the number "2e0"`},
		{"2^63", raw(tensor(`"dtype":"F32","shape":[9223372036854775808],"data_offsets":[0,8]`), 8), `expected an integer`},
		{"rank", raw(tensor(`"shape":[`+strings.Repeat("1,", 16)+`1]`), 8), "shape: more than 16 numbers"},
		{"overflow", raw(tensor(`"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]`), 8), "does not fit in memory"},
		{"overflow to 0", raw(tensor(`"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]`), 0), "does not fit in memory"},
		{"size", raw(tensor(`"dtype":"F32","shape":[3],"data_offsets":[0,8]`), 8), `tensor "a": F32[3] takes 12 bytes, but its data_offsets [0, 8] hold 8`},
		{"backward", raw(tensor(`"dtype":"F32","shape":[2],"data_offsets":[8,0]`), 8), "data_offsets are [8 0]"},
		{"one offset", raw(tensor(`"dtype":"F32","shape":[2],"data_offsets":[8]`), 8), "data_offsets are [8]"},
		{"three offsets", raw(tensor(`"dtype":"F32","shape":[2],"data_offsets":[0,8,8]`), 8), "data_offsets: more than 2 numbers"},
		{"past the end", raw(tensor(good), 7), `tensor "a": its data ends at byte 8, but the file has only 7`},
		{"left over", raw(tensor(good), 9), "the tensors end at byte 8, but the file has 9"},
		{"data without tensors", raw(`{}`, 1), "the tensors end at byte 0, but the file has 1"},
		{"hole", raw(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}}`, 3), `tensor "b": its data begins at byte 2, leaving bytes 1 to 2`},
		{"overlap", raw(`{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}`, 3), `tensor "b": its data begins at byte 1, inside another tensor that ends at 2`},
		{"same place", raw(`{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}`, 2), `tensor "b": its data begins at byte 0, inside`},
		{"empty inside another", raw(`{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[0],"data_offsets":[1,1]}}`, 2), `tensor "b": its data begins at byte 1, inside`},
		{"long name is cut", raw(`{"`+long+`":1}`, 0), strings.Repeat("n", 80) + `"...`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := decodeBytes(c.file)
			require.ErrorContains(t, err, c.want)
			require.Less(t, len(err.Error()), 400, "one line")
			require.NotContains(t, err.Error(), "\n")
		})
	}
}

func TestReadAccepts(t *testing.T) {
	for _, c := range []struct {
		header string
		bytes  int
	}{
		{`{}`, 0},
		{"{}   \n", 0},
		{`{"a":{"data_offsets":[0,4],"shape":[],"dtype":"F32"}}`, 4},
		{`{"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"e":{"dtype":"F64","shape":[0],"data_offsets":[0,0]},"f":{"dtype":"F64","shape":[0],"data_offsets":[1,1]}}`, 1},
		{`{"b":{"dtype":"U8","shape":[1],"data_offsets":[3,4]},"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]}}`, 4},
	} {
		_, err := decodeBytes(raw(c.header, c.bytes))
		require.NoError(t, err, c.header)
	}
}

// TestNoMemoryBeforeChecks decodes a file said to have 2^50 bytes: taking them
// would kill the test.
func TestNoMemoryBeforeChecks(t *testing.T) {
	const size = int64(1) << 50
	header := fmt.Sprintf(`{"a":{"dtype":"U8","shape":[%d],"data_offsets":[0,%[1]d]}}`, size)
	file := raw(header, 0)
	_, err := decodeSized(file, int64(len(file))+size)
	require.ErrorContains(t, err, "at most 68719476736 are read")

	_, err = decodeSized(file, int64(len(file))+size-1)
	require.ErrorContains(t, err, "cut short or damaged")
}

// TestReadIfReadsWhatFits: of a file that is not wanted, nothing of its gigabytes of
// data is read, nor memory taken for it.
func TestReadIfReadsWhatFits(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a hole in a file takes place there")
	}
	const size = 32 << 30
	header := raw(fmt.Sprintf(`{"__metadata__":{"k":"v"},"a":{"dtype":"U8","shape":[%d],"data_offsets":[0,%[1]d]}}`, int64(size)), 0)
	path := filepath.Join(t.TempDir(), "w.safetensors")
	require.NoError(t, os.WriteFile(path, header, 0o666))
	require.NoError(t, os.Truncate(path, int64(len(header))+size)) // a hole, which takes no place on a disk
	unwanted := errors.New("unwanted")
	_, err := ReadIf(path, func(h *File) error {
		require.Equal(t, path, h.Path)
		require.Equal(t, map[string]string{"k": "v"}, h.Metadata)
		require.Equal(t, []Tensor{{Name: "a", DType: U8, Shape: []int{size}}}, h.Tensors)
		return unwanted
	})
	require.Equal(t, unwanted, err)
	h, err := ReadHeader(path)
	require.NoError(t, err)
	require.Equal(t, map[string]string{"k": "v"}, h.Metadata)
	_, there := h.Tensor("a")
	require.True(t, there)
}

func TestFileThatShrinks(t *testing.T) {
	file := raw(`{"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}}`, 8)
	for n := range len(file) {
		_, err := decodeSized(file[:n], int64(len(file)))
		require.Error(t, err)
	}
}

func TestReadNamesTheFile(t *testing.T) {
	dir := t.TempDir()
	_, err := Read(filepath.Join(dir, "absent"))
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorContains(t, err, "absent")

	_, err = Read(dir)
	require.ErrorContains(t, err, dir+": not a file")

	path := filepath.Join(dir, "text")
	require.NoError(t, os.WriteFile(path, []byte("hello, this is no checkpoint"), 0o644))
	_, err = Read(path)
	require.ErrorContains(t, err, path+": header length is")
}

// FuzzSafetensors checks that no bytes crash the reader, and that whatever it
// accepts it can write and read again unchanged.
func FuzzSafetensors(f *testing.F) {
	f.Add(raw(`{}`, 0))
	f.Add(raw(`{"__metadata__":{"k":"v"},"a":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]}}`, 8))
	f.Add(raw(`{"a":{"dtype":"U8","shape":[],"data_offsets":[0,1]},"b":{"dtype":"BF16","shape":[2],"data_offsets":[1,5]}} `, 5))
	f.Add(raw(`{"a":{"dtype":"F64","shape":[0,9],"data_offsets":[0,0]}}`, 0))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := decodeBytes(data)
		if err != nil {
			return
		}
		h, sorted, err := layOut(file.Tensors, file.Metadata)
		require.NoError(t, err)
		text, err := h.render()
		require.NoError(t, err)
		var out bytes.Buffer
		require.NoError(t, encode(&out, text, sorted))
		again, err := decodeBytes(out.Bytes())
		require.NoError(t, err)
		require.Equal(t, file.Metadata, again.Metadata)
		require.Len(t, again.Tensors, len(file.Tensors))
		for _, want := range file.Tensors {
			got, ok := again.Tensor(want.Name)
			require.True(t, ok)
			require.Equal(t, want, got)
		}
	})
}
