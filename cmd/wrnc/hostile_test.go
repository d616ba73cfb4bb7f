package main

import (
	"bytes"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestHostileFiles gives every command that reads a network what is none: each
// answers with exit code 1 and a message of bounded size, in bounded time.
func TestHostileFiles(t *testing.T) {
	garbage := make([]byte, 1<<16)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range garbage {
		garbage[i] = byte(r.Uint32())
	}
	layers := func(text string) string { return "model g { input 8x8x3; layers { " + text + " } }" }
	dir := t.TempDir()
	for name, text := range map[string]string{
		"garbage":       string(garbage),
		"zero bytes":    strings.Repeat("\x00", 1<<16),
		"nothing":       "",
		"brackets":      strings.Repeat("{", 10<<20),
		"one line":      "model " + strings.Repeat("x", 1<<20-10),
		"depth":         "model WRN-1000000000-1",
		"width":         "model WRN-16-1000000000",
		"dropout":       "model WRN-16-1; dropout NaN",
		"rate":          "model WRN-16-1; train paper { lr 1e999 }",
		"layer width":   layers("conv 3x3 1000000000; avgpool global; linear classes"),
		"blocks":        layers("group 1000000000 width 16 { branch { conv 3x3 } }; avgpool global; linear classes"),
		"many layers":   layers(strings.Repeat("relu;", 30000) + "avgpool global; linear classes"),
		"many numbers":  "model g { input 4096x4096x65536; layers { conv 31x31 65536; avgpool global; linear 65536; relu; conv 1x1 classes stride 17 } }",
		"not a network": "#!/bin/sh\nexit 0\n",
	} {
		path := filepath.Join(dir, strings.ReplaceAll(name, " ", "-")+".wrn")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
		for _, command := range []string{"show", "expand", "fmt", "summary", "build", "run"} {
			args := []string{command, path}
			if command == "run" {
				args = []string{command, "--train", "digits", "--limit", "64", path}
			}
			if _, broken := formattable[name]; command == "fmt" && broken {
				continue
			}
			var stderr bytes.Buffer
			start := time.Now()
			require.Equal(t, exitUser, run(args, io.Discard, &stderr), "%s: %v\n%.2000s", name, args, stderr.String())
			require.NotEmpty(t, stderr.String())
			require.Less(t, stderr.Len(), 100_000, "%s: %s", name, command)
			require.Less(t, time.Since(start), 20*time.Second, "%s: %s", name, command)
		}
	}
}

// formattable are the texts that make no sense and have a layout all the same.
var formattable = map[string]bool{
	"nothing": true, "one line": true, "depth": true, "width": true, "dropout": true, "rate": true, "layer width": true, "blocks": true, "many layers": true, "many numbers": true,
	"not a network": true,
}
