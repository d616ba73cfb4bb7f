package interp

import (
	"testing"

	"wrnc/compiler/ir"
)

// Run never panics on a module that verifies, whatever its batch.
func FuzzRun(f *testing.F) {
	f.Add(bnText)
	f.Add(lossText)
	f.Add("module \"t\" {batch=2}\nstate @w : f32[2,1,1,2] role=param init=constant(0)\nfunc main(%x : f32[2,1,2,2], %s : f32[2,2], %lr : f32[]) {\n%0 = affine %x, %s : f32[2,1,2,2]\n%1 = conv2d %0, @w {pad=0, stride=1} : f32[2,1,2,2]\n%2 = descend %1, %0, %lr : f32[2,1,2,2]\nreturn %2\n}\n")
	f.Add("module \"t\" {batch=2}\nfunc main(%a : f32[2], %x : f32[2,2], %seed : u64[]) {\n%0 = add_channel %x, %a : f32[2,2]\n%1 = dropout_mask %seed, %seed {p=0.5, stream=s} : u1[2,1,1,2]\nreturn %0\n}\n")
	f.Add("module \"t\" {batch=2}\nfunc main(%x : f32[2,3,4,1]) {\n%0 = maxpool %x {pad=1, stride=2, kernel=3} : f32[2,2,2,1]\n%1 = maxpool_grad %0, %x {pad=1, stride=2, kernel=3} : f32[2,3,4,1]\nreturn %1\n}\n")
	f.Add("module \"t\" {batch=2}\nfunc main(%p : u8[3,2,3,1] resident, %o : s32[2], %s : u64[], %v : f32[1,256] resident) {\n%0 = augment %p, %o, %s, %s, %v {pad=1, flip=true, fill=reflect} : f32[2,2,3,1]\nreturn %0\n}\n")
	f.Fuzz(func(t *testing.T, text string) {
		m, err := ir.Parse("fuzz.ir", text)
		if err != nil || !small(m) {
			return
		}
		for _, f := range m.Funcs {
			for _, n := range []int{m.Batch, 1} {
				in, st := map[string]*Tensor{}, map[string]*Tensor{}
				for _, p := range f.Params {
					typ := p.Type
					if typ.Rank() > 0 && !p.Resident {
						typ = withBatch(typ, n)
					}
					in[p.Name] = New(typ)
				}
				for _, s := range m.States {
					st[s.Name] = New(s.Type)
				}
				_, _ = Run(f, in, st, Options{}) // an error is fine: only a panic is not
			}
		}
	})
}

// small bounds the work of a module: a few values of a few elements.
func small(m *ir.Module) bool {
	total := 0
	count := func(t ir.Type) { total = min(total, 1<<20) + min(t.Elems(), 1<<20) }
	for _, s := range m.States {
		count(s.Type)
	}
	for _, f := range m.Funcs {
		for _, p := range f.Params {
			count(p.Type)
		}
		for _, n := range f.Nodes {
			for _, r := range n.Results {
				count(r.Type)
			}
			if n.Body != nil {
				for _, b := range n.Body.Nodes {
					for _, r := range b.Results {
						count(r.Type)
					}
				}
			}
		}
	}
	return total < 4096
}
