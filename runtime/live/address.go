package live

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// loopback is where a page is served unless another interface is asked for.
const loopback = "127.0.0.1"

// parseAddress reads HOST:PORT, :PORT or PORT. A missing host is the loopback.
func parseAddress(text string) (host, port string, err error) {
	host, port, err = net.SplitHostPort(text)
	if err != nil {
		host, port = "", text
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(n, 10) != port {
		return "", "", fmt.Errorf("%s: expected a port from 0 to 65535, such as 8080, or HOST:PORT", text)
	}
	if host == "" {
		host = loopback
	}
	return host, port, nil
}

// CheckAddress refuses what is no address to serve at.
func CheckAddress(text string) error {
	_, _, err := parseAddress(text)
	return err
}

// hosts are the names that a request may call this machine by. A page elsewhere that
// makes its own name lead here (DNS rebinding) would read all that is served; it
// cannot do so by an address, nor by a name that is not its own.
type hosts map[string]bool

// namesOf are the names of a machine that listens at host.
func namesOf(host string) hosts {
	names := hosts{"localhost": true, strings.ToLower(host): true}
	if own, err := os.Hostname(); err == nil { // a machine without a name has none to be called by
		names[strings.ToLower(own)] = true
	}
	return names
}

// permits tells whether a Host header names this machine.
func (h hosts) permits(header string) bool {
	host := header
	if name, _, err := net.SplitHostPort(header); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	return h[strings.ToLower(strings.TrimSuffix(host, "."))]
}
