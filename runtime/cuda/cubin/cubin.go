// Package cubin reads what the CUDA compiler decided about a kernel: registers,
// shared and local memory from the cubin itself, instructions by NVIDIA's
// disassembler, and how many blocks a multiprocessor holds at once.
package cubin

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// File is a cubin: code for one architecture.
type File struct {
	Arch    int      // 90 for sm_90
	Kernels []Kernel // sorted by name
}

// Kernel is an entry point.
type Kernel struct {
	Name      string
	Registers int // a thread
	// Shared is the static shared memory. The kilobyte that the driver takes of each
	// block is not part of it, nor is what a launch adds.
	Shared     int
	Stack      int // bytes of local memory a thread: spilled registers, arrays
	MaxThreads int // of __launch_bounds__, or 0
	Barriers   int
	Params     int // bytes of arguments
	Code       []byte
}

// Kernel returns the kernel of that name.
func (f *File) Kernel(name string) (*Kernel, error) {
	for i := range f.Kernels {
		if f.Kernels[i].Name == name {
			return &f.Kernels[i], nil
		}
	}
	var names []string
	for _, k := range f.Kernels {
		names = append(names, k.Name)
	}
	return nil, fmt.Errorf("the cubin has no kernel %s, but %s", name, strings.Join(names, ", "))
}

// Attributes of .nv.info sections, by the names that nvdisasm prints for them.
const (
	attrMaxThreads   = 0x05 // three words: x, y, z
	attrFrameSize    = 0x11 // symbol, bytes
	attrMinStackSize = 0x12 // symbol, bytes
	attrParamBytes   = 0x19 // EIATTR_CBANK_PARAM_SIZE
	attrRegCount     = 0x2f // symbol, registers
	attrBarriers     = 0x4c // EIATTR_NUM_BARRIERS
)

// reserved is what the driver takes of each block's shared memory. Cubins for
// sm_90 and later count it in where there is any shared memory.
const reserved = 1024

// entry marks a function that can be launched, in a symbol's st_other.
const entry = 0x10

// Parse reads a cubin. The numbers are those that cuobjdump --dump-resource-usage
// prints, but for Shared.
func Parse(data []byte) (*File, error) {
	const versionAt, flagsAt, headerSize = 20, 48, 64 // in a 64-bit ELF header
	if len(data) < headerSize {
		return nil, fmt.Errorf("not a cubin: %d bytes", len(data))
	}
	// Before CUDA 13 the compiler wrote its own version where ELF has the constant 1.
	data = slices.Clone(data)
	binary.LittleEndian.PutUint32(data[versionAt:], uint32(elf.EV_CURRENT))
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("not a cubin: %w", err)
	}
	const cuda = 190 // EM_CUDA
	if f.Machine != cuda || f.Class != elf.ELFCLASS64 || f.ByteOrder != binary.LittleEndian {
		return nil, fmt.Errorf("not a cubin, but ELF for %v", f.Machine)
	}
	// debug/elf keeps no flags. From ABI 8 on, with CUDA 13, the architecture is
	// their second byte, before it was the first.
	flags := binary.LittleEndian.Uint32(data[flagsAt:])
	out := &File{Arch: int(flags & 0xff)}
	if f.ABIVersion >= 8 {
		out.Arch = int(flags >> 8 & 0xff)
	}
	symbols, err := f.Symbols()
	if err != nil {
		return nil, fmt.Errorf("cubin: %w", err)
	}
	for i, symbol := range symbols {
		if elf.ST_TYPE(symbol.Info) != elf.STT_FUNC || symbol.Other&entry == 0 {
			continue
		}
		k, err := kernel(f, out.Arch, symbol.Name, uint32(i)+1) // Symbols leaves out the first
		if err != nil {
			return nil, fmt.Errorf("cubin, kernel %s: %w", symbol.Name, err)
		}
		out.Kernels = append(out.Kernels, *k)
	}
	slices.SortFunc(out.Kernels, func(a, b Kernel) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// kernel gathers the facts of a kernel from the sections that tell of it.
func kernel(f *elf.File, arch int, name string, symbol uint32) (*Kernel, error) {
	k := &Kernel{Name: name, Registers: -1}
	all, err := attributes(f, ".nv.info")
	if err != nil {
		return nil, err
	}
	for _, a := range all {
		if len(a.value) != 8 || a.word(0) != symbol {
			continue
		}
		switch a.number {
		case attrRegCount:
			k.Registers = int(a.word(1))
		case attrFrameSize, attrMinStackSize:
			// A frame is the kernel's own; the stack includes what it calls.
			k.Stack = max(k.Stack, int(a.word(1)))
		}
	}
	if k.Registers < 0 {
		return nil, fmt.Errorf("no number of registers in .nv.info")
	}
	own, err := attributes(f, ".nv.info."+name)
	if err != nil {
		return nil, err
	}
	for _, a := range own {
		switch a.number {
		case attrMaxThreads:
			if len(a.value) == 12 {
				k.MaxThreads = int(a.word(0)) * int(a.word(1)) * int(a.word(2))
			}
		case attrParamBytes:
			k.Params = int(a.small)
		case attrBarriers:
			k.Barriers = int(a.small & 0xff)
		}
	}
	text := f.Section(".text." + name)
	if text == nil {
		return nil, fmt.Errorf("no code")
	}
	if k.Code, err = text.Data(); err != nil {
		return nil, err
	}
	if k.Barriers == 0 {
		k.Barriers = int(text.Flags >> 20 & 0x7f) // where compilers before CUDA 13 have it
	}
	if s := f.Section(".nv.shared." + name); s != nil {
		k.Shared = int(s.Size)
		if arch >= 90 {
			k.Shared = max(0, k.Shared-reserved)
		}
	}
	return k, nil
}

// attribute is one record of a .nv.info section.
type attribute struct {
	number byte
	small  uint16 // the value of a record without bytes of its own
	value  []byte
}

func (a attribute) word(i int) uint32 { return binary.LittleEndian.Uint32(a.value[4*i:]) }

// attributes reads a section of records: a format, a number, and two bytes that
// are the value, or in format 4 the length of the value that follows.
func attributes(f *elf.File, section string) ([]attribute, error) {
	s := f.Section(section)
	if s == nil {
		return nil, nil
	}
	data, err := s.Data()
	if err != nil {
		return nil, err
	}
	var out []attribute
	for len(data) > 0 {
		if len(data) < 4 {
			return nil, fmt.Errorf("%s ends inside a record", section)
		}
		a := attribute{number: data[1], small: binary.LittleEndian.Uint16(data[2:])}
		format := data[0]
		data = data[4:]
		if format == 4 {
			if len(data) < int(a.small) {
				return nil, fmt.Errorf("%s ends inside a value", section)
			}
			a.value, data = data[:a.small], data[a.small:]
		}
		out = append(out, a)
	}
	return out, nil
}
