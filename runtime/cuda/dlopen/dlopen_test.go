package dlopen

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestFaults: a library that needs another one which is missing is there.
func TestFaults(t *testing.T) {
	const path = "/opt/lib/libcuda.so.1"
	for _, c := range []struct {
		said, want string
		absent     bool
	}{
		{said: path + ": cannot open shared object file: No such file or directory", absent: true},
		{said: "Error loading shared library " + path + ": No such file or directory", absent: true},
		{said: "libnvidia-gpucomp.so.570: cannot open shared object file: No such file or directory", want: path + ": found but cannot be loaded: libnvidia-gpucomp.so.570 is missing"},
		{said: "Error loading shared library libdl.so.2: No such file or directory (needed by " + path + ")", want: path + ": found but cannot be loaded: libdl.so.2 is missing"},
		{said: path + ": cannot open shared object file: Permission denied"},
		{said: path + ": file too short"},
		{said: "/lib/libm.so.6: version `GLIBC_2.38' not found (required by " + path + ")"},
	} {
		err := fault(path, errors.New(c.said))
		if c.want == "" {
			c.want = c.said
		}
		require.EqualError(t, err, c.want)
		require.Equal(t, c.absent, Absent(err), c.said)
	}
}
