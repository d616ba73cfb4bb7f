package ir

import (
	"fmt"
	"strconv"
	"strings"
)

// MaxText bounds the IR text that [Parse] takes: 64 MiB.
const MaxText = 64 << 20

// Error is a mistake in IR text.
type Error struct {
	File string
	Line int
	Msg  string
}

func (e *Error) Error() string { return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Msg) }

// Parse reads what [Module.Format] prints and verifies it. A value without a
// position gets the line it stands on.
func Parse(file, text string) (m *Module, err error) {
	p := &parser{file: file}
	if len(text) > MaxText {
		return nil, &Error{file, 1, fmt.Sprintf("IR text of %d bytes; at most %d are read", len(text), MaxText)}
	}
	p.lines = strings.Split(text, "\n")
	if err := p.module(); err != nil {
		return nil, &Error{file, max(p.at, 1), err.Error()}
	}
	if err := p.m.Verify(); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return p.m, nil
}

type parser struct {
	file  string
	lines []string
	at    int // lines taken so far: the number of the current line
	m     *Module
	f     *Func
	vals  map[string]*Value
	names map[string]*State
}

// line takes the next line that is not empty; ok is false at the end.
func (p *parser) line() (s string, ok bool) {
	for p.at < len(p.lines) {
		s = strings.TrimSpace(p.lines[p.at])
		p.at++
		if s != "" && !strings.HasPrefix(s, "//") {
			return s, true
		}
	}
	return "", false
}

func (p *parser) module() error {
	s, _ := p.line()
	rest, ok := strings.CutPrefix(s, "module ")
	if !ok {
		return fmt.Errorf("expected: module \"NAME\" {batch=N}")
	}
	quoted, err := strconv.QuotedPrefix(rest)
	if err != nil {
		return fmt.Errorf("expected the module's name in quotes")
	}
	name, err := strconv.Unquote(quoted)
	if err != nil {
		return fmt.Errorf("bad module name %s", quoted)
	}
	var batch int
	attrs := strings.TrimSpace(rest[len(quoted):])
	if n, ok := strings.CutPrefix(attrs, "{batch="); ok {
		batch, err = strconv.Atoi(strings.TrimSuffix(n, "}"))
	}
	if err != nil || batch < 1 || batch > 1<<20 {
		return fmt.Errorf("expected {batch=N} with N from 1 to %d, found %q", 1<<20, attrs)
	}
	p.m = &Module{Name: name, Batch: batch}
	p.names = map[string]*State{}
	for {
		s, ok := p.line()
		if !ok {
			return nil
		}
		if r, ok := strings.CutPrefix(s, "state @"); ok && len(p.m.Funcs) == 0 {
			err = p.state(r)
		} else if r, ok := strings.CutPrefix(s, "func "); ok {
			err = p.function(r)
		} else {
			err = fmt.Errorf("expected state, then func; found %q", clip(s))
		}
		if err != nil {
			return err
		}
	}
}

func clip(s string) string {
	if len(s) > 60 {
		return s[:60] + "..."
	}
	return s
}

// takePos cuts a trailing @line:col.
func (p *parser) takePos(s string) (string, Pos) {
	if i := strings.LastIndex(s, " @"); i >= 0 {
		if l, c, ok := strings.Cut(s[i+2:], ":"); ok {
			line, err1 := strconv.Atoi(l)
			col, err2 := strconv.Atoi(c)
			if err1 == nil && err2 == nil && line > 0 && col > 0 {
				return s[:i], Pos{line, col}
			}
		}
	}
	return s, Pos{p.at, 1}
}

func (p *parser) state(s string) error {
	s, pos := p.takePos(s)
	name, rest, _ := strings.Cut(s, " : ")
	w := strings.Fields(rest)
	if !isName(name) || len(w) != 3 {
		return fmt.Errorf("expected: state @NAME : TYPE role=ROLE init=INIT")
	}
	if p.names[name] != nil {
		return fmt.Errorf("state @%s is declared twice", name)
	}
	t, err := parseType(w[0])
	if err != nil {
		return err
	}
	st := &State{Name: name, Type: t, Pos: pos}
	for r := Param; r <= Running; r++ {
		if w[1] == "role="+r.String() {
			st.Role = r
		}
	}
	if st.Role == 0 {
		return fmt.Errorf("expected role=%s, found %q", strings.Join(roleNames[1:], "|"), w[1])
	}
	if st.Init, err = parseInit(w[2]); err != nil {
		return err
	}
	p.names[name] = st
	p.m.States = append(p.m.States, st)
	return nil
}

