package guard_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/guard"
	"hongyan/wechat"
)

const (
	second = int64(1000)
	minute = 60 * second
	hour   = 60 * minute
)

// must compiles a policy that is known to be valid.
func must(t require.TestingT, zone string, spec guard.PolicySpec) *guard.Policy {
	p, err := spec.Compile(zone)
	require.NoError(t, err)
	return p
}

// in reads a wall-clock time of a zone.
func in(t require.TestingT, zone, s string) time.Time {
	loc, err := time.LoadLocation(zone)
	require.NoError(t, err)
	at, err := time.ParseInLocation("2006-01-02 15:04:05", s, loc)
	require.NoError(t, err)
	return at
}

func shanghai(t require.TestingT, s string) time.Time { return in(t, "Asia/Shanghai", s) }

// utc reads an unambiguous moment.
func utc(t require.TestingT, s string) time.Time {
	at, err := time.Parse("2006-01-02 15:04", s)
	require.NoError(t, err)
	return at
}

// scene is a decision under construction: it allows until something is changed.
type scene struct {
	now    time.Time
	policy *guard.Policy
	req    guard.Request
	facts  guard.Facts
}

// everyRule is a policy in which every rule of design 5.3 and 5.4 is switched on.
func everyRule() guard.PolicySpec {
	return guard.PolicySpec{
		DailyCap:      new(3),
		WeeklyCap:     new(9),
		MonthlyCap:    new(27),
		GapMinutes:    60,
		Quiet:         []guard.QuietRange{{Start: "22:00", End: "08:00"}},
		HoldForAgents: 1,
	}
}

// allowed is a marketing kefu message of one that may go: the fan wrote an hour ago, it is noon on a Thursday in Shanghai.
func allowed(t require.TestingT, spec guard.PolicySpec) *scene {
	now := shanghai(t, "2026-10-15 12:00:00")
	s := &scene{
		now:    now,
		policy: must(t, "Asia/Shanghai", spec),
		req: guard.Request{
			Class: guard.ClassMarketing, Channel: guard.ChannelKefu, Messages: 1,
			NotAfter: now.UnixMilli() + 30*24*hour,
		},
		facts: guard.Facts{CampaignCaps: guard.NoCaps(), BudgetLeft: 1000},
	}
	s.facts.Grants.Trigger(wechat.TriggerMessage, now.UnixMilli()-hour, today(wechat.TriggerMessage), 0)
	return s
}

func today(trigger wechat.Trigger) wechat.Allowance {
	return wechat.RulesAt(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)).Grants[trigger]
}

func (s *scene) ms() int64 { return s.now.UnixMilli() }

func (s *scene) decide() guard.Verdict {
	m := s.policy.At(s.now)
	return guard.Decide(&m, s.policy, &s.req, &s.facts)
}

func (s *scene) values() map[string]int64 {
	m := s.policy.At(s.now)
	out := map[string]int64{}
	for _, v := range guard.Values(&m, s.policy, &s.req, &s.facts, s.decide()) {
		out[v.Name] = v.Number
	}
	return out
}

func allow(n int) guard.Verdict { return guard.Verdict{Kind: guard.Allow, Messages: n} }

func deferred(r guard.Reason, until int64) guard.Verdict {
	return guard.Verdict{Kind: guard.Defer, Reason: r, Until: until}
}

func skipped(r guard.Reason) guard.Verdict { return guard.Verdict{Kind: guard.Skip, Reason: r} }

func TestDecideAllowDoesNotAllocate(t *testing.T) {
	s := allowed(t, everyRule())
	m := s.policy.At(s.now)
	require.Equal(t, allow(1), guard.Decide(&m, s.policy, &s.req, &s.facts))
	require.Zero(t, testing.AllocsPerRun(1000, func() { guard.Decide(&m, s.policy, &s.req, &s.facts) }))
}

func BenchmarkDecideAllow(b *testing.B) {
	s := allowed(b, everyRule())
	m := s.policy.At(s.now)
	b.ReportAllocs()
	for b.Loop() {
		if v := guard.Decide(&m, s.policy, &s.req, &s.facts); v.Kind != guard.Allow {
			b.Fatal(v)
		}
	}
}

func BenchmarkMoment(b *testing.B) {
	s := allowed(b, everyRule())
	for b.Loop() {
		s.policy.At(s.now)
	}
}
