package simulator_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/wechat"
	"hongyan/wechat/simulator"
)

func TestSinkCountsExactly(t *testing.T) {
	t.Parallel()
	sink := simulator.NewSink(simulator.SinkOptions{Latency: time.Millisecond, Bodies: true})
	srv := httptest.NewServer(sink)
	defer srv.Close()
	tr := &http.Transport{MaxIdleConnsPerHost: 16}
	defer tr.CloseIdleConnections()
	post := func(path, body string) string {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL+path, strings.NewReader(body))
		if err != nil {
			return err.Error()
		}
		resp, err := tr.RoundTrip(req)
		if err != nil {
			return err.Error()
		}
		raw, err := io.ReadAll(resp.Body)
		if err != nil || resp.Body.Close() != nil {
			return "broken"
		}
		return string(raw)
	}
	require.Contains(t, post(simulator.PathStableToken, `{}`), `"expires_in":7200`)
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for i := range 50 {
				if got := post(simulator.PathSend+"?access_token=x", textBody(fmt.Sprintf("oFAN%d", i), strconv.Itoa(g))); got != `{"errcode":0,"errmsg":"ok"}` {
					t.Errorf("answer %s", got)
				}
			}
		})
	}
	all.Wait()
	post(simulator.PathSend, textBody("oFAN0", "0"))
	st := sink.Stats()
	require.Equal(t, [5]int{401, 50, 9, 1, 1}, [5]int{st.Total, st.Distinct, st.MostPer, st.Duplicates, st.Tokens})
	require.True(t, st.MaxInFlight >= 1 && st.MaxInFlight <= 8)
	require.False(t, st.First.After(st.Last))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+simulator.PathSinkStats, nil)
	require.NoError(t, err)
	resp, err := tr.RoundTrip(req)
	require.NoError(t, err)
	var over simulator.SinkStats
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&over))
	require.NoError(t, resp.Body.Close())
	require.Equal(t, st, over)
	post(simulator.PathSinkReset, "")
	require.Equal(t, simulator.SinkStats{}, sink.Stats())
}

// BenchmarkSend measures the strict send path, in process, in compact mode.
func BenchmarkSend(b *testing.B) {
	sim := simulator.New(simulator.Options{Record: simulator.RecordCompact})
	defer sim.Close()
	fail := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	fail(sim.AddAccount(simulator.Account{AppID: appID, Secret: secret, Verified: true}))
	fail(sim.SetLimit(appID, simulator.PathSend, simulator.Limit{}))
	rules := wechat.RulesAt(start)
	rules.Grants[wechat.TriggerMessage].Messages = 1 << 30
	sim.SetRules(rules)
	ids, err := sim.AddFans(appID, 10_000, true)
	fail(err)
	bodies := make([]string, len(ids))
	for i, id := range ids {
		fail(sim.GrantFan(id, wechat.TriggerMessage))
		bodies[i] = textBody(id, "您好，您的课程今晚八点开始，点击菜单查看。")
	}
	client := &http.Client{Transport: sim.RoundTripper()}
	resp, err := client.Post(base+simulator.PathStableToken, "", strings.NewReader(
		`{"grant_type":"client_credential","appid":"`+appID+`","secret":"`+secret+`"}`))
	fail(err)
	var token answer
	fail(json.NewDecoder(resp.Body).Decode(&token))
	fail(resp.Body.Close())
	url := base + simulator.PathSend + "?access_token=" + token.AccessToken
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		tr := sim.RoundTripper()
		for i := 0; pb.Next(); i++ {
			req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, url, strings.NewReader(bodies[i%len(bodies)]))
			if err != nil {
				b.Error(err)
				return
			}
			resp, err := tr.RoundTrip(req)
			if err != nil || resp.Body.Close() != nil {
				b.Error(err)
				return
			}
		}
	})
	b.StopTimer()
	if got := sim.Counts().Send(); got.OK != got.Calls {
		b.Fatalf("%+v", got)
	}
}
