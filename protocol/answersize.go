package protocol

// AnswerSize is how many bytes an answer to req takes at most. It is 0 for what is
// small: most answers are, and need no room made for them.
func AnswerSize(req *Request) int {
	op, ok := Lookup(req.Operation)
	if !ok {
		return 0
	}
	size := 0
	for _, field := range op.Out {
		switch field {
		case "results":
			for _, step := range req.Steps {
				size += smallAnswer + AnswerSize(step)
			}
		case "entries":
			if n := int(req.Limit); n != 0 {
				size += n * entrySize
			} else if _, listing := op.field("limit"); listing {
				size += defaultEntries * entrySize
			}
		case "value":
			size += MaxValue + smallAnswer
		case "wrapped":
			size += MaxSecret + WrapOverhead + smallAnswer
		case "kind", "public_key", "signature", "version", "exists", "next", "unloaded":
		default: // of no operation of a peer
			return MaxFrame
		}
	}
	return min(size, MaxFrame)
}

const (
	smallAnswer    = 512
	entrySize      = 3*MaxSegment + 512 // of a listing
	defaultEntries = 100                // a listing of no limit has no more
)

func (o *Operation) field(name string) (*Field, bool) {
	for i := range o.In {
		if o.In[i].Name == name {
			return &o.In[i], true
		}
	}
	return nil, false
}
