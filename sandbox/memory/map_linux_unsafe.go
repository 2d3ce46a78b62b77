//go:build linux

package memory

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sysMemfdSecret is the number of memfd_secret(2) on every architecture; x/sys names it on three of them only.
const sysMemfdSecret = 447

func pageSize() int { return unix.Getpagesize() }

// mapPages reserves size bytes and a page on each side that nothing may touch, and fills the middle with memory that
// is never swapped out and not dumped.
func mapPages(size, page int) (mapping, error) {
	whole := uintptr(size + 2*page)
	base, err := unix.MmapPtr(-1, 0, nil, whole, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return mapping{}, fmt.Errorf("memory: reserving %d bytes: %w", whole, err)
	}
	middle := unsafe.Add(base, page)
	m := mapping{
		pages: unsafe.Slice((*byte)(middle), size),
		kind:  "memfd_secret",
		unmap: func() error { return unix.MunmapPtr(base, whole) },
	}
	secretErr := mapSecret(middle, size)
	if secretErr != nil {
		m.kind = "locked pages"
		if err := mapLocked(middle, size); err != nil {
			m.unmap()
			return mapping{}, &LockError{size, fmt.Errorf("%w; and before that: %w", err, secretErr)}
		}
	}
	for i := 0; i < size; i += page {
		m.pages[i] = 0
	}
	return m, nil
}

// mapSecret puts memory there that is taken out of the kernel's own view: /proc/PID/mem, process_vm_readv and ptrace
// fail on it, for root too. It is locked by nature and counts against RLIMIT_MEMLOCK. The error leaves what was there.
func mapSecret(at unsafe.Pointer, size int) error {
	r, _, errno := unix.Syscall(sysMemfdSecret, unix.O_CLOEXEC, 0, 0)
	if errno != 0 {
		return fmt.Errorf("memfd_secret: %w", errno)
	}
	fd := int(r)
	defer unix.Close(fd)
	if err := unix.Ftruncate(fd, int64(size)); err != nil {
		return fmt.Errorf("memfd_secret: ftruncate: %w", err)
	}
	_, err := unix.MmapPtr(fd, 0, at, uintptr(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_FIXED)
	if err != nil {
		return fmt.Errorf("memfd_secret: mmap: %w", err)
	}
	return nil
}

func mapLocked(at unsafe.Pointer, size int) error {
	// Mapped anew, since a MAP_FIXED that failed may have taken the reservation away.
	_, err := unix.MmapPtr(-1, 0, at, uintptr(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_FIXED)
	if err != nil {
		return fmt.Errorf("mmap: %w", err)
	}
	pages := unsafe.Slice((*byte)(at), size)
	if err := unix.Mlock(pages); err != nil {
		return fmt.Errorf("mlock: %w", err)
	}
	// A child born by fork would hold a copy, and a core dump another.
	if err := unix.Madvise(pages, unix.MADV_DONTFORK); err != nil {
		return fmt.Errorf("madvise(MADV_DONTFORK): %w", err)
	}
	if err := unix.Madvise(pages, unix.MADV_DONTDUMP); err != nil {
		return fmt.Errorf("madvise(MADV_DONTDUMP): %w", err)
	}
	return nil
}
