package report_test

import (
	"encoding/xml"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/codegen/cuda"
	"wrnc/codegen/report"
	"wrnc/compiler"
	"wrnc/compiler/ir"
	"wrnc/compiler/lower"
	"wrnc/compiler/plan"
	"wrnc/dsl"
	"wrnc/kernels/cpu"
	runtime "wrnc/runtime/cpu"
)

// how is how a network is built for a test.
type how struct {
	precision ir.DType
	fuse      bool
	arch      plan.Arch
}

func gpu(t testing.TB) plan.Arch {
	arch, err := cuda.Arch(cuda.DefaultArch)
	require.NoError(t, err)
	return arch
}

// build builds a sample network.
func build(t testing.TB, name string, h how) report.Build {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../testdata/nets", name+".wrn"))
	require.NoError(t, err)
	net, err := dsl.Load(name, text)
	require.NoError(t, err)
	c, err := compiler.Compile(net, compiler.Options{Batch: net.Train.Batch, Precision: h.precision, Fuse: h.fuse})
	require.NoError(t, err)
	b := report.Build{Module: c.Module, Precision: h.precision.String()}
	for _, f := range c.Module.Funcs {
		p, err := lower.Plan(f, h.arch)
		require.NoError(t, err)
		fn := report.Function{Plan: p}
		if h.arch.OnGPU() {
			fn.Sources, err = cuda.Emit(p, f)
			require.NoError(t, err)
		}
		b.Functions = append(b.Functions, fn)
	}
	for _, d := range c.Decisions {
		b.Decisions = append(b.Decisions, report.Decision{
			Func: d.Func, Value: d.Value, Fate: d.Fate.String(), Regions: d.Regions,
			Reason: d.Reason, RefusedBy: d.RefusedBy, Refused: d.Refused, Saves: d.Saves,
		})
	}
	return b
}

func small(t testing.TB) report.Build {
	return build(t, "wrn-10-1", how{ir.F32, true, gpu(t)})
}

func write(t testing.TB, b report.Build) string {
	t.Helper()
	var w strings.Builder
	require.NoError(t, report.Write(&w, b))
	return w.String()
}

// element is an element of a page.
type element struct {
	name     string
	attrs    map[string]string
	text     string // of it and of all in it
	children []*element
	parent   *element
}

// parse reads a page as XML, which is stricter than HTML: every element is
// closed, every attribute quoted. A page is written so. Of the script and the
// styles, which are not XML, the caller rids it.
func parse(t testing.TB, page string) *element {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(page))
	top := &element{}
	at := top
	for {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		switch k := token.(type) {
		case xml.StartElement:
			e := &element{name: k.Name.Local, attrs: map[string]string{}, parent: at}
			for _, a := range k.Attr {
				require.NotContains(t, e.attrs, a.Name.Local)
				e.attrs[a.Name.Local] = a.Value
			}
			at.children = append(at.children, e)
			at = e
		case xml.EndElement:
			at.parent.text += at.text
			at = at.parent
		case xml.CharData:
			at.text += string(k)
		}
	}
	require.Same(t, top, at)
	return top
}

// without cuts an element of plain text out of a page.
func without(t testing.TB, page, name string) string {
	before, rest, found := strings.Cut(page, "<"+name+">")
	require.True(t, found)
	_, after, found := strings.Cut(rest, "</"+name+">")
	require.True(t, found)
	require.NotContains(t, after, "<"+name)
	return before + after
}

func parsePage(t testing.TB, page string) *element {
	t.Helper()
	return parse(t, without(t, without(t, page, "style"), "script"))
}

// each visits e and all in it.
func (e *element) each(visit func(*element)) {
	visit(e)
	for _, c := range e.children {
		c.each(visit)
	}
}

// all lists the elements of a name and, if not "", a class.
func (e *element) all(name, class string) []*element {
	var out []*element
	e.each(func(x *element) {
		if x.name == name && (class == "" || x.is(class)) {
			out = append(out, x)
		}
	})
	return out
}

