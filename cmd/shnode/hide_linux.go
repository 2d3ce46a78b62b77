package main

import "golang.org/x/sys/unix"

// hide keeps other processes of the same user out of this one's memory, by ptrace
// and /proc, and keeps it out of core dumps: a command has what a person types, and a
// node the secrets that it was made to see. Who wants to debug it has to be root.
func hide() { unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) } // a kernel or container that refuses it takes nothing else away
