package live

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"time"
)

// limits bound what clients can take of this process.
type limits struct {
	connections int           // further ones are closed at once
	readers     int           // of events; further ones are told to come later
	header      int           // bytes
	read        time.Duration // of a request
	write       time.Duration // of an answer, or of one event; who takes no more is dropped
	idle        time.Duration // between requests
	close       time.Duration // of all that is under way at the end
	interval    time.Duration // between two events
	quiet       time.Duration // after which a reader is told that there is nothing new
}

func usualLimits() limits {
	return limits{
		connections: 64, readers: 16, header: 16 << 10,
		read: 5 * time.Second, write: 5 * time.Second, idle: time.Minute, close: 2 * time.Second,
		interval: time.Second / 4, quiet: 15 * time.Second,
	}
}

// Server serves the page of a run.
type Server struct {
	listener net.Listener
	names    hosts
	limits   limits
	server   *http.Server
	readers  chan struct{} // holds one for each reader of events
	closing  context.Context
	close    context.CancelFunc
	served   sync.WaitGroup
	err      error // of serving, once served is done
}

// Listen takes an address: HOST:PORT, or PORT or :PORT at the loopback interface;
// port 0 is any that is free. Nothing is answered before [Server.Serve].
func Listen(address string) (*Server, error) { return listen(address, usualLimits()) }

func listen(address string, most limits) (*Server, error) {
	host, port, err := parseAddress(address)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", net.JoinHostPort(host, port))
	if err != nil {
		return nil, err
	}
	s := &Server{
		listener: limit(l, most.connections), names: namesOf(host), limits: most, readers: make(chan struct{}, most.readers),
	}
	s.closing, s.close = context.WithCancel(context.Background())
	return s, nil
}

// URL is where the page is. Where it is served at every interface, that is the
// machine's name.
func (s *Server) URL() string {
	host, port, err := net.SplitHostPort(s.listener.Addr().String())
	if err != nil {
		return "http://" + s.listener.Addr().String() + "/"
	}
	if at, err := netip.ParseAddr(host); err == nil && at.IsUnspecified() {
		if host, err = os.Hostname(); err != nil {
			host = "localhost"
		}
	}
	return "http://" + net.JoinHostPort(host, port) + "/"
}

// Exposed tells whether other machines can reach the page.
func (s *Server) Exposed() bool {
	at, ok := s.listener.Addr().(*net.TCPAddr)
	return !ok || !at.IP.IsLoopback()
}

// Serve begins to answer.
func (s *Server) Serve(m *Monitor) {
	s.server = &http.Server{
		Handler:           s.handler(m),
		ReadHeaderTimeout: s.limits.read,
		ReadTimeout:       s.limits.read,
		WriteTimeout:      s.limits.write,
		IdleTimeout:       s.limits.idle,
		MaxHeaderBytes:    s.limits.header,
		// What goes wrong with a connection is its client's affair, and the terminal is the training's.
		ErrorLog: log.New(io.Discard, "", 0),
	}
	s.served.Go(func() {
		if err := s.server.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
			s.err = err
		}
	})
}

// Close gives readers what is new, ends their connections and frees the address. It
// returns an error of serving that there was.
func (s *Server) Close() error {
	s.close()
	if s.server == nil {
		return s.listener.Close()
	}
	patience, cancel := context.WithTimeout(context.Background(), s.limits.close)
	defer cancel()
	err := s.server.Shutdown(patience)
	if errors.Is(err, context.DeadlineExceeded) { // a client that takes nothing
		err = s.server.Close()
	}
	s.served.Wait()
	return errors.Join(s.err, err)
}

// handler is all that can be asked for.
func (s *Server) handler(m *Monitor) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", servePage)
	mux.HandleFunc("GET /api/state", func(w http.ResponseWriter, _ *http.Request) { serveState(w, m) })
	mux.HandleFunc("GET /api/events", func(w http.ResponseWriter, r *http.Request) { s.serveEvents(w, r, m) })
	mux.HandleFunc("GET /api/picture/{number}", func(w http.ResponseWriter, r *http.Request) { servePicture(w, r, m.test) })
	return s.guard(mux)
}

