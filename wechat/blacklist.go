package wechat

import "context"

const (
	apiBlacklist       = "/cgi-bin/tags/members/getblacklist"
	apiBlacklistAdd    = "/cgi-bin/tags/members/batchblacklist"
	apiBlacklistRemove = "/cgi-bin/tags/members/batchunblacklist"

	blacklistBatch = 20
)

// Blacklist reads a page of the fans whom the account has blacklisted: messages to them are
// refused with 43019 (platform.md 7.3). after is "" for the first page and then FanPage.Next.
// A page holds 1,000 or 10,000 fans, which is not known for sure, so only an empty one ends
// the list.
func (c *Client) Blacklist(ctx context.Context, acc Account, after string) (FanPage, error) {
	var out wireFanPage
	if err := c.post(ctx, acc, apiBlacklist, map[string]string{"begin_openid": after}, &out); err != nil {
		return FanPage{}, err
	}
	return out.page(apiBlacklist, after)
}

// AddToBlacklist blacklists any number of fans, 20 a call (platform.md 7.3). Fans whom the
// platform refuses are in Batched.Refused: 40003 and 49003 for an openid that is not of this
// account. When a batch in the middle fails for another reason the work ends there, and
// Batched.Done tells from where to repeat it, which does no harm.
func (c *Client) AddToBlacklist(ctx context.Context, acc Account, openids []string) (Batched, error) {
	return c.setBlacklisted(ctx, acc, apiBlacklistAdd, openids)
}

// RemoveFromBlacklist takes fans off the blacklist; otherwise it is like AddToBlacklist.
func (c *Client) RemoveFromBlacklist(ctx context.Context, acc Account, openids []string) (Batched, error) {
	return c.setBlacklisted(ctx, acc, apiBlacklistRemove, openids)
}

func (c *Client) setBlacklisted(ctx context.Context, acc Account, api string, openids []string) (Batched, error) {
	return inBatches(openids, blacklistBatch, func(batch []string) error {
		return c.post(ctx, acc, api, map[string][]string{"openid_list": batch}, nil)
	})
}
