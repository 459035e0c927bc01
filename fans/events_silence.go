package fans

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sort"
	"strings"
	"time"

	"gorm.io/gorm"

	"hongyan/internal/database"
	"hongyan/limits"
	"hongyan/wechat"
)

// Silence is something of which only the passing of time tells: that a fan has done nothing for N hours (KindSilent), or that the 48-hour window that a fan's
// message opened closes in N minutes (KindClosing). The window is the one that we rely on: the platform's lifetime less the margin.
type Silence struct {
	AccountID int64
	Kind      string
	N         int
}

const (
	// silenceSlice is how many interactions one step looks at.
	silenceSlice = 1000
	// wrongClock is how far ahead of its neighbours' an interaction's time has to be to count as stored under a wrong clock.
	wrongClock = time.Hour
)

// age is how long after an interaction the silence that may follow it is due.
func (q *Silence) age(now time.Time) time.Duration {
	if q.Kind == KindSilent {
		return time.Duration(q.N) * time.Hour
	}
	return max(0, wechat.RulesAt(now).Grants[wechat.TriggerMessage].Usable()-time.Duration(q.N)*time.Minute)
}

// FindSilence looks at the next interactions that have become old enough, and stores an own event for each fan who has done nothing since, or whose window is about to
// close. Fans are found by what they did, so that no index of fans by their silence is needed, which every interaction would have to keep up: a walk reads each
// interaction of the account once. It begins with what becomes due from now on: who has been silent for longer when it begins is not told of. more tells that there may be
// more to look at. Steps may be repeated and may overlap: the same silence makes one event.
func (s *Store) FindSilence(ctx context.Context, q Silence) (found int64, more bool, err error) {
	now := s.clock.Now()
	limit := now.Add(-q.age(now)).UnixMilli()
	cursor, known, err := s.silenceCursor(ctx, q)
	if err != nil {
		return 0, false, err
	}
	if !known {
		return 0, true, s.beginSilence(ctx, q, limit)
	}
	page, err := s.silencePage(ctx, q, cursor)
	if err != nil {
		return 0, false, err
	}
	due := duePart(page, limit)
	if len(due) == 0 {
		return 0, false, nil
	}
	rows, err := s.silences(ctx, q, now, due)
	if err != nil {
		return 0, false, err
	}
	err = s.db.Tx(ctx, func(tx *gorm.DB) error {
		found = 0
		res := tx.Exec("UPDATE silence_cursors SET interaction_id = ? WHERE account_id = ? AND kind = ? AND n = ? AND interaction_id = ?",
			due[len(due)-1].id, q.AccountID, q.Kind, q.N, cursor)
		if res.Error != nil || res.RowsAffected == 0 {
			return res.Error // another process has looked at them
		}
		var err error
		found, err = putOwn(tx, s.db.Dialect(), now.UnixMilli(), rows)
		return err
	})
	if err != nil {
		return 0, false, fmt.Errorf("store the silence of fans: %w", err)
	}
	return found, len(due) == silenceSlice, nil
}

