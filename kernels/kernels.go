// Package kernels holds the CUDA text that generated kernels include, and the
// program that executes such text on a CPU.
//
//	*.cuh   the templates
//	gpu/    device.cuh for a GPU
//	emu/    device.cuh for a CPU, and the runtime that it calls
package kernels

import "embed"

// Files holds the texts under the names that they have in this folder.
//
//go:embed *.cuh gpu emu
var Files embed.FS
