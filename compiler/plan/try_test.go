package plan_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"wrnc/compiler"
	"wrnc/compiler/lower"
	"wrnc/compiler/plan"
	"wrnc/dsl"
)

func TestTry(t *testing.T) {
	files, _ := filepath.Glob("../../testdata/nets/*.wrn")
	for _, name := range files {
		for _, fuse := range []bool{true, false} {
			for _, drop := range []float64{0, 0.3} {
				text, _ := os.ReadFile(name)
				net, err := dsl.Load(name, text)
				if err != nil {
					t.Fatal(err)
				}
				net.Dropout = drop
				r, err := compiler.Compile(net, compiler.Options{Batch: 6, Fuse: fuse})
				if err != nil {
					fmt.Println(name, fuse, drop, "compile", err)
					continue
				}
				for _, f := range r.Module.Funcs {
					p, err := lower.Plan(f, plan.Arch{Target: "cpu", ISA: "go", Chans: 8, L1: 32768, L2: 524288})
					if err != nil {
						fmt.Println(filepath.Base(name), fuse, drop, f.Name, "lower", err)
						continue
					}
					fmt.Println(filepath.Base(name), fuse, drop, f.Name, len(p.Kernels), len(p.Launches), p.Arena, p.VerifyAgainst(f))
					q, err := plan.Parse("x", p.String())
					if err != nil || q.String() != p.String() {
						fmt.Println("reparse", err)
					}
					os.WriteFile(fmt.Sprintf("/tmp/plantry/%s.%v.%s.plan", filepath.Base(name), fuse, f.Name), []byte(p.String()), 0o666)
				}
			}
		}
	}
}
