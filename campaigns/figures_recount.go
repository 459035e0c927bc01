package campaigns

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"hongyan/deliveries"
	"hongyan/internal/database"
	"hongyan/internal/jobs"
)

// RecountKind is the job that counts an account's ledger and enrolments again, and corrects the figures.
const RecountKind = "recount_figures"

const (
	// recountMost is how many rows one step of a recount looks at.
	recountMost = 5_000
	// recountShard holds what a recount has found so far; it counts for nothing.
	recountShard = -1
)

// The stages of a recount: rows are counted, then compared.
const (
	countDeliveries   = "deliveries"
	compareDeliveries = "compare_deliveries"
	countEnrolments   = "enrolments"
	compareEnrolments = "compare_enrolments"
	recounted         = "done"
)

// recountCursor is how far a recount has come.
type recountCursor struct {
	Stage string                `json:"stage"`
	After int64                 `json:"after,omitempty"` // the last row, or the last source compared
	Kind  deliveries.SourceKind `json:"kind,omitempty"`  // of the source
	Until int                   `json:"until"`           // the last day that is compared
}

// RecountFigures does a job of RecountKind. It corrects the days before today, on which nothing happens any more but answers that come late; the job's result names
// what differed. Reactions, and outcomes of steps without messages, are counted from nothing that stays, and are left as they are.
func (s *Store) RecountFigures(ctx context.Context, run *jobs.Run) error {
	at := recountCursor{Stage: countDeliveries}
	if run.Cursor != "" {
		if err := json.Unmarshal([]byte(run.Cursor), &at); err != nil {
			return fmt.Errorf("read a recount's cursor: %w", err)
		}
	} else {
		today, err := s.Ledger.Day(s.DB.Read(ctx), run.AccountID, s.Clock.Now().UnixMilli())
		if err != nil {
			return err
		}
		at.Until = today - 1
	}
	_, err := s.recount(ctx, run.AccountID, at, run.Step)
	return err
}

// RecountAll counts everything again, today as well, and returns what differed. It is for times at which nothing else happens: after a replay, and in tests.
func (s *Store) RecountAll(ctx context.Context, accountID int64) ([]string, error) {
	return s.recount(ctx, accountID, recountCursor{Stage: countDeliveries, Until: math.MaxInt32}, func(ctx context.Context, do func(*gorm.DB) (jobs.Progress, error)) error {
		return s.DB.Tx(ctx, func(tx *gorm.DB) error {
			_, err := do(tx)
			return err
		})
	})
}

func (s *Store) recount(ctx context.Context, accountID int64, at recountCursor, step func(context.Context, func(*gorm.DB) (jobs.Progress, error)) error) ([]string, error) {
	var out []string
	for at.Stage != recounted {
		var next recountCursor
		var differ []string
		err := step(ctx, func(tx *gorm.DB) (jobs.Progress, error) {
			var p jobs.Progress
			var err error
			if next, differ, err = s.recountStep(tx, accountID, at); err != nil {
				return p, err
			}
			cursor, err := json.Marshal(next)
			if err != nil {
				return p, err
			}
			p = jobs.Progress{Cursor: string(cursor), Done: 1, Failed: int64(len(differ))}
			if len(differ) > 0 {
				p.Result = []byte(strings.Join(differ, "\n") + "\n")
			}
			return p, nil
		})
		if err != nil {
			return nil, fmt.Errorf("recount figures: %w", err)
		}
		at, out = next, append(out, differ...)
	}
	return out, nil
}

// recountStep does one step, and returns where the next begins and what differed.
func (s *Store) recountStep(tx *gorm.DB, accountID int64, at recountCursor) (next recountCursor, differ []string, err error) {
	next = at
	var end bool
	switch at.Stage {
	case countDeliveries:
		next.After, end, err = s.Ledger.RecountSlice(tx, accountID, at.After, recountMost)
		if end {
			next = recountCursor{Stage: compareDeliveries, Until: at.Until}
		}
	case compareDeliveries:
		src, found, compareErr := s.Ledger.CompareFigures(tx, accountID, deliveries.Source{Kind: at.Kind, ID: at.After}, at.Until)
		next.Kind, next.After, err = src.Kind, src.ID, compareErr
		for i := range found {
			differ = append(differ, differenceLine(&found[i]))
		}
		if src == (deliveries.Source{}) {
			next = recountCursor{Stage: countEnrolments, Until: at.Until}
		}
	case countEnrolments:
		next.After, end, err = s.recountRuns(tx, accountID, at.After)
		if end {
			next = recountCursor{Stage: compareEnrolments, Until: at.Until}
		}
	default:
		next.After, differ, err = s.compareRuns(tx, accountID, at.After, at.Until)
		if next.After == 0 {
			next = recountCursor{Stage: recounted, Until: at.Until}
		}
	}
	return next, differ, err
}

