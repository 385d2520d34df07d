package load

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-playground/webhooks/v6/github"
	"github.com/labstack/echo/v4"

	"buildbridge/cmd/internal/e2e/program"
)

// bareVariable makes this test binary run the bare handler. It is a separate process, so that
// its cost can be told from the cost of the load.
const bareVariable = "LOADTEST_BARE"

// serveBare is the handler for comparison: Echo, and go-playground/webhooks to read, verify
// and decode the body. It stores nothing.
func serveBare() error {
	hook, err := github.New(github.Options.Secret(secret))
	if err != nil {
		return err
	}
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.POST("/webhooks/:source", func(c echo.Context) error {
		payload, err := hook.Parse(c.Request(), github.PushEvent)
		if err != nil {
			return c.JSON(http.StatusBadRequest, map[string]string{"error": err.Error()})
		}
		pushed := payload.(github.PushPayload) //nolint:forcetypeassert // of that event
		return c.JSON(http.StatusAccepted, map[string]string{"ref": pushed.Ref})
	})
	return e.Start(os.Getenv(bareVariable))
}

// bare starts the bare handler and returns its address.
func bare(t *testing.T) *measured {
	t.Helper()
	address := program.HoldPort(t)
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), bareVariable+"="+address)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("tcp", address) //nolint:noctx // ends at once
		if err == nil {
			_ = conn.Close()
			return &measured{address: address, pid: cmd.Process.Pid}
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// measured is a process that is measured.
type measured struct {
	address string
	pid     int
}

// ticks are how many of the kernel's make a second: always 100 where Go runs
// (USER_HZ, proc(5)).
const ticks = 100

// cpu is the processor time that the process has used.
func (m *measured) cpu(t *testing.T) time.Duration {
	t.Helper()
	text := readProc(t, m.pid, "stat")
	fields := strings.Fields(text[strings.LastIndex(text, ")")+1:])
	var used int64
	for _, field := range fields[11:13] { // utime and stime
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		used += n
	}
	return time.Duration(used) * time.Second / ticks
}

// resident is the memory of the process and its maximum so far, in MiB.
func (m *measured) resident(t *testing.T) (now, most float64) {
	t.Helper()
	for line := range strings.Lines(readProc(t, m.pid, "status")) {
		var kib float64
		if _, err := fmt.Sscanf(line, "VmRSS: %f kB", &kib); err == nil {
			now = kib / 1024
		}
		if _, err := fmt.Sscanf(line, "VmHWM: %f kB", &kib); err == nil {
			most = kib / 1024
		}
	}
	return now, most
}

func readProc(t *testing.T, pid int, file string) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
