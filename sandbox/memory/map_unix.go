//go:build unix && !linux

package memory

import (
	"fmt"

	"golang.org/x/sys/unix"
)

func pageSize() int { return unix.Getpagesize() }

// mapPages maps size bytes with mlock and a page on each side that nothing may touch.
func mapPages(size, page int) (mapping, error) {
	whole, err := unix.Mmap(-1, 0, size+2*page, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return mapping{}, fmt.Errorf("memory: reserving %d bytes: %w", size+2*page, err)
	}
	unmap := func() error { return unix.Munmap(whole) }
	pages := whole[page : page+size : page+size]
	if err := unix.Mprotect(pages, unix.PROT_READ|unix.PROT_WRITE); err != nil {
		unmap()
		return mapping{}, fmt.Errorf("memory: mprotect: %w", err)
	}
	if err := unix.Mlock(pages); err != nil {
		unmap()
		return mapping{}, &LockError{size, fmt.Errorf("mlock: %w", err)}
	}
	for i := 0; i < size; i += page {
		pages[i] = 0
	}
	return mapping{pages: pages, kind: "locked pages", unmap: unmap}, nil
}
