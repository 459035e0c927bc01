package simulator

import (
	"strconv"

	"hongyan/wechat"
)

const (
	articleLife  = 7  // days on which an invented article is read
	articleTotal = 30 // days that the totals of an article go on (platform.md 11)
	oldTotal     = 7  // the same of the older call
	fewestActs   = 3  // with less, the older call leaves an article out
)

// article is an invented article.
type article struct {
	day   wechat.Day // of publishing
	place int        // in its send, from 1
	luck  uint64
}

// articlesOf invents none to two articles for a day.
func (q *statQuery) articlesOf(day wechat.Day) []article {
	app, number := hashText(q.a.config().AppID), uint64(dayNumber(day))
	out := make([]article, mix(q.s.seed, app, number, 0xa7)%3)
	for i := range out {
		out[i] = article{day: day, place: i + 1, luck: mix(q.s.seed, app, number, uint64(i), 0xa8)}
	}
	return out
}

func dayNumber(day wechat.Day) int { return day.Sub(wechat.Day{}) }

func (a *article) id() string {
	return strconv.Itoa(2_247_000_000+dayNumber(a.day)) + "_" + strconv.Itoa(a.place)
}

func (a *article) title() string {
	titles := []string{"本周新品上架", "会员日活动预告", "三分钟读懂春茶", "门店营业时间调整", "读者来信精选", "周末去哪儿玩"}
	return titles[a.luck%uint64(len(titles))]
}

func (a *article) url() string { return "http://mp.weixin.qq.com/s/" + letters(22, a.luck) }

// readers is how many people read a on a day: each day half as many as on the day before.
func (a *article) readers(on wechat.Day) int {
	age := on.Sub(a.day)
	if age < 0 || age >= articleLife {
		return 0
	}
	return int(100+a.luck>>8%1900) >> age
}

// readersUntil is how many people read a until the end of a day.
func (a *article) readersUntil(end wechat.Day) (n int) {
	for day := a.day; !end.Before(day) && day.Sub(a.day) < articleLife; day = day.Add(1) {
		n += a.readers(day)
	}
	return n
}

// readOn lists the articles that somebody read on a day, oldest first.
func (q *statQuery) readOn(day wechat.Day) []article {
	var out []article
	for published := day.Add(1 - articleLife); !day.Before(published); published = published.Add(1) {
		out = append(out, q.articlesOf(published)...)
	}
	return out
}

// readersOn is how many people read something on a day, each article's counted.
func (q *statQuery) readersOn(day wechat.Day) (n int) {
	for _, a := range q.readOn(day) {
		n += a.readers(day)
	}
	return n
}

// eachDay makes rows for the days that are asked for.
func eachDay[T any](q *statQuery, rows func(wechat.Day) []T) []T {
	out := []T{}
	for day := q.from; !q.to.Before(day); day = day.Add(1) {
		out = append(out, rows(day)...)
	}
	return out
}

// readSources are where articles are read, with the share of each in percent.
func readSources() []struct {
	source wechat.ReadSource
	name   string
	share  int
} {
	return []struct {
		source wechat.ReadSource
		name   string
		share  int
	}{
		{wechat.ReadInChat, "公众号消息", 50}, {wechat.ReadFromFriend, "聊天会话", 10}, {wechat.ReadInMoments, "朋友圈", 25},
		{wechat.ReadInHistory, "公众号主页", 5}, {wechat.ReadElsewhere, "其它", 10},
	}
}

func readersOf(n int) wechat.Readers {
	out := wechat.Readers{All: n, BySource: []wechat.SourceReaders{{Readers: n, Source: "全部"}}}
	for _, s := range readSources() {
		out.BySource = append(out.BySource, wechat.SourceReaders{Readers: n * s.share / 100, Source: s.name})
	}
	return out
}

// receptionOf is what n readers do.
func receptionOf(n int) wechat.Reception {
	return wechat.Reception{
		Readers: readersOf(n), Shared: n / 20, Hearts: n / 25, Thumbs: n / 15, Comments: n / 60, Favourite: n / 50,
	}
}

func readRows(q *statQuery) any {
	return eachDay(q, func(day wechat.Day) (rows []wechat.ReadRow) {
		for _, a := range q.readOn(day) {
			rows = append(rows, wechat.ReadRow{Day: day, Article: a.id(), Detail: readersOf(a.readers(day))})
		}
		return rows
	})
}

