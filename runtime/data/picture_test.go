package data

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"wrnc/runtime/data/datatest"
)

// TestDecodeBytes: decoding takes no more memory than is reserved for it, whatever
// kind of picture it is. The JPEG pictures are of one colour, to be short.
func TestDecodeBytes(t *testing.T) {
	files := map[string][]byte{}
	paths, err := filepath.Glob("testdata/progressive-*.jpg")
	require.NoError(t, err)
	require.Len(t, paths, 4)
	for _, path := range paths {
		files[filepath.Base(path)], err = os.ReadFile(path)
		require.NoError(t, err)
	}
	for _, depth := range []byte{8, 16} {
		for name, c := range map[string]struct{ kind, channels byte }{"gray": {0, 1}, "rgb": {2, 3}, "gray, alpha": {4, 2}, "rgb, alpha": {6, 4}} {
			for _, transparent := range []bool{false, c.channels%2 == 1} { // a colour can be, where there is no alpha
				files[fmt.Sprintf("png, %s, %d bits, transparent colour %t", name, depth, transparent)] = interlaced(1024, 512, depth, c.kind, c.channels, transparent)
			}
		}
	}
	for name, file := range files {
		config, format, err := image.DecodeConfig(bytes.NewReader(file))
		require.NoError(t, err, name)
		const slack = 300 << 10 // of the decoder, whatever the picture's size
		most := uint64(1024*512*decodeBytes(format, config.ColorModel) + slack)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _, err = image.Decode(bytes.NewReader(file))
		runtime.ReadMemStats(&after)
		require.NoError(t, err, name)
		require.LessOrEqual(t, after.TotalAlloc-before.TotalAlloc, most, name)
	}
}

// interlaced is a PNG file whose samples are all 0.
func interlaced(w, h int, depth, kind, channels byte, transparent bool) []byte {
	file := []byte("\x89PNG\r\n\x1a\n")
	chunk := func(name string, content []byte) {
		file = binary.BigEndian.AppendUint32(file, uint32(len(content)))
		named := append([]byte(name), content...)
		file = append(file, named...)
		file = binary.BigEndian.AppendUint32(file, crc32.ChecksumIEEE(named))
	}
	header := binary.BigEndian.AppendUint32(nil, uint32(w))
	header = binary.BigEndian.AppendUint32(header, uint32(h))
	chunk("IHDR", append(header, depth, kind, 0, 0, 1))
	if transparent {
		chunk("tRNS", make([]byte, 2*channels))
	}
	var data bytes.Buffer
	z := zlib.NewWriter(&data)
	for _, pass := range [][2]int{{w / 8, h / 8}, {w / 8, h / 8}, {w / 4, h / 8}, {w / 4, h / 4}, {w / 2, h / 4}, {w / 2, h / 2}, {w, h / 2}} {
		z.Write(make([]byte, pass[1]*(1+pass[0]*int(channels)*int(depth)/8)))
	}
	z.Close()
	chunk("IDAT", data.Bytes())
	chunk("IEND", nil)
	return file
}

// TestDecodingWaitsForMemory: a picture is decoded when those before it have left
// enough memory.
func TestDecodingWaitsForMemory(t *testing.T) {
	file := datatest.Picture("png", 32, 32, color.White)
	synctest.Test(t, func(t *testing.T) {
		require.NoError(t, decoding.Acquire(t.Context(), maxDecodeBytes))
		done := make(chan error, 1)
		go func() {
			_, err := decode(make([]byte, 32*32*3), file)
			done <- err
		}()
		synctest.Wait()
		require.Empty(t, done)
		decoding.Release(maxDecodeBytes)
		require.NoError(t, <-done)
	})
	require.True(t, decoding.TryAcquire(maxDecodeBytes), "all of it is given back")
	decoding.Release(maxDecodeBytes)
}
