package wechat_test

import (
	"context"
	"encoding/json"
	"errors"
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
	"hongyan/wechat/simulator"
)

// statWorld is a client of a simulator with one verified account, at noon of a Wednesday in Beijing.
type statWorld struct {
	t      *testing.T
	clock  *clock.Manual
	sim    *simulator.Simulator
	client *wechat.Client
	acc    wechat.Account
}

func newStatWorld(t *testing.T, o simulator.Options) *statWorld {
	t.Helper()
	f := &statWorld{t: t, clock: clock.NewManual(chatDay(t, "2026-03-18").Add(12 * time.Hour))}
	o.Clock = f.clock
	f.sim = simulator.New(o)
	t.Cleanup(f.sim.Close)
	f.acc = wechat.Account{ID: 1, AppID: "wx0123456789abcdef", Secret: "s3cret"}
	require.NoError(t, f.sim.AddAccount(simulator.Account{AppID: f.acc.AppID, Secret: f.acc.Secret, Verified: true}))
	f.client = wechat.New(wechat.Options{Transport: f.sim.RoundTripper(), Clock: f.clock})
	return f
}

func statBody(from, to string) string {
	return fmt.Sprintf(`{"begin_date":%q,"end_date":%q}`, from, to)
}

func statDay(t *testing.T, text string) wechat.Day {
	t.Helper()
	d, err := wechat.ParseDay(text)
	require.NoError(t, err)
	return d
}

func statDays(t *testing.T, from, to string) wechat.Days {
	t.Helper()
	return wechat.Days{From: statDay(t, from), To: statDay(t, to)}
}

// asked are the ranges that the simulator was asked for.
func (f *statWorld) asked(name string) (out []string) {
	for _, c := range f.sim.Calls(simulator.Filter{Path: "/datacube/" + name}) {
		out = append(out, c.Body)
	}
	return out
}

// statisticCase is one API of statistics with the platform's sample of a row.
type statisticCase struct {
	name   string
	span   int // most days of a call
	row    string
	recent bool
	call   func(*wechat.Client, context.Context, wechat.Account, wechat.Days) (any, error)
}

func statRows[T any](
	call func(*wechat.Client, context.Context, wechat.Account, wechat.Days) ([]T, error),
) func(*wechat.Client, context.Context, wechat.Account, wechat.Days) (any, error) {
	return func(c *wechat.Client, ctx context.Context, acc wechat.Account, d wechat.Days) (any, error) {
		return call(c, ctx, acc, d)
	}
}

func statRecentRows[T any](
	call func(*wechat.Client, context.Context, wechat.Account, wechat.Days) (wechat.Statistics[T], error),
) func(*wechat.Client, context.Context, wechat.Account, wechat.Days) (any, error) {
	return func(c *wechat.Client, ctx context.Context, acc wechat.Account, d wechat.Days) (any, error) {
		out, err := call(c, ctx, acc, d)
		return out.Rows, err
	}
}

const (
	sampleCounters = `"int_page_read_user":9028,"int_page_read_count":11815,"ori_page_read_user":29,"ori_page_read_count":34,
		"share_user":279,"share_count":340,"add_to_fav_user":1,"add_to_fav_count":3`
	sampleReaders = `"read_user":4123,"read_user_source":[{"user_count":4123,"scene_desc":"全部"},{"user_count":7,"scene_desc":"朋友圈"}]`
	sampleContent = sampleReaders + `,"share_user":366,"zaikan_user":191,"like_user":386,"comment_count":57,"collection_user":12`
	sampleTotals  = `"int_page_from_session_read_user":657283,"int_page_from_session_read_count":753486,
		"int_page_from_hist_msg_read_user":1669,"int_page_from_hist_msg_read_count":1920,"int_page_from_feed_read_user":367308,
		"int_page_from_feed_read_count":433422,"int_page_from_friends_read_user":15428,"int_page_from_friends_read_count":19645,
		"int_page_from_other_read_user":477,"int_page_from_other_read_count":703,"feed_share_from_session_user":63925,
		"feed_share_from_session_cnt":66489,"feed_share_from_feed_user":18249,"feed_share_from_feed_cnt":19319,
		"feed_share_from_other_user":731,"feed_share_from_other_cnt":775`
)

