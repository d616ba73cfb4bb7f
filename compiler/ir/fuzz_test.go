package ir_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/compiler/ir"
)

// Parse takes any text without a panic, and what it takes prints as text that
// reads back as the same.
func FuzzParse(f *testing.F) {
	m := everyOp()
	f.Add(m.String())
	f.Add(m.Format(ir.PrintOptions{Positions: true}))
	f.Add(inFrame("%0 = conv2d_wgrad %x, %x {pad=0, stride=5, kernel=1} : f32[3,1,1,3]\nreturn %0, @b <- @b"))
	f.Add(inFrame("%a = fusion @r {kind=map} (%x) {\n%0 = relu %x : f32[2,5,5,3]\nyield %0, %0\n} : f32[2,5,5,3]\nreturn %a"))
	f.Add("module `m` {batch=1}\nfunc f() {\nreturn\n}")
	f.Fuzz(func(t *testing.T, text string) {
		m, err := ir.Parse("fuzz.ir", text)
		if err != nil {
			return
		}
		for _, o := range []ir.PrintOptions{{}, {Positions: true}} {
			printed := m.Format(o)
			back, err := ir.Parse("printed.ir", printed)
			require.NoError(t, err, printed)
			require.Equal(t, printed, back.Format(o))
		}
	})
}
