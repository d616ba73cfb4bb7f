package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// imports is a statement of policy: what each package may import, tests left
// aside. Imports run downward only. A package is named by its folder, a module
// of others by its path; the standard library is open to all.
//
// The language and the compiler above `lower` know networks, layers and blocks;
// nothing below does. The runtime sees plans and types, never the language nor
// the passes. Only dsl sees participle, only codegen/glue jennifer, only cmd/wrnc the
// command line's library.
const imports = `
	dsl/diag:
	dsl:                dsl/diag github.com/alecthomas/participle/v2

	kernels:
	kernels/harness:    kernels
	kernels/templatetest:
	kernels/f32:
	kernels/winograd:
	kernels/cpu:        kernels/f32 kernels/winograd golang.org/x/sys
	kernels/cpu/asm:    kernels/winograd github.com/mmcloughlin/avo

	compiler/ir:
	compiler/ir/interp: compiler/ir kernels/f32
	compiler/ir/gen:    compiler/ir compiler/ir/interp
	compiler/oracle:    compiler/ir compiler/ir/interp compiler/ir/gen compiler/plan
	compiler/irgen:     compiler/ir dsl dsl/diag
	compiler/autodiff:  compiler/ir dsl
	compiler/passes:    compiler/ir
	compiler/plan:      compiler/ir kernels/winograd
	compiler/bundle:    compiler/plan
	compiler/lower:     compiler/ir compiler/plan
	codegen/cuda:       compiler/ir compiler/plan
	codegen/report:     compiler/ir compiler/plan
	codegen/glue:       compiler/ir compiler/plan compiler/bundle github.com/dave/jennifer
	compiler:           compiler/ir compiler/irgen compiler/autodiff compiler/passes dsl

	runtime:
	runtime/data:       golang.org/x/image golang.org/x/sync
	runtime/data/datatest:
	runtime/checkpoint:
	runtime/metrics:
	runtime/metrics/chart: runtime/metrics
	runtime/cpu:        runtime compiler/ir compiler/plan kernels/cpu kernels/winograd golang.org/x/sys
	runtime/cuda:       runtime compiler/ir compiler/plan
	runtime/cuda/emulator: runtime/cuda kernels/harness
	runtime/cuda/toolkit:
	runtime/cuda/dlopen: github.com/ebitengine/purego
	runtime/cuda/nvrtc: runtime/cuda/dlopen runtime/cuda/toolkit github.com/ebitengine/purego
	runtime/cuda/cubin: runtime/cuda/toolkit
	runtime/cuda/cache:
	runtime/cuda/jit:   runtime/cuda/cache runtime/cuda/nvrtc
	runtime/cuda/libcuda: runtime/cuda/dlopen github.com/ebitengine/purego
	runtime/cuda/libcuda/gorgonia: runtime/cuda/libcuda gorgonia.org/cu
	runtime/cuda/driver: runtime/cuda runtime/cuda/jit runtime/cuda/libcuda
	runtime/cuda/facts: runtime/cuda compiler/plan kernels/f32
	runtime/cuda/contract: runtime/cuda compiler/plan kernels github.com/stretchr/testify
	runtime/cuda/inspect: runtime/cuda/cubin runtime/cuda/nvrtc
	runtime/train:      runtime runtime/data runtime/checkpoint runtime/metrics compiler/ir kernels/f32
	runtime/network:    runtime runtime/train runtime/checkpoint compiler/ir
	runtime/live:       runtime runtime/train runtime/data runtime/metrics
	runtime/verify:     runtime compiler/ir compiler/ir/interp compiler/ir/gen compiler/oracle compiler/plan

	cmd/wrnc:           dsl dsl/diag compiler compiler/ir compiler/irgen compiler/passes compiler/plan compiler/lower
	cmd/wrnc:           codegen/cuda codegen/glue codegen/report kernels
	cmd/wrnc:           runtime runtime/cpu runtime/data runtime/checkpoint runtime/metrics runtime/metrics/chart runtime/train runtime/live runtime/network kernels/cpu bench
	cmd/wrnc:           runtime/cuda runtime/cuda/driver runtime/cuda/jit runtime/cuda/nvrtc
	cmd/wrnc:           runtime/cuda/libcuda runtime/cuda/libcuda/gorgonia
	cmd/wrnc:           runtime/verify runtime/cuda/cache runtime/cuda/facts
	cmd/wrnc:           github.com/alecthomas/kong golang.org/x/term

	bench:              kernels/cpu
	bench/benchtest:
	codegen/report/browsertest:
`

const module = "wrnc/"

// policy reads the statement.
func policy(t *testing.T) map[string][]string {
	allowed := map[string][]string{}
	for line := range strings.Lines(imports) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		name, list, ok := strings.Cut(line, ":")
		require.True(t, ok, line)
		allowed[name] = append(allowed[name], strings.Fields(list)...)
	}
	return allowed
}

// permits tells whether a package may import path.
func permits(allowed []string, path string) bool {
	if inside, ours := strings.CutPrefix(path, module); ours {
		return slices.Contains(allowed, inside)
	}
	host, _, _ := strings.Cut(path, "/")
	if !strings.Contains(host, ".") {
		return true // the standard library
	}
	return slices.ContainsFunc(allowed, func(m string) bool { return path == m || strings.HasPrefix(path, m+"/") })
}

func TestImports(t *testing.T) {
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	allowed := policy(t)
	seen := map[string]bool{}
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() {
			if path != root && (name == "testdata" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_")) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		folder, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		folder = filepath.ToSlash(folder)
		seen[folder] = true
		list, known := allowed[folder]
		if !known {
			t.Errorf("package %s has no line in the policy", folder)
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if !permits(list, imported) {
				t.Errorf("%s/%s imports %s, which the policy does not allow", folder, name, imported)
			}
		}
		return nil
	})
	require.NoError(t, err)
	for name := range allowed {
		require.True(t, seen[name], "the policy names %s, which is no package", name)
	}
}

func TestPolicyRunsDownward(t *testing.T) {
	allowed := policy(t)
	var visit func(name string, above []string)
	visit = func(name string, above []string) {
		require.NotContains(t, above, name, "the policy allows a cycle")
		for _, below := range allowed[name] {
			if _, ours := allowed[below]; ours {
				visit(below, append(slices.Clone(above), name))
			} else {
				require.Contains(t, below, ".", "%s may import %s, which is no package", name, below)
			}
		}
	}
	for name := range allowed {
		visit(name, nil)
	}
}
