package fans

import (
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"

	"gorm.io/gorm"

	"hongyan/guard"
	"hongyan/internal/database"
	"hongyan/limits"
	"hongyan/wechat"
)

// Session says what an act tells about a human agent's session with the fan.
type Session uint8

// What an act may tell.
const (
	SessionNone Session = iota
	SessionOpened
	SessionClosed
)

// Act is what a fan did, as plain facts.
type Act struct {
	InboxID  int64
	OpenID   string
	Kind     string // message kind or event name: "text", "subscribe"
	Detail   string // what was written, tapped or scanned; cut to 191 characters
	Scene    string // of the scanned code
	EventAt  int64  // when, by the platform
	Triggers []wechat.Trigger
	Followed bool
	Left     bool // the fan unfollowed
	Session  Session
	Own      *Own // set for what is no act of the fan but an own event: it opens nothing, and tells nothing of whether the fan is there
}

// Recorded is an act that has been recorded.
type Recorded struct {
	Act           *Act
	Fan           *Fan
	InteractionID int64
	Usage         *limits.Usage // the fan's limits afterwards
	Fresh         bool          // false when the act had been recorded before
	GrantsChanged bool
	uncounted     int // what was taken off its grants: see guard.Grants.Trigger
	touched       int // by how many generations the act changed the fan's grants
	generation    int // the fan's generation after the act
}

// Recorder records acts under the rules and with the counts of the moment.
type Recorder struct {
	AccountID int64
	Now       int64
	Rules     wechat.RuleSet
	// Uncounted counts, for each fan, the sends that the platform may count after an act at the given time: see guard.Grants.Trigger.
	Uncounted func(tx *gorm.DB, since map[int64]int64) (map[int64]int, error)
}

// Record stores fans, interactions and grants for acts, in their order, within tx. An act recorded before changes nothing, so a repeat is harmless.
func (s *Store) Record(tx *gorm.DB, r Recorder, acts []*Act) ([]*Recorded, error) {
	known, err := s.ensure(tx, r, acts)
	if err != nil {
		return nil, err
	}
	ids := slices.Sorted(maps.Values(known))
	usages, err := s.limits.Lock(tx, r.AccountID, ids)
	if err != nil {
		return nil, err
	}
	// Read under the lock: another process may have recorded something about these fans just now.
	locked, err := s.ByIDs(tx, r.AccountID, ids)
	if err != nil {
		return nil, err
	}
	// An own event of a person who was erased meanwhile is nobody's.
	acts = slices.DeleteFunc(slices.Clone(acts), func(a *Act) bool {
		return a.Own != nil && (known[a.OpenID] == 0 || locked[known[a.OpenID]].Erased())
	})
	out, err := recognise(tx, acts, func(openid string) *Fan { return locked[known[openid]] })
	if err != nil {
		return nil, err
	}
	uncounted, err := r.Uncounted(tx, earliest(out))
	if err != nil {
		return nil, err
	}
	changed := map[int64]bool{}
	for _, rec := range out {
		rec.Usage = usages[rec.Fan.ID]
		switch {
		case !rec.Fresh:
		case rec.Act.Own == nil:
			rec.uncounted = uncounted[rec.Fan.ID]
			before := rec.Usage.Grants.Generation
			rec.apply(r, rec.uncounted)
			rec.generation = rec.Usage.Grants.Generation
			rec.touched = rec.generation - before
			changed[rec.Fan.ID] = true
		case rec.Usage != nil: // a fan who never did anything has no limits
			rec.generation = rec.Usage.Grants.Generation
		}
	}
	if err := s.interactions(tx, r, out); err != nil {
		return nil, err
	}
	return out, s.save(tx, changed, locked, usages)
}

