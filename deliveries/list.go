package deliveries

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"gorm.io/gorm"

	"hongyan/guard"
	"hongyan/internal/database"
	"hongyan/internal/fault"
	"hongyan/internal/walk"
	"hongyan/limits"
)

// ListFilter says which deliveries of an account are listed. The zero value lists all that are under way or have ended.
type ListFilter struct {
	FanID  int64  // of one fan: planned ones too, newest first
	Source Source // of one source: planned ones too, by fan
	// States are those to list, all of them if empty. StatePlanned stands alone, unless a fan or source is named: what is planned is listed by when it goes.
	States []State
	Reason guard.Reason // ReasonNone lists all
	Class  guard.Class  // 0 lists all
	// Since and Before, unix ms, bound when it was planned: since ≤ planned < before. 0 is no bound.
	Since, Before int64
}

// Attention are the states of deliveries that a member should look at: what failed, and what may have been sent and cannot be asked.
func Attention() []State { return []State{StateFailed, StateUnknown} }

// needsLook reports whether ended rows in a state have it in lane_source, and so are a range of deliveries_lane.
func needsLook(s State) bool { return s == StateFailed || s == StateUnknown }

// lookChange is what a change to an ended state means for lane_source: nothing for a message that simply went, so that recording it costs no index an entry.
func lookChange(from, to State) (set string, args []any) {
	switch {
	case needsLook(to):
		return ", lane_source = ?", []any{to}
	case needsLook(from):
		return ", lane_source = NULL", nil
	}
	return "", nil
}

// ListDeliveries reads a page of an account's deliveries: of a fan the newest first, of a source by fan, planned ones by when they go, others the newest first, by when they were planned.
// These orders, and states that need a look, are ranges of indexes that sending needs anyway; what else is asked leaves deliveries out of them, so that a page may
// be short and still have a next one. Errors: Invalid with the field state.
func (s *Store) ListDeliveries(ctx context.Context, accountID int64, filter ListFilter, page walk.Options) (walk.Page[*Delivery], error) {
	l := &list{ListFilter: filter, tx: s.db.Read(ctx), accountID: accountID, dialect: s.db.Dialect(), limit: s.db.Dialect().Limit()}
	if slices.Contains(filter.States, StatePlanned) && len(filter.States) > 1 && filter.FanID == 0 && filter.Source == (Source{}) {
		return walk.Page[*Delivery]{}, fault.BadField("state", "planned_alone", "what is planned is a list of its own; ask for planned alone, or name a fan or source")
	}
	page.Sparse = l.sparse()
	return walk.Read(page, l.ranges()...)
}

// list is a list that is being read.
type list struct {
	ListFilter

	tx        *gorm.DB
	accountID int64
	dialect   database.Dialect
	limit     string

	first, last plannedAt // see ends
}

// planned reports whether the list is of what is planned alone.
func (l *list) planned() bool { return len(l.States) == 1 && l.States[0] == StatePlanned }

func (l *list) sparse() bool {
	if l.Reason != 0 || l.Class != 0 || l.Since != 0 || l.Before != 0 {
		return true
	}
	if l.FanID != 0 || l.Source != (Source{}) {
		return len(l.States) > 0 || l.FanID != 0 && l.Source != (Source{})
	}
	return !l.planned() && slices.ContainsFunc(l.States, func(s State) bool { return !needsLook(s) })
}

func (l *list) ranges() []walk.Range[*Delivery] {
	switch {
	case l.FanID != 0:
		return []walk.Range[*Delivery]{{Next: l.nextOfFan, Load: l.load}}
	case l.Source != Source{}:
		return []walk.Range[*Delivery]{{Next: l.nextOfSource, Load: l.load}}
	case l.planned():
		return []walk.Range[*Delivery]{
			{Next: l.nextWaiting(limits.LaneUrgent), Load: l.load},
			{Next: l.nextBulk, Load: l.load},
			{Next: l.nextWaiting(laneWaiting), Load: l.load},
		}
	default:
		return []walk.Range[*Delivery]{{Next: l.nextEnded, Load: l.load}}
	}
}

