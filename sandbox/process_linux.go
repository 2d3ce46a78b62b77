package sandbox

import (
	"crypto/rand"
	"encoding/binary"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// program is the inode of the running program: an upgrade may have replaced the file.
const program = "/proc/self/exe"

// Private user ids are drawn from a range that neither distributions nor container managers hand out
// (systemd, "Users, Groups, UIDs and GIDs": 0x70000000 to 0x7fffffff are unused).
const (
	privateUID  = 0x70000000
	privateUIDs = 0x0fffffff
)

// startProcess starts the zone with as much of a wall around it as the system allows. A user namespace is not among
// it: every process of the owner's uid would have all rights over a process inside.
func startProcess(attr *os.ProcAttr, argv []string) (*os.Process, []Layer, error) {
	session := Layer{Name: "own session", Active: true}
	pdeath := Layer{Name: "dies with its parent", Active: true}
	uid := Layer{Name: "private uid", Note: "only root can give one"}
	spaces := Layer{Name: "namespaces", Note: "only root can make them without a user namespace"}

	type attempt struct{ uid, spaces bool }
	attempts := []attempt{{false, false}}
	if os.Geteuid() == 0 {
		// A container may forbid the one or the other, and the program may not be executable for others.
		attempts = []attempt{{true, true}, {true, false}, {false, true}, {false, false}}
		uid.Note, spaces.Note = "refused by the system", "refused by the system"
	}

	// This thread is the zone's for good, and what it gives up the zone has never had.
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return nil, nil, os.NewSyscallError("prctl(PR_SET_NO_NEW_PRIVS)", err)
	}
	var err error
	for _, a := range attempts {
		sys := &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
		if a.uid {
			var b [4]byte
			rand.Read(b[:])
			id := privateUID + binary.LittleEndian.Uint32(b[:])&privateUIDs
			sys.Credential = &syscall.Credential{Uid: id, Gid: id, Groups: []uint32{}}
		}
		if a.spaces {
			sys.Cloneflags = syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWIPC
		}
		attr.Sys = sys
		var process *os.Process
		if process, err = os.StartProcess(program, argv, attr); err != nil {
			continue
		}
		if a.uid {
			uid.Active, uid.Note = true, ""
		}
		if a.spaces {
			spaces.Active, spaces.Note = true, "net, pid, mount, ipc"
		}
		return process, []Layer{session, pdeath, uid, spaces}, nil
	}
	return nil, nil, err
}
