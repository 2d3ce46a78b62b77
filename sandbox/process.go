package sandbox

import (
	"os"
)

// A child is the process of a zone, as the parent holds it.
type child struct {
	process *os.Process
	ends    []end      // the parent's: r has the answers, w the requests
	quick   *quickLane // nil where there is none; the zone has its pipes last
	layers  []Layer    // those that the parent put up
}

// processorToSpare is how much larger the zone's GOMAXPROCS is than the number of its workers. While each worker waits in
// the kernel for a request, one is idle: without, the runtime's monitor takes the waiting ones for lack of another, and
// keeps looking every 20 µs, and who gets a request must find a processor first.
const processorToSpare = 1

// kill ends the process. One that has ended already stays as it is.
func (c *child) kill() { c.process.Kill() }

// closeWriters tells the zone that nothing more will come.
func (c *child) closeWriters() {
	for _, e := range c.ends {
		e.w.Close()
	}
}

func (c *child) close() {
	for _, e := range c.ends {
		e.w.Close()
		e.r.Close()
	}
	if c.quick != nil {
		c.quick.close()
	}
}

// pipePairs makes n pipe pairs and returns both sides.
func pipePairs(n int) (parent, zone []end, err error) {
	for range n {
		var p, z end
		if z.r, p.w, err = os.Pipe(); err != nil {
			break
		}
		if p.r, z.w, err = os.Pipe(); err != nil {
			z.r.Close()
			p.w.Close()
			break
		}
		parent, zone = append(parent, p), append(zone, z)
	}
	if err != nil {
		closeEnds(parent)
		closeEnds(zone)
		return nil, nil, err
	}
	return parent, zone, nil
}

func closeEnds(ends []end) {
	for _, e := range ends {
		e.r.Close()
		e.w.Close()
	}
}
