package dsl

// The bounds of layers: past what networks have, and far below what overflows.
const (
	maxKernel = 31
)
