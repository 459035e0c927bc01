package simulator_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/wechat/callback"
	"hongyan/wechat/simulator"
)

// massWorld is a world with fans who follow and a callback that keeps the receipts.
type massWorld struct {
	*world
	fans []string

	mu       sync.Mutex
	receipts []callback.MassResult
}

func newMassWorld(t *testing.T, o simulator.Options, fans int) *massWorld {
	t.Helper()
	m := &massWorld{}
	o.Push = simulator.HandlerTransport(http.HandlerFunc(m.serve))
	m.world = newWorld(t, o)
	require.NoError(t, m.sim.SetCallback(appID, simulator.Callback{URL: "http://callback.example.com/", Token: "token"}))
	ids, err := m.sim.AddFans(appID, fans, true)
	require.NoError(t, err)
	m.fans = ids
	return m
}

func (m *massWorld) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(err)
	}
	e, err := callback.Parse(body)
	if err != nil {
		panic(err)
	}
	if result, ok := e.Payload.(callback.MassResult); ok {
		m.mu.Lock()
		m.receipts = append(m.receipts, result)
		m.mu.Unlock()
	}
	_, err = io.WriteString(w, "success")
	if err != nil {
		panic(err)
	}
}

func (m *massWorld) got() []callback.MassResult {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.receipts)
}

// run lets time pass until every send that waits for nobody is over.
func (m *massWorld) run() {
	m.t.Helper()
	m.clock.Advance(2 * time.Minute)
	m.sim.RunMass(m.t.Context())
}

// all is the body of a send to all fans; the id is new each time.
func all(id, text string) string {
	return fmt.Sprintf(`{"filter":{"is_to_all":true},"msgtype":"text","text":{"content":%q},"clientmsgid":%q}`, text, id)
}

func listBody(t *testing.T, openIDs []string, rest string) string {
	t.Helper()
	ids, err := json.Marshal(openIDs)
	require.NoError(t, err)
	return `{"touser":` + string(ids) + `,"msgtype":"text","text":{"content":"x"}` + rest + `}`
}

func (m *massWorld) list(id string) int {
	m.t.Helper()
	return m.post(simulator.PathMassList, listBody(m.t, m.fans, fmt.Sprintf(`,"clientmsgid":%q`, id))).ErrCode
}

