package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	printer "wrnc/codegen/cuda"
	kernels "wrnc/kernels/cpu"
	"wrnc/runtime/cuda/cache"
	"wrnc/runtime/cuda/nvrtc"
	"wrnc/runtime/data"
)

// examination looks at a machine, part by part.
type examination struct {
	data, python string
	ask          func(what string, limit time.Duration, answer any) error

	gpu   *probedGPU // the first that can be used; nil: none
	onGPU bool       // and kernels can be compiled for it
}

func (e *examination) program() []finding {
	v := thisVersion()
	return []finding{{Part: "wrnc", State: fine, Text: fmt.Sprintf("%v, built by %s for %s", v, v.Go, v.System),
		Facts: map[string]any{"version": v.Version, "revision": v.Revision, "go": v.Go, "system": v.System}}}
}

// processor is what the cpu target runs on.
func (e *examination) processor() []finding {
	v, name := thisVersion(), processor("/proc/cpuinfo")
	f := finding{Part: "cpu", State: fine, Facts: map[string]any{"name": name, "cores": runtime.NumCPU(), "isas": v.ISAs, "isa": v.ISAs[0]}}
	f.Text = fmt.Sprintf("%s, %d cores; %s is taken, of %s", name, runtime.NumCPU(), v.ISAs[0], strings.Join(v.ISAs, ", "))
	if len(v.ISAs) == 1 && len(kernels.All()) > 1 {
		f.State, f.Remedy = missing, "plain Go code is far slower; a processor with AVX2 and FMA, or AVX-512, does better"
	}
	m := finding{Part: "memory", State: fine, Text: "the system does not say how much there is"}
	free, known, err := freeMemory(meminfo)
	total, _, totalErr := memoryFact(meminfo, "MemTotal")
	switch {
	case errors.Join(err, totalErr) != nil:
		m.State, m.Text, m.Remedy = problem, errors.Join(err, totalErr).Error(), "runs do not know what they can take"
	case known:
		m.Text = fmt.Sprintf("%s, of which %s are free", formatBytes(int(total)), formatBytes(int(free)))
		m.Facts = map[string]any{"bytes": total, "free": free}
	}
	return []finding{f, m}
}

const withoutGPU = "without one networks train on the processor"

// gpus are those that the driver finds.
func (e *examination) gpus() []finding {
	var p probedGPUs
	if err := e.ask("gpu", gpuTime, &p); err != nil {
		return []finding{{Part: "gpu", State: problem, Text: fmt.Sprintf("looking for one failed: %v", err), Remedy: "see whether nvidia-smi works, and restart the machine; --target cpu does without"}}
	}
	if p.Error.Text != "" {
		text, _, _ := strings.Cut(p.Error.Text, "\n")
		f := finding{Part: "gpu", State: problem, Text: text, Remedy: p.Error.Remedy}
		if p.Error.Absent {
			f.State = missing
		}
		if f.Remedy == "" {
			f.Remedy = "an NVIDIA GPU from sm_80 on (RTX 30, A100 or newer) with a driver for CUDA 12 or newer can be used; " + withoutGPU
		}
		return []finding{f}
	}
	var list []finding
	for i := range p.GPUs {
		list = append(list, e.oneGPU(i, &p.GPUs[i]))
	}
	return list
}

func (e *examination) oneGPU(i int, g *probedGPU) finding {
	f := finding{Part: "gpu", State: problem, Text: fmt.Sprintf("%d: %s", i, g.Error.Text), Remedy: g.Error.Remedy}
	if g.Error.Text != "" {
		if g.Error.Absent {
			f.State = missing
		}
		return f
	}
	arch, err := printer.Nearest(g.Major, g.Minor)
	if err != nil {
		return finding{Part: "gpu", State: missing, Text: fmt.Sprintf("%d: %s: %v", i, g.Name, err), Remedy: withoutGPU}
	}
	if e.gpu == nil {
		e.gpu = g
	}
	version := cudaVersion(g.Driver)
	release := driverRelease("/proc/driver/nvidia/version")
	text := fmt.Sprintf("%d: %s, sm_%d%d, %s (%s free), driver", i, g.Name, g.Major, g.Minor, formatBytes(g.Memory), formatBytes(g.Free))
	if release != "" {
		text += " " + release
	}
	return finding{Part: "gpu", State: fine, Text: fmt.Sprintf("%s for CUDA %s; planned for as %s", text, version, arch),
		Facts: map[string]any{"device": i, "name": g.Name, "capability": fmt.Sprintf("%d.%d", g.Major, g.Minor), "bytes": g.Memory, "free": g.Free,
			"multiprocessors": g.Processors, "cuda": version, "driver": release, "arch": arch}}
}

