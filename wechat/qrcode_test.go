package wechat_test

import (
	"bytes"
	imagejpeg "image/jpeg"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/fault"
	"hongyan/wechat"
	"hongyan/wechat/callback"
	"hongyan/wechat/simulator"
)

func (w *articleWorld) qrCode(in wechat.NewQRCode) wechat.QRCode {
	w.t.Helper()
	code, err := w.client.CreateQRCode(w.t.Context(), w.acc, in)
	require.NoError(w.t, err)
	return code
}

func (w *articleWorld) fan(subscribed bool) string {
	w.t.Helper()
	ids, err := w.sim.AddFans(articleAppID, 1, subscribed)
	require.NoError(w.t, err)
	return ids[0]
}

// lastEvent is the newest push.
func (w *articleWorld) lastEvent() callback.Event {
	w.t.Helper()
	events := w.pushed()
	require.NotEmpty(w.t, events)
	return events[len(events)-1]
}

func TestAQRCodeGoesOutAsThePlatformWantsIt(t *testing.T) {
	t.Parallel()
	w := newArticleWorld(t, nil)
	for _, c := range []struct {
		in   wechat.NewQRCode
		body string
	}{
		{
			wechat.NewQRCode{Scene: "poster:42:oABC", Lifetime: 7 * 24 * time.Hour},
			`{"expire_seconds":604800,"action_name":"QR_STR_SCENE","action_info":{"scene":{"scene_str":"poster:42:oABC"}}}`,
		},
		{
			wechat.NewQRCode{SceneID: 4294967295, Lifetime: wechat.MaxQRLifetime},
			`{"expire_seconds":2592000,"action_name":"QR_SCENE","action_info":{"scene":{"scene_id":4294967295}}}`,
		},
		{wechat.NewQRCode{SceneID: 100_000}, `{"action_name":"QR_LIMIT_SCENE","action_info":{"scene":{"scene_id":100000}}}`},
		{
			wechat.NewQRCode{Scene: "a<b>&c"},
			`{"action_name":"QR_LIMIT_STR_SCENE","action_info":{"scene":{"scene_str":"a<b>&c"}}}`,
		},
	} {
		code := w.qrCode(c.in)
		w.wrote(simulator.PathQRCodeCreate, c.body)
		require.Equal(t, c.in.Lifetime, code.ExpiresIn)
		require.True(t, strings.HasPrefix(code.URL, "http://weixin.qq.com/q/02"), code.URL)
		require.Len(t, code.Ticket, 96)
	}
}

func TestASceneTwiceIsTwoCodes(t *testing.T) {
	t.Parallel()
	w := newArticleWorld(t, nil)
	in := wechat.NewQRCode{Scene: "x", Lifetime: time.Hour}
	a, b := w.qrCode(in), w.qrCode(in)
	require.NotEqual(t, a.Ticket, b.Ticket)
	require.NotEqual(t, a.URL, b.URL)
	again := newArticleWorld(t, nil)
	require.Equal(t, a, again.qrCode(in), "the same seed gives the same codes")
}

func TestAQRCodeThatBreaksARuleIsRefusedBeforeTheCall(t *testing.T) {
	t.Parallel()
	w := newArticleWorld(t, nil)
	w.qrCode(wechat.NewQRCode{Scene: strings.Repeat("景", 64), Lifetime: time.Second})
	for _, c := range []struct {
		in          wechat.NewQRCode
		field, rule string
	}{
		{wechat.NewQRCode{}, "scene", "required"},
		{wechat.NewQRCode{SceneID: 1, Scene: "1"}, "scene", "one_of"},
		{wechat.NewQRCode{Scene: strings.Repeat("景", 65)}, "scene_str", "characters"},
		{wechat.NewQRCode{Scene: strings.Repeat("a", 65), Lifetime: time.Hour}, "scene_str", "characters"},
		{wechat.NewQRCode{SceneID: 100_001}, "scene_id", "range"},
		{wechat.NewQRCode{SceneID: 1, Lifetime: wechat.MaxQRLifetime + time.Second}, "expire_seconds", "range"},
		{wechat.NewQRCode{SceneID: 1, Lifetime: 1500 * time.Millisecond}, "expire_seconds", "range"},
		{wechat.NewQRCode{SceneID: 1, Lifetime: -time.Second}, "expire_seconds", "range"},
	} {
		_, err := w.client.CreateQRCode(t.Context(), w.acc, c.in)
		invalid(t, err, c.field, c.rule)
	}
	require.Len(t, w.sim.Calls(simulator.Filter{Path: simulator.PathQRCodeCreate}), 1)
}

