package campaigns

import (
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"gorm.io/gorm"

	"hongyan/accounts"
	"hongyan/deliveries"
	"hongyan/guard"
	"hongyan/internal/database"
	"hongyan/internal/fault"
)

// Limits of a test send.
const (
	MaxTestFans  = 20
	testLateness = time.Hour
)

// TestSend says to whom a drip's messages are to be sent for a look at them.
type TestSend struct {
	FanIDs []int64 // 1 to MaxTestFans
	StepNo int     // only this step's messages; 0: those of all steps, in their order
	// Key names the request: a second one with the same key plans nothing more.
	Key string
}

// SendTest plans the messages of a drip's current version to named fans, all of them due now, and returns how many. They take the way of every delivery: the
// guard decides, grants are used up, the ledger has them (source kind test, source id the drip's). Conditions and delays do not count, nor
// do caps and quiet hours, which a single service message is free of. If the grants do not suffice for all, the first ones go. Errors: Invalid for the
// fans or the step, NotFound for the drip.
func (s *Store) SendTest(ctx context.Context, account *accounts.Account, dripID int64, in TestSend) (planned int, err error) {
	d, err := s.FindDrip(ctx, account.ID, dripID)
	if err != nil {
		return 0, err
	}
	ids := database.SortedSet(in.FanIDs)
	if len(ids) == 0 || len(ids) > MaxTestFans {
		return 0, fault.BadField("fans", "range", "a test goes to 1 to %d fans, not %d", MaxTestFans, len(ids))
	}
	err = s.DB.Tx(ctx, func(tx *gorm.DB) error {
		planned = 0
		versions, err := s.versionsByID(tx, account.ID, []int64{d.VersionID})
		if err != nil {
			return err
		}
		messages, err := versions[d.VersionID].messagesOf(in.StepNo)
		if err != nil {
			return err
		}
		known, err := s.Fans.WithLimits(tx, account.ID, ids)
		if err != nil {
			return err
		}
		var rows []deliveries.Planned
		for i, id := range ids {
			if known[id].Fan == nil || known[id].Fan.Erased() {
				return fault.BadField(fmt.Sprintf("fans[%d]", slices.Index(in.FanIDs, ids[i])), "unknown", "this account has no fan %d", id)
			}
			usage := known[id].Usage
			rows = append(rows, testRows(account, d, testOf{fanID: id, stepNo: in.StepNo, grants: &usage.Grants, messages: messages, occurrence: occurrenceOf(in.Key)}, s.Clock.Now())...)
		}
		planned = len(rows)
		return s.Ledger.Plan(tx, s.Clock.Now(), rows)
	})
	if err != nil {
		return 0, err
	}
	return planned, nil
}

// messagesOf lists the messages of a step, or of all steps for 0.
func (v *version) messagesOf(stepNo int) ([]int64, error) {
	var out []int64
	for i := range v.steps {
		if stepNo == 0 || v.steps[i].no == stepNo {
			out = append(out, v.steps[i].messageIDs...)
		}
	}
	if len(out) == 0 {
		return nil, fault.BadField("step", "no_messages", "step %d has no messages; see the numbers in the drip's reaches", stepNo)
	}
	return out, nil
}

// testOf is one fan's part of a test send.
type testOf struct {
	fanID      int64
	stepNo     int // 0: all steps, in one
	grants     *guard.Grants
	messages   []int64
	occurrence int64
}

// testRows are a fan's messages: one step, so that they arrive in their order.
func testRows(account *accounts.Account, d *Drip, t testOf, now time.Time) []deliveries.Planned {
	at := now.UnixMilli()
	req := guard.Request{
		Class: guard.ClassService, Channel: guard.ChannelKefu, Options: guard.OptAsManyAsFit, Messages: len(t.messages), NotAfter: now.Add(testLateness).UnixMilli(),
	}
	out := make([]deliveries.Planned, len(t.messages))
	for i, id := range t.messages {
		out[i] = deliveries.Planned{
			Key: deliveries.Key{
				AccountID: account.ID, Source: deliveries.Source{Kind: deliveries.SourceTest, ID: d.ID}, FanID: t.fanID, Occurrence: t.occurrence, StepNo: max(t.stepNo, 1), MessageNo: i + 1,
			},
			StepSize: len(t.messages), Channel: req.Channel, Class: req.Class, Options: req.Options, MessageID: id, DueAt: at, NotAfter: req.NotAfter,
			Deadline: deliveries.EffectiveDeadline(t.grants, account.Policy, &req, at), State: deliveries.StatePlanned, Verdict: guard.Allow,
		}
	}
	return out
}

// occurrenceOf makes a key a number, so that the ledger's own key knows a request that is repeated.
func occurrenceOf(key string) int64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(key))   // it never fails
	return int64(h.Sum64() >> 11) // 53 bits: as much as a number in JSON holds
}
