package campaigns_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/campaigns"
	"hongyan/fans"
	"hongyan/guard"
	"hongyan/internal/fault"
	"hongyan/internal/testdb"
)

func TestEveryTriggerAndExitIsAcceptedAndStaysAsItIs(t *testing.T) {
	t.Parallel()
	triggers := []string{
		follow, `{"kind":"scan"}`, `{"kind":"scan","scene":"shop-1"}`, `{"kind":"scan","scene_prefix":"shop-"}`, `{"kind":"menu","key":"help"}`, keyword("a"), `{"kind":"message"}`,
		`{"kind":"location"}`, `{"kind":"tag","tag":7}`, `{"kind":"payment"}`, `{"kind":"event","event":"order.paid"}`, `{"kind":"silent","hours":720}`, `{"kind":"closing","minutes":5}`,
	}
	raw := define(strings.Join(triggers, ","), `,"sources":["ADD_SCENE_QR_CODE","ADD_SCENE_PAID"],"exits":[{"on":"replied"},{"on":"replied","keywords":["stop"],"match":"prefix"},`+
		`{"on":"clicked"},{"on":"clicked","key":"k"},{"on":"tagged","tag":3},{"on":"goal","event":"payment"}]`, `"delay":"0s"`)
	d, err := campaigns.ParseDefinition([]byte(raw), account(t, guard.PolicySpec{}), start)
	require.NoError(t, err)
	require.Len(t, d.Triggers, len(triggers))
	require.Len(t, d.Exits, 6)
	require.Equal(t, campaigns.Awaited{On: "replied", Keywords: []string{"stop"}, Match: "prefix"}, d.Exits[1])
	require.Equal(t, campaigns.Trigger{Kind: "event", Event: "order.paid"}, d.Triggers[10])
}

func TestBadTriggersSourcesAndExitsNameFieldAndRule(t *testing.T) {
	t.Parallel()
	exit := func(e string) string { return define(follow, `,"exits":[`+e+`]`, `"delay":"0s"`) }
	trigger := func(e string) string { return define(e, "", `"delay":"0s"`) }
	for want, raw := range map[string]string{
		"triggers[0].scene_prefix one_of":                                   trigger(`{"kind":"scan","scene":"a","scene_prefix":"b"}`),
		"triggers[0].scene length":                                          trigger(`{"kind":"scan","scene":"` + strings.Repeat("s", 65) + `"}`),
		"triggers[0].key required":                                          trigger(`{"kind":"menu"}`),
		"triggers[0].key other_kind":                                        trigger(`{"kind":"message","key":"a"}`),
		"triggers[0].tag required":                                          trigger(`{"kind":"tag"}`),
		"triggers[0].tag required ":                                         trigger(`{"kind":"tag","tag":-1}`),
		"triggers[0].tag wrong_type":                                        trigger(`{"kind":"message","tag":"vip"}`),
		"triggers[0].event event_name":                                      trigger(`{"kind":"event","event":"Order"}`),
		"triggers[0].event event_name ":                                     trigger(`{"kind":"event"}`),
		"triggers[0].event other_kind":                                      trigger(`{"kind":"payment","event":"payment"}`),
		"triggers[0].hours range":                                           trigger(`{"kind":"silent"}`),
		"triggers[0].hours range ":                                          trigger(`{"kind":"silent","hours":721}`),
		"triggers[0].hours other_kind":                                      trigger(`{"kind":"follow","hours":1}`),
		"triggers[0].minutes range":                                         trigger(`{"kind":"closing","minutes":4}`),
		"triggers[0].minutes range ":                                        trigger(`{"kind":"closing","minutes":1441}`),
		"triggers[0].scene other_kind; triggers[0].minutes other_kind":      trigger(`{"kind":"silent","hours":1,"minutes":5,"scene":"s"}`),
		"triggers[0].name unknown_field":                                    trigger(`{"kind":"event","event":"a","name":"a"}`),
		"sources[1] one_of; sources[2] duplicate":                           define(keyword("a"), `,"sources":["ADD_SCENE_PAID","QR","ADD_SCENE_PAID"]`, `"delay":"0s"`),
		"sources wrong_type":                                                define(follow, `,"sources":"ADD_SCENE_PAID"`, `"delay":"0s"`),
		"sources unknown_at_follow":                                         define(follow, `,"sources":["ADD_SCENE_PAID"]`, `"delay":"0s"`),
		"exits[0].on one_of":                                                exit(`{"on":"unfollowed"}`),
		"exits[0].on one_of ":                                               exit(`{"on":"event","event":"a"}`),
		"exits[0].keywords[0] required":                                     exit(`{"on":"replied","keywords":[" "]}`),
		"exits[0].keywords required":                                        exit(`{"on":"replied","match":"exact"}`),
		"exits[0].key other_kind":                                           exit(`{"on":"replied","key":"a"}`),
		"exits[0].tag required":                                             exit(`{"on":"tagged"}`),
		"exits[0].event event_name":                                         exit(`{"on":"goal"}`),
		"exits[0].hours unknown_field":                                      exit(`{"on":"replied","hours":1}`),
		"exits count":                                                       exit(strings.TrimSuffix(strings.Repeat(`{"on":"replied"},`, 21), ",")),
		"exits wrong_type":                                                  define(follow, `,"exits":{}`, `"delay":"0s"`),
		"triggers[0].keywords keyword_only; triggers[0].match keyword_only": trigger(`{"kind":"message","keywords":["a"],"match":"exact"}`),
	} {
		_, err := campaigns.ParseDefinition([]byte(raw), account(t, guard.PolicySpec{}), start)
		require.Error(t, err, want)
		var got []string
		for _, f := range fault.Fields(err) {
			got = append(got, f.Field+" "+f.Rule)
		}
		require.Equal(t, strings.TrimSpace(want), strings.Join(got, "; "), raw)
	}
}

