package fans

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"gorm.io/gorm"

	"hongyan/internal/database"
	"hongyan/internal/walk"
)

// Interaction is something that a fan did, as it was recorded.
type Interaction struct {
	ID         int64
	FanID      int64
	Kind       string // text, image, follow, scan, menu, …: see inbound
	Detail     string // what was written, tapped or scanned; "" after an erasure
	EventAt    int64  // by the platform's clock
	RecordedAt int64
}

// InteractionFilter says which interactions of an account are listed. The zero value lists all.
type InteractionFilter struct {
	FanID int64  // of one fan: by the platform's time, newest first
	Kind  string // of one kind
}

// ListInteractions reads a page of what an account's fans did, newest first: of all of them as it was recorded, of one fan as it happened. A page with a kind may
// be short and still have a next one. Errors: NotFound for the fan.
func (s *Store) ListInteractions(ctx context.Context, accountID int64, filter InteractionFilter, page walk.Options) (walk.Page[*Interaction], error) {
	l := &interactionList{InteractionFilter: filter, tx: s.db.Read(ctx), accountID: accountID, dialect: s.db.Dialect(), limit: s.db.Dialect().Limit()}
	next := l.nextOfAccount
	if filter.FanID != 0 {
		next = l.nextOfFan
		if _, err := s.allKnown(ctx, accountID, []int64{filter.FanID}); err != nil {
			return walk.Page[*Interaction]{}, err
		}
	}
	page.Sparse = filter.Kind != ""
	return walk.Read(page, walk.Range[*Interaction]{Next: next, Load: l.load})
}

type interactionList struct {
	InteractionFilter

	tx        *gorm.DB
	accountID int64
	dialect   database.Dialect
	limit     string
}

func (l *interactionList) nextOfAccount(after walk.Place, n int) ([]walk.Place, error) {
	return walk.Places(l.tx, walk.ByID,
		"SELECT id FROM interactions"+l.dialect.By("interactions_account")+" WHERE account_id = ? AND id < ? ORDER BY id DESC"+l.limit, l.accountID, after.Before(), n)
}

func (l *interactionList) nextOfFan(after walk.Place, n int) ([]walk.Place, error) {
	const query = "SELECT id, event_at FROM interactions WHERE fan_id = ?"
	if !after.Started() {
		return walk.Places(l.tx, walk.BySort, query+" ORDER BY event_at DESC, id DESC"+l.limit, l.FanID, n)
	}
	return walk.Chain(n,
		func(n int) ([]walk.Place, error) {
			return walk.Places(l.tx, walk.BySort, query+" AND event_at = ? AND id < ? ORDER BY id DESC"+l.limit, l.FanID, after.Sort, after.ID, n)
		},
		func(n int) ([]walk.Place, error) {
			return walk.Places(l.tx, walk.BySort, query+" AND event_at < ? ORDER BY event_at DESC, id DESC"+l.limit, l.FanID, after.Sort, n)
		},
	)
}

func (l *interactionList) load(places []walk.Place) (map[int64]*Interaction, error) {
	out := make(map[int64]*Interaction, len(places))
	for ids := range slices.Chunk(database.SortedSet(walk.IDs(places)), database.ChunkSize) {
		w := condition{text: "id IN ? AND account_id + 0 = ?", args: []any{ids, l.accountID}}
		if l.Kind != "" {
			w.and("kind = ?", l.Kind)
		}
		err := database.EachRow(l.tx, func(rows *sql.Rows) error {
			i := &Interaction{}
			err := rows.Scan(database.Int(&i.ID), database.Int(&i.FanID), &i.Kind, &i.Detail, database.Int(&i.EventAt), database.Int(&i.RecordedAt))
			out[i.ID] = i
			return err
		}, "SELECT id, fan_id, kind, detail, event_at, recorded_at FROM interactions WHERE "+w.text, w.args...)
		if err != nil {
			return nil, fmt.Errorf("list interactions: %w", err)
		}
	}
	return out, nil
}
