// Package toolkit finds the parts of a CUDA toolkit that wrnc uses: NVRTC, and
// the disassembler that tests look at kernels with. Nothing is linked; a machine
// without them learns so when it asks.
package toolkit

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Env is what of the machine a search depends on.
type Env struct {
	Getenv   func(string) string
	LookPath func(string) (string, error)
	Cache    string // the user's folder of caches, or empty
	Root     string // goes before absolute folders: empty but in tests
}

// Machine is the Env of this process.
func Machine() Env {
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = "" // no home folder: the other places remain
	}
	return Env{Getenv: os.Getenv, LookPath: exec.LookPath, Cache: cache}
}

// sonames are the versions of NVRTC that wrnc knows, the newest first.
var sonames = []string{"libnvrtc.so.13", "libnvrtc.so.12"}

// Libraries returns what to try as NVRTC, in order: paths of files that exist, and
// bare names for the system's loader. $WRNC_NVRTC, a file or a folder, is the only
// place where it is set; one who names a library does not want another.
func (e Env) Libraries() ([]string, error) {
	if named := e.Getenv("WRNC_NVRTC"); named != "" {
		info, err := os.Stat(named)
		if err != nil {
			return nil, fmt.Errorf("WRNC_NVRTC: %w", err)
		}
		if !info.IsDir() {
			return []string{named}, nil
		}
		found := inside([]string{named}, sonames)
		if len(found) == 0 {
			return nil, fmt.Errorf("WRNC_NVRTC: %s holds none of %s", named, strings.Join(sonames, ", "))
		}
		return found, nil
	}
	found := inside(e.chosen("lib"), sonames)
	found = append(found, sonames...)
	found = append(found, inside(e.usual("lib"), sonames)...)
	return found, nil
}

// Program returns the path of a program of the toolkit, such as nvdisasm. A
// variable with its name, such as $WRNC_NVDISASM, is the only place where set.
func (e Env) Program(name string) (string, error) {
	variable := "WRNC_" + strings.ToUpper(name)
	if named := e.Getenv(variable); named != "" {
		path, err := e.LookPath(named)
		if err != nil {
			return "", fmt.Errorf("%s: %w", variable, err)
		}
		return path, nil
	}
	for _, path := range inside(e.chosen("bin"), []string{name}) {
		return path, nil
	}
	if path, err := e.LookPath(name); err == nil {
		return path, nil
	}
	for _, path := range inside(e.usual("bin"), []string{name}) {
		return path, nil
	}
	return "", fmt.Errorf("%s was not found; .ci/cuda-toolchain gets it, and %s names it", name, variable)
}

// inside returns the files of those names in the folders, which may be patterns.
func inside(folders, names []string) []string {
	var found []string
	for _, name := range names {
		for _, folder := range folders {
			matches, err := filepath.Glob(filepath.Join(folder, name))
			if err != nil {
				continue // a variable holds a broken pattern: no such folder
			}
			slices.Reverse(matches) // the newest version last in the alphabet
			for _, match := range matches {
				if !slices.Contains(found, match) {
					found = append(found, match)
				}
			}
		}
	}
	return found
}

// chosen are the folders that the user named for wrnc.
func (e Env) chosen(kind string) []string {
	if tools := e.Getenv("WRNC_CUDA_TOOLS"); tools != "" {
		return tree(tools, kind)
	}
	return nil
}

// usual are the folders where toolkits lie.
func (e Env) usual(kind string) []string {
	var folders []string
	if e.Cache != "" {
		folders = append(folders, tree(filepath.Join(e.Cache, "wrnc", "cuda"), kind)...)
	}
	for _, site := range e.sitePackages() {
		folders = append(folders, wheel(site, kind)...)
	}
	if prefix := e.Getenv("CONDA_PREFIX"); prefix != "" {
		folders = append(folders, filepath.Join(prefix, kind))
	}
	for _, variable := range []string{"CUDA_HOME", "CUDA_PATH"} {
		if home := e.Getenv(variable); home != "" {
			folders = append(folders, install(home, kind)...)
		}
	}
	for _, home := range []string{"/usr/local/cuda", "/usr/local/cuda-*", "/opt/cuda"} {
		folders = append(folders, install(e.Root+home, kind)...)
	}
	return folders
}

// tree are the folders of what .ci/cuda-toolchain installed.
func tree(tools, kind string) []string {
	folders := wheel(filepath.Join(tools, "pypi"), kind)
	if kind == "lib" {
		return append(folders, filepath.Join(tools, "debian", "usr", "lib", "*-linux-gnu"))
	}
	return append(folders, filepath.Join(tools, "debian", "usr", kind))
}

// wheel are the folders inside site-packages: one for all packages of CUDA 13, one
// for each package before.
func wheel(site, kind string) []string {
	return []string{
		filepath.Join(site, "nvidia", "cu[0-9]*", kind),
		filepath.Join(site, "nvidia", "cuda_nv*", kind),
	}
}

// install are the folders of NVIDIA's own installer.
func install(home, kind string) []string {
	if kind == "lib" {
		return []string{filepath.Join(home, "lib64"), filepath.Join(home, "targets", "*", "lib")}
	}
	return []string{filepath.Join(home, kind)}
}

// sitePackages are the folders where pip puts packages: of the environment that is
// active, of the python on the path, of the user and of the system.
func (e Env) sitePackages() []string {
	var prefixes []string
	for _, variable := range []string{"VIRTUAL_ENV", "CONDA_PREFIX"} {
		if prefix := e.Getenv(variable); prefix != "" {
			prefixes = append(prefixes, prefix)
		}
	}
	if python, err := e.LookPath("python3"); err == nil {
		if real, err := filepath.EvalSymlinks(python); err == nil {
			python = real
		}
		prefixes = append(prefixes, filepath.Dir(filepath.Dir(python)))
	}
	if home := e.Getenv("HOME"); home != "" {
		prefixes = append(prefixes, filepath.Join(home, ".local"))
	}
	prefixes = append(prefixes, e.Root+"/usr/local", e.Root+"/usr")
	var sites []string
	for _, prefix := range prefixes {
		sites = append(sites, filepath.Join(prefix, "lib", "python3*", "site-packages"),
			filepath.Join(prefix, "lib", "python3*", "dist-packages"))
	}
	return append(sites, e.Root+"/usr/lib/python3/dist-packages")
}
