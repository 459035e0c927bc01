package fans

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"gorm.io/gorm"

	"hongyan/internal/database"
	"hongyan/internal/fault"
	"hongyan/internal/lang"
	"hongyan/wechat"
)

// Mirror changes what the platform keeps about fans as well as we do: their tags and remarks.
//
// It writes to the platform first and here after that. So a refusal changes nothing here, and what is interrupted between the two is at the platform and not here:
// repeating it does no harm, and a synchronisation finds it too. Where something is taken away, an interruption leaves us claiming what
// the platform does not have any more; the synchronisation of tags repairs that.
type Mirror struct {
	fans     *Store
	platform *Platform
}

// NewMirror returns a Mirror. It needs no closing.
func NewMirror(s *Store, p *Platform) *Mirror { return &Mirror{fans: s, platform: p} }

// NewTag is a tag to make.
type NewTag struct {
	Name   string // 1 to MaxTagName characters, space around it does not count
	WeChat bool   // on the platform as well; an account has at most 100 of these there
}

// CreateTag makes a tag. Errors: Invalid with the field name (required, tag_name_length, tag_name, tag_name_taken); Conflict when the account has as
// many tags as the platform allows; those of the platform.
func (m *Mirror) CreateTag(ctx context.Context, accountID int64, in NewTag) (*Tag, error) {
	name, err := tagName(in.Name)
	if err != nil {
		return nil, err
	}
	if !in.WeChat {
		return m.fans.createTag(ctx, accountID, name)
	}
	if err := nameFree(m.fans.db.Read(ctx), accountID, 0, name); err != nil {
		return nil, err
	}
	made, err := m.createThere(ctx, accountID, name)
	if err != nil {
		return nil, tagRefused(err, name)
	}
	if _, err := m.takeOver(ctx, accountID, []wechat.Tag{made}); err != nil {
		return nil, err
	}
	found, err := readTags(m.fans.db.Read(ctx), "account_id = ? AND wechat_id = ?", accountID, made.ID)
	if err == nil && len(found) == 0 {
		err = fault.New(fault.Conflict, "the tag was removed meanwhile; look at the list of tags")
	}
	if err != nil {
		return nil, err
	}
	return found[0], nil
}

// createThere makes a tag on the platform. When the answer is lost, the tag's name tells whether it was made.
func (m *Mirror) createThere(ctx context.Context, accountID int64, name string) (made wechat.Tag, err error) {
	err = m.platform.call(ctx, accountID, func(acc wechat.Account) (err error) {
		made, err = m.platform.Client.CreateTag(ctx, acc, name)
		if wechat.OutcomeOf(err) != wechat.OutcomeLost {
			return err
		}
		tags, listed := m.platform.Client.Tags(ctx, acc)
		at := slices.IndexFunc(tags, func(t wechat.Tag) bool { return t.Name == name })
		if listed != nil || at < 0 {
			return err
		}
		made = tags[at]
		return nil
	})
	return made, err
}

// RenameTag gives a tag another name. Errors: NotFound; Invalid with the field name as for CreateTag, or with the field id (system_tag) for the starred
// tag of the platform, which keeps its name; those of the platform.
func (m *Mirror) RenameTag(ctx context.Context, accountID, id int64, name string) error {
	name, err := tagName(name)
	if err != nil {
		return err
	}
	tag, err := m.fans.FindTag(ctx, accountID, id)
	if err != nil || tag.Name == name {
		return err
	}
	if tag.WeChatID == 0 {
		return m.fans.renameTag(ctx, accountID, id, name)
	}
	if err := nameFree(m.fans.db.Read(ctx), accountID, id, name); err != nil {
		return err
	}
	err = m.platform.call(ctx, accountID, func(acc wechat.Account) error { return m.platform.Client.RenameTag(ctx, acc, tag.WeChatID, name) })
	if err != nil {
		return tagRefused(err, name)
	}
	_, err = m.takeOver(ctx, accountID, []wechat.Tag{{ID: tag.WeChatID, Name: name}})
	return err
}