func shareRows(q *statQuery) any {
	return eachDay(q, func(day wechat.Day) (rows []wechat.ShareRow) {
		for _, a := range q.readOn(day) {
			rows = append(rows, wechat.ShareRow{Day: day, Article: a.id(), Detail: wechat.Sharers{All: receptionOf(a.readers(day)).Shared}})
		}
		return rows
	})
}

func contentRows(q *statQuery) any {
	return eachDay(q, func(day wechat.Day) []wechat.ContentRow {
		n := q.readersOn(day)
		return []wechat.ContentRow{{Day: day, Detail: wechat.Content{
			Reception: receptionOf(n), Originals: n / 30, Published: len(q.articlesOf(day)),
		}}}
	})
}

// until is the last day of the totals of something of a day that lasts for so many days.
func (q *statQuery) until(day wechat.Day, days int) wechat.Day {
	if last := day.Add(days - 1); last.Before(q.counted) {
		return last
	}
	return q.counted.Add(-1)
}

func articleRows(q *statQuery) any {
	return eachDay(q, func(day wechat.Day) (rows []wechat.ArticleRow) {
		for _, a := range q.articlesOf(day) {
			row := wechat.ArticleRow{Day: day, Article: a.id(), PublishType: int(a.luck >> 40 & 1), Title: a.title(), URL: a.url()}
			for at, end := day, q.until(day, articleTotal); !end.Before(at); at = at.Add(1) {
				n := a.readersUntil(at)
				row.Days = append(row.Days, wechat.ArticleDay{
					Day: at, Reception: receptionOf(n), Followed: n / 200,
					DeliveryRate: 0.125, FinishRate: 0.5, Seconds: float64(20 + a.luck>>16%60),
					Jumps: []wechat.ReadJump{{Position: 1, Rate: 0.25}, {Position: 2, Rate: 0.125}},
				})
			}
			rows = append(rows, row)
		}
		return rows
	})
}

// countersOf is what n readers do, in the figures of the older calls.
func countersOf(n int) wechat.OldCounters {
	return wechat.OldCounters{
		PageReaders: n, PageReads: n + n/4, OriginalReaders: n / 30, OriginalReads: n / 25,
		Sharers: n / 20, Shares: n / 16, Favourers: n / 50, Favourites: n / 45,
	}
}

func oldArticleRows(q *statQuery) any {
	return eachDay(q, func(day wechat.Day) (rows []wechat.OldArticleRow) {
		for _, a := range q.readOn(day) {
			c := countersOf(a.readers(day))
			if c.PageReads+c.OriginalReads+c.Shares+c.Favourites >= fewestActs {
				rows = append(rows, wechat.OldArticleRow{Day: day, Article: a.id(), Title: a.title(), OldCounters: c})
			}
		}
		return rows
	})
}

func oldArticleTotalRows(q *statQuery) any {
	return eachDay(q, func(day wechat.Day) (rows []wechat.OldArticleTotalRow) {
		for _, a := range q.articlesOf(day) {
			row := wechat.OldArticleTotalRow{Day: day, Article: a.id(), Title: a.title(), URL: a.url()}
			for at, end := day, q.until(day, oldTotal); !end.Before(at); at = at.Add(1) {
				row.Days = append(row.Days, oldTotalOf(&a, at))
			}
			rows = append(rows, row)
		}
		return rows
	})
}

func oldTotalOf(a *article, at wechat.Day) wechat.OldArticleDay {
	n := a.readersUntil(at)
	part := func(source int) (readers, reads int) {
		readers = n * readSources()[source].share / 100
		return readers, readers + readers/4
	}
	d := wechat.OldArticleDay{Day: at, Receivers: 10 * a.readers(a.day), OldCounters: countersOf(n)}
	d.ChatReaders, d.ChatReads = part(0)
	d.FriendReaders, d.FriendReads = part(1)
	d.MomentsReaders, d.MomentsReads = part(2)
	d.HistoryReaders, d.HistoryReads = part(3)
	d.OtherReaders, d.OtherReads = part(4)
	d.ChatMomentsSharers, d.ChatMomentsShares = n/60, n/50
	d.MomentsAgainSharers, d.MomentsAgainShares = n/90, n/80
	d.OtherMomentsSharers, d.OtherMomentsShares = n/180, n/160
	return d
}
