package simulator

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"hongyan/wechat"
	"hongyan/wechat/callback"
)

// eachPush visits the account's kept pushes; the record is locked.
func (q *statQuery) eachPush(visit func(*Push)) {
	appID, r := q.a.config().AppID, &q.s.record
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.pushes {
		if r.pushes[i].AppID == appID {
			visit(&r.pushes[i])
		}
	}
}

func hourOf(at time.Time) wechat.Hour {
	return wechat.Hour((at.Unix() + beijingOffset) / 3600 % 24)
}

// followOf tells whether a push says that somebody began to follow, and how.
func followOf(p *Push) (wechat.FollowSource, bool) {
	if p.Act != ActFollow && p.Act != ActScan {
		return 0, false
	}
	e, err := callback.Parse([]byte(p.Body))
	switch {
	case err != nil || e.Name != "subscribe":
		return 0, false
	case e.Scene() != "":
		return wechat.SourceQRCode, true
	}
	return wechat.SourceOther, true
}

type followKey struct {
	day    wechat.Day
	source wechat.FollowSource
}

// followRows has a row for each day and source with a follow or an unfollow. Who left counts under SourceOther.
func followRows(q *statQuery) any {
	counts := map[followKey]*wechat.FollowRow{}
	at := func(p *Push, source wechat.FollowSource) *wechat.FollowRow {
		day, asked := q.bucket(wechat.DayOf(p.At))
		if !asked {
			return &wechat.FollowRow{}
		}
		k := followKey{day, source}
		if counts[k] == nil {
			counts[k] = &wechat.FollowRow{Day: day, Source: source}
		}
		return counts[k]
	}
	q.eachPush(func(p *Push) {
		if source, ok := followOf(p); ok {
			at(p, source).Followed++
		}
		if p.Act == ActUnfollow {
			at(p, wechat.SourceOther).Left++
		}
	})
	rows := []wechat.FollowRow{}
	for _, k := range slices.SortedFunc(maps.Keys(counts), func(a, b followKey) int {
		return cmp.Or(a.day.Sub(b.day), cmp.Compare(a.source, b.source))
	}) {
		rows = append(rows, *counts[k])
	}
	return rows
}

// fanRows counts back from today's fans.
func fanRows(q *statQuery) any {
	fans := 0
	for _, f := range q.a.fanList() {
		shard := q.s.fans.shard(f.openID)
		shard.mu.Lock()
		if f.subscribed {
			fans++
		}
		shard.mu.Unlock()
	}
	gained := map[wechat.Day]int{}
	q.eachPush(func(p *Push) {
		day := wechat.DayOf(p.At)
		if _, ok := followOf(p); ok {
			gained[day]++
		}
		if p.Act == ActUnfollow {
			gained[day]--
		}
	})
	rows := []wechat.FanRow{}
	for day := q.now; !day.Before(q.from); day = day.Add(-1) {
		if !q.to.Before(day) {
			rows = append(rows, wechat.FanRow{Day: day, Fans: fans})
		}
		fans -= gained[day]
	}
	slices.Reverse(rows)
	return rows
}

// messageTypeOf is how a message counts. The platform lists no type for a location, so that counts nowhere.
func messageTypeOf(kind ActKind) (wechat.MessageType, bool) {
	switch kind {
	case ActText, ActTap:
		return wechat.MessageText, true
	case ActImage:
		return wechat.MessageImage, true
	case ActVoice:
		return wechat.MessageVoice, true
	case ActVideo, ActShortVideo:
		return wechat.MessageVideo, true
	case ActLink:
		return wechat.MessageLink, true
	default:
		return 0, false
	}
}

type messageKey struct {
	day  wechat.Day
	hour wechat.Hour
	kind wechat.MessageType
}

// messages counts how often each fan wrote. keep says what of a message's key matters.
func (q *statQuery) messages(keep func(messageKey) messageKey) map[messageKey]map[string]int {
	out := map[messageKey]map[string]int{}
	q.eachPush(func(p *Push) {
		kind, isMessage := messageTypeOf(p.Act)
		day, asked := q.bucket(wechat.DayOf(p.At))
		if !isMessage || !asked {
			return
		}
		k := keep(messageKey{day, hourOf(p.At), kind})
		if out[k] == nil {
			out[k] = map[string]int{}
		}
		out[k][p.OpenID]++
	})
	return out
}

