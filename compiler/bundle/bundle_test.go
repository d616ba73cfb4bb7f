package bundle_test

import (
	"slices"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"wrnc/codegen/cuda"
	"wrnc/compiler"
	"wrnc/compiler/bundle"
	"wrnc/compiler/lower"
	"wrnc/compiler/plan"
	"wrnc/dsl"
)

// headers stand for the templates, whose content no test here reads.
func headers() map[string]string {
	h := map[string]string{"device.cuh": "// prelude\n", "ops.cuh": "#pragma once\n#include \"device.cuh\"\n", "unused.cuh": ""}
	for _, name := range []string{"conv", "wgrad", "map", "flat", "channel", "pool", "xent", "maxpool"} {
		h[name+".cuh"] = "#pragma once\n  # include \"ops.cuh\"\n"
	}
	return h
}

// small is a network's bundle.
func small(t *testing.T) *bundle.Bundle {
	net, err := dsl.Load("test.wrn", []byte("model WRN-10-1; dropout 0.3"))
	require.NoError(t, err)
	c, err := compiler.Compile(net, compiler.Options{Batch: 8, Fuse: true})
	require.NoError(t, err)
	arch, err := cuda.Arch("sm_80")
	require.NoError(t, err)
	b := &bundle.Bundle{Headers: headers()}
	for _, f := range c.Module.Funcs {
		p, err := lower.Plan(f, arch)
		require.NoError(t, err)
		s, err := cuda.Emit(p, f)
		require.NoError(t, err)
		b.Plans, b.Sources = append(b.Plans, p), append(b.Sources, s)
	}
	return b
}

func fileSystem(t *testing.T, b *bundle.Bundle) fstest.MapFS {
	files, err := b.Files()
	require.NoError(t, err)
	m := fstest.MapFS{}
	for name, content := range files {
		m[name] = &fstest.MapFile{Data: content}
	}
	return m
}

func TestRoundTrip(t *testing.T) {
	b := small(t)
	files := fileSystem(t, b)
	got, err := bundle.Read(files)
	require.NoError(t, err)
	require.Len(t, got.Plans, len(b.Plans))
	for i, p := range b.Plans {
		j := slices.IndexFunc(got.Plans, func(q *plan.Plan) bool { return q.Func == p.Func })
		require.GreaterOrEqual(t, j, 0)
		require.Equal(t, p.String(), got.Plans[j].String())
		require.Equal(t, b.Sources[i], got.Sources[j])
	}
	require.Contains(t, got.Headers, "ops.cuh", "a header that only headers include")
	require.NotContains(t, got.Headers, "unused.cuh")
	require.NotContains(t, got.Headers, "maxpool.cuh", "nothing pools by the largest here")
	for name, text := range got.Headers {
		require.Equal(t, b.Headers[name], text)
	}

	again, err := b.Files()
	require.NoError(t, err)
	for name, content := range again {
		require.Equal(t, string(files[name].Data), string(content))
	}
}

func TestFilesRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(b *bundle.Bundle)
		want  string
	}{
		"plans":   {func(b *bundle.Bundle) { b.Sources = b.Sources[1:] }, "texts of 2 plans, there are 3"},
		"kernels": {func(b *bundle.Bundle) { b.Sources[0] = b.Sources[0][1:] }, "the plan of train has "},
		"twice":   {func(b *bundle.Bundle) { b.Plans[1], b.Sources[1] = b.Plans[0], b.Sources[0] }, "two plans of train"},
		"entry":   {func(b *bundle.Bundle) { b.Sources[2][0].Entry = "../x" }, `the plan of infer: "../x" is no name of an entry`},
		"texts":   {func(b *bundle.Bundle) { b.Sources[2][1] = plan.Source{Entry: b.Sources[2][0].Entry} }, "two texts of the entry"},
		"header":  {func(b *bundle.Bundle) { delete(b.Headers, "ops.cuh") }, `.cuh includes "ops.cuh", which is not among the headers`},
		"system":  {func(b *bundle.Bundle) { b.Headers["ops.cuh"] = "#include <cuda_bf16.h>\n" }, `kernels/ops.cuh includes "cuda_bf16.h", which is not among`},
		"outside": {func(b *bundle.Bundle) {
			b.Headers["ops.cuh"], b.Headers["../x.cuh"] = "#include \"../x.cuh\"\n", "x"
		}, `includes "../x.cuh", which is not among`},
	} {
		t.Run(name, func(t *testing.T) {
			b := small(t)
			c.spoil(b)
			_, err := b.Files()
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestReadRefuses(t *testing.T) {
	whole := small(t)
	kernel := "kernels/" + whole.Sources[0][0].Entry + ".cu"
	for name, c := range map[string]struct {
		spoil func(m fstest.MapFS)
		want  string
	}{
		"nothing": {func(m fstest.MapFS) { clear(m) }, "no plans among the files"},
		"text":    {func(m fstest.MapFS) { m["plans/eval.plan"].Data = []byte("plan\n") }, "plans/eval.plan:1:"},
		"moved":   {func(m fstest.MapFS) { m["plans/eval.plan"] = m["plans/infer.plan"] }, "plans/eval.plan: the plan is of infer"},
		"unsound": {func(m fstest.MapFS) {
			p, err := plan.Parse("p", string(m["plans/eval.plan"].Data))
			require.NoError(t, err)
			p.Launches = p.Launches[1:]
			m["plans/eval.plan"].Data = []byte(p.String())
		}, " is in no launch"},
		"entries":   {func(m fstest.MapFS) { delete(m, "plans/eval.kernels") }, "plans/eval.kernels"},
		"too few":   {func(m fstest.MapFS) { m["plans/eval.kernels"].Data = []byte("a\n") }, "plans/eval.plan: 1 entries for "},
		"no kernel": {func(m fstest.MapFS) { delete(m, kernel) }, kernel},
		"no name": {func(m fstest.MapFS) {
			m["plans/eval.kernels"].Data = append([]byte("a/../"), m["plans/eval.kernels"].Data...)
		}, "is no name of an entry"},
	} {
		t.Run(name, func(t *testing.T) {
			m := fileSystem(t, whole)
			c.spoil(m)
			_, err := bundle.Read(m)
			require.ErrorContains(t, err, c.want)
		})
	}
}
