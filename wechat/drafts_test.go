package wechat_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/clock"
	"hongyan/wechat"
	"hongyan/wechat/callback"
	"hongyan/wechat/simulator"
)

const articleAppID = "wx0123456789abcdef"

// articleWorld is a client on a simulator with one verified service account, and the pushes
// that came to its callback.
type articleWorld struct {
	t      *testing.T
	sim    *simulator.Simulator
	clock  *clock.Manual
	client *wechat.Client
	acc    wechat.Account

	mu     sync.Mutex
	events []callback.Event
}

func newArticleWorld(t *testing.T, change func(*simulator.Account, *simulator.Options)) *articleWorld {
	t.Helper()
	w := &articleWorld{t: t, clock: clock.NewManual(time.Date(2026, 3, 2, 1, 0, 0, 0, time.UTC))}
	o := simulator.Options{Clock: w.clock, Seed: 7, Push: simulator.HandlerTransport(http.HandlerFunc(w.receive))}
	account := simulator.Account{
		AppID: articleAppID, Secret: "s3cret", Verified: true,
		Callback: simulator.Callback{URL: "http://callback.test/", Token: "token"},
	}
	if change != nil {
		change(&account, &o)
	}
	w.sim = simulator.New(o)
	t.Cleanup(w.sim.Close)
	require.NoError(t, w.sim.AddAccount(account))
	w.client = wechat.New(wechat.Options{Transport: w.sim.RoundTripper(), Clock: o.Clock})
	w.acc = wechat.Account{ID: 1, AppID: account.AppID, Secret: account.Secret, BaseURL: "http://simulator.test"}
	return w
}

func (w *articleWorld) receive(out http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(err)
	}
	e, err := callback.Parse(body)
	if err != nil {
		panic(err)
	}
	w.mu.Lock()
	w.events = append(w.events, e)
	w.mu.Unlock()
	fmt.Fprint(out, "success")
}

func (w *articleWorld) pushed() []callback.Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]callback.Event(nil), w.events...)
}

// raw makes a call as somebody would who does not use the client, and returns the answer.
func (w *articleWorld) raw(method, path, body string) string {
	w.t.Helper()
	token, err := w.client.Token(w.t.Context(), w.acc)
	require.NoError(w.t, err)
	target := w.acc.BaseURL + path
	if strings.Contains(path, "?") {
		target += "&access_token=" + token
	} else {
		target += "?access_token=" + token
	}
	req, err := http.NewRequestWithContext(w.t.Context(), method, target, strings.NewReader(body))
	require.NoError(w.t, err)
	resp, err := w.sim.RoundTripper().RoundTrip(req)
	require.NoError(w.t, err)
	answer, err := io.ReadAll(resp.Body)
	require.NoError(w.t, err)
	require.NoError(w.t, resp.Body.Close())
	return string(answer)
}

// code is the errcode of a raw POST.
func (w *articleWorld) code(path, body string) int {
	w.t.Helper()
	var answer struct {
		Code int `json:"errcode"`
	}
	text := w.raw(http.MethodPost, path, body)
	require.NoError(w.t, json.Unmarshal([]byte(text), &answer), text)
	return answer.Code
}

// wrote wants these very bytes in the last call of an API: JSON that means the same is not
// enough, because the platform shows \u escapes as they are.
func (w *articleWorld) wrote(path, want string) {
	w.t.Helper()
	calls := w.sim.Calls(simulator.Filter{Path: path})
	require.NotEmpty(w.t, calls)
	require.Equal(w.t, want, calls[len(calls)-1].Body)
}

func (w *articleWorld) draft(titles ...string) string {
	w.t.Helper()
	var articles []wechat.DraftArticle
	for _, title := range titles {
		articles = append(articles, newsArticle(title))
	}
	id, err := w.client.AddDraft(w.t.Context(), w.acc, articles)
	require.NoError(w.t, err)
	return id
}

func newsArticle(title string) wechat.DraftArticle {
	return wechat.DraftArticle{Title: title, Content: "<p>你好 & 再见</p>", CoverMediaID: "COVER"}
}

// invalid wants an error about one field, found before any call.
func invalid(t *testing.T, err error, field, rule string) {
	t.Helper()
	require.Equal(t, wechat.OutcomeNotSent, wechat.OutcomeOf(err))
	requireBadField(t, field, rule, err)
}

