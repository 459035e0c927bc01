package deliveries

import (
	"database/sql"
	"fmt"

	"gorm.io/gorm"

	"hongyan/internal/database"
)

// Difference is a counter that did not equal the ledger.
type Difference struct {
	FigureKey

	Counted int64 // what it said
	Found   int64 // what the ledger says
}

// recountedBelow is the figure from which on counters are of reactions: these go with erased persons and stay counted, so that nothing can be recounted.
const recountedBelow = Figure(100)

// RecountSlice counts the next rows of the ledger for a comparison, within tx: up to most of all accounts, with ids behind after, which is 0 at the beginning. end tells
// that there are no more. What it finds stands beside the counters until CompareFigures has compared it.
func (s *Store) RecountSlice(tx *gorm.DB, accountID, after int64, most int) (next int64, end bool, err error) {
	if after == 0 {
		if err := forgetRecount(tx, "account_id = ?", accountID); err != nil {
			return 0, false, err
		}
	}
	next = after
	rows := 0
	var found []happened
	err = database.EachRow(tx, func(r *sql.Rows) error {
		d := &Delivery{}
		err := r.Scan(database.Int(&d.ID), database.Int(&d.AccountID), database.Int(&d.Source.Kind), database.Int(&d.Source.ID), database.Int(&d.MessageID),
			database.Int(&d.State), database.Int(&d.Reason), database.Int(&d.PlannedAt), database.Int(&d.EndedAt), database.Int(&d.ErrCode))
		next = d.ID
		if rows++; d.AccountID != accountID {
			return err
		}
		found = append(found, happened{key: &d.Key, message: d.MessageID, figure: FigurePlanned, at: d.PlannedAt, n: 1})
		if h, ended := d.counted(); ended {
			found = append(found, h)
		}
		return err
	}, "SELECT id, account_id, source_kind, source_id, message_id, state, reason, planned_at, ended_at, errcode FROM deliveries WHERE id > ? ORDER BY id"+
		s.db.Dialect().Limit(), after, most)
	if err != nil {
		return 0, false, fmt.Errorf("recount deliveries: %w", err)
	}
	sums, err := s.sum(tx, found)
	if err != nil {
		return 0, false, err
	}
	return next, rows < most, s.addFigures(tx, sums, recountShard)
}

// CompareFigures corrects, within tx, the counters of the source that follows after, for days up to until, and returns which differed; a zero Source begins, and is returned
// at the end. It comes after the last RecountSlice. What happens meanwhile is counted as ever; for days that are over, that is nothing but answers that come late.
func (s *Store) CompareFigures(tx *gorm.DB, accountID int64, after Source, until int) (Source, []Difference, error) {
	src, err := nextSource(tx, "delivery_figures", accountID, after)
	if err != nil || src == (Source{}) {
		return src, nil, err
	}
	var differ []Difference
	missing := map[FigureKey]int64{}
	err = database.EachRow(tx, func(rows *sql.Rows) error {
		d := Difference{}
		err := rows.Scan(append(d.fields(), &d.Counted, &d.Found)...)
		differ, missing[d.FigureKey] = append(differ, d), d.Found-d.Counted
		return err
	}, "SELECT "+figureColumns+", SUM(CASE WHEN shard >= 0 THEN n ELSE 0 END) AS counted, SUM(CASE WHEN shard < 0 THEN n ELSE 0 END) AS found FROM delivery_figures "+
		"WHERE account_id = ? AND source_kind = ? AND source_id = ? AND day <= ? AND figure < ? GROUP BY "+figureColumns+" HAVING counted <> found",
		accountID, src.Kind, src.ID, until, recountedBelow)
	if err != nil {
		return src, nil, fmt.Errorf("compare figures: %w", err)
	}
	if err := s.addFigures(tx, missing, 0); err != nil {
		return src, nil, err
	}
	return src, differ, forgetRecount(tx, "account_id = ? AND source_kind = ? AND source_id = ?", accountID, src.Kind, src.ID)
}

func forgetRecount(tx *gorm.DB, where string, args ...any) error {
	if err := tx.Exec("DELETE FROM delivery_figures WHERE "+where+" AND shard = ?", append(args, recountShard)...).Error; err != nil {
		return fmt.Errorf("forget a recount: %w", err)
	}
	return nil
}

// nextSource is the source with rows in a table, the counters or the ledger, that follows after; the zero Source at the end.
func nextSource(tx *gorm.DB, table string, accountID int64, after Source) (Source, error) {
	var out Source
	for _, step := range []struct {
		where string
		args  []any
	}{
		{"account_id = ? AND source_kind = ? AND source_id > ?", []any{accountID, after.Kind, after.ID}},
		{"account_id = ? AND source_kind > ?", []any{accountID, after.Kind}},
	} {
		err := database.EachRow(tx, func(rows *sql.Rows) error { return rows.Scan(&out.Kind, &out.ID) },
			"SELECT source_kind, source_id FROM "+table+" WHERE "+step.where+" ORDER BY account_id, source_kind, source_id LIMIT 1", step.args...)
		if err != nil || out != (Source{}) {
			return out, err
		}
	}
	return out, nil
}
