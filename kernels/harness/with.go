package harness

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
)

// With returns a harness that compiles kernels against other texts: those that
// changed names, as they lie in package kernels, are replaced. The runner stays. It
// is for tests that seed a fault into a template and expect it to be found.
func (h *Harness) With(changed map[string][]byte) (*Harness, error) {
	sources, _, err := texts()
	if err != nil {
		return nil, err
	}
	parts := []string{h.key}
	for _, name := range slices.Sorted(maps.Keys(changed)) {
		if _, ok := sources[name]; !ok {
			return nil, fmt.Errorf("no kernel includes a text %s", name)
		}
		sources[name] = changed[name]
		parts = append(parts, name, string(changed[name]))
	}
	key := hash(parts...)
	other := &Harness{
		dir:      h.dir,
		include:  filepath.Join(h.dir, "include-"+key),
		runner:   h.runner,
		key:      key,
		building: map[string]*building{},
	}
	return other, h.add(other.include, func(to string) error { return unpack(to, sources) })
}
