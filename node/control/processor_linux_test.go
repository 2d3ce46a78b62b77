package control

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stronghold-go/stronghold/protocol"
)

// processors is what the test's thread may use; the test is on one of its own.
func processors(t *testing.T) (all unix.CPUSet, last int) {
	t.Helper()
	runtime.LockOSThread() // it ends with the test
	if err := unix.SchedGetaffinity(0, &all); err != nil || all.Count() < 2 || runtime.GOMAXPROCS(0) < 2 {
		t.Skip("needs two processors")
	}
	for n := range 1024 {
		if all.IsSet(n) {
			last = n
		}
	}
	return all, last
}

// isKept says whether a thread of this process is kept on a processor.
func isKept(t *testing.T, n int) bool {
	t.Helper()
	paths, err := filepath.Glob("/proc/self/task/*/status")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no threads: %v", err)
	}
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(b), fmt.Sprintf("\nCpus_allowed_list:\t%d\n", n)) {
			return true
		}
	}
	return false
}

// TestNodeWaitsOnProcessor: the node waits for its lone asker where he says that he
// does, as long as he asks, and nowhere in particular if he says nothing.
func TestNodeWaitsOnProcessor(t *testing.T) {
	_, last := processors(t)
	home := newHome(t)
	serve(t, home, echo)
	conn, err := dial(testContext(t), home)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(within))
	r := bufio.NewReader(conn)
	ask := func(processor uint32) {
		t.Helper()
		req := aSignature()
		f := &protocol.Frame{Id: 1, Processor: processor, Body: &protocol.Frame_Request{Request: req}}
		if err := writeFrame(conn, f); err != nil {
			t.Fatal(err)
		}
		if f, err := protocol.ReadFrame(r); err != nil || f.GetResponse().GetText() != req.Operation {
			t.Fatalf("%v, %v", f, err)
		}
	}
	// eventually asks on until a thread is kept there, or none.
	eventually := func(processor uint32, kept bool) {
		t.Helper()
		for begin := time.Now(); ; {
			ask(processor)
			if isKept(t, last) == kept {
				return
			}
			if time.Since(begin) > within/2 {
				t.Fatalf("told %d: kept: %v", processor, !kept)
			}
		}
	}
	eventually(uint32(last)+1, true)
	eventually(0, false)
	for _, n := range []uint32{1025, 1 << 20, ^uint32(0)} { // which there are not
		for range 20 {
			ask(n)
		}
	}
	eventually(uint32(last)+1, true)
	for begin := time.Now(); isKept(t, last); runtime.Gosched() { // an idle connection keeps nobody
		if time.Since(begin) > within/2 {
			t.Fatal("still kept")
		}
	}
	ask(uint32(last) + 1)
}

// TestAskerSaysProcessor: one who asks alone says where he waits, and has his thread
// back as it was.
func TestAskerSaysProcessor(t *testing.T) {
	all, last := processors(t)
	s, there := socketPair(t)
	ended := make(chan struct{})
	var said []uint32
	go func() {
		defer close(ended)
		r := bufio.NewReader(there)
		for {
			f, err := protocol.ReadFrame(r)
			if err != nil {
				return
			}
			said = append(said, f.Processor)
			answer := &protocol.Response{Status: protocol.Status_OK, Node: &protocol.NodeStatus{}}
			writeFrame(there, &protocol.Frame{Id: f.Id, Body: &protocol.Frame_Response{Response: answer}})
		}
	}()
	c := protocol.NewConn(s)
	client := protocol.Client{H: c}
	one := unix.CPUSet{}
	one.Set(last)
	for range 300 {
		// So that he is on the last one, and may be anywhere.
		if err := errors.Join(unix.SchedSetaffinity(0, &one), unix.SchedSetaffinity(0, &all)); err != nil {
			t.Fatal(err)
		}
		if _, err := client.Status(testContext(t)); err != nil {
			t.Fatal(err)
		}
		var after unix.CPUSet
		if unix.SchedGetaffinity(0, &after); after != all {
			t.Fatalf("the asker's thread may use %v afterwards", after)
		}
	}
	c.Close()
	<-ended
	if said[0] != 0 {
		t.Errorf("the first request says %d", said[0])
	}
	times := 0
	for _, n := range said {
		switch n {
		case uint32(last) + 1:
			times++
		case 0:
		default:
			t.Errorf("said %d, on %d", n, last)
		}
	}
	if times == 0 {
		t.Errorf("said %v", said)
	}
}