func (q *statQuery) messageRows(keep func(messageKey) messageKey) []wechat.MessageHourRow {
	counts := q.messages(keep)
	rows := []wechat.MessageHourRow{}
	for _, k := range slices.SortedFunc(maps.Keys(counts), func(a, b messageKey) int {
		return cmp.Or(a.day.Sub(b.day), cmp.Compare(a.hour, b.hour), cmp.Compare(a.kind, b.kind))
	}) {
		row := wechat.MessageHourRow{
			MessageRow: wechat.MessageRow{Day: k.day, Type: k.kind, Writers: len(counts[k])}, Hour: k.hour,
		}
		for _, n := range counts[k] {
			row.Messages += n
		}
		rows = append(rows, row)
	}
	return rows
}

func messageHourRows(q *statQuery) any {
	return q.messageRows(func(k messageKey) messageKey { return k })
}

func messageRows(q *statQuery) any {
	rows := q.messageRows(func(k messageKey) messageKey { return messageKey{day: k.day, kind: k.kind} })
	return withoutHours(rows, func(r wechat.MessageHourRow) wechat.MessageRow { return r.MessageRow })
}

func withoutHours[H, D any](rows []H, strip func(H) D) []D {
	out := make([]D, len(rows))
	for i, r := range rows {
		out[i] = strip(r)
	}
	return out
}

// writerRows has no row of fans who wrote nothing, though the platform has a number for that amount.
func writerRows(q *statQuery) any {
	counts := q.messages(func(k messageKey) messageKey { return messageKey{day: k.day} })
	rows := []wechat.WriterRow{}
	for _, k := range slices.SortedFunc(maps.Keys(counts), func(a, b messageKey) int { return a.day.Sub(b.day) }) {
		writers := [wechat.AmountOver10 + 1]int{}
		for _, n := range counts[k] {
			writers[wechat.AmountOf(n)]++
		}
		for amount, n := range writers {
			if n > 0 {
				rows = append(rows, wechat.WriterRow{Day: k.day, Amount: wechat.Amount(amount), Writers: n})
			}
		}
	}
	return rows
}

type callbackKey struct {
	day  wechat.Day
	hour wechat.Hour
}

// callbacks counts the tries of pushes. How long one took is invented, because a clock that is moved by hand does not
// pass meanwhile; one without an answer took the whole time.
func (q *statQuery) callbacks(byHour bool) []wechat.CallbackHourRow {
	counts := map[callbackKey]*wechat.CallbackHourRow{}
	q.eachPush(func(p *Push) {
		for n, t := range p.Tries {
			day, asked := q.bucket(wechat.DayOf(t.At))
			if !asked {
				continue
			}
			k := callbackKey{day: day}
			if byHour {
				k.hour = hourOf(t.At)
			}
			row := counts[k]
			if row == nil {
				row = &wechat.CallbackHourRow{CallbackRow: wechat.CallbackRow{Day: day}, Hour: k.hour}
				counts[k] = row
			}
			took := q.s.took(p, n)
			row.Pushes, row.TotalMS, row.MaxMS = row.Pushes+1, row.TotalMS+took, max(row.MaxMS, took)
			if t.Error != "" {
				row.Failed++
			}
		}
	})
	rows := []wechat.CallbackHourRow{}
	for _, k := range slices.SortedFunc(maps.Keys(counts), func(a, b callbackKey) int {
		return cmp.Or(a.day.Sub(b.day), cmp.Compare(a.hour, b.hour))
	}) {
		rows = append(rows, *counts[k])
	}
	return rows
}

// took is how many milliseconds try n of a push is said to have taken.
func (s *Simulator) took(p *Push, n int) int {
	if p.Tries[n].Status == 0 {
		return int(s.push.timeout.Milliseconds())
	}
	return 20 + int(mix(s.seed, hashText(p.OpenID), uint64(p.At.UnixMilli()), uint64(n))%280)
}

func callbackHourRows(q *statQuery) any { return q.callbacks(true) }

func callbackRows(q *statQuery) any {
	return withoutHours(q.callbacks(false), func(r wechat.CallbackHourRow) wechat.CallbackRow { return r.CallbackRow })
}
