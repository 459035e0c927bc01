package deliveries

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"slices"

	"hongyan/internal/database"
)

// Figures says which counters are read.
type Figures struct {
	AccountID int64
	Kind      SourceKind
	SourceIDs []int64
	// From and To are the first and last day, numbered as by guard.Policy.Day; 0 is no bound.
	From, To int
	Stopped  bool // only what ended without a call for a reason: skipped and expired
	ByDay    bool // sums of each day and reason, over all sources and messages, whose fields are 0; otherwise sums of all days, with Day 0
}

// Counter is how often something happened.
type Counter struct {
	FigureKey

	N int64
	// Before is how often it had happened before From; only where sums of days are asked for.
	Before int64
}

// ReadFigures reads counters of some sources, in no particular order; those that are 0 are left out. It reads nothing of the ledger, so that it costs the days and
// messages that it is asked for, however many fans there are.
func (s *Store) ReadFigures(ctx context.Context, f Figures) ([]Counter, error) {
	to := f.To
	if to == 0 {
		to = math.MaxInt32
	}
	sums, group, since := "account_id, source_kind, source_id, 0, message_id, figure, reason, errcode", "account_id, source_kind, source_id, message_id, figure, reason, errcode", 0
	if f.ByDay {
		sums, group, since = "account_id, source_kind, 0, day, 0, 0, reason, 0", "account_id, source_kind, day, reason", f.From
	}
	where, figures := "", allFigures()
	if f.Stopped {
		where, figures, since = " AND reason <> 0", []Figure{Figure(StateSkipped), Figure(StateExpired)}, f.From
	}
	var out []Counter
	for chunk := range slices.Chunk(database.SortedSet(f.SourceIDs), database.ChunkSize) {
		err := database.EachRow(s.db.Read(ctx), func(rows *sql.Rows) error {
			c := Counter{}
			err := rows.Scan(append(c.fields(), &c.N, &c.Before)...)
			if c.N != 0 || c.Before != 0 {
				out = append(out, c)
			}
			return err
		}, "SELECT "+sums+", SUM(CASE WHEN day >= ? THEN n ELSE 0 END), SUM(CASE WHEN day < ? THEN n ELSE 0 END) FROM delivery_figures "+
			"WHERE account_id = ? AND source_kind = ? AND source_id IN ? AND figure IN ? AND day BETWEEN ? AND ? AND shard >= 0"+where+
			" GROUP BY "+group+" ORDER BY NULL",
			f.From, f.From, f.AccountID, f.Kind, chunk, figures, since, to)
		if err != nil {
			return nil, fmt.Errorf("read figures: %w", err)
		}
	}
	return out, nil
}
