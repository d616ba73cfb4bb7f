package runtime_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/runtime"
)

// plain is an executable that tells what it is asked for.
type plain struct {
	runtime.Executable // none
	calls              []string
}

func (p *plain) Run(function string, in runtime.Inputs) ([][]float32, error) {
	p.calls = append(p.calls, fmt.Sprintf("run %s %d", function, in.N))
	return [][]float32{{float32(in.N)}}, nil
}

// staging is one that takes inputs over.
type staging struct {
	plain
	staged *runtime.Inputs
}

func (s *staging) Stage(function string, in runtime.Inputs) error {
	s.calls = append(s.calls, fmt.Sprintf("stage %s %d", function, in.N))
	if in.N > 4 {
		return fmt.Errorf("%d samples", in.N)
	}
	s.staged = &in
	return nil
}

func (s *staging) RunStaged(next *runtime.Inputs) ([][]float32, error) {
	n := s.staged.N
	s.calls = append(s.calls, fmt.Sprintf("run staged %d", n))
	s.staged = next
	if next != nil {
		s.calls = append(s.calls, fmt.Sprintf("then %d", next.N))
	}
	return [][]float32{{float32(n)}}, nil
}

// TestSeries requires that each call gets its own inputs, whether the next ones are known
// or not, and that they are handed over where the device takes them.
func TestSeries(t *testing.T) {
	batch := func(n int) *runtime.Inputs {
		if n == 0 {
			return nil
		}
		return &runtime.Inputs{N: n}
	}
	for _, c := range []struct {
		n    []int // of the calls; what is to come is known but where a 0 stands between
		want []string
	}{
		{[]int{4, 3, 2}, []string{"stage f 4", "run staged 4", "then 3", "run staged 3", "then 2", "run staged 2"}},
		{[]int{4}, []string{"run f 4"}},
		{[]int{4, 0, 3, 2, 0, 1}, []string{"run f 4", "stage f 3", "run staged 3", "then 2", "run staged 2", "run f 1"}},
	} {
		one, other := &plain{}, &staging{}
		ahead, apart := runtime.NewSeries(other, "f"), runtime.NewSeries(one, "f")
		for i, n := range c.n {
			if n == 0 {
				continue
			}
			next := batch(append(c.n, 0)[i+1])
			for _, calls := range []*runtime.Series{ahead, apart} {
				out, err := calls.Run(*batch(n), next)
				require.NoError(t, err)
				require.Equal(t, [][]float32{{float32(n)}}, out)
			}
		}
		require.Equal(t, c.want, other.calls)
		for _, call := range one.calls {
			require.Regexp(t, `^run f \d$`, call)
		}
	}
	calls := runtime.NewSeries(&staging{}, "f")
	_, err := calls.Run(*batch(5), batch(4))
	require.EqualError(t, err, "5 samples")
	_, err = calls.Run(*batch(3), batch(4))
	require.NoError(t, err, "nothing is taken to be staged that is not")
}