func parseInit(s string) (Init, error) {
	call, ok := strings.CutPrefix(s, "init=")
	kind, args, ok2 := strings.Cut(strings.TrimSuffix(call, ")"), "(")
	if ok && ok2 {
		for k := Normal; k <= Identity; k++ {
			if initNames[k] != kind {
				continue
			}
			a, b, two := strings.Cut(args, ",")
			in := Init{Kind: k}
			var err error
			if in.A, err = strconv.ParseFloat(a, 64); err == nil && two {
				in.B, err = strconv.ParseFloat(b, 64)
			}
			if err == nil && two == k.two() && in.A-in.A == 0 && in.B-in.B == 0 {
				return in, nil
			}
		}
	}
	return Init{}, fmt.Errorf("expected init=normal(S), uniform(A,B), constant(A), rows(A,B) or identity(A), found %q", clip(s))
}

func (p *parser) function(s string) error {
	name, rest, ok := strings.Cut(s, "(")
	params, ok2 := strings.CutSuffix(rest, ") {")
	if !ok || !ok2 || !isName(name) {
		return fmt.Errorf("expected: func NAME(%%param : TYPE, ...) {")
	}
	if p.m.Func(name) != nil {
		return fmt.Errorf("func %s is defined twice", name)
	}
	p.f = &Func{Name: name, Module: p.m}
	p.m.Funcs = append(p.m.Funcs, p.f)
	p.vals = map[string]*Value{}
	for _, w := range splitTop(params) {
		pn, ty, ok := strings.Cut(w, " : ")
		pn, ok2 := strings.CutPrefix(pn, "%")
		if !ok || !ok2 || !isName(pn) || p.vals[pn] != nil {
			return fmt.Errorf("expected a new parameter as %%NAME : TYPE, found %q", clip(w))
		}
		ty, resident := strings.CutSuffix(ty, " resident")
		t, err := parseType(ty)
		if err != nil {
			return err
		}
		v := &Value{Type: t, Name: pn, Resident: resident}
		p.vals[pn] = v
		p.f.Params = append(p.f.Params, v)
	}
	for {
		s, ok := p.line()
		if !ok {
			return fmt.Errorf("func %s ends without return", name)
		}
		if r, ok := strings.CutPrefix(s, "return"); ok {
			return p.ret(r)
		}
		n, err := p.node(s)
		if err != nil {
			return err
		}
		p.f.Nodes = append(p.f.Nodes, n)
	}
}

func (p *parser) ret(s string) error {
	for _, w := range splitTop(strings.TrimSpace(s)) {
		if target, val, ok := strings.Cut(w, " <- "); ok {
			st := p.names[strings.TrimPrefix(target, "@")]
			if st == nil {
				return fmt.Errorf("%s is not a state", target)
			}
			v, err := p.value(val)
			if err != nil {
				return err
			}
			p.f.Assigns = append(p.f.Assigns, Assign{st, v})
			continue
		}
		v, err := p.value(w)
		if err != nil {
			return err
		}
		p.f.Returns = append(p.f.Returns, v)
	}
	if s, _ := p.line(); s != "}" {
		return fmt.Errorf("expected } after return, found %q", clip(s))
	}
	return nil
}

func (p *parser) value(s string) (*Value, error) {
	if n, ok := strings.CutPrefix(s, "@"); ok {
		if st := p.names[n]; st != nil {
			return p.f.StateValue(st), nil
		}
		return nil, fmt.Errorf("unknown state %s", clip(s))
	}
	if n, ok := strings.CutPrefix(s, "%"); ok {
		if v := p.vals[n]; v != nil {
			return v, nil
		}
	}
	return nil, fmt.Errorf("unknown value %q", clip(s))
}