func (l *list) nextOfFan(after walk.Place, n int) ([]walk.Place, error) {
	return walk.Places(l.tx, walk.ByID, "SELECT id FROM deliveries WHERE fan_id = ? AND account_id + 0 = ? AND id < ? ORDER BY id DESC"+l.limit, l.FanID, l.accountID, after.Before(), n)
}

// nextOfSource reads deliveries_message. The place is a row; what it is sorted by is read again, because it never changes.
func (l *list) nextOfSource(after walk.Place, n int) ([]walk.Place, error) {
	const where = "SELECT id FROM deliveries WHERE account_id = ? AND source_kind = ? AND source_id = ?"
	const order = " ORDER BY fan_id, occurrence, step_no, message_no, resend"
	of := []any{l.accountID, l.Source.Kind, l.Source.ID}
	if !after.Started() {
		return walk.Places(l.tx, walk.ByID, where+order+l.limit, append(of, n)...)
	}
	rows, err := read(l.tx, "id = ? AND account_id + 0 = ?", after.ID, l.accountID)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	k := rows[0].Key
	query := func(more string, args ...any) func(int) ([]walk.Place, error) {
		return func(n int) ([]walk.Place, error) {
			return walk.Places(l.tx, walk.ByID, where+more+order+l.limit, slices.Concat(of, args, []any{n})...)
		}
	}
	return walk.Chain(n,
		query(" AND fan_id = ? AND occurrence = ? AND step_no = ? AND message_no = ? AND resend > ?", k.FanID, k.Occurrence, k.StepNo, k.MessageNo, k.Resend),
		query(" AND fan_id = ? AND occurrence = ? AND step_no = ? AND message_no > ?", k.FanID, k.Occurrence, k.StepNo, k.MessageNo),
		query(" AND fan_id = ? AND occurrence = ? AND step_no > ?", k.FanID, k.Occurrence, k.StepNo),
		query(" AND fan_id = ? AND occurrence > ?", k.FanID, k.Occurrence),
		query(" AND fan_id > ?", k.FanID),
	)
}

const inLane = " FROM deliveries WHERE account_id = ? AND lane = ? AND "

// nextWaiting reads a lane in which rows are by time alone.
func (l *list) nextWaiting(lane limits.Lane) func(walk.Place, int) ([]walk.Place, error) {
	return func(after walk.Place, n int) ([]walk.Place, error) {
		const query = "SELECT id, lane_at" + inLane + "lane_source = 0 AND lane_at "
		if !after.Started() {
			return walk.Places(l.tx, walk.BySort, query+"IS NOT NULL ORDER BY lane_at, id"+l.limit, l.accountID, lane, n)
		}
		return walk.Chain(n,
			func(n int) ([]walk.Place, error) {
				return walk.Places(l.tx, walk.BySort, query+"= ? AND id > ? ORDER BY id"+l.limit, l.accountID, lane, after.Sort, after.ID, n)
			},
			func(n int) ([]walk.Place, error) {
				return walk.Places(l.tx, walk.BySort, query+"> ? ORDER BY lane_at, id"+l.limit, l.accountID, lane, after.Sort, n)
			},
		)
	}
}

