package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"hongyan/campaigns"
	"hongyan/deliveries"
	"hongyan/guard"
	"hongyan/internal/lang"
	"hongyan/wechat/simulator"
)

// report prints one fan's story and what came of everything.
func (w *demoWorld) report(ctx context.Context, out io.Writer, book *demoBook) error {
	if err := w.timeline(ctx, out, book); err != nil {
		return err
	}
	w.outcomes(out, book)
	w.funnel(out, book)
	return nil
}

// shownLines is how long a fan's story may be before another fan is the better example.
const shownLines = 36

// interesting is the fan whose messages met the most different fates.
func (w *demoWorld) interesting(book *demoBook) *demoFan {
	var best *demoFan
	most := -1
	for i := range book.fans {
		f := &book.fans[i]
		fates := map[string]bool{}
		lines := len(w.acts[f.fan.OpenID])
		for j := range f.rows {
			d := &f.rows[j]
			fates[d.State.String()+d.Reason.String()] = true
			if d.Attempt > 1 {
				fates["retried"] = true
			}
			lines += 2
		}
		for _, a := range w.acts[f.fan.OpenID] {
			if a.Kind == simulator.ActUnfollow {
				fates["unfollowed"] = true
			}
		}
		if score := 10*len(fates) - max(0, lines-shownLines); score > most {
			best, most = f, score
		}
	}
	return best
}

// event is a line of a fan's story.
type event struct {
	at   int64
	who  string
	text string
}

// timeline prints what one fan did and what was decided about each message, in the words of the explanation.
func (w *demoWorld) timeline(ctx context.Context, out io.Writer, book *demoBook) error {
	f := w.interesting(book)
	if f == nil {
		return nil
	}
	zone := w.account.Policy.Zone
	var events []event
	for _, a := range w.acts[f.fan.OpenID] {
		events = append(events, event{a.At.UnixMilli(), "粉丝", actWords(a)})
	}
	for i := range f.rows {
		story, err := w.server.Scheduler.Ledger.Explain(ctx, w.account.ID, f.rows[i].ID)
		if err != nil {
			return err
		}
		for j := range story.Steps {
			step := &story.Steps[j]
			if step.Event == deliveries.EventPlanned && (j+1 < len(story.Steps) && story.Steps[j+1].At == step.At) {
				continue // what became of it in the same moment says more
			}
			_, words, _ := strings.Cut(deliveries.Words(step, lang.ZH, zone), " ")
			events = append(events, event{step.At, w.stepName(&f.rows[i]), words})
		}
	}
	slices.SortStableFunc(events, func(a, b event) int { return cmp.Compare(a.at, b.at) })
	fmt.Fprintf(out, "\n一位粉丝的一周 / One fan's week（%s…）\n", f.fan.OpenID[:10])
	day := ""
	for _, e := range events {
		at := time.UnixMilli(e.at).In(zone)
		if d := at.Format(time.DateOnly); d != day {
			day = d
			fmt.Fprintf(out, "  %s %s\n", day, weekdayNames[at.Weekday()])
		}
		fmt.Fprintf(out, "    %s  %s %s\n", at.Format(time.TimeOnly), pad(e.who, 12), e.text)
	}
	return nil
}

var weekdayNames = [...]string{"周日", "周一", "周二", "周三", "周四", "周五", "周六"}

func actWords(a simulator.Act) string {
	switch a.Kind {
	case simulator.ActFollow:
		return "▸ 关注公众号"
	case simulator.ActUnfollow:
		return "▸ 取消关注"
	case simulator.ActText:
		return "▸ 发消息「" + a.Text + "」"
	case simulator.ActClick:
		return "▸ 点菜单「" + a.Key + "」"
	case simulator.ActImage:
		return "▸ 发来一张图片"
	case simulator.ActPlace:
		return "▸ 发来位置"
	default:
		return "▸ " + string(a.Kind)
	}
}

// fate is how a delivery ended.
type fate struct {
	state  deliveries.State
	reason guard.Reason
}

