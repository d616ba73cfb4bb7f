package cubin

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"

	"wrnc/runtime/cuda/toolkit"
)

// Mnemonics counts the instructions of a kernel by their full mnemonics, such as
// LDG.E.128.
type Mnemonics map[string]int

// Count is the number of instructions that match a pattern: an opcode, with
// modifiers that they must have among others. LDG.128 matches LDG.E.128.CONSTANT,
// but not LDGSTS.E.128.
func (m Mnemonics) Count(pattern string) int {
	want := strings.Split(pattern, ".")
	total := 0
	for mnemonic, n := range m {
		have := strings.Split(mnemonic, ".")
		if have[0] == want[0] && contains(have[1:], want[1:]) {
			total += n
		}
	}
	return total
}

// contains tells whether each of the wanted modifiers is there.
func contains(have, want []string) bool {
	rest := map[string]bool{}
	for _, modifier := range have {
		rest[modifier] = true
	}
	for _, modifier := range want {
		if !rest[modifier] {
			return false
		}
	}
	return true
}

// Total is the number of instructions.
func (m Mnemonics) Total() int {
	total := 0
	for _, n := range m {
		total += n
	}
	return total
}

// Disassembler is NVIDIA's nvdisasm, which reads the cubins of older compilers too.
type Disassembler struct{ program string }

// FindDisassembler looks for nvdisasm where toolkits lie.
func FindDisassembler() (*Disassembler, error) {
	program, err := toolkit.Machine().Program("nvdisasm")
	if err != nil {
		return nil, err
	}
	return &Disassembler{program}, nil
}

// Disassemble returns the code of a cubin as text, every kernel in its section.
func (d *Disassembler) Disassemble(ctx context.Context, data []byte) ([]byte, error) {
	// Dataflow analysis finds the targets of indirect jumps, at twice the time.
	return d.run(ctx, data, "--print-code", "--no-dataflow")
}

// Mnemonics counts the instructions of kernels for one architecture, given by
// their Code. nvdisasm needs a quarter of a second to start, so all are read at
// once, laid end to end.
func (d *Disassembler) Mnemonics(ctx context.Context, arch int, codes [][]byte) ([]Mnemonics, error) {
	text, err := d.run(ctx, bytes.Join(codes, nil), "--binary", fmt.Sprintf("SM%d", arch))
	if err != nil {
		return nil, err
	}
	out := make([]Mnemonics, len(codes))
	for i := range out {
		out[i] = Mnemonics{}
	}
	current, end := -1, 0
	err = instructions(text, func(address int, mnemonic string) error {
		for address >= end {
			if current++; current == len(codes) {
				return fmt.Errorf("nvdisasm: an instruction at %#x, after the last kernel", address)
			}
			end += len(codes[current])
		}
		out[current][mnemonic]++
		return nil
	})
	return out, err
}

// run runs nvdisasm over a file with this content.
func (d *Disassembler) run(ctx context.Context, content []byte, options ...string) ([]byte, error) {
	// nvdisasm reads files that it can seek in, not a pipe.
	file, err := os.CreateTemp("", "wrnc-*.cubin")
	if err != nil {
		return nil, err
	}
	defer os.Remove(file.Name())
	_, err = file.Write(content)
	if closing := file.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, d.program, append(options, file.Name())...)
	var out, messages bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &messages
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", d.program, err, strings.TrimSpace(messages.String()))
	}
	return out.Bytes(), nil
}

// instruction is an address as a comment, a predicate perhaps, and a mnemonic.
var instruction = regexp.MustCompile(`^\s*/\*([0-9a-f]{4,})\*/\s+(@!?U?P[0-9T]+\s+)?([A-Z][A-Z0-9_]*(?:\.[A-Za-z0-9_]+)*)`)

// instructions calls f for each instruction that nvdisasm printed. One under @!PT
// never runs: the compiler puts such ones in against faults of the hardware, so
// they do not count.
func instructions(text []byte, f func(address int, mnemonic string) error) error {
	for line := range bytes.Lines(text) {
		found := instruction.FindSubmatch(line)
		if found == nil || string(bytes.TrimSpace(found[2])) == "@!PT" {
			continue
		}
		address, err := strconv.ParseInt(string(found[1]), 16, 64)
		if err != nil {
			return fmt.Errorf("nvdisasm: %w", err)
		}
		if err := f(int(address), string(found[3])); err != nil {
			return err
		}
	}
	return nil
}
