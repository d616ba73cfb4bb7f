package train

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/runtime"
)

// staging is a fake that takes the inputs of a call over while it makes the one before.
type staging struct {
	*fake
	function string
	next     *runtime.Inputs
	log      []string
}

func (s *staging) Stage(function string, in runtime.Inputs) error {
	s.log = append(s.log, fmt.Sprintf("stage %s %d", function, in.N))
	own := runtime.Inputs{N: in.N, F32: map[string][]float32{}, Labels: map[string][]int32{}, U64: maps.Clone(in.U64)}
	for name, v := range in.F32 {
		own.F32[name] = slices.Clone(v)
	}
	for name, v := range in.Labels {
		own.Labels[name] = slices.Clone(v)
	}
	s.function, s.next = function, &own
	return nil
}

func (s *staging) RunStaged(next *runtime.Inputs) ([][]float32, error) {
	in := s.next
	s.log = append(s.log, "start")
	s.next = nil
	if next != nil {
		if err := s.Stage(s.function, *next); err != nil {
			return nil, err
		}
	}
	s.log = append(s.log, "wait")
	return s.fake.Run(s.function, *in)
}

func (s *staging) Run(function string, in runtime.Inputs) ([][]float32, error) {
	s.log = append(s.log, fmt.Sprintf("run %s %d", function, in.N))
	return s.fake.Run(function, in)
}

// TestAhead requires that each batch but a stretch's first is handed over before the
// results of the one before are waited for, and that a run is the same with it, byte for
// byte.
func TestAhead(t *testing.T) {
	plain, m := module()
	o := long(t)
	want, err := Run(t.Context(), plain, m, source(), o)
	require.NoError(t, err)
	one, m := module()
	ahead := &staging{fake: one}
	with := long(t)
	got, err := Run(t.Context(), ahead, m, source(), with)
	require.NoError(t, err)
	require.Equal(t, plain.calls, one.calls)
	require.Equal(t, plain.state, one.state)
	require.Equal(t, want, got)
	weights := files(t, o.Dir)
	for name, text := range files(t, with.Dir) {
		require.Equal(t, weights[name], text, name)
	}
	epoch := []string{
		"stage train 4", "start", "stage train 4", "wait", "start", "stage train 3", "wait", "start", "wait",
		"stage eval 4", "start", "stage eval 2", "wait", "start", "wait",
	}
	require.Equal(t, slices.Concat(epoch, epoch, epoch), ahead.log)
}

// TestAheadInterrupted breaks a run off after each call, where a batch has been handed
// over that is never used. What goes on, with the same device, ends as an unbroken run.
func TestAheadInterrupted(t *testing.T) {
	whole, m := module()
	_, err := Run(t.Context(), whole, m, source(), long(t))
	require.NoError(t, err)
	for stopped := 1; stopped < len(whole.calls); stopped++ {
		one, m := module()
		ex := &staging{fake: one}
		o := long(t)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		one.onCall = func(n int) {
			if n == stopped {
				cancel()
			}
		}
		if _, err = Run(ctx, ex, m, source(), o); err == nil {
			continue
		}
		require.ErrorIs(t, err, context.Canceled)
		o.From = newest(t, o.Dir)
		one.onCall = nil
		_, err = Run(t.Context(), ex, m, source(), o)
		require.NoError(t, err)
		require.Equal(t, whole.trained(), one.trained(), "stopped at call %d", stopped)
		require.Equal(t, whole.state, one.state)
	}
}