func (p *parser) values(words []string) ([]*Value, error) {
	var out []*Value
	for _, w := range words {
		v, err := p.value(w)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// node parses one value, or a whole fusion.
func (p *parser) node(s string) (*Node, error) {
	lhs, rhs, ok := strings.Cut(s, " = ")
	if !ok {
		return nil, fmt.Errorf("expected %%N = OP ..., found %q", clip(s))
	}
	if r, ok := strings.CutPrefix(rhs, "fusion @"); ok {
		return p.fusion(lhs, r)
	}
	rhs, pos := p.takePos(rhs)
	n := &Node{Pos: pos}
	if i := strings.LastIndex(rhs, " #"); i >= 0 {
		n.Layer = rhs[i+2:]
		rhs = rhs[:i]
		if !isName(n.Layer) {
			return nil, fmt.Errorf("bad layer name %q", clip(n.Layer))
		}
	}
	head, tail, ok := strings.Cut(rhs, " : ")
	if !ok {
		return nil, fmt.Errorf("expected a type after \" : \"")
	}
	head, attrs, err := cutAttrs(head)
	if err != nil {
		return nil, err
	}
	word, args, _ := strings.Cut(head, " ")
	if n.Op, ok = parseOp(word); !ok || n.Op == Fusion {
		return nil, fmt.Errorf("unknown op %q", clip(word))
	}
	if n.Args, err = p.values(splitTop(args)); err != nil {
		return nil, err
	}
	if n.Attrs, err = parseAttrs(n.Op, attrs); err != nil {
		return nil, err
	}
	return n, p.define(n, lhs, tail)
}

// fusion parses "NAME {kind=..} (ARGS) {", the body, and "} : TYPES".
func (p *parser) fusion(lhs, s string) (*Node, error) {
	s, ok := strings.CutSuffix(s, ") {")
	head, args, ok2 := strings.Cut(s, " (")
	name, attrs, err := cutAttrs(head)
	if !ok || !ok2 || err != nil || !isName(name) {
		return nil, fmt.Errorf("expected: fusion @NAME {kind=KIND} (ARGS) {")
	}
	n := &Node{Op: Fusion, Layer: name, Body: &Body{}}
	if n.Args, err = p.values(splitTop(args)); err != nil {
		return nil, err
	}
	if n.Attrs, err = parseAttrs(Fusion, attrs); err != nil {
		return nil, err
	}
	for {
		s, ok := p.line()
		if !ok {
			return nil, fmt.Errorf("fusion @%s ends without yield", name)
		}
		if r, ok := strings.CutPrefix(s, "yield "); ok {
			if n.Body.Yields, err = p.values(splitTop(r)); err != nil {
				return nil, err
			}
			break
		}
		if strings.Contains(s, " = fusion @") {
			return nil, fmt.Errorf("a fusion inside a fusion")
		}
		m, err := p.node(s)
		if err != nil {
			return nil, err
		}
		n.Body.Nodes = append(n.Body.Nodes, m)
	}
	s, _ = p.line()
	s, n.Pos = p.takePos(s)
	tail, ok := strings.CutPrefix(s, "} : ")
	if !ok {
		return nil, fmt.Errorf("expected } : TYPES after yield, found %q", clip(s))
	}
	return n, p.define(n, lhs, tail)
}

// define declares the results of n, named in lhs with the types in tail.
func (p *parser) define(n *Node, lhs, tail string) error {
	names, ts := splitTop(lhs), splitTop(tail)
	if len(names) != len(ts) {
		return fmt.Errorf("%d results but %d types", len(names), len(ts))
	}
	for i, w := range names {
		name, ok := strings.CutPrefix(w, "%")
		if !ok || !isName(name) || p.vals[name] != nil {
			return fmt.Errorf("expected a new value name, found %q", clip(w))
		}
		t, err := parseType(ts[i])
		if err != nil {
			return err
		}
		v := &Value{Type: t, Node: n, Index: i}
		n.Results = append(n.Results, v)
		p.vals[name] = v
	}
	return nil
}

// cutAttrs splits "head {a=1, b=2}".
func cutAttrs(s string) (head, attrs string, err error) {
	head, attrs, ok := strings.Cut(s, " {")
	if !ok {
		return s, "", nil
	}
	attrs, ok = strings.CutSuffix(attrs, "}")
	if !ok {
		return "", "", fmt.Errorf("attributes without a closing brace")
	}
	return head, attrs, nil
}

func parseAttrs(op Op, s string) (Attrs, error) {
	var a Attrs
	words := splitTop(s)
	if len(words) != len(op.Info().Attrs) {
		return a, fmt.Errorf("%s has the attributes %v, found %q", op, op.Info().Attrs, clip(s))
	}
	seen := map[string]bool{}
	for _, w := range words {
		name, val, _ := strings.Cut(w, "=")
		row := findAttr(name)
		if row == nil || !op.Info().hasAttr(name) || seen[name] {
			return a, fmt.Errorf("%s has the attributes %v, found %q", op, op.Info().Attrs, clip(w))
		}
		seen[name] = true
		if err := row.parse(&a, val); err != nil {
			return a, err
		}
	}
	return a, nil
}

// splitTop splits at ", " outside of brackets; types hold commas without spaces.
func splitTop(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ", ")
}
