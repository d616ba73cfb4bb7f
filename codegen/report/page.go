package report

import (
	"cmp"
	"fmt"
	"html/template"
	"slices"
	"strings"

	"wrnc/compiler/ir"
	"wrnc/compiler/plan"
)

// texts are the distinct texts of kernels, in the order of their first use.
type texts struct {
	list []*textView
	at   map[plan.Source]*textView
}

// use returns the text's view and counts a kernel that has it.
func (t *texts) use(s plan.Source, seconds float64) *textView {
	v := t.at[s]
	if v == nil {
		id := fmt.Sprintf("text:%d", len(t.list)+1) // no function's name: those have no colon
		v = &textView{Entry: s.Entry, ID: id, Link: link(id), Text: cpp(s.Text)}
		t.at[s] = v
		t.list = append(t.list, v)
	}
	v.Users++
	v.Seconds += seconds
	return v
}

// facts are those of the whole network.
func facts(b Build) []fact {
	m := b.Module
	out := []fact{
		{"parameters", countText(m.Params())},
		{"batch", countText(m.Batch)},
		{"precision", b.Precision},
	}
	if len(b.Functions) > 0 {
		p := b.Functions[0].Plan
		out = append(out, fact{"target", p.Arch.Target + ", " + p.Arch.ISA}, fact{"state", bytesText(p.State)})
	}
	return out
}

// builder makes the view of one function.
type builder struct {
	g     *graph
	fn    Function
	view  *functionView
	texts *texts
	ids   map[*node]string
	links map[*node]template.URL
	byIR  map[string]*node // "%12" -> the box that makes it
	byFn  map[string]*node // by name
	total float64
	most  float64 // of a box
	used  []*textView
	// The decisions of this function, by value, and those that a fusion refused.
	decisions map[string][]Decision
	refusals  map[string][]Decision
}

func newFunction(f *ir.Func, fn Function, decisions []Decision, texts *texts) *functionView {
	g := newGraph(f, fn.Plan)
	b := &builder{
		g: g, fn: fn, texts: texts, total: g.total(),
		ids: map[*node]string{}, links: map[*node]template.URL{}, byIR: map[string]*node{}, byFn: map[string]*node{},
		decisions: map[string][]Decision{}, refusals: map[string][]Decision{},
		view: &functionView{Name: f.Name, ID: f.Name, Link: link(f.Name), HasModel: fn.Plan.Arch.OnGPU()},
	}
	for _, d := range decisions {
		if d.Func == f.Name {
			b.decisions[d.Value] = append(b.decisions[d.Value], d)
			if d.RefusedBy != "" {
				b.refusals[d.RefusedBy] = append(b.refusals[d.RefusedBy], d)
			}
		}
	}
	for _, n := range g.nodes {
		b.ids[n] = f.Name + "/" + n.name
		if _, twice := b.byFn[n.name]; twice {
			b.ids[n] = fmt.Sprintf("%s:%d", b.ids[n], n.at)
		}
		b.byFn[n.name] = n
		b.links[n] = link(b.ids[n])
		b.most = max(b.most, n.seconds)
		if n.fusion != nil {
			for _, v := range n.fusion.Results {
				b.byIR[g.name(v)] = n
			}
		}
	}
	if fn.Sources != nil {
		for i, s := range fn.Sources {
			b.used = append(b.used, texts.use(s, g.seconds(i)))
		}
	}
	b.draw()
	for _, n := range g.nodes {
		b.view.Fusions = append(b.view.Fusions, b.fusion(n))
	}
	b.view.Memory = b.memory()
	b.kernelTable()
	b.summary()
	return b.view
}

// summary states the function's figures.
func (b *builder) summary() {
	p, v := b.g.p, b.view
	v.Facts = []fact{
		{"fusions", countText(len(b.g.f.Nodes))},
		{"kernels", countText(len(p.Kernels))},
		{"launches", countText(len(p.Launches))},
		{"arena", bytesText(p.Arena)},
	}
	if b.used != nil {
		distinct := map[*textView]bool{}
		for _, t := range b.used {
			distinct[t] = true
		}
		v.Facts = append(v.Facts, fact{"kernel texts", countText(len(distinct))})
	}
	if p.Scratch > 0 {
		v.Facts = append(v.Facts, fact{"scratch a worker", bytesText(p.Scratch)})
	}
	v.Summary = plural(len(p.Kernels), "kernel")
	if v.HasModel {
		v.Facts = append(v.Facts, fact{"kernels' least times, summed", timeText(b.total)})
		v.Summary += ", at least " + timeText(b.total)
	}
}