func TestTheSimulatorRefusesBadQRCodes(t *testing.T) {
	t.Parallel()
	w := newArticleWorld(t, nil)
	text := func(action, rest, scene string) string {
		return `{"action_name":"` + action + `"` + rest + `,"action_info":{"scene":` + scene + `}}`
	}
	expiry := `,"expire_seconds":60`
	for body, want := range map[string]int{
		text("QR_STR_SCENE", expiry, `{"scene_str":"`+strings.Repeat("a", 64)+`"}`):   0,
		text("QR_STR_SCENE", expiry, `{"scene_str":"`+strings.Repeat("a", 65)+`"}`):   40129,
		text("QR_STR_SCENE", expiry, `{"scene_str":""}`):                              40129,
		text("QR_STR_SCENE", expiry, `{}`):                                            40129,
		text("QR_STR_SCENE", expiry, `{"scene_str":1}`):                               47001,
		text("QR_STR_SCENE", expiry, `{"scene_id":1}`):                                40097,
		text("QR_SCENE", expiry, `{"scene_id":1}`):                                    0,
		text("QR_SCENE", expiry, `{"scene_id":0}`):                                    40129,
		text("QR_SCENE", expiry, `{}`):                                                40129,
		text("QR_SCENE", expiry, `{"scene_id":"1"}`):                                  47001,
		text("QR_SCENE", expiry, `{"scene_str":"1"}`):                                 40097,
		text("QR_SCENE", `,"expire_seconds":2592000`, `{"scene_id":1}`):               0,
		text("QR_SCENE", `,"expire_seconds":2592001`, `{"scene_id":1}`):               40035,
		text("QR_SCENE", `,"expire_seconds":0`, `{"scene_id":1}`):                     40035,
		text("QR_SCENE", `,"expire_seconds":"60"`, `{"scene_id":1}`):                  47001,
		text("QR_LIMIT_SCENE", ``, `{"scene_id":100000}`):                             0,
		text("QR_LIMIT_SCENE", ``, `{"scene_id":100001}`):                             40129,
		text("QR_LIMIT_SCENE", expiry, `{"scene_id":1}`):                              40097,
		text("QR_LIMIT_STR_SCENE", ``, `{"scene_str":"`+strings.Repeat("a", 65)+`"}`): 40129,
		text("QR_CARD", ``, `{"scene_id":1}`):                                         40052,
		`{"action_info":{"scene":{"scene_id":1}}}`:                                    40052,
		`{"action_name":"QR_SCENE","expire_seconds":60}`:                              40053,
		`{"action_name":"QR_SCENE","action_info":{},"expire_seconds":60}`:             40053,
		`{"action_name":"QR_SCENE","action_info":{"scene":{"scene_id":1},"x":1}}`:     40097,
		`{"action_name":"QR_SCENE","x":1}`:                                            40097,
		``:                                                                            44002,
	} {
		require.Equal(t, want, w.code(simulator.PathQRCodeCreate, body), body)
	}
}

func TestAnAccountHas100000PermanentCodesAndNotMore(t *testing.T) {
	t.Parallel()
	w := newArticleWorld(t, nil)
	w.qrCode(wechat.NewQRCode{SceneID: 1})
	require.NoError(t, w.sim.UsePermanentQRCodes(articleAppID, wechat.MaxPermanentQR-2))
	w.qrCode(wechat.NewQRCode{Scene: "the last"})
	for _, in := range []wechat.NewQRCode{{SceneID: 2}, {Scene: "x"}} {
		_, err := w.client.CreateQRCode(t.Context(), w.acc, in)
		requireCode(t, 45029, err)
		require.Equal(t, wechat.ClassStopFeature, wechat.Classify(err))
	}
	w.qrCode(wechat.NewQRCode{SceneID: 2, Lifetime: time.Hour})
	require.True(t, fault.Is(w.sim.UsePermanentQRCodes(articleAppID, 1), fault.Invalid))
	require.True(t, fault.Is(w.sim.UsePermanentQRCodes("wx9", 1), fault.NotFound))
}

func TestQRCodesHaveADailyLimit(t *testing.T) {
	t.Parallel()
	w := newArticleWorld(t, nil)
	require.Contains(t, w.raw(http.MethodPost, simulator.PathQuotaGet, `{"cgi_path":"`+simulator.PathQRCodeCreate+`"}`), `"daily_limit":100000,`)
	require.NoError(t, w.sim.SetLimit(articleAppID, simulator.PathQRCodeCreate, simulator.Limit{Daily: 1}))
	w.qrCode(wechat.NewQRCode{Scene: "x"})
	_, err := w.client.CreateQRCode(t.Context(), w.acc, wechat.NewQRCode{Scene: "x"})
	requireCode(t, 45009, err)
}

