package checkpoint

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func sample() []Tensor {
	return []Tensor{
		FromFloat32s("g1.b0.conv1.w", []int{2, 1, 3}, []float32{1, -2, 0.5, float32(math.Inf(1)), math.SmallestNonzeroFloat32, 0}),
		FromFloat32s("fc.b", []int{3}, []float32{7, 8, 9}),
		{Name: "mask", DType: U8, Shape: []int{3}, Data: []byte{1, 0, 255}},
		{Name: "step", DType: U64, Shape: nil, Data: []byte{1, 2, 3, 4, 5, 6, 7, 8}},
		{Name: "empty \"q\" <é>", DType: F32, Shape: []int{0, 4}, Data: nil},
	}
}

func TestRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "weights.safetensors")
	metadata := map[string]string{"network": "WRN-16-1", "note": "a \"quoted\"\nline"}
	require.NoError(t, Write(path, sample(), metadata))

	file, err := Read(path)
	require.NoError(t, err)
	require.Equal(t, path, file.Path)
	require.Equal(t, metadata, file.Metadata)
	require.Len(t, file.Tensors, len(sample()))
	for _, want := range sample() {
		got, ok := file.Tensor(want.Name)
		require.True(t, ok, want.Name)
		require.Equal(t, want.DType, got.DType)
		require.Equal(t, append([]int{}, want.Shape...), got.Shape)
		require.Equal(t, append([]byte{}, want.Data...), append([]byte{}, got.Data...))
		require.Equal(t, len(got.Data), cap(got.Data), "an append must not reach the next tensor")
	}
	_, ok := file.Tensor("absent")
	require.False(t, ok)
}

func TestFileBytes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "w")
	require.NoError(t, Write(path, []Tensor{
		FromFloat32s("b", []int{1}, []float32{1}),
		FromFloat32s("a", []int{2}, []float32{2, 3}),
	}, map[string]string{"z": "1", "y": "2"}))
	found, err := os.ReadFile(path)
	require.NoError(t, err)

	text := `{"__metadata__":{"y":"2","z":"1"},` +
		`"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},` +
		`"b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}}`
	text += strings.Repeat(" ", (8-len(text)%8)%8)
	want := binary.LittleEndian.AppendUint64(nil, uint64(len(text)))
	want = append(want, text...)
	for _, v := range []float32{2, 3, 1} {
		want = binary.LittleEndian.AppendUint32(want, math.Float32bits(v))
	}
	require.Equal(t, string(want), string(found))
}

func TestOrderOfTensorsDoesNotShow(t *testing.T) {
	dir := t.TempDir()
	tensors := sample()
	require.NoError(t, Write(filepath.Join(dir, "1"), tensors, nil))
	for i, j := 0, len(tensors)-1; i < j; i, j = i+1, j-1 {
		tensors[i], tensors[j] = tensors[j], tensors[i]
	}
	require.NoError(t, Write(filepath.Join(dir, "2"), tensors, nil))
	one, err := os.ReadFile(filepath.Join(dir, "1"))
	require.NoError(t, err)
	two, err := os.ReadFile(filepath.Join(dir, "2"))
	require.NoError(t, err)
	require.Equal(t, one, two)

	// Every tensor begins at a multiple of its element size.
	size := int(binary.LittleEndian.Uint64(one))
	require.Zero(t, size%8)
	h, err := parseHeader(one[8:8+size], int64(len(one)-8-size))
	require.NoError(t, err)
	for _, e := range h.entries {
		require.Zero(t, e.begin%int64(e.dtype.Size()), e.name)
	}
}

func TestNoTensors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "w")
	require.NoError(t, Write(path, nil, nil))
	file, err := Read(path)
	require.NoError(t, err)
	require.Empty(t, file.Tensors)
	require.Empty(t, file.Metadata)
}