// draw fills in the graph.
func (b *builder) draw() {
	d := b.g.layout()
	v := b.view
	v.Width, v.Height, v.Titles = d.w, d.h, d.titles
	for _, w := range d.wires {
		class := "f"
		if w.edge.from.lane != forwardLane {
			class = "b"
		}
		if !w.edge.batched {
			class += " thin"
		}
		v.Wires = append(v.Wires, wireView{From: w.edge.from.at, To: w.edge.to.at, Class: class, Path: w.path})
	}
	slices.SortFunc(d.boxes, func(x, y *node) int { return cmp.Compare(x.at, y.at) })
	for _, n := range d.boxes {
		v.Boxes = append(v.Boxes, b.box(n))
	}
	v.Prepare = b.list(prepareLane, "From states alone")
	v.Update = b.list(updateLane, "New states")
}

// list lists the boxes of a lane that has no place in the graph, or returns nil.
func (b *builder) list(l lane, what string) *listView {
	v := &listView{}
	n, at := 0, -1
	for _, box := range b.g.nodes {
		if box.lane != l {
			continue
		}
		if box.first != at {
			at = box.first
			v.Groups = append(v.Groups, listGroup{Title: fmt.Sprintf("launch %d", at)})
		}
		g := &v.Groups[len(v.Groups)-1]
		g.Boxes = append(g.Boxes, b.box(box))
		n++
	}
	if n == 0 {
		return nil
	}
	v.Title = fmt.Sprintf("%s: %s in %s", what, plural(n, "fusion"), launchCount(len(v.Groups)))
	return v
}

func launchCount(n int) string {
	if n == 1 {
		return "1 launch"
	}
	return fmt.Sprintf("%d launches", n)
}

func (b *builder) box(n *node) *boxView {
	v := &boxView{
		At: n.at, Name: n.name, Link: b.links[n], Kind: "copy", KindClass: "other", Launch: fmt.Sprint(n.first),
		Lines: n.lines, X: n.x, Y: n.y, W: n.w, H: n.h,
	}
	if n.last != n.first {
		v.Launch = fmt.Sprintf("%d–%d", n.first, n.last)
	}
	if n.fusion != nil {
		v.Kind, v.KindClass = n.fusion.Attrs.Kind, kindClass(n.fusion.Attrs.Kind)
		if len(n.fusion.Results) > 0 {
			v.Shape = shape(n.fusion.Results[0].Type)
		}
	}
	if b.view.HasModel {
		v.Time, v.Bar, v.Bound = timeText(n.seconds), width(n.seconds, b.most), b.bound(n)
	}
	var from, to []string
	for _, e := range n.from {
		from = append(from, fmt.Sprint(e.from.at))
	}
	for _, e := range n.to {
		to = append(to, fmt.Sprint(e.to.at))
	}
	v.From, v.To = strings.Join(from, " "), strings.Join(to, " ")
	return v
}

// bound is what bounds the longest kernel of a box, as a class.
func (b *builder) bound(n *node) string {
	longest, class := -1.0, ""
	for _, k := range n.kernels {
		if s := b.g.seconds(k); s > longest {
			longest, class = s, boundClass(b.model(k).Bound)
		}
	}
	return class
}

// boundClass is the class of what plan.GPU.Seconds calls bound.
func boundClass(bound string) string {
	if bound == "memory" {
		return "memory"
	}
	return "multiply"
}