// matchWorld says which drips an act triggers, in their order: what each is called is its trigger.
func matched(w *world, names map[int64]string, act campaigns.Act) []string {
	w.t.Helper()
	out := []string{}
	for _, e := range w.enter(act) {
		out = append(out, names[e.CampaignID])
		if e.Winner {
			out[len(out)-1] += "!"
		}
	}
	return out
}

func TestTheMostSpecificTriggerAnswersAmongDripsOfOnePriority(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testdb.SQLite(t), guard.PolicySpec{})
	names := map[int64]string{}
	for _, trigger := range []string{ // the least specific first, so that age does not decide
		`{"kind":"message"}`, `{"kind":"location"}`, follow, keyword("go"), `{"kind":"menu","key":"m"}`, `{"kind":"scan"}`, `{"kind":"scan","scene_prefix":"shop"}`,
		`{"kind":"scan","scene":"shop1"}`, `{"kind":"event","event":"payment"}`, `{"kind":"payment"}`, `{"kind":"tag","tag":1}`,
		`{"kind":"silent","hours":1}`, `{"kind":"closing","minutes":60}`, follow + `,{"kind":"scan","scene":"shop2"}`,
	} {
		d := w.runNamed(define(trigger, `,"re_entry":{"mode":"always"}`, `"delay":"0s"`), 0)
		names[d] = trigger
	}
	fan := int64(0)
	for _, c := range []struct {
		act  campaigns.Act
		want []string
	}{
		{campaigns.Act{Kind: campaigns.ActText, Text: "go"}, []string{keyword("go") + "!", `{"kind":"message"}`}},
		{campaigns.Act{Kind: campaigns.ActText, Text: "hm"}, []string{`{"kind":"message"}!`}},
		{campaigns.Act{Kind: campaigns.ActMessage}, []string{`{"kind":"message"}!`}},
		{campaigns.Act{Kind: campaigns.ActLocation}, []string{`{"kind":"location"}!`}},
		{campaigns.Act{Kind: campaigns.ActLocation, Wrote: true}, []string{`{"kind":"location"}!`, `{"kind":"message"}`}},
		{campaigns.Act{Kind: campaigns.ActMenu, Key: "m"}, []string{`{"kind":"menu","key":"m"}!`}},
		{campaigns.Act{Kind: campaigns.ActMenu, Key: "n"}, []string{}},
		{campaigns.Act{Kind: campaigns.ActScan, Scene: "shop1"}, []string{`{"kind":"scan","scene":"shop1"}!`, `{"kind":"scan","scene_prefix":"shop"}`, `{"kind":"scan"}`}},
		{campaigns.Act{Kind: campaigns.ActScan, Scene: "street"}, []string{`{"kind":"scan"}!`}},
		{campaigns.Act{Kind: campaigns.ActFollow}, []string{follow + "!", follow + `,{"kind":"scan","scene":"shop2"}`}},
		{campaigns.Act{Kind: campaigns.ActFollow, Scene: "shop2"}, []string{
			follow + `,{"kind":"scan","scene":"shop2"}!`, `{"kind":"scan","scene_prefix":"shop"}`, `{"kind":"scan"}`, follow,
		}},
		{campaigns.Act{Kind: campaigns.ActPaid, Name: "payment"}, []string{`{"kind":"event","event":"payment"}!`, `{"kind":"payment"}`}},
		{campaigns.Act{Kind: campaigns.ActEvent, Name: "visit"}, []string{}},
		{campaigns.Act{Kind: campaigns.ActTagged, TagID: 1}, []string{`{"kind":"tag","tag":1}!`}},
		{campaigns.Act{Kind: campaigns.ActTagged, TagID: 2}, []string{}},
		{campaigns.Act{Kind: campaigns.ActSilent, Hours: 1}, []string{`{"kind":"silent","hours":1}!`}},
		{campaigns.Act{Kind: campaigns.ActSilent, Hours: 2}, []string{}},
		{campaigns.Act{Kind: campaigns.ActClosing, Minutes: 60}, []string{`{"kind":"closing","minutes":60}!`}},
		{campaigns.Act{Kind: campaigns.ActLeft}, []string{}},
	} {
		fan++
		base := w.act(fan, c.act.Kind, c.act.Text)
		c.act.Fan, c.act.InteractionID, c.act.EventAt, c.act.Usage = base.Fan, base.InteractionID, base.EventAt, base.Usage
		require.Equal(t, c.want, matched(w, names, c.act), "%+v", c.act)
	}
}