func statisticCases() []statisticCase {
	type client = wechat.Client
	return []statisticCase{
		{"getusersummary", 7, `{"ref_date":"2014-12-07","user_source":30,"new_user":12,"cancel_user":3}`, false, statRows((*client).FollowStatistics)},
		{"getusercumulate", 7, `{"ref_date":"2014-12-07","user_source":0,"cumulate_user":1217056}`, false, statRows((*client).FanStatistics)},
		{"getupstreammsg", 7, `{"ref_date":"2014-12-07","msg_type":1,"msg_user":282,"msg_count":817}`, false, statRows((*client).MessageStatistics)},
		{"getupstreammsghour", 1, `{"ref_date":"2014-12-07","ref_hour":2300,"msg_type":6,"msg_user":9,"msg_count":10}`, false, statRows((*client).MessageHourStatistics)},
		{"getupstreammsgweek", 0, `{"ref_date":"2014-12-08","msg_type":1,"msg_user":16,"msg_count":27}`, false, statRows((*client).MessageWeekStatistics)},
		{"getupstreammsgmonth", 0, `{"ref_date":"2014-12-01","msg_type":2,"msg_user":7989,"msg_count":42206}`, false, statRows((*client).MessageMonthStatistics)},
		{"getupstreammsgdist", 15, `{"ref_date":"2014-12-07","count_interval":1,"msg_user":246}`, false, statRows((*client).WriterStatistics)},
		{"getupstreammsgdistweek", 0, `{"ref_date":"2014-12-08","count_interval":3,"msg_user":246}`, false, statRows((*client).WriterWeekStatistics)},
		{"getupstreammsgdistmonth", 0, `{"ref_date":"2014-12-01","count_interval":2,"msg_user":246}`, false, statRows((*client).WriterMonthStatistics)},
		{
			"getinterfacesummary", 30, `{"ref_date":"2014-12-07","callback_count":36974,"fail_count":67,"total_time_cost":14994291,"max_time_cost":5044}`,
			false, statRows((*client).CallbackStatistics),
		},
		{
			"getinterfacesummaryhour", 1, `{"ref_date":"2014-12-07","ref_hour":0,"callback_count":331,"fail_count":18,"total_time_cost":167870,"max_time_cost":5042}`,
			false, statRows((*client).CallbackHourStatistics),
		},
		{"getarticleread", 1, `{"ref_date":"2025-11-01","msgid":"2247490098_1","detail":{` + sampleReaders + `}}`, true, statRecentRows((*client).ReadStatistics)},
		{"getarticleshare", 1, `{"ref_date":"2025-11-01","msgid":"2247490098_1","detail":{"share_user":366}}`, true, statRecentRows((*client).ShareStatistics)},
		{
			"getbizsummary", 30, `{"ref_date":"2025-11-01","detail":{` + sampleContent + `,"redirect_ori_page_user":5,"send_page_count":2}}`,
			true, statRecentRows((*client).ContentStatistics),
		},
		{
			"getarticletotaldetail", 1, `{"ref_date":"2025-11-01","msgid":"2247490098_1","publish_type":1,"title":"马航丢画记","content_url":"http://mp.weixin.qq.com/s/x",
				"detail_list":[{"stat_date":"2025-11-02",` + sampleContent + `,"praise_money":1.5,"read_subscribe_user":8,"read_delivery_rate":0.12,
				"read_finish_rate":0.51,"read_avg_activetime":43.2,"read_jump_position":[{"position":1,"rate":0.3}]}]}`,
			true, statRecentRows((*client).ArticleStatistics),
		},
		{"getarticlesummary", 1, `{"ref_date":"2014-12-08","msgid":"10000050_1","title":"12月27日 DiLi日报",` + sampleCounters + `}`, false, statRows((*client).OldArticleStatistics)},
		{
			"getarticletotal", 1, `{"ref_date":"2014-12-14","msgid":"202457380_1","title":"马航丢画记","url":"http://x",
				"details":[{"stat_date":"2014-12-14","target_user":261917,` + sampleCounters + `,` + sampleTotals + `}]}`,
			false, statRows((*client).OldArticleTotalStatistics),
		},
		{"getuserread", 3, `{"ref_date":"2020-02-18","user_source":99999999,` + sampleCounters + `}`, false, statRows((*client).OldReadStatistics)},
		{"getuserreadhour", 1, `{"ref_date":"2020-02-18","ref_hour":1500,"user_source":4,` + sampleCounters + `}`, false, statRows((*client).OldReadHourStatistics)},
		{"getusershare", 7, `{"ref_date":"2014-12-07","share_scene":255,"share_count":207,"share_user":11}`, false, statRows((*client).OldShareStatistics)},
		{"getusersharehour", 1, `{"ref_date":"2014-12-07","ref_hour":1200,"share_scene":1,"share_count":72,"share_user":4}`, false, statRows((*client).OldShareHourStatistics)},
	}
}

