package scheduler

import (
	"sync"

	"gorm.io/gorm"

	"hongyan/campaigns"
)

// capCache keeps campaigns' own daily caps for one stop epoch: every change of a campaign raises it, so a slice of a hundred messages need not ask.
type capCache struct {
	campaigns *campaigns.Store

	mu    sync.Mutex
	epoch int64
	most  map[capKey]int
}

type capKey struct{ accountID, campaignID int64 }

func newCapCache(c *campaigns.Store) *capCache {
	return &capCache{campaigns: c, most: map[capKey]int{}}
}

// read returns the daily caps of campaigns as of an epoch, -1 for none.
func (c *capCache) read(tx *gorm.DB, accountID, epoch int64, ids []int64) (map[int64]int, error) {
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
		out[id] = -1
		if s, drip := sending[id]; drip {
			out[id] = s.Cap
		}
		if c.epoch == epoch {
			c.most[capKey{accountID, id}] = out[id]
		}
	}
	return out, nil
}

func (c *capCache) known(accountID, epoch int64, ids []int64) (out map[int64]int, missing []int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.epoch != epoch {
		c.epoch = epoch
		clear(c.most)
	}
	out = make(map[int64]int, len(ids))
	for _, id := range ids {
		if most, known := c.most[capKey{accountID, id}]; known {
			out[id] = most
		} else {
			missing = append(missing, id)
		}
	}
	return out, missing
}
