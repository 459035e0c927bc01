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
	// RotateRefreshTokens makes every use of a component's refresh token give a new one and
	// the old one useless (61023). By default it stays the same until the account's owner
	// withdraws and authorises again (platform.md 1.5).
	RotateRefreshTokens bool `json:"rotate_refresh_tokens,omitempty"`
	// AuthCodeOnce refuses the second exchange of an authorisation code (61009). By default
	// the code of the page and that of the event, which is the same, can both be exchanged.
	AuthCodeOnce bool `json:"auth_code_once,omitempty"`
	// PreAuthCodeLife is how long a pre-authorisation code is good; 0 is 1800 s. The
	// platform's pages also have 600 s.
	PreAuthCodeLife Duration `json:"pre_auth_code_life,omitempty"`
	// PushSpacing is the pause between two tries of a push; 0 tries again at once.
	PushSpacing Duration `json:"push_spacing,omitempty"`
	// MenuItems and MenuItemBytes bound an in-chat menu message (45098, 45099); 0 does not.
	MenuItems     int `json:"menu_items,omitempty"`
	MenuItemBytes int `json:"menu_item_bytes,omitempty"`
	// TemplateRepeat is how a client_msg_id that was seen before is answered; TemplateWindow is how long it is
	// remembered, 0 for 10 minutes.
	TemplateRepeat TemplateRepeat `json:"template_repeat,omitempty"`
	TemplateWindow Duration       `json:"template_window,omitempty"`
	// TemplateRefuses answers 43101 for a template that the fan has turned off; by default the message is taken and
	// the receipt says failed:user block.
	TemplateRefuses bool `json:"template_refuses,omitempty"`
	// TemplateCut cuts values that are too long; by default they are refused (47003).
	TemplateCut bool `json:"template_cut,omitempty"`
	// TemplateGap is the least time between two template messages to a fan, 0 for none. What comes sooner is
	// refused (43117) or, with TemplateGapLater, taken and reported as failed:freq limit.
	TemplateGap      Duration `json:"template_gap,omitempty"`
	TemplateGapLater bool     `json:"template_gap_later,omitempty"`
	// ReceiptDelay is how long after a template message or notice its receipt is pushed. 0 pushes it at once, before
	// or after the answer; ReceiptFirst delivers it before the answer.
	ReceiptDelay Duration `json:"receipt_delay,omitempty"`
	ReceiptFirst bool     `json:"receipt_first,omitempty"`
	// NoticeNeedsFan lets subscription notices reach only persons who follow.
	NoticeNeedsFan bool `json:"notice_needs_fan,omitempty"`
	// KnownArticles lets mpnewsarticle name published articles only (53600); by default any id is taken.
	KnownArticles bool `json:"known_articles,omitempty"`
	// LongScenes lets a temporary QR code have a scene of more than 64 characters.
	LongScenes bool `json:"long_scenes,omitempty"`
	// QRExpiry is the life of a temporary QR code that was made without expire_seconds; 0 is 30 s.
	QRExpiry Duration `json:"qr_expiry,omitempty"`
	// NamesInBytes measures tag names and remarks in bytes and not in characters.
	NamesInBytes bool `json:"names_in_bytes,omitempty"`
	// StrangerUnionID makes user/info tell the unionid of persons who do not follow.
	StrangerUnionID bool `json:"stranger_unionid,omitempty"`
	// TagPartly tags the others of a batch in which a fan cannot be tagged, and answers 45171
	// with a list of those who were not. By default such a batch is refused as a whole.
	TagPartly bool `json:"tag_partly,omitempty"`
	// BlacklistPage is how many fans a page of the blacklist holds: 1000 or 10000; 0 is 1000.
	BlacklistPage int `json:"blacklist_page,omitempty"`
	// LongPeriods lets weekly and monthly message statistics be asked for 30 days at once, as the older page has it. By
	// default begin and end must be the same day (platform.md 11).
	LongPeriods bool `json:"long_periods,omitempty"`
	// AgentsServiceOnly keeps agents, sessions and chat records from subscription accounts, as
	// the older table of rights has it (48001; platform.md 0.2).
	AgentsServiceOnly bool `json:"agents_service_only,omitempty"`
	// StrictMedia lets messages, drafts and menus name only uploaded, living media of the right
	// kind (40007); by default an id that the simulator has never seen is taken.
	StrictMedia bool `json:"strict_media,omitempty"`
	// ConditionalMenus is how many conditional menus an account may have (65305); 0 does not
	// bound them: the platform's figure is not published.
	ConditionalMenus int `json:"conditional_menus,omitempty"`
	// LooseRequests takes what published SDKs send and no page of today describes: fields that are gone, optional
	// members without content, a number for a text, POST for GET. By default each is refused (platform.md 0.3).
	LooseRequests bool `json:"loose_requests,omitempty"`
	// NumberIDs answers kf_id and publish_id as numbers, as SDKs read them; by default they are texts where the pages
	// have texts (platform.md 0.3).
	NumberIDs bool `json:"number_ids,omitempty"`
	// Mass is about mass sends.
	Mass MassSwitches `json:"mass,omitzero"`
}

// normalise fills defaults and refuses what does not exist.
func (s *Switches) normalise() error {
	if err := s.checkTemplates(); err != nil {
		return err
	}
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
	switch s.BlacklistPage {
	case 0:
		s.BlacklistPage = blacklistPage
	case blacklistPage, blacklistPageOld:
	default:
		return fault.BadField("blacklist_page", "unknown_size", "must be 1000 or 10000")
	}
	if err := s.Mass.normalise(); err != nil {
		return err
	}
	switch s.TokenCode {
	case 0, codeBadCredential, codeBadToken, codeTokenExpired:
		return nil
	default:
		return fault.BadField("token_code", "unknown_code", "must be 40001, 40014 or 42001")
	}
}