// answering is a transport that answers statistics with a body, and everything else with a token.
type answering struct {
	body   string
	bodies []string
	paths  []string
}

func (a *answering) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	if !strings.HasPrefix(r.URL.Path, "/datacube/") {
		_, err := io.WriteString(w, `{"access_token":"T","expires_in":7200}`)
		return w.Result(), err
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	a.bodies, a.paths = append(a.bodies, r.Method+" "+string(body)), append(a.paths, r.URL.Path)
	_, err = io.WriteString(w, a.body)
	return w.Result(), err
}

func answeringClient(t *testing.T, body string) (*answering, *wechat.Client) {
	t.Helper()
	a := &answering{body: body}
	return a, wechat.New(wechat.Options{Transport: a, Clock: clock.NewManual(chatDay(t, "2026-03-18").Add(12 * time.Hour))})
}

func TestEachStatisticUnderstandsThePlatformsSample(t *testing.T) {
	t.Parallel()
	for _, c := range statisticCases() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			platform, client := answeringClient(t, `{"list":[`+c.row+`]}`)
			got, err := c.call(client, t.Context(), wechat.Account{AppID: "wx1", Secret: "s"}, statDays(t, "2025-12-01", "2025-12-01"))
			require.NoError(t, err)
			require.Equal(t, []string{"/datacube/" + c.name}, platform.paths)
			require.Equal(t, []string{"POST " + statBody("2025-12-01", "2025-12-01")}, platform.bodies)
			again, err := json.Marshal(got)
			require.NoError(t, err)
			require.JSONEq(t, "["+c.row+"]", string(again), "a field was lost")
		})
	}
}

func TestARangeThatThePlatformRefusesIsNotAskedFor(t *testing.T) {
	t.Parallel()
	for _, c := range statisticCases() {
		first := "2014-12-01"
		if c.recent {
			first = "2025-11-01"
		}
		for _, bad := range []struct{ from, to, field, rule string }{
			{statDay(t, first).Add(-1).String(), "2026-01-01", "days.from", "too_early"},
			{"2026-01-02", "2026-01-01", "days.to", "before_from"},
			{"2026-03-17", "2026-03-18", "days.to", "not_over"},
			{"2026-03-20", "2026-03-20", "days.to", "not_over"},
		} {
			platform, client := answeringClient(t, `{"list":[]}`)
			_, err := c.call(client, t.Context(), wechat.Account{AppID: "wx1", Secret: "s"}, statDays(t, bad.from, bad.to))
			require.Len(t, fault.Fields(err), 1, "%s %v: %v", c.name, bad, err)
			require.Equal(t, [2]string{bad.field, bad.rule}, [2]string{fault.Fields(err)[0].Field, fault.Fields(err)[0].Rule})
			require.Equal(t, wechat.OutcomeNotSent, wechat.OutcomeOf(err))
			require.Empty(t, platform.paths)
		}
	}
}

