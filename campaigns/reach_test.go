package campaigns_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/campaigns"
	"hongyan/guard"
	"hongyan/internal/clock"
)

func TestReachabilityIsWhatTheGuardSays(t *testing.T) {
	t.Parallel()
	const yes, reply, never = campaigns.Reachable, campaigns.NeedsReply, campaigns.Never
	for name, c := range map[string]struct {
		raw  string
		spec guard.PolicySpec
		want []campaigns.Reachability
	}{
		"at once after a follow":             {define(follow, "", `"delay":"0s"`), guard.PolicySpec{}, []campaigns.Reachability{yes}},
		"10 minutes after a follow":          {define(follow, "", `"delay":"0s"`, `"delay":"10m"`), guard.PolicySpec{}, []campaigns.Reachability{yes, reply}},
		"inside the margin of a minute":      {define(follow, "", `"delay":"49s"`, `"delay":"1s"`), guard.PolicySpec{}, []campaigns.Reachability{yes, reply}},
		"a follow allows three":              {define(follow, "", `"delay":"0s",`+say(2), `"delay":"1s",`+say(2), `"delay":"1s"`), guard.PolicySpec{}, []campaigns.Reachability{yes, reply, yes}},
		"as many as fit":                     {define(follow, "", `"delay":"0s",`+say(2), `"delay":"1s","fit":"as_many",`+say(2), `"delay":"1s"`), guard.PolicySpec{}, []campaigns.Reachability{yes, yes, reply}},
		"four at once after a follow":        {define(follow, "", `"delay":"0s",`+say(4)), guard.PolicySpec{}, []campaigns.Reachability{reply}},
		"a message allows two days":          {define(keyword("a"), "", `"delay":"47h"`, `"delay":"2h"`), guard.PolicySpec{}, []campaigns.Reachability{yes, reply}},
		"a message allows five":              {define(keyword("a"), "", `"delay":"0s",`+say(5), `"delay":"1h"`), guard.PolicySpec{}, []campaigns.Reachability{yes, reply}},
		"kept for agents":                    {define(keyword("a"), "", `"delay":"0s",`+say(4)), guard.PolicySpec{HoldForAgents: 2}, []campaigns.Reachability{never}},
		"over the cap":                       {define(keyword("a"), "", `"delay":"0s",`+say(2), `"delay":"1s"`), guard.PolicySpec{DailyCap: new(2)}, []campaigns.Reachability{yes, never}},
		"waits for tomorrow's cap":           {define(keyword("a"), "", `"delay":"0s",`+say(2), `"delay":"1s","capped":"tomorrow"`), guard.PolicySpec{DailyCap: new(2)}, []campaigns.Reachability{yes, yes}},
		"over the drip's own cap":            {define(keyword("a"), `,"daily_cap":1`, `"delay":"0s"`, `"delay":"1s"`), guard.PolicySpec{}, []campaigns.Reachability{yes, never}},
		"over the week's cap":                {define(keyword("a"), "", `"delay":"0s",`+say(2), `"delay":"24h"`), guard.PolicySpec{WeeklyCap: new(2)}, []campaigns.Reachability{yes, never}},
		"over the drip's own month's cap":    {define(keyword("a"), `,"monthly_cap":2`, `"delay":"0s",`+say(2), `"delay":"24h"`), guard.PolicySpec{}, []campaigns.Reachability{yes, never}},
		"next week's cap, the grant ends":    {define(keyword("a"), "", `"delay":"0s",`+say(2), `"delay":"1s","capped":"tomorrow","lateness":"8d"`), guard.PolicySpec{WeeklyCap: new(2)}, []campaigns.Reachability{yes, never}},
		"waits for next week's cap":          {define(keyword("a"), "", `"delay":"0s",`+say(2), `"delay":"1s","capped":"tomorrow","no_grant":"wait","lateness":"8d"`), guard.PolicySpec{WeeklyCap: new(2)}, []campaigns.Reachability{yes, reply}},
		"caps bind a drip's services too":    {define(keyword("a"), "", `"delay":"0s","class":"service"`), guard.PolicySpec{DailyCap: new(0)}, []campaigns.Reachability{never}},
		"a service counts in the cap":        {define(keyword("a"), "", `"delay":"0s","class":"service"`, `"delay":"1s"`), guard.PolicySpec{DailyCap: new(1)}, []campaigns.Reachability{yes, never}},
		"caps bind no replies":               {define(keyword("a"), "", `"delay":"0s","class":"reply"`, `"delay":"1s"`), guard.PolicySpec{DailyCap: new(1)}, []campaigns.Reachability{yes, yes}},
		"after the end":                      {define(keyword("a"), `,"ends_at":"2026-03-02T12:00:00+08:00"`, `"delay":"1h"`, `"delay":"1h"`), guard.PolicySpec{}, []campaigns.Reachability{yes, never}},
		"next morning after a message":       {define(keyword("a"), "", `"at":"09:30"`), guard.PolicySpec{}, []campaigns.Reachability{yes}},
		"third morning, worst case":          {define(keyword("a"), "", `"at":"09:30","days":2`), guard.PolicySpec{}, []campaigns.Reachability{reply}},
		"next morning after a follow":        {define(follow, "", `"at":"09:30"`), guard.PolicySpec{}, []campaigns.Reachability{reply}},
		"each trigger for itself":            {define(follow+","+keyword("a"), "", `"delay":"2m"`), guard.PolicySpec{}, []campaigns.Reachability{reply, yes}},
		"quiet hours do not make it never":   {define(follow, "", `"delay":"0s"`), guard.PolicySpec{Quiet: []guard.QuietRange{{Start: "00:00", End: "24:00"}}}, []campaigns.Reachability{yes}},
		"a reply may use what agents keep":   {define(keyword("a"), "", `"delay":"0s","class":"reply",`+say(5)), guard.PolicySpec{HoldForAgents: 5}, []campaigns.Reachability{yes}},
		"waiting does not make it arrive":    {define(follow, "", `"delay":"10m","no_grant":"wait"`), guard.PolicySpec{}, []campaigns.Reachability{reply}},
		"a step that failed uses up nothing": {define(follow, "", `"delay":"0s",`+say(4), `"delay":"1s",`+say(3)), guard.PolicySpec{}, []campaigns.Reachability{reply, yes}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := account(t, c.spec)
			d, err := campaigns.ParseDefinition([]byte(c.raw), a, start)
			require.NoError(t, err)
			reaches, err := campaigns.Reaches(d, a, start)
			require.NoError(t, err)
			var got []campaigns.Reachability
			for _, r := range reaches {
				got = append(got, r.State)
				require.NotEmpty(t, r.Zh)
				require.NotEmpty(t, r.En)
			}
			require.Equal(t, c.want, got, "%+v", reaches)
		})
	}
}