func (e *element) is(class string) bool {
	return strings.Contains(" "+e.attrs["class"]+" ", " "+class+" ")
}

// byID maps the ids of a page to their elements, each of which must be one's own.
func (e *element) byID(t testing.TB) map[string]*element {
	ids := map[string]*element{}
	e.each(func(x *element) {
		if id, ok := x.attrs["id"]; ok {
			require.NotContains(t, ids, id)
			ids[id] = x
		}
	})
	return ids
}

// TestComplete finds everything of a build on its page: of each fusion a box, its
// IR to the letter, its kernels and their texts.
func TestComplete(t *testing.T) {
	b := small(t)
	doc := parsePage(t, write(t, b))
	ids := doc.byID(t)
	for _, fn := range b.Functions {
		f := b.Module.Func(fn.Plan.Func)
		section := ids[f.Name]
		require.NotNil(t, section)
		boxes := map[string]*element{}
		for _, e := range section.all("a", "box") {
			boxes[e.attrs["href"]] = e
		}
		require.Len(t, boxes, len(f.Nodes))
		texts, _ := f.Pieces()
		for i, n := range f.Nodes {
			id := f.Name + "/" + n.Layer
			detail := ids[id]
			require.NotNil(t, detail, id)
			require.Contains(t, boxes, "#"+id)
			require.Contains(t, boxes["#"+id].text, n.Layer)
			require.Equal(t, detail.attrs["data-i"], boxes["#"+id].attrs["data-i"])
			require.Equal(t, texts[i], detail.all("pre", "ir")[0].text)
			ops := detail.all("ol", "why")[0].all("li", "")
			require.Len(t, ops, len(n.Body.Nodes))
			for k, op := range n.Body.Nodes {
				require.Contains(t, ops[k].text, op.Op.String())
				if op.Op.Class() != ir.Opaque {
					require.Regexp(t, `: |the fusion is built around it`, ops[k].text, id)
				}
			}
		}
		for i, k := range fn.Plan.Kernels {
			detail := ids[f.Name+"/"+k.Region]
			require.Contains(t, detail.text, "Kernel "+k.Name)
			require.Contains(t, detail.text, fn.Plan.Buffers[k.Args[0].Buffer].Name)
			require.Contains(t, detail.text, k.Block.Why)
			text := ids[detail.all("div", "text")[0].attrs["data-text"]]
			require.Equal(t, fn.Sources[i].Text, text.all("pre", "")[0].text)
		}
		rows := section.all("div", "tall")[0].all("tr", "")
		require.Len(t, rows, 1+len(fn.Plan.Kernels))
	}
}

// TestLinks requires that each link leads to something on the page, and that the
// page needs nothing else.
func TestLinks(t *testing.T) {
	page := write(t, small(t))
	doc := parsePage(t, page)
	ids := doc.byID(t)
	doc.each(func(e *element) {
		if href, ok := e.attrs["href"]; ok {
			require.True(t, strings.HasPrefix(href, "#"), href)
			require.Contains(t, ids, href[1:])
		}
		require.NotContains(t, e.attrs, "src")
	})
	for _, never := range []string{"http:", "https:", "@import", "url(h"} {
		require.NotContains(t, page, never)
	}
}

// TestEdges compares the lines of the forward pass with the fusions' operands.
func TestEdges(t *testing.T) {
	b := small(t)
	doc := parsePage(t, write(t, b))
	ids := doc.byID(t)
	f := b.Module.Func("eval")
	want := map[string]bool{}
	boxes := map[string]*element{}
	for _, e := range ids["eval"].all("a", "box") {
		boxes[strings.TrimPrefix(e.attrs["href"], "#eval/")] = e
	}
	for _, n := range f.Nodes {
		for _, v := range n.Args {
			if v.Node == nil {
				continue
			}
			from, to := boxes[v.Node.Layer], boxes[n.Layer]
			require.Contains(t, strings.Fields(from.attrs["data-to"]), to.attrs["data-i"])
			require.Contains(t, strings.Fields(to.attrs["data-from"]), from.attrs["data-i"])
			if !strings.HasSuffix(v.Node.Layer, ".channel") { // from states alone: no line
				want[from.attrs["data-i"]+" "+to.attrs["data-i"]] = true
			}
		}
	}
	got := map[string]bool{}
	for _, e := range ids["eval"].all("svg", "wires")[0].all("path", "") {
		got[e.attrs["data-s"]+" "+e.attrs["data-t"]] = true
	}
	require.Equal(t, want, got)
}

