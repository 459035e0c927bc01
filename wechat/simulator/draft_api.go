package simulator

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"hongyan/wechat"
)

// The paths of drafts and publishing, for SetLimit, SetFaults and filters of the record.
const (
	PathDraftAdd       = "/cgi-bin/draft/add"
	PathDraftGet       = "/cgi-bin/draft/get"
	PathDraftDelete    = "/cgi-bin/draft/delete"
	PathDraftUpdate    = "/cgi-bin/draft/update"
	PathDraftCount     = "/cgi-bin/draft/count"
	PathDraftList      = "/cgi-bin/draft/batchget"
	PathDraftSwitch    = "/cgi-bin/draft/switch"
	PathPublishSubmit  = "/cgi-bin/freepublish/submit"
	PathPublishGet     = "/cgi-bin/freepublish/get"
	PathPublishDelete  = "/cgi-bin/freepublish/delete"
	PathPublishArticle = "/cgi-bin/freepublish/getarticle"
	PathPublishList    = "/cgi-bin/freepublish/batchget"
)

// draftRoutes are drafts and publishing (platform.md 5.5).
func draftRoutes() []route {
	return []route{
		{PathDraftAdd, Limit{Daily: 1_000}, (*Simulator).serveDraftAdd},
		{PathDraftGet, Limit{Daily: 500}, (*Simulator).serveDraftGet},
		{PathDraftDelete, Limit{Daily: 1_000}, (*Simulator).serveDraftDelete},
		{PathDraftUpdate, Limit{Daily: 1_000}, (*Simulator).serveDraftUpdate},
		{PathDraftCount, Limit{Daily: 1_000}, (*Simulator).serveDraftCount},
		{PathDraftList, Limit{Daily: 1_000}, (*Simulator).serveDraftList},
		{PathDraftSwitch, Limit{}, (*Simulator).serveDraftSwitch},
		{PathPublishSubmit, Limit{Daily: 100}, (*Simulator).servePublishSubmit},
		{PathPublishGet, Limit{Daily: 100}, (*Simulator).servePublishGet},
		{PathPublishDelete, Limit{Daily: 10}, (*Simulator).servePublishDelete},
		{PathPublishArticle, Limit{Daily: 100}, (*Simulator).servePublishArticle},
		{PathPublishList, Limit{Daily: 100}, (*Simulator).servePublishList},
	}
}

// draftState is what an account keeps for drafts and publishing (platform.md 5.5); it is guarded by the account's mutex.
type draftState struct {
	seq    uint64         // numbers drafts and publications
	drafts []*draft       // in order of creation
	jobs   []*publication // in order of submission
	next   Publishing     // what becomes of publications
}

// draft is a draft in the account's box.
type draft struct {
	mediaID  string
	articles []draftArticle
	created  time.Time
	updated  time.Time
}

func (d *draftState) find(mediaID string) (*draft, bool) {
	for _, one := range d.drafts {
		if one.mediaID == mediaID {
			return one, true
		}
	}
	return nil, false
}

// remove takes a draft out of the box and reports whether it was there.
func (d *draftState) remove(mediaID string) bool {
	before := len(d.drafts)
	d.drafts = slices.DeleteFunc(d.drafts, func(one *draft) bool { return one.mediaID == mediaID })
	return len(d.drafts) < before
}

// draftCall is what the calls of this family begin with: the rights of a verified account
// and, of a POST, the members of its body. Only those that are named may stand there.
func (s *Simulator) draftCall(c *call, names ...string) (*account, map[string]json.RawMessage, bool) {
	a, ok := s.enter(c, "POST", true)
	if !ok {
		return nil, nil, false
	}
	top, code := parseObject(c.body)
	if code == codeOK {
		code = onlyMembers(top, names...)
	}
	if code != codeOK {
		c.refuse(code)
		return nil, nil, false
	}
	return a, top, true
}

