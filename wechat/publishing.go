package wechat

import (
	"context"
	"errors"
	"strconv"

	"hongyan/internal/fault"
)

const (
	apiPublishSubmit  = "/cgi-bin/freepublish/submit"
	apiPublishGet     = "/cgi-bin/freepublish/get"
	apiPublishDelete  = "/cgi-bin/freepublish/delete"
	apiPublishArticle = "/cgi-bin/freepublish/getarticle"
	apiPublishList    = "/cgi-bin/freepublish/batchget"
)

// PublishStatus is the state of a publication (platform.md 5.5).
type PublishStatus int

// The states. Those from PublishOriginality to PublishAudit are failures.
const (
	PublishDone        PublishStatus = 0
	PublishRunning     PublishStatus = 1
	PublishOriginality PublishStatus = 2 // the check of originality said no
	PublishFailed      PublishStatus = 3
	PublishAudit       PublishStatus = 4 // the platform's audit said no
	PublishDeleted     PublishStatus = 5 // the owner deleted all articles afterwards
	PublishBanned      PublishStatus = 6 // the platform banned all articles afterwards
)

// String is the name used in logs and metrics.
func (s PublishStatus) String() string {
	names := [...]string{"done", "running", "originality", "failed", "audit", "deleted", "banned"}
	if s >= 0 && int(s) < len(names) {
		return names[s]
	}
	return "unknown"
}

// Failed reports whether the publication came to nothing.
func (s PublishStatus) Failed() bool { return s >= PublishOriginality && s <= PublishAudit }

// PublishJob is a publication that the platform has begun.
type PublishJob struct {
	ID        int64 // publish_id, also in the PUBLISHJOBFINISH event
	MsgDataID int64 // 0 where the platform leaves it out
}

// Publication is the state of a PublishJob.
type Publication struct {
	ID        int64
	Status    PublishStatus
	ArticleID string       // of a PublishDone: for kefu's mpnewsarticle, menus and replies
	Articles  []ArticleURL // of a PublishDone
	Failed    []int        // numbers of the articles that were refused, from 1
}

// ArticleURL is where an article can be read.
type ArticleURL struct {
	ArticleNo int    `json:"idx"` // from 1
	URL       string `json:"article_url"`
}

// Publish begins to publish a draft: a page that can be linked to, in nobody's chat. Success
// means accepted only; the end is told by the PUBLISHJOBFINISH event and by Publication,
// and the draft is gone then. After OutcomeLost it may run: ask for Published before
// publishing again. Errors: 40007 no such draft, 53503 the draft fails the checks, 53504 act
// on the website, 53505 save the draft by hand first, 48001 (platform.md 5.5).
func (c *Client) Publish(ctx context.Context, acc Account, mediaID string) (PublishJob, error) {
	in, err := draftRef(mediaID)
	if err != nil {
		return PublishJob{}, err
	}
	var out struct {
		ID        looseInt `json:"publish_id"`
		MsgDataID looseInt `json:"msg_data_id"`
	}
	if err := c.post(ctx, acc, apiPublishSubmit, in, &out); err != nil {
		return PublishJob{}, err
	}
	if out.ID == 0 {
		return PublishJob{}, withoutProof(apiPublishSubmit, "publish_id")
	}
	return PublishJob{ID: int64(out.ID), MsgDataID: int64(out.MsgDataID)}, nil
}

// Publication returns how far a PublishJob is.
func (c *Client) Publication(ctx context.Context, acc Account, publishID int64) (Publication, error) {
	if publishID <= 0 {
		return Publication{}, fault.BadField("publish_id", "positive", "a publish id is a positive number")
	}
	in := struct {
		ID string `json:"publish_id"`
	}{strconv.FormatInt(publishID, 10)}
	var out struct {
		ID        looseInt `json:"publish_id"`
		Status    *int     `json:"publish_status"`
		ArticleID string   `json:"article_id"`
		Detail    struct {
			Items []ArticleURL `json:"item"`
		} `json:"article_detail"`
		Failed []int `json:"fail_idx"`
	}
	if err := c.post(ctx, acc, apiPublishGet, in, &out); err != nil {
		return Publication{}, err
	}
	if out.Status == nil {
		// Status 0 is success: a missing one must not be read as that.
		return Publication{}, withoutProof(apiPublishGet, "publish_status")
	}
	return Publication{
		ID: publishID, Status: PublishStatus(*out.Status), ArticleID: out.ArticleID,
		Articles: out.Detail.Items, Failed: out.Failed,
	}, nil
}

// articleRef is the body of every call about one publication.
type articleRef struct {
	ArticleID string `json:"article_id"`
	Index     int    `json:"index,omitempty"`
}

func publishedRef(articleID string, index int) (articleRef, error) {
	var c checker
	c.required("article_id", articleID)
	if index < 0 || index > MaxDraftArticles {
		c.badf("index", "range", "an article's number is from 1 to %d, 0 means all", MaxDraftArticles)
	}
	return articleRef{ArticleID: articleID, Index: index}, errors.Join(c.errs...)
}

// DeletePublished deletes article number articleNo of a publication, counted from 1; 0
// deletes all. It cannot be undone. 53600 means that there is no such publication.
func (c *Client) DeletePublished(ctx context.Context, acc Account, articleID string, articleNo int) error {
	in, err := publishedRef(articleID, articleNo)
	if err != nil {
		return err
	}
	return c.post(ctx, acc, apiPublishDelete, in, nil)
}

// PublishedArticles returns the articles of a publication. 53600 means that there is none.
func (c *Client) PublishedArticles(ctx context.Context, acc Account, articleID string) ([]StoredArticle, error) {
	in, err := publishedRef(articleID, 0)
	if err != nil {
		return nil, err
	}
	return c.articles(ctx, acc, apiPublishArticle, in)
}

// Published returns a page of the publications; their ids are article ids.
func (c *Client) Published(ctx context.Context, acc Account, q ArticleQuery) (ArticlePage, error) {
	return c.articlePage(ctx, acc, apiPublishList, q)
}