func TestATicketLeadsToItsScene(t *testing.T) {
	t.Parallel()
	w := newArticleWorld(t, nil)
	code := w.qrCode(wechat.NewQRCode{Scene: "spring", Lifetime: time.Hour})
	stranger, fan := w.fan(false), w.fan(true)
	_, err := w.sim.ScanTicket(t.Context(), stranger, code.Ticket)
	require.NoError(t, err)
	require.Equal(t, callback.Subscribe{EventKey: "qrscene_spring", Ticket: code.Ticket}, w.lastEvent().Payload)
	_, err = w.sim.ScanTicket(t.Context(), fan, code.Ticket)
	require.NoError(t, err)
	require.Equal(t, callback.Scan{EventKey: "spring", Ticket: code.Ticket}, w.lastEvent().Payload)
	_, err = w.sim.Do(t.Context(), simulator.Act{OpenID: w.fan(false), Kind: simulator.ActFollow, Ticket: code.Ticket})
	require.NoError(t, err)
	require.Equal(t, callback.Subscribe{EventKey: "qrscene_spring", Ticket: code.Ticket}, w.lastEvent().Payload)

	large := w.qrCode(wechat.NewQRCode{SceneID: 7})
	_, err = w.sim.ScanTicket(t.Context(), fan, large.Ticket)
	require.NoError(t, err)
	require.Equal(t, callback.Scan{EventKey: "7", Ticket: large.Ticket}, w.lastEvent().Payload)
}

func TestANumberBeyond32BitsComesBackAsTheLargest(t *testing.T) {
	t.Parallel()
	w := newArticleWorld(t, nil)
	answer := w.raw(http.MethodPost, simulator.PathQRCodeCreate,
		`{"expire_seconds":60,"action_name":"QR_SCENE","action_info":{"scene":{"scene_id":99999999999}}}`)
	ticket, _, _ := strings.Cut(strings.TrimPrefix(answer, `{"ticket":"`), `"`)
	_, err := w.sim.ScanTicket(t.Context(), w.fan(true), ticket)
	require.NoError(t, err)
	require.Equal(t, callback.Scan{EventKey: "4294967295", Ticket: ticket}, w.lastEvent().Payload)
}

func TestAnExpiredCodeCannotBeScanned(t *testing.T) {
	t.Parallel()
	w := newArticleWorld(t, nil)
	code := w.qrCode(wechat.NewQRCode{Scene: "x", Lifetime: time.Minute})
	permanent := w.qrCode(wechat.NewQRCode{Scene: "x"})
	fan := w.fan(false)
	w.clock.Advance(time.Minute - time.Millisecond)
	_, err := w.sim.ScanTicket(t.Context(), w.fan(true), code.Ticket)
	require.NoError(t, err)
	w.clock.Advance(time.Millisecond)
	_, err = w.sim.ScanTicket(t.Context(), fan, code.Ticket)
	require.True(t, fault.Is(err, fault.Conflict), "%v", err)
	state, err := w.sim.Fan(fan)
	require.NoError(t, err)
	require.False(t, state.Subscribed)
	require.Len(t, w.pushed(), 1)
	w.clock.Advance(365 * 24 * time.Hour)
	_, err = w.sim.ScanTicket(t.Context(), fan, permanent.Ticket)
	require.NoError(t, err)
}

func TestATicketOfNobodyOrOfAnotherAccountCannotBeScanned(t *testing.T) {
	t.Parallel()
	w := newArticleWorld(t, nil)
	require.NoError(t, w.sim.AddAccount(simulator.Account{AppID: "wx9999999999", Secret: "s", Verified: true}))
	other := w.acc
	other.ID, other.AppID, other.Secret = 2, "wx9999999999", "s"
	code, err := w.client.CreateQRCode(t.Context(), other, wechat.NewQRCode{Scene: "x"})
	require.NoError(t, err)
	for _, ticket := range []string{"gQnothing", code.Ticket} {
		_, err := w.sim.ScanTicket(t.Context(), w.fan(true), ticket)
		require.True(t, fault.Is(err, fault.NotFound), "%v", err)
	}
	_, err = w.sim.ScanTicket(t.Context(), "nobody", code.Ticket)
	require.True(t, fault.Is(err, fault.NotFound), "%v", err)
}