func TestFloat32s(t *testing.T) {
	halves := Tensor{Name: "h", DType: F16, Shape: []int{8}}
	for _, h := range []uint16{0x3c00, 0xc000, 0x0001, 0x03ff, 0x8000, 0x7bff, 0x7c00, 0x0400} {
		halves.Data = binary.LittleEndian.AppendUint16(halves.Data, h)
	}
	got, err := halves.Float32s()
	require.NoError(t, err)
	require.Equal(t, []float32{1, -2, 0x1p-24, 1023 * 0x1p-24, float32(math.Copysign(0, -1)), 65504, float32(math.Inf(1)), 0x1p-14}, got)
	require.True(t, math.Signbit(float64(got[4])))

	got, err = Tensor{Name: "b", DType: BF16, Shape: []int{2}, Data: []byte{0x80, 0x3f, 0x49, 0xc0}}.Float32s()
	require.NoError(t, err)
	require.Equal(t, []float32{1, -3.140625}, got)

	_, err = Tensor{Name: "n", DType: I64, Shape: []int{1}, Data: make([]byte, 8)}.Float32s()
	require.ErrorContains(t, err, `tensor "n" is "I64"; expected F32, F16 or BF16`)
}

// TestHalvesAgreeWithDefinition compares all 65536 halves with the formula of
// IEEE 754: (-1)^s * 2^(e-15) * (1 + f/1024), and 2^-14 * f/1024 where e is 0.
func TestHalvesAgreeWithDefinition(t *testing.T) {
	for i := range 1 << 16 {
		h := uint16(i)
		s, e, f := h>>15, int(h>>10&0x1f), float64(h&0x3ff)
		want := math.Ldexp(1+f/1024, e-15)
		switch {
		case e == 0:
			want = math.Ldexp(f/1024, -14)
		case e == 31 && f == 0:
			want = math.Inf(1)
		case e == 31:
			want = math.NaN()
		}
		got := float64(widenHalf(h))
		if math.IsNaN(want) {
			require.True(t, math.IsNaN(got), "%04x", h)
			continue
		}
		if s == 1 {
			want = -want
		}
		require.Equal(t, math.Float64bits(want), math.Float64bits(got), "%04x", h)
	}
}

func TestFileFloat32s(t *testing.T) {
	path := filepath.Join(t.TempDir(), "w")
	require.NoError(t, Write(path, sample(), nil))
	file, err := Read(path)
	require.NoError(t, err)
	got, err := file.Float32s("fc.b", []int{3})
	require.NoError(t, err)
	require.Equal(t, []float32{7, 8, 9}, got)

	_, err = file.Float32s("fc.b", []int{4})
	require.ErrorContains(t, err, path+`: tensor "fc.b": expected shape [4], found [3]`)
	_, err = file.Float32s("fc.w", []int{4})
	require.ErrorContains(t, err, path+`: no tensor "fc.w" among its 5`)
	_, err = file.Float32s("mask", []int{3})
	require.ErrorContains(t, err, path+`: tensor "mask" is "U8"`)
}

func TestWriteRefuses(t *testing.T) {
	one := []byte{0, 0, 0, 0}
	cases := []struct {
		name     string
		tensors  []Tensor
		metadata map[string]string
		want     string
	}{
		{"no name", []Tensor{{DType: F32, Data: one}}, nil, "a tensor has no name"},
		{"reserved", []Tensor{{Name: "__metadata__", DType: F32, Data: one}}, nil, "reserved"},
		{"not utf-8", []Tensor{{Name: "a\xff", DType: F32, Data: one}}, nil, "not UTF-8"},
		{"twice", []Tensor{{Name: "a", DType: F32, Data: one}, {Name: "a", DType: U32, Data: one}}, nil, `two tensors have the name "a"`},
		{"dtype", []Tensor{{Name: "a", DType: "F31", Data: one}}, nil, `unknown dtype "F31"`},
		{"size", []Tensor{{Name: "a", DType: F32, Shape: []int{2}, Data: one}}, nil, "F32[2] takes 8 bytes, but its data has 4"},
		{"negative", []Tensor{{Name: "a", DType: F32, Shape: []int{-1}, Data: one}}, nil, "negative"},
		{"rank", []Tensor{{Name: "a", DType: F32, Shape: make([]int, 17), Data: one}}, nil, "17 dimensions; at most 16"},
		{"overflow", []Tensor{{Name: "a", DType: F32, Shape: []int{math.MaxInt, 2}, Data: one}}, nil, "does not fit"},
		{"metadata", nil, map[string]string{"k": "\xff"}, `metadata "k" is not UTF-8`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			require.ErrorContains(t, Write(filepath.Join(dir, "w"), c.tensors, c.metadata), c.want)
			left, err := os.ReadDir(dir)
			require.NoError(t, err)
			require.Empty(t, left)
		})
	}
}

