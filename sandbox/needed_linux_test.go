//go:build linux && (amd64 || arm64)

package sandbox

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// unfired are the rules that the stress does without on some machines, and why they stay.
var unfired = map[string]string{
	"clock_gettime": "only where the vDSO cannot read the clock source",
	"getrandom":     "only where the vDSO does not have it",
	"munmap":        "only when the runtime gives back the ends of what it has reserved",
	"mprotect":      "only when the runtime grows its heap over what it has reserved",
	"brk":           "only when the C library's threads use up the heap that malloc begins with",
}

const without = "stress without "

// A zone for each rule, which is the stress behind a filter that lacks it.
func init() {
	for _, r := range Rules() {
		name := without + r.Name
		if len(os.Args) > 1 && os.Args[0] == argv0 && os.Args[1] == name {
			buildRules = slices.DeleteFunc(Rules(), func(other Rule) bool { return other.Name == r.Name })
		}
		Gate(name, 256<<10, func(in Inside) (Handler, error) {
			return func(_ context.Context, request []byte) ([]byte, error) {
				return stress(in, time.Duration(binary.LittleEndian.Uint32(request))*time.Millisecond)
			}, nil
		})
	}
}

// Each rule is there for a reason: without it the zone does not live through the stress, a stop, or its own end. Run it
// with -long, as TestStress, on every new release of Go, in a build with cgo too.
func TestEachRuleIsNeeded(t *testing.T) {
	needFilter(t)
	if !*long {
		t.Log("only with -long")
		return
	}
	for _, r := range Rules() {
		t.Run(r.Name, func(t *testing.T) {
			why, may := unfired[r.Name]
			err := liveWithout(r.Name)
			var ended *EndedError
			switch {
			case errors.As(err, &ended) && ended.Reason == ReasonFilter:
			case err == nil && may:
				t.Logf("not needed here: %s", why)
			default:
				t.Errorf("without it: %v", err)
			}
		})
	}
}

// liveWithout takes a zone behind a filter without a rule through its life, and returns what ended it.
func liveWithout(rule string) error {
	z, err := Start(context.Background(), Config{Name: without + rule, Workers: 2})
	if err != nil {
		return err
	}
	defer z.Close()
	for range 3 {
		if _, err := z.Call(context.Background(), number(1500)); err != nil && !strings.Contains(err.Error(), "wrong signature") {
			return err
		}
		// Threads that sleep are stopped and go on.
		time.Sleep(10 * time.Millisecond)
		unix.Kill(z.Status().PID, unix.SIGSTOP)
		time.Sleep(10 * time.Millisecond)
		unix.Kill(z.Status().PID, unix.SIGCONT)
	}
	for range 20 { // one after the other, so that the zone follows its caller
		if _, err := z.Call(context.Background(), number(0)); err != nil {
			return err
		}
	}
	return z.Close()
}