// TestBoxesApart requires that no two boxes touch, for networks fused and not,
// on every kind of target.
func TestBoxesApart(t *testing.T) {
	type rect struct{ x, y, w, h int }
	hows := []how{{ir.F32, true, gpu(t)}, {ir.F32, false, gpu(t)}, {ir.BF16, true, gpu(t)}, {ir.F32, true, runtime.Arch(cpu.All()[0])}}
	for name, hows := range map[string][]how{"wrn-10-1": hows, "wrn-16-1": hows, "wrn-10-1-b13": hows[:1], "wrn-18-2-imagenet": hows[:1]} {
		for _, h := range hows {
			doc := parsePage(t, write(t, build(t, name, h)))
			for _, canvas := range doc.all("div", "canvas") {
				var rects []rect
				var size rect
				_, err := fmt.Sscanf(canvas.attrs["style"], "width:%dpx;height:%dpx", &size.w, &size.h)
				require.NoError(t, err)
				for _, e := range canvas.all("a", "box") {
					var r rect
					_, err := fmt.Sscanf(e.attrs["style"], "left:%dpx;top:%dpx;width:%dpx;height:%dpx", &r.x, &r.y, &r.w, &r.h)
					require.NoError(t, err)
					require.True(t, r.x > 0 && r.y > 0 && r.x+r.w <= size.w && r.y+r.h <= size.h, "%v in %v", r, size)
					for _, o := range rects {
						require.True(t, r.x >= o.x+o.w || o.x >= r.x+r.w || r.y >= o.y+o.h || o.y >= r.y+r.h, "%s: %v and %v", name, r, o)
					}
					rects = append(rects, r)
				}
				require.NotEmpty(t, rects)
			}
		}
	}
}

// TestCPU is the page of a target without texts and without a model: it says
// nothing of either, and shows a kernel as the plan has it.
func TestCPU(t *testing.T) {
	b := build(t, "wrn-10-1", how{ir.F32, true, runtime.Arch(cpu.All()[0])})
	page := write(t, b)
	doc := parsePage(t, page)
	require.NotContains(t, doc.text, "CUDA")
	require.NotContains(t, doc.text, "at least")
	require.NotContains(t, doc.text, "GFLOP")
	require.Empty(t, doc.all("table", "model"))
	ids := doc.byID(t)
	for i, k := range b.Functions[0].Plan.Kernels {
		require.Contains(t, ids["train/"+k.Region].text, b.Functions[0].Plan.KernelText(i))
	}
}