func TestAMassSendIsRefusedByForm(t *testing.T) {
	t.Parallel()
	w := newMassWorld(t, simulator.Options{}, 2)
	many := make([]string, 10_001)
	for i := range many {
		many[i] = "o" + strconv.Itoa(i)
	}
	filter := func(inner, rest string) string { return `{"filter":{` + inner + `},` + rest + `}` }
	text := `"msgtype":"text","text":{"content":"x"}`
	images := func(n int) string {
		return `"msgtype":"image","images":{"media_ids":[` + strings.TrimSuffix(strings.Repeat(`"m",`, n), ",") + `]}`
	}
	toAll := `"is_to_all":true`
	for _, c := range []struct {
		path, body string
		code       int
	}{
		{simulator.PathMassAll, ``, 44002},
		{simulator.PathMassAll, `[]`, 47001},
		{simulator.PathMassAll, `{` + text + `}`, 40035},
		{simulator.PathMassAll, filter(toAll, text+`,"extra":1`), 40097},
		{simulator.PathMassAll, filter(`"is_to_all":1`, text), 47001},
		{simulator.PathMassAll, filter(`"is_to_all":true,"group_id":2`, text), 40097},
		{simulator.PathMassAll, filter(`"is_to_all":false`, text), 40152},
		{simulator.PathMassAll, filter(`"is_to_all":false,"tag_id":"2"`, text), 47001},
		{simulator.PathMassAll, filter(`"is_to_all":false,"tag_id":77`, text), 40152},
		{simulator.PathMassAll, filter(toAll, `"msgtype":"music","music":{}`), 40008},
		{simulator.PathMassAll, filter(toAll, `"msgtype":"wxcard","wxcard":{"card_id":"1"}`), 45113},
		{simulator.PathMassAll, filter(toAll, `"msgtype":"text"`), 44004},
		{simulator.PathMassAll, filter(toAll, `"msgtype":"text","text":{"content":""}`), 44004},
		{simulator.PathMassAll, filter(toAll, `"msgtype":"text","text":{"content":"\u003c"}`), 47002},
		{simulator.PathMassAll, filter(toAll, `"msgtype":"mpnews","mpnews":{"media_id":"unknown"}`), 40007},
		{simulator.PathMassAll, filter(toAll, `"msgtype":"voice","voice":{"media_id":""}`), 40007},
		{simulator.PathMassAll, filter(toAll, `"msgtype":"mpvideo","mpvideo":{"title":"t"}`), 40007},
		{simulator.PathMassAll, filter(toAll, `"msgtype":"mpvideo","mpvideo":{"media_id":"1","cover":"c"}`), 40097},
		{simulator.PathMassAll, filter(toAll, `"msgtype":"image","image":{"media_id":"m"}`), 40097},
		{simulator.PathMassAll, filter(toAll, images(0)), 40215},
		{simulator.PathMassAll, filter(toAll, images(21)), 40215},
		{simulator.PathMassAll, filter(toAll, `"msgtype":"image","images":{"media_ids":["m"],"need_open_comment":true}`), 40035},
		{simulator.PathMassAll, filter(toAll, `"msgtype":"image","images":{"media_ids":["m"],"x":1}`), 40097},
		{simulator.PathMassAll, filter(toAll, text+`,"send_ignore_reprint":2`), 40035},
		{simulator.PathMassAll, filter(toAll, text+`,"clientmsgid":"`+strings.Repeat("x", 33)+`"`), 45067},
		{simulator.PathMassAll, filter(toAll, text+`,"touser":["a","b"]`), 40097},
		{simulator.PathMassList, `{` + text + `}`, 40130},
		{simulator.PathMassList, `{"touser":"o1",` + text + `}`, 47001},
		{simulator.PathMassList, listBody(t, w.fans[:1], ""), 40130},
		{simulator.PathMassList, listBody(t, many, ""), 45019},
		{simulator.PathMassList, listBody(t, many[:10_000], ""), 40031},
		{simulator.PathMassList, listBody(t, []string{w.fans[0], w.fans[0]}, ""), 40031},
		{simulator.PathMassPreview, `{` + text + `}`, 40003},
		{simulator.PathMassPreview, `{"touser":"nobody",` + text + `}`, 40003},
		{simulator.PathMassPreview, `{"towxname":"nobody",` + text + `}`, 40132},
		{simulator.PathMassPreview, `{"touser":"nobody",` + text + `,"clientmsgid":"1"}`, 40097},
		{simulator.PathMassPreview, `{"touser":"nobody","msgtype":"image","images":{"media_ids":["m"]}}`, 40097},
		{simulator.PathMassDelete, `{}`, 40059},
		{simulator.PathMassDelete, `{"msg_id":7}`, 40059},
		{simulator.PathMassDelete, `{"msg_id":7,"article_idx":9}`, 40060},
		{simulator.PathMassDelete, `{"url":"http://mp.weixin.qq.com/s?mid=1&idx=1"}`, 40059},
		{simulator.PathMassDelete, `{"msg_id":7,"article":1}`, 40097},
		{simulator.PathMassDelete, `{"msg_id":"7"}`, 47001},
		{simulator.PathMassGet, `{"msg_id":7}`, 47001},
		{simulator.PathMassGet, `{"msg_id":"7"}`, 40059},
		{simulator.PathMassGet, `{"msg_id":"x"}`, 40059},
		{simulator.PathMassGet, `{"id":"7"}`, 40097},
		{simulator.PathMassSpeedSet, `{}`, 45084},
		{simulator.PathMassSpeedSet, `{"speed":5}`, 45083},
		{simulator.PathMassSpeedSet, `{"speed":-1}`, 45083},
		{simulator.PathMassSpeedSet, `{"speed":"1"}`, 47001},
		{simulator.PathMassSpeedGet, `{"speed":1}`, 40097},
	} {
		for _, path := range []string{simulator.PathMassAll, simulator.PathMassList, simulator.PathMassDelete} {
			require.NoError(t, w.sim.SetLimit(appID, path, simulator.Limit{}))
		}
		require.Equal(t, c.code, w.post(c.path, c.body).ErrCode, "%s %.200s", c.path, c.body)
	}
	sends, err := w.sim.MassSends(appID)
	require.NoError(t, err)
	require.Empty(t, sends)
}

