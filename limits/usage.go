package limits

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"hongyan/guard"
	"hongyan/internal/database"
	"hongyan/wechat"
)

// Usage is what one fan has used: the row of fan_limits.
type Usage struct {
	FanID       int64
	AccountID   int64
	Grants      guard.Grants
	AgentUntil  int64 // a human agent's session is open until then at most
	CapDay      int   // the day that CapUsed counts
	CapUsed     int   // marketing messages reserved on CapDay
	MarketingAt int64 // when the last marketing message was reserved
}

// UsedOn is how many marketing messages were reserved on a day.
func (u *Usage) UsedOn(day int) int {
	if u.CapDay != day {
		return 0
	}
	return u.CapUsed
}

// Store reads and writes limits.
type Store struct{ db *database.DB }

// New returns the limits kept in db.
func New(db *database.DB) *Store { return &Store{db: db} }

const usageColumns = "fan_id, account_id, generation, " +
	"message_left, message_until, message_generation, menu_left, menu_until, menu_generation, " +
	"follow_left, follow_until, follow_generation, scan_left, scan_until, scan_generation, " +
	"payment_left, payment_until, payment_generation, agent_until, cap_day, cap_used, marketing_at"

// fields lists where the columns of usageColumns go.
func (u *Usage) fields() []any {
	out := make([]any, 0, 22)
	out = append(out, &u.FanID, &u.AccountID, &u.Grants.Generation)
	for t := range u.Grants.Buckets {
		b := &u.Grants.Buckets[t]
		out = append(out, &b.Left, &b.Until, &b.Generation)
	}
	return append(out, &u.AgentUntil, &u.CapDay, &u.CapUsed, &u.MarketingAt)
}

// Ensure makes a row for each fan that has none.
func (s *Store) Ensure(tx *gorm.DB, accountID int64, fanIDs []int64) error {
	for ids := range slices.Chunk(fanIDs, database.ChunkSize) {
		var b strings.Builder
		b.WriteString(s.db.Dialect().InsertIgnore())
		b.WriteString(" fan_limits (fan_id, account_id) VALUES ")
		args := make([]any, 0, 2*len(ids))
		for i, id := range ids {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString("(?,?)")
			args = append(args, id, accountID)
		}
		if err := tx.Exec(b.String(), args...).Error; err != nil {
			return fmt.Errorf("ensure fan limits: %w", err)
		}
	}
	return nil
}

// Lock reads the limits of fans and keeps them locked until the transaction ends. Fans without a row are missing from the result.
func (s *Store) Lock(tx *gorm.DB, accountID int64, fanIDs []int64) (map[int64]*Usage, error) {
	return s.read(tx, accountID, database.SortedSet(fanIDs), s.db.Dialect().ForUpdate())
}

// Read reads the limits of fans without locking them.
func (s *Store) Read(tx *gorm.DB, accountID int64, fanIDs []int64) (map[int64]*Usage, error) {
	return s.read(tx, accountID, fanIDs, "")
}

func (s *Store) read(tx *gorm.DB, accountID int64, fanIDs []int64, suffix string) (map[int64]*Usage, error) {
	out := make(map[int64]*Usage, len(fanIDs))
	query := "SELECT " + usageColumns + " FROM fan_limits WHERE fan_id IN ? AND account_id = ? ORDER BY fan_id" + suffix
	for ids := range slices.Chunk(fanIDs, database.ChunkSize) {
		err := database.EachRow(tx, func(rows *sql.Rows) error {
			u := &Usage{}
			if err := rows.Scan(u.fields()...); err != nil {
				return err
			}
			out[u.FanID] = u
			return nil
		}, query, ids, accountID)
		if err != nil {
			return nil, fmt.Errorf("read fan limits: %w", err)
		}
	}
	return out, nil
}

// Generations reads which generation fans' limits are in. Fans without limits are missing from the result.
func (s *Store) Generations(tx *gorm.DB, accountID int64, fanIDs []int64) (map[int64]int, error) {
	out := make(map[int64]int, len(fanIDs))
	for ids := range slices.Chunk(fanIDs, database.ChunkSize) {
		err := database.EachRow(tx, func(rows *sql.Rows) error {
			var fan int64
			var generation int
			err := rows.Scan(&fan, &generation)
			out[fan] = generation
			return err
		}, "SELECT fan_id, generation FROM fan_limits WHERE fan_id IN ? AND account_id = ?", ids, accountID)
		if err != nil {
			return nil, fmt.Errorf("read generations: %w", err)
		}
	}
	return out, nil
}

