package simulator

import "hongyan/wechat"

// oldReads are the rows of a day: of all sources, which alone has the page behind the article and the favourites, and of
// each.
func (q *statQuery) oldReads(day wechat.Day) []wechat.OldReadRow {
	n := q.readersOn(day)
	if n == 0 {
		return nil
	}
	rows := []wechat.OldReadRow{{Day: day, Source: wechat.ReadFromAllOver, OldCounters: countersOf(n)}}
	for _, s := range readSources() {
		c := countersOf(n * s.share / 100)
		c.OriginalReaders, c.OriginalReads, c.Favourers, c.Favourites = 0, 0, 0, 0
		rows = append(rows, wechat.OldReadRow{Day: day, Source: s.source, OldCounters: c})
	}
	return rows
}

func oldReadRows(q *statQuery) any { return eachDay(q, q.oldReads) }

func (q *statQuery) oldShares(day wechat.Day) []wechat.OldShareRow {
	c := countersOf(q.readersOn(day))
	if c.Shares == 0 {
		return nil
	}
	moments := wechat.OldShareRow{Day: day, Scene: wechat.SharedToMoments, Shares: c.Shares * 2 / 5, Sharers: c.Sharers * 2 / 5}
	return []wechat.OldShareRow{
		{Day: day, Scene: wechat.SharedToFriend, Shares: c.Shares - moments.Shares, Sharers: c.Sharers - moments.Sharers},
		moments,
	}
}

func oldShareRows(q *statQuery) any { return eachDay(q, q.oldShares) }

func oldReadHourRows(q *statQuery) any {
	return eachDay(q, func(day wechat.Day) []wechat.OldReadHourRow {
		return byHour(q.oldReads(day), func(r wechat.OldReadRow, hour int) (wechat.OldReadHourRow, bool) {
			for _, n := range []*int{
				&r.PageReaders, &r.PageReads, &r.OriginalReaders, &r.OriginalReads, &r.Sharers, &r.Shares, &r.Favourers, &r.Favourites,
			} {
				*n = partOf(*n, hour)
			}
			return wechat.OldReadHourRow{OldReadRow: r, Hour: wechat.Hour(hour)}, r.OldCounters != wechat.OldCounters{}
		})
	})
}

func oldShareHourRows(q *statQuery) any {
	return eachDay(q, func(day wechat.Day) []wechat.OldShareHourRow {
		return byHour(q.oldShares(day), func(r wechat.OldShareRow, hour int) (wechat.OldShareHourRow, bool) {
			r.Shares, r.Sharers = partOf(r.Shares, hour), partOf(r.Sharers, hour)
			return wechat.OldShareHourRow{OldShareRow: r, Hour: wechat.Hour(hour)}, r.Shares+r.Sharers > 0
		})
	})
}

// byHour splits rows of a day; part makes one row's part of an hour and says whether anything is in it.
func byHour[D, H any](rows []D, part func(row D, hour int) (H, bool)) []H {
	var out []H
	for hour := range 24 {
		for _, r := range rows {
			if h, some := part(r, hour); some {
				out = append(out, h)
			}
		}
	}
	return out
}

// partOf is what of a day's n falls into an hour: more and more until the evening. The hours add up to n.
func partOf(n, hour int) int {
	const all = 24 * 25 / 2
	until := func(hours int) int { return n * (hours * (hours + 1) / 2) / all }
	return until(hour+1) - until(hour)
}