func TestAFanOfAServiceAccountGetsFourMassSendsABeijingMonth(t *testing.T) {
	t.Parallel()
	w := newMassWorld(t, simulator.Options{}, 3)
	w.clock.Set(time.Date(2026, 3, 31, 15, 0, 0, 0, time.UTC)) // an hour before Beijing's April
	w.token = w.stableToken(false)
	require.NoError(t, w.sim.SetFanFlags(w.fans[2], simulator.FanFlags{Limited: true}))
	for i := range 5 {
		require.Zero(t, w.list(fmt.Sprint("march-", i)))
		w.run()
	}
	n, err := w.sim.MassReceived(w.fans[0])
	require.NoError(t, err)
	require.Equal(t, 4, n)
	require.Len(t, w.sim.AcceptedTexts(w.fans[0]), 4)
	got := w.got()
	require.Len(t, got, 5)
	counts := func(r callback.MassResult) [4]int {
		return [4]int{r.TotalCount, r.FilterCount, r.SentCount, r.ErrorCount}
	}
	require.Equal(t, [4]int{3, 3, 2, 1}, counts(got[3]))
	require.Equal(t, [4]int{3, 1, 0, 1}, counts(got[4]), "the fifth is silently filtered")
	require.True(t, got[4].Sent())
	w.clock.Set(time.Date(2026, 3, 31, 16, 0, 0, 0, time.UTC))
	w.token = w.stableToken(false)
	require.Zero(t, w.list("april"))
	w.run()
	require.Equal(t, [4]int{3, 3, 2, 1}, counts(w.got()[5]))
}

func TestWhoCannotBeReachedIsFiltered(t *testing.T) {
	t.Parallel()
	w := newMassWorld(t, simulator.Options{}, 5)
	require.NoError(t, w.sim.SetFanFlags(w.fans[0], simulator.FanFlags{Blocked: true}))
	require.NoError(t, w.sim.SetFanFlags(w.fans[1], simulator.FanFlags{Blacklisted: true}))
	_, err := w.sim.Unfollow(t.Context(), w.fans[2])
	require.NoError(t, err)
	require.Zero(t, w.list("list"))
	require.Zero(t, w.post(simulator.PathMassAll, all("all", "y")).ErrCode)
	w.run()
	sends, err := w.sim.MassSends(appID)
	require.NoError(t, err)
	require.Equal(t, []int{5, 3, 2}, []int{sends[0].Total, sends[0].Filtered, sends[0].Sent})
	require.Equal(t, []int{4, 2, 2}, []int{sends[1].Total, sends[1].Filtered, sends[1].Sent}, "who left is no fan")
	arrivals, err := w.sim.Arrivals(w.fans[4])
	require.NoError(t, err)
	require.Equal(t, []string{"x", "y"}, []string{arrivals[0].Content, arrivals[1].Content})
	require.Equal(t, simulator.ViaMass, arrivals[0].Via)
	require.Empty(t, w.sim.AcceptedTexts(w.fans[1]))
}

func TestATagSendReachesTheFansWithTheTag(t *testing.T) {
	t.Parallel()
	w := newMassWorld(t, simulator.Options{}, 3)
	require.NoError(t, w.sim.TagFan(w.fans[1], 2))
	body := `{"filter":{"is_to_all":false,"tag_id":2},"msgtype":"text","text":{"content":"x"}}`
	require.Zero(t, w.post(simulator.PathMassAll, body).ErrCode)
	w.run()
	require.Empty(t, w.sim.AcceptedTexts(w.fans[0]))
	require.Equal(t, []string{"x"}, w.sim.AcceptedTexts(w.fans[1]))
	require.Equal(t, 1, w.got()[0].TotalCount)
	sends, err := w.sim.MassSends(appID)
	require.NoError(t, err)
	require.Equal(t, 2, sends[0].Tag)
}

func TestOneSendToAllABeijingDay(t *testing.T) {
	t.Parallel()
	w := newMassWorld(t, simulator.Options{}, 2)
	require.Zero(t, w.post(simulator.PathMassAll, all("1", "a")).ErrCode)
	w.run()
	require.Equal(t, 45028, w.post(simulator.PathMassAll, all("2", "b")).ErrCode)
	require.Zero(t, w.list("list"), "a list is not a send to all")
	w.clock.Set(time.Date(2026, 3, 2, 15, 59, 59, 0, time.UTC))
	w.token = w.stableToken(false)
	require.Equal(t, 45028, w.post(simulator.PathMassAll, all("2", "b")).ErrCode)
	w.clock.Advance(time.Second)
	require.Zero(t, w.post(simulator.PathMassAll, all("2", "b")).ErrCode)
}