// KeepSilences forgets how far the search has come for silences that nobody asks for any more: it begins anew when somebody does again.
func (s *Store) KeepSilences(ctx context.Context, asked []Silence) error {
	wanted := map[Silence]bool{}
	for _, q := range asked {
		wanted[q] = true
	}
	var over []Silence
	err := database.EachRow(s.db.Read(ctx), func(rows *sql.Rows) error {
		var q Silence
		err := rows.Scan(&q.AccountID, &q.Kind, &q.N)
		if !wanted[q] {
			over = append(over, q)
		}
		return err
	}, "SELECT account_id, kind, n FROM silence_cursors")
	if err != nil || len(over) == 0 {
		return err
	}
	return s.db.Tx(ctx, func(tx *gorm.DB) error {
		for _, q := range over {
			if err := tx.Exec("DELETE FROM silence_cursors WHERE account_id = ? AND kind = ? AND n = ?", q.AccountID, q.Kind, q.N).Error; err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *Store) silenceCursor(ctx context.Context, q Silence) (cursor int64, known bool, err error) {
	err = database.EachRow(s.db.Read(ctx), func(rows *sql.Rows) error {
		known = true
		return rows.Scan(&cursor)
	}, "SELECT interaction_id FROM silence_cursors WHERE account_id = ? AND kind = ? AND n = ?", q.AccountID, q.Kind, q.N)
	if err != nil {
		return 0, false, fmt.Errorf("see how far silence has been looked for: %w", err)
	}
	return cursor, known, nil
}

// beginSilence puts the cursor before the first interaction that was recorded after limit. Ids rise with the time of recording, so it is found by halving.
func (s *Store) beginSilence(ctx context.Context, q Silence, limit int64) error {
	tx := s.db.Read(ctx)
	var last int64
	if err := tx.Raw("SELECT COALESCE(MAX(id), 0) FROM interactions").Scan(&last).Error; err != nil {
		return fmt.Errorf("begin to look for silence: %w", err)
	}
	var failed error
	first := sort.Search(int(last), func(i int) bool {
		var at []int64
		err := tx.Raw("SELECT recorded_at FROM interactions WHERE id > ? ORDER BY id LIMIT 1", i).Scan(&at).Error
		failed = errors.Join(failed, err)
		return err != nil || len(at) == 0 || at[0] > limit
	})
	if failed != nil {
		return fmt.Errorf("begin to look for silence: %w", failed)
	}
	return s.db.Tx(ctx, func(tx *gorm.DB) error {
		return tx.Exec(s.db.Dialect().InsertIgnore()+" silence_cursors (account_id, kind, n, interaction_id) VALUES (?, ?, ?, ?)", q.AccountID, q.Kind, q.N, first).Error
	})
}

// pastAct is an interaction as the walk sees it.
type pastAct struct {
	id, fan             int64
	kind                string
	eventAt, recordedAt int64
}

// acted reports whether it was an act of the fan: not an own event, an agent's session, or the end of following.
func (a *pastAct) acted() bool {
	switch a.kind {
	case KindEvent, KindTagged, KindSilent, KindClosing, KindLinkTap, "unsubscribe":
		return false
	}
	return !strings.HasPrefix(a.kind, "kf_")
}

func (s *Store) silencePage(ctx context.Context, q Silence, cursor int64) ([]pastAct, error) {
	var page []pastAct
	err := database.EachRow(s.db.Read(ctx), func(rows *sql.Rows) error {
		var a pastAct
		err := rows.Scan(database.Int(&a.id), database.Int(&a.fan), &a.kind, database.Int(&a.eventAt), database.Int(&a.recordedAt))
		page = append(page, a)
		return err
	}, "SELECT id, fan_id, kind, event_at, recorded_at FROM interactions WHERE account_id = ? AND id > ? ORDER BY id"+s.db.Dialect().Limit(), q.AccountID, cursor, silenceSlice)
	if err != nil {
		return nil, fmt.Errorf("look for silence: %w", err)
	}
	return page, nil
}

// duePart is the part of a page up to the last interaction that is old enough. It ends before one that is too new, unless that was stored under a wrong clock, which older ones
// behind it show: it would hold up the walk until its time comes.
func duePart(page []pastAct, limit int64) []pastAct {
	n := 0
	for i := range page {
		switch at := page[i].recordedAt; {
		case at <= limit:
			n = i + 1
		case at <= limit+wrongClock.Milliseconds():
			return page[:n]
		}
	}
	return page[:n]
}

// silences are the events of fans who did nothing after these acts, or whose windows are about to close.
func (s *Store) silences(ctx context.Context, q Silence, now time.Time, acts []pastAct) ([]ownRow, error) {
	last := map[int64]pastAct{}
	ids := make([]int64, 0, len(acts))
	for _, a := range acts {
		if a.acted() {
			if before, known := last[a.fan]; !known || a.eventAt > before.eventAt {
				last[a.fan] = a
			}
			ids = append(ids, a.fan)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	ids = database.SortedSet(ids)
	tx := s.db.Read(ctx)
	fans, err := s.ByIDs(tx, q.AccountID, ids)
	if err != nil {
		return nil, err
	}
	var usages map[int64]*limits.Usage
	if q.Kind == KindClosing {
		if usages, err = s.limits.Read(tx, q.AccountID, ids); err != nil {
			return nil, err
		}
	}
	var rows []ownRow
	for _, id := range ids {
		f := fans[id]
		if f == nil || !f.Subscribed {
			continue
		}
		if at, of, ok := q.moment(now, f, usages[id], last[id]); ok {
			rows = append(rows, q.row(f, at, of))
		}
	}
	return rows, nil
}

// moment is when the silence of a fan was due, and of what it is: the last act, or the end of the window.
func (q *Silence) moment(now time.Time, f *Fan, u *limits.Usage, a pastAct) (at, of int64, ok bool) {
	if q.Kind == KindSilent {
		return f.InteractedAt + q.age(now).Milliseconds(), f.InteractedAt, a.eventAt >= f.InteractedAt
	}
	if u == nil {
		return 0, 0, false
	}
	bucket := u.Grants.Buckets[wechat.TriggerMessage]
	at = bucket.Until - int64(q.N)*time.Minute.Milliseconds()
	return at, bucket.Until, bucket.Open(now.UnixMilli()) && at <= now.UnixMilli()
}

func (q *Silence) row(f *Fan, at, of int64) ownRow {
	own := Own{Kind: q.Kind, Hours: q.N}
	if q.Kind == KindClosing {
		own = Own{Kind: q.Kind, Minutes: q.N}
	}
	return ownRow{
		accountID: q.AccountID, origin: OriginSilence, key: fmt.Sprintf("%s:%d:%d:%d", q.Kind, q.N, f.ID, of), openID: f.OpenID, eventAt: at, own: own,
	}
}
