package wechat_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/clock"
	"hongyan/internal/fault"
	"hongyan/wechat"
	"hongyan/wechat/simulator"
)

func TestAPageIsSignedAsInThePlatformsSample(t *testing.T) {
	t.Parallel()
	ticket := wechat.JSTicket{Value: "sM4AOVdWfPE4DxkXGEs8VMCPGGVi4C3VM0P37wVUCFvkVAy_90u5h9nbSlYy3-Sl-HhTdfl2fzFy1AOcHKP7qg"}
	const nonce, timestamp, want = "Wm3WZYTPz0wzccnW", 1414587457, "0f9de62fce790f9a083d5c99e95740ceb90c27ed"
	require.Equal(t, want, ticket.Sign("http://mp.weixin.qq.com?params=value", nonce, timestamp))
	require.Equal(t, want, ticket.Sign("http://mp.weixin.qq.com?params=value#top", nonce, timestamp))
	require.NotEqual(t, want, ticket.Sign("http://mp.weixin.qq.com/?params=value", nonce, timestamp))
}

func TestATicketIsReadAsDocumented(t *testing.T) {
	t.Parallel()
	acc := wechat.Account{AppID: "wx1", Secret: "s"}
	platform, client := cannedClient(`{"errcode":0,"errmsg":"ok","ticket":"bxLdikRXVbTPdHSM05e5u5sUoXNKd8","expires_in":7200}`)
	ticket, err := client.JSTicket(t.Context(), acc)
	require.NoError(t, err)
	require.Equal(t, []string{"GET /cgi-bin/ticket/getticket type=jsapi"}, platform.calls)
	require.Equal(t, wechat.JSTicket{
		Value: "bxLdikRXVbTPdHSM05e5u5sUoXNKd8", UseUntil: time.Date(2026, 3, 2, 2, 55, 0, 0, time.UTC),
	}, ticket)
	for _, answer := range []string{
		`{}`, `{"ticket":"x"}`, `{"expires_in":7200}`, `{"ticket":"x","expires_in":0}`, `{"ticket":"x","expires_in":999999}`,
		`{"ticket":"x","expires_in":"soon"}`,
	} {
		_, client := cannedClient(answer)
		_, err := client.JSTicket(t.Context(), acc)
		requireLost(t, err)
	}
}

func TestATicketIsKeptUntilItEnds(t *testing.T) {
	t.Parallel()
	d, ctx := newDesk(t, nil), t.Context()
	asked := func() int { return len(d.sim.Calls(simulator.Filter{Path: simulator.PathJSTicket})) }
	first, err := d.client.JSTicket(ctx, d.acc)
	require.NoError(t, err)
	d.clock.Advance(2*time.Hour - 5*time.Minute - time.Millisecond)
	again, err := d.client.JSTicket(ctx, d.acc)
	require.NoError(t, err)
	require.Equal(t, first, again)
	require.Equal(t, 1, asked())
	d.clock.Advance(time.Millisecond)
	// The platform still has the old one, with five minutes left.
	again, err = d.client.JSTicket(ctx, d.acc)
	require.NoError(t, err)
	require.Equal(t, first.Value, again.Value)
	require.Equal(t, d.clock.Now().Add(150*time.Second), again.UseUntil)
	require.Equal(t, 2, asked())
	d.clock.Advance(5 * time.Minute)
	next, err := d.client.JSTicket(ctx, d.acc)
	require.NoError(t, err)
	require.NotEqual(t, first.Value, next.Value)

	require.NoError(t, d.sim.AddAccount(simulator.Account{AppID: "wxother", Secret: "x", Type: simulator.Subscription}))
	other, err := d.client.JSTicket(ctx, wechat.Account{ID: 8, AppID: "wxother", Secret: "x"}) // every account may sign pages
	require.NoError(t, err)
	require.NotEqual(t, next.Value, other.Value)
}

