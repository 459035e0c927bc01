package simulator_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/wechat"
	"hongyan/wechat/simulator"
)

// statWorld is a world with a client.
type statWorld struct {
	*world
	client *wechat.Client
	acc    wechat.Account
}

func newStatWorld(t *testing.T, o simulator.Options) *statWorld {
	t.Helper()
	w := &statWorld{world: newWorld(t, o), acc: wechat.Account{AppID: appID, Secret: secret}}
	w.client = wechat.New(wechat.Options{Transport: w.sim.RoundTripper(), Clock: w.clock})
	return w
}

func beijing(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.ParseInLocation("2006-01-02 15:04:05", text, time.FixedZone("CST", 8*3600))
	require.NoError(t, err)
	return at
}

func statDay(t *testing.T, text string) wechat.Day {
	t.Helper()
	day, err := wechat.ParseDay(text)
	require.NoError(t, err)
	return day
}

func statDays(t *testing.T, from, to string) wechat.Days {
	t.Helper()
	return wechat.Days{From: statDay(t, from), To: statDay(t, to)}
}

// at moves the clock to a time in Beijing.
func (w *statWorld) at(text string) {
	w.t.Helper()
	w.clock.Set(beijing(w.t, text))
}

func (w *statWorld) do(acts ...simulator.Act) {
	w.t.Helper()
	for _, a := range acts {
		_, err := w.sim.Do(w.t.Context(), a)
		require.NoError(w.t, err)
	}
}

// stat asks without the client's checks and returns the errcode and the answer.
func (w *statWorld) stat(name, body string) (int, string) {
	w.t.Helper()
	w.token = w.stableToken(false)
	resp, err := w.http.Post(base+"/datacube/"+name+"?access_token="+w.token, "", strings.NewReader(body))
	require.NoError(w.t, err)
	raw, err := io.ReadAll(resp.Body)
	require.NoError(w.t, err)
	require.NoError(w.t, resp.Body.Close())
	var head answer
	require.NoError(w.t, json.Unmarshal(raw, &head), "%s", raw)
	return head.ErrCode, string(raw)
}

func statBody(from, to string) string {
	return fmt.Sprintf(`{"begin_date":%q,"end_date":%q}`, from, to)
}

type statAPI struct {
	name   string
	span   int
	period bool
	recent bool
}

func statAPIs() []statAPI {
	return []statAPI{
		{name: "getusersummary", span: 7}, {name: "getusercumulate", span: 7}, {name: "getupstreammsg", span: 7},
		{name: "getupstreammsghour", span: 1}, {name: "getupstreammsgweek", span: 1, period: true},
		{name: "getupstreammsgmonth", span: 1, period: true}, {name: "getupstreammsgdist", span: 15},
		{name: "getupstreammsgdistweek", span: 1, period: true}, {name: "getupstreammsgdistmonth", span: 1, period: true},
		{name: "getinterfacesummary", span: 30}, {name: "getinterfacesummaryhour", span: 1},
		{name: "getarticleread", span: 1, recent: true}, {name: "getarticleshare", span: 1, recent: true},
		{name: "getbizsummary", span: 30, recent: true}, {name: "getarticletotaldetail", span: 1, recent: true},
		{name: "getarticlesummary", span: 1}, {name: "getarticletotal", span: 1}, {name: "getuserread", span: 3},
		{name: "getuserreadhour", span: 1}, {name: "getusershare", span: 7}, {name: "getusersharehour", span: 1},
	}
}

func TestARangeOfStatisticsHasItsMostDays(t *testing.T) {
	t.Parallel()
	w := newStatWorld(t, simulator.Options{})
	w.at("2026-03-18 12:00:00")
	ask := func(name string, from wechat.Day, span int) int {
		code, _ := w.stat(name, statBody(from.String(), from.Add(span-1).String()))
		return code
	}
	yesterday := statDay(t, "2026-03-17")
	for _, api := range statAPIs() {
		require.Zero(t, ask(api.name, yesterday.Add(1-api.span), api.span), api.name)
		require.Equal(t, 61501, ask(api.name, yesterday.Add(-api.span), api.span+1), "%s: a day too many", api.name)
		require.Equal(t, 61501, ask(api.name, yesterday, 0), "%s: ends before it begins", api.name)
		require.Equal(t, 61501, ask(api.name, yesterday.Add(1), 1), "%s: today", api.name)
		first := statDay(t, "2014-12-01")
		if api.recent {
			first = statDay(t, "2025-11-01")
		}
		require.Zero(t, ask(api.name, first, 1), api.name)
		require.Equal(t, 61501, ask(api.name, first.Add(-1), 1), "%s: before there were figures", api.name)
	}
	require.NoError(t, w.sim.SetSwitches(simulator.Switches{LongPeriods: true}))
	for _, api := range statAPIs() {
		if api.period {
			require.Zero(t, ask(api.name, yesterday.Add(-29), 30), api.name)
			require.Equal(t, 61501, ask(api.name, yesterday.Add(-30), 31), api.name)
		}
	}
}

