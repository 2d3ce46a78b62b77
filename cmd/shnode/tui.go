package main

// What a person reads and types. The rules:
//
//   - What a command was asked for goes to stdout, plain or as JSON.
//   - What a person types goes over the terminal, and is erased where it can be.
//   - Everything else goes to stderr after "shnode: ", begins in lower case and
//     ends without a full stop. Nothing there repeats a secret or a value that
//     did not parse.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"text/tabwriter"
	"unicode"

	"golang.org/x/term"
)

func (a *app) errorf(format string, v ...any) {
	fmt.Fprintf(a.stderr, "shnode: error: "+format+"\n", v...)
}

func (a *app) hintf(format string, v ...any) {
	fmt.Fprintf(a.stderr, "shnode: hint: "+format+"\n", v...)
}

func (a *app) warnf(format string, v ...any) {
	fmt.Fprintf(a.stderr, "shnode: warning: "+format+"\n", v...)
}

// talkf tells a person what happened. Scripts say --quiet.
func (a *app) talkf(format string, v ...any) {
	if !a.quiet {
		fmt.Fprintf(a.stderr, "shnode: "+format+"\n", v...)
	}
}

// printJSON writes v as one line.
func (a *app) printJSON(v any) error {
	enc := json.NewEncoder(a.stdout)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// print writes v with --json, else the line.
func (a *app) print(v any, line string) error {
	if a.json {
		return a.printJSON(v)
	}
	_, err := fmt.Fprintln(a.stdout, line)
	return err
}

// table writes rows in columns, the first one being the heading. Cells come
// from nodes, so what would move the cursor is shown as '?'.
func (a *app) table(rows [][]string) error {
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i, cell := range row {
			row[i] = printable(cell)
		}
		fmt.Fprintln(w, strings.TrimRight(strings.Join(row, "\t"), "\t"))
	}
	return w.Flush()
}

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
}

// withTerminal runs f with the terminal, whatever stdin and stdout are.
func withTerminal(f func(in, out *os.File) error) error {
	if runtime.GOOS == "windows" {
		in, err := os.OpenFile("CONIN$", os.O_RDWR, 0)
		if err != nil {
			return errNoTerminal
		}
		defer in.Close()
		out, err := os.OpenFile("CONOUT$", os.O_WRONLY, 0)
		if err != nil {
			return errNoTerminal
		}
		defer out.Close()
		return f(in, out)
	}
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err == nil {
		defer tty.Close()
		return f(tty, tty)
	}
	if term.IsTerminal(int(os.Stdin.Fd())) {
		return f(os.Stdin, os.Stderr)
	}
	return errNoTerminal
}

var errNoTerminal = errors.New("there is no terminal")

// readSecret reads a line from the terminal, without showing it.
func readSecret(ctx context.Context, prompt string) (secret []byte, err error) {
	err = withTerminal(func(in, out *os.File) error {
		fd := int(in.Fd())
		before, err := term.GetState(fd)
		if err != nil {
			return errNoTerminal
		}
		fmt.Fprintf(out, "%s ", prompt)
		defer fmt.Fprintln(out)
		secret, err = await(ctx, func() ([]byte, error) { return term.ReadPassword(fd) })
		if err == io.EOF { // Ctrl-D: nothing was typed
			err = nil
		}
		if ctx.Err() != nil {
			term.Restore(fd, before) // ReadPassword still waits, with echo off
		}
		return err
	})
	return secret, err
}

// await runs a read that no context can end, and leaves it behind if ctx ends
// first: the process is about to.
func await(ctx context.Context, read func() ([]byte, error)) ([]byte, error) {
	type result struct {
		b   []byte
		err error
	}
	ch := make(chan result, 1)
	go func() {
		b, err := read()
		ch <- result{b, err}
	}()
	select {
	case r := <-ch:
		return r.b, r.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// isTerminal says whether a person sits at r.
func isTerminal(r io.Reader) bool {
	f, ok := r.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// printIf writes v with --json, else nothing: what happened has been said.
func (a *app) printIf(v any) error {
	if a.json {
		return a.printJSON(v)
	}
	return nil
}

// hint is for a command that succeeded.
func (a *app) hint(what string) {
	if !a.quiet {
		a.hintf("%s", what)
	}
}
