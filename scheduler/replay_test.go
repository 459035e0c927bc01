package scheduler_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"hongyan/accounts"
	"hongyan/fans"
	"hongyan/guard"
	"hongyan/internal/database"
	"hongyan/internal/jobs"
	"hongyan/internal/testdb"
	"hongyan/scheduler"
	"hongyan/wechat/callback"
	"hongyan/wechat/simulator"
)

// replay replays the account of a world.
func (w *world) replay() *scheduler.ReplayReport {
	w.t.Helper()
	report, err := scheduler.NewReplay(scheduler.ReplayOptions{DB: w.db, Clock: w.o.clk, Accounts: w.s.Accounts, AccountID: w.account.ID, Slice: 5}).Run(w.t.Context())
	require.NoError(w.t, err)
	return report
}

// replayed is a replay that finds nothing.
func (w *world) replayed() *scheduler.ReplayReport {
	w.t.Helper()
	report := w.replay()
	require.Empty(w.t, report.Differences)
	require.True(w.t, report.Equal())
	require.Zero(w.t, report.DifferentFans+report.DifferentFigures+report.Busy+report.BusySources)
	require.Zero(w.t, report.DifferentSlices)
	return report
}

// chaos is an account to which, and whose fans, many things happen.
type chaos struct {
	*world
	rnd   *rand.Rand
	fans  []string
	late  []string // pushes that are on their way for long
	pushN int
}

func newChaos(t testing.TB, db *database.DB, seed uint64) *chaos {
	t.Helper()
	c := &chaos{rnd: rand.New(rand.NewPCG(seed, 7))}
	weekly := 9
	daily := 4
	c.world = newWorld(t, db, setup{spec: guard.PolicySpec{DailyCap: &daily, WeeklyCap: &weekly, GapMinutes: int(seed%2) * 10}})
	c.drip(onFollow(), j{"re_entry": j{"mode": "always"}}, step("0s", "welcome", "and again"), step("10m", "still there?"), step("26h", "a day later"))
	c.drip(onWord("hi"), j{"re_entry": j{"mode": "always"}}, with(step("0s", "hello", "you"), j{"class": "reply"}), step("5m", "offer"))
	c.drip(onWord("more"), j{"daily_cap": 2, "re_entry": j{"mode": "always"}}, step("0s", "more"), step("30s", "and more", "and yet more"))
	for range 8 {
		c.fans = append(c.fans, c.stranger())
	}
	return c
}

// faults are what the platform may do to sends for a while.
func (c *chaos) faults() simulator.Faults {
	share := func(code int) simulator.CodeShare { return simulator.CodeShare{Code: code, Share: 0.5} }
	all := []simulator.Faults{
		{}, {}, {ResetAfter: 0.5}, {Busy: 0.5}, {BadGateway: 0.4}, {HalfAnswer: 0.3},
		{Codes: []simulator.CodeShare{share(45047)}}, {Codes: []simulator.CodeShare{share(45015)}}, {Codes: []simulator.CodeShare{share(45066)}},
		{Codes: []simulator.CodeShare{share(45011)}}, {Codes: []simulator.CodeShare{share(43004)}}, {Codes: []simulator.CodeShare{share(40009)}}, {ResetBefore: 0.5},
		{Codes: []simulator.CodeShare{{Code: 48002, Share: 0.3}}}, {Codes: []simulator.CodeShare{{Code: 45047, Share: 0.3}, {Code: 45015, Share: 0.3}}},
	}
	out := all[c.rnd.IntN(len(all))]
	out.Most = 1 + c.rnd.IntN(4)
	return out
}

// event is a push as the platform writes it.
func (c *chaos) event(openid, name string, at time.Time, more string) string {
	c.pushN++
	return fmt.Sprintf("<xml><ToUserName><![CDATA[%s]]></ToUserName><FromUserName><![CDATA[%s]]></FromUserName><CreateTime>%d</CreateTime>"+
		"<MsgType><![CDATA[event]]></MsgType><Event><![CDATA[%s]]></Event>%s<N>%d</N></xml>", originalID, openid, at.Unix(), name, more, c.pushN)
}

// receiveRaw takes a push that did not come from the simulated platform.
func (c *chaos) receiveRaw(body string) {
	c.t.Helper()
	e, err := callback.Parse([]byte(body))
	require.NoError(c.t, err)
	answer, err := c.s.Inbound.Receive(c.t.Context(), c.account, &e)
	require.NoError(c.t, err)
	if answer.Confirm != nil && c.rnd.IntN(4) > 0 {
		require.NoError(c.t, answer.Confirm(c.t.Context()))
	}
}

