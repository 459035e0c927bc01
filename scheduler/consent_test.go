package scheduler_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"hongyan/deliveries"
	"hongyan/fans"
	"hongyan/internal/jobs"
	"hongyan/internal/testdb"
	"hongyan/wechat"
	"hongyan/wechat/callback"
)

// service is in whose name the platform pushes changes of consent.
const service = "owAqB1v0ahK_Xlc7GshIDdf2yf7E"

// consent is a push of the platform about what a person lets the account know.
func (w *world) consent(name string, a callback.Authorization) {
	w.t.Helper()
	a.AppID = appID
	raw, err := callback.BuildXML(callback.Event{ToUser: originalID, FromUser: service, CreatedAt: w.clk.Now(), MsgType: "event", Name: name, Payload: a})
	require.NoError(w.t, err)
	e, err := callback.Parse(raw)
	require.NoError(w.t, err)
	answer, err := w.s.Inbound.Receive(w.t.Context(), w.account, &e)
	require.NoError(w.t, err)
	require.Nil(w.t, answer.Message)
	w.turn()
}

// profiled is a person who follows, wrote, and let the account know who they are.
func (w *world) profiled(openid string) *fans.Fan {
	w.t.Helper()
	w.follow(openid)
	w.write(openid, "my secret text")
	_, err := w.s.Fans.KeepProfile(w.t.Context(), w.account.ID, wechat.PersonToken{OpenID: openid}, wechat.Person{
		OpenID: openid, Nickname: "雁南飞", AvatarURL: "https://thirdwx.qlogo.cn/x", UnionID: "the-unionid",
	})
	require.NoError(w.t, err)
	f, err := w.s.Fans.FindFanByOpenID(w.t.Context(), w.account.ID, openid)
	require.NoError(w.t, err)
	return f
}

func TestAPersonWhoClosesTheirWeChatAccountIsErased(t *testing.T) {
	t.Parallel()
	each(t, setup{}, func(t *testing.T, w *world) {
		w.drip(onFollow(), nil, step("0s", "hello {{nickname|there}}"), with(step("2h", "two"), j{"no_grant": "wait", "lateness": "3d"}))
		openid, other := w.stranger(), w.stranger()
		f := w.profiled(openid)
		w.follow(other)
		require.NotEmpty(t, testdb.Search(t, w.db, openid))
		w.consent("user_info_modified", callback.Authorization{OpenID: openid})
		w.consent("user_authorization_cancellation", callback.Authorization{OpenID: openid, UnionID: "the-unionid"})

		require.Empty(t, testdb.Search(t, w.db, openid, "雁南飞", "qlogo", "the-unionid", "my secret text"))
		require.Zero(t, w.number("SELECT COUNT(*) FROM inbox WHERE pending_at IS NOT NULL"))
		timeline, err := w.s.Ledger.Timeline(t.Context(), w.account.ID, f.ID)
		require.NoError(t, err)
		require.Equal(t, []deliveries.State{deliveries.StateSent, deliveries.StateCancelled}, []deliveries.State{timeline[0].State, timeline[1].State})
		require.EqualValues(t, 1, w.number("SELECT COUNT(*) FROM enrolments WHERE state = 'running'"), "the other's")
		require.EqualValues(t, 1, w.number("SELECT COUNT(*) FROM erasures WHERE cause = 'withdrawn' AND fans = 1"))
		require.EqualValues(t, 2, w.number("SELECT COUNT(*) FROM interactions WHERE fan_id = ?", f.ID), "that something was done is counted")
		w.after(3 * time.Hour)
		require.Len(t, w.got(openid), 1, "nothing goes out any more")
		w.balanced()

		// The push again, and one about a person of whom nothing is known.
		w.consent("user_authorization_cancellation", callback.Authorization{OpenID: openid})
		w.consent("user_authorization_cancellation", callback.Authorization{OpenID: "never-seen"})
		require.Empty(t, testdb.Search(t, w.db, openid, "never-seen"))
		require.EqualValues(t, 1, w.number("SELECT COUNT(*) FROM erasures"))
		require.EqualValues(t, 2, w.number("SELECT COUNT(*) FROM fans"))

		// The same person again: a new fan, of whom nothing is known.
		w.write(openid, "hello")
		back, err := w.s.Fans.FindFanByOpenID(t.Context(), w.account.ID, openid)
		require.NoError(t, err)
		require.NotEqual(t, f.ID, back.ID)
		require.Equal(t, []any{"", "", true}, []any{back.Nickname, back.UnionID, back.Subscribed})
	})
}