// TestHostile gives every name that the page shows a piece of HTML. None may
// become an element or leave its attribute.
func TestHostile(t *testing.T) {
	const evil = `</pre></script><script>alert(1)</script>"'><img src=x onerror=alert(2)>%2e#/ {{.}}` + "`"
	b := small(t)
	before := parsePage(t, write(t, b))

	b.Module.Name += evil
	b.Precision += evil
	for _, s := range b.Module.States {
		s.Name += evil
	}
	for i, f := range b.Module.Funcs {
		p := b.Functions[i].Plan
		f.Name += evil
		p.Func = f.Name
		for _, v := range f.Params {
			v.Name += evil
		}
		for _, n := range f.Nodes {
			n.Layer += evil
			n.Attrs.Kind += evil
			for _, m := range n.Body.Nodes {
				m.Layer += evil
				m.Attrs.Stream += evil
			}
		}
		for _, k := range p.Kernels {
			k.Name += evil
			k.Region += evil
			if k.Block.Why != "" {
				k.Block.Why += evil
			}
		}
		for j := range p.Buffers {
			buf := &p.Buffers[j]
			at := strings.LastIndexByte(buf.Name, '.')
			if buf.Space == plan.Arena && at > 0 && strings.Trim(buf.Name[at:], ".0123456789") == "" { // a fusion's result
				buf.Name = buf.Name[:at] + evil + buf.Name[at:]
			} else {
				buf.Name += evil
			}
		}
		for j := range b.Functions[i].Sources {
			b.Functions[i].Sources[j].Entry += evil
			b.Functions[i].Sources[j].Text += "// " + evil + "\n#" + evil + "\n\"" + evil
		}
	}
	for i := range b.Decisions {
		d := &b.Decisions[i]
		d.Func += evil
		d.Value = strings.TrimSuffix(d.Value, ")") + evil + ")"
		d.Fate += evil
		d.Reason += evil
		d.Refused += evil
		if d.RefusedBy != "" {
			d.RefusedBy += evil
		}
		d.Regions = append([]string(nil), d.Regions...)
		for j := range d.Regions {
			d.Regions[j] += evil
		}
	}
	page := write(t, b)
	after := parsePage(t, page)
	require.Contains(t, after.text, evil)
	require.NotContains(t, page, "<img")

	shape := func(e *element) map[string]int {
		n := map[string]int{}
		e.each(func(x *element) {
			if x.parent != nil && (x.is("code") || inside(x, "code")) {
				return // colours follow the text
			}
			n[x.name]++
			for a := range x.attrs {
				n[x.name+" "+a]++
			}
		})
		return n
	}
	require.Equal(t, shape(before), shape(after))
	after.each(func(x *element) {
		for a := range x.attrs {
			require.False(t, strings.HasPrefix(a, "on"), a)
		}
		if href, ok := x.attrs["href"]; ok {
			require.True(t, strings.HasPrefix(href, "#"), href)
		}
		if inside(x, "code") {
			require.Contains(t, []string{"b", "i", "em", "samp", "var", "strong", "a"}, x.name)
		}
	})
	ids := after.byID(t)
	for _, n := range b.Module.Funcs[0].Nodes {
		require.Contains(t, ids, b.Module.Funcs[0].Name+"/"+n.Layer)
	}
}

// inside tells whether an element stands in one of that class.
func inside(e *element, class string) bool {
	for p := e.parent; p != nil; p = p.parent {
		if p.is(class) {
			return true
		}
	}
	return false
}

func TestDeterministic(t *testing.T) {
	require.Equal(t, write(t, small(t)), write(t, small(t)))
}

// TestSize bounds the page of large networks.
func TestSize(t *testing.T) {
	for _, c := range []struct {
		name string
		most int
	}{{"wrn-10-1", 800_000}, {"wrn-28-10", 2_000_000}, {"wrn-40-2", 2_800_000}} {
		n := len(write(t, build(t, c.name, how{ir.F32, true, gpu(t)})))
		require.Less(t, n, c.most, c.name)
	}
}

// TestMistakes gives Write plans that are not of the module.
func TestMistakes(t *testing.T) {
	b := small(t)
	b.Functions[0].Sources = b.Functions[0].Sources[1:]
	require.ErrorContains(t, report.Write(io.Discard, b), "60 kernels and 59 texts")
	b.Functions[0].Sources = nil
	body := b.Module.Funcs[0].Nodes[0].Body
	b.Module.Funcs[0].Nodes[0].Body = nil
	require.ErrorContains(t, report.Write(io.Discard, b), "outside of a fusion")
	b.Module.Funcs[0].Nodes[0].Body = body
	b.Functions[0].Plan.Func = "nowhere"
	require.ErrorContains(t, report.Write(io.Discard, b), "no function nowhere")
}
