package scheduler_test

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"hongyan/campaigns"
	"hongyan/deliveries"
	"hongyan/fans"
	"hongyan/internal/database"
	"hongyan/internal/testdb"
	"hongyan/wechat/callback"
	"hongyan/wechat/simulator"
)

// entries are a fan's runs of a drip: when each began, how it stands, and why it ended if before its last step.
func (w *world) entries(d *campaigns.Drip, openid string) []string {
	w.t.Helper()
	f, err := w.s.Fans.FindFanByOpenID(w.t.Context(), w.account.ID, openid)
	require.NoError(w.t, err)
	var rows []struct {
		StartedAt         int64
		State, ExitReason string
	}
	require.NoError(w.t, w.db.Read(w.t.Context()).Raw("SELECT started_at, state, exit_reason FROM enrolments WHERE campaign_id = ? AND fan_id = ? ORDER BY occurrence", d.ID, f.ID).Scan(&rows).Error)
	out := []string{}
	for _, r := range rows {
		line := fmt.Sprintf("%s %s", time.UnixMilli(r.StartedAt).Sub(start), r.State)
		if r.ExitReason != "" {
			line += " " + r.ExitReason
		}
		out = append(out, line)
	}
	return out
}

// act lets a fan do something, and does what is due then.
func (w *world) act(openid string, a simulator.Act) {
	w.t.Helper()
	a.OpenID = openid
	_, err := w.sim.Do(w.t.Context(), a)
	require.NoError(w.t, err)
	w.turn()
}

// happen is a program's report of an event.
func (w *world) happen(openid, name string) {
	w.t.Helper()
	w.entered++
	_, err := w.s.Events.Put(w.t.Context(), w.account.ID, fans.Event{Key: strconv.FormatInt(w.entered, 10), OpenID: openid, Name: name})
	require.NoError(w.t, err)
	w.turn()
}

// tag gives a fan a tag of our own, or takes it, and does what is due then.
func (w *world) tag(openid string, tag int64, remove bool) {
	w.t.Helper()
	f, err := w.s.Fans.FindFanByOpenID(w.t.Context(), w.account.ID, openid)
	require.NoError(w.t, err)
	w.tx(func(tx *gorm.DB) error { return w.s.Fans.ChangeTag(tx, w.account.ID, tag, []int64{f.ID}, remove) })
	w.turn()
}

func (w *world) newTag(name string) (id int64) {
	w.t.Helper()
	w.tx(func(tx *gorm.DB) error {
		return tx.Exec("INSERT INTO tags (account_id, name, created_at) VALUES (?, ?, 1)", w.account.ID, name).Error
	})
	return w.number("SELECT id FROM tags WHERE name = ?", name)
}

func on(trigger j) []any { return []any{trigger} }

func TestEachKindOfTriggerLetsFansIn(t *testing.T) {
	t.Parallel()
	text, image := simulator.Act{Kind: simulator.ActText, Text: "hello"}, simulator.Act{Kind: simulator.ActImage}
	place, location := simulator.Act{Kind: simulator.ActPlace, Text: "here"}, simulator.Act{Kind: simulator.ActLocation}
	shop1, street := simulator.Act{Kind: simulator.ActScan, Scene: "shop1"}, simulator.Act{Kind: simulator.ActScan, Scene: "street"}
	menu, other, view := simulator.Act{Kind: simulator.ActClick, Key: "help"}, simulator.Act{Kind: simulator.ActClick, Key: "x"}, simulator.Act{Kind: simulator.ActView, Key: "https://a.example/"}
	code := simulator.Act{Kind: simulator.ActScanCode, Key: "help", Text: "x"}
	acts := map[string]simulator.Act{
		"text": text, "image": image, "place": place, "location": location, "shop1": shop1, "street": street, "menu": menu, "other": other, "view": view, "code": code,
	}
	each(t, setup{}, func(t *testing.T, w *world) {
		always := j{"re_entry": j{"mode": "always"}}
		wants := map[*campaigns.Drip][]string{
			w.drip(on(j{"kind": "message"}), always, step("0s", "1")):                           {"image", "place", "text"},
			w.drip(on(j{"kind": "location"}), always, step("0s", "2")):                          {"location", "place"},
			w.drip(on(j{"kind": "scan"}), always, step("0s", "3")):                              {"shop1", "street"},
			w.drip(on(j{"kind": "scan", "scene": "shop1"}), always, step("0s", "4")):            {"shop1"},
			w.drip(on(j{"kind": "scan", "scene_prefix": "s"}), always, step("0s", "5")):         {"shop1", "street"},
			w.drip(on(j{"kind": "menu", "key": "help"}), always, step("0s", "6")):               {"code", "menu"},
			w.drip(on(j{"kind": "menu", "key": "https://a.example/"}), always, step("0s", "7")): {"view"},
			w.drip(on(j{"kind": "follow"}), always, step("0s", "8")):                            {},
		}
		for _, name := range slices.Sorted(maps.Keys(acts)) {
			fan := w.stranger()
			w.follow(fan)
			before := map[int64]int{}
			for d := range wants {
				before[d.ID] = len(w.entries(d, fan))
			}
			w.after(time.Minute)
			w.act(fan, acts[name])
			for d, want := range wants {
				entered := len(w.entries(d, fan)) > before[d.ID]
				require.Equal(t, slices.Contains(want, name), entered, "%s: %v", name, d.Definition.Triggers)
			}
		}
	})
}

