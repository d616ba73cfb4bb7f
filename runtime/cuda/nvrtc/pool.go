package nvrtc

import (
	"bytes"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// Pool compiles in processes of its own. A text that kills the compiler costs its
// process and no more: the next text gets a new one.
type Pool struct {
	start func() (*exec.Cmd, error)
	slots chan *worker // nil: not started
	size  int
	done  chan struct{} // closed by Close
}

// workerVariable is set in the environment of a worker.
const workerVariable = "WRNC_NVRTC_WORKER"

// Worker makes this process a compiler if a Pool of Self started it so: it then
// serves and exits. Otherwise it returns at once. It belongs at the beginning of
// main, or of TestMain.
func Worker() {
	if os.Getenv(workerVariable) == "" {
		return
	}
	if err := serve(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Self is the command that starts this program again as a worker.
func Self() (*exec.Cmd, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), workerVariable+"=1")
	return cmd, nil
}

// NewPool returns a pool of up to n processes, each started when it is first
// needed by the command that start returns, usually Self.
func NewPool(n int, start func() (*exec.Cmd, error)) (*Pool, error) {
	if n < 1 {
		return nil, fmt.Errorf("a pool of %d processes", n)
	}
	if os.Getenv(workerVariable) != "" {
		// Without this check such a program would start itself without end.
		return nil, errors.New("this process was started to compile, but its main does not call nvrtc.Worker")
	}
	p := &Pool{start: start, slots: make(chan *worker, n), size: n, done: make(chan struct{})}
	for range n {
		p.slots <- nil
	}
	return p, nil
}

// Size is the number of texts that compile at once.
func (p *Pool) Size() int { return p.size }

// Compile compiles in one of the processes, and waits while all of them work.
func (p *Pool) Compile(ctx context.Context, s Source) (*Result, error) {
	var w *worker
	select {
	case w = <-p.slots:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-p.done:
		return nil, errors.New("the pool of compiling processes is closed")
	}
	defer func() { p.slots <- w }()
	if w == nil {
		var err error
		if w, err = p.launch(ctx); err != nil {
			return nil, err
		}
	}
	answer, err := w.ask(ctx, s)
	if err != nil {
		w = nil // its process has ended
		return nil, fmt.Errorf("%s for %s: %w", s.Name, s.Arch, err)
	}
	return answer.result()
}

// Close waits for what is being compiled and ends the processes. It is called once.
func (p *Pool) Close() {
	close(p.done)
	for range p.size {
		if w := <-p.slots; w != nil {
			w.end()
		}
	}
}

// greeting is what a worker writes first, in plain text: any program can be asked
// for as many bytes. The number changes with the messages that follow.
const greeting = "wrnc nvrtc worker 1\n"

// hello is a worker's first message.
type hello struct {
	Error string // why it cannot compile
}

// answer is a worker's message for each Source: one field is set.
type answer struct {
	Result  *Result
	Rejects *CompileError
	Unknown *ArchError
	Other   string
}

func (a *answer) result() (*Result, error) {
	switch {
	case a.Result != nil:
		return a.Result, nil
	case a.Rejects != nil:
		return nil, a.Rejects
	case a.Unknown != nil:
		return nil, a.Unknown
	}
	return nil, errors.New(a.Other)
}

func answerOf(r *Result, err error) answer {
	var rejects *CompileError
	var unknown *ArchError
	switch {
	case err == nil:
		return answer{Result: r}
	case errors.As(err, &rejects):
		return answer{Rejects: rejects}
	case errors.As(err, &unknown):
		return answer{Unknown: unknown}
	}
	return answer{Other: err.Error()}
}

// serve answers requests until their end.
func serve(in io.Reader, out io.Writer) error {
	c, err := Open("")
	if err != nil {
		return serveWith(in, out, nil, err)
	}
	return serveWith(in, out, c.Compile, nil)
}

// serveWith is serve with a given compiler, or with the reason why there is none.
func serveWith(in io.Reader, out io.Writer, compile func(Source) (*Result, error), missing error) error {
	decode, encode := gob.NewDecoder(in), gob.NewEncoder(out)
	if _, err := io.WriteString(out, greeting); err != nil {
		return err
	}
	var first hello
	if missing != nil {
		first.Error = missing.Error()
	}
	if err := encode.Encode(first); err != nil || missing != nil {
		return err
	}
	for {
		var s Source
		if err := decode.Decode(&s); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if err := encode.Encode(answerOf(compile(s))); err != nil {
			return err
		}
	}
}

// worker is a process.
type worker struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	encode *gob.Encoder
	decode *gob.Decoder
	stderr messages
}

// startTime is how long a process may take until it can compile. It has to load
// 100 MB, perhaps from a slow disk.
const startTime = time.Minute

// launch starts a process and waits until it can compile.
func (p *Pool) launch(ctx context.Context) (*worker, error) {
	cmd, err := p.start()
	if err != nil {
		return nil, err
	}
	w := &worker{cmd: cmd}
	cmd.Stderr = &w.stderr
	if w.in, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	w.encode, w.decode = gob.NewEncoder(w.in), gob.NewDecoder(out)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	err = w.receive(ctx, func() error {
		words := make([]byte, len(greeting))
		if _, err := io.ReadFull(out, words); err != nil {
			return err
		}
		if string(words) != greeting {
			return fmt.Errorf("it begins with %q", words)
		}
		return nil
	})
	var first hello
	if err == nil {
		err = w.receive(ctx, func() error { return w.decode.Decode(&first) })
	}
	if err != nil {
		return nil, fmt.Errorf("%s does not start as a compiler: %w", cmd.Path, err)
	}
	if first.Error != "" {
		w.end()
		return nil, errors.New(first.Error)
	}
	return w, nil
}

// ask sends a text and waits for the answer. After an error the process is gone.
func (w *worker) ask(ctx context.Context, s Source) (*answer, error) {
	// A write to a process that ended fails, and so will the read, which tells more.
	_ = w.encode.Encode(s)
	a := &answer{}
	if err := w.receive(ctx, func() error { return w.decode.Decode(a) }); err != nil {
		return nil, err
	}
	return a, nil
}

// receive calls a function that reads from the process. If it fails, or the context
// ends first, receive ends the process and says what became of it.
func (w *worker) receive(ctx context.Context, read func() error) error {
	stop := context.AfterFunc(ctx, func() { _ = w.cmd.Process.Kill() })
	err := read()
	if stop() && err == nil {
		return nil
	}
	if ctx.Err() == nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		w.end()
		return fmt.Errorf("the compiling process does not answer as one: %w", err)
	}
	// It has ended, or is about to: how says more if it is not killed first.
	late := time.AfterFunc(time.Second, func() { _ = w.cmd.Process.Kill() })
	_ = w.in.Close()
	_ = w.cmd.Wait()
	late.Stop()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("the compiling process ended: %s%s", w.cmd.ProcessState, w.stderr.note())
}

// end ends the process and waits for it.
func (w *worker) end() {
	_ = w.in.Close()
	_ = w.cmd.Process.Kill() // it may be busy, and has nothing to lose
	_ = w.cmd.Wait()
}

// messages keeps the first bytes that a process writes to its standard error.
type messages struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (m *messages) Write(b []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if room := 2048 - m.text.Len(); room > 0 {
		m.text.Write(b[:min(room, len(b))])
	}
	return len(b), nil
}

// note is what was written, as the end of a message.
func (m *messages) note() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if text := strings.TrimSpace(m.text.String()); text != "" {
		return "\n" + text
	}
	return ""
}