func TestReplaceKeepsTheOldFileOnFailure(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "w")
	require.NoError(t, os.WriteFile(path, []byte("old"), 0o644))
	broken := errors.New("disk on fire")
	err := Replace(path, func(w io.Writer) error {
		_, err := w.Write(bytes.Repeat([]byte("new"), 1<<20))
		require.NoError(t, err)
		return broken
	})
	require.ErrorIs(t, err, broken)
	require.ErrorContains(t, err, path)
	requireFolder(t, dir, map[string]string{"w": "old"})

	// What a killed process left behind is in nobody's way.
	require.NoError(t, os.WriteFile(filepath.Join(dir, ".w.0.partial"), []byte("half"), 0o644))
	require.NoError(t, Replace(path, func(w io.Writer) error {
		_, err := io.WriteString(w, "new")
		return err
	}))
	requireFolder(t, dir, map[string]string{"w": "new", ".w.0.partial": "half"})

	// The rename fails: the target is a folder with something in it.
	require.NoError(t, os.Mkdir(filepath.Join(dir, "d"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "d", "x"), nil, 0o644))
	require.Error(t, Replace(filepath.Join(dir, "d"), func(io.Writer) error { return nil }))
	require.NoFileExists(t, filepath.Join(dir, ".d.0.partial"))

	require.ErrorIs(t, Replace(filepath.Join(dir, "absent", "w"), func(io.Writer) error { return nil }), os.ErrNotExist)
}

func requireFolder(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	found := map[string]string{}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		require.NoError(t, err)
		found[e.Name()] = string(text)
	}
	require.Equal(t, want, found)
}

// TestReadsPythonsFile reads what version 0.8.0 of the Python package
// safetensors wrote for a = arange(6).reshape(2, 3), s = 3 and b = half(1.5, -2).
func TestReadsPythonsFile(t *testing.T) {
	const python = "\xc0\x00\x00\x00\x00\x00\x00\x00" +
		`{"__metadata__":{"k":"v"},"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},` +
		`"s":{"dtype":"F32","shape":[],"data_offsets":[24,28]},"b":{"dtype":"F16","shape":[2],"data_offsets":[28,32]}} ` +
		"\x00\x00\x00\x00\x00\x00\x80\x3f\x00\x00\x00\x40\x00\x00\x40\x40\x00\x00\x80\x40\x00\x00\xa0\x40" +
		"\x00\x00\x40\x40\x00\x3e\x00\xc0"
	path := filepath.Join(t.TempDir(), "py.safetensors")
	require.NoError(t, os.WriteFile(path, []byte(python), 0o644))
	file, err := Read(path)
	require.NoError(t, err)
	require.Equal(t, map[string]string{"k": "v"}, file.Metadata)
	for _, c := range []struct {
		name  string
		shape []int
		want  []float32
	}{
		{"a", []int{2, 3}, []float32{0, 1, 2, 3, 4, 5}},
		{"s", []int{}, []float32{3}},
		{"b", []int{2}, []float32{1.5, -2}},
	} {
		got, err := file.Float32s(c.name, c.shape)
		require.NoError(t, err)
		require.Equal(t, c.want, got)
	}
}