func TestReachabilityFollowsEveryWay(t *testing.T) {
	t.Parallel()
	const yes, reply, never = campaigns.Reachable, campaigns.NeedsReply, campaigns.Never
	ask := `{"kind":"ask","delay":"0s","timeout":"1h",` + say(1) + `}`
	for name, c := range map[string]struct {
		raw  string
		want map[string]campaigns.Reachability
	}{
		"both branches": {steps(iff(isSubscribed, send("10s"), send("2m"))), map[string]campaigns.Reachability{
			"steps[0].then[0]": yes, "steps[0].else[0]": reply,
		}},
		"the worst branch counts behind": {steps(iff(isSubscribed, `{"delay":"0s",`+say(3)+`}`, ""), send("1s")), map[string]campaigns.Reachability{
			"steps[0].then[0]": yes, "steps[1]": reply,
		}},
		"a tag takes no time":     {steps(`{"kind":"tag","tag":1}`, send("49s")), map[string]campaigns.Reachability{"steps[1]": yes}},
		"a delay of a tag counts": {steps(`{"kind":"tag","tag":1,"delay":"1m"}`, send("0s")), map[string]campaigns.Reachability{"steps[1]": reply}},
		"who replied may be sent five": {steps(waitFor(onReply, "1d", `{"delay":"0s",`+say(5)+`}`, send("0s")), send("1s")), map[string]campaigns.Reachability{
			"steps[0].then[0]": yes, "steps[0].else[0]": reply, "steps[1]": reply,
		}},
		"who tapped may be sent three": {steps(waitFor(`{"on":"clicked"}`, "1d", `{"delay":"0s",`+say(3)+`},`+send("10s"), exitStep)), map[string]campaigns.Reachability{
			"steps[0].then[0]": yes, "steps[0].then[1]": reply,
		}},
		"a tag opens nothing": {steps(waitFor(`{"on":"tagged","tag":1}`, "1d", send("0s"), "")), map[string]campaigns.Reachability{"steps[0].then[0]": reply}},
		"behind an ask": {steps(ask, send("1d"), send("3d")), map[string]campaigns.Reachability{
			"steps[0]": yes, "steps[1]": reply, "steps[2]": reply,
		}},
		"behind an exit nobody comes": {steps(iff(isSubscribed, exitStep, ""), send("1s")), map[string]campaigns.Reachability{"steps[1]": yes}},
		"a day of the fan":            {steps(`{"date":{"attribute":"birthday","at":"09:00"},` + say(1) + `}`), map[string]campaigns.Reachability{"steps[0]": reply}},
		"too many in an arm": {steps(`{"kind":"split","arms":[{"weight":50,"steps":[{"delay":"1s",` + say(5) + `},{"delay":"1s","class":"service",` + say(1) + `}]},{"weight":50,"steps":[]}]}`),
			map[string]campaigns.Reachability{"steps[0].arms[0].steps[0]": reply, "steps[0].arms[0].steps[1]": yes}},
		"later than the end": {define(follow, `,"ends_at":"2026-03-02T12:00:00+08:00"`, `"kind":"tag","tag":1,"delay":"3h","messages":[]`, `"delay":"0s"`), map[string]campaigns.Reachability{"steps[1]": never}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := account(t, guard.PolicySpec{})
			d, err := campaigns.ParseDefinition([]byte(c.raw), a, start)
			require.NoError(t, err)
			reaches, err := campaigns.Reaches(d, a, start)
			require.NoError(t, err)
			got := map[string]campaigns.Reachability{}
			for _, r := range reaches {
				got[r.Path] = r.State
				require.Equal(t, r.State != yes, r.RemedyZh != "" && r.RemedyEn != "", "what cannot arrive has a remedy: %+v", r)
			}
			require.Equal(t, c.want, got, "%+v", reaches)
		})
	}
}

