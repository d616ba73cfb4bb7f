package metrics

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// Log writes records as JSON lines to any number of writers.
type Log struct {
	writers []io.Writer
}

// NewLog returns a log that writes every record to every writer, each line in
// one Write, so that a reader of a pipe or a file sees whole lines as they come.
func NewLog(writers ...io.Writer) *Log {
	return &Log{writers: writers}
}

// Epoch writes one epoch's record. A writer that fails does not keep the line
// from the others; all failures are returned.
func (l *Log) Epoch(e Epoch) error { return l.line(e) }

// Done writes the run's last record.
func (l *Log) Done(d Done) error { return l.line(d) }

func (l *Log) line(record any) error {
	text, err := json.Marshal(record)
	if err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	text = append(text, '\n')
	var errs []error
	for _, w := range l.writers {
		if _, err := w.Write(text); err != nil {
			errs = append(errs, fmt.Errorf("metrics: %w", err))
		}
	}
	return errors.Join(errs...)
}

// OpenFile opens the log at path to append to it, and makes it if need be. A
// last line that a killed run left incomplete is cut off first, so that the next
// record begins a line of its own. The caller closes the file.
func OpenFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	if err := mendTail(f); err != nil {
		return nil, errors.Join(fmt.Errorf("metrics: %s: %w", path, err), f.Close())
	}
	return f, nil
}

// mendTail leaves f at its end, which is the start of a line. A complete record
// that lacks only its newline gets it.
func mendTail(f *os.File) error {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	tail := make([]byte, min(size, maxLineBytes))
	start := size - int64(len(tail))
	if _, err := f.ReadAt(tail, start); err != nil {
		return err
	}
	newline := bytes.LastIndexByte(tail, '\n')
	last := tail[newline+1:]
	if newline < 0 && start > 0 {
		return fmt.Errorf("its last %d bytes have no end of line; this is no metrics log", len(tail))
	}
	if len(last) == 0 {
		return nil
	}
	if json.Valid(last) {
		_, err := f.Write([]byte{'\n'})
		return err
	}
	if last[0] != '{' {
		return errors.New("its last line is no record; this is no metrics log")
	}
	keep := start + int64(newline) + 1
	if err := f.Truncate(keep); err != nil {
		return err
	}
	_, err = f.Seek(keep, io.SeekStart)
	return err
}