func TestAFollowByACodeIsAScanAndAFollow(t *testing.T) {
	t.Parallel()
	each(t, setup{}, func(t *testing.T, w *world) {
		scan := w.drip(on(j{"kind": "scan", "scene_prefix": "shop"}), nil, step("0s", "the shop"))
		follow := w.drip(onFollow(), nil, step("0s", "welcome"))
		byCode := w.drip(onFollow(), j{"sources": []string{"ADD_SCENE_QR_CODE"}}, step("1s", "you came by a code"))
		fan, other := w.stranger(), w.stranger()
		_, err := w.sim.Scan(t.Context(), fan, "shop9")
		require.NoError(t, err)
		w.turn()
		w.follow(other)
		w.after(time.Minute)
		require.Equal(t, []string{"0s finished"}, w.entries(scan, fan))
		require.Equal(t, []string{"0s finished"}, w.entries(follow, fan))
		require.Equal(t, []string{"0s the shop", "1s you came by a code"}, w.got(fan), "the scene answers the act")
		require.Empty(t, w.entries(scan, other))
		require.Empty(t, w.entries(byCode, other))
		require.Equal(t, []string{"0s welcome"}, w.got(other))
	})
}

func TestOwnEventsLetFansInAndOpenNothing(t *testing.T) {
	t.Parallel()
	each(t, setup{}, func(t *testing.T, w *world) {
		vip := w.newTag("vip")
		always := j{"re_entry": j{"mode": "always"}}
		tagged := w.drip(on(j{"kind": "tag", "tag": vip}), always, step("0s", "vip"))
		paid := w.drip(on(j{"kind": "payment"}), always, step("0s", "thanks"))
		visit := w.drip(on(j{"kind": "event", "event": "visit"}), always, step("0s", "seen"))
		fan := w.stranger()
		w.follow(fan)
		w.after(2 * time.Minute)
		before := w.number("SELECT interacted_at FROM fans WHERE openid = ?", fan)
		w.tag(fan, vip, false)
		w.happen(fan, "payment")
		w.happen(fan, "visit")
		w.happen(fan, "other")
		w.tag(fan, vip, false)
		for _, d := range []*campaigns.Drip{tagged, paid, visit} {
			require.Equal(t, []string{"2m0s finished"}, w.entries(d, fan))
		}
		require.Equal(t, []string{"1.1.1 skipped grant_closed", "1.1.1 skipped grant_closed", "1.1.1 skipped grant_closed"}, w.story(fan))
		require.Equal(t, before, w.number("SELECT interacted_at FROM fans WHERE openid = ?", fan), "they are no acts of the fan")
		w.tag(fan, vip, true)
		w.after(time.Minute)
		w.write(fan, "hi")
		w.tag(fan, vip, false)
		require.Equal(t, []string{"3m0s vip"}, w.got(fan))
		require.Equal(t, []string{"2m0s finished", "3m0s finished"}, w.entries(tagged, fan)[:2])
	})
}