func TestADraftGoesOutAsThePlatformWantsIt(t *testing.T) {
	t.Parallel()
	w := newArticleWorld(t, nil)
	id, err := w.client.AddDraft(t.Context(), w.acc, []wechat.DraftArticle{
		{
			Title: "标题", Author: "作者", Digest: "摘要", Content: "<p>a & b</p>", SourceURL: "https://example.com/?a=1&b=2",
			CoverMediaID: "THUMB", OpenComments: true, WideCrop: "0.1945_0_1_0.5236", SquareCrop: "0_0_0.5_1",
		},
		{
			Type: wechat.ArticlePictures, Title: "图", Content: "文", FansOnlyComment: true,
			Pictures: &wechat.DraftPictures{List: []wechat.DraftPicture{{MediaID: "IMAGE"}}},
			Cover:    &wechat.DraftCover{Crops: []wechat.DraftCrop{{Ratio: "1_1", X1: "0.166454", Y1: "0", X2: "0.833545", Y2: "1"}}},
			Products: &wechat.DraftProducts{Footer: wechat.DraftProduct{Key: "KEY"}},
		},
	})
	require.NoError(t, err)
	require.Len(t, id, 64)
	w.wrote(simulator.PathDraftAdd, `{"articles":[{"title":"标题","author":"作者","digest":"摘要","content":"<p>a & b</p>",`+
		`"content_source_url":"https://example.com/?a=1&b=2","thumb_media_id":"THUMB","need_open_comment":1,"only_fans_can_comment":0,`+
		`"pic_crop_235_1":"0.1945_0_1_0.5236","pic_crop_1_1":"0_0_0.5_1"},`+
		`{"article_type":"newspic","title":"图","content":"文","need_open_comment":0,"only_fans_can_comment":1,`+
		`"image_info":{"image_list":[{"image_media_id":"IMAGE"}]},`+
		`"cover_info":{"crop_percent_list":[{"ratio":"1_1","x1":"0.166454","y1":"0","x2":"0.833545","y2":"1"}]},`+
		`"product_info":{"footer_product_info":{"product_key":"KEY"}}}]}`)

	got, err := w.client.Draft(t.Context(), w.acc, id)
	require.NoError(t, err)
	w.wrote(simulator.PathDraftGet, `{"media_id":"`+id+`"}`)
	require.Len(t, got, 2)
	require.Equal(t, "<p>a & b</p>", got[0].Content)
	require.True(t, bool(got[0].OpenComments))
	require.NotEmpty(t, got[0].URL)
	require.Equal(t, "IMAGE", got[1].Pictures.List[0].MediaID)
	require.Equal(t, "KEY", got[1].Products.Footer.Key)
}

func TestADraftIsUpdatedCountedAndDeleted(t *testing.T) {
	t.Parallel()
	w := newArticleWorld(t, nil)
	id := w.draft("一", "二")
	require.NoError(t, w.client.UpdateDraft(t.Context(), w.acc, id, 1, newsArticle("新")))
	w.wrote(simulator.PathDraftUpdate, `{"media_id":"`+id+`","index":1,"articles":{"title":"新","content":"<p>你好 & 再见</p>",`+
		`"thumb_media_id":"COVER","need_open_comment":0,"only_fans_can_comment":0}}`)
	got, err := w.client.Draft(t.Context(), w.acc, id)
	require.NoError(t, err)
	require.Equal(t, []string{"一", "新"}, []string{got[0].Title, got[1].Title})

	requireCode(t, 40035, w.client.UpdateDraft(t.Context(), w.acc, id, 2, newsArticle("x")))
	invalid(t, w.client.UpdateDraft(t.Context(), w.acc, id, 8, newsArticle("x")), "index", "range")
	invalid(t, w.client.UpdateDraft(t.Context(), w.acc, id, -1, newsArticle("x")), "index", "range")
	invalid(t, w.client.UpdateDraft(t.Context(), w.acc, id, 0, newsArticle("")), "articles.title", "required")

	n, err := w.client.CountDrafts(t.Context(), w.acc)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Equal(t, http.MethodGet, w.sim.Calls(simulator.Filter{Path: simulator.PathDraftCount})[0].Method)

	require.NoError(t, w.client.DeleteDraft(t.Context(), w.acc, id))
	w.wrote(simulator.PathDraftDelete, `{"media_id":"`+id+`"}`)
	ids, err := w.sim.Drafts(articleAppID)
	require.NoError(t, err)
	require.Empty(t, ids)
}

