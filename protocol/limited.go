package protocol

import (
	"context"
	"sync"
	"time"
)

// limitedContext is context.WithDeadline that sets up a timer, and joins its
// parent, only for a handler that waits for its end: most are done before that
// would have been.
type limitedContext struct {
	context.Context
	at time.Time

	mu     sync.Mutex
	made   context.Context // nil as long as nobody has asked for it
	cancel context.CancelFunc
	over   bool // released
}

// make makes the context that this one stands for.
func (c *limitedContext) make() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.made == nil {
		c.made, c.cancel = context.WithDeadline(c.Context, c.at)
		if c.over {
			c.cancel()
		}
	}
	return c.made
}

// release ends it, as a context's cancel function does.
func (c *limitedContext) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	if c.made != nil {
		c.cancel()
	}
}

func (c *limitedContext) Deadline() (time.Time, bool) {
	if at, ok := c.Context.Deadline(); ok && at.Before(c.at) {
		return at, true
	}
	return c.at, true
}

func (c *limitedContext) Done() <-chan struct{} { return c.make().Done() }

func (c *limitedContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.made != nil:
		return c.made.Err()
	case c.over:
		return context.Canceled
	case c.Context.Err() != nil:
		return c.Context.Err()
	case !time.Now().Before(c.at):
		return context.DeadlineExceeded
	}
	return nil
}

// Value is that of the made context, once there is one: context finds by it
// that its children need no goroutine.
func (c *limitedContext) Value(key any) any {
	c.mu.Lock()
	made := c.made
	c.mu.Unlock()
	if made != nil {
		return made.Value(key)
	}
	return c.Context.Value(key)
}