func dateOf(day int) string {
	return time.Unix(int64(day)*86_400, 0).UTC().Format(time.DateOnly)
}

func differenceLine(d *deliveries.Difference) string {
	return fmt.Sprintf("%s %d, %s, message %d, %s %s %d: %d counted, %d found",
		d.Source.Kind, d.Source.ID, dateOf(d.Day), d.MessageID, deliveries.State(d.Figure), d.Reason, d.ErrCode, d.Counted, d.Found)
}

// recountRuns counts the next enrolments of all accounts behind an id for a comparison.
func (s *Store) recountRuns(tx *gorm.DB, accountID, after int64) (next int64, end bool, err error) {
	if after == 0 {
		if err := forgetRecount(tx, "account_id = ?", accountID); err != nil {
			return 0, false, err
		}
	}
	next = after
	rows := 0
	var runs []*run
	err = database.EachRow(tx, func(r *sql.Rows) error {
		var account int64
		got := &run{}
		err := r.Scan(&got.id, &account, &got.campaignID, &got.versionID, &got.state, &got.reason, &got.startedAt, &got.ended)
		if rows++; account == accountID {
			runs = append(runs, got)
		}
		next = got.id
		return err
	}, "SELECT id, account_id, campaign_id, version_id, state, exit_reason, started_at, ended_at FROM enrolments WHERE id > ? ORDER BY id"+s.DB.Dialect().Limit(), after, recountMost)
	if err != nil {
		return 0, false, fmt.Errorf("recount runs: %w", err)
	}
	sums := map[runFigure]int64{}
	for _, as := range []func(*run) (runState, string, int64){begun, ended} {
		if err := s.sumRuns(tx, accountID, runs, as, sums); err != nil {
			return 0, false, err
		}
	}
	return next, rows < recountMost, runFigures().add(tx, s.DB.Dialect(), accountID, recountShard, sums)
}

// compareRuns corrects the counters of the drip that follows after, and returns it, 0 at the end, with what differed.
func (s *Store) compareRuns(tx *gorm.DB, accountID, after int64, until int) (id int64, differ []string, err error) {
	err = tx.Raw("SELECT campaign_id FROM enrolment_figures WHERE account_id = ? AND campaign_id > ? ORDER BY campaign_id LIMIT 1", accountID, after).Scan(&id).Error
	if err != nil || id == 0 {
		return 0, nil, err
	}
	missing := map[runFigure]int64{}
	err = database.EachRow(tx, func(rows *sql.Rows) error {
		k := runFigure{campaignID: id}
		var counted, found int64
		err := rows.Scan(&k.day, &k.versionID, &k.state, &k.reason, &counted, &found)
		missing[k] = found - counted
		differ = append(differ, fmt.Sprintf("drip %d, %s, version %d, runs %s %s: %d counted, %d found", id, dateOf(k.day), k.versionID, k.state, k.reason, counted, found))
		return err
	}, "SELECT day, version_id, state, exit_reason, SUM(CASE WHEN shard >= 0 THEN n ELSE 0 END) AS counted, SUM(CASE WHEN shard < 0 THEN n ELSE 0 END) AS found "+
		"FROM enrolment_figures WHERE account_id = ? AND campaign_id = ? AND day <= ? GROUP BY day, version_id, state, exit_reason HAVING counted <> found", accountID, id, until)
	if err != nil {
		return id, nil, fmt.Errorf("compare figures of runs: %w", err)
	}
	if err := runFigures().add(tx, s.DB.Dialect(), accountID, 0, missing); err != nil {
		return id, nil, err
	}
	return id, differ, forgetRecount(tx, "account_id = ? AND campaign_id = ?", accountID, id)
}

func forgetRecount(tx *gorm.DB, where string, args ...any) error {
	if err := tx.Exec("DELETE FROM enrolment_figures WHERE "+where+" AND shard = ?", slices.Concat(args, []any{recountShard})...).Error; err != nil {
		return fmt.Errorf("forget a recount: %w", err)
	}
	return nil
}