func TestADraftThatIsGoneAnswers40007(t *testing.T) {
	t.Parallel()
	w := newArticleWorld(t, nil)
	_, err := w.client.Draft(t.Context(), w.acc, "nothing")
	requireCode(t, 40007, err)
	requireCode(t, 40007, w.client.DeleteDraft(t.Context(), w.acc, "nothing"))
	requireCode(t, 40007, w.client.UpdateDraft(t.Context(), w.acc, "nothing", 0, newsArticle("x")))
	_, err = w.client.Publish(t.Context(), w.acc, "nothing")
	requireCode(t, 40007, err)
	invalid(t, w.client.DeleteDraft(t.Context(), w.acc, ""), "media_id", "required")
	_, err = w.client.Draft(t.Context(), w.acc, "")
	invalid(t, err, "media_id", "required")
}

func TestDraftsComeInPagesNewestFirst(t *testing.T) {
	t.Parallel()
	w := newArticleWorld(t, nil)
	var want []string
	for i := range 25 {
		want = append([]string{w.draft(fmt.Sprintf("第%d篇", i))}, want...)
		w.clock.Advance(time.Second)
	}
	var got []string
	q := wechat.ArticleQuery{}
	for {
		page, err := w.client.Drafts(t.Context(), w.acc, q)
		require.NoError(t, err)
		require.Equal(t, 25, page.Total)
		for _, set := range page.Sets {
			got = append(got, set.ID)
			require.Len(t, set.Articles, 1)
		}
		if page.Next == 0 {
			break
		}
		q.Offset = page.Next
	}
	require.Equal(t, want, got)
	w.wrote(simulator.PathDraftList, `{"offset":20,"count":20,"no_content":0}`)

	page, err := w.client.Drafts(t.Context(), w.acc, wechat.ArticleQuery{Offset: 24, Count: 1, NoContent: true})
	require.NoError(t, err)
	require.Empty(t, page.Sets[0].Articles)
	require.Equal(t, time.Date(2026, 3, 2, 1, 0, 0, 0, time.UTC), page.Sets[0].UpdatedAt)
	page, err = w.client.Drafts(t.Context(), w.acc, wechat.ArticleQuery{Offset: 99})
	require.NoError(t, err)
	require.Empty(t, page.Sets)
	require.Zero(t, page.Next)
}

func TestAPageHasOneToTwentyEntries(t *testing.T) {
	t.Parallel()
	w := newArticleWorld(t, nil)
	for _, count := range []int{-1, 21} {
		_, err := w.client.Drafts(t.Context(), w.acc, wechat.ArticleQuery{Count: count})
		invalid(t, err, "count", "range")
		_, err = w.client.Published(t.Context(), w.acc, wechat.ArticleQuery{Count: count})
		invalid(t, err, "count", "range")
	}
	_, err := w.client.Drafts(t.Context(), w.acc, wechat.ArticleQuery{Offset: -1})
	invalid(t, err, "offset", "range")
	for _, path := range []string{simulator.PathDraftList, simulator.PathPublishList} {
		for body, want := range map[string]int{
			`{"offset":0,"count":20}`:                  0,
			`{"offset":0,"count":21}`:                  40035,
			`{"offset":0,"count":0}`:                   40035,
			`{"offset":-1,"count":1}`:                  40035,
			`{"count":1}`:                              40035,
			`{"offset":0}`:                             40035,
			`{"offset":0,"count":1,"no_content":2}`:    40035,
			`{"offset":"0","count":1}`:                 47001,
			`{"offset":0,"count":1,"page":1}`:          40097,
			`{"offset":0,"count":20,"no_content":1}`:   0,
			`{"offset":0,"count":20,"no_content":1.5}`: 47001,
		} {
			require.Equal(t, want, w.code(path, body), "%s %s", path, body)
		}
	}
}