// TestReachabilityOfManyWaysIsQuick has 2^15 ways to the last step, and 5 triggers.
func TestReachabilityOfManyWaysIsQuick(t *testing.T) {
	t.Parallel()
	var list []string
	for range 16 {
		list = append(list, iff(isSubscribed, send("7m"), `{"at":"09:30",`+say(1)+`}`))
	}
	a := account(t, guard.PolicySpec{})
	d, err := campaigns.ParseDefinition([]byte(define(strings.TrimSuffix(strings.Repeat(follow+",", 5), ","), "", strings.Trim(strings.Join(list, ","), "{}")+`,"messages":[]`)), a, start)
	require.NoError(t, err)
	began := clock.System().Now()
	reaches, err := campaigns.Reaches(d, a, start)
	require.NoError(t, err)
	require.Len(t, reaches, 5*32)
	require.Less(t, clock.System().Now().Sub(began), 20*time.Second)
}

func TestARemedySaysWhatToChange(t *testing.T) {
	t.Parallel()
	ask := `{"kind":"ask","delay":"0s","timeout":"1h",` + say(1) + `}`
	for raw, want := range map[string]string{
		steps(send("0s"), send("2m")):                              "put an ask step before it, or make it at most 50 s after the act, or let it wait for the next interaction (no_grant: wait)",
		define(keyword("a"), "", `"delay":"3d"`):                   "put an ask step before it, or make it at most 47 h 50 min after the act, or let it wait for the next interaction (no_grant: wait)",
		define(keyword("a"), "", `"delay":"3d","no_grant":"wait"`): "put an ask step before it, or make it at most 47 h 50 min after the act",
		steps(`{"delay":"0s",`+say(3)+`}`, send("1s")):             "put an ask step before it, or take messages away before it",
		steps(ask, send("1d")):                                     "if fans who do not answer should get it too, send it before the grant closes, or let it wait for the next interaction (no_grant: wait)",
		steps(ask, send("3d")):                                     "put an ask step before it, or make it at most 50 s after the act, or let it wait for the next interaction (no_grant: wait)",
		define(keyword("a"), `,"daily_cap":0`, `"delay":"0s"`):     "take messages away before it, raise the cap, or let it wait for tomorrow (capped: tomorrow)",
	} {
		a := account(t, guard.PolicySpec{})
		d, err := campaigns.ParseDefinition([]byte(raw), a, start)
		require.NoError(t, err)
		reaches, err := campaigns.Reaches(d, a, start)
		require.NoError(t, err)
		require.Equal(t, want, reaches[len(reaches)-1].RemedyEn, raw)
		require.NotRegexp(t, `\d (s|min|h)\b`, reaches[len(reaches)-1].RemedyZh, "Chinese has units of its own")
	}
	a := account(t, guard.PolicySpec{})
	d, err := campaigns.ParseDefinition([]byte(define(keyword("a"), "", `"delay":"3d"`)), a, start)
	require.NoError(t, err)
	reaches, err := campaigns.Reaches(d, a, start)
	require.NoError(t, err)
	require.Equal(t, "在它之前加一个「询问」步骤，或让它在触发后最多 47 小时 50 分钟发送，或让它等到粉丝再次互动（no_grant：wait）", reaches[0].RemedyZh)
}

func TestAnAccountWithoutTheRightReachesNobody(t *testing.T) {
	t.Parallel()
	a := account(t, guard.PolicySpec{})
	d, err := campaigns.ParseDefinition([]byte(define(follow, "", `"delay":"0s"`)), a, start)
	require.NoError(t, err)
	a.Verified = false
	reaches, err := campaigns.Reaches(d, a, start)
	require.NoError(t, err)
	require.Equal(t, campaigns.Never, reaches[0].State)
	require.Equal(t, "no_permission", reaches[0].Reason)
	require.Contains(t, reaches[0].Zh, "客服消息权限")
}
