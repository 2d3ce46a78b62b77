package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/stronghold-go/stronghold/node/control"
	"github.com/stronghold-go/stronghold/node/local"
	"github.com/stronghold-go/stronghold/protocol"
	"github.com/stronghold-go/stronghold/sandbox"
)

// Exit codes. Scripts count on them.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitDenied      = 3
	exitApproval    = 4 // waiting for a person, or it expired
	exitUnreachable = 5
	exitLocked      = 6 // or wrong passphrase
	exitNotFound    = 7
	exitDamaged     = 8 // or an unsupported file
	exitInterrupted = 130
)

// failure is how a command ends that did not do what it was asked.
type failure struct {
	exit      int
	code      string // for scripts: lower case, words joined by '_'
	message   string
	hint      string // what to do, where something helps
	requestID []byte // where a node refused
}

func (f *failure) Error() string { return f.message }

// usage is the failure of a command line that cannot be meant.
func usage(message, hint string) *failure {
	return &failure{exit: exitUsage, code: "usage", message: message, hint: hint}
}

// failed is a failure that no code tells apart.
func failed(code, message, hint string) *failure {
	return &failure{exit: exitFailed, code: code, message: message, hint: hint}
}

// answeredNo ends a command that was asked a question, and has printed its
// answer: no. The number is the exit code.
type answeredNo int

func (answeredNo) Error() string { return "no" }

// outcome is what a refusal means here: an exit code, and what to do about it.
type outcome struct {
	exit   int
	hint   string
	remote string // the hint where a peer refused; "": hint holds there too
}

// outcomes has a row for every status.
var outcomes = map[protocol.Status]outcome{
	protocol.Status_INVALID:     {exit: exitUsage},
	protocol.Status_UNSUPPORTED: {exit: exitFailed, hint: "`shnode ops` tells what can be asked, and at which door; `shnode version` tells whether this is the same version as the node"},
	protocol.Status_DENIED: {exit: exitDenied, hint: "`shnode policy show` tells the policy in force",
		remote: "the peer's policy decides: its operator can allow this with a rule (`shnode policy can` tells why there)"},
	protocol.Status_LIMITED: {exit: exitFailed, hint: "ask again later"},
	protocol.Status_LOCKED: {exit: exitLocked, hint: "open it with `shnode unlock`",
		remote: "the peer's operator must open it with `shnode unlock` there"},
	protocol.Status_NOT_FOUND:           {exit: exitNotFound, hint: "`shnode key ls` tells what there is"},
	protocol.Status_EXISTS:              {exit: exitFailed, hint: "choose another location, or replace the record for good with --overwrite"},
	protocol.Status_WRONG_KIND:          {exit: exitFailed, hint: "`shnode key ls` tells the kind of each record"},
	protocol.Status_WRONG_KEY:           {exit: exitLocked, hint: "it takes the passphrase that the home was made with; nothing was changed"},
	protocol.Status_DAMAGED:             {exit: exitDamaged, hint: "put a copy of vault.stronghold in its place, or see `shnode snapshot restore --salvage`; the damaged file has not been changed"},
	protocol.Status_UNSUPPORTED_VERSION: {exit: exitDamaged, hint: "a newer shnode wrote this file: open it with that one"},
	protocol.Status_NOT_A_SNAPSHOT:      {exit: exitDamaged, hint: "vault.stronghold in the home is some other file; the right one has to take its place"},
	protocol.Status_NO_SPACE:            {exit: exitFailed, hint: "make room and ask again; nothing was changed"},
	protocol.Status_OLDER:               {exit: exitFailed, hint: "an older copy is in the place of the last one; with `shnode unlock --accept-older` it opens all the same, without what was changed since"},
	protocol.Status_OUTCOME_UNKNOWN:     {exit: exitFailed, hint: "look whether it happened (`shnode key ls`) before asking again"},
	protocol.Status_UNAVAILABLE: {exit: exitUnreachable, hint: "`shnode status` tells how the node is",
		remote: "`shnode peer ls` tells which peers are connected; is the peer's node running, and is its address right?"},
	protocol.Status_DISABLED: {exit: exitFailed, hint: "`shnode key enable LOC` lets it be used again"},
	protocol.Status_NOT_LOADED: {exit: exitLocked, hint: "`shnode client load CLIENT` loads it from the snapshot",
		remote: "the peer's operator must load it with `shnode client load` there"},
	protocol.Status_CONFLICT: {exit: exitFailed, hint: "look what is there now, and ask again"},
	protocol.Status_INTERNAL: {exit: exitFailed, hint: "the node's log has the cause, under the request's id"},
	protocol.Status_MISSING:  {exit: exitNotFound, hint: "put vault.stronghold, or a copy of it, back into the home"},
	protocol.Status_NO_SLOT:  {exit: exitLocked, hint: "`shnode snapshot inspect FILE` tells what opens a snapshot; nothing was changed"},
	protocol.Status_TOO_EXPENSIVE: {exit: exitDamaged,
		hint: "allow more with --max-cost N, if the file is yours: its slots take 2^N KiB of memory, one after the other; 20 if nothing is said"},
}

