package simulator

import (
	"time"

	"hongyan/wechat"
)

// bucket is an allowance with its end. The window is [opened, until).
type bucket struct {
	left  int32
	until int64 // unix ms, 0 when it was never opened
}

// grants is what a fan's acts allow at present. With GrantsMax only the first bucket is
// used. Lifetimes are the platform's, without the margin that our client takes off.
type grants struct {
	buckets [wechat.TriggerCount]bucket
}

// paymentAllowance stands for the "unlimited in 48 h" of the service accounts' page
// (platform.md 3.2), which Switches.PaymentGrants turns on.
const (
	paymentMessages = 1_000_000
	paymentLifetime = 48 * time.Hour
)

// open applies an act at ms. It never adds to what is left (platform.md 3.4).
func (g *grants) open(model GrantModel, t wechat.Trigger, a wechat.Allowance, ms int64) {
	if a.Messages <= 0 || a.Lifetime <= 0 {
		return
	}
	fresh := bucket{left: int32(min(a.Messages, paymentMessages)), until: ms + a.Lifetime.Milliseconds()}
	if model != GrantsMax {
		g.buckets[t] = fresh
		return
	}
	b := &g.buckets[0]
	if b.until <= ms {
		*b = fresh
		return
	}
	b.left = max(b.left, fresh.left)
	b.until = max(b.until, fresh.until)
}

// spend takes one message at ms. It answers 45015 when no window is open and 45047 when
// the open ones are used up.
func (g *grants) spend(model GrantModel, ms int64) int {
	var chosen *bucket
	open := false
	for i := range g.buckets {
		b := &g.buckets[i]
		if b.until <= ms {
			continue
		}
		open = true
		if b.left > 0 && (chosen == nil || earlier(model, b, chosen)) {
			chosen = b
		}
	}
	switch {
	case !open:
		return codeWindowClosed
	case chosen == nil:
		return codeGrantUsedUp
	}
	chosen.left--
	return codeOK
}

// earlier says whether b is spent before c.
func earlier(model GrantModel, b, c *bucket) bool {
	if model == GrantsSeparateLatest {
		return b.until > c.until
	}
	return b.until < c.until
}

// close ends every window, as unfollowing does.
func (g *grants) close() { *g = grants{} }

// Window is an open allowance of a fan. With GrantsMax there is one, without a trigger.
type Window struct {
	Trigger string    `json:"trigger,omitempty"`
	Left    int       `json:"left"`
	Until   time.Time `json:"until"`
}

func (g *grants) windows(model GrantModel, ms int64) []Window {
	var out []Window
	for i, b := range g.buckets {
		if b.until <= ms {
			continue
		}
		w := Window{Left: int(b.left), Until: time.UnixMilli(b.until).UTC()}
		if model != GrantsMax {
			w.Trigger = wechat.Trigger(i).String()
		}
		out = append(out, w)
	}
	return out
}
