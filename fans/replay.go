package fans

import (
	"cmp"
	"database/sql"
	"fmt"
	"slices"

	"gorm.io/gorm"

	"hongyan/internal/database"
	"hongyan/limits"
	"hongyan/wechat"
)

// Replay does to a fan and its limits what Record did when it recorded the act: the same code, without the database. uncounted is what was taken off the
// grants that the act opened (KeptAct).
func Replay(act *Act, f *Fan, u *limits.Usage, rules wechat.RuleSet, uncounted int) {
	if act.Own != nil {
		return
	}
	rec := Recorded{Act: act, Fan: f, Usage: u}
	rec.apply(Recorder{Rules: rules}, uncounted)
}

// KeptAct is an interaction as it is stored, with what it did to the fan's grants at the time. That cannot be learned from pushes and ledger alone: which of
// two things that happened in one millisecond came first, and which sends were on the wire then.
type KeptAct struct {
	ID         int64
	FanID      int64
	InboxID    int64
	Kind       string
	Detail     string
	EventAt    int64
	RecordedAt int64
	Generation int // of the fan's grants after the act; GenerationUnknown
	Touched    int // by how many generations the act itself changed them
	Uncounted  int // sends taken off what the act granted: see guard.Grants.Trigger
}

// GenerationUnknown is the generation of an interaction that was recorded before generations were kept.
const GenerationUnknown = -1

// KeptFor is what is stored of an act: the interaction that recording it leaves, as far as the act alone decides that.
func KeptFor(act *Act) KeptAct {
	return KeptAct{InboxID: act.InboxID, Kind: act.Kind, Detail: cut(act.Detail, 191), EventAt: act.EventAt}
}

// KeptActs reads the interactions of fans, by fan, in the order in which they were recorded.
func (s *Store) KeptActs(tx *gorm.DB, accountID int64, ids []int64) (map[int64][]KeptAct, error) {
	out := make(map[int64][]KeptAct, len(ids))
	for chunk := range slices.Chunk(ids, database.ChunkSize) {
		among, args := database.Among("fan_id", chunk)
		err := database.EachRow(tx, func(rows *sql.Rows) error {
			var k KeptAct
			err := rows.Scan(&k.ID, &k.FanID, &k.InboxID, &k.Kind, &k.Detail, &k.EventAt, &k.RecordedAt, &k.Generation, &k.Touched, &k.Uncounted)
			out[k.FanID] = append(out[k.FanID], k)
			return err
		}, "SELECT id, fan_id, inbox_id, kind, detail, event_at, recorded_at, COALESCE(generation, -1), touched, uncounted FROM interactions WHERE "+among+" AND +account_id = ?",
			append(args, accountID)...)
		if err != nil {
			return nil, fmt.Errorf("read interactions to replay: %w", err)
		}
	}
	for _, acts := range out {
		slices.SortFunc(acts, func(a, b KeptAct) int { return cmp.Compare(a.ID, b.ID) })
	}
	return out, nil
}

// Live is what is believed of a fan now.
type Live struct {
	Fan   Fan
	Usage limits.Usage
	// InformedAt is when the platform was last asked about the fan, 0 if never; Listed tells whether a synchronisation has seen the fan on the platform's
	// list. What such a fan's row holds may be the platform's word instead of a push's.
	InformedAt int64
	Listed     bool
}

// Lives reads what is believed of fans. A fan without limits has those of one who never did anything; unknown and erased fans are missing from the result.
func (s *Store) Lives(tx *gorm.DB, accountID int64, ids []int64) (map[int64]Live, error) {
	found, err := s.ByIDs(tx, accountID, ids)
	if err != nil {
		return nil, err
	}
	usages, err := s.limits.Read(tx, accountID, ids)
	if err != nil {
		return nil, err
	}
	out := make(map[int64]Live, len(found))
	for chunk := range slices.Chunk(ids, database.ChunkSize) {
		among, args := database.Among("id", chunk)
		err := database.EachRow(tx, func(rows *sql.Rows) error {
			var id, job int64
			var l Live
			if err := rows.Scan(&id, &job, &l.InformedAt); err != nil {
				return err
			}
			f := found[id]
			if f == nil || f.Erased() {
				return nil
			}
			l.Fan, l.Listed, l.Usage = *f, job > 0, limits.Usage{FanID: id, AccountID: accountID}
			if u := usages[id]; u != nil {
				l.Usage = *u
			}
			out[id] = l
			return nil
		}, "SELECT id, listed_job, informed_at FROM fans WHERE "+among+" AND +account_id = ?", append(args, accountID)...)
		if err != nil {
			return nil, fmt.Errorf("read fans to replay: %w", err)
		}
	}
	return out, nil
}

// IDsAfter lists up to n fans of an account by id who are not erased, from behind after: none only when there are no more.
func (s *Store) IDsAfter(tx *gorm.DB, accountID, after int64, n int) ([]int64, error) {
	return s.idsAfter(tx, accountID, after, n)
}

// StoredPush is a row of the inbox for a replay. Its body is there only while it is handed over.
type StoredPush struct {
	InboxRow
	Parked bool // it failed too often, and nobody acts upon it any more
}

// PushesOf hands over every push and own event of some openids, in no order. Erased ones have no openid, and so are nobody's.
func (b *Inbox) PushesOf(tx *gorm.DB, accountID int64, openids []string, each func(*StoredPush) error) error {
	for chunk := range slices.Chunk(openids, database.ChunkSize) {
		err := database.EachRow(tx, func(rows *sql.Rows) error {
			var p StoredPush
			err := rows.Scan(&p.ID, &p.AccountID, &p.Origin, &p.OpenID, &p.Body, &p.EventAt, &p.ReceivedAt, &p.Pending, &p.Parked)
			if err != nil {
				return err
			}
			return each(&p)
		}, "SELECT id, account_id, origin, openid, body, event_at, received_at, pending_at IS NOT NULL, error <> '' FROM inbox "+
			"WHERE openid IN ? AND openid <> '' AND +account_id = ?", chunk, accountID)
		if err != nil {
			return fmt.Errorf("read pushes to replay: %w", err)
		}
	}
	return nil
}
