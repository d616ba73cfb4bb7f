package live

import (
	"net"
	"sync"
)

// limit returns a listener with at most so many connections at once. One more is
// accepted and closed, so that its client knows, and nobody waits.
func limit(l net.Listener, most int) net.Listener {
	return &limited{Listener: l, slots: make(chan struct{}, most)}
}

type limited struct {
	net.Listener
	slots chan struct{} // holds one for each connection
}

// Accept returns the next connection that there is room for.
func (l *limited) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case l.slots <- struct{}{}:
			return &slotted{Conn: c, free: sync.OnceFunc(func() { <-l.slots })}, nil
		default:
			_ = c.Close() // nothing was said on it
		}
	}
}

type slotted struct {
	net.Conn
	free func()
}

// Close frees the connection's place.
func (c *slotted) Close() error {
	defer c.free()
	return c.Conn.Close()
}
