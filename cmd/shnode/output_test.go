package main

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// pipeEnd is where an output writes in tests: each Write waits for its outcome.
type pipeEnd struct {
	outcome chan error
	got     []string
}

func (p *pipeEnd) Write(b []byte) (int, error) {
	if err := <-p.outcome; err != nil {
		return 0, err
	}
	p.got = append(p.got, string(b))
	return len(b), nil
}

func lostLines(n int) []byte { return fmt.Appendf(nil, "lost %d", n) }

// What finds no room is counted, and told where it is missing.
func TestOutputFull(t *testing.T) {
	p := &pipeEnd{outcome: make(chan error)}
	o := newOutput(p, lostLines)
	line := bytes.Repeat([]byte("x"), 1000)
	const lines = 3000
	for i := range lines {
		if n, err := o.Write(fmt.Appendf(nil, "%d %s", i, line)); n < len(line) || err != nil {
			t.Fatalf("line %d: %d, %v", i, n, err)
		}
	}
	// Two are read; there is room for one then, whatever the first was.
	p.outcome <- nil
	p.outcome <- nil
	for o.Write([]byte("a last one")); ; {
		o.mu.Lock()
		fits := o.missed == 0
		o.mu.Unlock()
		if fits {
			break
		}
		p.outcome <- nil
		o.Write([]byte("a last one"))
	}
	close(p.outcome)
	o.close()
	<-o.done
	kept := len(p.got) - 2
	if want := maxQueued / len(line); kept < want/2 || kept > want+3 {
		t.Errorf("%d lines were kept", kept)
	}
	for i, text := range p.got[:kept] {
		if !strings.HasPrefix(text, fmt.Sprint(i, " x")) {
			t.Fatalf("line %d is %.20s", i, text)
		}
	}
	var n int
	if _, err := fmt.Sscanf(p.got[kept], "lost %d", &n); err != nil || n < lines-kept || n > lines-kept+3 || p.got[kept+1] != "a last one" {
		t.Errorf("at the end: %q; %d of %d were kept", p.got[kept:], kept, lines)
	}
}

// What cannot be written is lost, and told when writing works again; so is what is lost last.
func TestOutputFails(t *testing.T) {
	p := &pipeEnd{outcome: make(chan error)}
	o := newOutput(p, lostLines)
	broken := errors.New("nobody reads")
	for _, tt := range []struct {
		line     string
		outcomes []error
	}{
		{"1", []error{nil}},
		{"2", []error{broken}},
		{"3", []error{broken}}, // of the count; the line is not tried
		{"4", []error{nil, nil}},
		{"5", []error{broken}},
		{"6", []error{nil, broken}}, // the count comes through, the line does not
		{"7", []error{nil, nil}},
	} {
		o.Write([]byte(tt.line))
		for _, err := range tt.outcomes {
			p.outcome <- err
		}
	}
	o.close()
	<-o.done
	if want := []string{"1", "lost 2", "4", "lost 1", "lost 1", "7"}; !slices.Equal(p.got, want) {
		t.Errorf("%q, want %q", p.got, want)
	}
}

// An output that is stuck is not waited for without end.
func TestOutputStuck(t *testing.T) {
	p := &pipeEnd{outcome: make(chan error)}
	o := newOutput(p, lostLines)
	o.Write([]byte("1"))
	o.close()
	if n, err := o.Write([]byte("2")); n != 1 || err != nil {
		t.Errorf("behind the end: %d, %v", n, err)
	}
	close(p.outcome)
	<-o.done
}