func (s *Store) save(tx *gorm.DB, changed map[int64]bool, fans map[int64]*Fan, usages map[int64]*limits.Usage) error {
	if len(changed) == 0 {
		return nil
	}
	ids := make([]int64, 0, len(changed))
	for id := range changed {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	saved := make([]*limits.Usage, 0, len(ids))
	for _, id := range ids {
		saved = append(saved, usages[id])
	}
	if err := s.limits.Save(tx, saved); err != nil {
		return err
	}
	for chunk := range slices.Chunk(ids, database.ChunkSize) {
		var q strings.Builder
		q.WriteString("INSERT INTO fans (id, account_id, openid, subscribed, scene, follow_source, subscribed_at, unsubscribed_at, interacted_at, created_at) VALUES ")
		args := make([]any, 0, 10*len(chunk))
		for i, id := range chunk {
			if i > 0 {
				q.WriteByte(',')
			}
			q.WriteString("(?,?,?,?,?,?,?,?,?,?)")
			f := fans[id]
			args = append(args, f.ID, f.AccountID, f.OpenID, f.Subscribed, f.Scene, f.FollowSource, f.SubscribedAt, f.UnsubscribedAt, f.InteractedAt, f.CreatedAt)
		}
		q.WriteString(s.db.Dialect().Upsert([]string{"id"}, "subscribed", "scene", "follow_source", "subscribed_at", "unsubscribed_at", "interacted_at"))
		if err := tx.Exec(q.String(), args...).Error; err != nil {
			return fmt.Errorf("save fans: %w", err)
		}
	}
	return nil
}

// earliest is, for each fan with a new act that opens a grant, the time from which on sends may count after it. With several
// acts of a fan in one set it is that of the first, which is the safe side.
func earliest(recs []*Recorded) map[int64]int64 {
	since := map[int64]int64{}
	for _, rec := range recs {
		if !rec.Fresh || len(rec.Act.Triggers) == 0 {
			continue
		}
		at := guard.CountedSince(rec.Act.EventAt)
		if before, known := since[rec.Fan.ID]; !known || at < before {
			since[rec.Fan.ID] = at
		}
	}
	return since
}

// followByCode is the follow source of who came by a code (platform.md 7.1): the only one that a push tells.
const followByCode = "ADD_SCENE_QR_CODE"

// apply changes the fan and its limits by one act. Acts may arrive out of order, so the times of the platform decide, not the order of arrival.
func (rec *Recorded) apply(r Recorder, uncounted int) {
	a, f, u := rec.Act, rec.Fan, rec.Usage
	proof := max(f.SubscribedAt, f.InteractedAt) // who did something then was a fan then
	if a.Session == SessionNone {
		f.InteractedAt = max(f.InteractedAt, a.EventAt) // an agent's session is no act of the fan
	}
	switch {
	case a.Left:
		if a.EventAt >= proof {
			f.Subscribed = false
			u.Grants.CloseAll()
			rec.GrantsChanged = true
		}
		f.UnsubscribedAt = max(f.UnsubscribedAt, a.EventAt)
		return
	case a.Followed:
		if a.EventAt > f.SubscribedAt {
			f.FollowSource = "" // that of an earlier follow; the next synchronisation tells it
		}
		if a.Scene != "" && a.EventAt >= f.SubscribedAt {
			f.Scene, f.FollowSource = a.Scene, followByCode
		}
		f.SubscribedAt = max(f.SubscribedAt, a.EventAt)
	}
	if a.EventAt < f.UnsubscribedAt {
		return // what came before the fan left opens nothing any more
	}
	if a.Session == SessionNone && !f.Subscribed {
		f.Subscribed = true // whoever writes or taps is a fan, even if we missed the follow
	}
	rec.session(u)
	for _, t := range a.Triggers {
		if u.Grants.Trigger(t, a.EventAt, r.Rules.Grants[t], uncounted) {
			rec.GrantsChanged = true
		}
	}
}

// session keeps track of human agents: while a session is open, drips wait, and what the agent sent is unknown, so the fan's own bucket
// counts as empty until the fan writes again (design 5.2).
func (rec *Recorded) session(u *limits.Usage) {
	switch rec.Act.Session {
	case SessionOpened:
		u.AgentUntil = max(u.AgentUntil, rec.Act.EventAt+guard.AgentSession.Milliseconds())
		u.Grants.Empty(wechat.TriggerMessage)
	case SessionClosed:
		u.AgentUntil = 0
		u.Grants.Empty(wechat.TriggerMessage)
	case SessionNone:
		return
	}
	rec.GrantsChanged = true
}

// ensure makes sure that every fan who acted has a row and limits, and returns the fans' ids.
func (s *Store) ensure(tx *gorm.DB, r Recorder, acts []*Act) (map[string]int64, error) {
	openids := make([]string, 0, len(acts))
	acted := make(map[string]bool, len(acts)) // an own event makes nobody a fan
	for _, a := range acts {
		openids = append(openids, a.OpenID)
		acted[a.OpenID] = acted[a.OpenID] || a.Own == nil
	}
	slices.Sort(openids)
	openids = slices.Compact(openids)
	found, err := s.idsByOpenID(tx, r.AccountID, openids)
	if err != nil {
		return nil, err
	}
	missing := slices.DeleteFunc(slices.Clone(openids), func(o string) bool { return found[o] != 0 || !acted[o] })
	if len(missing) == 0 {
		return found, nil
	}
	if err := s.Add(tx, r.AccountID, r.Now, missing); err != nil {
		return nil, err
	}
	return s.idsByOpenID(tx, r.AccountID, openids)
}

// idsByOpenID finds the ids of those of an account's fans who have a row. It reads the index alone.
func (s *Store) idsByOpenID(tx *gorm.DB, accountID int64, openids []string) (map[string]int64, error) {
	out := make(map[string]int64, len(openids))
	for chunk := range slices.Chunk(openids, database.ChunkSize) {
		err := database.EachRow(tx, func(rows *sql.Rows) error {
			var openid string
			var id int64
			err := rows.Scan(&openid, &id)
			out[openid] = id
			return err
		}, "SELECT openid, id FROM fans WHERE account_id = ? AND openid IN ?", accountID, chunk)
		if err != nil {
			return nil, fmt.Errorf("read fans: %w", err)
		}
	}
	return out, nil
}

// Add makes rows for openids that have none: not subscribed and without grants until an act or a synchronisation says otherwise.
func (s *Store) Add(tx *gorm.DB, accountID, now int64, openids []string) error {
	for chunk := range slices.Chunk(openids, database.ChunkSize) {
		var q strings.Builder
		q.WriteString(s.db.Dialect().InsertIgnore() + " fans (account_id, openid, subscribed, created_at) VALUES ")
		args := make([]any, 0, 3*len(chunk))
		for i, openid := range chunk {
			if i > 0 {
				q.WriteByte(',')
			}
			q.WriteString("(?,?,0,?)")
			args = append(args, accountID, openid, now)
		}
		if err := tx.Exec(q.String(), args...).Error; err != nil {
			return fmt.Errorf("add fans: %w", err)
		}
		added, err := s.idsByOpenID(tx, accountID, chunk)
		if err != nil {
			return err
		}
		if err := s.limits.Ensure(tx, accountID, slices.Sorted(maps.Values(added))); err != nil {
			return err
		}
	}
	return nil
}

// recognise tells which acts are new.
func recognise(tx *gorm.DB, acts []*Act, fan func(openid string) *Fan) ([]*Recorded, error) {
	inboxIDs := make([]int64, len(acts))
	for i, a := range acts {
		inboxIDs[i] = a.InboxID
	}
	before, err := interactionIDs(tx, inboxIDs)
	if err != nil {
		return nil, err
	}
	out := make([]*Recorded, len(acts))
	for i, a := range acts {
		out[i] = &Recorded{Act: a, Fan: fan(a.OpenID), InteractionID: before[a.InboxID], Fresh: before[a.InboxID] == 0}
	}
	return out, nil
}

// interactions stores one row per new act, with what it did to the fan's grants: what a replay cannot learn from anything else (Replay).
func (s *Store) interactions(tx *gorm.DB, r Recorder, recs []*Recorded) error {
	var inboxIDs []int64
	var q strings.Builder
	var args []any
	for _, rec := range recs {
		if !rec.Fresh {
			continue
		}
		if len(args) > 0 {
			q.WriteByte(',')
		}
		q.WriteString("(?,?,?,?,?,?,?,?,?,?)")
		a := rec.Act
		args = append(args, r.AccountID, rec.Fan.ID, a.InboxID, a.Kind, cut(a.Detail, 191), a.EventAt, r.Now, rec.generation, rec.touched, rec.uncounted)
		inboxIDs = append(inboxIDs, a.InboxID)
	}
	if len(args) == 0 {
		return nil
	}
	err := tx.Exec("INSERT INTO interactions (account_id, fan_id, inbox_id, kind, detail, event_at, recorded_at, generation, touched, uncounted) VALUES "+q.String(), args...).Error
	if err != nil {
		return fmt.Errorf("record interactions: %w", err)
	}
	after, err := interactionIDs(tx, inboxIDs)
	if err != nil {
		return err
	}
	for _, rec := range recs {
		if rec.Fresh {
			rec.InteractionID = after[rec.Act.InboxID]
		}
	}
	return nil
}

func interactionIDs(tx *gorm.DB, inboxIDs []int64) (map[int64]int64, error) {
	out := make(map[int64]int64, len(inboxIDs))
	among, args := database.Among("inbox_id", database.SortedSet(inboxIDs))
	err := database.EachRow(tx, func(rows *sql.Rows) error {
		var id, inbox int64
		if err := rows.Scan(&id, &inbox); err != nil {
			return err
		}
		out[inbox] = id
		return nil
	}, "SELECT id, inbox_id FROM interactions WHERE "+among, args...)
	if err != nil {
		return nil, fmt.Errorf("read interactions: %w", err)
	}
	return out, nil
}

// cut shortens s to n characters.
func cut(s string, n int) string {
	if count := 0; len(s) > n {
		for i := range s {
			if count == n {
				return s[:i]
			}
			count++
		}
	}
	return s
}
