package main

import (
	"context"
	"fmt"
	"slices"

	"gorm.io/gorm"

	"hongyan/accounts"
	"hongyan/deliveries"
)

// enrolSlice is how many fans get the tag in one transaction.
const enrolSlice = 1000

// enrolRun measures how fast fans who all set off a trigger at once are let into a drip: from the stored events on, until every one of them has a run and a planned first
// message. It is one process at work, as a process of a server does it.
func (b *bench) enrolRun(ctx context.Context, storage string) (_ *benchLine, err error) {
	place, err := b.place(ctx, storage, 1)
	if err != nil {
		return nil, err
	}
	defer joined(&err, func() error { return place.remove(ctx) })
	line := &benchLine{Bench: "enrol", Storage: storage, Fans: max(1, b.n/2)}
	return line, place.open(ctx, b, func(s *Server) error {
		var err error
		if line.Fsync, err = fsync(ctx, s); err != nil {
			return err
		}
		if err := b.seedEnrol(ctx, s, line.Fans); err != nil {
			return fmt.Errorf("seed: %w", err)
		}
		if err := b.enrol(ctx, s, line); err != nil {
			return err
		}
		return checkEnrol(ctx, s, line)
	})
}

// enrol acts upon the events until none is left, and times that.
func (b *bench) enrol(ctx context.Context, s *Server, line *benchLine) error {
	servers, retries := serversCPU(), s.storage.db.Stats().Retries
	before, err := usageNow()
	if err != nil {
		return err
	}
	began := b.clock.Now()
	for {
		n, err := s.Scheduler.Inbound.Own(ctx)
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
	}
	line.Seconds = round(b.clock.Now().Sub(began).Seconds(), 3)
	line.PerSecond = round(float64(line.Fans)/line.Seconds, 1)
	after, err := usageNow()
	if err != nil {
		return err
	}
	line.CPUPer1000 = per1000(after.CPU-before.CPU, line.Fans)
	if line.Storage == benchServers {
		line.DBCPUPer1000 = per1000(serversCPU()-servers, line.Fans)
		repeated := float64(s.storage.db.Stats().Retries - retries)
		line.Retries = &repeated
	}
	return nil
}

// seedEnrol makes fans, a running drip that a tag starts, and gives the tag to all.
func (b *bench) seedEnrol(ctx context.Context, s *Server, n int) error {
	a, err := benchAccount(ctx, s, "http://127.0.0.1:1", func(*accounts.Account) {})
	if err != nil {
		return err
	}
	ids, err := seedFans(ctx, s, a, benchPlanned, n)
	if err != nil {
		return err
	}
	var tag int64
	err = s.storage.db.Tx(ctx, func(tx *gorm.DB) error {
		if err := tx.Exec("INSERT INTO tags (account_id, name, created_at) VALUES (?, 'bench', 1)", a.ID).Error; err != nil {
			return err
		}
		return tx.Raw("SELECT id FROM tags WHERE account_id = ?", a.ID).Scan(&tag).Error
	})
	if err != nil {
		return err
	}
	_, err = runningDrip(ctx, s, a, map[string]any{
		"triggers": []any{map[string]any{"kind": "tag", "tag": tag}},
		"steps":    []any{map[string]any{"delay": "1h", "messages": []any{map[string]any{"msgtype": "text", "text": map[string]any{"content": benchText}}}}},
	})
	if err != nil {
		return err
	}
	for slice := range slices.Chunk(ids, enrolSlice) {
		err := s.storage.db.Tx(ctx, func(tx *gorm.DB) error { return s.Scheduler.Fans.ChangeTag(tx, a.ID, tag, slice, false) })
		if err != nil {
			return err
		}
	}
	return nil
}

// checkEnrol counts: a run and a planned message for every fan, and nothing left to do.
func checkEnrol(ctx context.Context, s *Server, line *benchLine) error {
	var runs, planned, waiting int64
	err := s.storage.db.Read(ctx).Raw("SELECT (SELECT COUNT(*) FROM enrolments WHERE state = 'running'), (SELECT COUNT(*) FROM deliveries WHERE state = ?), "+
		"(SELECT COUNT(*) FROM inbox WHERE pending_at IS NOT NULL)", deliveries.StatePlanned).Row().Scan(&runs, &planned, &waiting)
	if err != nil {
		return fmt.Errorf("count runs: %w", err)
	}
	n := int64(line.Fans)
	wrong := float64(max(n-runs, runs-n) + max(n-planned, planned-n) + waiting)
	line.Wrong = &wrong
	if wrong != 0 {
		return fmt.Errorf("of %d fans %d have a run and %d a planned message; %d events wait", n, runs, planned, waiting)
	}
	return nil
}