// guard refuses what no page of ours asks for, and lets no other page read the answers.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Content-Security-Policy", policy)
		h.Set("Cache-Control", "no-store")
		switch site := r.Header.Get("Sec-Fetch-Site"); {
		case !s.names.permits(r.Host):
			refuse(w, http.StatusForbidden, fmt.Sprintf("this is not %q; use the address that wrnc printed", r.Host))
		case r.ContentLength != 0:
			h.Set("Connection", "close")
			refuse(w, http.StatusRequestEntityTooLarge, "expected a request without a body")
		case (site == "cross-site" || site == "same-site") && r.URL.Path != "/":
			refuse(w, http.StatusForbidden, "another site's page may not ask for this")
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func refuse(w http.ResponseWriter, code int, why string) { http.Error(w, why, code) }

// serveState answers with all parts.
func serveState(w http.ResponseWriter, m *Monitor) {
	text, _, err := m.message(versions{})
	if err != nil {
		refuse(w, http.StatusInternalServerError, err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	write(w, text)
}

// write sends the rest of an answer. That a client is gone is no error of ours.
func write(w io.Writer, text []byte) { _, _ = w.Write(text) }

// message is what a reader is told who has seen some versions: a JSON object of the
// parts that have changed since. It is nil where none has.
func (m *Monitor) message(seen versions) ([]byte, versions, error) {
	changes, now := m.since(seen)
	if len(changes) == 0 {
		return nil, now, nil
	}
	if seen == (versions{}) { // a first message says who tells
		changes["run"], changes["page"] = m.run, pageHash
	}
	text, err := json.Marshal(changes)
	return text, now, err
}

// serveEvents sends all parts and then those that change, as server-sent events.
func (s *Server) serveEvents(w http.ResponseWriter, r *http.Request, m *Monitor) {
	select {
	case s.readers <- struct{}{}:
		defer func() { <-s.readers }()
	default:
		w.Header().Set("Retry-After", "5")
		refuse(w, http.StatusServiceUnavailable, fmt.Sprintf("%d pages are open, and no more are served; close one", s.limits.readers))
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	if r.Method == http.MethodHead {
		return
	}
	out := &events{w: w, control: http.NewResponseController(w), limits: s.limits}
	if err := out.control.SetReadDeadline(time.Time{}); err != nil { // else the request's would end the answer
		refuse(w, http.StatusInternalServerError, err.Error())
		return
	}
	tick := time.NewTicker(s.limits.interval)
	defer tick.Stop()
	for {
		if err := out.send(m); err != nil {
			return // the client is gone, or takes nothing
		}
		select {
		case <-r.Context().Done():
			return
		case <-s.closing.Done():
			_ = out.send(m) // the last word, to who will hear it
			return
		case <-tick.C:
		}
	}
}

// events is a reader of events.
type events struct {
	w       io.Writer
	control *http.ResponseController
	limits  limits
	seen    versions
	sent    time.Time
}

// send tells the reader what is new, or now and then that there is nothing.
func (e *events) send(m *Monitor) error {
	head := "event: change"
	if e.seen == (versions{}) {
		head = "retry: 1000\nevent: all" // the browser comes back after a second
	}
	text, now, err := m.message(e.seen)
	if err != nil {
		return err
	}
	e.seen = now
	if text == nil {
		if time.Since(e.sent) < e.limits.quiet {
			return nil
		}
		return e.write(": nothing new\n\n")
	}
	return e.write(fmt.Sprintf("%s\ndata: %s\n\n", head, text)) // JSON has no ends of lines
}

func (e *events) write(text string) error {
	e.sent = time.Now()
	if err := e.control.SetWriteDeadline(e.sent.Add(e.limits.write)); err != nil {
		return err
	}
	if _, err := io.WriteString(e.w, text); err != nil {
		return err
	}
	return e.control.Flush()
}

// number reads a whole number from 0 to n-1 in its only form.
func number(text string, n int) (int, bool) {
	i, err := strconv.Atoi(text)
	return i, err == nil && i >= 0 && i < n && strconv.Itoa(i) == text
}
