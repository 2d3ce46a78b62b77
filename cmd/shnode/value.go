package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/stronghold-go/stronghold/protocol"
)

// maxText is how much is read where a short text is meant, in bytes.
const maxText = 64 << 10

// value is what an argument stands for: - is stdin, @FILE a file, anything else
// itself. name is for errors.
func (a *app) value(ctx context.Context, name, arg string) ([]byte, error) {
	if arg != "-" && !strings.HasPrefix(arg, "@") {
		return []byte(arg), nil
	}
	return a.read(ctx, name, arg, maxText)
}

// text is a value without the space around it.
func (a *app) text(ctx context.Context, name, arg string) (string, error) {
	b, err := a.value(ctx, name, arg)
	return string(bytes.TrimSpace(b)), err
}

// read reads a file that an argument names: FILE, @FILE, or - for stdin. It
// takes at most limit bytes.
func (a *app) read(ctx context.Context, name, arg string, limit int) ([]byte, error) {
	r, err := a.open(name, arg)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return await(ctx, func() ([]byte, error) { return readUpTo(r, name, limit) })
}

// open is [app.read] for those who read by themselves.
func (a *app) open(name, arg string) (io.ReadCloser, error) {
	if arg != "-" {
		return os.Open(strings.TrimPrefix(arg, "@"))
	}
	if a.stdinTaken {
		return nil, usage("stdin can be read once, not for "+name+" too", "put one of the values into a file and name it with @FILE")
	}
	a.stdinTaken = true
	return io.NopCloser(a.stdin), nil
}

// fileOrStdin is the last argument of commands that take [FILE].
func fileOrStdin(args []string) string {
	if len(args) == 0 {
		return "-"
	}
	return args[0]
}

func readUpTo(r io.Reader, name string, limit int) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	if len(b) > limit {
		clear(b)
		return nil, &tooMuch{name, limit}
	}
	return b, nil
}

// tooMuch is what [readUpTo] gives for a longer input.
type tooMuch struct {
	name  string
	limit int
}

func (e *tooMuch) Error() string { return fmt.Sprintf("%s is longer than %d bytes", e.name, e.limit) }

// record reads an argument that names one record.
func record(arg string) (*protocol.Location, error) {
	loc, err := location(arg)
	if err == nil && loc.Depth() != 3 {
		err = usage("a record is named client/vault/record", locationHint)
	}
	return loc, err
}

// prefix reads an argument that names what lies below it.
func prefix(arg string) (*protocol.Location, error) {
	loc, err := location(arg)
	if err == nil && loc.Depth() == 3 {
		err = usage("a listing takes client, or client/vault", locationHint)
	}
	return loc, err
}

const locationHint = "for example wallet/keys/main; bytes that would not do are written %2F"

func location(arg string) (*protocol.Location, error) {
	loc, err := protocol.ParseLocation(arg)
	if err != nil {
		return nil, usage(err.Error(), locationHint)
	}
	return loc, nil
}
