package bench

import (
	"bufio"
	"cmp"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/exec"
	"strings"
	"sync"
	"time"
)

//go:embed peer.py
var peerProgram string

// Peer is a Python with PyTorch that does the same work as wrnc. It answers one
// question at a time, and waits without using the processor in between.
type Peer struct {
	python  string
	timeout time.Duration
	cmd     *exec.Cmd
	stdin   io.WriteCloser
	lines   chan peerLine
	done    chan struct{} // closed when nobody reads lines any more
	said    *lastWords

	Torch   string // its version
	Threads int
	Device  string // cpu, or the GPU's name
}

// PeerOptions say how a peer works.
type PeerOptions struct {
	Threads   int
	Device    string        // as PyTorch names it: cpu, cuda:0
	Precision string        // f32, tf32 or bf16
	Timeout   time.Duration // of an answer
}

// Network is a Wide Residual Network for small pictures, as the peer is told of it.
type Network struct {
	Widths  []int   `json:"widths"` // channels of the stem and of each group
	Blocks  int     `json:"blocks"` // a group
	Kernels []int   `json:"kernels"`
	Strides int     `json:"strides"` // index of the convolution of a block that strides
	Dropout float64 `json:"dropout"`
	Side    int     `json:"side"` // of a picture, in pixels
	Classes int     `json:"classes"`
	Batch   int     `json:"batch"`
	Infer   bool    `json:"infer"`   // the logits, instead of a training step
	Compile bool    `json:"compile"` // try torch.compile too
}

// Convolution is one that the peer does alone.
type Convolution struct {
	Kind    string `json:"kind"` // fprop, dgrad or wgrad
	Batch   int    `json:"batch"`
	Height  int    `json:"height"` // of the picture that the filter reads
	Width   int    `json:"width"`
	Inputs  int    `json:"inputs"`  // channels of it
	Outputs int    `json:"outputs"` // of the result
	Kernel  int    `json:"kernel"`
	Pad     int    `json:"pad"`
	Stride  int    `json:"stride"`
}

// Prepared is what the peer says of the work it is ready for.
type Prepared struct {
	Program    string             `json:"program"` // the one that is taken: the fastest of those tried
	Parameters int                `json:"parameters"`
	Probe      map[string]float64 `json:"probe"`  // the least step of each that was tried, in seconds
	Failed     map[string]string  `json:"failed"` // why others could not be tried
}

// What a peer may say: a line, and the end of what is kept of its standard error.
const (
	maxPeerLine  = 1 << 20
	maxLastWords = 2 << 10
)

// StartPeer starts the peer in the Python at a path or of a name. An answer that takes
// longer than the timeout is an error, as is all that goes wrong: they say what to do.
func StartPeer(python string, o PeerOptions) (*Peer, error) {
	p := &Peer{python: python, timeout: o.Timeout, lines: make(chan peerLine), done: make(chan struct{}), said: &lastWords{}}
	p.cmd = exec.Command(python, "-c", peerProgram, fmt.Sprint(o.Threads), o.Device, o.Precision)
	p.cmd.Stderr = p.said
	p.cmd.WaitDelay = time.Second // for what it started itself and left behind
	var err error
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("--python %s: there is no such program; name a Python that has PyTorch, or leave out --against torch", python)
		}
		return nil, fmt.Errorf("--python %s: %w", python, err)
	}
	go p.read(stdout)
	if err := p.greet(o.Threads); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// greet reads the peer's first answer.
func (p *Peer) greet(threads int) error {
	var hello struct {
		Torch   string
		Threads int
		Device  string
		Missing string
		NoGPU   string `json:"no_gpu"`
	}
	if err := p.answer("to start", &hello); err != nil {
		return err
	}
	switch {
	case hello.Missing != "":
		return fmt.Errorf("--python %s: it has no PyTorch (%s); install it by %s -m pip install torch numpy, or name another Python", p.python, hello.Missing, p.python)
	case hello.NoGPU != "":
		return fmt.Errorf("--python %s: its PyTorch has no GPU to use (%s); install one that is built for CUDA, or leave out --against torch", p.python, hello.NoGPU)
	case hello.Torch == "":
		return p.wrong("it named no version of PyTorch")
	case hello.Device == "":
		return p.wrong("it named no device")
	case hello.Threads != threads:
		return p.wrong(fmt.Sprintf("it has %d threads where %d were asked for", hello.Threads, threads))
	}
	p.Torch, p.Threads, p.Device = hello.Torch, hello.Threads, hello.Device
	return nil
}

// Network prepares a network.
func (p *Peer) Network(n Network) (Prepared, error) {
	return p.prepare("network", struct {
		Do string `json:"do"`
		Network
	}{"network", n})
}