// act lets something happen that a person does.
func (c *chaos) act() {
	openid := c.fans[c.rnd.IntN(len(c.fans))]
	acts := []simulator.Act{
		{Kind: simulator.ActText, Text: "hi"}, {Kind: simulator.ActText, Text: "hi"}, {Kind: simulator.ActText, Text: "more"}, {Kind: simulator.ActText, Text: "good day"},
		{Kind: simulator.ActClick, Key: "menu"}, {Kind: simulator.ActView, Key: "https://shop.example"}, {Kind: simulator.ActScan, Scene: "shop-7"},
		{Kind: simulator.ActFollow}, {Kind: simulator.ActFollow, Scene: "door"}, {Kind: simulator.ActFollow}, {Kind: simulator.ActUnfollow},
	}
	a := acts[c.rnd.IntN(len(acts))]
	a.OpenID = openid
	_, _ = c.sim.Do(c.t.Context(), a) // who does not follow cannot write
}

// step lets one thing happen.
func (c *chaos) step() {
	c.t.Helper()
	openid, now := c.fans[c.rnd.IntN(len(c.fans))], c.clk.Now()
	switch n := c.rnd.IntN(20); {
	case n < 11:
		c.act()
	case n == 11:
		c.receiveRaw(c.event(openid, "kf_create_session", now, "<KfAccount><![CDATA[a@b]]></KfAccount>"))
	case n == 12:
		c.receiveRaw(c.event(openid, "kf_close_session", now, "<KfAccount><![CDATA[a@b]]></KfAccount>"))
	case n == 13: // a push that comes late, after others
		name := []string{"unsubscribe", "subscribe", "CLICK"}[c.rnd.IntN(3)]
		c.late = append(c.late, c.event(openid, name, now, "<EventKey><![CDATA[key]]></EventKey>"))
	case n == 14 && len(c.late) > 0:
		c.receiveRaw(c.late[0])
		c.receiveRaw(c.late[0]) // and is repeated
		c.late = c.late[1:]
	case n == 15:
		require.NoError(c.t, c.sim.SetFaults(simulator.PathSend, c.faults()))
	case n == 16:
		c.pushN++
		_, _ = c.s.Events.Put(c.t.Context(), c.account.ID, fans.Event{Key: strconv.Itoa(c.pushN), OpenID: openid, Name: "order"}) // of who is no fan, nothing is taken
	default:
		c.after([]time.Duration{0, time.Millisecond, time.Second, 20 * time.Second, 7 * time.Minute, 5 * time.Hour, 26 * time.Hour}[c.rnd.IntN(7)])
		return
	}
	if c.rnd.IntN(3) > 0 {
		c.turn()
	}
}

func TestPropertyAReplayOfWhatHappenedIsEqual(t *testing.T) {
	t.Parallel()
	for seed := range testdb.Seeds(t, 2) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			test := func(t *testing.T, db *database.DB) {
				c := newChaos(t, db, seed)
				for n := range 160 {
					c.step()
					if n%50 == 30 {
						c.turn()
						c.replayed() // also while messages are under way
					}
				}
				c.after(72 * time.Hour)
				report := c.replayed()
				require.Positive(t, report.Pushes*report.Interactions*report.Deliveries*report.Figures)
				require.Zero(t, report.Partial+report.Told)
			}
			open := testdb.SQLite
			if seed == 0 {
				open = testdb.MySQL
			}
			test(t, open(t))
		})
	}
}

// busyWeek is a chaos after a while.
func busyWeek(t *testing.T, db *database.DB) *chaos {
	t.Helper()
	c := newChaos(t, db, 3)
	for range 150 {
		c.step()
	}
	c.turn()
	return c
}

