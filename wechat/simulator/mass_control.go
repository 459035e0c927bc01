package simulator

import (
	"context"
	"slices"
	"time"

	"hongyan/internal/fault"
)

// MassSwitches choose how mass sends behave where the platform is not documented, and how
// long they take. The zero value is the likeliest reading.
type MassSwitches struct {
	// Delay is the time from the acceptance of a send, or the administrator's word, to its
	// first fan; 0 is two seconds. The speed of the account comes on top.
	Delay Duration `json:"delay,omitempty"`
	// Confirm is the protection of mass sends (API群发保护): a send to all waits up to 30
	// minutes for the administrator, see AnswerMass.
	Confirm bool `json:"confirm,omitempty"`
	// FailedCounts lets a send that was accepted and failed use up the account's day and
	// the fans' month all the same.
	FailedCounts bool `json:"failed_counts,omitempty"`
	// ClientMsgIDBytes bounds a clientmsgid: 32 or 64; 0 is 32.
	ClientMsgIDBytes int `json:"clientmsgid_bytes,omitempty"`
	// NoDigest lets a send without clientmsgid be repeated; by default audience and content
	// stand for the id.
	NoDigest bool `json:"no_digest,omitempty"`
}

const defaultMassDelay = Duration(2 * time.Second)

// normalise fills defaults and refuses what does not exist.
func (m *MassSwitches) normalise() error {
	const short, long = 32, 64
	switch m.ClientMsgIDBytes {
	case 0:
		m.ClientMsgIDBytes = short
	case short, long:
	default:
		return fault.BadField("mass.clientmsgid_bytes", "unknown", "must be %d or %d", short, long)
	}
	switch {
	case m.Delay < 0:
		return fault.BadField("mass.delay", "range", "a delay is not negative")
	case m.Delay == 0:
		m.Delay = defaultMassDelay
	}
	return nil
}

// MassSend is a mass send that the platform accepted.
type MassSend struct {
	MsgID   int64     `json:"msg_id"`
	At      time.Time `json:"at"` // when it was accepted
	Kind    string    `json:"kind"`
	Content string    `json:"content"`
	ToAll   bool      `json:"to_all"`
	Tag     int       `json:"tag,omitempty"`
	Waiting bool      `json:"waiting"` // for the administrator
	State   string    `json:"state"`   // as mass/get tells it
	Status  string    `json:"status"`  // as the receipt tells it, "" until it is over
	// What became of the audience, without the counts of a send that failed.
	Total    int `json:"total"`
	Filtered int `json:"filtered"` // did not get it: too many this month, blocked, blacklisted, not following
	Sent     int `json:"sent"`
	Errors   int `json:"errors"` // frozen by the platform
}

// MassSends lists an account's mass sends in order of acceptance. It answers NotFound.
func (s *Simulator) MassSends(appID string) ([]MassSend, error) {
	a, err := s.account(appID)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	out := make([]MassSend, 0, len(a.mass.jobs))
	for _, j := range a.mass.jobs {
		m := MassSend{
			MsgID: j.id, At: j.at, Kind: j.kind, Content: j.content, ToAll: j.toAll, Waiting: j.step == massWaiting,
			State: j.state(), Status: j.status,
			Total: j.counts.total, Filtered: j.counts.filtered, Sent: j.counts.sent, Errors: j.counts.failed,
		}
		if j.tag != nil {
			m.Tag = j.tag.id
		}
		out = append(out, m)
	}
	return out, nil
}

// RunMass does what is due of all accounts' mass sends, and returns when their receipts
// are delivered. On a clock that is moved by hand nothing else does, except the account's
// next call about mass sends.
func (s *Simulator) RunMass(ctx context.Context) {
	s.accounts.mu.RLock()
	list := slices.Clone(s.accounts.list)
	s.accounts.mu.RUnlock()
	for _, a := range list {
		s.finishMass(ctx, a)
	}
}

func (s *Simulator) finishMass(ctx context.Context, a *account) {
	for _, p := range s.settleMass(a, s.clock.Now()) {
		s.deliverPush(ctx, p)
	}
}

// MassAnswer is what becomes of a mass send that waits for the administrator.
type MassAnswer string

