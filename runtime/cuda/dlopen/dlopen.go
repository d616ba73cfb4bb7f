// Package dlopen loads shared libraries at run time and tells a library that is not
// there from one that cannot be loaded.
package dlopen

import (
	"errors"
	"fmt"
	"io/fs"
	"regexp"
)

// notThere is what the loaders of glibc and musl say of a file that they do not find,
// be it the library or another that it needs.
var notThere = regexp.MustCompile(`^(?:Error loading shared library )?(.+?): (?:cannot open shared object file: )?No such file or directory`)

// fault makes an error of what the loader says of the library at path. It is
// [fs.ErrNotExist] if that is not there.
func fault(path string, said error) error {
	file := notThere.FindStringSubmatch(said.Error())
	switch {
	case file == nil:
		return said // names the file
	case file[1] != path:
		return fmt.Errorf("%s: found but cannot be loaded: %s is missing", path, file[1])
	}
	return absent{said}
}

// absent makes an error fs.ErrNotExist.
type absent struct{ error }

func (a absent) Is(target error) bool { return target == fs.ErrNotExist }
func (a absent) Unwrap() error        { return a.error }

// Absent tells whether an error of [Open] says that the library itself is not there.
func Absent(err error) bool { return errors.Is(err, fs.ErrNotExist) }
