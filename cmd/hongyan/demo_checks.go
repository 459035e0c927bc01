package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"hongyan/campaigns"
	"hongyan/deliveries"
	"hongyan/fans"
	"hongyan/guard"
	"hongyan/scheduler"
	"hongyan/wechat/simulator"
)

// demoBook is the ledger as it stands at the end, and what reached the fans by the platform's own record.
type demoBook struct {
	fans []demoFan
}

// demoFan is one fan's part of it.
type demoFan struct {
	fan      *fans.Fan
	rows     []deliveries.Delivery
	arrivals []simulator.Arrival
}

// fansPage is how many fans are read at once.
const fansPage = 500

// read collects what the ledger and the platform know.
func (w *demoWorld) read(ctx context.Context) (*demoBook, error) {
	book := &demoBook{}
	sch := w.server.Scheduler
	for after := int64(0); ; {
		page, err := sch.Fans.FindFans(ctx, w.account.ID, fans.FanFilter{AfterID: after, Limit: fansPage})
		if err != nil {
			return nil, err
		}
		for _, fan := range page {
			f := demoFan{fan: fan}
			if f.rows, err = sch.Ledger.Timeline(ctx, w.account.ID, fan.ID); err != nil {
				return nil, err
			}
			if f.arrivals, err = w.sim.Arrivals(fan.OpenID); err != nil {
				return nil, err
			}
			book.fans = append(book.fans, f)
			after = fan.ID
		}
		if len(page) < fansPage {
			return book, nil
		}
	}
}

// demoCheck is one thing that must hold.
type demoCheck struct {
	holds  bool
	name   string
	detail string
}

func printChecks(out io.Writer, checks []demoCheck) bool {
	fmt.Fprintf(out, "\n核对 / Checks\n")
	all := true
	for _, c := range checks {
		mark := "✓"
		if !c.holds {
			mark, all = "✗", false
		}
		fmt.Fprintf(out, "  %s %s\n      %s\n", mark, c.name, c.detail)
	}
	return all
}

// checks holds the ledger against the platform's record. What the account's rules allow is counted anew from the arrivals.
func (w *demoWorld) checks(book *demoBook) []demoCheck {
	rules := w.recount(book)
	duplicates := len(w.sim.Duplicates())
	codes := w.sim.Counts().Send().Codes
	unavailable := w.sim.Counts().Pushes[simulator.OutcomeUnavailable]
	return append(w.countChecks(book),
		demoCheck{duplicates == 0, "没有粉丝收到重复的消息 / no fan got a message twice", fmt.Sprintf("重复 %d / duplicates %d", duplicates, duplicates)},
		demoCheck{rules.quiet == 0 && rules.strange == 0, "免打扰时段内没有营销消息 / no marketing message in quiet hours",
			fmt.Sprintf("营销消息 %d 条，其中免打扰时段 %d 条，来历不明 %d 条", rules.marketing, rules.quiet, rules.strange)},
		demoCheck{rules.most <= demoCap, "每人每天不超过上限 / the cap holds per fan and day", fmt.Sprintf("上限 %d，最多的一天 %d 条 / cap %d, most %d", demoCap, rules.most, demoCap, rules.most)},
		demoCheck{rules.close == 0, "营销消息之间的间隔足够 / the gap between marketing messages holds", fmt.Sprintf("间隔不足 %d 分钟的 %d 次", demoGapMinutes, rules.close)},
		demoCheck{codes[codeClosed]+codes[codeUsedUp] == 0, "平台从未因额度拒绝 / the platform never refused for want of a grant",
			fmt.Sprintf("45015 × %d，45047 × %d", codes[codeClosed], codes[codeUsedUp])},
		demoCheck{unavailable == 0, "每个推送都得到答复 / every push was answered", fmt.Sprintf("粉丝看到“暂时无法提供服务” %d 次", unavailable)},
	)
}

// replayed builds everything that is believed of the fans anew from their pushes and the ledger.
func (w *demoWorld) replayed(ctx context.Context) (demoCheck, error) {
	sch := w.server.Scheduler
	r, err := scheduler.NewReplay(scheduler.ReplayOptions{DB: w.server.storage.db, Clock: w.server.Clock, Accounts: sch.Accounts, AccountID: w.account.ID}).Run(ctx)
	if err != nil {
		return demoCheck{}, err
	}
	return demoCheck{r.Equal() && r.Fans > 0, "由推送和台账重建的状态与现状一致 / rebuilt from pushes and ledger, everything is as it stands",
		fmt.Sprintf("粉丝 %d，推送 %d，计数 %d，不符 %d / hash %.16s", r.Fans, r.Pushes, r.Figures, r.DifferentFans+r.DifferentFigures, r.Live)}, nil
}

// The platform's refusals for want of a grant (platform.md 3.5).
const (
	codeClosed = 45015
	codeUsedUp = 45047
)