func TestALongRangeIsCutIntoWhatACallMayAskFor(t *testing.T) {
	t.Parallel()
	for _, c := range statisticCases() {
		if c.span == 0 {
			continue
		}
		platform, client := answeringClient(t, `{"list":[`+c.row+`]}`)
		whole := wechat.Days{From: statDay(t, "2026-01-01"), To: statDay(t, "2026-01-01").Add(2 * c.span)}
		_, err := c.call(client, t.Context(), wechat.Account{AppID: "wx1", Secret: "s"}, whole)
		require.NoError(t, err)
		var want []string
		for _, from := range []wechat.Day{whole.From, whole.From.Add(c.span)} {
			want = append(want, "POST "+statBody(from.String(), from.Add(c.span-1).String()))
		}
		want = append(want, "POST "+statBody(whole.To.String(), whole.To.String()))
		require.Equal(t, want, platform.bodies, c.name)
	}
}

func TestWeeksAndMonthsThatBeganInTheRangeAndEndedAreAskedForOneByOne(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		from, to string
		weeks    []string
		months   []string
	}{
		{"2026-02-01", "2026-03-17", []string{"2026-02-02", "2026-02-09", "2026-02-16", "2026-02-23", "2026-03-02", "2026-03-09"}, []string{"2026-02-01"}},
		{"2026-03-09", "2026-03-09", []string{"2026-03-09"}, nil},
		{"2026-03-10", "2026-03-15", nil, nil},
		{"2026-03-16", "2026-03-17", nil, nil},
		{"2025-12-31", "2026-01-02", nil, []string{"2026-01-01"}},
	} {
		for _, name := range []string{"getupstreammsgweek", "getupstreammsgdistweek", "getupstreammsgmonth", "getupstreammsgdistmonth"} {
			f := newStatWorld(t, simulator.Options{})
			want := c.months
			if strings.HasSuffix(name, "week") {
				want = c.weeks
			}
			var bodies []string
			for _, first := range want {
				bodies = append(bodies, statBody(first, first))
			}
			_, err := statisticNamed(name).call(f.client, t.Context(), f.acc, statDays(t, c.from, c.to))
			require.NoError(t, err)
			require.Equal(t, bodies, f.asked(name), "%s %s", name, c.from)
		}
	}
}

func statisticNamed(name string) statisticCase {
	for _, c := range statisticCases() {
		if c.name == name {
			return c
		}
	}
	return statisticCase{}
}

func TestAFailureInTheMiddleKeepsTheRowsBeforeIt(t *testing.T) {
	t.Parallel()
	f := newStatWorld(t, simulator.Options{})
	require.NoError(t, f.sim.SetLimit(f.acc.AppID, "/datacube/getusercumulate", simulator.Limit{Daily: 2}))
	got, err := f.client.FanStatistics(t.Context(), f.acc, statDays(t, "2026-01-01", "2026-01-20"))
	require.Len(t, got, 14)
	var refused *wechat.Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, 45009, refused.Code)
	require.Equal(t, wechat.ClassQuota, wechat.Classify(err))
	require.ErrorContains(t, err, "2026-01-15 to 2026-01-20")
}

func TestFiguresThatAreNotFinalAreMarked(t *testing.T) {
	t.Parallel()
	for _, delayed := range []bool{true, false} {
		_, client := answeringClient(t, fmt.Sprintf(`{"list":[],"is_delay":%v}`, delayed))
		got, err := client.ReadStatistics(t.Context(), wechat.Account{AppID: "wx1", Secret: "s"}, statDays(t, "2026-01-01", "2026-01-02"))
		require.NoError(t, err)
		require.Equal(t, delayed, got.Delayed)
	}
}

