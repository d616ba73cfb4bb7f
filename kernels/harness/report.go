package harness

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// Report is what a launch did.
type Report struct {
	Violations []Violation // one for each rule and place, at most 64
	Aborted    bool        // the kernel could not be run to its end
	Counters
}

// Counters say how much a launch did.
type Counters struct {
	Accesses uint64 // to memory that were seen
	Switches uint64 // from thread to thread
	Barriers uint64
	MMAs     uint64 // by warp
	Copies   uint64 // asynchronous, by thread
}

// Violation is a rule that a kernel broke.
type Violation struct {
	Check   string // the rule: one of the constants in checks.go
	Message string
	Block   int
	Thread  int
	Count   uint64 // how often, at this place
	Where   string // file:line of the text, then of the calls that were inlined there; empty if unknown
}

func (v Violation) String() string {
	s := fmt.Sprintf("%s: block %d thread %d: %s", v.Check, v.Block, v.Thread, v.Message)
	if v.Where != "" {
		s += " (" + v.Where + ")"
	}
	if v.Count > 1 {
		s += fmt.Sprintf(" [%d times]", v.Count)
	}
	return s
}

// Err returns nil if the kernel kept all rules, else an error that names those that
// it broke.
func (r *Report) Err() error {
	if len(r.Violations) == 0 {
		return nil
	}
	var lines []string
	for _, v := range r.Violations {
		lines = append(lines, v.String())
	}
	return errors.New(strings.Join(lines, "\n"))
}

// readReport takes the runner's answer apart.
func readReport(answer []byte, module *Module) (*Report, error) {
	in := decoder{rest: answer}
	r := &Report{}
	for _, c := range []*uint64{&r.Accesses, &r.Switches, &r.Barriers, &r.MMAs, &r.Copies} {
		*c = in.u64()
	}
	r.Aborted = in.u32() != 0
	var offsets []uint64
	for range in.u32() {
		v := Violation{Check: in.text(), Message: in.text()}
		v.Block, v.Thread = int(in.u32()), int(in.u32())
		v.Count = in.u64()
		r.Violations = append(r.Violations, v)
		offsets = append(offsets, in.u64())
	}
	if in.short || len(in.rest) > 0 {
		return nil, errors.New("the runner's report is malformed")
	}
	for i, where := range locate(module.path, offsets) {
		r.Violations[i].Where = where
	}
	return r, nil
}

// decoder reads numbers and strings until they run out.
type decoder struct {
	rest  []byte
	short bool
}

func (d *decoder) take(n int) []byte {
	if n < 0 || n > len(d.rest) {
		d.short = true
		return make([]byte, max(0, min(n, 8)))
	}
	taken := d.rest[:n]
	d.rest = d.rest[n:]
	return taken
}

func (d *decoder) u32() uint32  { return binary.LittleEndian.Uint32(d.take(4)) }
func (d *decoder) u64() uint64  { return binary.LittleEndian.Uint64(d.take(8)) }
func (d *decoder) text() string { return string(d.take(int(d.u32()))) }

// locate turns return addresses in a module into places in its text. Without
// addr2line, or for address 0, the place stays unknown.
func locate(module string, offsets []uint64) []string {
	places := make([]string, len(offsets))
	args := []string{"-e", module, "-a", "-i", "-s"}
	var asked []int
	for i, offset := range offsets {
		if offset != 0 {
			args = append(args, "0x"+strconv.FormatUint(offset-1, 16)) // within the call
			asked = append(asked, i)
		}
	}
	if len(asked) == 0 {
		return places
	}
	out, err := exec.Command("addr2line", args...).Output()
	if err != nil {
		return places
	}
	// For each address a line with it, then one for each of the calls that were inlined
	// there, inner ones first.
	at := -1
	for line := range strings.Lines(string(out)) {
		where, _, _ := strings.Cut(strings.TrimSpace(line), " ") // "(discriminator 2)"
		if strings.HasPrefix(where, "0x") {
			at++
			continue
		}
		file, _, _ := strings.Cut(where, ":")
		if at < 0 || at >= len(asked) || file == "device.cuh" || file == "emu.cuh" || file == "??" {
			continue
		}
		if p := &places[asked[at]]; *p == "" {
			*p = where
		} else {
			*p += " < " + where
		}
	}
	return places
}