func TestAQueryOfStatisticsHasTwoDates(t *testing.T) {
	t.Parallel()
	w := newStatWorld(t, simulator.Options{})
	w.at("2026-03-18 12:00:00")
	for body, want := range map[string]int{
		`{"begin_date":"2026-03-01","end_date":"2026-03-01"}`:          0,
		`{"begin_date":"2026-3-1","end_date":"2026-03-01"}`:            61500,
		`{"begin_date":"2026-03-01","end_date":"20260301"}`:            61500,
		`{"begin_date":"2026-02-30","end_date":"2026-03-01"}`:          61500,
		`{"begin_date":"2026-03-01"}`:                                  61500,
		`{"end_date":"2026-03-01"}`:                                    61500,
		`{"begin_date":20260301,"end_date":"2026-03-01"}`:              47001,
		`{"begin_date":"2026-03-01","end_date":"2026-03-01","page":1}`: 40097,
		`[]`: 47001, ``: 44002,
	} {
		code, _ := w.stat("getusersummary", body)
		require.Equal(t, want, code, body)
	}
	require.Equal(t, 43002, w.call(http.MethodGet, "/datacube/getusersummary?access_token="+w.token, "").ErrCode)
	require.NoError(t, w.sim.UpdateAccount(appID, func(a *simulator.Account) { a.Verified = false }))
	code, _ := w.stat("getusersummary", statBody("2026-03-01", "2026-03-01"))
	require.Equal(t, 48001, code)
}

func TestYesterdaysFiguresAppearAtEightInBeijing(t *testing.T) {
	t.Parallel()
	w := newStatWorld(t, simulator.Options{})
	for _, c := range []struct {
		at   string
		code int
	}{{"2026-03-18 07:59:59", 61503}, {"2026-03-18 08:00:00", 0}} {
		w.at(c.at)
		for _, api := range statAPIs() {
			if api.period {
				continue
			}
			code, _ := w.stat(api.name, statBody("2026-03-17", "2026-03-17"))
			require.Equal(t, c.code, code, "%s at %s", api.name, c.at)
			code, _ = w.stat(api.name, statBody("2026-03-16", "2026-03-16"))
			require.Zero(t, code, api.name)
		}
	}
	w.at("2026-03-19 07:00:00")
	_, err := w.client.FollowStatistics(t.Context(), w.acc, statDays(t, "2026-03-12", "2026-03-18"))
	require.Equal(t, wechat.ClassRetry, wechat.Classify(err), "too early is no mistake of the one who asks")
}

