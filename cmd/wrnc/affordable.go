package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// affordable refuses to begin what the machine has no memory for: the system
// would end the process without a word, perhaps hours later. Where it does not
// say how much is free, anything goes.
func affordable(bytes int, meminfo string) error {
	free, known, err := freeMemory(meminfo)
	if err != nil {
		return err
	}
	if known && int64(bytes) > free {
		return fmt.Errorf("this needs %s of memory, and %s are free; take a smaller --batch or a smaller network", formatBytes(bytes), formatBytes(int(free)))
	}
	return nil
}

// meminfo is where Linux says how its memory is used.
const meminfo = "/proc/meminfo"

// freeMemory reads Linux's estimate of what programs can still take.
func freeMemory(path string) (bytes int64, known bool, err error) {
	return memoryFact(path, "MemAvailable")
}

// memoryFact reads a figure of the system's memory by its name.
func memoryFact(path, name string) (bytes int64, known bool, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var kib int64
		if n, _ := fmt.Sscanf(lines.Text(), name+": %d kB", &kib); n == 1 { // other lines do not match
			bytes, known = 1024*kib, true
		}
	}
	return bytes, known, errors.Join(lines.Err(), f.Close())
}
