package deliveries

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"hongyan/guard"
	"hongyan/internal/fault"
	"hongyan/internal/lang"
	"hongyan/wechat"
)

func events(e *Explanation) []Event {
	var out []Event
	for _, s := range e.Steps {
		out = append(out, s.Event)
	}
	return out
}

func (l *ledger) explain(id int64) *Explanation {
	l.t.Helper()
	e, err := l.Explain(l.t.Context(), account, id)
	require.NoError(l.t, err)
	return e
}

func TestExplainTellsTheWholeStory(t *testing.T) {
	t.Parallel()
	eachLedger(t, func(t *testing.T, l *ledger) {
		d := l.plan(l.message(1, func(p *Planned) {
			p.Verdict, p.Reason, p.Values = guard.Defer, guard.ReasonQuietHours, []guard.Value{{Name: "wished_at", Number: l.ms(-time.Hour)}, {Name: "due_at", Number: l.ms(0)}}
		}))[0]
		l.clk.Advance(time.Second)
		l.do(func(tx *gorm.DB) error {
			_, err := l.Stop(tx, l.now(), []Stopped{{
				Delivery: &d, Verdict: guard.Verdict{Kind: guard.Defer, Reason: guard.ReasonGap, Until: l.ms(time.Minute)},
				Values: []guard.Value{{Name: "last_at", Number: l.ms(0)}, {Name: "gap_ms", Number: 60_000}},
			}})
			return err
		})
		l.clk.Advance(time.Minute)
		d = *l.get(d.ID)
		l.mark(5, &d)
		require.NoError(t, l.record(Outcome{Delivery: &d, State: StatePlanned, Reason: guard.ReasonPlatform, ErrCode: 45011, RID: "rid-1", RetryAt: l.ms(time.Second)}))
		require.Equal(t, []Event{EventPlanned, EventMoved, EventDeferred, EventMarked, EventRetried}, events(l.explain(d.ID)), "even within one millisecond")

		l.clk.Advance(time.Second)
		d = *l.get(d.ID)
		d.Reserved = Reservation{Buckets: 1<<wechat.TriggerMessage | 1<<wechat.TriggerScan, CapDay: 20_514}
		l.mark(6, &d)
		require.NoError(t, l.record(Outcome{Delivery: &d, State: StateUnknown, Reason: guard.ReasonAnswerLost}))
		require.NoError(t, l.record(Outcome{Delivery: &d, State: StateSent}))
		e := l.explain(d.ID)
		require.Equal(t, []Event{EventPlanned, EventMoved, EventDeferred, EventRetried, EventMarked, EventUnknown, EventSent}, events(e))
		require.Equal(t, "rid-1", e.Steps[3].RID)
		require.Equal(t, 45011, e.Steps[3].ErrCode)
		require.Equal(t, 1, e.Steps[3].Attempt)
		require.Equal(t, 2, e.Steps[4].Attempt)
		require.Equal(t, Reserved{[]wechat.Trigger{wechat.TriggerMessage, wechat.TriggerScan}, 20_514}, e.Steps[4].Reserved)
		require.Equal(t, []guard.Value{{Name: "last_at", Number: e.Steps[2].At}, {Name: "gap_ms", Number: 60_000}}, e.Steps[2].Values)
		require.Equal(t, StateSent, e.Delivery.State)

		_, err := l.Explain(t.Context(), 2, d.ID)
		require.True(t, fault.Is(err, fault.NotFound), "another account's delivery")
	})
}

func TestEveryEndIsExplained(t *testing.T) {
	t.Parallel()
	eachLedger(t, func(t *testing.T, l *ledger) {
		fan := int64(0)
		next := func() *Delivery {
			fan++
			return &l.plan(l.message(fan))[0]
		}
		skip := func(r guard.Reason) func(*Delivery) {
			return func(d *Delivery) {
				l.do(func(tx *gorm.DB) error {
					_, err := l.Stop(tx, l.now(), []Stopped{{Delivery: d, Verdict: guard.Verdict{Kind: guard.Skip, Reason: r}}})
					return err
				})
			}
		}
		end := func(o Outcome) func(*Delivery) {
			return func(d *Delivery) {
				l.mark(5, d)
				o.Delivery = d
				require.NoError(t, l.record(o))
			}
		}
		cases := map[Event]func(*Delivery){
			EventSkipped: skip(guard.ReasonGrantClosed),
			EventExpired: skip(guard.ReasonTooLate),
			EventSent:    end(Outcome{State: StateSent, ErrCode: 45065}),
			EventFailed:  end(Outcome{State: StateFailed, Reason: guard.ReasonContent}),
			EventUnknown: end(Outcome{State: StateUnknown, Reason: guard.ReasonWorkerDied}),
			EventCancelled: func(d *Delivery) {
				l.do(func(tx *gorm.DB) error {
					_, err := l.Cancel(tx, d.Source, account, []int64{d.FanID}, l.now())
					return err
				})
			},
			EventDelivered: func(d *Delivery) { l.force(d, StateDelivered) },
			EventRejected:  func(d *Delivery) { l.force(d, StateRejected) },
		}
		for want, do := range cases {
			d := next()
			do(d)
			got := events(l.explain(d.ID))
			require.Equal(t, want, got[len(got)-1])
			n := 0
			for _, e := range got {
				if e == want {
					n++
				}
			}
			require.Equal(t, 1, n, "%s is told once", want)
		}
	})
}