func TestACodeWithoutExpiryLives30Seconds(t *testing.T) {
	t.Parallel()
	for expiry, want := range map[time.Duration]string{0: `"expire_seconds":30,`, time.Hour: `"expire_seconds":3600,`} {
		w := newArticleWorld(t, func(_ *simulator.Account, o *simulator.Options) { o.Switches.QRExpiry = simulator.Duration(expiry) })
		require.Contains(t, w.raw(http.MethodPost, simulator.PathQRCodeCreate,
			`{"action_name":"QR_SCENE","action_info":{"scene":{"scene_id":1}}}`), want)
	}
}

func TestLongScenesAreASwitch(t *testing.T) {
	t.Parallel()
	w := newArticleWorld(t, func(_ *simulator.Account, o *simulator.Options) { o.Switches.LongScenes = true })
	long := `"action_info":{"scene":{"scene_str":"` + strings.Repeat("a", 65) + `"}}}`
	require.Zero(t, w.code(simulator.PathQRCodeCreate, `{"expire_seconds":60,"action_name":"QR_STR_SCENE",`+long))
	require.Equal(t, 40129, w.code(simulator.PathQRCodeCreate, `{"action_name":"QR_LIMIT_STR_SCENE",`+long))
}

func TestOnlyVerifiedServiceAccountsHaveCodesAndKeys(t *testing.T) {
	t.Parallel()
	for _, change := range []func(*simulator.Account, *simulator.Options){
		func(a *simulator.Account, _ *simulator.Options) { a.Type = simulator.Subscription },
		func(a *simulator.Account, _ *simulator.Options) { a.Verified = false },
	} {
		w := newArticleWorld(t, change)
		_, err := w.client.CreateQRCode(t.Context(), w.acc, wechat.NewQRCode{Scene: "x"})
		requireCode(t, 48001, err)
		_, err = w.client.GenShortKey(t.Context(), w.acc, "x", time.Hour)
		requireCode(t, 48001, err)
		_, err = w.client.FetchShortKey(t.Context(), w.acc, "x")
		requireCode(t, 48001, err)
	}
}

// image fetches what is behind an address and returns type and bytes.
func (w *articleWorld) image(method, address string) (string, []byte) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, address, nil)
	require.NoError(w.t, err)
	resp, err := w.sim.RoundTripper().RoundTrip(req)
	require.NoError(w.t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(w.t, err)
	require.NoError(w.t, resp.Body.Close())
	return resp.Header.Get("Content-Type"), body
}

func TestATicketHasAnImageUntilItExpires(t *testing.T) {
	t.Parallel()
	w := newArticleWorld(t, nil)
	code := w.qrCode(wechat.NewQRCode{Scene: "x", Lifetime: time.Minute})
	address, err := w.client.QRCodeImageURL(w.acc, code.Ticket)
	require.NoError(t, err)
	kind, body := w.image(http.MethodGet, address)
	require.Equal(t, "image/jpeg", kind)
	picture, err := imagejpeg.Decode(bytes.NewReader(body))
	require.NoError(t, err)
	require.Equal(t, 430, picture.Bounds().Dx())
	require.Contains(t, string(body), "Ticket: "+code.Ticket)
	require.Contains(t, string(body), "URL: "+code.URL)
	_, again := w.image(http.MethodGet, address)
	require.Equal(t, body, again)

	_, body = w.image(http.MethodPost, address)
	require.Contains(t, string(body), "43001")
	w.clock.Advance(time.Minute)
	kind, _ = w.image(http.MethodGet, address)
	require.NotEqual(t, "image/jpeg", kind)
	kind, _ = w.image(http.MethodGet, w.acc.BaseURL+simulator.PathShowQRCode+"?ticket=gQnothing")
	require.NotEqual(t, "image/jpeg", kind)
}

