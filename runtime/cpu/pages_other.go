//go:build !linux

package cpu

// adviseHuge does nothing where the system offers no such advice.
func adviseHuge([]float32) {}
