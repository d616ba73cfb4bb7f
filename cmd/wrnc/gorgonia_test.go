//go:build gorgonia

package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestGorgonia runs the sessions of a wrnc that is linked with libcuda. It is the fake
// one: see .ci/gorgonia.
func TestGorgonia(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "../../testdata/gorgonia", Cmds: map[string]func(*testscript.TestScript, bool, []string){
		"exits": exits, "samelosses": sameLosses, "fakecuda": fakeCUDA,
	}})
}