func TestAnAnswerThatIsNoListIsNotZeroRows(t *testing.T) {
	t.Parallel()
	for _, body := range []string{`{}`, `{"list":{}}`, `{"list":[{"ref_date":"2026-1-1"}]}`, `{"list":[{"ref_date":7}]}`, `[]`, `x`, ``} {
		_, client := answeringClient(t, body)
		_, err := client.FanStatistics(t.Context(), wechat.Account{AppID: "wx1", Secret: "s"}, statDays(t, "2026-01-01", "2026-01-02"))
		var failed *wechat.Error
		require.ErrorAs(t, err, &failed, body)
		require.Equal(t, wechat.OutcomeLost, failed.Outcome)
		require.Equal(t, "/datacube/getusercumulate", failed.API)
	}
	for _, hour := range []string{`-100`, `2400`, `150`, `"x"`} {
		_, client := answeringClient(t, `{"list":[{"ref_date":"2026-01-01","ref_hour":`+hour+`}]}`)
		_, err := client.MessageHourStatistics(t.Context(), wechat.Account{AppID: "wx1", Secret: "s"}, statDays(t, "2026-01-01", "2026-01-01"))
		require.Equal(t, wechat.OutcomeLost, wechat.OutcomeOf(err), hour)
	}
}

func TestDaysAreThoseOfBeijing(t *testing.T) {
	t.Parallel()
	for at, want := range map[string]string{
		"2026-03-01T15:59:59Z": "2026-03-01", "2026-03-01T16:00:00Z": "2026-03-02", "1969-12-31T12:00:00Z": "1969-12-31",
		"2024-02-28T17:00:00Z": "2024-02-29", "2026-01-01T00:00:00+08:00": "2026-01-01",
	} {
		moment, err := time.Parse(time.RFC3339, at)
		require.NoError(t, err)
		require.Equal(t, want, wechat.DayOf(moment).String(), at)
	}
	require.Equal(t, time.Date(2026, 3, 1, 16, 0, 0, 0, time.UTC), statDay(t, "2026-03-02").Start())
	require.Equal(t, "2024-03-01", statDay(t, "2024-02-28").Add(2).String())
	require.Equal(t, -3, statDay(t, "2026-02-27").Sub(statDay(t, "2026-03-02")))
	require.Equal(t, "2026-03-02", statDay(t, "2026-03-02").Week().String())
	require.Equal(t, "2026-03-02", statDay(t, "2026-03-08").Week().String())
	require.Equal(t, "2024-02-01", statDay(t, "2024-02-29").Month().String())
	for _, bad := range []string{"", "2026-3-01", "2026-02-30", "2026-03-01 ", "20260301", "2026/03/01"} {
		_, err := wechat.ParseDay(bad)
		require.True(t, fault.Is(err, fault.Invalid), bad)
	}
}

func TestStatisticsAreCountedThroughARealServerToo(t *testing.T) {
	t.Parallel()
	f := newStatWorld(t, simulator.Options{})
	server := httptest.NewServer(f.sim)
	defer server.Close()
	transport := wechat.NewTransport(4)
	defer transport.CloseIdleConnections()
	f.acc.BaseURL = server.URL
	client := wechat.New(wechat.Options{Transport: transport, Clock: f.clock})
	_, err := f.sim.AddFans(f.acc.AppID, 3, true)
	require.NoError(t, err)
	got, err := client.FanStatistics(t.Context(), f.acc, statDays(t, "2026-03-17", "2026-03-17"))
	require.NoError(t, err)
	require.Equal(t, []wechat.FanRow{{Day: statDay(t, "2026-03-17"), Fans: 3}}, got)
}

func FuzzStatisticsAnswer(f *testing.F) {
	for _, c := range statisticCases() {
		f.Add(c.name, `{"list":[`+c.row+`]}`)
	}
	f.Add("getusersummary", `{"errcode":61503,"errmsg":"x rid: a-b-c"}`)
	f.Add("getuserreadhour", `{"list":[{"ref_hour":1e99}]}`)
	f.Fuzz(func(t *testing.T, name, body string) {
		c := statisticNamed(name)
		if c.call == nil {
			return
		}
		_, client := answeringClient(t, body)
		got, err := c.call(client, t.Context(), wechat.Account{AppID: "wx1", Secret: "s"}, statDays(t, "2025-12-01", "2025-12-01"))
		var failed *wechat.Error
		if err != nil && !errors.As(err, &failed) {
			t.Fatalf("%s: an error that is not the client's: %v", body, err)
		}
		if err != nil {
			return
		}
		if _, err := json.Marshal(got); err != nil {
			t.Fatalf("%s: cannot be written again: %v", body, err)
		}
	})
}