// explain says what err means to the person or script that asked. remote says
// that a peer was asked.
func explain(ctx context.Context, err error, remote bool) *failure {
	var f *failure
	var refused *protocol.Error
	var home *local.HomeError
	var missing *sandbox.LayerError
	var denied *sandbox.DeniedError
	var ended *sandbox.EndedError
	switch {
	case errors.As(err, &f):
		return f
	case errors.As(context.Cause(ctx), new(interruption)), errors.As(err, new(interruption)):
		return &failure{exit: exitInterrupted, code: "interrupted", message: "interrupted"}
	case errors.As(err, &refused):
		return explainStatus(refused, remote)
	case errors.Is(err, control.ErrNotRunning):
		return &failure{exit: exitUnreachable, code: "not_running", message: "no node is running on this home", hint: "start it with `shnode run`"}
	case errors.Is(err, local.ErrHomeExists):
		return failed("home_exists", "this home exists already, and stays as it is", "name another with --home")
	case errors.Is(err, local.ErrInUse), errors.Is(err, control.ErrInUse):
		return failed("in_use", "another node runs on this home", "`shnode status` tells about it")
	case errors.As(err, &home) && errors.Is(err, fs.ErrNotExist):
		return &failure{exit: exitNotFound, code: "missing", message: home.Path + ": " + home.Reason,
			hint: "put it, or a copy of it, back: peers know this node by it. The snapshot opens without it: in a new home elsewhere, `shnode snapshot restore FILE` takes it, and peers have to be told the new id"}
	case errors.As(err, &home) && home.Damaged:
		return &failure{exit: exitDamaged, code: "damaged", message: home.Path + ": " + home.Reason,
			hint: "put a copy back; without state.db the home knows neither its peers nor which snapshot was its last: `shnode run` makes a new one if it is taken away"}
	case errors.As(err, &home):
		return failed("home", home.Path+": "+home.Reason,
			"a home and its files belong to the user who runs shnode, with modes 0700 and 0600; config.toml holds `listen` and `[limits]`, and nothing else")
	case errors.Is(err, control.ErrForeign):
		return failed("foreign", err.Error(), "who can put a socket into the home? it must belong to the user who runs shnode, with mode 0700")
	case errors.Is(err, control.ErrOpenHome):
		return failed("open_home", err.Error(), "chmod 700 it")
	case errors.Is(err, control.ErrTooLong):
		return failed("path_too_long", err.Error(), "choose a shorter one with --home")
	case errors.Is(err, protocol.ErrFrameTooLong):
		return failed("too_long", "this is too long: a request holds at most 1 MiB, with what goes around it", "")
	case errors.Is(err, context.DeadlineExceeded):
		return unanswered("no answer within the time given")
	case errors.Is(err, protocol.ErrClosed), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return unanswered("the node stopped before it answered")
	case errors.As(err, &missing):
		l := missing.Layer
		return failed("zone", err.Error(), adviceOn(runtime.GOOS, &protocol.Layer{Name: l.Name, Note: l.Note}).hint)
	case errors.As(err, &denied):
		return failed("zone", err.Error(), deniedHint)
	case errors.As(err, &ended) && (ended.Signal == syscall.SIGKILL || ended.ExitCode == outOfMemory):
		return failed("zone", err.Error(), "was there memory enough? MemoryMax= of a systemd service, --memory of a container or `ulimit -v` may bound it; a lower --cost takes less, 17 takes 128 MiB")
	case errors.Is(err, syscall.EROFS):
		return failed("read_only", err.Error(), "nothing may be written there: a systemd service takes ReadWritePaths= or StateDirectory=, a container a volume")
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return failed("too_many_files", err.Error(), "raise the limit of open files: LimitNOFILE= of a systemd service, `ulimit -n` of a shell")
	case errors.Is(err, syscall.EAFNOSUPPORT):
		return failed("address_family", err.Error(), "a systemd service takes RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK")
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return failed("no_space", err.Error(), "make room and ask again")
	case errors.Is(err, syscall.EADDRINUSE):
		return failed("address_in_use", err.Error(), "another program listens there; choose another port, or 0 for any")
	case errors.Is(err, fs.ErrNotExist):
		return &failure{exit: exitNotFound, code: "not_found", message: err.Error()}
	case errors.Is(err, fs.ErrPermission):
		return failed("permission", err.Error(), "does this file belong to the user who runs shnode?")
	}
	return failed("failed", err.Error(), "")
}