// onlyMembers refuses an object with a member that is not named.
func onlyMembers(object map[string]json.RawMessage, names ...string) int {
	known := 0
	for _, name := range names {
		if _, ok := object[name]; ok {
			known++
		}
	}
	if known != len(object) {
		return codeUnknownField
	}
	return codeOK
}

// serveDraftAdd is POST /cgi-bin/draft/add.
func (s *Simulator) serveDraftAdd(c *call) {
	a, top, ok := s.draftCall(c, "articles")
	if !ok {
		return
	}
	articles, code := parseArticles(top["articles"])
	if code != codeOK {
		c.refuse(code)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if code := a.checkArticles(articles, mediaUse{strict: s.switches.Load().StrictMedia, at: c.at}); code != codeOK {
		c.refuse(code)
		return
	}
	d := &a.draft
	d.seq++
	one := &draft{mediaID: letters(64, s.seed, hashText(c.appID), d.seq, 11), articles: articles, created: c.at, updated: c.at}
	for i := range one.articles {
		one.articles[i].URL = articleURL("draft", s.seed, hashText(one.mediaID), uint64(i))
	}
	d.drafts = append(d.drafts, one)
	c.answerJSON(struct {
		MediaID string `json:"media_id"`
	}{one.mediaID})
}

func articleURL(kind string, parts ...uint64) string {
	if kind == "draft" {
		return "http://mp.weixin.qq.com/s?__biz=" + letters(16, parts...) + "==&tempkey=" + letters(40, parts...)
	}
	return "http://mp.weixin.qq.com/s/" + letters(22, parts...)
}

// checkArticles checks the media that articles refer to: permanent pictures. The account is locked.
func (a *account) checkArticles(articles []draftArticle, use mediaUse) int {
	use.kinds, use.permanent = []wechat.MediaType{wechat.MediaThumb, wechat.MediaImage}, true
	for i := range articles {
		for _, id := range articles[i].media() {
			if !a.mediaUsable(id, use) {
				return codeBadMediaID
			}
		}
	}
	return codeOK
}

// named is something that a member of a body names, and what a call does with it.
type named[T any] struct {
	member  string
	find    func(*draftState, string) (T, bool)
	missing int // code when there is no such thing
	do      func(T) int
}

// serve runs do on what the body names, under the account's lock.
func (n named[T]) serve(c *call, a *account, top map[string]json.RawMessage) {
	var id string
	if code := readString(top, n.member, &id); code != codeOK {
		c.refuse(code)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.draft.settle(c.at)
	one, ok := n.find(&a.draft, id)
	if !ok {
		c.refuse(n.missing)
		return
	}
	c.refuse(n.do(one))
}

func oneDraft(do func(*draft) int) named[*draft] {
	return named[*draft]{"media_id", (*draftState).find, codeBadMediaID, do}
}

// serveDraftGet is POST /cgi-bin/draft/get.
func (s *Simulator) serveDraftGet(c *call) {
	a, top, ok := s.draftCall(c, "media_id")
	if !ok {
		return
	}
	oneDraft(func(one *draft) int {
		c.answerJSON(newsItems{one.articles})
		return codeOK
	}).serve(c, a, top)
}

// serveDraftDelete is POST /cgi-bin/draft/delete.
func (s *Simulator) serveDraftDelete(c *call) {
	a, top, ok := s.draftCall(c, "media_id")
	if !ok {
		return
	}
	oneDraft(func(one *draft) int {
		a.draft.remove(one.mediaID)
		return codeOK
	}).serve(c, a, top)
}

// serveDraftUpdate is POST /cgi-bin/draft/update; articles is an object here.
func (s *Simulator) serveDraftUpdate(c *call) {
	a, top, ok := s.draftCall(c, "media_id", "index", "articles")
	if !ok {
		return
	}
	index := int64(-1)
	code := readMember(top, "index", &index)
	changed, articleCode := parseArticle(top["articles"])
	if code = cmp.Or(code, articleCode); code != codeOK {
		c.refuse(code)
		return
	}
	oneDraft(func(one *draft) int {
		if index < 0 || index >= int64(len(one.articles)) {
			return codeBadParameter
		}
		code := a.checkArticles([]draftArticle{changed}, mediaUse{strict: s.switches.Load().StrictMedia, at: c.at})
		if code != codeOK {
			return code
		}
		changed.URL = one.articles[index].URL
		next := slices.Clone(one.articles)
		next[index] = changed
		one.articles, one.updated = finishArticles(next), c.at
		return codeOK
	}).serve(c, a, top)
}

// serveDraftCount is GET /cgi-bin/draft/count.
func (s *Simulator) serveDraftCount(c *call) {
	a, ok := s.enter(c, "GET", true)
	if !ok {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.draft.settle(c.at)
	c.answer = fmt.Appendf(nil, `{"total_count":%d}`, len(a.draft.drafts))
}

// serveDraftSwitch is POST /cgi-bin/draft/switch. Every account has drafts here: the old
// articles among the material are gone.
func (s *Simulator) serveDraftSwitch(c *call) {
	if _, _, ok := s.draftCall(c); !ok {
		return
	}
	if check := queryValue(c.query, "checkonly"); check != "" && check != "1" {
		c.refuse(codeBadParameter)
		return
	}
	c.answer = []byte(`{"errcode":0,"errmsg":"ok","is_open":1}`)
}

// listed is an entry of a list of drafts or publications.
type listed struct {
	MediaID   string        `json:"media_id,omitempty"`
	ArticleID string        `json:"article_id,omitempty"`
	Content   *listedDetail `json:"content,omitempty"`
	UpdatedAt int64         `json:"update_time"`
}

type listedDetail struct {
	newsItems
	CreatedAt int64 `json:"create_time"`
	UpdatedAt int64 `json:"update_time"`
}

// serveDraftList is POST /cgi-bin/draft/batchget.
func (s *Simulator) serveDraftList(c *call) {
	s.serveList(c, func(a *account) []listed {
		var all []listed
		for _, one := range a.draft.drafts {
			all = append(all, listed{
				MediaID: one.mediaID, UpdatedAt: one.updated.Unix(),
				Content: &listedDetail{newsItems{one.articles}, one.created.Unix(), one.updated.Unix()},
			})
		}
		return all
	})
}

// serveList answers a page of what entries returns, oldest first, as a list with the newest
// first. entries is called under the account's lock.
func (s *Simulator) serveList(c *call, entries func(*account) []listed) {
	a, top, ok := s.draftCall(c, "offset", "count", "no_content")
	if !ok {
		return
	}
	offset, count, bare := int64(-1), int64(0), int64(0)
	code := cmp.Or(readMember(top, "offset", &offset), readMember(top, "count", &count), readMember(top, "no_content", &bare))
	if code == codeOK && (offset < 0 || count < 1 || count > maxListed || bare < 0 || bare > 1) {
		code = codeBadParameter
	}
	if code != codeOK {
		c.refuse(code)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.draft.settle(c.at)
	all := entries(a)
	slices.Reverse(all)
	page := all[min(offset, int64(len(all))):min(offset+count, int64(len(all)))]
	if bare == 1 {
		for i := range page {
			page[i].Content = nil
		}
	}
	if page == nil {
		page = []listed{}
	}
	c.answerJSON(struct {
		Total int      `json:"total_count"`
		Count int      `json:"item_count"`
		Items []listed `json:"item"`
	}{len(all), len(page), page})
}

// Drafts lists the media ids of an account's drafts in order of creation. It answers NotFound.
func (s *Simulator) Drafts(appID string) ([]string, error) {
	a, err := s.account(appID)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.draft.settle(s.clock.Now())
	out := make([]string, len(a.draft.drafts))
	for i, one := range a.draft.drafts {
		out[i] = one.mediaID
	}
	return out, nil
}
