package node

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stronghold-go/stronghold/protocol"
)

// lines is a log whose lines can be counted.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// take returns what was written since it was called last.
func (l *lines) take() (all []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := strings.TrimSpace(l.buf.String()); s != "" {
		all = strings.Split(s, "\n")
	}
	l.buf.Reset()
	return all
}

// TestDenialsAreFolded: whoever is refused without end fills no log, and is told of all the same.
func TestDenialsAreFolded(t *testing.T) {
	const asked = 500
	out := new(lines)
	a, b, _, bm := pair(t, func(cfg *Config) { cfg.Log = slog.New(slog.NewTextHandler(out, nil)) })
	bm.setPolicy(t, "")
	out.take()
	for range asked {
		if resp, err := a.Remote("b").Handle(testContext(t), sign(t)); err != nil || resp.Status != protocol.Status_DENIED {
			t.Fatalf("got %v, %v", resp, err)
		}
	}
	if n := len(out.take()); n == 0 || n > 20 {
		t.Errorf("%d denials are %d lines at once", asked, n)
	}
	b.Close()
	if rest := strings.Join(out.take(), "\n"); !strings.Contains(rest, "times=495") || !strings.Contains(rest, "peer="+a.ID()) || strings.Count(rest, "request denied") != 1 {
		t.Errorf("in the end it is told:\n%s", rest)
	}
}

func TestNotices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := new(lines)
		n := newNotices(slog.New(slog.NewTextHandler(out, nil)))
		refuse := func(peer string, times int) {
			for range times {
				n.refused(peer, "request denied", sign(t), "no rule")
			}
		}
		refuse("one", noticesWhole)
		if got := out.take(); len(got) != noticesWhole {
			t.Errorf("at once: %q", got)
		}
		refuse("one", 1000)
		refuse("two", 1) // is not folded with it
		if got := out.take(); len(got) != 1 || !strings.Contains(got[0], "peer=two") {
			t.Errorf("another: %q", got)
		}
		time.Sleep(noticeEvery)
		synctest.Wait()
		if got := out.take(); len(got) != 1 || !strings.Contains(got[0], "times=1000") || !strings.Contains(got[0], "request_id=") {
			t.Errorf("after a while: %q", got)
		}
		refuse("one", 2)
		if got := out.take(); len(got) != 0 {
			t.Errorf("while it goes on: %q", got)
		}
		time.Sleep(noticeEvery)
		synctest.Wait()
		if got := out.take(); len(got) != 1 || !strings.Contains(got[0], "times=2") {
			t.Errorf("after a while more: %q", got)
		}
		time.Sleep(noticeEvery)
		synctest.Wait()
		if got := out.take(); len(got) != 0 || len(n.under) != 0 {
			t.Errorf("when it is over: %q, and %d are remembered", got, len(n.under))
		}
		refuse("one", 1)
		if got := out.take(); len(got) != 1 {
			t.Errorf("anew: %q", got)
		}
		n.close()
	})
}
