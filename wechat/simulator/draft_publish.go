package simulator

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"hongyan/internal/fault"
	"hongyan/wechat"
	"hongyan/wechat/callback"
)

// firstPublishID is below the ids that the simulator gives out.
const firstPublishID = 2_247_503_050

// Publishing says what becomes of the publications that are submitted from now on.
type Publishing struct {
	// Delay is how long one takes; 0 lets the seed choose between 2 and 10 s.
	Delay time.Duration
	// Status is how it ends: done, or one of the failures.
	Status wechat.PublishStatus
	// Failed are the numbers of the articles that are refused, from 1: of PublishOriginality
	// and PublishAudit.
	Failed []int
}

// publication is a draft that is or was being published.
type publication struct {
	id        int64
	mediaID   string
	articleID string // from its success on
	articles  []draftArticle
	due       time.Time
	status    wechat.PublishStatus // running until due
	outcome   Publishing
	told      bool // the event is out
}

// SetPublishing decides about the publications to come. It answers NotFound and Invalid.
func (s *Simulator) SetPublishing(appID string, p Publishing) error {
	a, err := s.account(appID)
	if err != nil {
		return err
	}
	if p.Delay < 0 {
		return fault.BadField("delay", "range", "a delay is not negative")
	}
	if p.Status != wechat.PublishDone && !p.Status.Failed() {
		return fault.BadField("status", "unknown", "a publication ends done or with one of the failures")
	}
	if len(p.Failed) > 0 && p.Status != wechat.PublishOriginality && p.Status != wechat.PublishAudit {
		return fault.BadField("failed", "status", "only the checks of originality and content refuse single articles")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.draft.next = p
	return nil
}

// settle ends the publications that are due. A draft that was published is gone.
func (d *draftState) settle(now time.Time) {
	for _, p := range d.jobs {
		if p.status != wechat.PublishRunning || p.due.After(now) {
			continue
		}
		p.status = p.outcome.Status
		if p.status == wechat.PublishDone {
			p.articleID = letters(43, hashText(p.mediaID), uint64(p.id))
			d.remove(p.mediaID)
		}
	}
}

// published finds a publication that can be read.
func (d *draftState) published(articleID string) (*publication, bool) {
	for _, p := range d.jobs {
		if p.articleID != "" && p.articleID == articleID && p.status == wechat.PublishDone {
			return p, true
		}
	}
	return nil, false
}

// knowsArticle reports whether an article id can be sent by kefu at a time.
func (a *account) knowsArticle(articleID string, at time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.draft.settle(at)
	_, ok := a.draft.published(articleID)
	return ok
}

// servePublishSubmit is POST /cgi-bin/freepublish/submit.
func (s *Simulator) servePublishSubmit(c *call) {
	a, top, ok := s.draftCall(c, "media_id")
	if !ok {
		return
	}
	oneDraft(func(one *draft) int {
		d := &a.draft
		d.seq++
		p := &publication{
			id: firstPublishID + int64(d.seq), mediaID: one.mediaID, articles: slices.Clone(one.articles),
			status: wechat.PublishRunning, outcome: d.next,
		}
		delay := d.next.Delay
		if delay == 0 {
			delay = time.Duration(2+mix(s.seed, hashText(c.appID), d.seq, 12)%9) * time.Second
		}
		p.due = c.at.Add(delay)
		for i := range p.articles {
			p.articles[i].URL = articleURL("published", s.seed, hashText(one.mediaID), uint64(p.id), uint64(i))
			p.articles[i].Deleted = new(bool)
		}
		d.jobs = append(d.jobs, p)
		s.tellLater(a, delay)
		c.answer = fmt.Appendf(nil, `{"errcode":0,"errmsg":"ok","publish_id":"%d","msg_data_id":"%d"}`, p.id, p.id)
		return codeOK
	}).serve(c, a, top)
}

// tellLater lets the event follow by itself. On a clock that is moved by hand nobody waits:
// FinishPublications sends it.
func (s *Simulator) tellLater(a *account, delay time.Duration) {
	if s.virtual() {
		return
	}
	p := s.push
	p.add(1) // Wait covers it
	if started := p.background(func() {
		defer p.add(-1)
		if s.sleep(p.base, delay) {
			s.finishPublications(p.base, a)
		}
	}); !started {
		p.add(-1)
	}
}

// FinishPublications ends the publications of an account that are due and pushes their
// PUBLISHJOBFINISH events, in order of submission. On a clock that is moved by hand this is
// the only way to these events; otherwise they follow by themselves. It answers NotFound.
func (s *Simulator) FinishPublications(ctx context.Context, appID string) ([]Push, error) {
	a, err := s.account(appID)
	if err != nil {
		return nil, err
	}
	return s.finishPublications(ctx, a), nil
}

func (s *Simulator) finishPublications(ctx context.Context, a *account) []Push {
	now := s.clock.Now()
	// The event comes from a helper that is no fan (platform.md 2.5).
	helper := &fan{account: a, openID: OpenID(s.seed, a.config().AppID, -1)}
	var out []Push
	for _, result := range a.endedPublications(now) {
		p, err := s.newPush(helper, "publishjobfinish", event("publishjobfinish", result), now)
		if err != nil {
			continue // a PublishResult can always be written
		}
		out = append(out, s.deliverPush(ctx, p))
	}
	return out
}

// endedPublications takes the results that nobody was told of yet.
func (a *account) endedPublications(now time.Time) []callback.PublishResult {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.draft.settle(now)
	var out []callback.PublishResult
	for _, p := range a.draft.jobs {
		if p.status == wechat.PublishRunning || p.told {
			continue
		}
		p.told = true
		r := callback.PublishResult{PublishID: p.id, Status: int(p.outcome.Status), ArticleID: p.articleID, Failed: p.outcome.Failed}
		if p.articleID != "" {
			for i := range p.articles {
				r.Articles = append(r.Articles, callback.ArticleURL{ArticleNo: i + 1, URL: p.articles[i].URL})
			}
		}
		out = append(out, r)
	}
	return out
}

// servePublishGet is POST /cgi-bin/freepublish/get.
func (s *Simulator) servePublishGet(c *call) {
	a, top, ok := s.draftCall(c, "publish_id")
	if !ok {
		return
	}
	var text string
	if code := readString(top, "publish_id", &text); code != codeOK {
		c.refuse(code)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.draft.settle(c.at)
	for _, p := range a.draft.jobs {
		if strconv.FormatInt(p.id, 10) == text {
			c.answerJSON(p.state())
			return
		}
	}
	c.refuse(codeBadParameter)
}

// publicationState is the answer about a publication.
type publicationState struct {
	ID        string               `json:"publish_id"`
	Status    wechat.PublishStatus `json:"publish_status"`
	ArticleID string               `json:"article_id,omitempty"`
	Detail    *publicationDetail   `json:"article_detail,omitempty"`
	Failed    []int                `json:"fail_idx"`
}

type publicationDetail struct {
	Count int                 `json:"count"`
	Items []wechat.ArticleURL `json:"item"`
}

func (p *publication) state() publicationState {
	out := publicationState{ID: strconv.FormatInt(p.id, 10), Status: p.status, Failed: []int{}}
	switch {
	case p.status == wechat.PublishDone:
		out.ArticleID, out.Detail = p.articleID, &publicationDetail{Count: len(p.articles)}
		for i := range p.articles {
			out.Detail.Items = append(out.Detail.Items, wechat.ArticleURL{ArticleNo: i + 1, URL: p.articles[i].URL})
		}
	case p.status.Failed() && len(p.outcome.Failed) > 0:
		out.Failed = p.outcome.Failed
	}
	return out
}

func onePublication(do func(*publication) int) named[*publication] {
	return named[*publication]{"article_id", (*draftState).published, codeBadArticleID, do}
}

// servePublishDelete is POST /cgi-bin/freepublish/delete; index counts from 1, 0 is all.
func (s *Simulator) servePublishDelete(c *call) {
	a, top, ok := s.draftCall(c, "article_id", "index")
	if !ok {
		return
	}
	var index int64
	if code := readMember(top, "index", &index); code != codeOK {
		c.refuse(code)
		return
	}
	onePublication(func(p *publication) int {
		if index < 0 || index > int64(len(p.articles)) {
			return codeBadParameter
		}
		left := 0
		for i := range p.articles {
			if index == 0 || index == int64(i+1) {
				p.articles[i].Deleted = new(true)
			}
			if !*p.articles[i].Deleted {
				left++
			}
		}
		if left == 0 {
			p.status = wechat.PublishDeleted
		}
		return codeOK
	}).serve(c, a, top)
}

// servePublishArticle is POST /cgi-bin/freepublish/getarticle.
func (s *Simulator) servePublishArticle(c *call) {
	a, top, ok := s.draftCall(c, "article_id")
	if !ok {
		return
	}
	onePublication(func(p *publication) int {
		c.answerJSON(newsItems{p.articles})
		return codeOK
	}).serve(c, a, top)
}

// servePublishList is POST /cgi-bin/freepublish/batchget: what was published and not
// deleted or banned since.
func (s *Simulator) servePublishList(c *call) {
	s.serveList(c, func(a *account) []listed {
		var all []listed
		for _, p := range a.draft.jobs {
			if p.status == wechat.PublishDone {
				all = append(all, listed{
					ArticleID: p.articleID, UpdatedAt: p.due.Unix(),
					Content: &listedDetail{newsItems{p.articles}, p.due.Unix(), p.due.Unix()},
				})
			}
		}
		return all
	})
}

// BanPublication lets the platform ban a publication afterwards. It answers NotFound.
func (s *Simulator) BanPublication(appID, articleID string) error {
	a, err := s.account(appID)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.draft.settle(s.clock.Now())
	p, ok := a.draft.published(articleID)
	if !ok {
		return fault.New(fault.NotFound, "no publication %q", articleID)
	}
	p.status = wechat.PublishBanned
	return nil
}