// runNamed is run for triggers whose tags nobody looks up.
func (w *world) runNamed(raw string, priority int) int64 {
	w.t.Helper()
	w.exec("INSERT OR IGNORE INTO tags (id, account_id, name, created_at) VALUES (1, 1, 'vip', 1)")
	return w.run(raw, priority).ID
}

func TestAPriorityComesBeforeTheKindOfTrigger(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testdb.SQLite(t), guard.PolicySpec{})
	exact := w.run(define(keyword("go"), "", `"delay":"0s"`), 0)
	whatever := w.run(define(`{"kind":"message"}`, "", `"delay":"0s"`), 1)
	got := w.enter(w.act(1, campaigns.ActText, "go"))
	require.Equal(t, []int64{whatever.ID, exact.ID}, []int64{got[0].CampaignID, got[1].CampaignID})
	require.Equal(t, []bool{true, false}, []bool{got[0].Winner, got[1].Winner})
}

func TestOnlyFansOfTheSourcesEnter(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testdb.SQLite(t), guard.PolicySpec{})
	w.run(define(follow+`,`+keyword("go"), `,"sources":["ADD_SCENE_QR_CODE","ADD_SCENE_SEARCH"],"re_entry":{"mode":"always"}`, `"delay":"0s"`), 0)
	for i, c := range []struct {
		act    campaigns.Act
		source string
		enters bool
	}{
		{campaigns.Act{Kind: campaigns.ActText, Text: "go"}, "ADD_SCENE_SEARCH", true},
		{campaigns.Act{Kind: campaigns.ActText, Text: "go"}, "ADD_SCENE_PAID", false},
		{campaigns.Act{Kind: campaigns.ActText, Text: "go"}, "", false},
		{campaigns.Act{Kind: campaigns.ActFollow, Scene: "s"}, "", true},
		{campaigns.Act{Kind: campaigns.ActFollow}, "ADD_SCENE_SEARCH", false},
	} {
		base := w.act(int64(i+1), c.act.Kind, c.act.Text)
		c.act.Fan, c.act.InteractionID, c.act.EventAt, c.act.Usage = base.Fan, base.InteractionID, base.EventAt, base.Usage
		c.act.Fan = &fans.Fan{ID: base.Fan.ID, AccountID: 1, Subscribed: true, FollowSource: c.source}
		require.Equal(t, c.enters, len(w.enter(c.act)) == 1, fmt.Sprint(c))
	}
}

func TestWhatIsToldOfAFanWhoLeftStartsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testdb.SQLite(t), guard.PolicySpec{})
	w.run(define(`{"kind":"event","event":"visit"}`, "", `"delay":"0s"`), 0)
	act := w.act(1, campaigns.ActEvent, "")
	act.Name, act.Fan.Subscribed = "visit", false
	require.Empty(t, w.enter(act))
	act.Fan.Subscribed = true
	require.Len(t, w.enter(act), 1)
}

func TestAReachAssumesWhatTheTriggerOpened(t *testing.T) {
	t.Parallel()
	for trigger, want := range map[string][]campaigns.Reachability{
		`{"kind":"scan","scene":"a"}`:      {campaigns.Reachable, campaigns.NeedsReply},
		`{"kind":"menu","key":"a"}`:        {campaigns.Reachable, campaigns.NeedsReply},
		`{"kind":"message"}`:               {campaigns.Reachable, campaigns.Reachable},
		`{"kind":"silent","hours":24}`:     {campaigns.Reachable, campaigns.Reachable},
		`{"kind":"silent","hours":48}`:     {campaigns.NeedsReply, campaigns.NeedsReply},
		`{"kind":"closing","minutes":60}`:  {campaigns.Reachable, campaigns.NeedsReply},
		`{"kind":"closing","minutes":600}`: {campaigns.Reachable, campaigns.Reachable},
		`{"kind":"payment"}`:               {campaigns.NeedsReply, campaigns.NeedsReply},
	} {
		d, err := campaigns.ParseDefinition([]byte(define(trigger, "", `"delay":"0s"`, `"delay":"2h"`)), account(t, guard.PolicySpec{}), start)
		require.NoError(t, err)
		reaches, err := campaigns.Reaches(d, account(t, guard.PolicySpec{}), start.Add(100*time.Hour))
		require.NoError(t, err)
		var got []campaigns.Reachability
		for _, r := range reaches {
			got = append(got, r.State)
		}
		require.Equal(t, want, got, trigger)
	}
}
