package cuda_test

import (
	"os"
	"testing"
	"wrnc/codegen/cuda"
	"wrnc/compiler/ir"
	"wrnc/compiler/lower"
)

func TestDump(t *testing.T) {
	os.RemoveAll("/tmp/w/cu")
	os.MkdirAll("/tmp/w/cu", 0o755)
	distinct := map[string]bool{}
	for _, file := range nets(t) {
		for _, pr := range []ir.DType{ir.F32, ir.TF32, ir.BF16} {
			m := compiled(t, file, pr, true)
			a, _ := cuda.Arch("sm_80")
			n := 0
			for _, f := range m.Funcs {
				p, err := lower.Plan(f, a)
				if err != nil {
					t.Fatal(err)
				}
				ss, err := cuda.Emit(p, f)
				if err != nil {
					t.Fatal(err)
				}
				for _, s := range ss {
					if !distinct[s.Entry] {
						distinct[s.Entry] = true
						n++
						os.WriteFile("/tmp/w/cu/"+s.Entry+".cu", []byte(s.Text), 0o644)
					}
				}
			}
			t.Log(file, pr, "new texts", n)
		}
	}
	t.Log("all", len(distinct))
}
