package kernels_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/kernels"
)

// TestHeaders requires that a GPU's texts find all that they include, and that
// the preludes are not mistaken for each other.
func TestHeaders(t *testing.T) {
	headers := kernels.Headers()
	for _, prelude := range []string{"device.cuh", "ptx.cuh"} {
		text, err := os.ReadFile("gpu/" + prelude)
		require.NoError(t, err)
		require.Equal(t, string(text), headers[prelude])
	}
	require.Contains(t, headers, "conv.cuh")
	for name, text := range headers {
		for line := range strings.Lines(text) {
			if included, ok := strings.CutPrefix(line, "#include "); ok {
				require.Contains(t, headers, strings.Trim(included, "\"\n"), name)
			}
		}
	}
}
