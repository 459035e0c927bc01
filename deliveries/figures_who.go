package deliveries

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"

	"gorm.io/gorm"

	"hongyan/guard"
	"hongyan/internal/database"
	"hongyan/internal/walk"
)

// Who says whose deliveries are behind a number of a step.
type Who struct {
	AccountID int64
	Source    Source
	StepNo    int
	// MessageIDs are the messages of the step that count; none: all.
	MessageIDs []int64
	States     []State      // none: all
	Reason     guard.Reason // ReasonNone: all
	ErrCode    int          // 0: all
	Reaction   Reaction     // only those after which the fan did this; 0: all
	// From and To are the first and last day, as by guard.Policy.Day, on which it happened: the reaction, else the end, else the planning. 0 is no bound.
	From, To int
	// After and Limit are those of a page: see package walk. Deliveries of a fan are never cut.
	After walk.Place
	Limit int
}

const (
	// whoWalk is how many entries of the index a page of Who walks over, and whoLoad how many rows it looks up.
	whoWalk = 20_000
	whoLoad = 4 * database.ChunkSize
)

// FindWho reads a page of the deliveries behind a number, by fan. It walks over the source's part of an index that holds the steps, and looks up the rows of this step
// alone, no further than the page needs; a page that has cost enough ends short, or empty, and says where to go on.
func (s *Store) FindWho(ctx context.Context, w Who) (walk.Page[*Delivery], error) {
	page := walk.Page[*Delivery]{}
	tx := s.db.Read(ctx)
	where, args, err := s.whereWho(tx, &w)
	if err != nil {
		return page, err
	}
	limit := min(cmp.Or(max(w.Limit, 0), walk.DefaultLimit), walk.MaxLimit)
	args = append([]any{w.AccountID}, args...)
	walked, loaded := 0, 0
	for step := 2 * limit; ; step = min(walk.Pace(walked, len(page.Rows), limit+1-len(page.Rows)), whoWalk-walked) {
		entries, end, err := s.walkStep(tx, &w, step)
		if err != nil {
			return page, err
		}
		if room := whoLoad - loaded; len(entries.ids) > room {
			entries, end = entries.cut(room), false
		}
		full, err := entries.load(tx, &page, limit, where, args)
		if err != nil || full || end {
			return page, err
		}
		walked, loaded, w.After = walked+entries.walked, loaded+len(entries.ids), *behind(entries.last)
		if walked >= whoWalk || loaded >= whoLoad {
			page.Next = &w.After
			return page, nil
		}
	}
}

// load adds the rows of the entries that fulfil a condition to a page, and reports whether that is full and has its Next.
func (e *stepEntries) load(tx *gorm.DB, page *walk.Page[*Delivery], limit int, where string, args []any) (full bool, err error) {
	for rest := *e; len(rest.ids) > 0; {
		chunk := rest.cut(database.ChunkSize)
		rest.ids, rest.fans = rest.ids[len(chunk.ids):], rest.fans[len(chunk.fans):]
		found, err := read(tx, "id IN ? AND +account_id = ?"+where, slices.Concat([]any{database.SortedSet(chunk.ids)}, args)...)
		if err != nil {
			return false, err
		}
		slices.SortFunc(found, byFan)
		for i := range found {
			if n := len(page.Rows); n >= limit && found[i].FanID != page.Rows[n-1].FanID {
				page.Next = behind(page.Rows[n-1].FanID)
				return true, nil
			}
			page.Rows = append(page.Rows, &found[i])
		}
	}
	return false, nil
}

// byFan is the order of the index.
func byFan(a, b Delivery) int {
	return cmp.Or(cmp.Compare(a.FanID, b.FanID), cmp.Compare(a.Occurrence, b.Occurrence), cmp.Compare(a.MessageNo, b.MessageNo), cmp.Compare(a.Resend, b.Resend))
}

func behind(fanID int64) *walk.Place { return &walk.Place{Group: fanID, ID: fanID} }

// stepEntries are index entries of one step, by fan.
type stepEntries struct {
	ids, fans []int64
	last      int64 // the last fan whose entries have been walked over
	walked    int   // how many entries that took
}

// cut is the first n entries or some more, to the end of a fan's.
func (e *stepEntries) cut(n int) stepEntries {
	if n >= len(e.ids) {
		return *e
	}
	for n < len(e.ids) && e.fans[n] == e.fans[n-1] {
		n++
	}
	return stepEntries{e.ids[:n], e.fans[:n], e.fans[n-1], e.walked}
}

// walkStep walks over the source's next entries behind a fan, and keeps those of the step; end tells that there are no more. It reads nothing but the index.
func (s *Store) walkStep(tx *gorm.DB, w *Who, most int) (out stepEntries, end bool, err error) {
	for ; ; most *= 2 {
		first := int64(0)
		out = stepEntries{}
		err := database.EachRow(tx, func(rows *sql.Rows) error {
			var id, fan int64
			var step int
			err := rows.Scan(database.Int(&id), database.Int(&fan), database.Int(&step))
			if out.walked++; out.walked == 1 {
				first = fan
			}
			out.last = fan
			if step == w.StepNo {
				out.ids, out.fans = append(out.ids, id), append(out.fans, fan)
			}
			return err
		}, "SELECT id, fan_id, step_no FROM deliveries WHERE account_id = ? AND source_kind = ? AND source_id = ? AND fan_id > ? "+
			"ORDER BY fan_id, occurrence, step_no, message_no, resend"+s.db.Dialect().Limit(), w.AccountID, w.Source.Kind, w.Source.ID, w.After.Group, most)
		if err != nil {
			return out, false, fmt.Errorf("walk over a step's deliveries: %w", err)
		}
		if out.walked < most {
			return out, true, nil
		}
		if first != out.last { // the limit may have cut the last fan's, who is left for the next page
			return out.without(out.last), false, nil
		}
	}
}

// without leaves out the last fan's entries. Those before have been walked over to their end.
func (e *stepEntries) without(fan int64) stepEntries {
	n := len(e.fans)
	for n > 0 && e.fans[n-1] == fan {
		n--
	}
	return stepEntries{e.ids[:n], e.fans[:n], fan - 1, e.walked}
}

// whereWho is the filter as a condition for rows that are named by id.
func (s *Store) whereWho(tx *gorm.DB, w *Who) (text string, args []any, err error) {
	and := func(more string, value ...any) { text, args = text+" AND "+more, append(args, value...) }
	if len(w.MessageIDs) > 0 {
		and("message_id IN ?", w.MessageIDs)
	}
	if len(w.States) > 0 {
		and("state IN ?", w.States)
	}
	if w.Reason != 0 {
		and("reason = ?", w.Reason)
	}
	if w.ErrCode != 0 {
		and("errcode = ?", w.ErrCode)
	}
	days, err := s.days(tx, w.AccountID)
	if err != nil {
		return "", nil, err
	}
	when := "planned_at"
	if w.Reaction != 0 {
		when = "at"
		text += " AND EXISTS (SELECT 1 FROM reactions WHERE delivery_id = deliveries.id AND kind = ?"
		args = append(args, w.Reaction)
	} else if len(w.States) > 0 && !slices.ContainsFunc(w.States, func(s State) bool { return !s.Terminal() }) {
		when = "ended_at"
	}
	if w.From != 0 {
		and(when+" >= ?", days.DayStart(w.From).UnixMilli())
	}
	if w.To != 0 {
		and(when+" < ?", days.DayStart(w.To+1).UnixMilli())
	}
	if w.Reaction != 0 {
		text += ")"
	}
	return text, args, nil
}