func TestAWeekIsToldWhenItHasEnded(t *testing.T) {
	t.Parallel()
	w := newStatWorld(t, simulator.Options{})
	fan := w.fan()
	w.at("2026-03-08 23:59:59") // Sunday
	w.do(simulator.Act{OpenID: fan, Kind: simulator.ActText, Text: "a"})
	w.at("2026-03-09 00:00:00")
	w.do(simulator.Act{OpenID: fan, Kind: simulator.ActText, Text: "b"})
	w.at("2026-03-15 12:00:00")
	w.do(simulator.Act{OpenID: fan, Kind: simulator.ActImage}, simulator.Act{OpenID: fan, Kind: simulator.ActText, Text: "c"})
	code, body := w.stat("getupstreammsgweek", statBody("2026-03-09", "2026-03-09"))
	require.Zero(t, code)
	require.JSONEq(t, `{"list":[]}`, body, "the week is not over")
	w.at("2026-03-16 07:59:59")
	code, _ = w.stat("getupstreammsgweek", statBody("2026-03-09", "2026-03-09"))
	require.Equal(t, 61503, code)
	w.at("2026-03-16 08:00:00")
	_, body = w.stat("getupstreammsgweek", statBody("2026-03-09", "2026-03-09"))
	require.JSONEq(t, `{"list":[{"ref_date":"2026-03-09","msg_type":1,"msg_user":1,"msg_count":2},
		{"ref_date":"2026-03-09","msg_type":2,"msg_user":1,"msg_count":1}]}`, body)
	_, body = w.stat("getupstreammsgweek", statBody("2026-03-10", "2026-03-10"))
	require.JSONEq(t, `{"list":[]}`, body, "a week is asked for by its Monday")
	w.at("2026-04-01 08:00:00")
	for _, long := range []bool{false, true} {
		require.NoError(t, w.sim.SetSwitches(simulator.Switches{LongPeriods: long}))
		weeks, err := w.client.WriterWeekStatistics(t.Context(), w.acc, statDays(t, "2026-03-01", "2026-03-31"))
		require.NoError(t, err)
		require.Equal(t, []wechat.WriterRow{
			{Day: statDay(t, "2026-03-02"), Amount: wechat.AmountOneTo5, Writers: 1},
			{Day: statDay(t, "2026-03-09"), Amount: wechat.AmountOneTo5, Writers: 1},
		}, weeks)
		months, err := w.client.MessageMonthStatistics(t.Context(), w.acc, statDays(t, "2026-02-27", "2026-03-31"))
		require.NoError(t, err)
		require.Equal(t, []wechat.MessageRow{
			{Day: statDay(t, "2026-03-01"), Type: wechat.MessageText, Writers: 1, Messages: 3},
			{Day: statDay(t, "2026-03-01"), Type: wechat.MessageImage, Writers: 1, Messages: 1},
		}, months)
	}
}

func TestFollowsAreCountedByDayAndSource(t *testing.T) {
	t.Parallel()
	w := newStatWorld(t, simulator.Options{})
	_, err := w.sim.AddFans(appID, 10, true)
	require.NoError(t, err)
	people, err := w.sim.AddFans(appID, 4, false)
	require.NoError(t, err)
	w.at("2026-03-10 23:59:59")
	w.do(
		simulator.Act{OpenID: people[0], Kind: simulator.ActFollow},
		simulator.Act{OpenID: people[1], Kind: simulator.ActFollow, Scene: "7"},
		simulator.Act{OpenID: people[2], Kind: simulator.ActScan, Scene: "7"},
		simulator.Act{OpenID: people[2], Kind: simulator.ActScan, Scene: "7"}, // follows already
	)
	w.at("2026-03-11 00:00:00")
	w.do(simulator.Act{OpenID: people[3], Kind: simulator.ActFollow}, simulator.Act{OpenID: people[0], Kind: simulator.ActUnfollow})
	w.at("2026-03-13 12:00:00")
	w.do(simulator.Act{OpenID: people[1], Kind: simulator.ActUnfollow}) // today: not told yet
	_, body := w.stat("getusersummary", statBody("2026-03-09", "2026-03-12"))
	require.JSONEq(t, `{"list":[{"ref_date":"2026-03-10","user_source":0,"new_user":1,"cancel_user":0},
		{"ref_date":"2026-03-10","user_source":30,"new_user":2,"cancel_user":0},
		{"ref_date":"2026-03-11","user_source":0,"new_user":1,"cancel_user":1}]}`, body)
	_, body = w.stat("getusercumulate", statBody("2026-03-09", "2026-03-12"))
	require.JSONEq(t, `{"list":[{"ref_date":"2026-03-09","user_source":0,"cumulate_user":10},
		{"ref_date":"2026-03-10","user_source":0,"cumulate_user":13},{"ref_date":"2026-03-11","user_source":0,"cumulate_user":13},
		{"ref_date":"2026-03-12","user_source":0,"cumulate_user":13}]}`, body)
}