func (l *ledger) force(d *Delivery, state State) {
	l.t.Helper()
	l.mark(5, d)
	l.do(func(tx *gorm.DB) error {
		return tx.Exec("UPDATE deliveries SET state = ?, ended_at = ? WHERE id = ?", state, l.ms(0), d.ID).Error
	})
}

func TestWordsAreSentencesForMarketers(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("CST", 8*3600)
	at := time.Date(2026, 3, 2, 10, 3, 12, 0, zone)
	cases := []struct {
		step   TraceStep
		zh, en string
	}{
		{
			TraceStep{Event: EventSkipped, Reason: guard.ReasonGrantClosed},
			"10:03:12 未发送：没有有效的下发额度：发消息后 48 小时内，关注、扫码、点菜单后 1 分钟内可发",
			"10:03:12 skipped: no open grant: one lasts 48 hours after the fan's message, and 1 minute after a follow, a scan or a menu tap",
		},
		{ // a grant that ended at this very moment, and one that goes on
			TraceStep{Event: EventSkipped, Reason: guard.ReasonGrantExhausted, Values: []guard.Value{
				{Name: "message_until", Number: at.Add(time.Minute).UnixMilli()}, {Name: "follow_left", Number: 2}, {Name: "follow_until", Number: at.UnixMilli()},
			}},
			"10:03:12 未发送：客服消息额度已用完，要等粉丝再次互动（粉丝发消息额度至 10:04:12，关注额度剩 2 条，关注额度已于 10:03:12 到期）",
			"10:03:12 skipped: the grant is used up until the fan interacts again (the fan's message grant until 10:04:12, 2 left by follow, the grant by follow ended at 10:03:12)",
		},
		{
			TraceStep{Event: EventDeferred, Reason: guard.ReasonCap, Values: []guard.Value{{Name: "messages", Number: 2}, {Name: "cap", Number: 3}, {Name: "cap_used", Number: 3}}},
			"10:03:12 已推迟：已达到发送上限（本次 2 条，每日上限 3 条，今日已用 3 条）",
			"10:03:12 put off: the cap is reached (2 to send, daily cap 3, 3 used today)",
		},
		{
			TraceStep{Event: EventMoved, Reason: guard.ReasonQuietHours, Values: []guard.Value{
				{Name: "wished_at", Number: at.UnixMilli()}, {Name: "due_at", Number: at.Add(24 * time.Hour).UnixMilli()}, {Name: "gap_ms", Number: 90_000}, {Name: "of_no_words", Number: 1},
			}},
			"10:03:12 已改期：处于免打扰时段（原定 10:03:12，改为 2026-03-03 10:03:12，间隔至少 90 秒）",
			"10:03:12 moved: quiet hours (wished for 10:03:12, now due 2026-03-03 10:03:12, gap at least 90 s)",
		},
		{
			TraceStep{Event: EventMarked, Attempt: 2, Reserved: Reserved{[]wechat.Trigger{wechat.TriggerMessage, wechat.TriggerScan}, 20_514}},
			"10:03:12 开始发送（占用额度：粉丝发消息、扫码，计入 2026-03-02 的发送上限，第 2 次尝试）",
			"10:03:12 sending (takes one of the grant by the fan's message and scan, counts in the caps of 2026-03-02, attempt 2)",
		},
		{
			TraceStep{Event: EventFailed, Reason: guard.ReasonPlatform, ErrCode: 45047},
			"10:03:12 发送失败：微信返回了错误。微信错误 45047：这位粉丝的客服消息条数已用完；请等待粉丝再次互动",
			"10:03:12 failed: WeChat answered with an error. WeChat error 45047: the fan's customer-service messages are used up; wait for the fan's next interaction",
		},
		{TraceStep{Event: EventSent}, "10:03:12 已发送", "10:03:12 sent"},
	}
	for _, c := range cases {
		c.step.At = at.UnixMilli()
		require.Equal(t, c.zh, Words(&c.step, lang.ZH, zone))
		require.Equal(t, c.en, Words(&c.step, lang.EN, zone))
	}
	require.Equal(t, "2 小时", span(2*time.Hour, lang.ZH))
	require.Equal(t, "90 min", span(90*time.Minute, lang.EN))
}

