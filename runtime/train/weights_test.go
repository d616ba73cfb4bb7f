package train

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/runtime/checkpoint"
)

func TestWeightsComeBack(t *testing.T) {
	ex, m := module()
	ex.state["w"] = []float32{3, -0.5}
	ex.state["run"] = []float32{7, 2}
	path := filepath.Join(t.TempDir(), "w.safetensors")
	require.NoError(t, WriteWeights(path, ex, m, map[string]string{"step": "12"}))

	other, m := module()
	other.state["w.v"] = []float32{1, 1}
	facts, err := ReadWeights(path, other, m)
	require.NoError(t, err)
	require.Equal(t, map[string]string{"step": "12"}, facts)
	require.Equal(t, map[string][]float32{"w": {3, -0.5}, "run": {7, 2}, "w.v": {0, 0}}, other.state)
}

// TestUnwantedDataIsNotRead: a file of another network may promise gigabytes, and
// no memory is taken for them.
func TestUnwantedDataIsNotRead(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a hole in a file takes place there")
	}
	const size = 32 << 30
	header := fmt.Sprintf(`{"__metadata__":{"format":%q},"w":{"dtype":"F32","shape":[%d],"data_offsets":[0,%d]}}`, checkpointFormat, size/4, size)
	path := filepath.Join(t.TempDir(), "w.safetensors")
	require.NoError(t, os.WriteFile(path, append(binary.LittleEndian.AppendUint64(nil, uint64(len(header))), header...), 0o666))
	require.NoError(t, os.Truncate(path, int64(8+len(header)+size))) // a hole, which takes no place on a disk
	ex, m := module()
	_, err := ReadWeights(path, ex, m)
	require.ErrorContains(t, err, `tensor "w": expected shape [2], found [8589934592]`)
	_, err = ReadCheckpoint(path, m)
	require.ErrorContains(t, err, `tensor "w": expected shape [2], found [8589934592]`)
}

func TestWeightsOfAnotherNetwork(t *testing.T) {
	ok := []checkpoint.Tensor{checkpoint.FromFloat32s("w", []int{2}, []float32{1, 2}), checkpoint.FromFloat32s("run", []int{2, 1}, []float32{1, 2})}
	for name, c := range map[string]struct {
		tensors []checkpoint.Tensor
		want    string
	}{
		"one missing":  {ok[:1], `no tensor "run" among its 1; the checkpoint is of another network`},
		"shape":        {[]checkpoint.Tensor{ok[0], checkpoint.FromFloat32s("run", []int{1, 2}, []float32{1, 2})}, `tensor "run": expected shape [2 1], found [1 2]`},
		"one more":     {append(ok[:2:2], checkpoint.FromFloat32s("fc.w", []int{1}, []float32{1})), `tensor "fc.w" is of another network than WRN-10-1`},
		"a checkpoint": {append(ok[:2:2], checkpoint.FromFloat32s("w.v", []int{2}, []float32{1, 2})), `tensor "w.v" is a velocity, of a training's checkpoint; expected a file of weights`},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "w.safetensors")
			require.NoError(t, checkpoint.Write(path, c.tensors, nil))
			ex, m := module()
			_, err := ReadWeights(path, ex, m)
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, err, path)
			require.Equal(t, []float32{0, 0}, ex.state["w"], "nothing is set")
		})
	}
	ex, m := module()
	_, err := ReadWeights(filepath.Join(t.TempDir(), "none"), ex, m)
	require.ErrorContains(t, err, "no such file")
}
