package driver

import (
	"errors"
	"fmt"
	"unsafe"

	"wrnc/runtime/cuda"
	"wrnc/runtime/cuda/libcuda"
)

// MemInfo is how much memory is free, and how much the device has.
func (d *Device) MemInfo() (free, total int, err error) {
	defer d.leave()
	if err := d.enter(); err != nil {
		return 0, 0, err
	}
	return d.memInfo()
}

func (d *Device) memInfo() (free, total int, err error) {
	free, total, err = d.api.MemGetInfo()
	return free, total, d.failed(err)
}

// Alloc is cuda.Driver's.
func (d *Device) Alloc(bytes int) (cuda.Ptr, error) {
	defer d.leave()
	if err := d.enter(); err != nil {
		return 0, err
	}
	if bytes < 1 {
		return 0, fmt.Errorf("an allocation of %d bytes", bytes)
	}
	at, err := d.api.MemAlloc(bytes)
	if err := d.failed(err); err != nil {
		var e *libcuda.Error
		if errors.As(err, &e) && e.Code == libcuda.CodeOutOfMemory {
			e.Hint = d.explainMemory(bytes)
		}
		return 0, err
	}
	d.buffers[cuda.Ptr(at)] = bytes
	return cuda.Ptr(at), nil
}

// explainMemory says why an allocation does not fit, and what helps.
func (d *Device) explainMemory(bytes int) string {
	free, total, err := d.memInfo()
	if err != nil {
		return fmt.Sprintf("asked for %d bytes", bytes)
	}
	own := 0
	for _, n := range d.buffers {
		own += n
	}
	advice := "a smaller --batch needs less"
	if others := total - free - own; others > total/8 {
		advice += fmt.Sprintf(", and other processes hold up to %d bytes, which nvidia-smi lists", others)
	}
	return fmt.Sprintf("asked for %d bytes, %d of %d are free; %s", bytes, free, total, advice)
}

// Free is cuda.Driver's.
func (d *Device) Free(p cuda.Ptr) error {
	defer d.leave()
	if err := d.enter(); err != nil {
		return err
	}
	if _, ok := d.buffers[p]; !ok {
		return fmt.Errorf("freeing %#x, where no allocation begins", uint64(p))
	}
	if err := d.failed(d.api.MemFree(libcuda.Memory(p))); err != nil {
		return err
	}
	delete(d.buffers, p)
	return nil
}

// inside requires that n bytes from p lie in one allocation.
func (d *Device) inside(what string, p cuda.Ptr, n int) error {
	for begin, size := range d.buffers {
		if n >= 0 && p >= begin && uint64(p-begin) <= uint64(size) && n <= size-int(p-begin) {
			return nil
		}
	}
	return fmt.Errorf("%s %d bytes at %#x, which do not lie in one allocation", what, n, uint64(p))
}

// Fill is cuda.Driver's.
func (d *Device) Fill(p cuda.Ptr, value byte, bytes int) error {
	defer d.leave()
	if err := d.enter(); err != nil {
		return err
	}
	if err := d.inside("filling", p, bytes); err != nil || bytes == 0 {
		return err
	}
	return d.failed(d.api.MemsetD8Async(libcuda.Memory(p), value, bytes, d.work.stream))
}

// lane is a stream, which does in order what it is asked for, and the memory by which
// copies to the device get into it.
type lane struct {
	stream  libcuda.Stream
	reached libcuda.Event // what another lane waits for
	staging staging
}

func (l *lane) release(api libcuda.API, try func(error)) {
	l.staging.release(api, try)
	if l.reached != 0 {
		try(api.EventDestroy(l.reached))
	}
	if l.stream != 0 {
		try(api.StreamDestroy(l.stream))
	}
}

// follow has all that a lane is asked for from now on wait for what another was asked for
// so far.
func (d *Device) follow(l, other *lane) error {
	if err := d.failed(d.api.EventRecord(other.reached, other.stream)); err != nil {
		return err
	}
	return d.failed(d.api.StreamWaitEvent(l.stream, other.reached))
}

// half is the size of each half of the staging memory.
const half = 4 << 20

// staging is host memory that the device can read and write by itself while the
// host goes on. Only the host's copies into it make it wait.
type staging struct {
	memory unsafe.Pointer
	halves [2]struct {
		bytes []byte
		event libcuda.Event // after the last copy from it
		used  int           // bytes that copies under way may read
	}
	now int // the half that is being filled
}