func TestMessagesAreCountedByDayHourKindAndFan(t *testing.T) {
	t.Parallel()
	w := newStatWorld(t, simulator.Options{})
	require.NoError(t, w.sim.AddAccount(simulator.Account{AppID: "wx00000000000000ff", Secret: secret, Verified: true}))
	other, err := w.sim.AddFans("wx00000000000000ff", 1, true)
	require.NoError(t, err)
	a, b := w.fan(), w.fan()
	w.at("2026-03-10 09:59:59")
	w.do(
		simulator.Act{OpenID: a, Kind: simulator.ActText, Text: "1"}, simulator.Act{OpenID: a, Kind: simulator.ActTap, Text: "2", ItemID: "x"},
		simulator.Act{OpenID: a, Kind: simulator.ActShortVideo}, simulator.Act{OpenID: a, Kind: simulator.ActClick, Key: "k"},
		simulator.Act{OpenID: a, Kind: simulator.ActPlace}, simulator.Act{OpenID: other[0], Kind: simulator.ActText, Text: "x"},
	)
	_, err = w.sim.OpenSession(t.Context(), b, "test1@test")
	require.NoError(t, err)
	w.at("2026-03-10 10:00:00")
	for range 11 {
		w.do(simulator.Act{OpenID: b, Kind: simulator.ActText, Text: "to the agent"})
	}
	w.at("2026-03-12 12:00:00")
	_, body := w.stat("getupstreammsg", statBody("2026-03-10", "2026-03-11"))
	require.JSONEq(t, `{"list":[{"ref_date":"2026-03-10","msg_type":1,"msg_user":2,"msg_count":13},
		{"ref_date":"2026-03-10","msg_type":4,"msg_user":1,"msg_count":1}]}`, body)
	_, body = w.stat("getupstreammsghour", statBody("2026-03-10", "2026-03-10"))
	require.JSONEq(t, `{"list":[{"ref_date":"2026-03-10","ref_hour":900,"msg_type":1,"msg_user":1,"msg_count":2},
		{"ref_date":"2026-03-10","ref_hour":900,"msg_type":4,"msg_user":1,"msg_count":1},
		{"ref_date":"2026-03-10","ref_hour":1000,"msg_type":1,"msg_user":1,"msg_count":11}]}`, body)
	_, body = w.stat("getupstreammsgdist", statBody("2026-03-01", "2026-03-11"))
	require.JSONEq(t, `{"list":[{"ref_date":"2026-03-10","count_interval":1,"msg_user":1},
		{"ref_date":"2026-03-10","count_interval":3,"msg_user":1}]}`, body)
}

func TestTheCallbacksTriesAndFailuresAreCounted(t *testing.T) {
	t.Parallel()
	broken := false
	desk := http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		if broken {
			rw.WriteHeader(http.StatusBadGateway)
		}
	})
	w := newStatWorld(t, simulator.Options{Push: simulator.HandlerTransport(desk)})
	require.NoError(t, w.sim.SetCallback(appID, simulator.Callback{URL: "http://desk.example.com/", Token: "abc"}))
	fan := w.fan()
	w.at("2026-03-10 09:00:00")
	w.do(simulator.Act{OpenID: fan, Kind: simulator.ActText, Text: "x"})
	broken = true
	w.at("2026-03-10 23:00:00")
	w.do(simulator.Act{OpenID: fan, Kind: simulator.ActText, Text: "y"}) // three tries
	w.at("2026-03-11 12:00:00")
	got, err := w.client.CallbackHourStatistics(t.Context(), w.acc, statDays(t, "2026-03-10", "2026-03-10"))
	require.NoError(t, err)
	require.Len(t, got, 2)
	require.Equal(t, [3]int{9, 1, 0}, [3]int{int(got[0].Hour), got[0].Pushes, got[0].Failed})
	require.Equal(t, [3]int{23, 3, 3}, [3]int{int(got[1].Hour), got[1].Pushes, got[1].Failed})
	whole, err := w.client.CallbackStatistics(t.Context(), w.acc, statDays(t, "2026-03-01", "2026-03-10"))
	require.NoError(t, err)
	require.Equal(t, []wechat.CallbackRow{{
		Day: statDay(t, "2026-03-10"), Pushes: 4, Failed: 3,
		TotalMS: got[0].TotalMS + got[1].TotalMS, MaxMS: max(got[0].MaxMS, got[1].MaxMS),
	}}, whole)
	require.LessOrEqual(t, got[1].MaxMS, got[1].TotalMS)
}
