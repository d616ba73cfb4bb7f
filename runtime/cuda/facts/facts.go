// Package facts holds a device to what kernels rely on: a small kernel for each
// function of device.cuh and ptx.cuh that is an instruction or a few, and in Go what it
// must return, to the bit. Where a whole network is wrong on a device, they say which
// instruction does something else than it is taken to do.
//
// Products of a matrix instruction are of small integers, whose sums are exact in any
// order: in which order and with how many digits a device adds is not a fact.
package facts

import (
	"encoding/binary"
	"fmt"
	"strconv"

	"wrnc/compiler/plan"
	"wrnc/runtime/cuda"
)

// fact is a kernel. Its body has in, words to be read; out, where it writes; and t, the
// thread's index.
type fact struct {
	name            string // of what it is about
	blocks          int    // 0: 1
	threads, shared int
	cleared         bool // out is of zeros; else of a pattern
	body            string
	in, want        []uint32
}

// Result is what came of a fact.
type Result struct {
	Name  string
	Wrong string // the first word that is another, or ""
}

// Check runs all facts. headers are what kernels include. An error is the driver's.
func Check(d cuda.Driver, headers map[string]string) (results []Result, err error) {
	list := all()
	texts := cuda.Texts{Headers: headers}
	for i := range list {
		texts.Kernels = append(texts.Kernels, list[i].text())
	}
	functions, err := d.Load(texts)
	if err != nil {
		return nil, err
	}
	defer func() {
		for _, f := range functions {
			if late := d.Unload(f); err == nil {
				err = late
			}
		}
	}()
	for i, f := range list {
		got, err := f.run(d, functions[i])
		if err != nil {
			return results, fmt.Errorf("%s: %w", f.name, err)
		}
		results = append(results, Result{f.name, f.compare(got)})
	}
	return results, nil
}

func (f *fact) entry() string { return "fact_" + f.name }

// text is the kernel.
func (f *fact) text() cuda.Text {
	text := `#include "device.cuh"
struct Args {
  const u32* in;
  u32* out;
};
WRNC_KERNEL(` + f.entry() + ", " + strconv.Itoa(f.threads) + `, 1)(const Args args) {
  [[maybe_unused]] const u32* const in = args.in;
  u32* const out = args.out;
  const u32 t = thread_index();
` + f.body + "}\n"
	return cuda.Text{Source: plan.Source{Entry: f.entry(), Text: text}, Threads: f.threads, Shared: f.shared}
}

// run launches the kernel on its words and reads what it writes.
func (f *fact) run(d cuda.Driver, function cuda.Function) (got []uint32, err error) {
	var memory []cuda.Ptr
	defer func() {
		for _, p := range memory {
			if late := d.Free(p); err == nil {
				err = late
			}
		}
	}()
	take := func(n int) (cuda.Ptr, error) {
		p, err := d.Alloc(max(4*n, 1))
		if err == nil {
			memory = append(memory, p)
		}
		return p, err
	}
	in, err := take(len(f.in))
	if err != nil {
		return nil, err
	}
	out, err := take(len(f.want))
	if err != nil {
		return nil, err
	}
	if err := d.Write(in, bytesOf(f.in)); err != nil {
		return nil, err
	}
	pattern := byte(0xa5)
	if f.cleared {
		pattern = 0
	}
	if err := d.Fill(out, pattern, 4*len(f.want)); err != nil {
		return nil, err
	}
	args := binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, uint64(in)), uint64(out))
	if err := d.Launch(function, cuda.Grid{Blocks: max(1, f.blocks), Threads: f.threads, Shared: f.shared}, args); err != nil {
		return nil, err
	}
	raw := make([]byte, 4*len(f.want))
	if err := d.Read(raw, out); err != nil {
		return nil, err
	}
	for i := range f.want {
		got = append(got, binary.LittleEndian.Uint32(raw[4*i:]))
	}
	return got, nil
}

// compare says where words differ from what they must be.
func (f *fact) compare(got []uint32) string {
	wrong, first := 0, 0
	for i, w := range f.want {
		if got[i] != w {
			if wrong == 0 {
				first = i
			}
			wrong++
		}
	}
	if wrong == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d words are wrong; word %d is %#08x, expected %#08x", wrong, len(got), first, got[first], f.want[first])
}

func bytesOf(words []uint32) []byte {
	var b []byte
	for _, w := range words {
		b = binary.LittleEndian.AppendUint32(b, w)
	}
	return b
}
