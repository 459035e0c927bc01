package fans

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"hongyan/internal/fault"
	"hongyan/internal/testdb"
	"hongyan/wechat"
	"hongyan/wechat/simulator"
)

// consents sends a person to the page that asks for name and picture, and returns what they gave.
func (w *tagWorld) consents(openid string, snapshot bool) (wechat.PersonToken, wechat.Person) {
	w.t.Helper()
	require.NoError(w.t, w.sim.SetWebDomains(syncAppID, "m.example.com"))
	require.NoError(w.t, w.sim.SetWebVisitor(syncAppID, simulator.WebVisitor{OpenID: openid, Snapshot: snapshot}))
	address, err := wechat.AuthorizeURL(w.acc(), wechat.Authorize{Redirect: "https://m.example.com/back", Scope: wechat.ScopeUserInfo, State: "S1"})
	require.NoError(w.t, err)
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, address, http.NoBody)
	require.NoError(w.t, err)
	resp, err := w.sim.RoundTripper().RoundTrip(req)
	require.NoError(w.t, err)
	require.NoError(w.t, resp.Body.Close())
	back, err := url.Parse(resp.Header.Get("Location"))
	require.NoError(w.t, err)
	token, err := w.platform.Client.ExchangeCode(w.t.Context(), w.acc(), back.Query().Get("code"))
	require.NoError(w.t, err)
	person, err := w.platform.Client.PersonInfo(w.t.Context(), w.acc(), token)
	require.NoError(w.t, err)
	return token, person
}

func (w *tagWorld) stranger(nickname string) string {
	w.t.Helper()
	openid, err := w.sim.AddFan(syncAppID, simulator.NewFan{Nickname: nickname})
	require.NoError(w.t, err)
	return openid
}

func TestWhatAPersonGivesOnAPageIsKeptAlsoOfWhoDoesNotFollow(t *testing.T) {
	t.Parallel()
	eachTagged(t, func(t *testing.T, w *tagWorld) {
		require.NoError(t, w.sim.BindOpenPlatform(syncAppID, true))
		openid := w.stranger("雁南飞")
		token, person := w.consents(openid, false)
		id, err := w.KeepProfile(t.Context(), account, token, person)
		require.NoError(t, err)
		f := w.fan(openid)
		require.Equal(t, id, f.ID)
		require.False(t, f.Subscribed)
		require.Equal(t, []string{"雁南飞", person.AvatarURL, person.UnionID}, []string{f.Nickname, f.AvatarURL, f.UnionID})
		require.NotEmpty(t, f.AvatarURL)
		require.NotEmpty(t, f.UnionID)
		require.NotNil(t, w.usage(openid))

		// Who follows keeps that; what is told anew replaces what was told, and a unionid that is not told stays.
		openids, ids := w.followers(1)
		token, person = w.consents(openids[0], false)
		id, err = w.KeepProfile(t.Context(), account, token, person)
		require.NoError(t, err)
		require.Equal(t, ids[0], id)
		require.True(t, w.fan(openids[0]).Subscribed)
		_, err = w.KeepProfile(t.Context(), account, token, wechat.Person{OpenID: openids[0], Nickname: "new\xff", AvatarURL: strings.Repeat("a", 513)})
		require.NoError(t, err)
		f = w.fan(openids[0])
		require.Equal(t, []string{"new", "", person.UnionID}, []string{f.Nickname, f.AvatarURL, f.UnionID})
		_, err = w.KeepProfile(t.Context(), account, token, wechat.Person{OpenID: openids[0], Nickname: strings.Repeat("字", 300)})
		require.NoError(t, err)
		require.Equal(t, strings.Repeat("字", 191), w.fan(openids[0]).Nickname)
	})
}

func TestAnInventedIdentityIsNotKept(t *testing.T) {
	t.Parallel()
	eachTagged(t, func(t *testing.T, w *tagWorld) {
		token, person := w.consents(w.stranger("somebody"), true)
		require.True(t, token.Snapshot)
		_, err := w.KeepProfile(t.Context(), account, token, person)
		require.ErrorIs(t, err, ErrSnapshot)
		require.True(t, fault.Is(err, fault.Forbidden))
		require.Zero(t, w.number("SELECT COUNT(*) FROM fans"))
		for _, bad := range []struct {
			token wechat.PersonToken
			in    wechat.Person
		}{
			{wechat.PersonToken{OpenID: "o1"}, wechat.Person{OpenID: "o2"}}, {wechat.PersonToken{}, wechat.Person{}},
			{wechat.PersonToken{OpenID: "erased:1"}, wechat.Person{OpenID: "erased:1"}},
			{wechat.PersonToken{OpenID: strings.Repeat("o", 65)}, wechat.Person{OpenID: strings.Repeat("o", 65)}},
		} {
			_, err := w.KeepProfile(t.Context(), account, bad.token, bad.in)
			require.True(t, fault.Is(err, fault.Invalid))
		}
		require.Zero(t, w.number("SELECT COUNT(*) FROM fans"))
	})
}

