package guard

// Class says how much a message may ask of a fan (design 5.1). The numbers are stored.
type Class uint8

// The classes.
const (
	ClassReply     Class = iota + 1 // answers what the fan just did; free of cap, gap and quiet hours
	ClassService                    // a notice the fan is owed, attested by a member
	ClassMarketing                  // everything else
)

// Channel is the way a message takes. The numbers are stored.
type Channel uint8

// The channels.
const (
	ChannelKefu    Channel = iota + 1 // customer-service message 客服消息: needs a grant
	ChannelPassive                    // passive reply 被动回复: the answer to the push itself, needs none
)

// Kind is what the guard says: send it, try again later, or never.
type Kind uint8

// The kinds of verdict. The numbers are stored.
const (
	Allow Kind = iota + 1
	Defer
	Skip
)

var kindNames = map[Kind]string{Allow: "allow", Defer: "defer", Skip: "skip"}

// String is the name used in traces and logs.
func (k Kind) String() string { return kindNames[k] }

// Reason is why: exactly one from a closed list for every stop. The numbers are stored.
type Reason uint8

// The reasons of a verdict, in the order in which Decide asks (design 5.5).
const (
	ReasonNone                Reason = 0
	ReasonInstallationStopped Reason = 1
	ReasonAccountStopped      Reason = 2
	ReasonCampaignStopped     Reason = 3
	ReasonFanGone             Reason = 4
	ReasonBlacklisted         Reason = 5
	ReasonOptedOut            Reason = 6
	ReasonHeldOut             Reason = 7
	ReasonTooLate             Reason = 8
	ReasonDuplicate           Reason = 9
	ReasonSuperseded          Reason = 10
	ReasonPreviousFailed      Reason = 11
	ReasonAgentSession        Reason = 12
	ReasonNoPermission        Reason = 13
	ReasonQuietHours          Reason = 14
	ReasonCap                 Reason = 15
	ReasonGap                 Reason = 16
	ReasonGrantClosed         Reason = 17
	ReasonGrantExhausted      Reason = 18
	ReasonGrantReserved       Reason = 19
	ReasonMassQuota           Reason = 20
	ReasonAPIBudget           Reason = 21

	// What happened after the guard allowed; never returned by Decide.
	ReasonPlatform   Reason = 40 // the platform answered with an error code
	ReasonAnswerLost Reason = 41 // sent, and no answer came back: unknown
	ReasonWorkerDied Reason = 42 // marked by a worker that died: unknown
	ReasonNotSent    Reason = 43 // nothing left this machine; it is tried again
	ReasonContent    Reason = 44 // the message could not be rendered for this fan
	ReasonCancelled  Reason = 45 // its campaign or enrolment ended
)

var reasonNames = map[Reason]string{
	ReasonNone:                "none",
	ReasonInstallationStopped: "installation_stopped",
	ReasonAccountStopped:      "account_stopped",
	ReasonCampaignStopped:     "campaign_stopped",
	ReasonFanGone:             "fan_gone",
	ReasonBlacklisted:         "blacklisted",
	ReasonOptedOut:            "opted_out",
	ReasonHeldOut:             "held_out",
	ReasonTooLate:             "too_late",
	ReasonDuplicate:           "duplicate",
	ReasonSuperseded:          "superseded",
	ReasonPreviousFailed:      "previous_failed",
	ReasonAgentSession:        "agent_session",
	ReasonNoPermission:        "no_permission",
	ReasonQuietHours:          "quiet_hours",
	ReasonCap:                 "cap",
	ReasonGap:                 "gap",
	ReasonGrantClosed:         "grant_closed",
	ReasonGrantExhausted:      "grant_exhausted",
	ReasonGrantReserved:       "grant_reserved",
	ReasonMassQuota:           "mass_quota",
	ReasonAPIBudget:           "api_budget",
	ReasonPlatform:            "platform",
	ReasonAnswerLost:          "answer_lost",
	ReasonWorkerDied:          "worker_died",
	ReasonNotSent:             "not_sent",
	ReasonContent:             "content",
	ReasonCancelled:           "cancelled",
}

// String is the name used in the API, traces and figures.
func (r Reason) String() string { return reasonNames[r] }

// Reasons lists the closed list, for tests and figures.
func Reasons() []Reason {
	out := make([]Reason, 0, len(reasonNames))
	for r := Reason(1); r <= ReasonCancelled; r++ {
		if _, known := reasonNames[r]; known {
			out = append(out, r)
		}
	}
	return out
}