func TestAPersonWhoTakesBackTheirProfileLosesThatOnly(t *testing.T) {
	t.Parallel()
	each(t, setup{}, func(t *testing.T, w *world) {
		for _, c := range []struct {
			name, info, nickname string
		}{
			{"user_authorization_revoke", "201", "雁南飞"}, {"user_authorization_revoke", "205", ""}, {"user_info_modified", "", ""},
		} {
			openid := w.stranger()
			before := w.profiled(openid)
			w.consent(c.name, callback.Authorization{OpenID: openid, RevokeInfo: c.info})
			after, err := w.s.Fans.FindFanByOpenID(t.Context(), w.account.ID, openid)
			require.NoError(t, err)
			want := *before
			if want.Nickname = c.nickname; c.nickname == "" {
				want.AvatarURL = ""
			}
			require.Equal(t, want, *after)
			require.Zero(t, w.number("SELECT COUNT(*) FROM inbox WHERE pending_at IS NOT NULL"))
			require.Zero(t, w.number("SELECT COUNT(*) FROM fans WHERE openid = ?", service), "the platform's service is no fan")
		}
		require.Zero(t, w.number("SELECT COUNT(*) FROM erasures"))
	})
}

func TestAnErasureEndsAPassiveReplyThatNobodyFetched(t *testing.T) {
	t.Parallel()
	each(t, setup{}, func(t *testing.T, w *world) {
		w.drip(onFollow(), nil, step("0s", "hello {{nickname|there}}"))
		openid := w.stranger()
		e := callback.Event{ToUser: originalID, FromUser: openid, CreatedAt: w.clk.Now(), MsgType: "event", Name: "subscribe", Payload: callback.Subscribe{}}
		raw, err := callback.BuildXML(e)
		require.NoError(t, err)
		e, err = callback.Parse(raw)
		require.NoError(t, err)
		answer, err := w.s.Inbound.Receive(t.Context(), w.account, &e)
		require.NoError(t, err)
		require.NotNil(t, answer.Message)
		// The answer is on its way when the person is erased, and its end is not recorded.
		f, err := w.s.Fans.FindFanByOpenID(t.Context(), w.account.ID, openid)
		require.NoError(t, err)
		require.NoError(t, w.s.Fans.EraseFans(t.Context(), w.account.ID, []int64{f.ID}))
		require.Empty(t, testdb.Search(t, w.db, openid, "hello there"))
		again, err := w.s.Inbound.Receive(t.Context(), w.account, &e)
		require.NoError(t, err)
		require.Nil(t, again.Message, "the push again is answered with success")
		w.clk.Advance(time.Minute)
		_, err = w.s.Inbound.Leftover(t.Context())
		require.NoError(t, err)
		require.Zero(t, w.number("SELECT COUNT(*) FROM deliveries WHERE state = ?", deliveries.StateSending))
		require.Zero(t, w.number("SELECT COUNT(*) FROM inbox WHERE pending_at IS NOT NULL"))
	})
}

func TestASendThatWasDecidedForSomebodyWhoIsErasedDoesNotGoOut(t *testing.T) {
	t.Parallel()
	each(t, setup{}, func(t *testing.T, w *world) {
		d := w.drip(onWord("never"), nil, step("0s", "hello"))
		people := w.fans(3)
		w.plan(d, people, nil)
		require.NoError(t, w.s.Dispatch(t.Context()), "the batch is there")
		require.NoError(t, w.s.Fans.EraseFans(t.Context(), w.account.ID, []int64{people[1].ID}))
		w.turn()
		require.Len(t, w.got(people[0].OpenID), 1)
		require.Empty(t, w.got(people[1].OpenID))
		require.Equal(t, map[deliveries.State]int{deliveries.StateSent: 2, deliveries.StateCancelled: 1}, w.tally())
		w.balanced()
	})
}

func TestTheJobThatErasesAllFansRunsInTheProgram(t *testing.T) {
	t.Parallel()
	each(t, setup{}, func(t *testing.T, w *world) {
		d := w.drip(onWord("never"), nil, step("0s", "hello"))
		people := w.fans(30)
		w.plan(d, people, func(_ int, p *deliveries.Planned) { p.DueAt += time.Hour.Milliseconds() })
		require.NoError(t, w.s.Jobs.Create(t.Context(), &jobs.Job{AccountID: w.account.ID, Kind: fans.EraseAllKind}))
		w.turn()
		require.Equal(t, map[deliveries.State]int{deliveries.StateCancelled: 30}, w.tally())
		require.EqualValues(t, 30, w.number("SELECT fans FROM erasures"))
		for _, f := range people {
			require.Empty(t, testdb.Search(t, w.db, strings.TrimSpace(f.OpenID)))
		}
		require.NoError(t, w.db.Tx(t.Context(), func(tx *gorm.DB) error { return w.s.Fans.Erase(tx, 1, w.account.ID, []int64{people[0].ID}) }))
	})
}
