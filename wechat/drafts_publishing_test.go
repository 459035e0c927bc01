package wechat_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/clock"
	"hongyan/internal/fault"
	"hongyan/wechat"
	"hongyan/wechat/callback"
	"hongyan/wechat/simulator"
)

func TestAPublicationEndsWithAnEventAndAnArticleForKefu(t *testing.T) {
	t.Parallel()
	w := newArticleWorld(t, func(_ *simulator.Account, o *simulator.Options) { o.Switches.KnownArticles = true })
	id := w.draft("一", "二")
	job, err := w.client.Publish(t.Context(), w.acc, id)
	require.NoError(t, err)
	w.wrote(simulator.PathPublishSubmit, `{"media_id":"`+id+`"}`)
	require.NotZero(t, job.MsgDataID)

	now, err := w.client.Publication(t.Context(), w.acc, job.ID)
	require.NoError(t, err)
	w.wrote(simulator.PathPublishGet, fmt.Sprintf(`{"publish_id":"%d"}`, job.ID))
	require.Equal(t, wechat.Publication{ID: job.ID, Status: wechat.PublishRunning, Failed: []int{}}, now)
	pushes, err := w.sim.FinishPublications(t.Context(), articleAppID)
	require.NoError(t, err)
	require.Empty(t, pushes)

	w.clock.Advance(10 * time.Second)
	done, err := w.client.Publication(t.Context(), w.acc, job.ID)
	require.NoError(t, err)
	require.Equal(t, wechat.PublishDone, done.Status)
	require.Len(t, done.Articles, 2)
	require.Equal(t, 2, done.Articles[1].ArticleNo)
	for range 2 { // the event comes once
		_, err = w.sim.FinishPublications(t.Context(), articleAppID)
		require.NoError(t, err)
	}
	events := w.pushed()
	require.Len(t, events, 1)
	require.Equal(t, "publishjobfinish", events[0].Name)
	require.Equal(t, callback.PublishResult{
		PublishID: job.ID, ArticleID: done.ArticleID,
		Articles: []callback.ArticleURL{{ArticleNo: 1, URL: done.Articles[0].URL}, {ArticleNo: 2, URL: done.Articles[1].URL}},
	}, events[0].Payload)
	_, err = w.client.Draft(t.Context(), w.acc, id)
	requireCode(t, 40007, err)

	fans, err := w.sim.AddFans(articleAppID, 1, true)
	require.NoError(t, err)
	require.NoError(t, w.sim.GrantFan(fans[0], wechat.TriggerMessage))
	message := wechat.Message{Kind: wechat.KindMPNewsArticle, MPNewsArticle: &wechat.PublishedArticle{ArticleID: done.ArticleID}}
	require.NoError(t, w.client.SendKefu(t.Context(), w.acc, fans[0], message))
	message.MPNewsArticle.ArticleID = "another"
	requireCode(t, 53600, w.client.SendKefu(t.Context(), w.acc, fans[0], message))
	require.NoError(t, w.sim.SetSwitches(simulator.Switches{}))
	require.NoError(t, w.client.SendKefu(t.Context(), w.acc, fans[0], message))
}

func TestAPublicationCanFail(t *testing.T) {
	t.Parallel()
	for _, c := range []simulator.Publishing{
		{Status: wechat.PublishOriginality, Failed: []int{1, 2}},
		{Status: wechat.PublishFailed},
		{Status: wechat.PublishAudit, Failed: []int{2}},
	} {
		w := newArticleWorld(t, nil)
		c.Delay = time.Minute
		require.NoError(t, w.sim.SetPublishing(articleAppID, c))
		id := w.draft("一", "二")
		job, err := w.client.Publish(t.Context(), w.acc, id)
		require.NoError(t, err)
		w.clock.Advance(time.Minute)
		got, err := w.client.Publication(t.Context(), w.acc, job.ID)
		require.NoError(t, err)
		require.Equal(t, c.Status, got.Status)
		require.True(t, got.Status.Failed())
		require.Empty(t, got.ArticleID)
		require.Equal(t, append([]int{}, c.Failed...), got.Failed)
		_, err = w.sim.FinishPublications(t.Context(), articleAppID)
		require.NoError(t, err)
		require.Equal(t, callback.PublishResult{PublishID: job.ID, Status: int(c.Status), Failed: c.Failed}, w.pushed()[0].Payload)
		_, err = w.client.Draft(t.Context(), w.acc, id)
		require.NoError(t, err, "a draft that was not published stays")
	}
	w := newArticleWorld(t, nil)
	require.True(t, fault.Is(w.sim.SetPublishing(articleAppID, simulator.Publishing{Delay: -1}), fault.Invalid))
	require.True(t, fault.Is(w.sim.SetPublishing(articleAppID, simulator.Publishing{Status: 1}), fault.Invalid))
	require.True(t, fault.Is(w.sim.SetPublishing(articleAppID, simulator.Publishing{Failed: []int{1}}), fault.Invalid))
	require.True(t, fault.Is(w.sim.SetPublishing("wx9", simulator.Publishing{}), fault.NotFound))
	require.Equal(t, "audit", wechat.PublishAudit.String())
	require.Equal(t, "unknown", wechat.PublishStatus(7).String())
}