// nextBulk reads the bulk lane, in which rows are by source and then by deadline.
func (l *list) nextBulk(after walk.Place, n int) ([]walk.Place, error) {
	const query = "SELECT id, lane_source, lane_at" + inLane + "lane_source "
	if !after.Started() {
		return walk.Places(l.tx, walk.ByGroup, query+"IS NOT NULL ORDER BY lane_source, lane_at, id"+l.limit, l.accountID, limits.LaneBulk, n)
	}
	return walk.Chain(n,
		func(n int) ([]walk.Place, error) {
			return walk.Places(l.tx, walk.ByGroup, query+"= ? AND lane_at = ? AND id > ? ORDER BY id"+l.limit, l.accountID, limits.LaneBulk, after.Group, after.Sort, after.ID, n)
		},
		func(n int) ([]walk.Place, error) {
			return walk.Places(l.tx, walk.ByGroup, query+"= ? AND lane_at > ? ORDER BY lane_at, id"+l.limit, l.accountID, limits.LaneBulk, after.Group, after.Sort, n)
		},
		func(n int) ([]walk.Place, error) {
			return walk.Places(l.tx, walk.ByGroup, query+"> ? ORDER BY lane_source, lane_at, id"+l.limit, l.accountID, limits.LaneBulk, after.Group, n)
		},
	)
}

// nextEnded merges the ranges of rows outside of every lane, each of which is by id. The place's Sort is the id above which the period lies, found once.
func (l *list) nextEnded(after walk.Place, n int) ([]walk.Place, error) {
	above, below := after.Sort, after.Before()
	if !after.Started() {
		var err error
		if above, below, err = l.period(); err != nil {
			return nil, err
		}
	}
	var parts []string
	var args []any
	for _, of := range l.looks() {
		is := "IS NULL"
		if of != nil {
			is = fmt.Sprint("= ", of)
		}
		parts = append(parts, "SELECT id FROM (SELECT id FROM deliveries"+l.dialect.By("deliveries_lane")+
			" WHERE account_id = ? AND lane IS NULL AND lane_source "+is+" AND lane_at IS NULL AND id < ? AND id > ? ORDER BY id DESC"+l.limit+") p")
		args = append(args, l.accountID, below, above, n)
	}
	out, err := walk.Places(l.tx, walk.ByID, strings.Join(parts, " UNION ALL ")+" ORDER BY id DESC"+l.limit, append(args, n)...)
	for i := range out {
		out[i].Sort = above
	}
	return out, err
}

// looks are the values of lane_source that rows of the wanted states can have.
func (l *list) looks() (out []any) {
	others := len(l.States) == 0
	for _, s := range l.States {
		others = others || !needsLook(s)
	}
	if others {
		out = append(out, nil)
	}
	for _, s := range Attention() {
		if len(l.States) == 0 || slices.Contains(l.States, s) {
			out = append(out, int(s))
		}
	}
	return out
}

// load reads the deliveries of places that fulfil the whole filter.
func (l *list) load(places []walk.Place) (map[int64]*Delivery, error) {
	where, args := l.where()
	out := make(map[int64]*Delivery, len(places))
	for ids := range slices.Chunk(database.SortedSet(walk.IDs(places)), database.ChunkSize) {
		err := database.EachRow(l.tx, func(rows *sql.Rows) error {
			d := &Delivery{}
			err := rows.Scan(d.fields()...)
			out[d.ID] = d
			return err
		}, "SELECT "+columns+" FROM deliveries WHERE id IN ? AND account_id + 0 = ?"+where, slices.Concat([]any{ids, l.accountID}, args)...)
		if err != nil {
			return nil, fmt.Errorf("list deliveries: %w", err)
		}
	}
	return out, nil
}

// where is what the range does not say of the filter, as a condition for rows that are named by id. The sum in front of it keeps both engines from reading an
// index of the whole account instead.
func (l *list) where() (text string, args []any) {
	and := func(more string, value ...any) { text, args = text+" AND "+more, append(args, value...) }
	if l.FanID != 0 && l.Source != (Source{}) {
		and("source_kind = ? AND source_id = ?", l.Source.Kind, l.Source.ID)
	}
	if len(l.States) > 0 {
		and("state IN ?", l.States)
	}
	if l.Reason != 0 {
		and("reason = ?", l.Reason)
	}
	if l.Class != 0 {
		and("class = ?", l.Class)
	}
	if l.Since != 0 {
		and("planned_at >= ?", l.Since)
	}
	if l.Before != 0 {
		and("planned_at < ?", l.Before)
	}
	return text, args
}
