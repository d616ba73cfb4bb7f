package harness

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"
)

// Machine is a running process with device memory. It executes one request at a
// time and is for one goroutine.
type Machine struct {
	// Timeout bounds each request. A kernel that exceeds it ends the machine.
	Timeout time.Duration

	cmd    *exec.Cmd
	in     *bufio.Writer
	out    *bufio.Reader
	stdin  io.Closer
	stderr bytes.Buffer
	loaded map[string]uint32
	dead   error
}

// Order is the order in which blocks, and the threads of a block, run.
type Order uint32

// The orders. What a kernel computes may not depend on them.
const (
	Forward Order = iota
	Reverse
	Random // by Launch.Seed
)

// Async is when an asynchronous copy's bytes arrive. Either is legal.
type Async uint32

const (
	Late  Async = iota // when the thread that started it waits for it
	Early              // when it is started
)

// Launch is one execution of a kernel.
type Launch struct {
	Module *Module
	Entry  string // the name given to WRNC_KERNEL
	Blocks int
	// Threads of a block: the number given to WRNC_KERNEL.
	Threads int
	Shared  int    // bytes of shared memory, as given to the kernel's Smem
	Args    []byte // of the kernel's struct Args
	Order   Order
	Seed    uint64
	Async   Async
}

// Start starts a machine. Close ends it.
func (h *Harness) Start() (*Machine, error) {
	m := &Machine{Timeout: time.Minute, cmd: exec.Command(h.runner), loaded: map[string]uint32{}}
	m.cmd.Stderr = &m.stderr
	stdin, err := m.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := m.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	m.stdin, m.in, m.out = stdin, bufio.NewWriterSize(stdin, 1<<16), bufio.NewReaderSize(stdout, 1<<16)
	if err := m.cmd.Start(); err != nil {
		return nil, err
	}
	return m, nil
}

// Close ends the machine.
func (m *Machine) Close() error {
	if m.dead != nil {
		return nil
	}
	m.dead = errors.New("the machine is closed")
	m.stdin.Close()
	return m.cmd.Wait()
}

// Alloc returns the address of new memory, aligned to 256 bytes. It holds NaN; a
// kernel may read what nobody has written only if initialised is true.
func (m *Machine) Alloc(n int, initialised bool) (uint64, error) {
	answer, err := m.request(allocate, fields(uint64(n), flag(initialised)))
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint64(answer), nil
}

// Free returns memory. A kernel that still uses it is told on.
func (m *Machine) Free(address uint64) error {
	_, err := m.request(free, fields(address))
	return err
}

// Write copies bytes to the machine, and makes them initialised.
func (m *Machine) Write(address uint64, bytes []byte) error {
	_, err := m.request(write, fields(address), bytes)
	return err
}

// Read copies n bytes from the machine.
func (m *Machine) Read(address uint64, n int) ([]byte, error) {
	return m.request(read, fields(address, uint64(n)))
}

// Poison fills n bytes with NaN that nobody has written, as Alloc does: what an
// arena's bytes are between the lives of two buffers.
func (m *Machine) Poison(address uint64, n int) error {
	_, err := m.request(poison, fields(address, uint64(n)))
	return err
}

// Launch executes a kernel. An error is one of the launch itself, or a crash or
// timeout, after which the machine is dead; what the kernel did wrong is in the
// report.
func (m *Machine) Launch(l Launch) (*Report, error) {
	module, ok := m.loaded[l.Module.path]
	if !ok {
		answer, err := m.request(load, text(l.Module.path))
		if err != nil {
			return nil, fmt.Errorf("kernel %s: %w", l.Module.Name, err)
		}
		module = binary.LittleEndian.Uint32(answer)
		m.loaded[l.Module.path] = module
	}
	head := fields(module, uint32(l.Blocks), uint32(l.Threads), uint32(l.Shared), l.Order, l.Async, l.Seed)
	answer, err := m.request(launch, head, text(l.Entry), l.Args)
	if err != nil {
		return nil, fmt.Errorf("kernel %s of %s: %w", l.Entry, l.Module.Name, err)
	}
	return readReport(answer, l.Module)
}

// The requests; runner.cpp has the same numbers.
const (
	allocate = iota + 1
	free
	write
	read
	poison
	load
	launch
)

// fields are numbers as the runner reads them.
func fields(values ...any) []byte {
	var b bytes.Buffer
	for _, v := range values {
		if err := binary.Write(&b, binary.LittleEndian, v); err != nil {
			panic(err) // a value without a fixed size
		}
	}
	return b.Bytes()
}

func text(s string) []byte { return append(fields(uint32(len(s))), s...) }

func flag(b bool) uint32 {
	if b {
		return 1
	}
	return 0
}

// request sends one request and waits for its answer.
func (m *Machine) request(kind uint32, parts ...[]byte) ([]byte, error) {
	if m.dead != nil {
		return nil, m.dead
	}
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	late := make(chan struct{})
	timer := time.AfterFunc(m.Timeout, func() { close(late); m.cmd.Process.Kill() })
	status, answer, err := m.exchange(append(fields(kind, uint64(n)), bytes.Join(parts, nil)...))
	if !timer.Stop() {
		<-late
		m.bury(fmt.Errorf("no answer within %v", m.Timeout))
		return nil, m.dead
	}
	if err != nil {
		m.bury(err)
		return nil, m.dead
	}
	if status != 0 {
		return nil, errors.New(string(answer))
	}
	return answer, nil
}

func (m *Machine) exchange(request []byte) (status uint32, answer []byte, err error) {
	if _, err := m.in.Write(request); err != nil {
		return 0, nil, err
	}
	if err := m.in.Flush(); err != nil {
		return 0, nil, err
	}
	var head [12]byte
	if _, err := io.ReadFull(m.out, head[:]); err != nil {
		return 0, nil, err
	}
	answer = make([]byte, binary.LittleEndian.Uint64(head[4:]))
	_, err = io.ReadFull(m.out, answer)
	return binary.LittleEndian.Uint32(head[:]), answer, err
}

// bury notes that the process has ended, with what it said last.
func (m *Machine) bury(cause error) {
	m.stdin.Close()
	if err := m.cmd.Wait(); err != nil && errors.Is(cause, io.EOF) {
		cause = err
	}
	if said := strings.TrimSpace(m.stderr.String()); said != "" {
		cause = fmt.Errorf("%w: %s", cause, said)
	}
	m.dead = fmt.Errorf("the machine is dead: %w", cause)
}
