package wechat

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"
	"unicode/utf8"

	"hongyan/internal/fault"
)

const (
	apiFans      = "/cgi-bin/user/get"
	apiFanInfo   = "/cgi-bin/user/info"
	apiFanInfos  = "/cgi-bin/user/info/batchget"
	apiFanRemark = "/cgi-bin/user/info/updateremark"

	fansPage     = 10_000 // a shorter page is the last
	pageUnit     = 1_000  // the pages of all lists are full at a multiple of it
	fanInfoBatch = 100
	maxRemark    = 29 // characters; perhaps the platform counts bytes
	fanLang      = "zh_CN"
)

// FanPage is one page of a list of fans.
type FanPage struct {
	Total   int // fans on the whole list at this moment; 0 from FansWithTag, which is not told
	OpenIDs []string
	Next    string // cursor of the next page, "" after the last one
}

// Fans reads a page of up to 10,000 fans in the order in which they followed (platform.md
// 7.1). after is "" for the first page and then FanPage.Next. 500 pages a day.
//
// Who follows while the list is read is met at its end; who leaves and comes back may be met
// twice. 40003 for a cursor that the platform does not know: begin anew.
func (c *Client) Fans(ctx context.Context, acc Account, after string) (FanPage, error) {
	query := url.Values{}
	if after != "" {
		query.Set("next_openid", after)
	}
	var in wireFanPage
	if err := c.get(ctx, acc, apiFans, query, &in); err != nil {
		return FanPage{}, err
	}
	page, err := in.page(apiFans, after)
	if err == nil && len(page.OpenIDs) < fansPage {
		page.Next = ""
	}
	return page, err
}

type wireFanPage struct {
	Total *int `json:"total"`
	Count *int `json:"count"`
	Data  struct {
		OpenIDs []string `json:"openid"`
	} `json:"data"`
	Next string `json:"next_openid"`
}

// page checks what a broken answer would do harm with: a list that seems to end early makes
// fans look gone, and a cursor that stands still is asked for without end.
func (w *wireFanPage) page(api, after string) (FanPage, error) {
	count := len(w.Data.OpenIDs)
	out := FanPage{OpenIDs: w.Data.OpenIDs, Next: w.Next}
	if w.Total != nil {
		out.Total = *w.Total
	}
	switch {
	case w.Count == nil:
		return FanPage{}, strange(api, "the page does not say how many fans it holds")
	case *w.Count != count:
		return FanPage{}, strange(api, fmt.Sprintf("the page has %d fans and says %d", count, *w.Count))
	case count == 0 && after == "" && out.Total > 0:
		return FanPage{}, strange(api, fmt.Sprintf("the first page of %d fans is empty", out.Total))
	case count == 0:
		out.Next = ""
	case w.Next == after && after != "" && count%pageUnit == 0:
		return FanPage{}, strange(api, "the list does not go on behind its cursor")
	case w.Next == after:
		out.Next = "" // the cursor's fan left and came back: the list ends with them now
	}
	return out, nil
}

// strange is the failure of a call whose answer is JSON, but not the one that is documented.
func strange(api, why string) *Error {
	return &Error{API: api, HTTPStatus: httpOK, Outcome: OutcomeLost, Err: errors.New(why)}
}

// FanInfo is what the platform tells of a fan (platform.md 7.1). It tells no nickname,
// portrait, sex or place any more; a nickname comes only from the fan's consent on a page.
type FanInfo struct {
	OpenID     string
	UnionID    string // "" unless the account is bound to an Open Platform account
	Follows    bool   // false leaves all that follows empty
	FollowedAt time.Time
	Remark     string // the account's own note of up to 29 characters
	TagIDs     []int
	Scene      string // how the fan came to follow: ADD_SCENE_QR_CODE
	QRScene    int64  // scene of the QR code, if it is a number
	QRSceneStr string // scene of the QR code, if it is a text
	Language   string // of the fan's WeChat: zh_CN; no longer told by today's platform
}

type wireFanInfo struct {
	Subscribe  *int   `json:"subscribe"`
	OpenID     string `json:"openid"`
	UnionID    string `json:"unionid"`
	Language   string `json:"language"`
	FollowedAt int64  `json:"subscribe_time"`
	Remark     string `json:"remark"`
	TagIDs     []int  `json:"tagid_list"`
	Scene      string `json:"subscribe_scene"`
	QRScene    int64  `json:"qr_scene"`
	QRSceneStr string `json:"qr_scene_str"`
}