func TestSilenceLetsFansInAfterItsHours(t *testing.T) {
	t.Parallel()
	each(t, setup{}, func(t *testing.T, w *world) {
		silent := w.drip(on(j{"kind": "silent", "hours": 3}), j{"re_entry": j{"mode": "always"}}, step("0s", "still there?"))
		closing := w.drip(on(j{"kind": "closing", "minutes": 30}), j{"re_entry": j{"mode": "always"}}, step("0s", "last call"))
		fan, mute := w.stranger(), w.stranger()
		w.follow(fan)
		w.follow(mute)
		w.after(time.Hour)
		w.write(fan, "hi")
		w.after(3*time.Hour - time.Second)
		require.Empty(t, w.entries(silent, fan))
		w.after(time.Second)
		require.Equal(t, []string{"4h0m0s finished"}, w.entries(silent, fan)[:1])
		require.Equal(t, []string{"4h0m0s still there?"}, w.got(fan))
		require.Equal(t, []string{"3h0m0s finished"}, w.entries(silent, mute))
		require.Empty(t, w.got(mute), "the follow's window has closed long ago")
		w.until(start.Add(time.Hour + 47*time.Hour + 19*time.Minute))
		require.Empty(t, w.entries(closing, fan))
		w.after(time.Minute)
		require.Len(t, w.entries(closing, fan), 1)
		require.Equal(t, []string{"4h0m0s still there?", "48h20m0s last call"}, w.got(fan))
		require.Empty(t, w.entries(closing, mute))
		w.after(100 * time.Hour)
		require.Len(t, w.entries(silent, fan), 1, "one silence is one event")
		require.Len(t, w.entries(closing, fan), 1)
	})
}

func TestAPushCannotPoseAsAnOwnEvent(t *testing.T) {
	t.Parallel()
	each(t, setup{}, func(t *testing.T, w *world) {
		vip := w.newTag("vip")
		drips := []*campaigns.Drip{
			w.drip(on(j{"kind": "tag", "tag": vip}), nil, step("0s", "vip")), w.drip(on(j{"kind": "payment"}), nil, step("0s", "thanks")),
			w.drip(on(j{"kind": "event", "event": "visit"}), nil, step("0s", "seen")), w.drip(on(j{"kind": "silent", "hours": 1}), nil, step("0s", "hello?")),
		}
		fan := w.stranger()
		w.follow(fan)
		for i, body := range []string{
			`{"kind":"tagged","tag_id":1}`, `{"kind":"event","name":"visit"}`, `{"kind":"silent","hours":1}`,
			`{"ToUserName":"a","FromUserName":"` + fan + `","CreateTime":1772589600,"MsgType":"event","Event":"tagged","tag_id":1,"kind":"tagged"}`,
			`{"ToUserName":"a","FromUserName":"` + fan + `","CreateTime":1772589600,"MsgType":"event","Event":"event","name":"payment","kind":"event"}`,
			`<xml><FromUserName>` + fan + `</FromUserName><CreateTime>1772589600</CreateTime><MsgType>silent</MsgType><hours>1</hours></xml>`,
			`<xml><FromUserName>` + fan + `</FromUserName><CreateTime>1772589600</CreateTime><MsgType>event</MsgType><Event></Event><name>visit</name></xml>`,
		} {
			e, err := callback.Parse([]byte(body))
			if err != nil {
				continue // refused at the door
			}
			_, err = w.s.Inbound.Receive(t.Context(), w.account, &e)
			require.NoError(t, err, "%d", i)
		}
		w.turn()
		for _, d := range drips {
			require.Empty(t, w.entries(d, fan), "%v", d.Definition.Triggers)
		}
		require.Zero(t, w.number("SELECT COUNT(*) FROM inbox WHERE origin <> 'platform'"))
		require.Zero(t, w.number("SELECT COUNT(*) FROM interactions WHERE kind IN ('event', 'tagged', 'silent', 'closing')"))
	})
}

