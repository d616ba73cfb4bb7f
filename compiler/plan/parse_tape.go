package plan

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"wrnc/compiler/ir"
)

func (t Tape) empty() bool { return t.Slots == 0 && len(t.Ops) == 0 }

// parseHead reads what follows "prologue" or "epilogue".
func (t *Tape) parseHead(s string) error {
	f := newFields(s)
	t.Slots = f.int("slots", 0, maxSlots)
	return f.end()
}

// parseOp reads a step such as
//
//	r0 = affine_relu a1, v2
func (t *Tape) parseOp(k *Kernel, s string) error {
	dst, rhs, ok := strings.Cut(s, " = ")
	if !ok {
		return fmt.Errorf("expected a step of a tape as DST = OP SRC, ..., found %q", clip(s))
	}
	rhs, attrs, err := cutAttrs(rhs)
	if err != nil {
		return err
	}
	var op RowOp
	var operands string
	op.Op, operands, _ = strings.Cut(rhs, " ")
	if err := checkName(op.Op); err != nil {
		return err
	}
	if op.Dst, err = t.parseRef(k, dst); err != nil {
		return err
	}
	for _, w := range splitList(operands) {
		r, err := t.parseRef(k, w)
		if err != nil {
			return err
		}
		op.Src = append(op.Src, r)
	}
	if op.Attrs, err = parseAttrs(op.Op, attrs); err != nil {
		return err
	}
	t.Ops = append(t.Ops, op)
	return nil
}

// parseRef reads what [Ref.String] prints.
func (t *Tape) parseRef(k *Kernel, w string) (Ref, error) {
	if w == "" {
		return Ref{}, fmt.Errorf("expected an operand, found nothing")
	}
	kind := RefKind(max(0, bytes.IndexByte(refLetters[:], w[0])))
	r := Ref{Kind: kind}
	n := len(k.Args)
	switch kind {
	case 0:
		return r, fmt.Errorf("expected an operand such as r0, a1, v2, s3, p4, q0, y or t, found %q", clip(w))
	case Result, Tile:
		if len(w) > 1 {
			return r, fmt.Errorf("expected the operand %c, found %q", w[0], clip(w))
		}
		return r, nil
	case Slot:
		n = t.Slots
	case Partial:
		n = len(k.Reduces)
	}
	var err error
	r.Index, err = parseIndex(w, w[:1], n)
	return r, err
}

func (k *Kernel) parseReduce(s string) error {
	f := newFields(s)
	f.literal("q" + strconv.Itoa(len(k.Reduces)))
	r := Reduce{Op: f.op(), Out: -1}
	arg := func(key string) int {
		v := f.value(key)
		if f.err != nil {
			return 0
		}
		i, err := parseIndex(v, "a", len(k.Args))
		f.check(err)
		return i
	}
	r.Partial = arg("partial")
	if len(f.words) > 0 && strings.HasPrefix(f.words[0], "out=") {
		r.Out = arg("out")
	}
	r.Grid = f.grid()
	k.Reduces = append(k.Reduces, r)
	return f.end()
}

// parseChannel reads a channel op such as
//
//	a3, a4 = bn_fold a0, a1, a2 {eps=1e-05, count=8192}
func (k *Kernel) parseChannel(s string) error {
	dst, rhs, ok := strings.Cut(s, " = ")
	if !ok {
		return fmt.Errorf("expected a channel op as DST, ... = OP SRC, ..., found %q", clip(s))
	}
	rhs, attrs, err := cutAttrs(rhs)
	if err != nil {
		return err
	}
	name, src, _ := strings.Cut(rhs, " ")
	var c ChannelOp
	if c.Op, ok = findOp(name); !ok || c.Op.Class() != ir.Channel {
		return fmt.Errorf("expected a channel op, found %q", clip(name))
	}
	if c.Dst, err = k.parseArgs(dst); err != nil {
		return err
	}
	if c.Src, err = k.parseArgs(src); err != nil {
		return err
	}
	if c.Attrs, err = parseAttrs(name, attrs); err != nil {
		return err
	}
	k.Channel = append(k.Channel, c)
	return nil
}

func (k *Kernel) parseArgs(s string) ([]int, error) {
	var out []int
	for _, w := range splitList(s) {
		i, err := parseIndex(w, "a", len(k.Args))
		if err != nil {
			return nil, err
		}
		out = append(out, i)
	}
	return out, nil
}

// cutAttrs splits "head {a=1, b=2}".
func cutAttrs(s string) (head, attrs string, err error) {
	head, attrs, ok := strings.Cut(s, " {")
	if !ok {
		return s, "", nil
	}
	if attrs, ok = strings.CutSuffix(attrs, "}"); !ok {
		return "", "", fmt.Errorf("attributes without a closing brace")
	}
	return head, attrs, nil
}