func TestTheImageOfACodeIsNotOnTheAPIsHost(t *testing.T) {
	t.Parallel()
	c := wechat.New(wechat.Options{Transport: fixedAnswer(`{}`)})
	ticket := "gQH47joAAA==+/"
	want := "https://mp.weixin.qq.com/cgi-bin/showqrcode?ticket=" + url.QueryEscape(ticket)
	for _, base := range []string{"", wechat.DefaultBaseURL, "https://sh.api.weixin.qq.com"} {
		got, err := c.QRCodeImageURL(wechat.Account{BaseURL: base}, ticket)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	got, err := c.QRCodeImageURL(wechat.Account{BaseURL: "http://127.0.0.1:8081/"}, "x")
	require.NoError(t, err)
	require.Equal(t, "http://127.0.0.1:8081/cgi-bin/showqrcode?ticket=x", got)
	_, err = c.QRCodeImageURL(wechat.Account{BaseURL: "ftp://x"}, "x")
	require.True(t, fault.Is(err, fault.Invalid))
	_, err = c.QRCodeImageURL(wechat.Account{}, "")
	invalid(t, err, "ticket", "required")
}

func TestAShortKeyStandsForDataUntilItExpires(t *testing.T) {
	t.Parallel()
	w := newArticleWorld(t, nil)
	key, err := w.client.GenShortKey(t.Context(), w.acc, `{"a":"<b> & 你"}`, 24*time.Hour)
	require.NoError(t, err)
	w.wrote(simulator.PathShortKeyGen, `{"long_data":"{\"a\":\"<b> & 你\"}","expire_seconds":86400}`)
	require.Regexp(t, `^[0-9A-Za-z]{15}$`, key)
	made := w.clock.Now()
	w.clock.Advance(100 * time.Second)
	got, err := w.client.FetchShortKey(t.Context(), w.acc, key)
	require.NoError(t, err)
	w.wrote(simulator.PathShortKeyFetch, `{"short_key":"`+key+`"}`)
	require.Equal(t, wechat.ShortKeyData{Data: `{"a":"<b> & 你"}`, CreatedAt: made, ExpiresIn: 86300 * time.Second}, got)

	w.clock.Advance(86300*time.Second - time.Millisecond)
	_, err = w.client.FetchShortKey(t.Context(), w.acc, key)
	require.NoError(t, err)
	w.clock.Advance(time.Millisecond)
	_, err = w.client.FetchShortKey(t.Context(), w.acc, key)
	requireCode(t, 9410012, err)
	_, err = w.client.FetchShortKey(t.Context(), w.acc, "iTqRJFSEqk9RvPk")
	requireCode(t, 9410012, err)
}

func TestAShortKeyHasLimits(t *testing.T) {
	t.Parallel()
	w := newArticleWorld(t, nil)
	_, err := w.client.GenShortKey(t.Context(), w.acc, strings.Repeat("a", wechat.MaxShortKeyData), wechat.MaxQRLifetime)
	require.NoError(t, err)
	_, err = w.client.GenShortKey(t.Context(), w.acc, strings.Repeat("a", wechat.MaxShortKeyData+1), time.Hour)
	invalid(t, err, "long_data", "bytes")
	_, err = w.client.GenShortKey(t.Context(), w.acc, "", time.Hour)
	invalid(t, err, "long_data", "required")
	for _, lifetime := range []time.Duration{0, wechat.MaxQRLifetime + time.Second} {
		_, err = w.client.GenShortKey(t.Context(), w.acc, "x", lifetime)
		invalid(t, err, "expire_seconds", "range")
	}
	_, err = w.client.FetchShortKey(t.Context(), w.acc, "")
	invalid(t, err, "short_key", "required")
	for body, want := range map[string]int{
		`{"long_data":"x"}`: 0,
		`{"long_data":"` + strings.Repeat("a", 4096) + `"}`: 0,
		`{"long_data":"` + strings.Repeat("a", 4097) + `"}`: 9410010,
		`{"long_data":"x","expire_seconds":2592000}`:        0,
		`{"long_data":"x","expire_seconds":2592001}`:        9410011,
		`{"long_data":"x","expire_seconds":0}`:              9410011,
		`{"long_data":"x","expire_seconds":"1"}`:            47001,
		`{"long_data":1}`:                                   47001,
		`{"expire_seconds":1}`:                              47003,
		`{"long_data":"x","x":1}`:                           40097,
	} {
		require.Equal(t, want, w.code(simulator.PathShortKeyGen, body), "%.60s", body)
	}
	require.Equal(t, 47003, w.code(simulator.PathShortKeyFetch, `{}`))
	require.Equal(t, 40097, w.code(simulator.PathShortKeyFetch, `{"key":"x"}`))
}

func TestAShortKeyBelongsToItsAccount(t *testing.T) {
	t.Parallel()
	w := newArticleWorld(t, nil)
	require.NoError(t, w.sim.AddAccount(simulator.Account{AppID: "wx9999999999", Secret: "s", Verified: true}))
	key, err := w.client.GenShortKey(t.Context(), w.acc, "x", time.Hour)
	require.NoError(t, err)
	other := w.acc
	other.ID, other.AppID, other.Secret = 2, "wx9999999999", "s"
	_, err = w.client.FetchShortKey(t.Context(), other, key)
	requireCode(t, 9410012, err)
}