func TestAnExitEndsTheRunAndWhatWasPlanned(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		exit  j
		stays func(w *world, fan string, tag int64) // no reason to end the run
		ends  func(w *world, fan string, tag int64)
		want  string
	}{
		"replied": {j{"on": "replied"}, func(w *world, fan string, _ int64) { w.act(fan, simulator.Act{Kind: simulator.ActClick, Key: "k"}) },
			func(w *world, fan string, _ int64) { w.act(fan, simulator.Act{Kind: simulator.ActImage}) }, "exited replied"},
		"a word": {j{"on": "replied", "keywords": []string{"stop"}}, func(w *world, fan string, _ int64) { w.write(fan, "go on") },
			func(w *world, fan string, _ int64) { w.write(fan, " STOP") }, "exited replied"},
		"clicked": {j{"on": "clicked", "key": "k"}, func(w *world, fan string, _ int64) { w.act(fan, simulator.Act{Kind: simulator.ActClick, Key: "x"}) },
			func(w *world, fan string, _ int64) { w.act(fan, simulator.Act{Kind: simulator.ActClick, Key: "k"}) }, "exited clicked"},
		"goal": {j{"on": "goal", "event": "payment"}, func(w *world, fan string, _ int64) { w.happen(fan, "visit") },
			func(w *world, fan string, _ int64) { w.happen(fan, "payment") }, "exited goal"},
		"tagged": {j{"on": "tagged", "tag": 1}, func(w *world, fan string, _ int64) { w.write(fan, "hm") }, func(w *world, fan string, tag int64) { w.tag(fan, tag, false) }, "exited tagged"},
		"left": {j{"on": "goal", "event": "payment"}, func(w *world, fan string, _ int64) { w.write(fan, "hm") }, func(w *world, fan string, _ int64) {
			w.act(fan, simulator.Act{Kind: simulator.ActUnfollow})
		}, "exited fan_gone"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, setup{}, func(t *testing.T, w *world) {
				tag := w.newTag("vip")
				d := w.drip(onWord("go"), j{"exits": []any{c.exit}}, step("0s", "one"), step("10h", "two"))
				other := w.drip(onWord("go"), nil, step("1s", "one"), step("10h", "not concerned"))
				fan := w.stranger()
				w.follow(fan)
				w.after(time.Minute)
				w.write(fan, "go")
				w.after(time.Hour)
				c.stays(w, fan, tag)
				require.Equal(t, []string{"1m0s running"}, w.entries(d, fan))
				w.after(time.Hour)
				c.ends(w, fan, tag)
				require.Equal(t, []string{"1m0s " + c.want}, w.entries(d, fan))
				if name == "left" {
					require.Equal(t, []string{"1m0s " + c.want}, w.entries(other, fan))
					require.Contains(t, w.story(fan), "1.2.1 skipped fan_gone")
					return
				}
				require.Equal(t, []string{"1m0s running"}, w.entries(other, fan))
				require.Contains(t, w.story(fan), fmt.Sprintf("1.2.1 %s %[1]s", deliveries.StateCancelled))
				w.after(20 * time.Hour)
				require.Equal(t, []string{"1m0s one", "1m1s one", "10h1m1s not concerned"}, w.got(fan))
			})
		})
	}
}

func TestTheActByWhichAFanEntersEndsNothingThatItBegins(t *testing.T) {
	t.Parallel()
	each(t, setup{}, func(t *testing.T, w *world) {
		d := w.drip(on(j{"kind": "message"}), j{"re_entry": j{"mode": "always"}, "exits": []any{j{"on": "replied"}}}, step("1h", "one"))
		fan := w.stranger()
		w.follow(fan)
		w.write(fan, "a")
		require.Equal(t, []string{"0s running"}, w.entries(d, fan))
		w.after(time.Minute)
		w.write(fan, "b")
		require.Equal(t, []string{"0s exited replied", "1m0s running"}, w.entries(d, fan))
		w.after(2 * time.Hour)
		require.Equal(t, []string{"1h1m0s one"}, w.got(fan))
	})
}