func TestASubscriptionAccountSendsOnceADayAndNeverToAList(t *testing.T) {
	t.Parallel()
	w := newMassWorld(t, simulator.Options{}, 2)
	require.NoError(t, w.sim.UpdateAccount(appID, func(a *simulator.Account) { a.Type = simulator.Subscription }))
	require.Equal(t, 48001, w.list("list"))
	tagged := `{"filter":{"is_to_all":false,"tag_id":2},"msgtype":"text","text":{"content":"x"}}`
	require.Zero(t, w.post(simulator.PathMassAll, tagged).ErrCode)
	require.Equal(t, 45028, w.post(simulator.PathMassAll, all("1", "a")).ErrCode)
	for day := range 6 { // a subscription account has no month of four
		w.clock.Advance(24 * time.Hour)
		w.token = w.stableToken(false)
		require.Zero(t, w.post(simulator.PathMassAll, all(fmt.Sprint("day", day), "x")).ErrCode)
		w.run()
	}
	require.Len(t, w.sim.AcceptedTexts(w.fans[0]), 6)
	require.NoError(t, w.sim.UpdateAccount(appID, func(a *simulator.Account) { a.Verified = false }))
	require.Equal(t, 48001, w.post(simulator.PathMassAll, all("2", "b")).ErrCode)
}

func TestTheTwoSendsShareSixtyAMinuteAndAHundredADay(t *testing.T) {
	t.Parallel()
	w := newMassWorld(t, simulator.Options{}, 2)
	bad := `{}`
	for i := range 60 {
		path := []string{simulator.PathMassAll, simulator.PathMassList}[i%2]
		require.NotContains(t, []int{45009, 45011}, w.post(path, bad).ErrCode)
	}
	require.Equal(t, 45011, w.list("1"))
	w.clock.Advance(time.Minute)
	for range 39 { // the call that was too fast counted for the day
		require.NotContains(t, []int{45009, 45011}, w.post(simulator.PathMassList, bad).ErrCode)
	}
	require.Equal(t, 45009, w.list("1"))
	w.clock.Advance(24 * time.Hour)
	w.token = w.stableToken(false)
	require.Zero(t, w.list("1"))
}

func TestAClientMsgIDIsTakenOnceIn24Hours(t *testing.T) {
	t.Parallel()
	w := newMassWorld(t, simulator.Options{}, 2)
	require.Zero(t, w.list("id"))
	require.Equal(t, 45066, w.list("id"))
	w.clock.Advance(59 * time.Second)
	require.Equal(t, 45066, w.list("id"))
	w.clock.Advance(59 * time.Second)
	require.Equal(t, 45066, w.list("id"), "the minute counts from the last call")
	w.clock.Advance(time.Minute)
	require.Equal(t, 45065, w.list("id"))
	w.run()
	w.clock.Advance(time.Hour)
	require.Equal(t, 45065, w.list("id"), "also when the send is over")
	w.clock.Set(start.Add(24*time.Hour - time.Second))
	w.token = w.stableToken(false)
	require.Equal(t, 45065, w.list("id"))
	w.clock.Advance(time.Second)
	require.Zero(t, w.list("id"))
	w.run()
	require.Len(t, w.sim.AcceptedTexts(w.fans[0]), 2)
}

func TestARefusedSendLeavesItsClientMsgIDFree(t *testing.T) {
	t.Parallel()
	w := newMassWorld(t, simulator.Options{}, 2)
	require.NoError(t, w.sim.SetMassAgreement(appID, false))
	require.Equal(t, 48003, w.list("id"))
	require.NoError(t, w.sim.SetMassAgreement(appID, true))
	require.Zero(t, w.list("id"))
}

func TestWithoutAClientMsgIDTheContentStandsForIt(t *testing.T) {
	t.Parallel()
	for noDigest, want := range map[bool]int{false: 45066, true: 0} {
		w := newMassWorld(t, simulator.Options{Switches: simulator.Switches{Mass: simulator.MassSwitches{NoDigest: noDigest}}}, 3)
		require.Zero(t, w.post(simulator.PathMassList, listBody(t, w.fans, "")).ErrCode)
		require.Equal(t, want, w.post(simulator.PathMassList, listBody(t, w.fans, "")).ErrCode)
		require.Zero(t, w.post(simulator.PathMassList, listBody(t, w.fans[:2], "")).ErrCode, "another audience")
	}
}

func TestALongClientMsgIDIsASwitch(t *testing.T) {
	t.Parallel()
	w := newMassWorld(t, simulator.Options{Switches: simulator.Switches{Mass: simulator.MassSwitches{ClientMsgIDBytes: 64}}}, 2)
	require.Zero(t, w.list(strings.Repeat("x", 64)))
	require.Equal(t, 45067, w.list(strings.Repeat("x", 65)))
}