// cudaVersion writes a version as the driver numbers it: 13.1 for 13010.
func cudaVersion(number int) string { return fmt.Sprintf("%d.%d", number/1000, number%1000/10) }

// driverRelease is the number of NVIDIA's kernel module, or "".
func driverRelease(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return "" // none is loaded, or it does not say
	}
	first, _, _ := strings.Cut(string(text), "\n")
	for _, word := range strings.Fields(first) {
		if strings.Trim(word, "0123456789.") == "" && strings.Contains(word, ".") {
			return word
		}
	}
	return ""
}

// compiler is NVRTC, tried for the GPU that is there.
func (e *examination) compiler() []finding {
	what := "nvrtc 8 0 0"
	if e.gpu != nil {
		what = fmt.Sprintf("nvrtc %d %d %d", e.gpu.Major, e.gpu.Minor, e.gpu.Driver)
	}
	var p probedCompiler
	if err := e.ask(what, compileTime, &p); err != nil {
		return []finding{{Part: "nvrtc", State: problem, Text: fmt.Sprintf("trying it failed: %v", err), Remedy: "another release may work: " + nvrtc.Remedy()}}
	}
	f := finding{Part: "nvrtc", State: problem, Text: p.Error.Text}
	if p.Path == "" {
		f.Text, _, _ = strings.Cut(f.Text, ";")
		f.Text = strings.Join(strings.Fields(f.Text), " ")
		if p.Error.Absent {
			f.State = missing
		} else if _, tried, ok := strings.Cut(p.Error.Text, "Tried:\n"); ok {
			f.Text += ": " + strings.ReplaceAll(tried, "\n", "; ")
		}
		f.Remedy = nvrtc.Remedy()
		if e.gpu == nil {
			f.Remedy = "only a GPU needs it: " + f.Remedy
		}
		return []finding{f}
	}
	newest := fmt.Sprintf("sm_%d", p.Archs[len(p.Archs)-1])
	f.Facts = map[string]any{"path": p.Path, "version": p.Version, "newest": newest}
	head := fmt.Sprintf("%s of %s, which knows up to %s", p.Version, p.Path, newest)
	if p.Error.Text != "" {
		first, _, _ := strings.Cut(p.Error.Text, "\n")
		f.Text, f.Remedy = head+": "+first, "another release may work: "+nvrtc.Remedy()
		return []finding{f}
	}
	e.onGPU = e.gpu != nil
	f.Facts["arch"] = p.Arch
	f.State, f.Text = fine, head+"; compiles for "+p.Arch
	if len(p.Notes) > 0 {
		f.Text += "; " + strings.Join(p.Notes, "; ")
	}
	return []finding{f}
}

// cache is where compiled kernels are kept.
func (e *examination) cache() []finding {
	dir, err := cache.Dir()
	if err != nil {
		return []finding{{Part: "cache", State: missing, Text: err.Error(), Remedy: "without it kernels for a GPU are compiled at each start"}}
	}
	u, err := cache.Look(dir)
	f := finding{Part: "cache", State: fine, Facts: map[string]any{"folder": dir, "kernels": u.Entries, "bytes": u.Bytes, "limit": cache.Limit, "writable": err == nil}}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.Text = fmt.Sprintf("%s is made when a kernel for a GPU is compiled", dir)
		delete(f.Facts, "writable")
	case err != nil:
		f.State, f.Text = problem, fmt.Sprintf("%s: %v", dir, err)
		f.Remedy = "kernels for a GPU are compiled at each start until it can be written; WRNC_CACHE can name another folder"
	default:
		f.Text = fmt.Sprintf("%s: %d kernels, %s of at most %s", dir, u.Entries, formatBytes(int(u.Bytes)), formatBytes(cache.Limit))
	}
	return []finding{f}
}