func TestOnTheWallClockTheEventFollowsByItself(t *testing.T) {
	t.Parallel()
	w := newArticleWorld(t, func(_ *simulator.Account, o *simulator.Options) { o.Clock = clock.System() })
	require.NoError(t, w.sim.SetPublishing(articleAppID, simulator.Publishing{Delay: time.Millisecond}))
	job, err := w.client.Publish(t.Context(), w.acc, w.draft("x"))
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	require.NoError(t, w.sim.Wait(ctx))
	events := w.pushed()
	require.Len(t, events, 1)
	result, ok := events[0].Payload.(callback.PublishResult)
	require.True(t, ok)
	require.Equal(t, job.ID, result.PublishID)

	require.NoError(t, w.sim.SetPublishing(articleAppID, simulator.Publishing{Delay: time.Hour}))
	_, err = w.client.Publish(t.Context(), w.acc, w.draft("x"))
	require.NoError(t, err)
	w.sim.Close() // ends the waiting
	require.NoError(t, w.sim.Wait(ctx))
}

// published publishes a draft and returns the job and the article id.
func (w *articleWorld) published(titles ...string) (wechat.PublishJob, string) {
	w.t.Helper()
	job, err := w.client.Publish(w.t.Context(), w.acc, w.draft(titles...))
	require.NoError(w.t, err)
	w.clock.Advance(10 * time.Second)
	got, err := w.client.Publication(w.t.Context(), w.acc, job.ID)
	require.NoError(w.t, err)
	require.Equal(w.t, wechat.PublishDone, got.Status)
	return job, got.ArticleID
}

func TestPublishedArticlesAreReadListedAndDeleted(t *testing.T) {
	t.Parallel()
	w := newArticleWorld(t, nil)
	_, first := w.published("旧")
	job, id := w.published("一", "二")
	articles, err := w.client.PublishedArticles(t.Context(), w.acc, id)
	require.NoError(t, err)
	w.wrote(simulator.PathPublishArticle, `{"article_id":"`+id+`"}`)
	require.Equal(t, "二", articles[1].Title)
	page, err := w.client.Published(t.Context(), w.acc, wechat.ArticleQuery{})
	require.NoError(t, err)
	require.Equal(t, []string{id, first}, []string{page.Sets[0].ID, page.Sets[1].ID})

	requireCode(t, 40035, w.client.DeletePublished(t.Context(), w.acc, id, 3))
	require.NoError(t, w.client.DeletePublished(t.Context(), w.acc, id, 2))
	w.wrote(simulator.PathPublishDelete, `{"article_id":"`+id+`","index":2}`)
	articles, err = w.client.PublishedArticles(t.Context(), w.acc, id)
	require.NoError(t, err)
	require.Equal(t, []bool{false, true}, []bool{articles[0].Deleted, articles[1].Deleted})
	require.NoError(t, w.client.DeletePublished(t.Context(), w.acc, id, 0))
	w.wrote(simulator.PathPublishDelete, `{"article_id":"`+id+`"}`)
	_, err = w.client.PublishedArticles(t.Context(), w.acc, id)
	requireCode(t, 53600, err)
	requireCode(t, 53600, w.client.DeletePublished(t.Context(), w.acc, id, 0))
	got, err := w.client.Publication(t.Context(), w.acc, job.ID)
	require.NoError(t, err)
	require.Equal(t, wechat.PublishDeleted, got.Status)

	require.NoError(t, w.sim.BanPublication(articleAppID, first))
	require.True(t, fault.Is(w.sim.BanPublication(articleAppID, first), fault.NotFound))
	page, err = w.client.Published(t.Context(), w.acc, wechat.ArticleQuery{})
	require.NoError(t, err)
	require.Empty(t, page.Sets)
}

func TestPublishingValidatesBeforeItCalls(t *testing.T) {
	t.Parallel()
	w := newArticleWorld(t, nil)
	_, err := w.client.Publish(t.Context(), w.acc, " ")
	invalid(t, err, "media_id", "required")
	_, err = w.client.Publication(t.Context(), w.acc, 0)
	invalid(t, err, "publish_id", "positive")
	_, err = w.client.PublishedArticles(t.Context(), w.acc, "")
	invalid(t, err, "article_id", "required")
	invalid(t, w.client.DeletePublished(t.Context(), w.acc, "", 0), "article_id", "required")
	invalid(t, w.client.DeletePublished(t.Context(), w.acc, "x", 9), "index", "range")
	require.Empty(t, w.sim.Calls(simulator.Filter{}))
	_, err = w.client.Publication(t.Context(), w.acc, 1)
	requireCode(t, 40035, err)
}

// fixedAnswer answers every call but that for a token with one text.
type fixedAnswer string

func (f fixedAnswer) RoundTrip(r *http.Request) (*http.Response, error) {
	body := string(f)
	if strings.HasSuffix(r.URL.Path, "token") {
		body = `{"access_token":"T","expires_in":7200}`
	}
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r,
	}, nil
}

