// Package gorgonia makes the calls of [libcuda.API] by gorgonia.org/cu and, where that
// has none, by cgo. It is built with the tag gorgonia alone: cu needs a C compiler and
// CUDA's headers, and its init ends every process that finds no driver and no GPU.
package gorgonia