func inBoth(t *testing.T, of any, b lang.Text) {
	t.Helper()
	require.NotEmpty(t, b.ZH, "%v has no Chinese words", of)
	require.NotEmpty(t, b.EN, "%v has no English words", of)
	isHan := func(r rune) bool { return r >= 0x4e00 && r <= 0x9fff }
	require.True(t, strings.ContainsFunc(b.ZH, isHan), b.ZH)
	require.False(t, strings.ContainsFunc(b.EN, isHan), b.EN)
}

func TestEveryReasonEventAndFigureHasWords(t *testing.T) {
	t.Parallel()
	for _, r := range guard.Reasons() {
		inBoth(t, r, reasonWords[r])
	}
	require.Len(t, reasonWords, len(guard.Reasons()))
	for _, e := range Events() {
		inBoth(t, e, eventWords[e])
	}
	require.Len(t, eventWords, len(Events()))
	for _, name := range figures(t) {
		words, known := wordsOfValue(name)
		require.True(t, known, "%s has no words", name)
		inBoth(t, name, words)
		require.Contains(t, words.ZH, "#")
		require.Contains(t, words.EN, "#")
	}
}

// figures lists every name that guard can put into a trace, by making it explain each reason with all facts given, and those of planning.
func figures(t *testing.T) []string {
	t.Helper()
	most := 3
	policy, err := guard.PolicySpec{
		DailyCap: &most, WeeklyCap: new(2 * most), MonthlyCap: new(3 * most), GapMinutes: 1, HoldForAgents: 1, Quiet: []guard.QuietRange{{Start: "10:00", End: "12:00"}},
	}.Compile("UTC")
	require.NoError(t, err)
	at := time.Date(2026, 3, 2, 11, 0, 0, 0, time.UTC)
	full := guard.Counts{most, 2 * most, 3 * most}
	facts := guard.Facts{Used: full, CampaignCaps: guard.Caps(full), CampaignUsed: full, MarketingAt: 1}
	for i := range facts.Grants.Buckets {
		facts.Grants.Buckets[i] = guard.Bucket{Left: 1, Until: at.UnixMilli()}
	}
	names := []string{"wished_at", "due_at", "not_after_at"}
	moment := policy.At(at)
	for _, r := range guard.Reasons() {
		for _, v := range guard.Values(&moment, policy, &guard.Request{Messages: 1}, &facts, guard.Verdict{Reason: r}) {
			names = append(names, v.Name)
		}
	}
	require.Contains(t, names, "payment_until")
	for _, name := range []string{"cap", "week_cap", "month_cap"} {
		require.Subset(t, names, []string{name, name + "_used", "campaign_" + name, "campaign_" + name + "_used"})
	}
	return names
}

func TestTheNamesOfSourcesAndStatesAreStable(t *testing.T) {
	t.Parallel()
	var names []string
	for k := SourceDrip; k <= SourceInbox; k++ {
		require.Equal(t, k <= SourceBroadcast, Source{Kind: k}.Campaign())
		require.Equal(t, Source{k, 1 << 50}, sourceOf(Source{k, 1 << 50}.key()))
		names = append(names, k.String())
	}
	out, err := json.Marshal(names)
	require.NoError(t, err)
	require.JSONEq(t, `["drip","broadcast","reply","channel","poster","api","test","inbox"]`, string(out))
}

func TestCountsAndTimelinesAreOfOneAccount(t *testing.T) {
	t.Parallel()
	eachLedger(t, func(t *testing.T, l *ledger) {
		rows := l.plan(l.message(1), l.message(1, func(p *Planned) { p.StepNo = 2 }), l.message(2, func(p *Planned) { p.Source.ID = 8 }), l.message(1, func(p *Planned) { p.AccountID = 2 }))
		l.mark(5, &rows[0], &rows[2])
		require.NoError(t, l.record(Outcome{Delivery: &rows[0], State: StateFailed, Reason: guard.ReasonPlatform}))
		line, err := l.Timeline(t.Context(), account, 1)
		require.NoError(t, err)
		require.Len(t, line, 2)
		latest, err := l.Latest(t.Context(), account, 10)
		require.NoError(t, err)
		require.Equal(t, []int64{rows[2].ID, rows[0].ID}, []int64{latest[0].ID, latest[1].ID})
		counts, err := l.CountSource(t.Context(), account, Source{SourceDrip, 7})
		require.NoError(t, err)
		require.Equal(t, []Count{{StatePlanned, guard.ReasonNone, 1}, {StateFailed, guard.ReasonPlatform, 1}}, counts)
		counts, err = l.CountAccount(t.Context(), account)
		require.NoError(t, err)
		require.Len(t, counts, 3)
	})
}
