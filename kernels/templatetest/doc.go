// Package templatetest tests the CUDA templates: kernels written by hand, as the
// generator prints them, are executed by the harness and compared with plain Go.
package templatetest