func TestManyPagesAtOnceAskForOneTicket(t *testing.T) {
	t.Parallel()
	const pages = 32
	var asked atomic.Int32
	inside, released := make(chan struct{}, pages), make(chan struct{})
	client := wechat.New(wechat.Options{
		Clock: clock.NewManual(time.Date(2026, 3, 2, 1, 0, 0, 0, time.UTC)),
		Transport: transportFunc(func(r *http.Request) (*http.Response, error) {
			if strings.HasSuffix(r.URL.Path, "/stable_token") {
				return saysJSON(`{"access_token":"T","expires_in":7200}`), nil
			}
			asked.Add(1)
			inside <- struct{}{}
			<-released
			return saysJSON(`{"ticket":"x","expires_in":7200}`), nil
		}),
	})
	acc := wechat.Account{AppID: "wx1", Secret: "s"}
	var group sync.WaitGroup
	for range pages {
		group.Go(func() {
			_, err := client.JSConfig(t.Context(), acc, "https://m.example.com/")
			require.NoError(t, err)
		})
	}
	<-inside
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := client.JSTicket(gone, acc) // who gives up does not wait
	require.Equal(t, wechat.OutcomeNotSent, wechat.OutcomeOf(err))
	close(released)
	group.Wait()
	require.EqualValues(t, 1, asked.Load())
}

func TestThoseWhoWaitedForATicketShareItsFailure(t *testing.T) {
	t.Parallel()
	inside, answer := make(chan struct{}), make(chan string)
	var asked atomic.Int32
	client := wechat.New(wechat.Options{
		Clock: clock.NewManual(time.Date(2026, 3, 2, 1, 0, 0, 0, time.UTC)),
		Transport: transportFunc(func(r *http.Request) (*http.Response, error) {
			if strings.HasSuffix(r.URL.Path, "/stable_token") {
				return saysJSON(`{"access_token":"T","expires_in":7200}`), nil
			}
			asked.Add(1)
			inside <- struct{}{}
			return saysJSON(<-answer), nil
		}),
	})
	acc := wechat.Account{AppID: "wx1", Secret: "s"}
	failed := make(chan error, 1)
	go func() {
		_, err := client.JSTicket(t.Context(), acc)
		failed <- err
	}()
	<-inside
	answer <- `{"errcode":48001,"errmsg":"api unauthorized"}`
	requireCode(t, 48001, <-failed)
	// The next one asks again: a failure is shared with those who waited, and not kept.
	go func() {
		_, err := client.JSTicket(t.Context(), acc)
		failed <- err
	}()
	<-inside
	answer <- `{"ticket":"x","expires_in":7200}`
	require.NoError(t, <-failed)
	require.EqualValues(t, 2, asked.Load())
}

func TestASignedPageIsTakenByTheBrowser(t *testing.T) {
	t.Parallel()
	d, ctx := newDesk(t, nil), t.Context()
	server := httptest.NewServer(d.sim)
	t.Cleanup(server.Close)
	transport := wechat.NewTransport(4)
	t.Cleanup(transport.CloseIdleConnections)
	d.acc.BaseURL = server.URL
	client := wechat.New(wechat.Options{Transport: transport, Clock: d.clock})
	const page = "https://m.example.com/poster?id=7&from=雁#x"
	cfg, err := client.JSConfig(ctx, d.acc, page)
	require.NoError(t, err)
	require.True(t, fault.Is(d.sim.CheckJSConfig(page, cfg), fault.Forbidden))
	require.NoError(t, d.sim.SetJSDomains(d.acc.AppID, "m.example.com"))
	require.NoError(t, d.sim.CheckJSConfig(page, cfg))
	require.True(t, fault.Is(d.sim.CheckJSConfig("https://m.example.com/poster?id=8", cfg), fault.Invalid))
	d.clock.Advance(2 * time.Hour)
	require.True(t, fault.Is(d.sim.CheckJSConfig(page, cfg), fault.Invalid))
	shown, err := json.Marshal(wechat.JSConfig{AppID: "wx1", Timestamp: 2, Nonce: "n", Signature: "s"})
	require.NoError(t, err)
	require.JSONEq(t, `{"appId":"wx1","timestamp":2,"nonceStr":"n","signature":"s"}`, string(shown))
	for _, page := range []string{"", "/poster", "m.example.com", "ftp://m.example.com"} {
		_, err = client.JSConfig(ctx, d.acc, page)
		requireBadField(t, "url", "address", err)
	}
}

func TestOnlyTicketsForPagesAreGiven(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil)
	for path, want := range map[string]int{"?type=jsapi": 0, "?type=wx_card": 40035, "?x=1": 40097} {
		code, answer := d.raw(http.MethodGet, simulator.PathJSTicket+path, "")
		require.Equal(t, want, code, answer)
	}
	code, _ := d.raw(http.MethodPost, simulator.PathJSTicket+"?type=jsapi", "{}")
	require.Equal(t, 43001, code)
}
