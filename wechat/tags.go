package wechat

import (
	"context"
	"unicode/utf8"

	"hongyan/internal/fault"
)

const (
	apiTagCreate      = "/cgi-bin/tags/create"
	apiTags           = "/cgi-bin/tags/get"
	apiTagUpdate      = "/cgi-bin/tags/update"
	apiTagDelete      = "/cgi-bin/tags/delete"
	apiFansWithTag    = "/cgi-bin/user/tag/get"
	apiBatchTagging   = "/cgi-bin/tags/members/batchtagging"
	apiBatchUntagging = "/cgi-bin/tags/members/batchuntagging"
	apiTagsOf         = "/cgi-bin/tags/getidlist"

	maxTagName = 30 // characters; perhaps the platform counts bytes
	tagBatch   = 50
)

// TagStarred is the tag 星标组 that every account has. It can be given to fans, but neither
// renamed nor deleted. 0 and 1, "no tag" and the blacklist, are not tags to us.
const TagStarred = 2

// Tag is a tag of an account. An account has at most 100 of its own, a fan at most 20.
type Tag struct {
	ID   int    `json:"id"`
	Name string `json:"name"`
	Fans int    `json:"count"` // 0 in a tag just created
}

// CreateTag makes a tag with a name of up to 30 characters (platform.md 7.2). 45157 for a
// name that exists, 45158 for one that the platform finds too long, 45056 beyond 100 tags.
// After OutcomeLost look for the name among Tags: a second call would be refused by it.
// 1,000 calls a day.
func (c *Client) CreateTag(ctx context.Context, acc Account, name string) (Tag, error) {
	if err := checkTagName(name); err != nil {
		return Tag{}, err
	}
	var out struct {
		Tag Tag `json:"tag"`
	}
	in := map[string]map[string]string{"tag": {"name": name}}
	if err := c.post(ctx, acc, apiTagCreate, in, &out); err != nil {
		return Tag{}, err
	}
	if out.Tag.ID <= 0 {
		return Tag{}, strange(apiTagCreate, "the answer holds no tag")
	}
	out.Tag.Name = name
	return out.Tag, nil
}

// Tags lists the account's tags with the number of their fans (platform.md 7.2), among them
// the system's. 1,000 calls a day.
func (c *Client) Tags(ctx context.Context, acc Account) ([]Tag, error) {
	var out struct {
		Tags []Tag `json:"tags"`
	}
	if err := c.get(ctx, acc, apiTags, nil, &out); err != nil {
		return nil, err
	}
	if out.Tags == nil {
		return nil, strange(apiTags, "the answer holds no tags")
	}
	return out.Tags, nil
}

// RenameTag gives a tag another name of up to 30 characters. 45157 and 45158 as for
// CreateTag, 45159 for a tag that is gone (platform.md 7.2). It can be repeated without harm.
func (c *Client) RenameTag(ctx context.Context, acc Account, id int, name string) error {
	if err := checkOwnTag(id); err != nil {
		return err
	}
	if err := checkTagName(name); err != nil {
		return err
	}
	type renamed struct {
		ID   int    `json:"id"`
		Name string `json:"name"`
	}
	return c.post(ctx, acc, apiTagUpdate, map[string]renamed{"tag": {id, name}}, nil)
}

// DeleteTag deletes a tag; its fans lose it. 45057 for one with more than 100,000 fans, who
// have to be relieved of it first, 45159 for one that is gone (platform.md 7.2).
func (c *Client) DeleteTag(ctx context.Context, acc Account, id int) error {
	if err := checkOwnTag(id); err != nil {
		return err
	}
	return c.post(ctx, acc, apiTagDelete, map[string]map[string]int{"tag": {"id": id}}, nil)
}

// FansWithTag reads a page of up to 10,000 fans who have a tag (platform.md 7.2). after is ""
// for the first page and then FanPage.Next. The last page is followed by an empty one, because
// nothing is documented of its length. 45159 for a tag that is gone, 40003 for a cursor that
// the platform does not know.
func (c *Client) FansWithTag(ctx context.Context, acc Account, id int, after string) (FanPage, error) {
	if err := checkTagID(id); err != nil {
		return FanPage{}, err
	}
	in := struct {
		ID    int    `json:"tagid"`
		After string `json:"next_openid"`
	}{id, after}
	var out wireFanPage
	if err := c.post(ctx, acc, apiFansWithTag, in, &out); err != nil {
		return FanPage{}, err
	}
	return out.page(apiFansWithTag, after)
}

// AddTag gives any number of fans a tag, 50 a call (platform.md 7.2). Fans whom the platform
// refuses are in Batched.Refused: 45059 for a fan with 20 tags, 50005 for one who left. When a
// batch in the middle fails for another reason the work ends there, and Batched.Done tells
// from where to repeat it, which does no harm. 45159 for a tag that is gone. 100,000 calls a day.
func (c *Client) AddTag(ctx context.Context, acc Account, id int, openids []string) (Batched, error) {
	return c.setTag(ctx, acc, tagChange{apiBatchTagging, id}, openids)
}

// RemoveTag relieves fans of a tag; otherwise it is like AddTag.
func (c *Client) RemoveTag(ctx context.Context, acc Account, id int, openids []string) (Batched, error) {
	return c.setTag(ctx, acc, tagChange{apiBatchUntagging, id}, openids)
}

type tagChange struct {
	api string
	id  int
}

func (c *Client) setTag(ctx context.Context, acc Account, change tagChange, openids []string) (Batched, error) {
	if err := checkTagID(change.id); err != nil {
		return Batched{}, err
	}
	return inBatches(openids, tagBatch, func(batch []string) error {
		in := struct {
			OpenIDs []string `json:"openid_list"`
			ID      int      `json:"tagid"`
		}{batch, change.id}
		return c.post(ctx, acc, change.api, in, nil)
	})
}

// TagsOf lists the ids of a fan's tags (platform.md 7.2). 40003 and 49003 for an openid that
// is not of this account.
func (c *Client) TagsOf(ctx context.Context, acc Account, openid string) ([]int, error) {
	if err := checkOpenID("openid", openid); err != nil {
		return nil, err
	}
	var out struct {
		IDs []int `json:"tagid_list"`
	}
	if err := c.post(ctx, acc, apiTagsOf, map[string]string{"openid": openid}, &out); err != nil {
		return nil, err
	}
	if out.IDs == nil {
		return nil, strange(apiTagsOf, "the answer holds no list of tags")
	}
	return out.IDs, nil
}

func checkTagName(name string) error {
	switch n := utf8.RuneCountInString(name); {
	case n == 0:
		return fault.BadField("name", "required", "a tag needs a name")
	case n > maxTagName:
		return fault.BadField("name", "tag_name_length", "the name has %d characters, the platform takes at most %d", n, maxTagName)
	}
	return nil
}

func checkTagID(id int) error {
	if id < TagStarred {
		return fault.BadField("id", "tag_id", "%d is not a tag that fans can have", id)
	}
	return nil
}

func checkOwnTag(id int) error {
	if id <= TagStarred {
		return fault.BadField("id", "system_tag", "%d is a tag of the system, which cannot be changed", id)
	}
	return nil
}
