package campaigns

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"hongyan/accounts"
	"hongyan/deliveries"
	"hongyan/guard"
	"hongyan/internal/lang"
)

// LostQuery narrows a report of lost reach. The zero value covers all drips and days.
type LostQuery struct {
	DripID int64
	// From and To are the first and last day in the account's zone, numbered as by guard.Policy.Day; 0 is no bound.
	From, To int
}

// LostReason is what one rule cost: messages that were due and did not go for it.
type LostReason struct {
	Reason   guard.Reason
	Messages int64
	// Steps are those of the messages that were the first of their step: how many times a fan missed a step from its beginning. A fan who missed several counts as often.
	Steps int64
	// Setting is the account's rule as it is now; "" where there is nothing to set.
	Setting lang.Text
	Days    []LostDay  // in the order of time; days without any are left out
	Places  []LostStep // the most expensive first
}

// LostDay is what a rule cost on a day, numbered as by guard.Policy.Day.
type LostDay struct {
	Day      int
	Messages int64
}

// LostStep is what a rule cost a step.
type LostStep struct {
	DripID   int64
	Version  int
	StepNo   int
	Messages int64
}

// LostReach tells what each rule cost the account's drips, the most expensive first. It reads counters alone. Errors: NotFound for the drip.
func (s *Store) LostReach(ctx context.Context, account *accounts.Account, q LostQuery) ([]LostReason, error) {
	tx := s.DB.Read(ctx)
	var ids []int64
	err := tx.Raw("SELECT id FROM campaigns WHERE account_id = ? AND kind = ? AND (? = 0 OR id = ?) ORDER BY id", account.ID, kindDrip, q.DripID, q.DripID).Scan(&ids).Error
	if err != nil {
		return nil, fmt.Errorf("list drips: %w", err)
	}
	if q.DripID != 0 && len(ids) == 0 {
		return nil, notFound(q.DripID)
	}
	f := deliveries.Figures{AccountID: account.ID, Kind: deliveries.SourceDrip, SourceIDs: ids, From: q.From, To: q.To, Stopped: true}
	counters, err := s.Ledger.ReadFigures(ctx, f)
	if err != nil {
		return nil, err
	}
	f.ByDay = true
	days, err := s.Ledger.ReadFigures(ctx, f)
	if err != nil {
		return nil, err
	}
	concerned := make([]int64, len(counters))
	for i := range counters {
		concerned[i] = counters[i].Source.ID
	}
	x, err := s.indexOf(tx, account.ID, concerned)
	if err != nil {
		return nil, err
	}
	l := lost{}
	for i := range counters {
		if place, known := x.places[counters[i].MessageID]; known {
			l.add(place, &counters[i])
		}
	}
	for i := range days {
		l.of(days[i].Reason).days[days[i].Day] += days[i].N
	}
	return l.reasons(account), nil
}

// lost sums up what rules cost.
type lost map[guard.Reason]*lostSums

type lostSums struct {
	messages, steps int64
	days            map[int]int64
	places          map[LostStep]int64
}

func (l lost) of(r guard.Reason) *lostSums {
	if l[r] == nil {
		l[r] = &lostSums{days: map[int]int64{}, places: map[LostStep]int64{}}
	}
	return l[r]
}

func (l lost) add(at messagePlace, c *deliveries.Counter) {
	sums := l.of(c.Reason)
	sums.messages += c.N
	if at.messageNo == 1 {
		sums.steps += c.N
	}
	sums.places[LostStep{DripID: at.dripID, Version: at.number, StepNo: at.stepNo}] += c.N
}

func (l lost) reasons(account *accounts.Account) []LostReason {
	out := make([]LostReason, 0, len(l))
	for reason, sums := range l {
		r := LostReason{Reason: reason, Messages: sums.messages, Steps: sums.steps, Setting: settingOf(reason, account.Spec)}
		for _, day := range sortedKeys(sums.days) {
			r.Days = append(r.Days, LostDay{day, sums.days[day]})
		}
		for place, n := range sums.places {
			place.Messages = n
			r.Places = append(r.Places, place)
		}
		slices.SortFunc(r.Places, func(a, b LostStep) int {
			return cmp.Or(cmp.Compare(b.Messages, a.Messages), cmp.Compare(a.DripID, b.DripID), cmp.Compare(a.Version, b.Version), cmp.Compare(a.StepNo, b.StepNo))
		})
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b LostReason) int {
		return cmp.Or(cmp.Compare(b.Messages, a.Messages), cmp.Compare(a.Reason, b.Reason))
	})
	return out
}

// settingOf is an account's rule in words.
func settingOf(r guard.Reason, spec guard.PolicySpec) lang.Text {
	switch r {
	case guard.ReasonCap:
		return capsInWords(spec)
	case guard.ReasonGap:
		return withNumber(spec.GapMinutes, lang.Text{ZH: "两条营销消息至少间隔 # 分钟", EN: "at least # minutes between two marketing messages"})
	case guard.ReasonGrantReserved:
		return withNumber(spec.HoldForAgents, lang.Text{ZH: "为人工客服保留 # 条", EN: "# messages kept for agents"})
	case guard.ReasonQuietHours:
		return quietInWords(spec)
	default:
		return lang.Text{}
	}
}

func withNumber(n int, t lang.Text) lang.Text {
	number := strconv.Itoa(n)
	return lang.Text{ZH: strings.ReplaceAll(t.ZH, "#", number), EN: strings.ReplaceAll(t.EN, "#", number)}
}

func capsInWords(spec guard.PolicySpec) lang.Text {
	var all []lang.Text
	for _, c := range []struct {
		most  *int
		words lang.Text
	}{
		{spec.DailyCap, lang.Text{ZH: "每日上限 # 条", EN: "daily cap #"}},
		{spec.WeeklyCap, lang.Text{ZH: "每周上限 # 条", EN: "weekly cap #"}},
		{spec.MonthlyCap, lang.Text{ZH: "每月上限 # 条", EN: "monthly cap #"}},
	} {
		if c.most != nil {
			all = append(all, withNumber(*c.most, c.words))
		}
	}
	if len(all) == 0 {
		return lang.Text{ZH: "公众号没有设上限，由活动自己的上限决定", EN: "the account has no cap; the drip's own applies"}
	}
	return joined(all)
}

func quietInWords(spec guard.PolicySpec) lang.Text {
	var all []lang.Text
	for _, q := range spec.Quiet {
		zh, en := q.Start+"–"+q.End, q.Start+"–"+q.End
		if len(q.Days) > 0 {
			zh, en = weekdaysZH(q.Days)+" "+zh, strings.Join(q.Days, "/")+" "+en
		}
		all = append(all, lang.Text{ZH: zh, EN: en})
	}
	if len(spec.Holidays) > 0 {
		all = append(all, withNumber(len(spec.Holidays), lang.Text{ZH: "另有 # 个节假日", EN: "and # holidays"}))
	}
	return joined(all)
}

func weekdaysZH(days []string) string {
	names := map[string]string{"mon": "周一", "tue": "周二", "wed": "周三", "thu": "周四", "fri": "周五", "sat": "周六", "sun": "周日"}
	out := make([]string, len(days))
	for i, d := range days {
		out[i] = names[d]
	}
	return strings.Join(out, "、")
}

func joined(all []lang.Text) lang.Text {
	zh, en := make([]string, len(all)), make([]string, len(all))
	for i, t := range all {
		zh[i], en[i] = t.ZH, t.EN
	}
	return lang.Text{ZH: strings.Join(zh, "，"), EN: strings.Join(en, ", ")}
}
