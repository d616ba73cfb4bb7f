package metrics

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// maxLineBytes bounds one line of a log; a real one has some 200 bytes.
const maxLineBytes = 64 << 10

// What a log may be at most; that of 100,000 epochs has some 20 MB.
const (
	maxEpochs  = 100000 // of a run, by the language
	maxLogSize = 64 << 20
)

// Run is the content of a log.
type Run struct {
	Epochs []Epoch // ascending; an epoch that was run again after a resume stands once, as last run
	Done   *Done   // nil while the run goes on, or if it was stopped
}

// ReadFile reads the log at path; see [Read]. A file of more than 64 MiB, and what is
// no ordinary file, is refused unread.
func ReadFile(path string) (*Run, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, fmt.Errorf("metrics: %w", err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s: this is no ordinary file; expected a metrics log", path)
	case info.Size() > maxLogSize:
		return nil, fmt.Errorf("%s: the file has %d bytes; a metrics log has at most %d", path, info.Size(), maxLogSize)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	run, err := Read(f)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return run, nil
}

// Read reads a log. A last line without its newline that is not a whole record
// is left out: the run was killed, or is writing it now. Any other line that is
// no record is an error that says which. A resumed run may go back some epochs:
// a record replaces those of its own and later epochs, and an earlier Done.
func Read(r io.Reader) (*Run, error) {
	run := &Run{}
	in := bufio.NewReaderSize(r, maxLineBytes)
	for number := 1; ; number++ {
		line, err := in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			return nil, fmt.Errorf("line %d: longer than %d bytes; this is no metrics log", number, maxLineBytes)
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		last := err != nil
		if len(bytes.TrimSpace(line)) > 0 {
			addErr := run.add(line)
			if addErr != nil && !(last && !json.Valid(line)) {
				return nil, fmt.Errorf("line %d: %w", number, addErr)
			}
		}
		if last {
			return run, nil
		}
	}
}

// add takes one line into the run.
func (run *Run) add(line []byte) error {
	// The keys that every record of a kind has tell the kinds apart.
	var kind struct {
		Done  *bool `json:"done"`
		Epoch *int  `json:"epoch"`
	}
	if err := json.Unmarshal(line, &kind); err != nil {
		return fmt.Errorf("not a record: %w", err)
	}
	switch {
	case kind.Done != nil && *kind.Done:
		done := &Done{}
		if err := json.Unmarshal(line, done); err != nil {
			return fmt.Errorf("not a record: %w", err)
		}
		run.Done = done
	case kind.Epoch != nil:
		var e Epoch
		if err := json.Unmarshal(line, &e); err != nil {
			return fmt.Errorf("not a record: %w", err)
		}
		if e.Epoch < 1 || e.Epoch > maxEpochs {
			return fmt.Errorf("not a record: epoch %d; expected 1 to %d", e.Epoch, maxEpochs)
		}
		keep := len(run.Epochs)
		for keep > 0 && run.Epochs[keep-1].Epoch >= e.Epoch {
			keep--
		}
		run.Epochs = append(run.Epochs[:keep], e)
		run.Done = nil
	default:
		return errors.New(`not a record: it has neither "epoch" nor "done"`)
	}
	return nil
}
