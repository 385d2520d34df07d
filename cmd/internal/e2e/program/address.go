package program

import (
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
)

// FreeAddresses are n addresses that a process can listen on, and the next one after it was killed. Linux
// gives ports from 32768 on to whoever asks for any, so it takes none of those.
func FreeAddresses(t *testing.T, n int) (addresses []string) {
	t.Helper()
	for tries := 0; len(addresses) < n; tries++ {
		address := fmt.Sprintf("127.0.0.1:%d", 20000+rand.N(12000)) //nolint:gosec // not a secret
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", address)
		if err != nil {
			if tries > 1000 {
				t.Fatal(err)
			}
			continue
		}
		defer l.Close() // after all: no address is given twice
		addresses = append(addresses, address)
	}
	return addresses
}
