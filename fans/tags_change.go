package fans

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"gorm.io/gorm"

	"hongyan/internal/database"
	"hongyan/internal/fault"
	"hongyan/internal/lang"
	"hongyan/wechat"
)

// tagChange is that fans get a tag, or lose it.
type tagChange struct {
	tagID  int64
	remove bool
}

// taggedThere is how far a set of fans has come at the platform.
type taggedThere struct {
	done    []int64 // fans, by id
	refused []RefusedFan
	settled int // fans from the start of the set about whom all is said
}

// tagThere changes a tag of the platform there. A tag of our own is nothing to the platform, so everybody is done.
func (m *Mirror) tagThere(ctx context.Context, tag *Tag, change tagChange, ids []int64) (taggedThere, error) {
	fans, err := m.fans.ByIDs(m.fans.db.Read(ctx), tag.AccountID, ids)
	if err != nil {
		return taggedThere{}, err
	}
	if tag.WeChatID == 0 {
		return settleHere(ids, fans), nil
	}
	var openids []string
	for _, id := range ids {
		if f := fans[id]; f != nil && f.Subscribed {
			openids = append(openids, f.OpenID)
		}
	}
	var batched wechat.Batched
	if len(openids) > 0 {
		err = m.platform.call(ctx, tag.AccountID, func(acc wechat.Account) (err error) {
			if change.remove {
				batched, err = m.platform.Client.RemoveTag(ctx, acc, tag.WeChatID, openids)
			} else {
				batched, err = m.platform.Client.AddTag(ctx, acc, tag.WeChatID, openids)
			}
			return err
		})
	}
	return settle(ids, fans, batched, change), tagRefused(err, tag.Name)
}

// settleHere tells who of ids can have a tag of our own: everybody there is.
func settleHere(ids []int64, fans map[int64]*Fan) (out taggedThere) {
	for _, id := range ids {
		if f := fans[id]; f == nil || f.Erased() {
			out.refused = append(out.refused, RefusedFan{FanID: id, Reason: unknownFan()})
		} else {
			out.done = append(out.done, id)
		}
	}
	out.settled = len(ids)
	return out
}

// settle tells who of ids was done, who was refused, and up to whom that is known.
func settle(ids []int64, fans map[int64]*Fan, batched wechat.Batched, change tagChange) (out taggedThere) {
	refused := make(map[string]*wechat.Error, len(batched.Refused))
	for _, r := range batched.Refused {
		refused[r.OpenID] = r.Err
	}
	asked := 0
	for _, id := range ids {
		f := fans[id]
		switch {
		case f == nil || f.Erased():
			out.refused = append(out.refused, RefusedFan{FanID: id, Reason: unknownFan()})
		case !f.Subscribed && change.remove:
			out.done = append(out.done, id) // the platform took all tags with the leaving
		case !f.Subscribed:
			out.refused = append(out.refused, RefusedFan{FanID: id, Code: codeNotFollowing, Reason: fanRefused(codeNotFollowing)})
		case asked == batched.Done:
			return out // from here on nothing is known
		default:
			asked++
			if e := refused[f.OpenID]; e != nil {
				out.refused = append(out.refused, RefusedFan{FanID: id, Code: e.Code, Reason: fanRefused(e.Code)})
			} else {
				out.done = append(out.done, id)
			}
		}
		out.settled++
	}
	return out
}

// tagHere stores a change of a tag for fans. Who is no fan of the account, or erased, is left out; whom it does not change, too. Errors: NotFound for the tag.
func (s *Store) tagHere(tx *gorm.DB, accountID int64, change tagChange, ids []int64) error {
	ids, err := s.holdFans(tx, accountID, ids)
	if err != nil {
		return err
	}
	// Locked, so that the tag is not removed meanwhile.
	if _, err := findTag(tx, accountID, change.tagID, s.db.Dialect().ForUpdate()); err != nil {
		return err
	}
	has, err := having(tx, change.tagID, ids)
	if err != nil {
		return err
	}
	var members []member
	for _, id := range ids {
		if has[id] == change.remove {
			members = append(members, member{change.tagID, id})
		}
	}
	if change.remove {
		return s.dropMembers(tx, members)
	}
	return s.addMembers(tx, accountID, members)
}