// articleCalls makes every call of this family and returns the errors.
func articleCalls(ctx context.Context, transport http.RoundTripper) map[string]error {
	c := wechat.New(wechat.Options{Transport: transport})
	acc := wechat.Account{ID: 1, AppID: "wx1", Secret: "s"}
	out := map[string]error{}
	_, out["add"] = c.AddDraft(ctx, acc, []wechat.DraftArticle{newsArticle("x")})
	_, out["count"] = c.CountDrafts(ctx, acc)
	_, out["open"] = c.DraftBoxOpen(ctx, acc)
	out["switch"] = c.OpenDraftBox(ctx, acc)
	out["update"] = c.UpdateDraft(ctx, acc, "x", 0, newsArticle("x"))
	out["delete"] = c.DeleteDraft(ctx, acc, "x")
	_, out["publish"] = c.Publish(ctx, acc, "x")
	_, out["publication"] = c.Publication(ctx, acc, 1)
	out["unpublish"] = c.DeletePublished(ctx, acc, "x", 1)
	_, out["code"] = c.CreateQRCode(ctx, acc, wechat.NewQRCode{Scene: "x"})
	_, out["key"] = c.GenShortKey(ctx, acc, "x", time.Hour)
	_, out["fetch"] = c.FetchShortKey(ctx, acc, "x")
	return out
}

func TestAnAnswerWithoutProofIsLost(t *testing.T) {
	t.Parallel()
	for name, err := range articleCalls(t.Context(), fixedAnswer(`{}`)) {
		require.Equal(t, wechat.OutcomeLost, wechat.OutcomeOf(err), "%s: %v", name, err)
	}
}

func TestPublishIDsMayBeNumbersOrStrings(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{
		`{"errcode":0,"errmsg":"ok","publish_id":100000001}`,
		`{"errcode":0,"errmsg":"ok","publish_id":"100000001","msg_data_id":""}`,
	} {
		c := wechat.New(wechat.Options{Transport: fixedAnswer(answer)})
		job, err := c.Publish(t.Context(), wechat.Account{ID: 1, AppID: "wx1", Secret: "s"}, "x")
		require.NoError(t, err)
		require.Equal(t, wechat.PublishJob{ID: 100000001}, job)
	}
}

func TestDraftsAndCodesWorkOverRealSockets(t *testing.T) {
	t.Parallel()
	w := newArticleWorld(t, nil)
	server := httptest.NewServer(w.sim)
	defer server.Close()
	transport := wechat.NewTransport(4)
	defer transport.CloseIdleConnections()
	w.client = wechat.New(wechat.Options{Transport: transport, Clock: w.clock})
	w.acc.BaseURL = server.URL
	id := w.draft("标题")
	got, err := w.client.Draft(t.Context(), w.acc, id)
	require.NoError(t, err)
	require.Equal(t, "标题", got[0].Title)
	code, err := w.client.CreateQRCode(t.Context(), w.acc, wechat.NewQRCode{Scene: "x"})
	require.NoError(t, err)
	address, err := w.client.QRCodeImageURL(w.acc, code.Ticket)
	require.NoError(t, err)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	require.NoError(t, err)
	resp, err := transport.RoundTrip(req)
	require.NoError(t, err)
	require.Equal(t, "image/jpeg", resp.Header.Get("Content-Type"))
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, "\xff\xd8\xff", string(body[:3]))
}

func FuzzArticleRequests(f *testing.F) {
	for _, body := range []string{
		`{"articles":[{"title":"x","content":"<img src='http://mmbiz.a/b'>","thumb_media_id":"x","cover_info":{"crop_percent_list":[{}]}}]}`,
		`{"media_id":"x","index":0,"articles":{}}`, `{"offset":0,"count":1}`, `{"publish_id":"1"}`, `{"article_id":"x","index":1}`, `[]`, ``,
		`{"action_name":"QR_STR_SCENE","action_info":{"scene":{"scene_str":"x"}}}`, `{"long_data":"x","expire_seconds":1}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		w := newArticleWorld(t, nil)
		for _, path := range []string{
			simulator.PathDraftAdd, simulator.PathDraftUpdate, simulator.PathDraftList, simulator.PathDraftSwitch,
			simulator.PathPublishSubmit, simulator.PathPublishGet, simulator.PathPublishDelete,
			simulator.PathQRCodeCreate, simulator.PathShortKeyGen, simulator.PathShortKeyFetch,
		} {
			require.True(t, json.Valid([]byte(w.raw(http.MethodPost, path, string(body)))), path)
		}
	})
}

func FuzzArticleAnswers(f *testing.F) {
	for _, body := range []string{
		`{"media_id":"x"}`, `{"publish_id":"1","msg_data_id":2}`, `{"publish_status":0,"article_detail":{"item":[{"idx":1}]}}`,
		`{"is_open":2}`, `{"ticket":"x","expire_seconds":-1}`, `{"long_data":"x","create_time":"y"}`, `{"errcode":40007}`, `null`,
	} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		for name, err := range articleCalls(t.Context(), fixedAnswer(body)) {
			require.NotEqual(t, wechat.OutcomeNotSent, wechat.OutcomeOf(err), name)
		}
	})
}