func TestTwoActsOfAFanInOneSetAreActedUponInTheirOrder(t *testing.T) {
	t.Parallel()
	each(t, setup{}, func(t *testing.T, w *world) {
		d := w.drip(onWord("go"), j{"exits": []any{j{"on": "replied", "keywords": []string{"stop"}}}}, step("1h", "one"))
		fan, other := w.stranger(), w.stranger()
		w.follow(fan)
		w.follow(other)
		w.after(time.Minute)
		for _, a := range []simulator.Act{{OpenID: fan, Text: "go"}, {OpenID: other, Text: "stop"}, {OpenID: fan, Text: "stop"}, {OpenID: other, Text: "go"}} {
			a.Kind = simulator.ActText
			_, err := w.sim.Do(t.Context(), a)
			require.NoError(t, err)
			w.clk.Advance(time.Second)
		}
		w.turn()
		require.Equal(t, []string{"1m0s exited replied"}, w.entries(d, fan))
		require.Equal(t, []string{"1m3s running"}, w.entries(d, other))
	})
}

func TestAFanInTheMiddleLeavesByTheExitsOfTheVersionEntered(t *testing.T) {
	t.Parallel()
	each(t, setup{}, func(t *testing.T, w *world) {
		d := w.drip(onWord("go"), j{"re_entry": j{"mode": "always"}, "exits": []any{j{"on": "clicked"}}}, step("10h", "old"))
		fan := w.stranger()
		w.follow(fan)
		w.write(fan, "go")
		raw := []byte(`{"triggers":[{"kind":"keyword","keywords":["go"]}],"re_entry":{"mode":"always"},"steps":[{"delay":"10h","messages":[{"msgtype":"text","text":{"content":"new"}}]}]}`)
		_, err := w.s.Campaigns.UpdateDrip(t.Context(), w.account, d.ID, d.Revision, campaigns.DripPatch{Definition: raw})
		require.NoError(t, err)
		w.after(time.Minute)
		w.write(fan, "go")
		w.after(time.Minute)
		w.act(fan, simulator.Act{Kind: simulator.ActClick, Key: "k"})
		require.Equal(t, []string{"0s exited clicked", "1m0s running"}, w.entries(d, fan))
		w.after(11 * time.Hour)
		require.Equal(t, []string{"10h1m0s new"}, w.got(fan), "the other run's messages stay")
	})
}

func TestAWaitingRunGoesOnWithTheActThatItWaitsFor(t *testing.T) {
	t.Parallel()
	each(t, setup{}, func(t *testing.T, w *world) {
		d := w.drip(onWord("go"), nil,
			j{"kind": "wait_for", "for": j{"on": "event", "event": "visit"}, "timeout": "2h", "then": []any{step("0s", "seen")}, "else": []any{step("0s", "missed")}})
		fan, late := w.stranger(), w.stranger()
		for _, f := range []string{fan, late} {
			w.follow(f)
			w.write(f, "go")
		}
		w.after(time.Hour)
		w.happen(fan, "other")
		w.happen(fan, "visit")
		w.after(2 * time.Hour)
		w.happen(late, "visit")
		require.Equal(t, []string{"1h0m0s seen"}, w.got(fan))
		require.Equal(t, []string{"2h0m0s missed"}, w.got(late))
		require.Equal(t, []string{"0s finished"}, w.entries(d, fan))
	})
}

func TestOwnEventsAreActedUponOnceHoweverManyProcessesLook(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, setup{})
		d := w.drip(on(j{"kind": "event", "event": "visit"}), j{"re_entry": j{"mode": "always"}}, step("0s", "seen"))
		fan := w.stranger()
		w.follow(fan)
		w.after(time.Minute)
		_, err := w.s.Events.Put(t.Context(), w.account.ID, fans.Event{Key: "1", OpenID: fan, Name: "visit"})
		require.NoError(t, err)
		other := w.process()
		w.turn()
		require.NoError(t, other.Turn(t.Context()))
		w.turn()
		require.Equal(t, []string{"1m0s finished"}, w.entries(d, fan))
		_, err = w.s.Events.Put(t.Context(), w.account.ID, fans.Event{Key: "1", OpenID: fan, Name: "visit"})
		require.NoError(t, err)
		w.turn()
		require.Len(t, w.entries(d, fan), 1)
	})
}