func (s *staging) allocate(api libcuda.API) error {
	memory, err := api.MemHostAlloc(2 * half)
	if err != nil {
		var e *libcuda.Error
		if errors.As(err, &e) && e.Code == libcuda.CodeOutOfMemory {
			e.Hint = fmt.Sprintf("the system lets this process pin no %d bytes of memory; see ulimit -l", 2*half)
		}
		return err
	}
	s.memory = memory
	for i := range s.halves {
		h := &s.halves[i]
		h.bytes = unsafe.Slice((*byte)(unsafe.Add(s.memory, i*half)), half)
		event, err := api.EventCreate(false)
		if err != nil {
			return err
		}
		h.event = event
	}
	return nil
}

func (s *staging) release(api libcuda.API, try func(error)) {
	for i := range s.halves {
		if s.halves[i].event != 0 {
			try(api.EventDestroy(s.halves[i].event))
		}
	}
	if s.memory != nil {
		try(api.MemFreeHost(s.memory))
	}
}

// idle notes that no copy is under way.
func (s *staging) idle() {
	s.halves[0].used, s.halves[1].used = 0, 0
}

// room returns up to n bytes to fill, from which one copy is started. Small copies
// share a half; one that is full is waited for when the other is full, too.
func (d *Device) room(l *lane, n int) ([]byte, error) {
	s := &l.staging
	h := &s.halves[s.now]
	if h.used == half {
		if err := d.failed(d.api.EventRecord(h.event, l.stream)); err != nil {
			return nil, err
		}
		s.now = 1 - s.now
		h = &s.halves[s.now]
		if h.used > 0 {
			if err := d.failed(d.api.EventSynchronize(h.event)); err != nil {
				return nil, err
			}
			h.used = 0
		}
	}
	n = min(n, half-h.used)
	room := h.bytes[h.used:][:n]
	const line = 64 // so that no two copies share one
	h.used = min((h.used+n+line-1)/line*line, half)
	return room, nil
}

// Write is cuda.Driver's.
func (d *Device) Write(dst cuda.Ptr, src []byte) error { return d.write(&d.work, dst, src) }

// Upload is cuda.Driver's.
func (d *Device) Upload(dst cuda.Ptr, src []byte) error { return d.write(&d.uploads, dst, src) }

// write copies to the device in a lane.
func (d *Device) write(l *lane, dst cuda.Ptr, src []byte) error {
	defer d.leave()
	if err := d.enter(); err != nil {
		return err
	}
	if err := d.inside("writing", dst, len(src)); err != nil {
		return err
	}
	for len(src) > 0 {
		room, err := d.room(l, len(src))
		if err != nil {
			return err
		}
		n := copy(room, src)
		if err := d.failed(d.api.MemcpyHtoDAsync(libcuda.Memory(dst), unsafe.Pointer(&room[0]), n, l.stream)); err != nil {
			return err
		}
		dst, src = dst+cuda.Ptr(n), src[n:]
	}
	return nil
}

// Land is cuda.Driver's.
func (d *Device) Land(moves []cuda.Move) error {
	defer d.leave()
	if err := d.enter(); err != nil {
		return err
	}
	for _, m := range moves {
		if err := d.inside("moving", m.From, m.Bytes); err != nil {
			return err
		}
		if err := d.inside("moving to", m.To, m.Bytes); err != nil {
			return err
		}
	}
	if err := d.follow(&d.work, &d.uploads); err != nil {
		return err
	}
	for _, m := range moves {
		if err := d.failed(d.api.MemcpyDtoDAsync(libcuda.Memory(m.To), libcuda.Memory(m.From), m.Bytes, d.work.stream)); err != nil {
			return err
		}
	}
	return d.follow(&d.uploads, &d.work)
}

// Read is cuda.Driver's. While one half is copied out, the device fills the other.
// A half may still be read by a copy to the device: the stream keeps them in order.
func (d *Device) Read(dst []byte, src cuda.Ptr) error {
	defer d.leave()
	if err := d.enter(); err != nil {
		return err
	}
	if err := d.inside("reading", src, len(dst)); err != nil || len(dst) == 0 {
		return err
	}
	start := func(offset int) error {
		if offset >= len(dst) {
			return nil
		}
		h := &d.work.staging.halves[offset/half%2]
		n := min(half, len(dst)-offset)
		if err := d.failed(d.api.MemcpyDtoHAsync(unsafe.Pointer(&h.bytes[0]), libcuda.Memory(src)+libcuda.Memory(offset), n, d.work.stream)); err != nil {
			return err
		}
		return d.failed(d.api.EventRecord(h.event, d.work.stream))
	}
	if err := start(0); err != nil {
		return err
	}
	for offset := 0; offset < len(dst); offset += half {
		if err := start(offset + half); err != nil {
			return err
		}
		h := &d.work.staging.halves[offset/half%2]
		if err := d.failed(d.api.EventSynchronize(h.event)); err != nil {
			return err
		}
		copy(dst[offset:], h.bytes)
	}
	d.launched.count = 0 // the last copy came after all that was asked for before
	d.work.staging.idle()
	return nil
}
