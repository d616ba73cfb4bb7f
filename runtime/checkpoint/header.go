package checkpoint

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"unicode/utf8"
)

const (
	metadataKey    = "__metadata__"
	maxHeaderBytes = 64 << 20 // a header of a million tensors is smaller
	maxRank        = 16
)

// entry is one tensor as the header describes it.
type entry struct {
	name       string
	dtype      DType
	shape      []int
	begin, end int64 // of its data, counted from the end of the header
}

// header is the parsed JSON of a file.
type header struct {
	entries  []entry // in the order of their data
	metadata map[string]string
}

// parseHeader reads the JSON of a header and checks that its tensors tile
// dataBytes bytes exactly. It walks the tokens itself because json.Unmarshal
// takes the last of two equal keys, ignores unknown ones and nests without need.
func parseHeader(text []byte, dataBytes int64) (*header, error) {
	if len(text) == 0 || text[0] != '{' {
		return nil, errors.New("expected a JSON object that starts with '{'")
	}
	if !utf8.Valid(text) {
		return nil, errors.New("the text is not UTF-8")
	}
	p := &headerParser{dec: json.NewDecoder(bytes.NewReader(text))}
	p.dec.UseNumber()
	h := &header{metadata: map[string]string{}}
	seen := map[string]bool{}
	err := p.object(func(name string) error {
		if seen[name] {
			return fmt.Errorf("%s stands twice", quote(name))
		}
		seen[name] = true
		if name == metadataKey {
			if err := p.metadata(h.metadata); err != nil {
				return fmt.Errorf("%s: %w", metadataKey, err)
			}
			return nil
		}
		if err := checkName(name); err != nil {
			return err
		}
		e, err := p.entry(name)
		if err != nil {
			return fmt.Errorf("tensor %s: %w", quote(name), err)
		}
		h.entries = append(h.entries, e)
		return nil
	})
	if err != nil {
		return nil, err
	}
	// Only the padding may follow the object.
	if rest := bytes.Trim(text[p.dec.InputOffset():], " \t\r\n"); len(rest) > 0 {
		return nil, fmt.Errorf("%d bytes follow the JSON object; only spaces may", len(rest))
	}
	return h, h.checkTiling(dataBytes)
}

// checkTiling sorts the entries by place and reports an overlap, a hole, or
// data that the file lacks or has too much of.
func (h *header) checkTiling(dataBytes int64) error {
	slices.SortStableFunc(h.entries, func(a, b entry) int {
		if a.begin != b.begin {
			return compareInt64(a.begin, b.begin)
		}
		return compareInt64(a.end, b.end) // an empty tensor goes before its neighbour
	})
	var at int64
	for _, e := range h.entries {
		switch {
		case e.end > dataBytes:
			return fmt.Errorf("tensor %s: its data ends at byte %d, but the file has only %d bytes of data; the file is cut short or damaged", quote(e.name), e.end, dataBytes)
		case e.begin < at:
			return fmt.Errorf("tensor %s: its data begins at byte %d, inside another tensor that ends at %d", quote(e.name), e.begin, at)
		case e.begin > at:
			return fmt.Errorf("tensor %s: its data begins at byte %d, leaving bytes %d to %d to no tensor", quote(e.name), e.begin, at, e.begin)
		}
		at = e.end
	}
	if at != dataBytes {
		return fmt.Errorf("the tensors end at byte %d, but the file has %d bytes of data", at, dataBytes)
	}
	return nil
}

func compareInt64(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// headerParser walks the tokens of a header.
type headerParser struct {
	dec *json.Decoder
}

// token returns the next token; the end of the text is an error.
func (p *headerParser) token() (json.Token, error) {
	t, err := p.dec.Token()
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, errors.New("the JSON ends too early")
	}
	if err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	return t, nil
}

// expect consumes one delimiter.
func (p *headerParser) expect(want json.Delim) error {
	t, err := p.token()
	if err != nil {
		return err
	}
	if t != want {
		return fmt.Errorf("expected '%v', found %s", want, describe(t))
	}
	return nil
}

// object consumes a JSON object and calls field after each key.
func (p *headerParser) object(field func(key string) error) error {
	if err := p.expect('{'); err != nil {
		return err
	}
	for p.dec.More() {
		t, err := p.token()
		if err != nil {
			return err
		}
		key, ok := t.(string)
		if !ok {
			return fmt.Errorf("expected a key, found %s", describe(t))
		}
		if err := field(key); err != nil {
			return err
		}
	}
	return p.expect('}')
}

// text consumes a JSON string.
func (p *headerParser) text() (string, error) {
	t, err := p.token()
	if err != nil {
		return "", err
	}
	s, ok := t.(string)
	if !ok {
		return "", fmt.Errorf("expected a string, found %s", describe(t))
	}
	return s, nil
}

