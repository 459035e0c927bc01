package wechat

import (
	"context"
	"errors"
	"net/url"
	"time"

	"hongyan/internal/fault"
)

const (
	apiDraftAdd    = "/cgi-bin/draft/add"
	apiDraftGet    = "/cgi-bin/draft/get"
	apiDraftDelete = "/cgi-bin/draft/delete"
	apiDraftUpdate = "/cgi-bin/draft/update"
	apiDraftCount  = "/cgi-bin/draft/count"
	apiDraftList   = "/cgi-bin/draft/batchget"
	apiDraftSwitch = "/cgi-bin/draft/switch"
)

// The limits of a draft (platform.md 5.5).
const (
	MaxDraftArticles    = 8         // a draft of two or more is a 多图文
	MaxArticlePictures  = 20        // of an ArticlePictures
	MaxArticleTitle     = 32        // characters
	MaxArticleAuthor    = 16        // characters
	MaxArticleDigest    = 128       // characters
	MaxArticleContent   = 20_000    // characters; there must be fewer
	MaxArticleBytes     = 1_000_000 // of the content; there must be fewer
	MaxArticleSourceURL = 1_000     // bytes
	MaxArticlePage      = 20        // article sets in one page of a list
)

// ArticleType is the form of an article (platform.md 5.5).
type ArticleType string

// The forms.
const (
	ArticleNews     ArticleType = "news"    // 图文消息: HTML under a cover
	ArticlePictures ArticleType = "newspic" // 图片消息: pictures with a plain text
)

// ZeroOne is a bool that travels as 0 or 1.
type ZeroOne bool

// MarshalJSON implements json.Marshaler.
func (z ZeroOne) MarshalJSON() ([]byte, error) {
	if z {
		return []byte("1"), nil
	}
	return []byte("0"), nil
}

// UnmarshalJSON implements json.Unmarshaler. It reads true and false as well: the platform
// uses both forms.
func (z *ZeroOne) UnmarshalJSON(raw []byte) error {
	switch string(raw) {
	case "1", "true":
		*z = true
	case "0", "false", "null":
		*z = false
	default:
		return errors.New("this is neither 0 nor 1")
	}
	return nil
}

// DraftArticle is one article of a draft. Title and Content are needed; an ArticleNews
// needs a cover, an ArticlePictures its pictures. All media ids are permanent ones.
type DraftArticle struct {
	Type    ArticleType `json:"article_type,omitempty"` // "" is ArticleNews
	Title   string      `json:"title"`
	Author  string      `json:"author,omitempty"`
	Digest  string      `json:"digest,omitempty"` // of a single article; "" lets the platform take the first 54 characters
	Content string      `json:"content"`          // HTML; the platform drops scripts and pictures from elsewhere than uploadimg
	// SourceURL is where "read the original" leads.
	SourceURL       string         `json:"content_source_url,omitempty"`
	CoverMediaID    string         `json:"thumb_media_id,omitempty"`
	OpenComments    ZeroOne        `json:"need_open_comment"`
	FansOnlyComment ZeroOne        `json:"only_fans_can_comment"`
	WideCrop        string         `json:"pic_crop_235_1,omitempty"` // of the cover, "X1_Y1_X2_Y2" from 0 to 1
	SquareCrop      string         `json:"pic_crop_1_1,omitempty"`   // as WideCrop
	Pictures        *DraftPictures `json:"image_info,omitempty"`
	Cover           *DraftCover    `json:"cover_info,omitempty"`
	Products        *DraftProducts `json:"product_info,omitempty"`
}

// DraftPictures are the pictures of an ArticlePictures, the first one its cover.
type DraftPictures struct {
	List []DraftPicture `json:"image_list"`
}

// DraftPicture names a permanent picture.
type DraftPicture struct {
	MediaID string `json:"image_media_id"`
}

// DraftCover says how the cover of an ArticlePictures is cut.
type DraftCover struct {
	Crops []DraftCrop `json:"crop_percent_list"`
}

