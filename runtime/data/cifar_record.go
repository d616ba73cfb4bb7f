package data

import (
	"errors"
	"fmt"
	"io"
)

const (
	cifarSide     = 32
	cifarChannels = 3
	cifarPlane    = cifarSide * cifarSide
	cifarPixels   = cifarPlane * cifarChannels
)

// read appends the pictures of r, which must hold exactly that many records, to
// set. A record is
//
//	1 byte        for each label; the last one is the class
//	3,072 bytes   the red plane, the green one and the blue one, each 32x32, row by row
//
// and becomes NHWC here. Memory grows with what has been read, not with what
// was announced. On an error, which gives the offset, set holds the records
// before it.
func (s cifarSet) read(r io.Reader, records int, set *Set) error {
	record := make([]byte, s.record())
	labels := len(s.labels)
	for i := range records {
		n, err := io.ReadFull(r, record)
		offset := int64(i) * int64(len(record))
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("the data ends at byte %d, in record %d; expected %d records of %d bytes", offset+int64(n), i, records, len(record))
		}
		if err != nil {
			return fmt.Errorf("byte %d: %w", offset+int64(n), err)
		}
		for k, values := range s.labels {
			if int(record[k]) >= values {
				return fmt.Errorf("byte %d, the %slabel of record %d, is %d; expected 0 to %d", offset+int64(k), s.labelName(k), i, record[k], values-1)
			}
		}
		set.Labels = append(set.Labels, int32(record[labels-1]))
		set.Images = appendInterleaved(set.Images, record[labels:])
	}
	end := int64(records) * int64(len(record))
	switch n, err := io.ReadFull(r, record[:1]); {
	case n > 0:
		return fmt.Errorf("the data goes on at byte %d; expected it to end after %d records of %d bytes", end, records, len(record))
	case !errors.Is(err, io.EOF):
		return fmt.Errorf("byte %d: %w", end, err)
	}
	return nil
}

// labelName tells label k from the other one of a record, where there are two.
func (s cifarSet) labelName(k int) string {
	switch {
	case len(s.labels) == 1:
		return ""
	case k == 0:
		return "coarse "
	}
	return "fine "
}

// appendInterleaved appends a picture given as three planes in HWC order.
func appendInterleaved(to, planes []byte) []byte {
	red, green, blue := planes[:cifarPlane], planes[cifarPlane:2*cifarPlane], planes[2*cifarPlane:3*cifarPlane]
	for i := range red {
		to = append(to, red[i], green[i], blue[i])
	}
	return to
}
