package simulator_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/wechat"
	"hongyan/wechat/simulator"
)

// articleAnswers are the answers of all calls about articles, one after another.
func articleAnswers(t *testing.T, seed uint64) string {
	t.Helper()
	w := newStatWorld(t, simulator.Options{Seed: seed})
	w.at("2026-03-18 12:00:00")
	var out strings.Builder
	for _, api := range statAPIs()[11:] {
		for day := statDay(t, "2026-02-01"); day.Before(statDay(t, "2026-03-01")); day = day.Add(1) {
			code, body := w.stat(api.name, statBody(day.String(), day.String()))
			require.Zero(t, code, body)
			out.WriteString(body + "\n")
		}
	}
	return out.String()
}

func TestFiguresOfArticlesFollowFromTheSeed(t *testing.T) {
	t.Parallel()
	one := articleAnswers(t, 1)
	require.Equal(t, one, articleAnswers(t, 1))
	require.NotEqual(t, one, articleAnswers(t, 2))
}

func TestFiguresOfArticlesAgreeWithEachOther(t *testing.T) {
	t.Parallel()
	w := newStatWorld(t, simulator.Options{Seed: 5})
	w.at("2026-03-18 12:00:00")
	days := statDays(t, "2026-02-01", "2026-02-28")
	ctx := t.Context()
	content, err := w.client.ContentStatistics(ctx, w.acc, days)
	require.NoError(t, err)
	reads, err := w.client.ReadStatistics(ctx, w.acc, days)
	require.NoError(t, err)
	old, err := w.client.OldReadStatistics(ctx, w.acc, days)
	require.NoError(t, err)
	hours, err := w.client.OldReadHourStatistics(ctx, w.acc, days)
	require.NoError(t, err)
	articles, err := w.client.ArticleStatistics(ctx, w.acc, days)
	require.NoError(t, err)
	perDay, perArticle, published := map[wechat.Day]int{}, map[string]int{}, map[wechat.Day]int{}
	for _, r := range reads.Rows {
		require.Equal(t, "全部", r.Detail.BySource[0].Source)
		perDay[r.Day] += r.Detail.All
		perArticle[r.Article] += r.Detail.All
	}
	for _, a := range articles.Rows {
		published[a.Day]++
		require.Len(t, a.Days, min(30, statDay(t, "2026-03-18").Sub(a.Day)), "to yesterday, or for thirty days")
		if a.Day.Before(statDay(t, "2026-02-21")) {
			require.Equal(t, perArticle[a.Article], a.Days[len(a.Days)-1].All, "totals grow to the sum of the days")
		}
	}
	require.Len(t, content.Rows, 28)
	total := map[wechat.Day]int{}
	for _, r := range content.Rows {
		require.Equal(t, perDay[r.Day], r.Detail.All)
		require.Equal(t, published[r.Day], r.Detail.Published)
		total[r.Day] = r.Detail.All
	}
	type key struct {
		day    wechat.Day
		source wechat.ReadSource
	}
	sums := map[key]wechat.OldCounters{}
	for _, r := range hours {
		c := sums[key{r.Day, r.Source}]
		c.PageReaders, c.Shares, c.Favourites = c.PageReaders+r.PageReaders, c.Shares+r.Shares, c.Favourites+r.Favourites
		sums[key{r.Day, r.Source}] = c
	}
	require.NotEmpty(t, old)
	for _, r := range old {
		c := sums[key{r.Day, r.Source}]
		require.Equal(t, [3]int{r.PageReaders, r.Shares, r.Favourites}, [3]int{c.PageReaders, c.Shares, c.Favourites}, "hours add up to the day")
		if r.Source == wechat.ReadFromAllOver {
			require.Equal(t, total[r.Day], r.PageReaders)
		} else {
			require.Zero(t, r.OriginalReads+r.Favourites, "only of all sources together")
		}
	}
}

