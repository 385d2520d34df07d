package program

import (
	"net"
	"os"
	"strconv"
	"syscall"
	"testing"
)

// HoldPort gives an address of this machine where nobody listens until the test or a process of it does,
// as often as it likes. Meanwhile and in between nobody else is given the port: a socket that does not
// listen is bound to it.
func HoldPort(t testing.TB) (address string) {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(os.NewSyscallError("socket", err))
	}
	t.Cleanup(func() {
		if err := syscall.Close(fd); err != nil {
			t.Error(os.NewSyscallError("close", err))
		}
	})
	// Go's listeners set it too. Sockets share a port only if all have it.
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		t.Fatal(os.NewSyscallError("setsockopt", err))
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(os.NewSyscallError("bind", err))
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(os.NewSyscallError("getsockname", err))
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(name.(*syscall.SockaddrInet4).Port)) //nolint:forcetypeassert // that of Bind
}
