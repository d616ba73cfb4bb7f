package report

import "html/template"

// What the template prints. All numbers are text by now.

type page struct {
	Title     string
	Facts     []fact
	Functions []*functionView
	Texts     []*textView
	CSS       template.CSS
	JS        template.JS
	JSHash    string
}

// Markers are the classes of lines that have arrows.
func (*page) Markers() []string { return []string{"f", "b", "in", "out"} }

type fact struct{ Name, Value string }

// linkView is a name that leads to another part of the page.
type linkView struct {
	Text string
	Link template.URL
}

// functionView is a function's part of the page.
type functionView struct {
	Name     string
	ID       string
	Link     template.URL
	Facts    []fact
	Summary  string // of the tab
	Width    int    // of the graph
	Height   int
	Titles   []title
	Wires    []wireView
	Boxes    []*boxView
	Prepare  *listView
	Update   *listView
	Fusions  []*fusionView
	Memory   *memoryView
	Kernels  []kernelRow
	HasModel bool
	Costly   []kernelRow // the first of Kernels
}

// wireView is a line between two boxes.
type wireView struct {
	From, To int
	Class    string
	Path     string
}

// boxView is a box of the graph or an item of a list.
type boxView struct {
	At         int
	Name       string
	Link       template.URL
	Kind       string
	KindClass  string
	Launch     string
	Shape      string
	Time       string
	Bar        string // percent
	Bound      string
	Lines      [][]pill
	X, Y, W, H int
	From, To   string // indices
}

// listView is a list of boxes without places, by launch.
type listView struct {
	Title  string
	Groups []listGroup
}

type listGroup struct {
	Title string
	Boxes []*boxView
}

// fusionView is what the panel shows.
type fusionView struct {
	At          int
	ID          string
	Name        string
	Kind        string
	KindClass   string
	Meta        string
	Back        template.URL
	Before      *linkView
	After       *linkView
	Reads       []flowView
	ReadBy      []flowView
	IR          template.HTML
	Ops         []opView
	NotHere     []notHereView
	Kernels     []*kernelView
	Read, Write string // buffers
}

// flowView is what comes from another box or goes to one.
type flowView struct {
	linkView
	Values string
}

// opView is an op of a fusion and why it is here.
type opView struct {
	Op, Layer    string
	Stage, Class string
	Why          string
	Also         []linkView // the other fusions that have a copy
	Saves        string
}

// notHereView is a value that this fusion did not take.
type notHereView struct{ Value, Why string }

// kernelView is a kernel in the panel.
type kernelView struct {
	Name  string
	Facts []fact
	Model *modelView
	Args  []argView
	Text  *textView
	Plan  string // the kernel as the plan prints it, where it has no text
}

// modelView is a kernel's least time: of its multiply, if it has one, and of its memory.
type modelView struct {
	Multiply, Memory       string // time
	MultiplyBar, MemoryBar string
	Work, Bytes            string
	Bound                  string
}

// argView is an argument of a kernel.
type argView struct {
	Name   string
	Mode   string
	Buffer string
	Source *linkView // the fusion that makes the value
	Type   string
	Bytes  string
	Space  string
	Life   *lifeView // of an arena buffer
}

// lifeView is a bar of launches.
type lifeView struct {
	Of, From, Length, Now int
	Text                  string
	Class                 string
}

// kernelRow is a line of the table of kernels.
type kernelRow struct {
	linkView
	KindClass string
	Kernel    string
	Launch    int
	Blocks    string
	Work      string
	Bytes     string
	Time      string
	Share     string
	Bar       string
	Bound     string
	Text      *textView

	seconds float64
}

// BoundClass is Bound as a class.
func (r kernelRow) BoundClass() string { return boundClass(r.Bound) }

// textView is the text of kernels.
type textView struct {
	Entry   string
	ID      string
	Link    template.URL
	Text    template.HTML
	Users   int
	Seconds float64
}

// Uses says how many kernels have the text.
func (t *textView) Uses() string { return plural(t.Users, "kernel") }

// Time is the least time of all kernels that have the text.
func (t *textView) Time() string { return timeText(t.Seconds) }