// DraftCrop is a part of a picture, from its upper left corner (0, 0) to its lower right
// one (1, 1). Ratio is "1_1", "16_9" or "2.35_1".
type DraftCrop struct {
	Ratio string `json:"ratio"`
	X1    string `json:"x1"`
	Y1    string `json:"y1"`
	X2    string `json:"x2"`
	Y2    string `json:"y2"`
}

// DraftProducts is the product card below an ArticlePictures.
type DraftProducts struct {
	Footer DraftProduct `json:"footer_product_info"`
}

// DraftProduct names a product.
type DraftProduct struct {
	Key string `json:"product_key"`
}

// StoredArticle is an article as the platform gives it back.
type StoredArticle struct {
	DraftArticle
	URL      string `json:"url"`        // of a draft for a short time, of a published article for good
	CoverURL string `json:"thumb_url"`  // "" where the platform leaves it out
	Deleted  bool   `json:"is_deleted"` // of published articles
}

// ArticleSet is a draft or a publication with its articles.
type ArticleSet struct {
	ID        string // media id of a draft, article id of a publication
	Articles  []StoredArticle
	UpdatedAt time.Time // UTC
}

// ArticleQuery asks for a page of a list of article sets.
type ArticleQuery struct {
	Offset    int
	Count     int  // 1 to 20, 0 means 20
	NoContent bool // leave the articles out
}

// ArticlePage is a page of a list, newest first. Next is the Offset of the page after it,
// 0 when this is the last.
type ArticlePage struct {
	Total int
	Sets  []ArticleSet
	Next  int
}

// AddDraft stores up to 8 articles as a draft and returns its media id, which is good until
// the draft is published, sent or deleted. A draft that breaks a rule is a fault.Invalid
// error with every broken rule as "articles[0].title". After OutcomeLost the draft may
// exist: look for it with Drafts before adding it again. Errors: 40007 for a cover or
// picture that is not a permanent one, 45002 to 45008 and 45110 for sizes, 53402 for crops,
// 53404 to 53406 for products, 48001.
func (c *Client) AddDraft(ctx context.Context, acc Account, articles []DraftArticle) (mediaID string, err error) {
	if err := validateDraft(articles); err != nil {
		return "", err
	}
	in := struct {
		Articles []DraftArticle `json:"articles"`
	}{articles}
	var out struct {
		MediaID string `json:"media_id"`
	}
	if err := c.post(ctx, acc, apiDraftAdd, in, &out); err != nil {
		return "", err
	}
	if out.MediaID == "" {
		return "", withoutProof(apiDraftAdd, "media_id")
	}
	return out.MediaID, nil
}

// draftRef is the body of every call about one draft.
func draftRef(mediaID string) (mediaRef, error) {
	var c checker
	c.required("media_id", mediaID)
	return mediaRef{mediaID}, errors.Join(c.errs...)
}

// Draft returns the articles of a draft. 40007 means that there is no such draft (any more).
func (c *Client) Draft(ctx context.Context, acc Account, mediaID string) ([]StoredArticle, error) {
	in, err := draftRef(mediaID)
	if err != nil {
		return nil, err
	}
	return c.articles(ctx, acc, apiDraftGet, in)
}

// articles makes a call that answers a list of articles.
func (c *Client) articles(ctx context.Context, acc Account, api string, in any) ([]StoredArticle, error) {
	var out articleList
	if err := c.post(ctx, acc, api, in, &out); err != nil {
		return nil, err
	}
	return out.Items, nil
}

type articleList struct {
	Items []StoredArticle `json:"news_item"`
}

// UpdateDraft replaces one article of a draft; index counts from 0. It may be repeated.
// Errors are those of AddDraft, and 40007 for a draft that is gone.
func (c *Client) UpdateDraft(ctx context.Context, acc Account, mediaID string, index int, article DraftArticle) error {
	var k checker
	k.required("media_id", mediaID)
	if index < 0 || index >= MaxDraftArticles {
		k.badf("index", "range", "an index is from 0 to %d", MaxDraftArticles-1)
	}
	article.check(&k, "articles")
	if err := errors.Join(k.errs...); err != nil {
		return err
	}
	return c.post(ctx, acc, apiDraftUpdate, struct {
		MediaID string       `json:"media_id"`
		Index   int          `json:"index"`
		Article DraftArticle `json:"articles"`
	}{mediaID, index, article}, nil)
}

