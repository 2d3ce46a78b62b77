package control

import "golang.org/x/sys/unix"

// maxPath is how long a socket's path may be, without the 0 at its end.
const maxPath = 103

func peerUID(fd int) (int, error) {
	cred, err := unix.GetsockoptXucred(fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
	if err != nil {
		return 0, err
	}
	return int(cred.Uid), nil
}