// countChecks compares what the ledger says was sent with what the platform accepted.
func (w *demoWorld) countChecks(book *demoBook) []demoCheck {
	var kefu, passive, unknown, open, total, off int
	arrivals := map[simulator.Via]int{}
	for _, f := range book.fans {
		sent, doubtful := 0, 0
		for i := range f.rows {
			d := &f.rows[i]
			total++
			switch {
			case d.State == deliveries.StateUnknown:
				doubtful++
			case d.State == deliveries.StateSent && d.Channel == guard.ChannelPassive:
				passive, sent = passive+1, sent+1
			case d.State == deliveries.StateSent:
				kefu, sent = kefu+1, sent+1
			case !d.State.Terminal():
				open++
			}
		}
		for _, a := range f.arrivals {
			arrivals[a.Via]++
		}
		if n := len(f.arrivals); n < sent || n > sent+doubtful {
			off++
		}
		unknown += doubtful
	}
	c := w.sim.Counts().Send()
	lost := c.LostAccepted + c.BusyAccepted
	return []demoCheck{
		{c.Accepted == kefu+lost && arrivals[simulator.ViaKefu] == c.Accepted, "客服消息：平台接受数 = 台账已发送 + 平台接受但应答丢失 / accepted = sent + accepted with a lost answer",
			fmt.Sprintf("%d = %d + %d", c.Accepted, kefu, lost)},
		{unknown == c.Unknowable(), "结果未知 = 平台一侧丢失的应答 / unknown = answers lost by the platform's count",
			fmt.Sprintf("%d = %d（应答丢失 %d，-1 %d；其中实际已送 %d）", unknown, c.Unknowable(), c.LostAccepted+c.LostNotAccepted, c.BusyAccepted+c.BusyNotAccepted, lost)},
		{arrivals[simulator.ViaPassive] == passive, "被动回复：平台收到数 = 台账已发送 / passive replies: arrived = sent", fmt.Sprintf("%d = %d", arrivals[simulator.ViaPassive], passive)},
		{off == 0, "逐个粉丝核对：收到数在已发送与已发送加未知之间 / fan by fan: sent ≤ arrived ≤ sent + unknown", fmt.Sprintf("%d 位粉丝，不符 %d", len(book.fans), off)},
		{open == 0 && total > 0, "每条消息都有唯一的终态 / every delivery is in one terminal state", fmt.Sprintf("%d 条，未了结 %d", total, open)},
	}
}

// recounted is what the account's rules are measured by.
type recounted struct {
	marketing int
	quiet     int // of them within quiet hours
	most      int // on one day to one fan
	close     int // too soon after another step
	strange   int // arrivals that no drip says
}

// recount counts the marketing messages that arrived. It knows them by their texts, and so needs nothing of ours but the drips.
func (w *demoWorld) recount(book *demoBook) recounted {
	known := map[string]demoMessage{}
	for _, d := range w.drips {
		for i, step := range d.Definition.Steps {
			for j, m := range step.Messages {
				known[strings.ReplaceAll(m.Text.Content, "{{nickname|朋友}}", "朋友")] = demoMessage{d.ID, i, j, step.Class != "reply"}
			}
		}
	}
	var out recounted
	for _, f := range book.fans {
		out.add(f.arrivals, known)
	}
	return out
}

// demoMessage is where a message that arrived comes from.
type demoMessage struct {
	drip      int64
	step, no  int
	marketing bool
}

// follows reports whether a message is the rest of the step of which another arrived before it.
func (m demoMessage) follows(o demoMessage) bool {
	return m.drip == o.drip && m.step == o.step && m.no > o.no
}

func (r *recounted) add(arrivals []simulator.Arrival, messages map[string]demoMessage) {
	perDay := map[string]int{}
	var last time.Time
	var before demoMessage
	for _, a := range arrivals {
		message, known := messages[a.Content]
		if !known {
			r.strange++
		}
		if !message.marketing {
			continue
		}
		r.marketing++
		local := a.At.In(demoBegin.Location())
		if clock := local.Format("15:04"); clock >= demoQuietFrom || clock < demoQuietTo {
			r.quiet++
		}
		day := local.Format(time.DateOnly)
		perDay[day]++
		r.most = max(r.most, perDay[day])
		// The gap is between steps: messages of one step arrive at the same moment, or a little later when the platform put one off.
		if pause := a.At.Sub(last); pause > 0 && pause < demoGapMinutes*time.Minute && !message.follows(before) {
			r.close++
		}
		last, before = a.At, message
	}
}

// stepName names a delivery by its drip and place in it.
func (w *demoWorld) stepName(d *deliveries.Delivery) string {
	name := fmt.Sprintf("#%d", d.Source.ID)
	if drip := w.drip(d.Source.ID); drip != nil {
		name = drip.Name
	}
	if d.StepSize > 1 {
		return fmt.Sprintf("%s·%d.%d", name, d.StepNo, d.MessageNo)
	}
	return fmt.Sprintf("%s·%d", name, d.StepNo)
}

func (w *demoWorld) drip(id int64) *campaigns.Drip {
	for _, d := range w.drips {
		if d.ID == id {
			return d
		}
	}
	return nil
}
