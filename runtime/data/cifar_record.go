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
	cifarRecord   = 1 + cifarPixels
)

// cifar10Classes lists CIFAR-10's classes in the order of their labels.
func cifar10Classes() []string {
	return []string{"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"}
}

// readCIFAR10 appends the pictures of r, which must hold exactly that many
// records, to set. A record is
//
//	1 byte        label, 0 to 9
//	3,072 bytes   the red plane, the green one and the blue one, each 32x32, row by row
//
// and becomes NHWC here. Memory grows with what has been read, not with what
// was announced. On an error, which gives the offset, set holds the records
// before it.
func readCIFAR10(r io.Reader, records int, set *Set) error {
	var record [cifarRecord]byte
	for i := range records {
		n, err := io.ReadFull(r, record[:])
		offset := int64(i) * cifarRecord
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("the data ends at byte %d, in record %d; expected %d records of %d bytes", offset+int64(n), i, records, cifarRecord)
		}
		if err != nil {
			return fmt.Errorf("byte %d: %w", offset+int64(n), err)
		}
		if record[0] > 9 {
			return fmt.Errorf("byte %d, the label of record %d, is %d; expected 0 to 9", offset, i, record[0])
		}
		set.Labels = append(set.Labels, int32(record[0]))
		set.Images = appendInterleaved(set.Images, record[1:])
	}
	switch n, err := io.ReadFull(r, record[:1]); {
	case n > 0:
		return fmt.Errorf("the data goes on at byte %d; expected it to end after %d records of %d bytes", int64(records)*cifarRecord, records, cifarRecord)
	case !errors.Is(err, io.EOF):
		return fmt.Errorf("byte %d: %w", int64(records)*cifarRecord, err)
	}
	return nil
}

// appendInterleaved appends a picture given as three planes in HWC order.
func appendInterleaved(to, planes []byte) []byte {
	red, green, blue := planes[:cifarPlane], planes[cifarPlane:2*cifarPlane], planes[2*cifarPlane:3*cifarPlane]
	for i := range red {
		to = append(to, red[i], green[i], blue[i])
	}
	return to
}
