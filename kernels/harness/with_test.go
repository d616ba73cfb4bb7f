package harness

import (
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/kernels"
)

// TestWith compiles one text against a template and against a changed one.
func TestWith(t *testing.T) {
	h, m := start(t)
	ops, err := kernels.Files.ReadFile("ops.cuh")
	require.NoError(t, err)
	changed, err := h.With(map[string][]byte{"ops.cuh": append(ops, "constexpr u32 kChanged = 1;\n"...)})
	require.NoError(t, err)
	const source = `
#include "ops.cuh"
constexpr u32 kChanged = 0;
struct Args { u32* x; };
WRNC_KERNEL(k, 32, 1)(const Args args) {
  if (thread_index() == 0) args.x[0] = kChanged;
}
`
	module, err := h.Compile("with", source)
	require.NoError(t, err)
	x, err := m.Alloc(4, false)
	require.NoError(t, err)
	report, err := m.Launch(Launch{Module: module, Entry: "k", Blocks: 1, Threads: 32, Args: fields(x)})
	require.NoError(t, err)
	require.NoError(t, report.Err())
	_, err = changed.Compile("with", source)
	require.ErrorContains(t, err, "kChanged")

	_, err = h.With(map[string][]byte{"none.cuh": nil})
	require.ErrorContains(t, err, "none.cuh")
}
