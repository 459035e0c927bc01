package deliveries

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"

	"hongyan/internal/database"
)

// replayTries is how often a source is counted again whose figures changed meanwhile.
const replayTries = 3

// SourceFigures are the counters of one source, and what the ledger says of each. Those of reactions are not among them: see RecountSlice.
type SourceFigures struct {
	Source   Source // the zero Source: there are no more
	Counters []Difference
	Busy     bool // they changed each time they were counted
}

// ReplayFigures counts again, without writing anything, the figures of the source that follows after; a zero Source begins. It reads all rows of the source, one at
// a time, and keeps its counters in memory. Counters are in the order of their keys, and equal where nothing is wrong.
func (s *Store) ReplayFigures(ctx context.Context, accountID int64, after Source) (SourceFigures, error) {
	tx := s.db.Read(ctx)
	counted, err := nextSource(tx, "delivery_figures", accountID, after)
	if err != nil {
		return SourceFigures{}, err
	}
	planned, err := nextSource(tx, "deliveries", accountID, after)
	if err != nil {
		return SourceFigures{}, err
	}
	out := SourceFigures{Source: counted}
	if counted == (Source{}) || planned != (Source{}) && planned.before(counted) {
		out.Source = planned
	}
	if out.Source == (Source{}) {
		return out, nil
	}
	for range replayTries {
		if out.Counters, out.Busy, err = s.replaySource(ctx, accountID, out.Source); err != nil || !out.Busy {
			return out, err
		}
	}
	return out, nil
}

func (s Source) before(o Source) bool {
	return s.Kind < o.Kind || s.Kind == o.Kind && s.ID < o.ID
}

// replaySource counts a source again; busy when its counters changed meanwhile.
func (s *Store) replaySource(ctx context.Context, accountID int64, src Source) (out []Difference, busy bool, err error) {
	before, err := s.sourceFigures(ctx, accountID, src)
	if err != nil {
		return nil, false, err
	}
	found, err := s.recountSource(ctx, accountID, src)
	if err != nil {
		return nil, false, err
	}
	after, err := s.sourceFigures(ctx, accountID, src)
	if err != nil || !maps.Equal(before, after) {
		return nil, true, err
	}
	keys := maps.Clone(found)
	maps.Copy(keys, before)
	for _, k := range slices.SortedFunc(maps.Keys(keys), func(a, b FigureKey) int { return a.compare(&b) }) {
		out = append(out, Difference{FigureKey: k, Counted: before[k], Found: found[k]})
	}
	return out, false, nil
}

// sourceFigures reads the counters of a source that are not 0.
func (s *Store) sourceFigures(ctx context.Context, accountID int64, src Source) (map[FigureKey]int64, error) {
	out := map[FigureKey]int64{}
	err := database.EachRow(s.db.Read(ctx), func(rows *sql.Rows) error {
		var k FigureKey
		var n int64
		err := rows.Scan(append(k.fields(), &n)...)
		if n != 0 {
			out[k] = n
		}
		return err
	}, "SELECT "+figureColumns+", SUM(n) FROM delivery_figures WHERE account_id = ? AND source_kind = ? AND source_id = ? AND figure < ? AND shard >= 0 GROUP BY "+figureColumns,
		accountID, src.Kind, src.ID, recountedBelow)
	if err != nil {
		return nil, fmt.Errorf("read figures to replay: %w", err)
	}
	return out, nil
}

// recountSource counts the rows of a source.
func (s *Store) recountSource(ctx context.Context, accountID int64, src Source) (map[FigureKey]int64, error) {
	tx := s.db.Read(ctx)
	days, err := s.days(tx, accountID)
	if err != nil {
		return nil, err
	}
	out := map[FigureKey]int64{}
	err = database.EachRow(tx, func(rows *sql.Rows) error {
		d := &Delivery{Key: Key{AccountID: accountID, Source: src}}
		if err := rows.Scan(database.Int(&d.MessageID), database.Int(&d.State), database.Int(&d.Reason), database.Int(&d.PlannedAt), database.Int(&d.EndedAt),
			database.Int(&d.ErrCode)); err != nil {
			return err
		}
		planned := happened{key: &d.Key, message: d.MessageID, figure: FigurePlanned}
		out[planned.counter(days.Day(clockTime(d.PlannedAt)))]++
		if h, ended := d.counted(); ended {
			out[h.counter(days.Day(clockTime(h.at)))]++
		}
		return nil
	}, "SELECT message_id, state, reason, planned_at, ended_at, errcode FROM deliveries WHERE account_id = ? AND source_kind = ? AND source_id = ?",
		accountID, src.Kind, src.ID)
	if err != nil {
		return nil, fmt.Errorf("count deliveries to replay: %w", err)
	}
	return out, nil
}