// deniedHint is for a filter around the whole node that ended its zone.
const deniedHint = "the filter of a service or container has to allow what the zone needs to close itself in (systemd: " + serviceFilter + ")"

// outOfMemory is how the runtime of Go ends when the system gives it none.
const outOfMemory = 2

func explainStatus(e *protocol.Error, remote bool) *failure {
	o, ok := outcomes[e.Status]
	if !ok { // of a newer version
		o = outcome{exit: exitFailed, hint: "is the node of a newer version? `shnode version` tells this one's"}
	}
	f := &failure{exit: o.exit, code: e.Status.Code(), message: e.Error(), hint: o.hint, requestID: e.RequestID}
	if e.Status == protocol.Status_EXISTS && e.Operation == "peer.add" {
		f.hint = "`shnode peer ls` tells what is taken"
	}
	if e.Status == protocol.Status_LIMITED && e.Operation == "peer.add" { // waiting changes nothing
		f.hint = "`shnode peer rm NAME ADDR` takes one away"
	}
	if e.Status == protocol.Status_UNAVAILABLE && e.Detail != "" {
		f.message = e.Detail // "unavailable" adds nothing
	}
	if e.Status == protocol.Status_OLDER && e.Detail != "" { // it may be the newest
		f.message = e.Detail
		f.hint = "an older snapshot than the last would look the same; if this one is right, `shnode unlock --accept-older` opens it"
	}
	if remote && o.remote != "" {
		f.hint = o.remote
	}
	if remote && e.Status != protocol.Status_UNAVAILABLE { // which this node says of the peer
		f.message = "the peer: " + f.message
	}
	if e.Status == protocol.Status_LIMITED && e.RetryAfter > 0 {
		f.hint = fmt.Sprintf("ask again in %s", e.RetryAfter.Round(time.Millisecond))
	}
	return f
}

func unanswered(message string) *failure {
	return &failure{exit: exitUnreachable, code: "unreachable", message: message,
		hint: "wait longer with --timeout; if a change was asked for, look whether it happened"}
}

func noHome(dir string) *failure {
	return &failure{exit: exitNotFound, code: "no_home", message: "there is no home in " + dir,
		hint: "make one with `shnode init`, or name another with --home"}
}

// fail prints f, to stderr, or with --json to stdout, and returns its exit code.
func (a *app) fail(f *failure) int {
	if !a.json {
		a.errorf("%s", f.message)
		if f.hint != "" {
			a.hintf("%s", f.hint)
		}
		return f.exit
	}
	type body struct {
		Code      string `json:"code"`
		Message   string `json:"message"`
		Hint      string `json:"hint,omitempty"`
		RequestID string `json:"request_id,omitempty"`
	}
	a.printJSON(struct {
		Error body `json:"error"`
	}{body{f.code, strings.TrimSpace(f.message), f.hint, hex.EncodeToString(f.requestID)}})
	return f.exit
}
