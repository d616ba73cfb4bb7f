//go:build !amd64

package cpu

func vectorISAs() []*ISA { return nil }