// fusion fills in the panel of a box.
func (b *builder) fusion(n *node) *fusionView {
	v := &fusionView{At: n.at, ID: b.ids[n], Name: n.name, Kind: "copy", KindClass: "other", Back: b.view.Link}
	facts := []string{launches(n.first, n.last), plural(len(n.kernels), "kernel")}
	if b.view.HasModel {
		facts = append(facts, "at least "+timeText(n.seconds), percent(n.seconds, b.total)+" of "+b.view.Name)
	}
	v.Meta = strings.Join(facts, " · ")
	if n.at > 0 {
		v.Before = b.linkTo(b.g.nodes[n.at-1])
	}
	if n.at+1 < len(b.g.nodes) {
		v.After = b.linkTo(b.g.nodes[n.at+1])
	}
	if n.fusion != nil {
		v.Kind, v.KindClass = n.fusion.Attrs.Kind, kindClass(n.fusion.Attrs.Kind)
		v.IR = irText(n.text, func(value string) string {
			if from := b.byIR[value]; from != nil && from != n {
				return string(b.links[from])
			}
			return ""
		})
		v.Ops, v.NotHere = b.why(n)
	}
	for _, e := range n.from {
		v.Reads = append(v.Reads, flowView{*b.linkTo(e.from), b.valuesText(e)})
	}
	for _, e := range n.to {
		v.ReadBy = append(v.ReadBy, flowView{*b.linkTo(e.to), b.valuesText(e)})
	}
	var read, write []string
	for _, k := range n.kernels {
		v.Kernels = append(v.Kernels, b.kernel(k, len(n.kernels) > 1))
		for _, a := range b.g.p.Kernels[k].Args {
			list := &write
			if a.Mode == plan.Read {
				list = &read
			}
			if s := fmt.Sprint(a.Buffer); b.g.p.Buffers[a.Buffer].Space == plan.Arena && !slices.Contains(*list, s) {
				*list = append(*list, s)
			}
		}
	}
	v.Read, v.Write = strings.Join(read, " "), strings.Join(write, " ")
	return v
}

func (b *builder) linkTo(n *node) *linkView { return &linkView{n.name, b.links[n]} }

func (b *builder) valuesText(e *edge) string {
	var words []string
	for _, v := range e.values {
		words = append(words, b.g.name(v)+" "+shape(v.Type))
	}
	return strings.Join(words, ", ")
}

// why says of each op of a fusion what decided that it is here, and lists what
// the fusion did not take.
func (b *builder) why(n *node) ([]opView, []notHereView) {
	var ops []opView
	stages := stagesOf(n.fusion.Body)
	seen := map[string]int{} // of a value, how many ops of this fusion have its name
	for i, op := range n.fusion.Body.Nodes {
		v := opView{Op: op.Op.String(), Layer: op.Layer, Stage: stages[i].String(), Class: stages[i].class()}
		value := v.Op
		if op.Layer != "" {
			value += " (" + op.Layer + ")"
		}
		var here []Decision
		for _, d := range b.decisions[value] {
			if slices.Contains(d.Regions, n.name) {
				here = append(here, d)
			}
		}
		switch {
		case len(here) > 0:
			d := here[min(seen[value], len(here)-1)]
			seen[value]++
			b.explain(&v, n, d)
		case stages[i] == root:
			v.Why = "the fusion is built around it"
		}
		ops = append(ops, v)
	}
	var not []notHereView
	for _, d := range b.refusals[n.name] {
		not = append(not, notHereView{d.Value, d.Refused})
	}
	return ops, not
}

// explain says what a decision says, seen from n, one of the fusions that it names.
func (b *builder) explain(v *opView, n *node, d Decision) {
	v.Why = d.Fate + " this fusion"
	for _, r := range d.Regions {
		if other := b.byFn[r]; other != nil && other != n {
			v.Also = append(v.Also, *b.linkTo(other))
		}
	}
	if others := len(v.Also); others > 0 {
		v.Why += " and " + plural(others, "other")
	}
	v.Why += ": " + d.Reason
	if d.Saves > 0 {
		v.Saves = bytesText(d.Saves)
	}
}

// kernel fills in a kernel of the panel, one of several or the only one.
func (b *builder) kernel(i int, several bool) *kernelView {
	p, k := b.g.p, b.g.p.Kernels[i]
	v := &kernelView{Name: k.Name}
	v.Facts = []fact{{"kind", k.Kind.String()}}
	if several {
		v.Facts = append(v.Facts, fact{"launch", fmt.Sprint(b.g.launch[i])})
	}
	add := func(name, value string) {
		if value != "" {
			v.Facts = append(v.Facts, fact{name, value})
		}
	}
	if b.view.HasModel {
		grid := fmt.Sprintf("%s of %s", plural(k.Blocks(p, p.Batch), "block"), plural(k.Block.Threads, "thread"))
		if k.Block.Shared > 0 {
			grid += fmt.Sprintf(", %s shared", bytesText(k.Block.Shared))
		}
		add("grid", grid)
		add("tile", tileText(k))
		add("why this tile", k.Block.Why)
		v.Model = b.model(i)
	} else {
		add("units", countText(k.Units(p.Batch)))
	}
	for j, a := range k.Args {
		v.Args = append(v.Args, b.argument(i, j, a))
	}
	if b.used != nil {
		v.Text = b.used[i]
	} else {
		v.Plan = p.KernelText(i)
	}
	return v
}