// outcomes prints how many deliveries ended how, and why.
func (w *demoWorld) outcomes(out io.Writer, book *demoBook) {
	counts := map[fate]int{}
	total := 0
	for _, f := range book.fans {
		for i := range f.rows {
			counts[fate{f.rows[i].State, f.rows[i].Reason}]++
			total++
		}
	}
	fates := slices.SortedFunc(maps.Keys(counts), func(a, b fate) int {
		return cmp.Or(cmp.Compare(a.state, b.state), cmp.Compare(counts[b], counts[a]), cmp.Compare(a.reason, b.reason))
	})
	fmt.Fprintf(out, "\n结果与原因 / Outcomes by reason（%d 条消息 / messages）\n", total)
	for _, f := range fates {
		words, code := "", f.state.String()
		if f.reason != guard.ReasonNone {
			words, code = deliveries.ReasonWords(f.reason, lang.ZH), code+"/"+f.reason.String()
		}
		fmt.Fprintf(out, "  %6d  %s %s %s\n", counts[f], pad(deliveries.StateWords(f.state, lang.ZH), 10), pad(code, 26), words)
	}
}

// stepFigures are how far fans came in a step.
type stepFigures struct{ planned, sent, unknown, other int }

// funnel prints each step's figures. Sent and unknown count as arrived for the next step; the others are named by their most frequent reason.
func (w *demoWorld) funnel(out io.Writer, book *demoBook) {
	figures := map[int64][]stepFigures{}
	reasons := map[int64][]map[guard.Reason]int{}
	for _, d := range w.drips {
		figures[d.ID] = make([]stepFigures, len(d.Definition.Steps))
		for range d.Definition.Steps {
			reasons[d.ID] = append(reasons[d.ID], map[guard.Reason]int{})
		}
	}
	for _, f := range book.fans {
		for i := range f.rows {
			d := &f.rows[i]
			figures[d.Source.ID][d.StepNo-1].add(d.State)
			if d.State != deliveries.StateSent && d.State != deliveries.StateUnknown {
				reasons[d.Source.ID][d.StepNo-1][d.Reason]++
			}
		}
	}
	fmt.Fprintf(out, "\n每一步 / Steps（消息数 / messages）\n")
	for _, d := range w.drips {
		fmt.Fprintf(out, "  %s %8s %8s %8s %8s\n", pad(d.Name, 30), "planned", "sent", "unknown", "other")
		for i := range d.Definition.Steps {
			s, n := &d.Definition.Steps[i], figures[d.ID][i]
			label := fmt.Sprintf("  %d. %s × %d", i+1, whenWords(s), len(s.Messages))
			fmt.Fprintf(out, "  %s %8d %8d %8d %8d  %s\n", pad(label, 30), n.planned, n.sent, n.unknown, n.other, mainReason(reasons[d.ID][i]))
		}
	}
}

func (n *stepFigures) add(s deliveries.State) {
	n.planned++
	switch s {
	case deliveries.StateSent:
		n.sent++
	case deliveries.StateUnknown:
		n.unknown++
	default:
		n.other++
	}
}

func mainReason(counts map[guard.Reason]int) string {
	if len(counts) == 0 {
		return ""
	}
	main := slices.MinFunc(slices.Collect(maps.Keys(counts)), func(a, b guard.Reason) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	return fmt.Sprintf("%d × %s", counts[main], deliveries.ReasonWords(main, lang.ZH))
}

func whenWords(s *campaigns.Step) string {
	switch {
	case s.At != "" && s.Days == 1:
		return "次日 " + s.At
	case s.At != "":
		return fmt.Sprintf("%d 天后 %s", s.Days, s.At)
	case s.Delay == "0s":
		return "立即"
	default:
		return s.Delay + " 后"
	}
}

// pad fills a text up to a width on the terminal, where Chinese characters take two columns.
func pad(s string, width int) string {
	for _, r := range s {
		if width--; r >= 0x2e80 {
			width--
		}
	}
	return s + strings.Repeat(" ", max(0, width))
}
