package campaigns

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"gorm.io/gorm"

	"hongyan/accounts"
	"hongyan/internal/fault"
)

// Tagger changes fans' tags, for steps that give or take one.
type Tagger interface {
	// ChangeTag gives a tag of the account to fans, or takes it from them, within tx. Who has it already, or is gone, is left out. Errors: NotFound
	// when the tag is gone.
	ChangeTag(tx *gorm.DB, accountID, tagID int64, fanIDs []int64, remove bool) error
}

// WebhookCall is what a step tells another program.
type WebhookCall struct {
	Key        string // the same when it is told twice: campaign, fan, occurrence and step
	CampaignID int64
	VersionID  int64
	FanID      int64
	Occurrence int64
	StepNo     int
	At         int64 // when the step was done, unix ms
}

// Webhooks tells other programs of steps.
type Webhooks interface {
	// WebhookIDs lists an account's endpoints.
	WebhookIDs(ctx context.Context, accountID int64) ([]int64, error)
	// Enqueue stores calls within tx; they are made later. Errors: NotFound when the endpoint is gone.
	Enqueue(tx *gorm.DB, accountID, webhookID int64, calls []WebhookCall) error
}

// Outcome is what became of a run in a step without messages, or in a wait for a reply. Further arms of a split follow the first.
type Outcome uint8

// The outcomes.
const (
	OutcomeDone     Outcome = iota + 1 // the tag was changed, the program told, the run ended
	OutcomeNoDate                      // passed over: the day that the step depends on is not known of the fan, or has passed
	OutcomeThen                        // if: the condition holds
	OutcomeElse                        // if: it does not
	OutcomeWaiting                     // wait_for: begins to wait; ask: the messages have arrived, or may have
	OutcomeHappened                    // wait_for: it happened; ask: the fan replied
	OutcomeTimeout                     // wait_for, ask: the time is over
	OutcomeArm                         // split: took the first arm
)

// Passed is a step that a run has been through or waits in.
type Passed struct {
	CampaignID int64
	VersionID  int64
	FanID      int64
	Occurrence int64
	StepNo     int
	Outcome    Outcome
	At         int64 // unix ms
}

func (r *run) pass(s *step, o Outcome, at time.Time) {
	r.passed = append(r.passed, Passed{
		CampaignID: r.campaignID, VersionID: r.versionID, FanID: r.fanID, Occurrence: r.occurrence, StepNo: s.no, Outcome: o, At: at.UnixMilli(),
	})
}

// effect is a tag, untag or webhook step that a run has done.
type effect struct {
	step *step
	run  *run
	at   int64
}

// changed keeps what is known of the fan true after a step of the same chain.
func (p *person) changed(s *step) {
	if p == nil || p.tags == nil {
		return
	}
	switch s.kind {
	case StepTag:
		p.tags[s.tag] = true
	case StepUntag:
		delete(p.tags, s.tag)
	}
}

// finish does what the steps of runs ask for besides messages, in sets, and counts their outcomes. It belongs into the transaction that moves the runs on.
func (s *Store) finish(tx *gorm.DB, account *accounts.Account, runs []*run) error {
	tags := map[int64]map[int64]bool{} // by tag and fan: whether it is taken away; of several changes the last counts
	calls := map[int64][]WebhookCall{}
	var passed []Passed
	for _, r := range runs {
		passed = append(passed, r.passed...)
		for _, e := range r.effects {
			if e.step.kind == StepWebhook {
				calls[e.step.webhook] = append(calls[e.step.webhook], e.call(account.ID))
				continue
			}
			if tags[e.step.tag] == nil {
				tags[e.step.tag] = map[int64]bool{}
			}
			tags[e.step.tag][r.fanID] = e.step.kind == StepUntag
		}
	}
	for _, id := range sortedKeys(tags) {
		if err := s.changeTag(tx, account.ID, id, tags[id]); err != nil {
			return err
		}
	}
	for _, id := range sortedKeys(calls) {
		if err := gone(s.Webhooks.Enqueue(tx, account.ID, id, calls[id])); err != nil {
			return fmt.Errorf("tell webhook %d: %w", id, err)
		}
	}
	if err := s.countEnded(tx, account.ID, runs); err != nil {
		return err
	}
	return s.countPassed(tx, account.ID, passed)
}

func (s *Store) changeTag(tx *gorm.DB, accountID, tagID int64, of map[int64]bool) error {
	by := map[bool][]int64{}
	for _, fan := range sortedKeys(of) {
		by[of[fan]] = append(by[of[fan]], fan)
	}
	for _, remove := range []bool{false, true} {
		if len(by[remove]) == 0 {
			continue
		}
		if err := gone(s.Tagger.ChangeTag(tx, accountID, tagID, by[remove], remove)); err != nil {
			return fmt.Errorf("change tag %d of fans: %w", tagID, err)
		}
	}
	return nil
}

// gone forgives that what a step names has been removed since: the run goes on without it.
func gone(err error) error {
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	return err
}

func (e *effect) call(accountID int64) WebhookCall {
	r := e.run
	return WebhookCall{
		Key:        fmt.Sprintf("drip:%d:%d:%d:%d:%d", accountID, r.campaignID, r.fanID, r.occurrence, e.step.no),
		CampaignID: r.campaignID, VersionID: r.versionID, FanID: r.fanID, Occurrence: r.occurrence, StepNo: e.step.no, At: e.at,
	}
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
