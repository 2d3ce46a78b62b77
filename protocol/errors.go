package protocol

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Error is a refusal, as an error: what a [Client] returns for any status but OK.
// Compare with errors.Is and one of the sentinels: those match by status alone.
type Error struct {
	Status     Status
	Operation  string
	Field      string // of the request, when Status is INVALID
	Detail     string
	RequestID  []byte
	RetryAfter time.Duration // when Status is LIMITED
}

// Sentinels, for errors.Is.
var (
	ErrDenied             = &Error{Status: Status_DENIED}
	ErrInvalid            = &Error{Status: Status_INVALID}
	ErrUnsupported        = &Error{Status: Status_UNSUPPORTED}
	ErrLimited            = &Error{Status: Status_LIMITED}
	ErrLocked             = &Error{Status: Status_LOCKED}
	ErrNotFound           = &Error{Status: Status_NOT_FOUND}
	ErrExists             = &Error{Status: Status_EXISTS}
	ErrWrongKind          = &Error{Status: Status_WRONG_KIND}
	ErrWrongKey           = &Error{Status: Status_WRONG_KEY}
	ErrDamaged            = &Error{Status: Status_DAMAGED}
	ErrUnsupportedVersion = &Error{Status: Status_UNSUPPORTED_VERSION}
	ErrNotASnapshot       = &Error{Status: Status_NOT_A_SNAPSHOT}
	ErrMissing            = &Error{Status: Status_MISSING}
	ErrNoSpace            = &Error{Status: Status_NO_SPACE}
	ErrOutcomeUnknown     = &Error{Status: Status_OUTCOME_UNKNOWN}
	ErrUnavailable        = &Error{Status: Status_UNAVAILABLE}
	ErrTooExpensive       = &Error{Status: Status_TOO_EXPENSIVE}
	ErrNoSlot             = &Error{Status: Status_NO_SLOT}
	ErrOlder              = &Error{Status: Status_OLDER}
	ErrDisabled           = &Error{Status: Status_DISABLED}
	ErrConflict           = &Error{Status: Status_CONFLICT}
	ErrNotLoaded          = &Error{Status: Status_NOT_LOADED}
)

// What each status means, for people. Every status but OK has a line.
var meanings = map[Status]string{
	Status_INVALID:             "bad request",
	Status_UNSUPPORTED:         "unsupported operation",
	Status_DENIED:              "denied by policy",
	Status_LIMITED:             "over a limit",
	Status_LOCKED:              "locked",
	Status_NOT_FOUND:           "not found",
	Status_EXISTS:              "exists already",
	Status_WRONG_KIND:          "the record's kind or flags do not fit",
	Status_WRONG_KEY:           "wrong passphrase",
	Status_DAMAGED:             "the snapshot is damaged",
	Status_UNSUPPORTED_VERSION: "the snapshot is of an unsupported version",
	Status_NOT_A_SNAPSHOT:      "not a snapshot",
	Status_NO_SPACE:            "no space left",
	Status_OLDER:               "the snapshot is older than the last one written here",
	Status_OUTCOME_UNKNOWN:     "outcome unknown",
	Status_UNAVAILABLE:         "unavailable",
	Status_INTERNAL:            "internal error",
	Status_MISSING:             "the snapshot file is missing",
	Status_TOO_EXPENSIVE:       "the password hash is too expensive",
	Status_NO_SLOT:             "no key slot fits",
	Status_DISABLED:            "the record is disabled",
	Status_CONFLICT:            "not what was expected",
	Status_NOT_LOADED:          "the client is not loaded",
}

func (e *Error) Error() string {
	var b strings.Builder
	meaning, ok := meanings[e.Status]
	if !ok {
		meaning = fmt.Sprintf("status %d", e.Status)
	}
	b.WriteString(meaning)
	if e.Field != "" {
		fmt.Fprintf(&b, ": %s", e.Field)
	}
	if e.Detail != "" {
		fmt.Fprintf(&b, ": %s", e.Detail)
	}
	return b.String()
}

// Is says whether target is the sentinel of e's status.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Status == e.Status && t.Operation == ""
}

// Code is the status as scripts see it: lower case, words joined by '_'.
func (s Status) Code() string { return strings.ToLower(s.String()) }

// AsError is the error of an answer to req, nil if it is OK.
func AsError(req *Request, resp *Response) error {
	if resp.Status == Status_OK {
		return nil
	}
	return &Error{Status: resp.Status, Operation: req.Operation, Field: resp.Field, Detail: resp.Detail,
		RequestID: req.Id, RetryAfter: time.Duration(resp.RetryAfterMs) * time.Millisecond}
}

// Answer is what a server sends when a handler gave resp and err for req. An
// error that holds an [*Error] becomes that refusal; the text of any other
// stays here, since it was not written for the asker.
func Answer(req *Request, resp *Response, err error) *Response {
	var e *Error
	switch {
	case err == nil && resp != nil:
		return resp
	case errors.As(err, &e):
		return &Response{Status: e.Status, Field: e.Field, Detail: e.Detail,
			RetryAfterMs: uint32(min(e.RetryAfter.Milliseconds(), 1<<31))}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		if op, ok := Lookup(req.Operation); ok && op.Changes {
			return Refuse(Status_OUTCOME_UNKNOWN, "it took too long: look before asking again")
		}
		return Refuse(Status_UNAVAILABLE, "it took too long")
	}
	return Refuse(Status_INTERNAL, "")
}
