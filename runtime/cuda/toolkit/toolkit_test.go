package toolkit

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// machine is an Env over an empty folder, with files and variables of a test.
// Paths in both are relative to the folder.
func machine(t *testing.T, files []string, variables map[string]string) (Env, string) {
	root := t.TempDir()
	for _, file := range files {
		path := filepath.Join(root, file)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, nil, 0o755))
	}
	return Env{
		Getenv: func(name string) string {
			if value := variables[name]; value != "" {
				return filepath.Join(root, value)
			}
			return ""
		},
		LookPath: func(name string) (string, error) {
			for _, path := range []string{name, filepath.Join(root, "path", name)} {
				if _, err := os.Stat(path); err == nil && filepath.IsAbs(path) {
					return path, nil
				}
			}
			return "", errors.New(name + ": not on the path")
		},
		Cache: filepath.Join(root, "cache"),
		Root:  root,
	}, root
}

// relative strips the root from paths below it.
func relative(t *testing.T, root string, paths []string) []string {
	var out []string
	for _, path := range paths {
		if filepath.IsAbs(path) {
			short, err := filepath.Rel(root, path)
			require.NoError(t, err)
			path = short
		}
		out = append(out, path)
	}
	return out
}

func TestLibraries(t *testing.T) {
	bare := []string{"libnvrtc.so.13", "libnvrtc.so.12"}
	for _, c := range []struct {
		name      string
		files     []string
		variables map[string]string
		want      []string
	}{
		{name: "nothing but the loader's own search", want: bare},
		{
			name:  "a wheel of CUDA 13 in the user's packages",
			files: []string{"me/.local/lib/python3.12/site-packages/nvidia/cu13/lib/libnvrtc.so.13"}, variables: map[string]string{"HOME": "me"},
			want: append(bare[:2:2], "me/.local/lib/python3.12/site-packages/nvidia/cu13/lib/libnvrtc.so.13"),
		},
		{
			name:  "a wheel of CUDA 12 in a virtual environment",
			files: []string{"venv/lib/python3.9/site-packages/nvidia/cuda_nvrtc/lib/libnvrtc.so.12"}, variables: map[string]string{"VIRTUAL_ENV": "venv"},
			want: append(bare[:2:2], "venv/lib/python3.9/site-packages/nvidia/cuda_nvrtc/lib/libnvrtc.so.12"),
		},
		{
			name: "version 13 before 12 wherever they lie, then the newest installation",
			files: []string{
				"cache/wrnc/cuda/debian/usr/lib/x86_64-linux-gnu/libnvrtc.so.12",
				"usr/local/cuda-13.0/lib64/libnvrtc.so.13",
				"usr/local/cuda-13.2/lib64/libnvrtc.so.13",
			},
			want: append(bare[:2:2], "usr/local/cuda-13.2/lib64/libnvrtc.so.13", "usr/local/cuda-13.0/lib64/libnvrtc.so.13",
				"cache/wrnc/cuda/debian/usr/lib/x86_64-linux-gnu/libnvrtc.so.12"),
		},
		{
			name:  "a folder of tools that was named comes before the loader's search",
			files: []string{"tools/pypi/nvidia/cu13/lib/libnvrtc.so.13"}, variables: map[string]string{"WRNC_CUDA_TOOLS": "tools"},
			want: append([]string{"tools/pypi/nvidia/cu13/lib/libnvrtc.so.13"}, bare...),
		},
		{
			name:      "a library that was named is the only one",
			files:     []string{"mine.so", "usr/local/cuda/lib64/libnvrtc.so.13"},
			variables: map[string]string{"WRNC_NVRTC": "mine.so"},
			want:      []string{"mine.so"},
		},
		{
			name:      "a folder that was named",
			files:     []string{"folder/libnvrtc.so.12", "usr/local/cuda/lib64/libnvrtc.so.13"},
			variables: map[string]string{"WRNC_NVRTC": "folder"},
			want:      []string{"folder/libnvrtc.so.12"},
		},
		{
			name:      "the python on the path",
			files:     []string{"path/python3", "lib/python3.11/site-packages/nvidia/cu13/lib/libnvrtc.so.13"},
			variables: nil,
			want:      append(bare[:2:2], "lib/python3.11/site-packages/nvidia/cu13/lib/libnvrtc.so.13"),
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			env, root := machine(t, c.files, c.variables)
			got, err := env.Libraries()
			require.NoError(t, err)
			require.Equal(t, c.want, relative(t, root, got))
		})
	}
}

func TestNamedLibraryMustExist(t *testing.T) {
	env, root := machine(t, []string{"empty/other"}, map[string]string{"WRNC_NVRTC": "gone.so"})
	_, err := env.Libraries()
	require.ErrorContains(t, err, "WRNC_NVRTC: stat "+filepath.Join(root, "gone.so"))

	env, root = machine(t, []string{"empty/other"}, map[string]string{"WRNC_NVRTC": "empty"})
	_, err = env.Libraries()
	require.EqualError(t, err, "WRNC_NVRTC: "+filepath.Join(root, "empty")+" holds none of libnvrtc.so.13, libnvrtc.so.12")
}

func TestProgram(t *testing.T) {
	everywhere := []string{"mine", "tools/debian/usr/bin/nvdisasm", "path/nvdisasm", "cache/wrnc/cuda/pypi/nvidia/cu13/bin/nvdisasm", "usr/local/cuda/bin/nvdisasm"}
	variables := map[string]string{"WRNC_NVDISASM": "mine", "WRNC_CUDA_TOOLS": "tools"}
	// Each place wins over those after it.
	for i, want := range everywhere {
		env, root := machine(t, everywhere[i:], variables)
		got, err := env.Program("nvdisasm")
		require.NoError(t, err)
		require.Equal(t, []string{want}, relative(t, root, []string{got}))
		delete(variables, "WRNC_NVDISASM")
	}
	env, _ := machine(t, nil, nil)
	_, err := env.Program("nvdisasm")
	require.EqualError(t, err, "nvdisasm was not found; .ci/cuda-toolchain gets it, and WRNC_NVDISASM names it")

	env, root := machine(t, everywhere[1:], map[string]string{"WRNC_NVDISASM": "mine"})
	_, err = env.Program("nvdisasm")
	require.EqualError(t, err, "WRNC_NVDISASM: "+filepath.Join(root, "mine")+": not on the path")
}

// ending records how a test was ended.
type ending struct{ how, why string }

func (e *ending) Helper() {}
func (e *ending) Fatalf(format string, args ...any) {
	e.how, e.why = "failed", fmt.Sprintf(format, args...)
	panic(e)
}
func (e *ending) Skipf(format string, args ...any) {
	e.how, e.why = "skipped", fmt.Sprintf(format, args...)
	panic(e)
}

func TestMissing(t *testing.T) {
	for variable, want := range map[string]ending{
		"":  {"skipped", "no CUDA toolchain (.ci/cuda-toolchain gets one): it is gone"},
		"1": {"failed", "WRNC_REQUIRE_CUDA_TOOLS=1, but it is gone"},
	} {
		t.Setenv("WRNC_REQUIRE_CUDA_TOOLS", variable)
		got := &ending{}
		require.PanicsWithValue(t, got, func() { Missing(got, errors.New("it is gone")) })
		require.Equal(t, want, *got)
	}
}