func TestAReplayNamesWhatWasChanged(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, db *database.DB) {
		c := busyWeek(t, db)
		before := c.replayed()
		fan := c.number("SELECT MAX(fan_id) FROM fan_limits WHERE generation > 0")
		push := c.number("SELECT MIN(inbox_id) FROM interactions WHERE fan_id = ?", fan)
		for name, change := range map[string]struct {
			there, back string
			args        []any
			field       string
		}{
			"a grant": {"UPDATE fan_limits SET message_left = message_left + 1 WHERE fan_id = ?", "UPDATE fan_limits SET message_left = message_left - 1 WHERE fan_id = ?", []any{fan}, "message_left"},
			"a window": {"UPDATE fan_limits SET follow_until = follow_until + 1 WHERE fan_id = ?", "UPDATE fan_limits SET follow_until = follow_until - 1 WHERE fan_id = ?",
				[]any{fan}, "follow_until"},
			"a generation": {"UPDATE fan_limits SET generation = generation + 1 WHERE fan_id = ?", "UPDATE fan_limits SET generation = generation - 1 WHERE fan_id = ?", []any{fan}, "generation"},
			"a cap": {"UPDATE fan_limits SET cap_month_used = cap_month_used + 1 WHERE fan_id = ?", "UPDATE fan_limits SET cap_month_used = cap_month_used - 1 WHERE fan_id = ?",
				[]any{fan}, "cap_month_used"},
			"a session":             {"UPDATE fan_limits SET agent_until = agent_until + 1 WHERE fan_id = ?", "UPDATE fan_limits SET agent_until = agent_until - 1 WHERE fan_id = ?", []any{fan}, "agent_until"},
			"whether a fan follows": {"UPDATE fans SET subscribed = 1 - subscribed WHERE id = ?", "UPDATE fans SET subscribed = 1 - subscribed WHERE id = ?", []any{fan}, "subscribed"},
			"when a fan acted":      {"UPDATE fans SET interacted_at = interacted_at + 1 WHERE id = ?", "UPDATE fans SET interacted_at = interacted_at - 1 WHERE id = ?", []any{fan}, "interacted_at"},
			"an interaction that is gone": {"UPDATE interactions SET inbox_id = -inbox_id, account_id = -account_id WHERE inbox_id = ?",
				"UPDATE interactions SET inbox_id = -inbox_id, account_id = -account_id WHERE inbox_id = -?", []any{push}, fmt.Sprintf("push %d", push)},
			"what a fan did": {"UPDATE interactions SET event_at = event_at + 1 WHERE inbox_id = ?", "UPDATE interactions SET event_at = event_at - 1 WHERE inbox_id = ?",
				[]any{push}, fmt.Sprintf("push %d: interaction", push)},
			"a push that is gone": {"UPDATE inbox SET account_id = -account_id WHERE id = ?", "UPDATE inbox SET account_id = -account_id WHERE id = ?", []any{push}, fmt.Sprintf("push %d", push)},
		} {
			c.tx(func(tx *gorm.DB) error { return tx.Exec(change.there, change.args...).Error })
			report := c.replay()
			require.False(t, report.Equal(), name)
			require.EqualValues(t, 1, report.DifferentFans, name)
			require.Equal(t, 1, report.DifferentSlices, name)
			require.Contains(t, fields(report, fan), change.field, name)
			c.tx(func(tx *gorm.DB) error { return tx.Exec(change.back, change.args...).Error })
			require.Equal(t, before.Live, c.replayed().Live, name)
		}
	})
}

// fields are the names of what differs of a fan.
func fields(r *scheduler.ReplayReport, fan int64) []string {
	var out []string
	for _, d := range r.Differences {
		if d.FanID == fan {
			out = append(out, d.Field)
		}
	}
	return out
}

func TestAReplayNamesAFigureThatWasRaised(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, db *database.DB) {
		c := busyWeek(t, db)
		c.tx(func(tx *gorm.DB) error {
			return tx.Exec("UPDATE delivery_figures SET n = n + 1 WHERE source_id = 1 AND figure = 3 AND day = (SELECT day FROM (SELECT MIN(day) AS day FROM delivery_figures WHERE source_id = 1 AND figure = 3) d)").Error
		})
		report := c.replay()
		require.False(t, report.Equal())
		require.Zero(t, report.DifferentFans)
		require.Positive(t, report.DifferentFigures)
		for _, d := range report.Differences {
			require.Zero(t, d.FanID)
			require.True(t, strings.HasPrefix(d.Field, "figure drip 1, message "), d.Field)
			require.True(t, strings.HasSuffix(d.Field, ": sent"), d.Field)
		}
	})
}

func TestAReplayBeginsWithTheFirstPushThatIsKept(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, db *database.DB) {
		c := busyWeek(t, db)
		policy, err := c.s.Accounts.FindRetention(t.Context(), c.account.ID)
		require.NoError(t, err)
		policy.InboxDays = accounts.MinKeptDays
		_, err = c.s.Accounts.UpdateRetention(t.Context(), policy)
		require.NoError(t, err)
		c.after(accounts.MinKeptDays*24*time.Hour - 20*time.Hour)
		for range 60 {
			c.step()
		}
		c.turn()
		rest := &scheduler.Retention{Accounts: c.s.Accounts, Inbox: fans.NewInbox(db, c.clk), Fans: c.s.Fans, Ledger: c.s.Ledger, Links: c.s.Links, Clock: c.clk, Log: slog.New(slog.DiscardHandler)}
		trimmed, err := rest.RunOnce(t.Context())
		require.NoError(t, err)
		require.Positive(t, trimmed[accounts.KeptInbox])
		report := c.replayed()
		require.Positive(t, report.Partial)
		for range 60 {
			c.step()
		}
		c.turn()
		c.replayed()

		// What came since is compared as ever.
		fan := c.number("SELECT i.fan_id FROM interactions i JOIN fan_limits l ON l.fan_id = i.fan_id WHERE l.message_generation = i.generation AND l.message_left > 0 ORDER BY i.id DESC LIMIT 1")
		c.tx(func(tx *gorm.DB) error {
			return tx.Exec("UPDATE fan_limits SET message_left = message_left - 1 WHERE fan_id = ?", fan).Error
		})
		require.Equal(t, []string{"message_left"}, fields(c.replay(), fan))
	})
}

