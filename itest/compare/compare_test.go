// Package compare measures other keepers of keys beside this one, each as a
// share of what the standard library signs on all processors in the same run.
//
//	cd itest/compare && CGO_ENABLED=1 go test -bench .
//
// It is a module of its own: PKCS #11 needs cgo, and nothing here is needed to
// build or test Stronghold. What is not installed is skipped, with the Debian
// package that has it.
package compare

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/stronghold-go/stronghold/itest/ratio"
	"github.com/stronghold-go/stronghold/node/control"
	"github.com/stronghold-go/stronghold/protocol"
)

// BenchmarkSign has a row for each keeper and number of callers.
func BenchmarkSign(b *testing.B) {
	for _, keeper := range []struct {
		name string
		open func(*testing.B) func(*testing.B) ratio.Signer // one signer for each caller
	}{
		{"stronghold", openStronghold},
		{"go-ssh-agent", openGoAgent},
		{"ssh-agent", openSSHAgent},
		{"softhsm2", openSoftHSM},
	} {
		b.Run(keeper.name, func(b *testing.B) {
			signer := keeper.open(b)
			for _, callers := range []int{1, 16, 64} {
				b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
					signers := make([]ratio.Signer, callers)
					for i := range signers {
						signers[i] = signer(b)
					}
					ratio.Sign(b, signers)
				})
			}
		})
	}
}

// openStronghold starts a node and asks it by its socket, as a program would.
func openStronghold(b *testing.B) func(*testing.B) ratio.Signer {
	bin := filepath.Join(b.TempDir(), "shnode")
	build := exec.Command("go", "build", "-o", bin, "./cmd/shnode")
	build.Dir = "../.."
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	run(b, build)
	home := filepath.Join(b.TempDir(), "home")
	passphrase := filepath.Join(b.TempDir(), "passphrase")
	if err := os.WriteFile(passphrase, []byte("of a benchmark"), 0o600); err != nil {
		b.Fatal(err)
	}
	run(b, exec.Command(bin, "--home", home, "init", "--cost", "17", "--passphrase-file", passphrase))
	start(b, exec.Command(bin, "--home", home, "run", "--passphrase-file", passphrase))
	run(b, exec.Command(bin, "--home", home, "status", "--wait=unlocked", "--timeout", "30s"))
	run(b, exec.Command(bin, "--home", home, "key", "generate", "bench/keys/main", "--type", "ed25519"))
	loc, err := protocol.ParseLocation("bench/keys/main")
	if err != nil {
		b.Fatal(err)
	}
	return func(b *testing.B) ratio.Signer {
		conn, err := control.Dial(context.Background(), home)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { conn.Close() })
		return func(ctx context.Context, message []byte) ([]byte, error) {
			return protocol.Client{H: conn}.Sign(ctx, loc, message)
		}
	}
}

// openGoAgent serves the agent of x/crypto in this process.
func openGoAgent(b *testing.B) func(*testing.B) ratio.Signer {
	socket := filepath.Join(b.TempDir(), "agent")
	l, err := net.Listen("unix", socket)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	keyring := agent.NewKeyring()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go agent.ServeAgent(keyring, c)
		}
	}()
	return agentAt(b, socket)
}

func openSSHAgent(b *testing.B) func(*testing.B) ratio.Signer {
	need(b, "ssh-agent", "openssh-client")
	socket := filepath.Join(b.TempDir(), "agent")
	start(b, exec.Command("ssh-agent", "-D", "-a", socket))
	for deadline := time.Now().Add(10 * time.Second); ; {
		if c, err := net.Dial("unix", socket); err == nil {
			c.Close()
			break
		} else if time.Now().After(deadline) {
			b.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond) // it says nothing when it listens
	}
	return agentAt(b, socket)
}

// agentAt gives an agent a key, and each caller a connection.
func agentAt(b *testing.B, socket string) func(*testing.B) ratio.Signer {
	dial := func(b *testing.B) agent.ExtendedAgent {
		c, err := net.Dial("unix", socket)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { c.Close() })
		return agent.NewClient(c)
	}
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		b.Fatal(err)
	}
	if err := dial(b).Add(agent.AddedKey{PrivateKey: &private}); err != nil {
		b.Fatal(err)
	}
	public, err := ssh.NewPublicKey(private.Public())
	if err != nil {
		b.Fatal(err)
	}
	return func(b *testing.B) ratio.Signer {
		a := dial(b)
		return func(_ context.Context, message []byte) ([]byte, error) {
			sig, err := a.Sign(public, message)
			if err != nil {
				return nil, err
			}
			return sig.Blob, nil
		}
	}
}

func need(b *testing.B, program, debian string) {
	b.Helper()
	if _, err := exec.LookPath(program); err != nil {
		b.Skipf("%s is not installed (Debian: %s)", program, debian)
	}
}

func run(b *testing.B, cmd *exec.Cmd) {
	b.Helper()
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, out)
	}
}

// start runs a server until the benchmark ends.
func start(b *testing.B, cmd *exec.Cmd) {
	b.Helper()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt)
		cmd.Wait()
	})
}
