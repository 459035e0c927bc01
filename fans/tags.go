package fans

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"gorm.io/gorm"

	"hongyan/internal/database"
	"hongyan/internal/fault"
)

// Tag is a tag of an account: one of its own, or one that the platform has as well (platform.md 7.2).
type Tag struct {
	ID        int64
	AccountID int64
	WeChatID  int // the platform's number; 0 for a tag that only we know
	// Name is unique within the account, letter by letter: "VIP" and "vip" are two tags, as they may be on the platform. It is "" for a
	// tag of the platform of which only the number is known, until the next synchronisation tells its name.
	Name      string
	Fans      int64 // how many have it
	CreatedAt int64
}

// MaxTagName is the most characters of a tag's name: the platform's rule, kept for all tags so that one can become the platform's.
const MaxTagName = 30

const tagColumns = "id, account_id, COALESCE(wechat_id, 0), COALESCE(name, ''), fans, created_at"

func readTags(tx *gorm.DB, where string, args ...any) ([]*Tag, error) {
	var out []*Tag
	err := database.EachRow(tx, func(rows *sql.Rows) error {
		t := &Tag{}
		err := rows.Scan(&t.ID, &t.AccountID, &t.WeChatID, &t.Name, &t.Fans, &t.CreatedAt)
		out = append(out, t)
		return err
	}, "SELECT "+tagColumns+" FROM tags WHERE removed_at = 0 AND "+where, args...)
	if err != nil {
		return nil, fmt.Errorf("read tags: %w", err)
	}
	return out, nil
}

// FindTags lists an account's tags with their counts, oldest first.
func (s *Store) FindTags(ctx context.Context, accountID int64) ([]*Tag, error) {
	return readTags(s.db.Read(ctx), "account_id = ? ORDER BY id", accountID)
}

// FindTag finds a tag. Errors: NotFound.
func (s *Store) FindTag(ctx context.Context, accountID, id int64) (*Tag, error) {
	return findTag(s.db.Read(ctx), accountID, id, "")
}

func findTag(tx *gorm.DB, accountID, id int64, suffix string) (*Tag, error) {
	found, err := readTags(tx, "id = ? AND account_id = ?"+suffix, id, accountID)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, fault.New(fault.NotFound, "this account has no tag %d", id)
	}
	return found[0], nil
}

// TagsOf lists the ids of fans' tags, rising. Fans without tags are missing from the result.
func (s *Store) TagsOf(tx *gorm.DB, accountID int64, fanIDs []int64) (map[int64][]int64, error) {
	out := map[int64][]int64{}
	for chunk := range slices.Chunk(database.SortedSet(fanIDs), database.ChunkSize) {
		among, args := database.Among("f.fan_id", chunk)
		err := database.EachRow(tx, func(rows *sql.Rows) error {
			var fan, tag int64
			err := rows.Scan(database.Int(&fan), database.Int(&tag))
			out[fan] = append(out[fan], tag)
			return err
		}, "SELECT f.fan_id, f.tag_id FROM fan_tags f JOIN tags t ON t.id = f.tag_id WHERE "+among+" AND +f.account_id = ? AND t.removed_at = 0 ORDER BY f.fan_id, f.tag_id",
			append(args, accountID)...)
		if err != nil {
			return nil, fmt.Errorf("read the tags of fans: %w", err)
		}
	}
	return out, nil
}

// FansWithTag lists up to limit fans who have a tag, by id, from behind after. Errors: NotFound.
func (s *Store) FansWithTag(ctx context.Context, accountID, tagID, after int64, limit int) ([]int64, error) {
	tx := s.db.Read(ctx)
	if _, err := findTag(tx, accountID, tagID, ""); err != nil {
		return nil, err
	}
	var ids []int64
	err := tx.Raw("SELECT fan_id FROM fan_tags WHERE tag_id = ? AND fan_id > ? ORDER BY fan_id"+s.db.Dialect().Limit(), tagID, after, limit).Scan(&ids).Error
	if err != nil {
		return nil, fmt.Errorf("list the fans with a tag: %w", err)
	}
	return ids, nil
}

// tagName checks a name and returns it without the space around it.
func tagName(name string) (string, error) {
	name = strings.TrimSpace(name)
	n := utf8.RuneCountInString(name)
	switch {
	case n == 0:
		return "", fault.BadField("name", "required", "a tag needs a name")
	case n > MaxTagName:
		return "", fault.BadField("name", "tag_name_length", "the name has %d characters; a tag's name has at most %d", n, MaxTagName)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
		return "", fault.BadField("name", "tag_name", "the name holds control characters; use letters, digits and signs")
	}
	return name, nil
}

func nameTaken(name string) error {
	return fault.BadField("name", "tag_name_taken", "the account has a tag named %q already; take another name, or use that tag", name)
}

// nameFree fails when another tag of the account has the name.
func nameFree(tx *gorm.DB, accountID, id int64, name string) error {
	found, err := readTags(tx, "account_id = ? AND name = ? AND id <> ?", accountID, name, id)
	if err == nil && len(found) > 0 {
		return nameTaken(name)
	}
	return err
}

// createTag stores a tag of our own.
func (s *Store) createTag(ctx context.Context, accountID int64, name string) (*Tag, error) {
	var tag *Tag
	err := s.db.Tx(ctx, func(tx *gorm.DB) error {
		if err := nameFree(tx, accountID, 0, name); err != nil {
			return err
		}
		if err := tx.Exec("INSERT INTO tags (account_id, name, created_at) VALUES (?, ?, ?)", accountID, name, s.now()).Error; err != nil {
			return err
		}
		found, err := readTags(tx, "account_id = ? AND name = ?", accountID, name)
		if err == nil {
			tag = found[0]
		}
		return err
	})
	return tag, taken(err, name)
}

func (s *Store) renameTag(ctx context.Context, accountID, id int64, name string) error {
	err := s.db.Tx(ctx, func(tx *gorm.DB) error {
		if err := nameFree(tx, accountID, id, name); err != nil {
			return err
		}
		res := tx.Exec("UPDATE tags SET name = ? WHERE id = ? AND account_id = ? AND removed_at = 0", name, id, accountID)
		if res.Error == nil && res.RowsAffected == 0 {
			return fault.New(fault.NotFound, "this account has no tag %d", id)
		}
		return res.Error
	})
	return taken(err, name)
}

// taken says what a name means that two took at the same moment.
func taken(err error, name string) error {
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		return nameTaken(name)
	}
	return err
}

// removeTags takes tags out of sight: their fans have them no more, and their names are free. SweepRemoved does the rest.
func (s *Store) removeTags(tx *gorm.DB, accountID int64, ids []int64) (int64, error) {
	if len(ids) == 0 {
		return 0, nil
	}
	res := tx.Exec("UPDATE tags SET removed_at = ?, name = NULL, wechat_id = NULL WHERE id IN ? AND account_id = ? AND removed_at = 0",
		max(s.now(), 1), database.SortedSet(ids), accountID)
	if res.Error != nil {
		return 0, fmt.Errorf("remove tags: %w", res.Error)
	}
	return res.RowsAffected, nil
}

func (s *Store) now() int64 { return s.clock.Now().UnixMilli() }
