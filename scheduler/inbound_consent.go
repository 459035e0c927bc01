package scheduler

import (
	"context"
	"fmt"
	"strings"

	"gorm.io/gorm"

	"hongyan/fans"
	"hongyan/wechat/callback"
)

// personOf is the openid of the person whom a push is about. Changes of consent come in the name of a service of the platform and name the person inside.
func personOf(e *callback.Event) string {
	if a, ok := e.Payload.(callback.Authorization); ok {
		if openid := strings.TrimSpace(a.OpenID); openid != "" {
			return openid
		}
	}
	return e.FromUser
}

// consents are the pushes of a set by which people took back what an account may know of them (platform.md 2.5).
type consents struct {
	pushes   []int64
	profiles []string // openids of those whose nickname and portrait may not be kept
	erase    []string // openids of those who closed their WeChat account: nothing may be kept
}

// take reports whether a push is one of them, and remembers what it asks for.
func (c *consents) take(inboxID int64, e *callback.Event) bool {
	a, ok := e.Payload.(callback.Authorization)
	if !ok {
		return false
	}
	c.pushes = append(c.pushes, inboxID)
	switch {
	case e.Name == "user_authorization_cancellation":
		c.erase = append(c.erase, personOf(e))
	case e.Name == "user_info_modified" || fans.RevokesProfile(a.RevokeInfo):
		c.profiles = append(c.profiles, personOf(e))
	}
	return true
}

// consent forgets what people took back, after what they did before that was recorded, and ends the work on their pushes. What is done twice here would
// erase a person who has come back meanwhile, so it is one transaction with the end of the work.
func (in *Inbound) consent(ctx context.Context, accountID int64, c *consents) error {
	if len(c.pushes) == 0 {
		return nil
	}
	err := in.db.Tx(ctx, func(tx *gorm.DB) error {
		if err := in.fans.ForgetProfiles(tx, accountID, c.profiles); err != nil {
			return err
		}
		if err := in.fans.EraseWithdrawn(tx, in.clock.Now().UnixMilli(), accountID, c.erase); err != nil {
			return err
		}
		return in.inbox.Done(tx, c.pushes)
	})
	if err != nil {
		return fmt.Errorf("forget what people took back: %w", err)
	}
	return nil
}