func TestAReplayKnowsInteractionsOfBeforeItCouldReplay(t *testing.T) {
	t.Parallel()
	c := busyWeek(t, testdb.SQLite(t))
	c.tx(func(tx *gorm.DB) error {
		return tx.Exec("UPDATE interactions SET generation = NULL, touched = 0, uncounted = 0").Error
	})
	require.Positive(t, c.replayed().Partial)
	for range 100 {
		c.step()
	}
	c.turn()
	c.replayed()
}

func TestAReplayTakesASynchronisationsWord(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, db *database.DB) {
		c := newChaos(t, db, 5)
		sync := func() {
			c.t.Helper()
			require.NoError(t, c.s.Jobs.Create(t.Context(), fans.NewSync(c.account.ID)))
			platform := &fans.Platform{Client: c.s.Client, Accounts: c.s.Accounts, Gate: c.s.Watch, Clock: c.clk}
			worker := &jobs.Worker{Store: c.s.Jobs, Owner: "test", Log: slog.New(slog.DiscardHandler), Runners: map[string]jobs.Runner{fans.SyncKind: fans.NewSyncer(c.s.Fans, platform).Run}}
			for ran := true; ran; {
				var err error
				ran, err = worker.RunOnce(t.Context())
				require.NoError(t, err)
			}
		}
		known, err := c.sim.AddFans(appID, 3, true) // who followed before we listened
		require.NoError(t, err)
		sync()
		require.EqualValues(t, 3, c.replayed().Told)
		for range 120 {
			c.step()
		}
		// Someone leaves and someone comes, and we are told of neither.
		push := c.push.Load()
		gone := c.stranger()
		c.follow(gone)
		c.after(time.Hour)
		deaf := deafHandler()
		c.push.Store(&deaf)
		_, err = c.sim.Unfollow(t.Context(), gone)
		require.NoError(t, err)
		_, err = c.sim.Unfollow(t.Context(), known[0])
		require.NoError(t, err)
		silent := c.stranger()
		_, err = c.sim.Follow(t.Context(), silent, "")
		require.NoError(t, err)
		c.push.Store(push)
		c.after(time.Minute)
		sync()
		report := c.replayed()
		require.Positive(t, report.Told)
		fan, err := c.s.Fans.FindFanByOpenID(t.Context(), c.account.ID, gone)
		require.NoError(t, err)
		require.False(t, fan.Subscribed)
		for range 60 {
			c.step()
		}
		c.turn()
		c.replayed()

		// A flag that was changed by hand is no word of the platform: nothing closed the grants.
		c.tx(func(tx *gorm.DB) error {
			return tx.Exec("UPDATE fans SET subscribed = 0 WHERE subscribed = 1 AND interacted_at > unsubscribed_at").Error
		})
		require.Positive(t, c.replay().DifferentFans)
	})
}

func TestAReplayMayRunBesideEverythingElse(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, db *database.DB) {
		c := newChaos(t, db, 4)
		ctx, stop := context.WithCancel(t.Context())
		var found []scheduler.Difference
		var runs int
		var failed error
		var beside sync.WaitGroup
		beside.Go(func() {
			for ctx.Err() == nil && failed == nil {
				report, err := scheduler.NewReplay(scheduler.ReplayOptions{DB: db, Clock: c.clk, Accounts: c.s.Accounts, AccountID: c.account.ID}).Run(context.WithoutCancel(ctx))
				if failed = err; err == nil {
					runs, found = runs+1, append(found, report.Differences...)
				}
			}
		})
		for range 120 {
			c.step()
		}
		stop()
		beside.Wait()
		require.NoError(t, failed)
		require.Positive(t, runs)
		require.Empty(t, found)
		c.turn()
		c.replayed()
	})
}

// deafHandler answers pushes as a server that is away.
func deafHandler() http.HandlerFunc {
	return func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusBadGateway) }
}
