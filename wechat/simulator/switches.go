package simulator

import "hongyan/internal/fault"

// GrantModel is a reading of how overlapping grants of a fan combine (platform.md 3.4).
type GrantModel string

// The readings that property tests run under.
const (
	// GrantsMax keeps one allowance per fan: an act raises what is left to at least its own
	// count and the deadline to at least its own. It is the documented rule of mini-programs.
	GrantsMax GrantModel = "max"
	// GrantsSeparateSoonest keeps a bucket per trigger and spends the one that ends first.
	GrantsSeparateSoonest GrantModel = "separate_soonest"
	// GrantsSeparateLatest keeps a bucket per trigger and spends the one that ends last.
	GrantsSeparateLatest GrantModel = "separate_latest"
)

// GrantModels lists the readings, for tests that run under each.
func GrantModels() []GrantModel {
	return []GrantModel{GrantsMax, GrantsSeparateSoonest, GrantsSeparateLatest}
}

// Switches choose how the simulator behaves where the platform is not documented
// (platform.md 13.3). The zero value is the likeliest reading.
type Switches struct {
	// Grants is how grants combine; "" is GrantsMax.
	Grants GrantModel `json:"grants,omitempty"`
	// NotFan is the code for a message to somebody who does not follow: 45015 or 43004;
	// 0 is 45015.
	NotFan int `json:"not_fan,omitempty"`
	// TokenCode answers every bad access token with one code: 40001, 40014 or 42001.
	// 0 tells malformed, superseded and expired tokens apart.
	TokenCode int `json:"token_code,omitempty"`
	// PassiveConsumes makes a passive reply use one message of the grant.
	PassiveConsumes bool `json:"passive_consumes,omitempty"`
	// AgentFree makes a human agent's message use none; by default it uses one.
	AgentFree bool `json:"agent_free,omitempty"`
	// PaymentGrants lets a payment open the rule set's grant or, if that has none, an
	// unlimited one for 48 h.
	PaymentGrants bool `json:"payment_grants,omitempty"`
	// TapIsMessage makes a tap on an in-chat menu item count as a message of the fan
	// (5 in 48 h) and not as a menu tap.
	TapIsMessage bool `json:"tap_is_message,omitempty"`
	// ScanFollowBoth makes following by a QR code open the scan grant beside the follow
	// grant. It matters only with separate buckets.
	ScanFollowBoth bool `json:"scan_follow_both,omitempty"`
	// BurstDelivers makes the -1 of a burst a lie: the message is delivered all the same.
	BurstDelivers bool `json:"burst_delivers,omitempty"`
	// PushSpacing is the pause between two tries of a push; 0 tries again at once.
	PushSpacing Duration `json:"push_spacing,omitempty"`
	// MenuItems and MenuItemBytes bound an in-chat menu message (45098, 45099); 0 does not.
	MenuItems     int `json:"menu_items,omitempty"`
	MenuItemBytes int `json:"menu_item_bytes,omitempty"`
}

// normalise fills defaults and refuses what does not exist.
func (s *Switches) normalise() error {
	switch s.Grants {
	case "":
		s.Grants = GrantsMax
	case GrantsMax, GrantsSeparateSoonest, GrantsSeparateLatest:
	default:
		return fault.BadField("grants", "unknown_model", "no grant model is called %q", s.Grants)
	}
	switch s.NotFan {
	case 0:
		s.NotFan = codeWindowClosed
	case codeWindowClosed, codeRequireSubscribe:
	default:
		return fault.BadField("not_fan", "unknown_code", "must be 45015 or 43004")
	}
	switch s.TokenCode {
	case 0, codeBadCredential, codeBadToken, codeTokenExpired:
		return nil
	default:
		return fault.BadField("token_code", "unknown_code", "must be 40001, 40014 or 42001")
	}
}