// info refuses an answer that is not about the fan asked for: it would mark a wrong one as gone.
func (w *wireFanInfo) info(api, openid string) (FanInfo, error) {
	if w.Subscribe == nil || w.OpenID != openid {
		return FanInfo{}, strange(api, "the answer is not about the fan asked for")
	}
	out := FanInfo{OpenID: w.OpenID, UnionID: w.UnionID, Follows: *w.Subscribe == 1}
	if !out.Follows {
		return out, nil
	}
	out.FollowedAt = time.Unix(w.FollowedAt, 0).UTC()
	out.Remark, out.TagIDs, out.Language = w.Remark, w.TagIDs, w.Language
	out.Scene, out.QRScene, out.QRSceneStr = w.Scene, w.QRScene, w.QRSceneStr
	return out, nil
}

// FanInfo asks for one fan (platform.md 7.1). A person who does not follow is no error; an
// openid of another account is 40003. 5,000,000 calls a day.
func (c *Client) FanInfo(ctx context.Context, acc Account, openid string) (FanInfo, error) {
	if err := checkOpenID("openid", openid); err != nil {
		return FanInfo{}, err
	}
	var in wireFanInfo
	query := url.Values{"openid": {openid}, "lang": {fanLang}}
	if err := c.get(ctx, acc, apiFanInfo, query, &in); err != nil {
		return FanInfo{}, err
	}
	return in.info(apiFanInfo, openid)
}

type wireFanRef struct {
	OpenID string `json:"openid"`
	Lang   string `json:"lang"`
}

// FanInfos asks for any number of fans, 100 a call (platform.md 7.1). The infos stand in the
// order of openids, without those whom the platform refused; Batched tells how far the list
// was worked through when the error is not nil.
func (c *Client) FanInfos(ctx context.Context, acc Account, openids []string) ([]FanInfo, Batched, error) {
	var infos []FanInfo
	done, err := inBatches(openids, fanInfoBatch, func(batch []string) error {
		more, err := c.fanInfos(ctx, acc, batch)
		infos = append(infos, more...)
		return err
	})
	return infos, done, err
}

func (c *Client) fanInfos(ctx context.Context, acc Account, batch []string) ([]FanInfo, error) {
	refs := make([]wireFanRef, len(batch))
	for i, openid := range batch {
		refs[i] = wireFanRef{openid, fanLang}
	}
	var in struct {
		List []wireFanInfo `json:"user_info_list"`
	}
	if err := c.post(ctx, acc, apiFanInfos, map[string][]wireFanRef{"user_list": refs}, &in); err != nil {
		return nil, err
	}
	byOpenID := make(map[string]*wireFanInfo, len(in.List))
	for i := range in.List {
		byOpenID[in.List[i].OpenID] = &in.List[i]
	}
	out := make([]FanInfo, len(batch))
	for i, openid := range batch {
		w, ok := byOpenID[openid]
		if !ok {
			return nil, strange(apiFanInfos, "the answer lacks a fan asked for")
		}
		var err error
		if out[i], err = w.info(apiFanInfos, openid); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// SetRemark sets the account's own note on a fan, up to 29 characters; "" takes it away. It
// can be repeated without harm. 40092 for a remark that the platform finds too long, 43004
// for a person who does not follow (platform.md 7.1). 10,000 calls a day.
func (c *Client) SetRemark(ctx context.Context, acc Account, openid, remark string) error {
	if err := checkOpenID("openid", openid); err != nil {
		return err
	}
	if n := utf8.RuneCountInString(remark); n > maxRemark {
		return fault.BadField("remark", "remark_length", "the remark has %d characters, the platform takes at most %d", n, maxRemark)
	}
	in := struct {
		OpenID string `json:"openid"`
		Remark string `json:"remark"`
	}{openid, remark}
	return c.post(ctx, acc, apiFanRemark, in, nil)
}

func checkOpenID(field, openid string) error {
	if openid == "" {
		return fault.BadField(field, "required", "an openid is needed")
	}
	return nil
}
