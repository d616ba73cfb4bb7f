package cubin

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"wrnc/runtime/cuda/nvrtc"
	"wrnc/runtime/cuda/toolkit"
)

var update = flag.Bool("update", false, "compile testdata/facts.cu again; cuda12.4 needs WRNC_NVRTC to name that version")

// samples are the cubins of testdata/facts.cu, by the compiler's version: the two
// differ in the cubin's ABI.
var samples = map[string][]string{"13.0": {"sm_80", "sm_90", "sm_120"}, "12.4": {"sm_90"}}

func sample(version, arch string) string {
	return filepath.Join("testdata", "cuda"+version+"_"+arch+".cubin")
}

func TestMain(m *testing.M) {
	flag.Parse()
	if *update {
		if err := compileSamples(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

func compileSamples() error {
	c, err := nvrtc.Open("")
	if err != nil {
		return err
	}
	text, err := os.ReadFile("testdata/facts.cu")
	if err != nil {
		return err
	}
	for _, arch := range samples[c.Version()] {
		r, err := c.Compile(nvrtc.Source{Name: "facts.cu", Text: string(text), Arch: arch, Options: nvrtc.Options()})
		if err != nil {
			return err
		}
		if err := os.WriteFile(sample(c.Version(), arch), r.CUBIN, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// each calls f with every sample.
func each(t *testing.T, f func(t *testing.T, version, arch string, data []byte)) {
	for version, archs := range samples {
		for _, arch := range archs {
			t.Run("CUDA "+version+" "+arch, func(t *testing.T) {
				data, err := os.ReadFile(sample(version, arch))
				require.NoError(t, err)
				f(t, version, arch, data)
			})
		}
	}
}

func TestParse(t *testing.T) {
	each(t, func(t *testing.T, _, arch string, data []byte) {
		f, err := Parse(data)
		require.NoError(t, err)
		require.Equal(t, arch, fmt.Sprintf("sm_%d", f.Arch))
		require.Len(t, f.Kernels, 4)
		var want []Kernel
		for _, k := range []Kernel{
			{Name: "local", Stack: 256, Params: 12},
			{Name: "plain", Params: 8},
			{Name: "shared", Shared: 400, MaxThreads: 128, Barriers: 1, Params: 12},
			{Name: "wide", Params: 12},
		} {
			got, err := f.Kernel(k.Name)
			require.NoError(t, err)
			require.True(t, 5 <= got.Registers && got.Registers <= 80, "%s: %d registers", k.Name, got.Registers)
			require.NotEmpty(t, got.Code)
			k.Registers, k.Code = got.Registers, got.Code // held to other tools' answers below
			want = append(want, k)
		}
		require.Equal(t, want, f.Kernels)
		_, err = f.Kernel("other")
		require.EqualError(t, err, "the cubin has no kernel other, but local, plain, shared, wide")
	})
}

// TestParseAgainstCuobjdump compares with NVIDIA's reader of cubins.
func TestParseAgainstCuobjdump(t *testing.T) {
	program, err := toolkit.Machine().Program("cuobjdump")
	if err != nil {
		toolkit.Missing(t, err)
	}
	usage := regexp.MustCompile(`Function (\w+):\s+REG:(\d+) STACK:(\d+) SHARED:(\d+)`)
	each(t, func(t *testing.T, version, arch string, data []byte) {
		out, err := exec.Command(program, "--dump-resource-usage", sample(version, arch)).Output()
		require.NoError(t, err)
		f, err := Parse(data)
		require.NoError(t, err)
		found := usage.FindAllStringSubmatch(string(out), -1)
		require.Len(t, found, len(f.Kernels), string(out))
		for _, words := range found {
			k, err := f.Kernel(words[1])
			require.NoError(t, err)
			var want [3]int
			for i := range want {
				want[i], err = strconv.Atoi(words[2+i])
				require.NoError(t, err)
			}
			if want[2] > 0 && arch != "sm_80" {
				want[2] -= reserved
			}
			require.Equal(t, want, [3]int{k.Registers, k.Stack, k.Shared}, words[0])
		}
	})
}

func TestParseErrors(t *testing.T) {
	data, err := os.ReadFile(sample("13.0", "sm_80"))
	require.NoError(t, err)
	_, err = Parse(nil)
	require.ErrorContains(t, err, "not a cubin")
	_, err = Parse([]byte("PTX"))
	require.EqualError(t, err, "not a cubin: 3 bytes")
	_, err = Parse([]byte(strings.Repeat("// PTX\n", 20)))
	require.ErrorContains(t, err, "not a cubin: bad magic number")
	_, err = Parse(data[:len(data)/2])
	require.Error(t, err)
	program, err := os.Executable()
	require.NoError(t, err)
	executable, err := os.ReadFile(program)
	require.NoError(t, err)
	if strings.HasPrefix(string(executable), "\x7fELF") {
		_, err = Parse(executable)
		require.ErrorContains(t, err, "not a cubin, but ELF for EM_")
	}
}

func FuzzParse(f *testing.F) {
	for version, archs := range samples {
		for _, arch := range archs {
			data, err := os.ReadFile(sample(version, arch))
			require.NoError(f, err)
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Parse(data)
		if err != nil {
			return
		}
		for _, k := range file.Kernels {
			if k.Registers < 0 || k.Shared < 0 || k.Stack < 0 || k.MaxThreads < 0 {
				t.Errorf("a negative number: %+v", k)
			}
			for arch := range limits {
				if n := k.BlocksPerSM(limits[arch], 128, 1024); n < 0 {
					t.Errorf("%d blocks", n)
				}
			}
		}
	})
}

// printed is what nvdisasm prints, shortened, of two kernels of 0x80 and 0x40 bytes.
const printed = `	.headerflags	@"EF_CUDA_64BIT_ADDRESS EF_CUDA_SM90 EF_CUDA_VIRTUAL_SM(EF_CUDA_SM90)"
        /*0000*/                   LDC R1, c[0x0][0x28] ;
        /*0010*/                   LDG.E.128 R4, desc[UR4][R2.64] ;
        /*0020*/              @!P0 LDG.E.128.CONSTANT R8, desc[UR4][R2.64+0x10] ;
        /*0030*/              @!PT LDS RZ, [RZ] ;
        /*0040*/                   LDGSTS.E.BYPASS.128 [R6], desc[UR4][R2.64] ;
        /*0050*/               @P1 BRA 0x20 ;
        /*0060*/             @!UP0 UMOV UR4, 0x400 ;
.L_x_0:
        /*0070*/                   HMMA.16816.F32.BF16 R8, R4, R6, R8 ;
        /*0080*/                   HMMA.1688.F32.TF32 R8, R4, R6, R8 ;
        /*10000*/                  EXIT ;
`

func TestInstructions(t *testing.T) {
	got := Mnemonics{}
	var last int
	require.NoError(t, instructions([]byte(printed), func(address int, mnemonic string) error {
		got[mnemonic]++
		last = address
		return nil
	}))
	require.Equal(t, Mnemonics{
		"LDC": 1, "LDG.E.128": 1, "LDG.E.128.CONSTANT": 1, "LDGSTS.E.BYPASS.128": 1, "BRA": 1, "UMOV": 1,
		"HMMA.16816.F32.BF16": 1, "HMMA.1688.F32.TF32": 1, "EXIT": 1,
	}, got)
	require.Equal(t, 0x10000, last)
	for pattern, want := range map[string]int{
		"LDG": 2, "LDG.128": 2, "LDG.128.E": 2, "LDG.CONSTANT": 1, "LDG.64": 0, "LDGSTS": 1, "LDGSTS.128": 1,
		"HMMA": 2, "HMMA.BF16": 1, "HMMA.16816": 1, "LDS": 0, "L": 0, "": 0,
	} {
		require.Equal(t, want, got.Count(pattern), pattern)
	}
}

func TestMnemonics(t *testing.T) {
	d, err := FindDisassembler()
	if err != nil {
		toolkit.Missing(t, err)
	}
	ctx := context.Background()
	each(t, func(t *testing.T, _, _ string, data []byte) {
		f, err := Parse(data)
		require.NoError(t, err)
		var codes [][]byte
		for _, k := range f.Kernels {
			codes = append(codes, k.Code)
		}
		all, err := d.Mnemonics(ctx, f.Arch, codes)
		require.NoError(t, err)
		require.Len(t, all, 4)
		local, plain, shared, wide := all[0], all[1], all[2], all[3]
		require.Equal(t, 1, wide.Count("LDG.128"))
		require.Equal(t, 1, wide.Count("STG.128"))
		require.Equal(t, 4, wide.Count("FFMA"))
		require.Equal(t, 1, shared.Count("STS"))
		require.Equal(t, 1, shared.Count("LDS"))
		require.Equal(t, 1, shared.Count("BAR"))
		require.Positive(t, local.Count("STL"))
		require.Positive(t, local.Count("LDL"))
		require.Zero(t, plain.Count("LDL"))

		// The same instructions as nvdisasm finds when it reads the cubin itself.
		text, err := d.Disassemble(ctx, data)
		require.NoError(t, err)
		whole, parts := Mnemonics{}, Mnemonics{}
		require.NoError(t, instructions(text, func(_ int, mnemonic string) error {
			whole[mnemonic]++
			return nil
		}))
		for _, m := range all {
			for mnemonic, n := range m {
				parts[mnemonic] += n
			}
		}
		require.Equal(t, whole, parts)
	})
	_, err = d.Disassemble(ctx, []byte("nothing"))
	require.ErrorContains(t, err, "nvdisasm")
	_, err = d.Mnemonics(ctx, 3, [][]byte{make([]byte, 16)})
	require.ErrorContains(t, err, "nvdisasm")
}
