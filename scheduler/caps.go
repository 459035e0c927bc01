package scheduler

import (
	"sync"

	"gorm.io/gorm"

	"hongyan/campaigns"
	"hongyan/guard"
)

// capCache keeps campaigns' own caps for one stop epoch: every change of a campaign raises it, so a slice of a hundred messages need not ask.
type capCache struct {
	campaigns *campaigns.Store

	mu    sync.Mutex
	epoch int64
	caps  map[capKey]guard.Caps
}

type capKey struct{ accountID, campaignID int64 }

func newCapCache(c *campaigns.Store) *capCache {
	return &capCache{campaigns: c, caps: map[capKey]guard.Caps{}}
}

// read returns the own caps of campaigns as of an epoch.
func (c *capCache) read(tx *gorm.DB, accountID, epoch int64, ids []int64) (map[int64]guard.Caps, error) {
	out, missing := c.known(accountID, epoch, ids)
	if len(missing) == 0 {
		return out, nil
	}
	sending, err := c.campaigns.Sending(tx, accountID, missing)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range missing {
		out[id] = guard.NoCaps()
		if s, drip := sending[id]; drip {
			out[id] = s.Caps
		}
		if c.epoch == epoch {
			c.caps[capKey{accountID, id}] = out[id]
		}
	}
	return out, nil
}

func (c *capCache) known(accountID, epoch int64, ids []int64) (out map[int64]guard.Caps, missing []int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.epoch != epoch {
		c.epoch = epoch
		clear(c.caps)
	}
	out = make(map[int64]guard.Caps, len(ids))
	for _, id := range ids {
		if caps, known := c.caps[capKey{accountID, id}]; known {
			out[id] = caps
		} else {
			missing = append(missing, id)
		}
	}
	return out, missing
}
