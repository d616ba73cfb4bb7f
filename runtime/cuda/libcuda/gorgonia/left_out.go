//go:build !(gorgonia && cgo && linux)

package gorgonia

import (
	"errors"

	"wrnc/runtime/cuda/libcuda"
)

// Load says how to build a program that has the calls.
func Load() (libcuda.API, error) {
	return nil, errors.New("this wrnc is built without gorgonia.org/cu; where the cuda.h of CUDA 12 and libcuda are, " +
		"CGO_ENABLED=1 go build -tags gorgonia ./cmd/wrnc builds one with it")
}