// integers consumes a JSON array of at most limit integers >= 0.
func (p *headerParser) integers(limit int) ([]int64, error) {
	if err := p.expect('['); err != nil {
		return nil, err
	}
	values := []int64{}
	for p.dec.More() {
		t, err := p.token()
		if err != nil {
			return nil, err
		}
		number, ok := t.(json.Number)
		if !ok {
			return nil, fmt.Errorf("expected an integer, found %s", describe(t))
		}
		// 63 bits: the result is never negative as an int64.
		v, err := strconv.ParseUint(number.String(), 10, 63)
		if err != nil {
			return nil, fmt.Errorf("expected an integer from 0 to 2^63-1, found %s", describe(t))
		}
		if len(values) == limit {
			return nil, fmt.Errorf("more than %d numbers", limit)
		}
		values = append(values, int64(v))
	}
	return values, p.expect(']')
}

// metadata consumes the object of strings under __metadata__.
func (p *headerParser) metadata(into map[string]string) error {
	return p.object(func(key string) error {
		if _, twice := into[key]; twice {
			return fmt.Errorf("%s stands twice", quote(key))
		}
		value, err := p.text()
		if err != nil {
			return fmt.Errorf("%s: %w", quote(key), err)
		}
		into[key] = value
		return nil
	})
}

// entry consumes the description of one tensor and checks it by itself.
func (p *headerParser) entry(name string) (entry, error) {
	e := entry{name: name}
	var dtype string
	var shape, offsets []int64
	seen := map[string]bool{}
	err := p.object(func(key string) (err error) {
		if seen[key] {
			return fmt.Errorf("%s stands twice", quote(key))
		}
		seen[key] = true
		switch key {
		case "dtype":
			dtype, err = p.text()
		case "shape":
			shape, err = p.integers(maxRank)
		case "data_offsets":
			offsets, err = p.integers(2)
		default:
			return fmt.Errorf("unknown key %s; expected dtype, shape and data_offsets", quote(key))
		}
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		return nil
	})
	if err != nil {
		return e, err
	}
	for _, key := range []string{"dtype", "shape", "data_offsets"} {
		if !seen[key] {
			return e, fmt.Errorf("%s is missing", key)
		}
	}
	if len(offsets) != 2 || offsets[0] > offsets[1] {
		return e, fmt.Errorf("data_offsets are %v; expected [begin, end] with begin <= end", offsets)
	}
	e.dtype, e.begin, e.end = DType(dtype), offsets[0], offsets[1]
	e.shape = make([]int, len(shape))
	for i, n := range shape {
		e.shape[i] = int(n)
		if int64(e.shape[i]) != n { // a 32-bit int
			return e, fmt.Errorf("shape %v does not fit in memory", shape)
		}
	}
	want, err := byteSize(e.dtype, e.shape)
	if err != nil {
		return e, err
	}
	if found := e.end - e.begin; found != want {
		return e, fmt.Errorf("%s%v takes %d bytes, but its data_offsets [%d, %d] hold %d", e.dtype, e.shape, want, e.begin, e.end, found)
	}
	return e, nil
}

// describe names a token in a message.
func describe(t json.Token) string {
	switch t := t.(type) {
	case json.Delim:
		return fmt.Sprintf("'%v'", t)
	case string:
		return "the string " + quote(t)
	case json.Number:
		return "the number " + quote(t.String())
	case nil:
		return "null"
	}
	return fmt.Sprint(t)
}

// render prints the header, padded with spaces so that the data after the
// 8 bytes of length and the header begins at a multiple of 8.
func (h *header) render() ([]byte, error) {
	var out bytes.Buffer
	out.WriteByte('{')
	if len(h.metadata) > 0 {
		// encoding/json sorts the keys of a map.
		text, err := json.Marshal(h.metadata)
		if err != nil {
			return nil, fmt.Errorf("metadata: %w", err)
		}
		fmt.Fprintf(&out, "%q:%s", metadataKey, text)
	}
	for _, e := range h.entries {
		description := struct {
			DType   DType    `json:"dtype"`
			Shape   []int    `json:"shape"`
			Offsets [2]int64 `json:"data_offsets"`
		}{e.dtype, e.shape, [2]int64{e.begin, e.end}}
		name, err := json.Marshal(e.name)
		if err != nil {
			return nil, fmt.Errorf("tensor %s: %w", quote(e.name), err)
		}
		text, err := json.Marshal(description)
		if err != nil {
			return nil, fmt.Errorf("tensor %s: %w", quote(e.name), err)
		}
		if out.Len() > 1 {
			out.WriteByte(',')
		}
		fmt.Fprintf(&out, "%s:%s", name, text)
	}
	out.WriteByte('}')
	for out.Len()%8 != 0 {
		out.WriteByte(' ')
	}
	if out.Len() > maxHeaderBytes {
		return nil, fmt.Errorf("the header takes %d bytes; at most %d are allowed: use fewer tensors or less metadata", out.Len(), maxHeaderBytes)
	}
	return out.Bytes(), nil
}
