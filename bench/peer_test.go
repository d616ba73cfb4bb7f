package bench

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"wrnc/bench/benchtest"
)

func TestMain(m *testing.M) {
	if os.Getenv(benchtest.Mode) != "" {
		benchtest.Main()
		return
	}
	os.Exit(m.Run())
}

// fake starts the stand-in for PyTorch.
func fake(t *testing.T, mode string, timeout time.Duration) (*Peer, error) {
	t.Setenv(benchtest.Mode, mode)
	t.Setenv(benchtest.Parameters, "77850")
	self, err := os.Executable()
	require.NoError(t, err)
	p, err := StartPeer(self, PeerOptions{Threads: 2, Device: "cpu", Precision: "f32", Timeout: timeout})
	if err == nil {
		t.Cleanup(p.Close)
	}
	return p, err
}

func TestPeer(t *testing.T) {
	p, err := fake(t, "right", time.Minute)
	require.NoError(t, err)
	require.Equal(t, "2.7.1", p.Torch)
	require.Equal(t, "cpu", p.Device)
	ready, err := p.Network(Network{})
	require.NoError(t, err)
	require.Equal(t, Prepared{Program: "channels_last eager", Parameters: 77850,
		Probe: map[string]float64{"channels_last eager": 0.002, "contiguous eager": 0.003}}, ready)
	seconds, err := p.Steps(3)
	require.NoError(t, err)
	require.Equal(t, []float64{0.002, 0.002, 0.002}, seconds)
	_, err = p.Convolution(Convolution{})
	require.NoError(t, err)
	p.Close()
	p.Close()
	_, err = p.Steps(1)
	require.ErrorContains(t, err, "PyTorch ended when asked for 1 steps")
}

// TestPeerFails has one clear error for each way in which a peer can go wrong.
func TestPeerFails(t *testing.T) {
	for mode, want := range map[string]string{
		"missing":  `it has no PyTorch \(No module named 'torch'\); install it by \S+ -m pip install torch numpy, or name another Python$`,
		"blind":    `its PyTorch has no GPU to use \(Torch not compiled with CUDA enabled\); install one that is built for CUDA, or leave out --against torch$`,
		"nowhere":  `it named no device`,
		"nameless": `does not answer as wrnc's PyTorch program does: it named no version of PyTorch; does the command start Python itself\?$`,
		"threads":  `it has 77 threads where 2 were asked for`,
		"garbage":  `expected a JSON object, found "Python 3.11.7"`,
		"long":     `it wrote a line of more than 1048576 bytes`,
		"ends":     `^PyTorch ended when asked to start; it said:\nIllegal instruction$`,
		"dies":     `^PyTorch ended when asked to prepare the network; it said:\nIllegal instruction$`,
		"hangs":    `^PyTorch did not answer within 2s when asked for 1 steps; give it longer by --timeout, or leave out --against torch$`,
		"error":    `^PyTorch failed when asked to prepare the network: RuntimeError: out of memory$`,
		"list":     `expected a JSON object, found "\[1, 2\]"`,
		"nothing":  `it did not say which program it has prepared`,
		"few":      `it gave 0 times for 1 steps`,
		"negative": `a step took -1 s`,
		"text":     `cannot unmarshal string`,
	} {
		t.Run(mode, func(t *testing.T) {
			p, err := fake(t, mode, 2*time.Second)
			if err == nil {
				_, err = p.Network(Network{})
			}
			if err == nil {
				_, err = p.Steps(1)
			}
			require.Error(t, err)
			require.Regexp(t, want, err.Error())
		})
	}
}

func TestNoPython(t *testing.T) {
	for _, python := range []string{"no-such-python", "/no/such/python"} {
		_, err := StartPeer(python, PeerOptions{Threads: 1, Device: "cpu", Precision: "f32", Timeout: time.Minute})
		require.EqualError(t, err, "--python "+python+": there is no such program; name a Python that has PyTorch, or leave out --against torch")
	}
	_, err := StartPeer(t.TempDir(), PeerOptions{Threads: 1, Timeout: time.Minute})
	require.ErrorContains(t, err, "permission denied")
}

// TestPeerProgram runs the program itself: in $WRNC_TORCH_PYTHON, a Python with
// PyTorch, all of it; in any other Python as far as that gets.
func TestPeerProgram(t *testing.T) {
	python, required := os.LookupEnv("WRNC_TORCH_PYTHON")
	if !required {
		var err error
		if python, err = exec.LookPath("python3"); err != nil {
			t.Skip("there is no Python")
		}
	}
	p, err := StartPeer(python, PeerOptions{Threads: 1, Device: "cpu", Precision: "f32", Timeout: 5 * time.Minute})
	if err != nil && !required {
		require.ErrorContains(t, err, "it has no PyTorch (No module named 'torch')")
		t.Skip("PyTorch is not compared with; WRNC_TORCH_PYTHON names a Python that has it: ", err)
	}
	require.NoError(t, err)
	defer p.Close()
	for _, infer := range []bool{false, true} {
		ready, err := p.Network(Network{Widths: []int{16, 16, 32, 64}, Blocks: 1, Kernels: []int{3, 1}, Dropout: 0.3, Side: 8, Classes: 10, Batch: 2, Infer: infer})
		require.NoError(t, err)
		require.Equal(t, 34842, ready.Parameters, "as wrnc summary WRN-10-1-B(3,1) counts")
		require.Len(t, ready.Probe, 2)
		seconds, err := p.Steps(2)
		require.NoError(t, err)
		require.Len(t, seconds, 2)
	}
	for _, kind := range []string{"fprop", "dgrad", "wgrad"} {
		_, err := p.Convolution(Convolution{Kind: kind, Batch: 2, Height: 8, Width: 8, Inputs: 3, Outputs: 4, Kernel: 3, Pad: 1, Stride: 2})
		require.NoError(t, err)
		_, err = p.Steps(2)
		require.NoError(t, err)
	}
	_, err = p.Convolution(Convolution{Kind: "fprop", Batch: 2, Height: 8, Width: 8, Inputs: 3, Outputs: 4, Kernel: 3, Pad: 1, Stride: 0})
	require.ErrorContains(t, err, "PyTorch failed when asked to prepare the convolution: RuntimeError: ")
}
