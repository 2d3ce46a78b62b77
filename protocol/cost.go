package protocol

import "time"

// HeavyCost is what a request costs that is not done beside others without a thought:
// whoever hands out the zone's time, and the zone, treat it in another way.
const HeavyCost = 500 * time.Microsecond

const (
	costByte    = 5 * time.Nanosecond // of a body: it is decrypted, decoded, and hashed or sealed, mostly twice
	costUse     = 30 * time.Microsecond
	costMake    = 60 * time.Microsecond   // a key, or an agreement: what is sealed is opened with one
	costWalk    = 2 * time.Millisecond    // over records, more than are shown
	costStretch = 1500 * time.Microsecond // 2048 rounds of a hash (BIP 39)
)

// Cost is about how long the zone works for a request, on one processor. It is what
// askers are held to who share it: so it is to be right in proportion, whatever the
// machine. Locations cost nothing: all have one.
func Cost(req *Request) time.Duration {
	cost := costUse
	switch req.Operation {
	case "bip39.generate", "bip39.recover":
		cost = costStretch
	case "record.list", "store.list", "zone.carry", "zone.fold", "zone.load":
		cost = costWalk
	case "key.generate", "key.import", "record.write", "slip10.derive", "slip10.generate":
		cost = costMake
	case "pipeline.run":
		cost = 0
		for _, step := range req.Steps {
			cost += Cost(step)
		}
	}
	body := len(req.Message) + len(req.Value) + len(req.IfValue) + len(req.Secret) + len(req.Passphrase) + len(req.Wrapped)
	return cost + time.Duration(body)*costByte
}
