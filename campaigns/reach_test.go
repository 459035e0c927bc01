package campaigns_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/campaigns"
	"hongyan/guard"
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
		"services are free of caps":          {define(keyword("a"), "", `"delay":"0s","class":"service"`), guard.PolicySpec{DailyCap: new(0)}, []campaigns.Reachability{yes}},
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