// dataSets says which are there.
func (e *examination) dataSets() []finding {
	var list []finding
	for _, d := range dataSets() {
		if d.find == nil {
			list = append(list, finding{Part: d.name, State: fine, Text: "wrnc makes it itself"})
			continue
		}
		f := finding{Part: d.name, State: fine, Facts: map[string]any{"looked_in": e.data}}
		folder, err := d.find(e.data)
		var lacking *data.MissingError
		switch {
		case err == nil:
			f.Text = fmt.Sprintf("in %s; contents are checked when they are read", folder)
			f.Facts["folder"] = folder
		case errors.As(err, &lacking) && !lacking.Partial:
			f.State, f.Text, f.Remedy = missing, fmt.Sprintf("not in %s", e.data), lacking.How+", or name its folder by --data"
		case errors.As(err, &lacking):
			f.State, f.Text, f.Remedy = problem, strings.TrimPrefix(err.Error(), d.name+": "), lacking.How
			f.Text, _, _ = strings.Cut(f.Text, "; to get them")
		default:
			f.State, f.Text = problem, strings.TrimPrefix(err.Error(), d.name+": ")
		}
		list = append(list, f)
	}
	return list
}

// scarce is how much space on a disk is too little for a run.
const scarce = 256 << 20

// disk is where runs are kept.
func (e *examination) disk() []finding {
	dir, err := filepath.Abs(".")
	if err != nil {
		return []finding{{Part: "disk", State: problem, Text: err.Error(), Remedy: "runs are kept in the folder that wrnc is started in, or in that of --out"}}
	}
	free, known, err := freeSpace(dir)
	switch {
	case err != nil:
		return []finding{{Part: "disk", State: problem, Text: fmt.Sprintf("%s: %v", dir, err), Remedy: "runs are kept there, or in the folder of --out"}}
	case !known:
		return []finding{{Part: "disk", State: fine, Text: "this system is not asked how much is free"}}
	}
	f := finding{Part: "disk", State: fine, Text: fmt.Sprintf("%s are free in %s, where runs are kept", formatBytes(int(free)), dir), Facts: map[string]any{"folder": dir, "free": free}}
	if free < scarce {
		f.State, f.Remedy = problem, "checkpoints need more; free some, or keep runs elsewhere by --out"
	}
	return []finding{f}
}

// tools are programs that no training needs.
func (e *examination) tools() []finding {
	compiler := finding{Part: "g++", State: missing, Text: "not found", Remedy: "only wrnc's own tests need it, which execute the texts of GPU kernels"}
	if path, err := exec.LookPath("g++"); err == nil {
		compiler = finding{Part: "g++", State: fine, Text: path + ", for wrnc's own tests"}
	}
	return []finding{compiler, e.torch()}
}

// torch is a Python with PyTorch.
func (e *examination) torch() finding {
	f := finding{Part: "torch", State: missing, Remedy: "only comparisons of speed need it: python3 -m venv env; env/bin/pip install torch numpy; and name it by --python env/bin/python"}
	path, err := exec.LookPath(e.python)
	if err != nil {
		f.Text = fmt.Sprintf("there is no %s", e.python)
		return f
	}
	out, err := output(programTime, nil, path, "-c", "import sys; print(sys.version.split()[0]); import torch; print(torch.__version__)")
	words := strings.Fields(out)
	switch {
	case err != nil && len(words) > 0:
		_, last, _ := strings.Cut(err.Error(), "\n")
		f.Text = fmt.Sprintf("Python %s of %s: %s", words[0], path, last)
	case err != nil || len(words) != 2:
		f.Text = fmt.Sprintf("%s is no Python that works: %v", path, err)
	default:
		return finding{Part: "torch", State: fine, Text: fmt.Sprintf("PyTorch %s, Python %s of %s", words[1], words[0], path), Facts: map[string]any{"python": words[0], "torch": words[1], "path": path}}
	}
	return f
}