func TestWhatIsRevokedDecidesWhetherTheProfileGoes(t *testing.T) {
	t.Parallel()
	for info, want := range map[string]bool{
		"205": true, "": true, "1": true, "301": true, "201,205": true, "all": true,
		"201": false, "202": false, "203": false, "204": false, "206": false, "207": false, "201 207": false,
	} {
		require.Equal(t, want, RevokesProfile(info), "%q", info)
	}
}

func TestAForgottenProfileLeavesTheFan(t *testing.T) {
	t.Parallel()
	eachTagged(t, func(t *testing.T, w *tagWorld) {
		openids, _ := w.followers(2)
		for _, openid := range openids {
			_, err := w.KeepProfile(t.Context(), account, wechat.PersonToken{OpenID: openid}, wechat.Person{OpenID: openid, Nickname: "n", AvatarURL: "https://a", UnionID: "u"})
			require.NoError(t, err)
		}
		require.NoError(t, w.db.Tx(t.Context(), func(tx *gorm.DB) error { return w.ForgetProfiles(tx, account, []string{openids[0], "nobody"}) }))
		f := w.fan(openids[0])
		require.Equal(t, []any{"", "", "u", true}, []any{f.Nickname, f.AvatarURL, f.UnionID, f.Subscribed})
		require.Equal(t, "n", w.fan(openids[1]).Nickname)
		require.NoError(t, w.db.Tx(t.Context(), func(tx *gorm.DB) error { return w.ForgetProfiles(tx, account+1, openids) }))
		require.Equal(t, "n", w.fan(openids[1]).Nickname, "another account's person of the same openid is another's")
	})
}

func TestARemarkIsSetOnThePlatformAndThenHere(t *testing.T) {
	t.Parallel()
	eachTagged(t, func(t *testing.T, w *tagWorld) {
		openids, ids := w.followers(1)
		require.NoError(t, w.mirror.SetRemark(t.Context(), account, ids[0], " 老板 "))
		require.Equal(t, "老板", w.fan(openids[0]).Remark)
		info, err := w.platform.Client.FanInfo(t.Context(), w.acc(), openids[0])
		require.NoError(t, err)
		require.Equal(t, "老板", info.Remark)
		requireField(t, w.mirror.SetRemark(t.Context(), account, ids[0], strings.Repeat("字", 30)), "remark", "remark_length")
		require.Equal(t, "老板", w.fan(openids[0]).Remark, "what is refused is not stored")
		require.NoError(t, w.mirror.SetRemark(t.Context(), account, ids[0], strings.Repeat("字", 29)))
		require.NoError(t, w.mirror.SetRemark(t.Context(), account, ids[0], ""))
		require.Empty(t, w.fan(openids[0]).Remark)
		gone := w.known(w.people(1, false)[0], false)
		err = w.mirror.SetRemark(t.Context(), account, gone, "x")
		require.True(t, fault.Is(err, fault.Conflict), "%v", err)
		requireErrcode(t, err, 43004)
		require.True(t, fault.Is(w.mirror.SetRemark(t.Context(), account, 12345, "x"), fault.NotFound))
	})
}

func TestARemarkThatIsTooLongInBytesIsToldAsSuch(t *testing.T) {
	t.Parallel()
	w := newTagWorld(t, testdb.SQLite(t))
	openids, ids := w.followers(1)
	require.NoError(t, w.sim.SetSwitches(simulator.Switches{NamesInBytes: true}))
	err := w.mirror.SetRemark(t.Context(), account, ids[0], strings.Repeat("字", 11))
	requireField(t, err, "remark", "remark_length")
	requireErrcode(t, err, 40092)
	require.Empty(t, w.fan(openids[0]).Remark)
	require.NoError(t, w.sim.SetFaults("", simulator.Faults{ResetAfter: 1}))
	require.Equal(t, wechat.OutcomeLost, wechat.OutcomeOf(w.mirror.SetRemark(t.Context(), account, ids[0], "lost")))
	require.Empty(t, w.fan(openids[0]).Remark)
}