// Touch raises the generation of fans' limits: something about how they may be reached has changed, and workers that know them read them again.
func (s *Store) Touch(tx *gorm.DB, accountID int64, fanIDs []int64) error {
	if len(fanIDs) == 0 {
		return nil
	}
	err := tx.Exec("UPDATE fan_limits SET generation = generation + 1 WHERE fan_id IN ? AND account_id = ?", database.SortedSet(fanIDs), accountID).Error
	if err != nil {
		return fmt.Errorf("touch fan limits: %w", err)
	}
	return nil
}

// Save stores limits as they are. The caller has locked the rows.
func (s *Store) Save(tx *gorm.DB, usages []*Usage) error {
	if len(usages) == 0 {
		return nil
	}
	for chunk := range slices.Chunk(usages, database.ChunkSize) {
		var b strings.Builder
		b.WriteString("INSERT INTO fan_limits (" + usageColumns + ") VALUES ")
		args := make([]any, 0, 22*len(chunk))
		for i, u := range chunk {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString("(?" + strings.Repeat(",?", 21) + ")")
			args = append(args, u.values()...)
		}
		b.WriteString(s.db.Dialect().Upsert([]string{"fan_id"}, updatable...))
		if err := tx.Exec(b.String(), args...).Error; err != nil {
			return fmt.Errorf("save fan limits: %w", err)
		}
	}
	return nil
}

var updatable = strings.Split(strings.TrimPrefix(usageColumns, "fan_id, account_id, "), ", ")

func (u *Usage) values() []any {
	out := make([]any, 0, 22)
	out = append(out, u.FanID, u.AccountID, u.Grants.Generation)
	for _, b := range u.Grants.Buckets {
		out = append(out, b.Left, b.Until, b.Generation)
	}
	return append(out, u.AgentUntil, u.CapDay, u.CapUsed, u.MarketingAt)
}

// delta is what a reservation changes in a fan's row. Fans with the same delta are updated by one statement.
type delta struct {
	left     [wechat.TriggerCount]int
	capDay   int
	messages int // that count in capDay
}

// Reservations gathers what the fans of one transaction take, fan by fan, before Reserve stores it.
type Reservations struct {
	now    int64
	deltas map[int64]delta
}

// NewReservations begins reserving at the moment of the decisions.
func NewReservations(now time.Time) *Reservations {
	return &Reservations{now: now.UnixMilli(), deltas: map[int64]delta{}}
}

// Take is what one step takes for a fan.
type Take struct {
	Messages int
	CapDay   int  // the day whose cap it counts in; 0 for messages that are free of it
	Free     bool // needs no grant: a passive reply
}

// Take takes from a locked usage, so that the next decision about the same fan sees it.
func (r *Reservations) Take(u *Usage, t Take) {
	d := r.deltas[u.FanID]
	if !t.Free {
		before := u.Grants
		u.Grants.Take(r.now, t.Messages)
		for i := range before.Buckets {
			d.left[i] += before.Buckets[i].Left - u.Grants.Buckets[i].Left
		}
	}
	if t.CapDay != 0 {
		u.CapUsed, u.CapDay, u.MarketingAt = u.UsedOn(t.CapDay)+t.Messages, t.CapDay, r.now
		d.capDay = t.CapDay
		d.messages += t.Messages
	}
	r.deltas[u.FanID] = d
}

// Reserve stores reservations: one statement per kind of change, not per fan.
func (s *Store) Reserve(tx *gorm.DB, r *Reservations) error {
	groups := map[delta][]int64{}
	for fan, d := range r.deltas {
		groups[d] = append(groups[d], fan)
	}
	for d, ids := range groups {
		if err := d.apply(tx, database.SortedSet(ids), r.now); err != nil {
			return err
		}
	}
	return nil
}

func (d delta) apply(tx *gorm.DB, fanIDs []int64, at int64) error {
	var sets []string
	var args []any
	for t, n := range d.left {
		if n > 0 {
			name := wechat.Trigger(t).String() + "_left"
			sets, args = append(sets, name+" = "+name+" - ?"), append(args, n)
		}
	}
	if d.capDay != 0 {
		sets = append(sets, "cap_used = CASE WHEN cap_day = ? THEN cap_used + ? ELSE ? END", "cap_day = ?", "marketing_at = ?")
		args = append(args, d.capDay, d.messages, d.messages, d.capDay, at)
	}
	if len(sets) == 0 {
		return nil
	}
	args = append(args, fanIDs)
	if err := tx.Exec("UPDATE fan_limits SET "+strings.Join(sets, ", ")+" WHERE fan_id IN ?", args...).Error; err != nil {
		return fmt.Errorf("reserve: %w", err)
	}
	return nil
}

