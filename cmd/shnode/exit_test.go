package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stronghold-go/stronghold/node/control"
	"github.com/stronghold-go/stronghold/node/local"
	"github.com/stronghold-go/stronghold/protocol"
	"github.com/stronghold-go/stronghold/sandbox"
)

// The exit code of every status, spelled out: scripts count on it.
var statusExits = map[protocol.Status]int{
	protocol.Status_INVALID:             2,
	protocol.Status_UNSUPPORTED:         1,
	protocol.Status_DENIED:              3,
	protocol.Status_LIMITED:             1,
	protocol.Status_LOCKED:              6,
	protocol.Status_NOT_FOUND:           7,
	protocol.Status_EXISTS:              1,
	protocol.Status_WRONG_KIND:          1,
	protocol.Status_WRONG_KEY:           6,
	protocol.Status_DAMAGED:             8,
	protocol.Status_UNSUPPORTED_VERSION: 8,
	protocol.Status_NOT_A_SNAPSHOT:      8,
	protocol.Status_NO_SPACE:            1,
	protocol.Status_OLDER:               1,
	protocol.Status_OUTCOME_UNKNOWN:     1,
	protocol.Status_UNAVAILABLE:         5,
	protocol.Status_INTERNAL:            1,
	protocol.Status_MISSING:             7,
	protocol.Status_TOO_EXPENSIVE:       8,
	protocol.Status_NO_SLOT:             6,
	protocol.Status_DISABLED:            1,
	protocol.Status_CONFLICT:            1,
	protocol.Status_NOT_LOADED:          6,
}

func TestExplainStatus(t *testing.T) {
	for n := range protocol.Status_name {
		status := protocol.Status(n)
		if status == protocol.Status_OK {
			continue
		}
		want, ok := statusExits[status]
		if !ok && status != protocol.Status_STATUS_UNSPECIFIED {
			t.Errorf("%v: no exit code", status)
		}
		if status == protocol.Status_STATUS_UNSPECIFIED {
			want = 1
		}
		refused := &protocol.Error{Status: status, Operation: "ed25519.sign", Detail: "detail", RequestID: []byte{1}}
		for _, remote := range []bool{false, true} {
			f := explain(t.Context(), fmt.Errorf("wrapped: %w", refused), remote)
			if f.exit != want || f.code != status.Code() {
				t.Errorf("%v, remote %v: exit %d, code %s; want %d", status, remote, f.exit, f.code, want)
			}
			if f.message == "" || len(f.requestID) == 0 {
				t.Errorf("%v: not told: %+v", status, f)
			}
			if f.hint == "" && status != protocol.Status_INVALID {
				t.Errorf("%v: no hint", status)
			}
		}
	}
	// A status of a version to come.
	if f := explain(t.Context(), &protocol.Error{Status: 99}, false); f.exit != 1 || f.hint == "" {
		t.Errorf("unknown status: %+v", f)
	}
	f := explain(t.Context(), &protocol.Error{Status: protocol.Status_LIMITED, RetryAfter: 1500 * time.Millisecond}, true)
	if f.hint != "ask again in 1.5s" {
		t.Errorf("limited: hint %q", f.hint)
	}
}

func TestExplain(t *testing.T) {
	interrupted, interrupt := context.WithCancelCause(t.Context())
	interrupt(interruption{os.Interrupt})
	// What a service manager's setting denied, its setting allows.
	settings := map[string]string{"zone": "systemd", "read_only": "ReadWritePaths=", "too_many_files": "LimitNOFILE=", "address_family": "RestrictAddressFamilies="}
	for _, test := range []struct {
		ctx  context.Context
		err  error
		exit int
		code string
	}{
		{t.Context(), errors.New("anything"), 1, "failed"},
		{t.Context(), usage("no", ""), 2, "usage"},
		{t.Context(), control.ErrNotRunning, 5, "not_running"},
		{t.Context(), fmt.Errorf("x: %w", context.DeadlineExceeded), 5, "unreachable"},
		{t.Context(), fmt.Errorf("x: %w", protocol.ErrClosed), 5, "unreachable"},
		{t.Context(), fmt.Errorf("x: %w: %w", protocol.ErrNotSent, protocol.ErrFrameTooLong), 1, "too_long"},
		{t.Context(), noHome("dir"), 7, "no_home"},
		{t.Context(), local.ErrHomeExists, 1, "home_exists"},
		{t.Context(), local.ErrInUse, 1, "in_use"},
		{t.Context(), control.ErrInUse, 1, "in_use"},
		{t.Context(), control.ErrForeign, 1, "foreign"},
		{t.Context(), control.ErrOpenHome, 1, "open_home"},
		{t.Context(), control.ErrTooLong, 1, "path_too_long"},
		{t.Context(), &local.HomeError{Path: "config.toml", Reason: "bad"}, 1, "home"},
		{t.Context(), &local.HomeError{Path: "state.db", Reason: "is damaged", Damaged: true}, 8, "damaged"},
		{t.Context(), &fs.PathError{Op: "open", Path: "x", Err: syscall.ENOENT}, 7, "not_found"},
		{t.Context(), &fs.PathError{Op: "open", Path: "x", Err: syscall.EACCES}, 1, "permission"},
		{t.Context(), &fs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}, 1, "no_space"},
		{t.Context(), fmt.Errorf("x: %w", &sandbox.LayerError{Layer: sandbox.Layer{Name: "locked memory"}}), 1, "zone"},
		{t.Context(), fmt.Errorf("x: %w", &sandbox.DeniedError{Call: "seccomp"}), 1, "zone"},
		{t.Context(), fmt.Errorf("x: %w", &sandbox.EndedError{Reason: sandbox.ReasonSignal, Signal: syscall.SIGKILL}), 1, "zone"},
		{t.Context(), fmt.Errorf("x: %w", &sandbox.EndedError{Reason: sandbox.ReasonExit, ExitCode: 2}), 1, "zone"},
		{t.Context(), &fs.PathError{Op: "open", Path: "x", Err: syscall.EROFS}, 1, "read_only"},
		{t.Context(), &fs.PathError{Op: "open", Path: "x", Err: syscall.EMFILE}, 1, "too_many_files"},
		{t.Context(), &net.OpError{Op: "listen", Err: os.NewSyscallError("socket", syscall.EAFNOSUPPORT)}, 1, "address_family"},
		{interrupted, errors.New("anything"), 130, "interrupted"},
		{interrupted, &protocol.Error{Status: protocol.Status_UNAVAILABLE}, 130, "interrupted"},
	} {
		f := explain(test.ctx, test.err, false)
		if f.exit != test.exit || f.code != test.code {
			t.Errorf("%v: exit %d, code %s; want %d, %s", test.err, f.exit, f.code, test.exit, test.code)
		}
		if setting := settings[test.code]; runtime.GOOS == "linux" && !strings.Contains(f.hint, setting) {
			t.Errorf("%v: the hint does not name %s: %s", test.err, setting, f.hint)
		}
	}
}
