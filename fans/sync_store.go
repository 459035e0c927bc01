package fans

import (
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gorm.io/gorm"

	"hongyan/internal/database"
	"hongyan/limits"
	"hongyan/wechat"
)

// standing is what events tell of a fan, and by which we notice that one has come in. The times are unix milliseconds.
type standing struct {
	subscribed                   bool
	unsubscribedAt, interactedAt int64
}

// profile is what the platform tells of who a fan is.
type profile struct {
	unionID, remark, language, followSource, scene string
	subscribedAt                                   int64
}

// syncFan is a fan as a synchronisation needs it.
type syncFan struct {
	id         int64
	accountID  int64
	openid     string
	createdAt  int64
	informedAt int64
	standing
	profile
}

func (s *Store) syncFans(tx *gorm.DB, where string, args ...any) ([]*syncFan, error) {
	var out []*syncFan
	err := database.EachRow(tx, func(rows *sql.Rows) error {
		f := &syncFan{}
		out = append(out, f)
		return rows.Scan(database.Int(&f.id), database.Int(&f.accountID), &f.openid, database.Int(&f.createdAt), database.Int(&f.informedAt),
			&f.subscribed, database.Int(&f.unsubscribedAt), database.Int(&f.interactedAt),
			&f.unionID, &f.remark, &f.language, &f.followSource, &f.scene, database.Int(&f.subscribedAt))
	}, "SELECT id, account_id, openid, created_at, informed_at, subscribed, unsubscribed_at, interacted_at, "+
		"unionid, remark, language, follow_source, scene, subscribed_at FROM fans WHERE "+where, args...)
	if err != nil {
		return nil, fmt.Errorf("read fans to synchronise: %w", err)
	}
	return out, nil
}

// idRange is a part of the table of fans, which holds those of all accounts: the ids behind from and up to to.
type idRange struct{ from, to int64 }

// idsAtOnce is how many ids a query walks over at most, so that none takes long that finds few rows or none.
const idsAtOnce = 20_000

// condition takes from, to and the account. Erased fans are nobody's. The plus: see ByIDs.
func (idRange) condition() string {
	return "id > ? AND id <= ? AND +account_id = ? AND openid NOT LIKE '" + erasedPrefix + "%'"
}

func (idRange) order() string { return " ORDER BY id LIMIT " + strconv.Itoa(syncSlice) }

// walk reads the table in the order of ids from behind after, part by part, until a part has something. An index of the accounts' ids would spare
// walking over other accounts' rows, but servers prefer it to the primary key where fans are asked for by their ids, which is the send path.
func (s *Store) walk(tx *gorm.DB, after int64, read func(part idRange) (found bool, err error)) error {
	var last int64
	if err := tx.Raw("SELECT COALESCE(MAX(id), 0) FROM fans").Scan(&last).Error; err != nil {
		return fmt.Errorf("walk the fans: %w", err)
	}
	for ; after < last; after += idsAtOnce {
		if found, err := read(idRange{after, after + idsAtOnce}); err != nil || found {
			return err
		}
	}
	return nil
}

// idsAfter lists up to n fans of an account by id who are not erased, from behind after: none only when there are no more.
func (s *Store) idsAfter(tx *gorm.DB, accountID, after int64, n int) (ids []int64, err error) {
	err = s.walk(tx, after, func(part idRange) (bool, error) {
		err := tx.Raw("SELECT id FROM fans WHERE "+part.condition()+" ORDER BY id LIMIT ?", part.from, part.to, accountID, n).Scan(&ids).Error
		return len(ids) > 0, err
	})
	if err != nil {
		return nil, fmt.Errorf("list fans: %w", err)
	}
	return ids, nil
}

// informing is what the platform told of some fans.
type informing struct {
	accountID int64
	asked     int64      // unix ms
	fans      []*syncFan // by id, as they were before the platform was asked
	told      map[string]*wechat.FanInfo
	refused   map[string]*wechat.Error
	settled   int // of fans, from the start: told, refused or not to be asked about
}

// informed is what that changed: fans who came or left without our knowing.
type informed struct{ back, gone []int64 }

// inform stores what the platform told. It says something about whether a fan follows only if nothing has come in about the fan since it was
// asked: what has come in is newer, or at least not older than we know.
func (s *Store) inform(tx *gorm.DB, in informing) (out informed, err error) {
	usages, err := s.lockMoving(tx, in)
	if err != nil {
		return out, err
	}
	now, err := s.readAgain(tx, in)
	if err != nil {
		return out, err
	}
	n := in.compare(now)
	if err := s.move(tx, in, usages, n); err != nil {
		return out, err
	}
	if err := s.saveProfiles(tx, in.asked, n.changed); err != nil {
		return out, err
	}
	if err := s.note(tx, fanUpdate{accountID: in.accountID, set: "informed_at = ?", args: []any{in.asked}}, n.same); err != nil {
		return out, err
	}
	out.back, out.gone = idsOf(n.back), idsOf(n.gone)
	return out, s.SetWeChatTags(tx, in.accountID, n.tags)
}