// The answers.
const (
	MassConfirmed MassAnswer = "confirmed"
	MassRefused   MassAnswer = "refused"
	MassExpired   MassAnswer = "expired" // half an hour passed without a word
)

// AnswerMass gives the administrator's answer to a send that waits for it. A refused or
// expired one is over, its receipt delivered, when AnswerMass returns. It answers NotFound,
// Invalid for an unknown answer and Conflict for a send that does not wait.
func (s *Simulator) AnswerMass(ctx context.Context, appID string, msgID int64, answer MassAnswer) error {
	a, err := s.account(appID)
	if err != nil {
		return err
	}
	at, err := a.answerMass(msgID, answer, s.clock.Now(), s.switches.Load())
	if err != nil {
		return err
	}
	if answer == MassConfirmed {
		s.armMass(a, at)
		return nil
	}
	s.finishMass(ctx, a)
	return nil
}

// answerMass returns when the send goes on.
func (a *account) answerMass(id int64, answer MassAnswer, now time.Time, sw *Switches) (time.Time, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	j, _ := a.mass.find(massDelete{id: id})
	switch {
	case j == nil:
		return now, fault.New(fault.NotFound, "the account has no mass send %d", id)
	case j.step != massWaiting || !j.when.After(now):
		return now, fault.New(fault.Conflict, "mass send %d does not wait", id)
	}
	switch answer {
	case MassConfirmed:
		j.schedule(now, a.mass.speed, sw)
		return j.when, nil
	case MassRefused:
		j.fail = massRefused
	case MassExpired:
		j.fail = massExpired
	default:
		return now, fault.BadField("answer", "unknown", "must be confirmed, refused or expired")
	}
	j.step, j.when = massScheduled, now
	return now, nil
}

// Reprint is what the originality check finds of an article that is not original.
type Reprint string

// The findings.
const (
	ReprintAllowed   Reprint = "allowed"   // the original's owner allows it
	ReprintForbidden Reprint = "forbidden" // the owner does not
	ReprintUnchecked Reprint = "unchecked" // the check broke down
)

// SetReprint decides what the originality check will find of a draft, named by its media
// id; "" makes it original again. It answers NotFound and Invalid.
func (s *Simulator) SetReprint(appID, mediaID string, r Reprint) error {
	switch r {
	case "", ReprintAllowed, ReprintForbidden, ReprintUnchecked:
	default:
		return fault.BadField("reprint", "unknown", "must be allowed, forbidden, unchecked or empty")
	}
	return s.changeMass(appID, func(st *massState) {
		if st.reprints == nil {
			st.reprints = map[string]Reprint{}
		}
		st.reprints[mediaID] = r
	})
}

// FailNextMass makes the next mass send that is accepted end with a status of the receipt,
// as in err(10001) for suspected advertising, "send fail" otherwise. It answers NotFound.
func (s *Simulator) FailNextMass(appID, status string) error {
	return s.changeMass(appID, func(st *massState) { st.doom = status })
}

// SetMassAgreement says whether the account has accepted the agreement on mass sends
// (48003); a new account has. It answers NotFound.
func (s *Simulator) SetMassAgreement(appID string, accepted bool) error {
	return s.changeMass(appID, func(st *massState) { st.disagreed = !accepted })
}

// SetWxName gives a fan a WeChat id, for previews. It answers NotFound.
func (s *Simulator) SetWxName(openID, name string) error {
	var appID string
	if err := s.withFan(openID, func(f *fan) { appID = f.account.config().AppID }); err != nil {
		return err
	}
	return s.changeMass(appID, func(st *massState) {
		if st.wxNames == nil {
			st.wxNames = map[string]string{}
		}
		st.wxNames[name] = openID
	})
}

func (s *Simulator) changeMass(appID string, change func(*massState)) error {
	a, err := s.account(appID)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	change(&a.mass)
	return nil
}

// MassReceived is how many mass sends reached a fan in this Beijing month, as the platform
// counts them. It answers NotFound.
func (s *Simulator) MassReceived(openID string) (int, error) {
	n, month := 0, monthOf(s.clock.Now())
	err := s.withFan(openID, func(f *fan) { n = f.account.mass.ledger.received(f, month) })
	return n, err
}