func TestOnlyTheNewerFiguresOfArticlesSayThatTheyAreNotFinal(t *testing.T) {
	t.Parallel()
	w := newStatWorld(t, simulator.Options{Seed: 5})
	w.at("2026-03-18 12:00:00")
	for _, delayed := range []bool{true, false} {
		require.NoError(t, w.sim.SetStatisticsDelayed(appID, delayed))
		for _, api := range statAPIs() {
			_, body := w.stat(api.name, statBody("2026-03-16", "2026-03-16"))
			require.Equal(t, api.recent, strings.Contains(body, "is_delay"), api.name)
			require.Equal(t, api.recent && delayed, strings.HasSuffix(body, `"is_delay":true}`), api.name)
		}
	}
	require.Error(t, w.sim.SetStatisticsDelayed("wx1", true))
}

func TestOldTotalsOfAnArticleEndAfterSevenDays(t *testing.T) {
	t.Parallel()
	w := newStatWorld(t, simulator.Options{Seed: 5})
	w.at("2026-03-18 07:00:00")
	got, err := w.client.OldArticleTotalStatistics(t.Context(), w.acc, statDays(t, "2026-03-01", "2026-03-16"))
	require.NoError(t, err)
	require.NotEmpty(t, got)
	for _, a := range got {
		require.Len(t, a.Days, min(7, statDay(t, "2026-03-17").Sub(a.Day)), "yesterday is not counted before eight: %s", a.Day)
		for i, d := range a.Days {
			require.Equal(t, a.Day.Add(i), d.Day)
			require.GreaterOrEqual(t, d.Receivers, d.PageReaders)
			if i > 0 {
				require.GreaterOrEqual(t, d.PageReaders, a.Days[i-1].PageReaders)
			}
		}
	}
}

func TestArticlesWithFewActsAreMissingInTheOldFigures(t *testing.T) {
	t.Parallel()
	w := newStatWorld(t, simulator.Options{Seed: 5})
	w.at("2026-03-18 12:00:00")
	days := statDays(t, "2025-12-01", "2026-03-10")
	all, err := w.client.ReadStatistics(t.Context(), w.acc, days)
	require.NoError(t, err)
	old, err := w.client.OldArticleStatistics(t.Context(), w.acc, days)
	require.NoError(t, err)
	few := 0
	for _, r := range all.Rows {
		if n := r.Detail.All; n+n/4+n/30+n/25+n/20+n/16+n/50+n/45 < 3 {
			few++
		}
	}
	require.Positive(t, few, "the seed has no such article")
	require.Len(t, old, len(all.Rows)-few)
}

func FuzzStatisticsRequest(f *testing.F) {
	f.Add("getusersummary", statBody("2026-01-01", "2026-01-07"))
	f.Add("getupstreammsgweek", statBody("2026-01-05", "2026-01-05"))
	f.Add("getarticleread", `{"begin_date":"9999-12-31","end_date":"0000-01-01"}`)
	f.Add("getuserread", `{"begin_date":null,"end_date":"2026-01-01"}`)
	f.Fuzz(func(t *testing.T, name, body string) {
		w := newStatWorld(t, simulator.Options{})
		known := false
		for _, api := range statAPIs() {
			known = known || api.name == name
		}
		if !known {
			return
		}
		rec := httptest.NewRecorder()
		w.sim.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodPost,
			"/datacube/"+name+"?access_token="+w.token, strings.NewReader(body)))
		var got struct {
			ErrCode int
			List    []struct {
				Day wechat.Day `json:"ref_date"`
			}
		}
		require.NoError(t, json.Unmarshal(rec.Body.Bytes(), &got), "%s", rec.Body)
		if got.ErrCode != 0 {
			require.Contains(t, []int{61500, 61501, 61503, 47001, 47002, 44002, 40097}, got.ErrCode)
			return
		}
		for _, row := range got.List {
			require.Negative(t, row.Day.Sub(wechat.DayOf(w.clock.Now())))
		}
	})
}
