package control

import "golang.org/x/sys/unix"

// maxPath is how long a socket's path may be, without the 0 at its end.
const maxPath = 103

// peerOf is the user and the process at the other end.
func peerOf(fd int) (uid, process int, err error) {
	cred, err := unix.GetsockoptXucred(fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
	if err != nil {
		return 0, 0, err
	}
	process, err = unix.GetsockoptInt(fd, unix.SOL_LOCAL, unix.LOCAL_PEERPID)
	return int(cred.Uid), process, err
}