// DeleteTag deletes a tag: its fans have it no more, and its name is free. Errors: NotFound; Invalid with the field id (system_tag) for the starred tag of
// the platform; Conflict when the platform wants that fewer fans have it first; those of the platform.
func (m *Mirror) DeleteTag(ctx context.Context, accountID, id int64) error {
	tag, err := m.fans.FindTag(ctx, accountID, id)
	if err != nil {
		return err
	}
	if tag.WeChatID != 0 {
		err := m.platform.call(ctx, accountID, func(acc wechat.Account) error { return m.platform.Client.DeleteTag(ctx, acc, tag.WeChatID) })
		if err != nil && codeOf(err) != codeTagGone { // gone is what it should be
			return tagRefused(err, tag.Name)
		}
	}
	return m.fans.db.Tx(ctx, func(tx *gorm.DB) error {
		n, err := m.fans.removeTags(tx, accountID, []int64{id})
		if err == nil && n == 0 {
			return fault.New(fault.NotFound, "this account has no tag %d", id)
		}
		return err
	})
}

// MaxTagged is how many fans TagFans and UntagFans take at once; more are tagged by the job TagKind.
const MaxTagged = 1000

// Tagged is what came of tagging a set of fans.
type Tagged struct {
	Done    int // fans who have, or do not have, the tag now
	Refused []RefusedFan
}

// RefusedFan is a fan whom the platform refused.
type RefusedFan struct {
	FanID  int64
	Code   int       // the platform's errcode; 0 when it was not asked
	Reason lang.Text // one sentence: what is wrong with this fan, and what to do
}

// Tagging names the fans who get or lose a tag.
type Tagging struct {
	TagID  int64
	FanIDs []int64 // 1 to MaxTagged
}

// TagFans gives a tag to fans. A tag of the platform goes out in batches of 50; fans whom the platform refuses are told of, the others have the tag.
// After an error Tagged says who was done before it. Errors: Invalid; NotFound for the tag or a fan, and then nobody is tagged; those of the platform.
func (m *Mirror) TagFans(ctx context.Context, accountID int64, in Tagging) (Tagged, error) {
	return m.tagSet(ctx, accountID, tagChange{tagID: in.TagID}, in.FanIDs)
}

// UntagFans takes a tag from fans; otherwise it is as TagFans.
func (m *Mirror) UntagFans(ctx context.Context, accountID int64, in Tagging) (Tagged, error) {
	return m.tagSet(ctx, accountID, tagChange{tagID: in.TagID, remove: true}, in.FanIDs)
}

func (m *Mirror) tagSet(ctx context.Context, accountID int64, change tagChange, ids []int64) (Tagged, error) {
	ids = database.SortedSet(ids)
	if len(ids) == 0 || len(ids) > MaxTagged {
		return Tagged{}, fault.BadField("fan_ids", "count", "name 1 to %d fans; for more start the job %s", MaxTagged, TagKind)
	}
	tag, err := m.fans.FindTag(ctx, accountID, change.tagID)
	if err != nil {
		return Tagged{}, err
	}
	known, err := m.fans.allKnown(ctx, accountID, ids)
	if err != nil {
		return Tagged{}, err
	}
	for _, f := range known {
		if f.Erased() {
			return Tagged{}, fault.New(fault.NotFound, "fan %d was erased", f.ID)
		}
	}
	there, err := m.tagThere(ctx, tag, change, ids)
	if len(there.done) > 0 {
		stored := m.fans.db.Tx(ctx, func(tx *gorm.DB) error { return m.fans.tagHere(tx, accountID, change, there.done) })
		if stored != nil {
			return Tagged{}, errors.Join(err, fmt.Errorf("tag fans: %w", stored))
		}
	}
	return Tagged{Done: len(there.done), Refused: there.refused}, err
}