func TestThePlatformCutsTheDigestOfASingleArticle(t *testing.T) {
	t.Parallel()
	w := newArticleWorld(t, nil)
	article := newsArticle("x")
	article.Content = "<p>" + strings.Repeat("字", 60) + "</p>"
	id, err := w.client.AddDraft(t.Context(), w.acc, []wechat.DraftArticle{article})
	require.NoError(t, err)
	got, err := w.client.Draft(t.Context(), w.acc, id)
	require.NoError(t, err)
	require.Equal(t, strings.Repeat("字", 54), got[0].Digest)

	article.Digest = "摘要"
	id, err = w.client.AddDraft(t.Context(), w.acc, []wechat.DraftArticle{article, newsArticle("y")})
	require.NoError(t, err)
	got, err = w.client.Draft(t.Context(), w.acc, id)
	require.NoError(t, err)
	require.Empty(t, got[0].Digest)
}

func TestScriptsAndPicturesFromElsewhereAreDropped(t *testing.T) {
	t.Parallel()
	w := newArticleWorld(t, nil)
	article := newsArticle("x")
	article.Content = `<p onclick="steal()">a</p><script>x</script><img src="https://example.com/a.png"><img src="http://mmbiz.qpic.cn/b.png">`
	id, err := w.client.AddDraft(t.Context(), w.acc, []wechat.DraftArticle{article})
	require.NoError(t, err)
	got, err := w.client.Draft(t.Context(), w.acc, id)
	require.NoError(t, err)
	require.Equal(t, `<p>a</p><img src="http://mmbiz.qpic.cn/b.png">`, got[0].Content)
}

func TestTheDraftBoxIsOpen(t *testing.T) {
	t.Parallel()
	w := newArticleWorld(t, nil)
	open, err := w.client.DraftBoxOpen(t.Context(), w.acc)
	require.NoError(t, err)
	require.True(t, open)
	require.NoError(t, w.client.OpenDraftBox(t.Context(), w.acc))
	require.Equal(t, 40035, w.code(simulator.PathDraftSwitch+"?checkonly=2", "{}"))
	require.Equal(t, 40097, w.code(simulator.PathDraftSwitch, `{"checkonly":1}`))
}

func TestDraftsAndPublishingHaveDailyLimits(t *testing.T) {
	t.Parallel()
	w := newArticleWorld(t, nil)
	for path, daily := range map[string]int{
		simulator.PathDraftAdd: 1000, simulator.PathDraftGet: 500, simulator.PathDraftDelete: 1000,
		simulator.PathDraftUpdate: 1000, simulator.PathDraftCount: 1000, simulator.PathDraftList: 1000,
		simulator.PathPublishSubmit: 100, simulator.PathPublishGet: 100, simulator.PathPublishDelete: 10,
		simulator.PathPublishArticle: 100, simulator.PathPublishList: 100,
	} {
		require.Contains(t, w.raw(http.MethodPost, simulator.PathQuotaGet, `{"cgi_path":"`+path+`"}`),
			fmt.Sprintf(`"daily_limit":%d,`, daily), path)
	}
	for range 10 {
		requireCode(t, 53600, w.client.DeletePublished(t.Context(), w.acc, "x", 0))
	}
	requireCode(t, 45009, w.client.DeletePublished(t.Context(), w.acc, "x", 0))
}

func TestOnlyVerifiedAccountsHaveDrafts(t *testing.T) {
	t.Parallel()
	calls := func(w *articleWorld) map[string]error {
		out := map[string]error{}
		_, out["add"] = w.client.AddDraft(t.Context(), w.acc, []wechat.DraftArticle{newsArticle("x")})
		_, out["count"] = w.client.CountDrafts(t.Context(), w.acc)
		_, out["list"] = w.client.Drafts(t.Context(), w.acc, wechat.ArticleQuery{})
		_, out["switch"] = w.client.DraftBoxOpen(t.Context(), w.acc)
		_, out["published"] = w.client.Published(t.Context(), w.acc, wechat.ArticleQuery{})
		return out
	}
	w := newArticleWorld(t, func(a *simulator.Account, _ *simulator.Options) { a.Verified = false })
	for name, err := range calls(w) {
		t.Log(name)
		requireCode(t, 48001, err)
	}
	w = newArticleWorld(t, func(a *simulator.Account, _ *simulator.Options) { a.Type = simulator.Subscription })
	for name, err := range calls(w) {
		require.NoError(t, err, name)
	}
}
