package campaigns

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"
)

const (
	// overdue is how long after its step was due a run counts as forgotten: sending and recording take less.
	overdue = 60 * time.Second
	// lookAgain is how long the sweeper leaves a run alone whose messages are still open: they wait for a stop to end, or for
	// an interaction.
	lookAgain = 10 * time.Minute
)

// Rederive is the sweeper's part: it moves on up to limit running enrolments that were left behind, plans steps that have no
// messages, ends drips whose time is over and goes on with stops and resumptions that were cut short. It returns how many
// enrolments it moved. An error of one drip does not keep it from the others.
func (s *Store) Rederive(ctx context.Context, now time.Time, limit int) (moved int, err error) {
	errs := []error{s.finishEnded(ctx, now), s.finishStops(ctx), s.finishResumes(ctx)}
	var rows []struct{ AccountID, CampaignID, FanID int64 }
	err = s.DB.Read(ctx).Raw("SELECT account_id, campaign_id, fan_id FROM enrolments WHERE wake_at < ? ORDER BY wake_at LIMIT ?",
		now.Add(-overdue).UnixMilli(), limit).Scan(&rows).Error
	if err != nil {
		return 0, errors.Join(append(errs, fmt.Errorf("find forgotten runs: %w", err))...)
	}
	type drip struct{ accountID, campaignID int64 }
	var order []drip
	fanIDs := map[drip][]int64{}
	for _, r := range rows {
		d := drip{r.AccountID, r.CampaignID}
		if fanIDs[d] == nil {
			order = append(order, d)
		}
		fanIDs[d] = append(fanIDs[d], r.FanID)
	}
	for _, d := range order {
		n, err := s.rederiveDrip(ctx, now, d.accountID, d.campaignID, fanIDs[d])
		moved += n
		if err != nil {
			errs = append(errs, fmt.Errorf("sweep drip %d: %w", d.campaignID, err))
		}
	}
	return moved, errors.Join(errs...)
}

func (s *Store) rederiveDrip(ctx context.Context, now time.Time, accountID, id int64, fanIDs []int64) (moved int, err error) {
	account, err := s.Accounts.FindAccount(ctx, accountID)
	if err != nil {
		return 0, err
	}
	err = s.DB.Tx(ctx, func(tx *gorm.DB) error {
		moved = 0
		runs, err := s.lockRuns(tx, accountID, id, fanIDs)
		if err != nil {
			return err
		}
		before := make([]int, len(runs))
		for i, r := range runs {
			before[i] = r.step
		}
		m := mover{store: s, tx: tx, now: now, account: account, campaignID: id, runs: runs, look: lookAgain}
		if err := m.move(); err != nil {
			return err
		}
		for i, r := range runs {
			if r.step != before[i] || r.state != runRunning || len(r.rows) > 0 {
				moved++
			}
		}
		return nil
	})
	return moved, err
}

// finishEnded ends drips whose own end has come. No message of theirs may go out after it, so that nobody need be waited for.
func (s *Store) finishEnded(ctx context.Context, now time.Time) error {
	drips, err := s.read(s.DB.Read(ctx), "c.state IN ?", sources(StateFinished))
	if err != nil {
		return err
	}
	var errs []error
	for _, d := range drips {
		v, err := d.Definition.compile()
		if err != nil {
			errs = append(errs, fmt.Errorf("drip %d: %w", d.ID, err))
			continue
		}
		if v.endsAt == 0 || now.UnixMilli() < v.endsAt {
			continue
		}
		c := Change{AccountID: d.AccountID, ID: d.ID, Revision: d.Revision, Reason: stopping}
		if _, err = s.move(ctx, c, StateFinished, sources(StateFinished)); err == nil {
			err = s.cancelAll(ctx, d.AccountID, d.ID, StateFinished)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// finishStops goes on with the ends of drips that were cut short.
func (s *Store) finishStops(ctx context.Context) error {
	drips, err := s.read(s.DB.Read(ctx), "c.state IN ? AND c.stopped_reason = ?", []State{StateCancelled, StateFinished}, stopping)
	if err != nil {
		return err
	}
	var errs []error
	for _, d := range drips {
		errs = append(errs, s.cancelAll(ctx, d.AccountID, d.ID, d.State))
	}
	return errors.Join(errs...)
}

// finishResumes goes on with resumptions of drips that were cut short.
func (s *Store) finishResumes(ctx context.Context) error {
	drips, err := s.read(s.DB.Read(ctx), "c.state = ? AND c.stopped_reason = ?", StateRunning, resuming)
	if err != nil {
		return err
	}
	var errs []error
	for _, d := range drips {
		errs = append(errs, s.unparkAll(ctx, d.AccountID, d.ID))
	}
	return errors.Join(errs...)
}