// Convolution prepares a convolution.
func (p *Peer) Convolution(c Convolution) (Prepared, error) {
	return p.prepare("convolution", struct {
		Do string `json:"do"`
		Convolution
	}{"conv", c})
}

func (p *Peer) prepare(what string, job any) (Prepared, error) {
	var ready Prepared
	if err := p.ask("to prepare the "+what, job, &ready); err != nil {
		return Prepared{}, err
	}
	if ready.Program == "" {
		return Prepared{}, p.wrong("it did not say which program it has prepared")
	}
	return ready, nil
}

// Steps runs n steps of what was prepared last and returns the seconds of each.
func (p *Peer) Steps(n int) ([]float64, error) {
	var took struct{ Seconds []float64 }
	err := p.ask(fmt.Sprintf("for %d steps", n), map[string]any{"do": "steps", "count": n}, &took)
	if err != nil {
		return nil, err
	}
	if len(took.Seconds) != n {
		return nil, p.wrong(fmt.Sprintf("it gave %d times for %d steps", len(took.Seconds), n))
	}
	for _, s := range took.Seconds {
		if !(s > 0) {
			return nil, p.wrong(fmt.Sprintf("a step took %v s", s))
		}
	}
	time.Sleep(settle)
	return took.Seconds, nil
}

// settle is how long the peer's idle threads are given to stop looking for work.
const settle = 10 * time.Millisecond

// ask writes a line and reads the answer.
func (p *Peer) ask(what string, question, answer any) error {
	line, err := json.Marshal(question)
	if err != nil {
		return err
	}
	if _, err := p.stdin.Write(append(line, '\n')); err != nil {
		return p.ended(what)
	}
	return p.answer(what, answer)
}

// answer reads a line.
func (p *Peer) answer(what string, answer any) error {
	timer := time.NewTimer(p.timeout)
	defer timer.Stop()
	var line peerLine
	select {
	case line = <-p.lines:
	case <-timer.C:
		return fmt.Errorf("PyTorch did not answer within %v when asked %s; give it longer by --timeout, or leave out --against torch", p.timeout, what)
	}
	switch {
	case errors.Is(line.err, bufio.ErrTooLong):
		return p.wrong(fmt.Sprintf("it wrote a line of more than %d bytes", maxPeerLine))
	case line.err != nil:
		return p.ended(what)
	}
	var failed struct{ Error string }
	if err := json.Unmarshal(line.text, &failed); err != nil {
		return p.wrong(fmt.Sprintf("expected a JSON object, found %.80q", line.text))
	}
	if failed.Error != "" {
		return fmt.Errorf("PyTorch failed when asked %s: %s", what, failed.Error)
	}
	if err := json.Unmarshal(line.text, answer); err != nil {
		return p.wrong(err.Error())
	}
	return nil
}

// wrong is an answer that is not the peer's.
func (p *Peer) wrong(what string) error {
	return fmt.Errorf("%s does not answer as wrnc's PyTorch program does: %s; does the command start Python itself?", p.python, what)
}

// ended is a peer that is no more.
func (p *Peer) ended(what string) error {
	p.stop()
	text := fmt.Sprintf("PyTorch ended when asked %s", what)
	if said := p.said.String(); said != "" {
		return fmt.Errorf("%s; it said:\n%s", text, said)
	}
	return fmt.Errorf("%s, and said nothing; is there enough memory?", text)
}

// Close ends the peer.
func (p *Peer) Close() { p.stop() }

// stop kills the peer: it keeps nothing that it would have to put in order.
func (p *Peer) stop() {
	if p.cmd == nil {
		return
	}
	close(p.done)
	p.stdin.Close()
	p.cmd.Process.Kill() // it may have ended
	p.cmd.Wait()         // its exit code says nothing then
	p.cmd = nil
}

// peerLine is a line that the peer wrote, or why there is none.
type peerLine struct {
	text []byte
	err  error
}

// read hands over what the peer writes.
func (p *Peer) read(stdout io.Reader) {
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, maxPeerLine)
	for lines.Scan() {
		if !p.hand(peerLine{text: []byte(lines.Text())}) {
			return
		}
	}
	p.hand(peerLine{err: cmp.Or(lines.Err(), io.EOF)})
}

// hand hands a line over, unless the peer has been stopped.
func (p *Peer) hand(line peerLine) bool {
	select {
	case p.lines <- line:
		return true
	case <-p.done:
		return false
	}
}

// lastWords keeps the end of what is written.
type lastWords struct {
	mu   sync.Mutex
	text []byte
}

func (w *lastWords) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text = append(w.text, p...)
	if extra := len(w.text) - maxLastWords; extra > 0 {
		w.text = append(w.text[:0], w.text[extra:]...)
	}
	return len(p), nil
}

func (w *lastWords) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.TrimSpace(strings.ToValidUTF8(string(w.text), ""))
}