// lockMoving locks the limits of the fans who may be reached otherwise from now on, before anything about fans is locked.
func (s *Store) lockMoving(tx *gorm.DB, in informing) (map[int64]*limits.Usage, error) {
	var ids []int64
	for _, f := range in.fans {
		if told := in.told[f.openid]; told != nil && told.Follows != f.subscribed {
			ids = append(ids, f.id)
		}
	}
	if err := s.limits.Ensure(tx, in.accountID, ids); err != nil {
		return nil, err
	}
	return s.limits.Lock(tx, in.accountID, ids)
}

// readAgain reads the fans again and keeps them locked: they may have changed since the platform was asked.
func (s *Store) readAgain(tx *gorm.DB, in informing) (map[int64]*syncFan, error) {
	out := make(map[int64]*syncFan, len(in.fans))
	ids := make([]int64, 0, len(in.fans))
	for _, f := range in.fans {
		ids = append(ids, f.id)
	}
	for chunk := range slices.Chunk(ids, database.ChunkSize) {
		among, args := database.Among("id", chunk)
		found, err := s.syncFans(tx, among+" AND +account_id = ? ORDER BY id"+s.db.Dialect().ForUpdate(), append(args, in.accountID)...)
		if err != nil {
			return nil, err
		}
		for _, f := range found {
			out[f.id] = f
		}
	}
	return out, nil
}

// news is what answers change, by fans as they are now.
type news struct {
	back, gone []*syncFan // come and left without our knowing
	changed    []*syncFan // with their new profiles
	same       []int64
	tags       map[int64][]int
}

// compare compares what was told with how the fans are now.
func (in *informing) compare(now map[int64]*syncFan) news {
	n := news{tags: make(map[int64][]int, len(in.fans))}
	for _, before := range in.fans {
		f, told := now[before.id], in.told[before.openid]
		if f == nil || f.openid != before.openid || told == nil {
			continue // erased meanwhile; not asked about, or refused
		}
		if f.standing == before.standing && f.subscribedAt == before.subscribedAt {
			n.tags[f.id] = told.TagIDs
			switch {
			case told.Follows && !f.subscribed:
				n.back = append(n.back, f)
			case !told.Follows && f.subscribed:
				n.gone = append(n.gone, f)
			}
		}
		next := *f
		if told.Follows {
			next.profile = profileOf(f.profile, told)
			if f.remark != before.remark {
				next.remark = f.remark // a member has just changed it
			}
		}
		if next.profile == f.profile {
			n.same = append(n.same, f.id)
		} else {
			n.changed = append(n.changed, &next)
		}
	}
	return n
}

// move stores that fans have come or left. Who leaves loses what was granted.
func (s *Store) move(tx *gorm.DB, in informing, usages map[int64]*limits.Usage, n news) error {
	closed := make([]*limits.Usage, 0, len(n.gone))
	for _, f := range n.gone {
		if u := usages[f.id]; u != nil {
			u.Grants.CloseAll()
			closed = append(closed, u)
		}
	}
	if err := s.limits.Save(tx, closed); err != nil {
		return err
	}
	// Whole seconds, as the times of events are: who follows again in this very second is not taken for gone.
	left := in.asked - in.asked%1000
	leave := fanUpdate{accountID: in.accountID, set: "subscribed = 0, unsubscribed_at = ?", args: []any{left}, was: "subscribed = 1"}
	if err := s.reach(tx, leave, idsOf(n.gone)); err != nil {
		return err
	}
	return s.reach(tx, fanUpdate{accountID: in.accountID, set: "subscribed = 1", was: "subscribed = 0"}, idsOf(n.back))
}

func idsOf(fans []*syncFan) []int64 {
	ids := make([]int64, 0, len(fans))
	for _, f := range fans {
		ids = append(ids, f.id)
	}
	return ids
}

// saveProfiles stores profiles of fans whose rows are locked.
func (s *Store) saveProfiles(tx *gorm.DB, asked int64, fans []*syncFan) error {
	for chunk := range slices.Chunk(fans, database.ChunkSize) {
		const width = 11
		args := make([]any, 0, width*len(chunk))
		for _, f := range chunk {
			args = append(args, f.id, f.accountID, f.openid, f.subscribed, f.createdAt, f.unionID, f.remark, f.language, f.followSource, f.scene, f.subscribedAt)
		}
		row := "(?" + strings.Repeat(",?", width-1) + ")"
		err := tx.Exec("INSERT INTO fans (id, account_id, openid, subscribed, created_at, unionid, remark, language, follow_source, scene, subscribed_at) VALUES "+
			row+strings.Repeat(","+row, len(chunk)-1)+
			s.db.Dialect().Upsert([]string{"id"}, "unionid", "remark", "language", "follow_source", "scene", "subscribed_at", "informed_at = "+strconv.FormatInt(asked, 10)), args...).Error
		if err != nil {
			return fmt.Errorf("save what the platform tells of fans: %w", err)
		}
	}
	return nil
}