// Release is a reservation to give back, because the platform said that it did not send.
type Release struct {
	FanID      int64
	Buckets    uint8
	Generation int
	CapDay     int
}

// Correction is what the platform's answer to a send teaches about a fan's grants.
type Correction struct {
	Kind       CorrectionKind
	Generation int // of the send's reservation
}

// CorrectionKind says what was wrong.
type CorrectionKind uint8

// The corrections. Both are also divergences: we thought that a send was allowed.
const (
	CorrectNone    CorrectionKind = iota
	CorrectExhaust                // 45047: the count is used up
	CorrectClose                  // 45015: no window is open
)

// Settle gives reservations back and applies corrections, all under the fans' locks. It reports how many corrections
// contradicted what we believed.
func (s *Store) Settle(tx *gorm.DB, now time.Time, accountID int64, releases []Release, corrections map[int64]Correction) (diverged int, err error) {
	ids := make([]int64, 0, len(releases)+len(corrections))
	for _, r := range releases {
		ids = append(ids, r.FanID)
	}
	for id := range corrections {
		ids = append(ids, id)
	}
	if len(ids) == 0 {
		return 0, nil
	}
	locked, err := s.Lock(tx, accountID, database.SortedSet(ids))
	if err != nil {
		return 0, err
	}
	for _, r := range releases {
		if u := locked[r.FanID]; u != nil {
			u.release(r)
		}
	}
	for id, c := range corrections {
		if u := locked[id]; u != nil && u.correct(c, now.UnixMilli()) {
			diverged++
		}
	}
	changed := make([]*Usage, 0, len(locked))
	for _, u := range locked {
		changed = append(changed, u)
	}
	return diverged, s.Save(tx, changed)
}

func (u *Usage) release(r Release) {
	u.Grants.Release(r.Buckets, r.Generation)
	if r.CapDay != 0 && r.CapDay == u.CapDay && u.CapUsed > 0 {
		u.CapUsed--
	}
}

func (u *Usage) correct(c Correction, now int64) bool {
	believed := u.Grants.Available(now, 0) > 0 || u.Grants.AnyOpen(now)
	switch c.Kind {
	case CorrectExhaust:
		u.Grants.Exhaust(c.Generation)
	case CorrectClose:
		u.Grants.Close(c.Generation)
	case CorrectNone:
		return false
	}
	return believed
}

// CampaignUsed reads how much of a campaign's own daily cap each fan has used on a day. The fans' rows of fan_limits must be locked.
func (s *Store) CampaignUsed(tx *gorm.DB, campaignID int64, day int, fanIDs []int64) (map[int64]int, error) {
	out := make(map[int64]int, len(fanIDs))
	var rows []struct {
		FanID int64
		Used  int
	}
	err := tx.Raw("SELECT fan_id, used FROM campaign_caps WHERE campaign_id = ? AND fan_id IN ? AND day = ?", campaignID, fanIDs, day).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("read campaign caps: %w", err)
	}
	for _, r := range rows {
		out[r.FanID] = r.Used
	}
	return out, nil
}

// AddCampaign counts n messages (negative to give back) of a campaign for a fan on a day.
func (s *Store) AddCampaign(tx *gorm.DB, campaignID, fanID int64, day, n int) error {
	if n < 0 {
		err := tx.Exec("UPDATE campaign_caps SET used = used + ? WHERE campaign_id = ? AND fan_id = ? AND day = ? AND used >= ?", n, campaignID, fanID, day, -n).Error
		if err != nil {
			return fmt.Errorf("give back campaign cap: %w", err)
		}
		return nil
	}
	res := tx.Exec("UPDATE campaign_caps SET used = CASE WHEN day = ? THEN used + ? ELSE ? END, day = ? WHERE campaign_id = ? AND fan_id = ?",
		day, n, n, day, campaignID, fanID)
	if res.Error == nil && res.RowsAffected == 0 {
		res = tx.Exec("INSERT INTO campaign_caps (campaign_id, fan_id, day, used) VALUES (?,?,?,?)", campaignID, fanID, day, n)
	}
	if res.Error != nil {
		return fmt.Errorf("count campaign cap: %w", res.Error)
	}
	return nil
}

// Available reads, without a lock, how a fan stands: for previews and planning only.
func (s *Store) Available(ctx context.Context, accountID, fanID int64) (*Usage, error) {
	found, err := s.Read(s.db.Read(ctx), accountID, []int64{fanID})
	if err != nil || found[fanID] == nil {
		return &Usage{FanID: fanID, AccountID: accountID}, err
	}
	return found[fanID], nil
}
