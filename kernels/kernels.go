// Package kernels holds the CUDA text that generated kernels include, and the
// program that executes such text on a CPU.
//
//	*.cuh   the templates
//	gpu/    device.cuh for a GPU
//	emu/    device.cuh for a CPU, and the runtime that it calls
package kernels

import (
	"embed"
	"path"
)

// Files holds the texts under the names that they have in this folder.
//
//go:embed *.cuh gpu emu
var Files embed.FS

// Headers are the texts that a kernel for a GPU can include: the templates and the
// GPU's prelude, by the name that an #include gives.
func Headers() map[string]string {
	headers := map[string]string{}
	for _, folder := range []string{".", "gpu"} {
		entries, err := Files.ReadDir(folder)
		if err != nil {
			panic(err) // it is part of the program
		}
		for _, e := range entries {
			if path.Ext(e.Name()) != ".cuh" {
				continue
			}
			text, err := Files.ReadFile(path.Join(folder, e.Name()))
			if err != nil {
				panic(err)
			}
			headers[e.Name()] = string(text)
		}
	}
	return headers
}
