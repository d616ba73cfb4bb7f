package main

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"wrnc/runtime/checkpoint"
)

func TestInterruptKeepsTheWeights(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a process cannot interrupt itself there")
	}
	dir := filepath.Join(t.TempDir(), "run")
	weights := filepath.Join(dir, "last.safetensors")
	var stdout, stderr bytes.Buffer
	code := make(chan int)
	go func() {
		code <- run([]string{"run", "--train", "digits", "WRN-10-1", "--limit", "64", "--batch", "32", "--epochs", "1000", "--out", dir}, &stdout, &stderr)
	}()
	require.Eventually(t, func() bool { _, err := os.Stat(weights); return err == nil }, time.Minute, 10*time.Millisecond, "an epoch ends")
	self, err := os.FindProcess(os.Getpid())
	require.NoError(t, err)
	require.NoError(t, self.Signal(os.Interrupt))
	require.Equal(t, 1, <-code)

	file, err := checkpoint.Read(weights)
	require.NoError(t, err)
	require.Equal(t, "wrnc: stopped; the weights after step "+file.Metadata["step"]+" are in "+weights+"; go on by: wrnc run --resume "+dir+"\n", stderr.String())
	require.Equal(t, "digits", file.Metadata["data"])
	require.NotEmpty(t, stdout.String())
}
