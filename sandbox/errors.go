package sandbox

import (
	"errors"
	"fmt"
	"syscall"
)

var (
	// ErrEnded is what every call of a zone that has ended fails with; see [EndedError] for why it ended.
	ErrEnded = errors.New("sandbox: the zone has ended")

	// ErrPanicked is the answer to a request whose handler panicked. The panic's value stays in the zone.
	ErrPanicked = errors.New("sandbox: the handler panicked")

	// ErrTooLarge is returned for a request, and answered for an answer, of more than [MaxPayload] bytes.
	ErrTooLarge = errors.New("sandbox: larger than 64 MiB")

	// ErrNoGate is returned by [Start] for a name that no [Gate] of this program has.
	ErrNoGate = errors.New("sandbox: no gate of that name in this program")
)

// A HandlerError is an error that a handler returned, as far as it crosses the pipe: its text, cut off after 4 KiB.
type HandlerError struct{ Text string }

func (e *HandlerError) Error() string { return e.Text }

// maxErrorText is how much of a handler's error crosses the pipe, in bytes.
const maxErrorText = 4 << 10

// A LayerError is returned by [Start] when a layer that is required could not be put up. No handler has run then.
type LayerError struct {
	Layer Layer
}

func (e *LayerError) Error() string {
	return fmt.Sprintf("sandbox: the required layer %q is missing: %s", e.Layer.Name, e.Layer.Note)
}

// A DeniedError is returned by [Start] when a system call filter that is not the zone's own ended it: that of a container or
// a service, under which the program runs.
type DeniedError struct {
	Call string // what it was about to do; "" if it did not come to say
}

func (e *DeniedError) Error() string {
	if e.Call == "" {
		return "sandbox: a system call filter that is not the zone's own ended it at its start"
	}
	return "sandbox: a system call filter that is not the zone's own ended it at " + e.Call
}

// A SetupError is returned by [Start] when the setup function given to [Gate] failed or panicked.
type SetupError struct{ Text string }

func (e *SetupError) Error() string { return "sandbox: setup: " + e.Text }

// A Reason is why a zone ended.
type Reason string

const (
	ReasonClosed Reason = "closed"             // by Close
	ReasonFilter Reason = "the syscall filter" // it made a system call that it may not make
	ReasonSignal Reason = "a signal"           // of another process, or of the kernel when memory is short
	ReasonExit   Reason = "exiting"            // a fault that Go does not recover from has exit code 2
	ReasonPipe   Reason = "the pipe"           // one side received what the other had not sent, or a counter was used up
)

// An EndedError says why a zone ended. errors.Is(err, [ErrEnded]) holds for it.
type EndedError struct {
	Reason   Reason
	Signal   syscall.Signal // with ReasonSignal and ReasonFilter, else 0
	ExitCode int            // with ReasonExit, else 0
	Err      error          // what the parent saw, with ReasonPipe; may be nil
}

func (e *EndedError) Error() string {
	switch e.Reason {
	case ReasonClosed:
		return "sandbox: the zone was closed"
	case ReasonFilter:
		return "sandbox: the zone was ended by the syscall filter"
	case ReasonSignal:
		return fmt.Sprintf("sandbox: the zone was ended by signal %d (%v)", int(e.Signal), e.Signal)
	case ReasonExit:
		return fmt.Sprintf("sandbox: the zone exited with status %d", e.ExitCode)
	case ReasonPipe:
		if e.Err != nil {
			return fmt.Sprintf("sandbox: the zone was ended because of its pipe: %v", e.Err)
		}
		return "sandbox: the zone ended because of what came over its pipe"
	}
	panic("sandbox: internal error: an end without a reason")
}

// Is makes every EndedError an [ErrEnded].
func (e *EndedError) Is(target error) bool { return target == ErrEnded }

func (e *EndedError) Unwrap() error { return e.Err }
