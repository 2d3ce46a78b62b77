package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// terminal opens a pseudo-terminal: its two ends.
func terminal(t *testing.T) (ours, theirs *os.File) {
	ours, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no pseudo-terminals here:", err)
	}
	t.Cleanup(func() { ours.Close() })
	conn, err := ours.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var n int
	conn.Control(func(fd uintptr) {
		if err = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); err == nil {
			n, err = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	theirs, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { theirs.Close() })
	return ours, theirs
}

// What a person types at a prompt is not shown. The scripts cannot tell: their
// terminal holds all input before the prompt is there.
func TestTerminalShowsNoPassphrase(t *testing.T) {
	ours, cmd := initAtTerminal(t)
	var shown bytes.Buffer
	for _, prompt := range []string{"passphrase: ", "the same again: "} {
		readUntil(t, ours, &shown, prompt)
		awaitEcho(t, ours, false)
		if _, err := ours.WriteString("swordfish\n"); err != nil {
			t.Fatal(err)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	awaitEcho(t, ours, true)
	ours.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	shown.ReadFrom(ours)
	if strings.Contains(shown.String(), "fish") {
		t.Errorf("the terminal shows %q", &shown)
	}
}

// Ctrl-C at a prompt ends the program, and the terminal shows again what is typed.
func TestTerminalInterrupt(t *testing.T) {
	ours, cmd := initAtTerminal(t)
	readUntil(t, ours, new(bytes.Buffer), "passphrase: ")
	awaitEcho(t, ours, false)
	if _, err := ours.WriteString("sword\x03"); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	if exit := cmd.ProcessState.ExitCode(); exit != exitInterrupted {
		t.Errorf("exit code %d", exit)
	}
	awaitEcho(t, ours, true)
}

// initAtTerminal starts a command that asks for a new passphrase.
func initAtTerminal(t *testing.T) (ours *os.File, cmd *exec.Cmd) {
	ours, theirs := terminal(t)
	cmd, err := self(t.Context(), "--home", t.TempDir()+"/home", "init", "--cost", "17")
	if err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(os.Environ(), "SHNODE_PASSPHRASE_FILE=")
	cmd.Stdin = theirs
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return ours, cmd
}

func readUntil(t *testing.T, f *os.File, shown *bytes.Buffer, text string) {
	f.SetReadDeadline(time.Now().Add(20 * time.Second))
	b := make([]byte, 256)
	for !strings.HasSuffix(shown.String(), text) {
		n, err := f.Read(b)
		if err != nil {
			t.Fatalf("no %q in %q: %v", text, shown, err)
		}
		shown.Write(b[:n])
	}
}

// awaitEcho waits until the terminal shows what is typed, or does not.
func awaitEcho(t *testing.T, f *os.File, want bool) {
	conn, err := f.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		var state *unix.Termios
		conn.Control(func(fd uintptr) { state, err = unix.IoctlGetTermios(int(fd), unix.TCGETS) })
		if err != nil {
			t.Fatal(err)
		}
		if (state.Lflag&unix.ECHO != 0) == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("echo stays %v", !want)
		}
	}
}
