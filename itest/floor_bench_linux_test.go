package itest

import (
	"context"
	"crypto/ed25519"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/stronghold-go/stronghold/itest/ratio"
)

// Names by which this program is started as a part of BenchmarkFloor.
const (
	floorRelay  = "stronghold-floor-relay"
	floorSigner = "stronghold-floor-signer"
)

func init() {
	switch os.Args[0] {
	case floorRelay:
		relayBare()
	case floorSigner:
		signBare()
	default:
		return
	}
	os.Exit(0)
}

// BenchmarkFloor measures what the machine asks for a signature by three
// processes that do nothing else: by a socket from this one to a second, and by a
// pipe from there to a third, which signs with the standard library. It is what
// SignProcess can be compared with: no policy, no messages, no secrets.
func BenchmarkFloor(b *testing.B) {
	sockets, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		b.Fatal(err)
	}
	toSigner, toRelay := pipeOf(b), pipeOf(b)
	here, there := sockets[0], os.NewFile(uintptr(sockets[1]), "socket")
	relay := startBare(b, floorRelay, there, toSigner[1], toRelay[0])
	signer := startBare(b, floorSigner, toSigner[0], toRelay[1])
	for _, f := range []*os.File{there, toSigner[0], toSigner[1], toRelay[0], toRelay[1]} {
		f.Close()
	}
	b.Cleanup(func() { // the end of the socket ends the relay, and that the signer
		unix.Close(here)
		relay.Wait()
		signer.Wait()
	})
	sign := func(_ context.Context, message []byte) ([]byte, error) {
		if _, err := unix.Write(here, message); err != nil {
			return nil, err
		}
		signature := make([]byte, ed25519.SignatureSize)
		n, err := unix.Read(here, signature)
		return signature[:max(n, 0)], err
	}
	r, s := cpuTime(b, relay.Pid), cpuTime(b, signer.Pid)
	ratio.Sign(b, []ratio.Signer{sign})
	b.ReportMetric((cpuTime(b, relay.Pid)-r)/float64(b.N), "relay-µs")
	b.ReportMetric((cpuTime(b, signer.Pid)-s)/float64(b.N), "signer-µs")
}

func pipeOf(b *testing.B) [2]*os.File {
	r, w, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	return [2]*os.File{r, w}
}

// startBare starts this program under a name, with files from descriptor 3 on.
func startBare(b *testing.B, name string, files ...*os.File) *os.Process {
	p, err := os.StartProcess("/proc/self/exe", []string{name},
		&os.ProcAttr{Files: append([]*os.File{nil, nil, os.Stderr}, files...)})
	if err != nil {
		b.Fatal(err)
	}
	return p
}

// relayBare hands each request on descriptor 3 to 4, and the answer from 5 back.
func relayBare() {
	for fd := range 3 {
		unix.SetNonblock(3+fd, false)
	}
	b := make([]byte, 128)
	for {
		n, err := unix.Read(3, b)
		if err != nil || n == 0 {
			return
		}
		unix.Write(4, b[:n])
		n, err = unix.Read(5, b)
		if err != nil || n == 0 {
			return
		}
		unix.Write(3, b[:n])
	}
}

// signBare signs each message on descriptor 3, and writes the signature to 4.
func signBare() {
	for fd := range 2 {
		unix.SetNonblock(3+fd, false)
	}
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	b := make([]byte, 128)
	for {
		n, err := unix.Read(3, b)
		if err != nil || n == 0 {
			return
		}
		unix.Write(4, ed25519.Sign(key, b[:n]))
	}
}