// model is the least time of a kernel, by its multiply and by its memory.
func (b *builder) model(kernel int) *modelView {
	p, k := b.g.p, b.g.p.Kernels[kernel]
	c := p.Cost(k)
	multiply, _ := p.Arch.GPU.Seconds(plan.Cost{FLOPs: c.FLOPs}, k.Block.Math)
	memory, _ := p.Arch.GPU.Seconds(plan.Cost{Bytes: c.Bytes}, k.Block.Math)
	longer, bound := p.Arch.GPU.Seconds(c, k.Block.Math)
	v := &modelView{Memory: timeText(memory), MemoryBar: width(memory, longer), Bytes: digits(c.Bytes/1e6) + " MB", Bound: bound}
	if c.FLOPs > 0 {
		v.Multiply, v.MultiplyBar, v.Work = timeText(multiply), width(multiply, longer), digits(c.FLOPs/1e9)+" GFLOP"
	}
	return v
}

func (b *builder) argument(kernel, i int, a plan.Arg) argView {
	p := b.g.p
	buf := p.Buffers[a.Buffer]
	v := argView{Name: fmt.Sprintf("a%d", i), Mode: a.Mode.String(), Buffer: buf.Name, Type: shape(buf.Type), Bytes: bytesText(buf.Bytes), Space: buf.Space.String()}
	if w := b.g.writers[a.Buffer]; w != nil && a.Mode == plan.Read && buf.Space == plan.Arena {
		v.Source = b.linkTo(w)
	}
	if buf.Space == plan.Arena {
		v.Life = &lifeView{Of: len(p.Launches), From: buf.First, Length: min(buf.Last, len(p.Launches)-1) - buf.First + 1, Now: b.g.launch[kernel], Class: "r", Text: span(p, buf)}
		if a.Mode != plan.Read {
			v.Life.Class = "w"
		}
	}
	return v
}

// span is the launches in which a buffer lives.
func span(p *plan.Plan, b plan.Buffer) string {
	switch {
	case b.Last >= len(p.Launches):
		return fmt.Sprintf("%d–end", b.First)
	case b.First == b.Last:
		return fmt.Sprint(b.First)
	}
	return fmt.Sprintf("%d–%d", b.First, b.Last)
}

// lifeText is span in words.
func lifeText(p *plan.Plan, b plan.Buffer) string {
	if b.Last >= len(p.Launches) {
		return fmt.Sprintf("launch %d to the end", b.First)
	}
	return launches(b.First, b.Last)
}

// kernelTable lists all kernels, by least time where there is a model.
func (b *builder) kernelTable() {
	p := b.g.p
	longest := 0.0
	for _, n := range b.g.nodes {
		for _, i := range n.kernels {
			k := p.Kernels[i]
			r := kernelRow{linkView: *b.linkTo(n), Kernel: k.Name, KindClass: "other", Launch: b.g.launch[i]}
			if n.fusion != nil {
				r.KindClass = kindClass(n.fusion.Attrs.Kind)
			}
			r.Blocks = countText(k.Units(p.Batch))
			if b.view.HasModel {
				c := p.Cost(k)
				r.seconds, r.Bound = p.Arch.GPU.Seconds(c, k.Block.Math)
				r.Blocks = countText(k.Blocks(p, p.Batch))
				r.Bytes = digits(c.Bytes / 1e6)
				if c.FLOPs > 0 {
					r.Work = digits(c.FLOPs / 1e9)
				}
				r.Time, r.Share = timeText(r.seconds), percent(r.seconds, b.total)
				longest = max(longest, r.seconds)
			}
			if b.used != nil {
				r.Text = b.used[i]
			}
			b.view.Kernels = append(b.view.Kernels, r)
		}
	}
	slices.SortStableFunc(b.view.Kernels, func(x, y kernelRow) int {
		return cmp.Or(cmp.Compare(y.seconds, x.seconds), cmp.Compare(x.Launch, y.Launch))
	})
	for i := range b.view.Kernels {
		b.view.Kernels[i].Bar = width(b.view.Kernels[i].seconds, longest)
	}
	if b.view.HasModel {
		b.view.Costly = b.view.Kernels[:min(8, len(b.view.Kernels))]
	}
}