// having tells which of the fans have a tag.
func having(tx *gorm.DB, tagID int64, ids []int64) (map[int64]bool, error) {
	out := map[int64]bool{}
	for chunk := range slices.Chunk(ids, database.ChunkSize) {
		among, args := database.Among("fan_id", chunk)
		err := database.EachRow(tx, func(rows *sql.Rows) error {
			var id int64
			err := rows.Scan(&id)
			out[id] = true
			return err
		}, "SELECT fan_id FROM fan_tags WHERE tag_id = ? AND "+among, append([]any{tagID}, args...)...)
		if err != nil {
			return nil, fmt.Errorf("read the fans with a tag: %w", err)
		}
	}
	return out, nil
}

// Codes of the platform about tags (platform.md 7.2).
const (
	codeTooManyTags  = 45056
	codeTagTooBig    = 45057
	codeSystemTag    = 45058
	codeFanHas20     = 45059
	codeTagName      = 45157
	codeTagTooLong   = 45158
	codeTagGone      = 45159
	codeFanChanging  = 45169
	codeNotFollowing = 50005
	codeForeign      = 49003
)

// codeOf is the platform's errcode in err, 0 if there is none.
func codeOf(err error) int {
	if e, ok := errors.AsType[*wechat.Error](err); ok {
		return e.Code
	}
	return 0
}

// tagRefused says what the platform's answer about a tag means to a member. The answer, with its errcode, stays the cause.
func tagRefused(err error, name string) error {
	switch codeOf(err) {
	case codeTagName:
		return invalid(err, "name", "tag_name_taken", "the platform has a tag named %q already, or does not take the name; synchronise the tags, or take another name", name)
	case codeTagTooLong:
		return invalid(err, "name", "tag_name_length", "%q is too long for the platform; take a shorter name, of at most 10 Chinese characters if need be", name)
	case codeSystemTag:
		return invalid(err, "id", "system_tag", "the tag is one of WeChat's own and cannot be changed")
	case codeTooManyTags:
		return fault.Wrap(fault.Conflict, err, "the account has 100 tags on the platform, which is the most; delete one there, or make a tag of Hongyan's own")
	case codeTagTooBig:
		return fault.Wrap(fault.Conflict, err, "more than 100,000 fans have the tag %q, so the platform does not delete it; take it from fans first, with the job %s", name, TagKind)
	case codeTagGone:
		return fault.Wrap(fault.NotFound, err, "the platform has no tag %q any more; synchronise the tags", name)
	}
	return err
}

func invalid(err error, field, rule, format string, args ...any) error {
	return fault.At(field, rule, fault.Wrap(fault.Invalid, err, format, args...))
}

// fanRefused says why the platform did not tag a fan.
func fanRefused(code int) lang.Text {
	switch code {
	case codeFanHas20:
		return lang.Text{ZH: "该粉丝在平台上已有 20 个标签（上限）；请先移除一个", EN: "the fan has 20 tags on the platform, which is the most; take one away first"}
	case codeNotFollowing:
		return lang.Text{ZH: "该粉丝已取消关注；平台只能给关注者打标签", EN: "the fan does not follow the account any more; the platform tags followers only"}
	case codeBadCursor, codeForeign:
		return lang.Text{ZH: "平台在该公众号中找不到此 openid；请先同步粉丝", EN: "the platform does not know the fan's openid in this account; synchronise the fans"}
	case codeFanChanging:
		return lang.Text{ZH: "另一程序正在修改该粉丝的标签；请稍后重试", EN: "another program was changing the fan's tags; try again"}
	default:
		return lang.Text{ZH: "平台拒绝了该粉丝；请查看错误码", EN: "the platform refused the fan; see the code"}
	}
}

// unknownFan is why nothing was asked of the platform for an id.
func unknownFan() lang.Text {
	return lang.Text{ZH: "该公众号没有这个粉丝", EN: "this account has no such fan"}
}