// DeleteDraft deletes a draft for good. 40007 means that there is no such draft.
func (c *Client) DeleteDraft(ctx context.Context, acc Account, mediaID string) error {
	in, err := draftRef(mediaID)
	if err != nil {
		return err
	}
	return c.post(ctx, acc, apiDraftDelete, in, nil)
}

// CountDrafts returns how many drafts there are.
func (c *Client) CountDrafts(ctx context.Context, acc Account) (int, error) {
	var out struct {
		Total *int `json:"total_count"`
	}
	if err := c.get(ctx, acc, apiDraftCount, nil, &out); err != nil {
		return 0, err
	}
	if out.Total == nil {
		return 0, withoutProof(apiDraftCount, "total_count")
	}
	return *out.Total, nil
}

// Drafts returns a page of the drafts; their ids are media ids.
func (c *Client) Drafts(ctx context.Context, acc Account, q ArticleQuery) (ArticlePage, error) {
	return c.articlePage(ctx, acc, apiDraftList, q)
}

func (c *Client) articlePage(ctx context.Context, acc Account, api string, q ArticleQuery) (ArticlePage, error) {
	if q.Count == 0 {
		q.Count = MaxArticlePage
	}
	if q.Count < 1 || q.Count > MaxArticlePage {
		return ArticlePage{}, fault.BadField("count", "range", "a page has 1 to %d entries", MaxArticlePage)
	}
	if q.Offset < 0 {
		return ArticlePage{}, fault.BadField("offset", "range", "an offset is not negative")
	}
	in := struct {
		Offset    int     `json:"offset"`
		Count     int     `json:"count"`
		NoContent ZeroOne `json:"no_content"`
	}{q.Offset, q.Count, ZeroOne(q.NoContent)}
	var out struct {
		Total int `json:"total_count"`
		Items []struct {
			MediaID   string      `json:"media_id"`
			ArticleID string      `json:"article_id"`
			Content   articleList `json:"content"`
			UpdatedAt int64       `json:"update_time"`
		} `json:"item"`
	}
	if err := c.post(ctx, acc, api, in, &out); err != nil {
		return ArticlePage{}, err
	}
	page := ArticlePage{Total: out.Total}
	for _, item := range out.Items {
		page.Sets = append(page.Sets, ArticleSet{
			ID: item.MediaID + item.ArticleID, Articles: item.Content.Items, UpdatedAt: time.Unix(item.UpdatedAt, 0).UTC(),
		})
	}
	if end := q.Offset + len(page.Sets); len(page.Sets) > 0 && end < page.Total {
		page.Next = end
	}
	return page, nil
}

// DraftBoxOpen reports whether the account keeps drafts instead of the old article material.
func (c *Client) DraftBoxOpen(ctx context.Context, acc Account) (bool, error) {
	return c.draftSwitch(ctx, acc, url.Values{"checkonly": {"1"}})
}

// OpenDraftBox switches an old account to drafts. It cannot be undone.
func (c *Client) OpenDraftBox(ctx context.Context, acc Account) error {
	_, err := c.draftSwitch(ctx, acc, nil)
	return err
}

func (c *Client) draftSwitch(ctx context.Context, acc Account, query url.Values) (bool, error) {
	var out struct {
		Open *ZeroOne `json:"is_open"`
	}
	err := c.call(ctx, acc, &exchange{api: apiDraftSwitch, query: query, body: []byte("{}"), strict: true, out: &out})
	if err != nil {
		return false, err
	}
	if out.Open == nil && query != nil {
		return false, withoutProof(apiDraftSwitch, "is_open")
	}
	return out.Open == nil || bool(*out.Open), nil
}
