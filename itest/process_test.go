package itest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stronghold-go/stronghold/node/control"
	"github.com/stronghold-go/stronghold/protocol"
)

// program is the -shnode of a run of these tests where there is no compiler, or
// with a program that was built in another way.
var program = flag.String("shnode", "", "the program to test, in place of one that is built")

// shnode is the built program. The test cache does not see what the compiler
// reads, so everything the module is made of is read here, too.
var shnode = sync.OnceValues(func() (string, error) {
	if *program != "" {
		return filepath.Abs(*program)
	}
	if _, err := readModule(os.DirFS("..")); err != nil {
		return "", err
	}
	path := filepath.Join(scratch, "shnode")
	if runtime.GOOS == "windows" {
		path += ".exe"
	}
	out, err := exec.Command("go", "build", "-buildvcs=false", "-o", path, module+"/cmd/shnode").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

// process is a node that runs as a process of its own.
type process struct {
	home string
	cmd  *exec.Cmd
	out  bytes.Buffer // what it says on stderr; to be read when it has ended
	done chan struct{}
}

// launch starts a node on a home. The channel gives whether it says that it is
// ready, or ends before.
func launch(t testing.TB, home string, args ...string) (*process, <-chan bool) {
	t.Helper()
	return launchBy(t, nil, home, args...)
}

// launchBy is launch by another program, which starts what follows its arguments.
func launchBy(t testing.TB, by []string, home string, args ...string) (*process, <-chan bool) {
	t.Helper()
	path, err := shnode()
	if err != nil {
		t.Fatal(err)
	}
	return launchProgram(t, append(slices.Clone(by), path), home, args...)
}

// launchProgram is launch of any program, which may have arguments.
func launchProgram(t testing.TB, program []string, home string, args ...string) (*process, <-chan bool) {
	t.Helper()
	p := &process{home: home, done: make(chan struct{})}
	line := append(append(slices.Clone(program), "run", "--home", home), args...)
	p.cmd = exec.Command(line[0], line[1:]...)
	p.cmd.Dir = filepath.Dir(home) // where a core would be
	p.cmd.Stderr = &p.out
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready := make(chan bool, 1)
	go func() {
		defer close(p.done)
		line, _ := bufio.NewReader(stdout).ReadString('\n')
		ready <- strings.HasPrefix(line, "ready ")
		p.cmd.Wait() // how it ended is in its state
	}()
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		<-p.done
		if t.Failed() {
			t.Logf("the node said: %s", &p.out)
		}
	})
	return p, ready
}

// run starts a node and waits until it is ready.
func run(t testing.TB, home string, args ...string) *process {
	t.Helper()
	p, ready := launch(t, home, args...)
	return p.begun(t, ready)
}

// begun waits until the node is ready.
func (p *process) begun(t testing.TB, ready <-chan bool) *process {
	t.Helper()
	if !<-ready {
		<-p.done
		t.Fatalf("the node did not start: %s", &p.out)
	}
	return p
}

// wait waits for the end, and returns the exit code; -1 is a signal's.
func (p *process) wait(t testing.TB) int {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(time.Minute):
		t.Fatal("the node does not end")
	}
	return p.cmd.ProcessState.ExitCode()
}

// dial asks the node over its socket.
func (p *process) dial(t testing.TB) protocol.Client {
	t.Helper()
	return protocol.Client{H: dialSocket(t, p.home)}
}

// TestManyRuns starts several nodes on one home at the same time: one of them
// serves it, and the others say so and end.
func TestManyRuns(t *testing.T) {
	home := newHome(t)
	var all []*process
	var ready []<-chan bool
	for range 4 {
		p, r := launch(t, home)
		all, ready = append(all, p), append(ready, r)
	}
	var serves *process
	for i, p := range all {
		if <-ready[i] {
			if serves != nil {
				t.Fatal("two nodes serve one home")
			}
			serves = p
			continue
		}
		if code := p.wait(t); code != 1 || !strings.Contains(p.out.String(), "another node runs on this home") {
			t.Errorf("the one that does not serve ends with %d: %s", code, &p.out)
		}
	}
	if serves == nil {
		t.Fatal("none serves the home")
	}
	if st, err := serves.dial(t).Status(t.Context()); err != nil || !st.Locked {
		t.Errorf("its status: %v, %v", st, err)
	}
}

// TestUnknownPeer: a node that another one does not know reaches nothing there,
// and disturbs nobody.
func TestUnknownPeer(t *testing.T) {
	a, b := newPair(t)
	stranger := newNode(t)
	stranger.knows(t, b, "b")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for _, op := range []string{"key.public", "zone.key", "node.unlock", "nothing.like-that"} {
		resp, err := stranger.node.Remote("b").Handle(ctx, &protocol.Request{Id: protocol.NewID(), Operation: op,
			Location: &protocol.Location{Client: []byte("c"), Vault: []byte("v"), Record: []byte("r")}})
		if err == nil || ctx.Err() != nil {
			t.Errorf("%s: a stranger is answered with %v", op, resp)
		}
	}
	_, _, err := protocol.Client{H: a.node.Remote("b")}.PublicKey(t.Context(), benchKey)
	wantError(t, err, protocol.ErrLocked) // who is known is answered as ever
	st, err := b.local().Status(t.Context())
	if err != nil || st.Peers != 1 {
		t.Errorf("the status of the node: %v, %v", st, err)
	}
}

// writers make keys until the node answers no more, and return the names of
// those that were acknowledged.
func writers(ctx context.Context, t testing.TB, p *process, n int) <-chan []string {
	acknowledged := make(chan []string, 1)
	var all sync.WaitGroup
	var mu sync.Mutex
	var names []string
	for i := range n {
		c := p.dial(t)
		all.Go(func() {
			for j := 0; ; j++ {
				name := fmt.Sprintf("%d-%d", i, j)
				if _, err := c.GenerateKey(ctx, written(name), protocol.Ed25519, false); err != nil {
					if e := (*protocol.Error)(nil); errors.As(err, &e) && e.Status == protocol.Status_INTERNAL {
						t.Errorf("writing %s: %v", name, err)
					}
					return
				}
				mu.Lock()
				names = append(names, name)
				mu.Unlock()
			}
		})
	}
	go func() {
		all.Wait()
		acknowledged <- names
	}()
	return acknowledged
}

func written(name string) *protocol.Location {
	return &protocol.Location{Client: []byte("written"), Vault: []byte("v"), Record: []byte(name)}
}

// wantAll expects that what was acknowledged is there.
func wantAll(t testing.TB, c protocol.Client, names []string) {
	t.Helper()
	if len(names) == 0 {
		t.Error("nothing was acknowledged before: nothing was tested")
	}
	for _, name := range names {
		if _, err := c.Sign(t.Context(), written(name), []byte("m")); err != nil {
			t.Fatalf("%s was acknowledged: %v", name, err)
		}
	}
}

// until asks until it is so.
func until(t testing.TB, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// acknowledgedSome waits until the node has written some of the keys.
func acknowledgedSome(t testing.TB, p *process) {
	t.Helper()
	c := p.dial(t)
	until(t, "some keys are written", func() bool {
		resp, err := c.Do(t.Context(), &protocol.Request{Operation: "record.list", Location: &protocol.Location{Client: []byte("written")}})
		return err == nil && len(resp.Entries) > 20
	})
}

// gone says that no node serves the home any more.
func gone(t testing.TB, home string) {
	t.Helper()
	if _, err := control.Dial(t.Context(), home); !errors.Is(err, control.ErrNotRunning) {
		t.Errorf("after its end the socket says %v", err)
	}
}
