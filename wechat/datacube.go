package wechat

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"hongyan/internal/fault"
)

// The statistics (platform.md 11).
const (
	apiStatFollows        = "/datacube/getusersummary"
	apiStatFans           = "/datacube/getusercumulate"
	apiStatMessages       = "/datacube/getupstreammsg"
	apiStatMessageHours   = "/datacube/getupstreammsghour"
	apiStatMessageWeeks   = "/datacube/getupstreammsgweek"
	apiStatMessageMonths  = "/datacube/getupstreammsgmonth"
	apiStatWriters        = "/datacube/getupstreammsgdist"
	apiStatWriterWeeks    = "/datacube/getupstreammsgdistweek"
	apiStatWriterMonths   = "/datacube/getupstreammsgdistmonth"
	apiStatCallback       = "/datacube/getinterfacesummary"
	apiStatCallbackHours  = "/datacube/getinterfacesummaryhour"
	apiStatReads          = "/datacube/getarticleread"
	apiStatShares         = "/datacube/getarticleshare"
	apiStatContent        = "/datacube/getbizsummary"
	apiStatArticles       = "/datacube/getarticletotaldetail"
	apiOldArticles        = "/datacube/getarticlesummary"
	apiOldArticleTotals   = "/datacube/getarticletotal"
	apiOldReads           = "/datacube/getuserread"
	apiOldReadHours       = "/datacube/getuserreadhour"
	apiOldShares          = "/datacube/getusershare"
	apiOldShareHours      = "/datacube/getusersharehour"
	firstStatistics       = "2014-12-01"
	firstArticleStatistic = "2025-11-01" // of the four calls that replaced the old ones
)

// FollowStatistics counts who began and who ceased to follow, by day and by how they came. 7 days a call.
func (c *Client) FollowStatistics(ctx context.Context, acc Account, days Days) ([]FollowRow, error) {
	return rowsOf(statistics[FollowRow](ctx, c, acc, &statQuery{api: apiStatFollows, span: 7, days: days}))
}

// FanStatistics tells how many fans the account had at the end of each day. 7 days a call.
func (c *Client) FanStatistics(ctx context.Context, acc Account, days Days) ([]FanRow, error) {
	return rowsOf(statistics[FanRow](ctx, c, acc, &statQuery{api: apiStatFans, span: 7, days: days}))
}

// MessageStatistics counts the messages of fans by day and kind. 7 days a call.
func (c *Client) MessageStatistics(ctx context.Context, acc Account, days Days) ([]MessageRow, error) {
	return rowsOf(statistics[MessageRow](ctx, c, acc, &statQuery{api: apiStatMessages, span: 7, days: days}))
}

// MessageHourStatistics is MessageStatistics by hour. One day a call.
func (c *Client) MessageHourStatistics(ctx context.Context, acc Account, days Days) ([]MessageHourRow, error) {
	return rowsOf(statistics[MessageHourRow](ctx, c, acc, &statQuery{api: apiStatMessageHours, span: 1, days: days}))
}

// MessageWeekStatistics is MessageStatistics by week, for the weeks that begin (on a Monday) in days and have ended.
// One week a call: how many days a call may ask for is told in two ways, and a Monday alone is right in both.
func (c *Client) MessageWeekStatistics(ctx context.Context, acc Account, days Days) ([]MessageRow, error) {
	return rowsOf(statistics[MessageRow](ctx, c, acc, &statQuery{api: apiStatMessageWeeks, parts: Days.weeks, days: days}))
}

// MessageMonthStatistics is MessageStatistics by month, for the months that begin in days and have ended. One month a call.
func (c *Client) MessageMonthStatistics(ctx context.Context, acc Account, days Days) ([]MessageRow, error) {
	return rowsOf(statistics[MessageRow](ctx, c, acc, &statQuery{api: apiStatMessageMonths, parts: Days.months, days: days}))
}

// WriterStatistics counts fans by how much they wrote in a day. 15 days a call.
func (c *Client) WriterStatistics(ctx context.Context, acc Account, days Days) ([]WriterRow, error) {
	return rowsOf(statistics[WriterRow](ctx, c, acc, &statQuery{api: apiStatWriters, span: 15, days: days}))
}

// WriterWeekStatistics is WriterStatistics by week; see MessageWeekStatistics.
func (c *Client) WriterWeekStatistics(ctx context.Context, acc Account, days Days) ([]WriterRow, error) {
	return rowsOf(statistics[WriterRow](ctx, c, acc, &statQuery{api: apiStatWriterWeeks, parts: Days.weeks, days: days}))
}

// WriterMonthStatistics is WriterStatistics by month; see MessageMonthStatistics.
func (c *Client) WriterMonthStatistics(ctx context.Context, acc Account, days Days) ([]WriterRow, error) {
	return rowsOf(statistics[WriterRow](ctx, c, acc, &statQuery{api: apiStatWriterMonths, parts: Days.months, days: days}))
}

// CallbackStatistics tells how the account's callback fared, by day. 30 days a call.
func (c *Client) CallbackStatistics(ctx context.Context, acc Account, days Days) ([]CallbackRow, error) {
	return rowsOf(statistics[CallbackRow](ctx, c, acc, &statQuery{api: apiStatCallback, span: 30, days: days}))
}

// CallbackHourStatistics is CallbackStatistics by hour. One day a call.
func (c *Client) CallbackHourStatistics(ctx context.Context, acc Account, days Days) ([]CallbackHourRow, error) {
	return rowsOf(statistics[CallbackHourRow](ctx, c, acc, &statQuery{api: apiStatCallbackHours, span: 1, days: days}))
}

// ReadStatistics counts who read each article on a day. One day a call; days since 2025-11-01.
func (c *Client) ReadStatistics(ctx context.Context, acc Account, days Days) (Statistics[ReadRow], error) {
	return statistics[ReadRow](ctx, c, acc, &statQuery{api: apiStatReads, span: 1, since: firstArticleStatistic, days: days})
}

// ShareStatistics counts who shared each article on a day. One day a call; days since 2025-11-01.
func (c *Client) ShareStatistics(ctx context.Context, acc Account, days Days) (Statistics[ShareRow], error) {
	return statistics[ShareRow](ctx, c, acc, &statQuery{api: apiStatShares, span: 1, since: firstArticleStatistic, days: days})
}

// ContentStatistics sums up all articles by day. 30 days a call; days since 2025-11-01.
func (c *Client) ContentStatistics(ctx context.Context, acc Account, days Days) (Statistics[ContentRow], error) {
	return statistics[ContentRow](ctx, c, acc, &statQuery{api: apiStatContent, span: 30, since: firstArticleStatistic, days: days})
}

// ArticleStatistics tells the growing totals of each article that was published in days. One day of publishing a call;
// days since 2025-11-01.
func (c *Client) ArticleStatistics(ctx context.Context, acc Account, days Days) (Statistics[ArticleRow], error) {
	return statistics[ArticleRow](ctx, c, acc, &statQuery{api: apiStatArticles, span: 1, since: firstArticleStatistic, days: days})
}

// OldArticleStatistics counts what was done with each article on a day. One day a call. The platform keeps it no
// longer up to date; ReadStatistics and ShareStatistics replace it, and it remains for days before 2025-11-01.
// Articles with fewer than three acts may be missing.
func (c *Client) OldArticleStatistics(ctx context.Context, acc Account, days Days) ([]OldArticleRow, error) {
	return rowsOf(statistics[OldArticleRow](ctx, c, acc, &statQuery{api: apiOldArticles, span: 1, days: days}))
}

// OldArticleTotalStatistics tells the totals, for seven days, of each article sent on a day. One day a call;
// ArticleStatistics replaces it.
func (c *Client) OldArticleTotalStatistics(ctx context.Context, acc Account, days Days) ([]OldArticleTotalRow, error) {
	return rowsOf(statistics[OldArticleTotalRow](ctx, c, acc, &statQuery{api: apiOldArticleTotals, span: 1, days: days}))
}

// OldReadStatistics sums up all articles by day and by where they were read. 3 days a call; ContentStatistics replaces it.
func (c *Client) OldReadStatistics(ctx context.Context, acc Account, days Days) ([]OldReadRow, error) {
	return rowsOf(statistics[OldReadRow](ctx, c, acc, &statQuery{api: apiOldReads, span: 3, days: days}))
}

// OldReadHourStatistics is OldReadStatistics by hour. One day a call.
func (c *Client) OldReadHourStatistics(ctx context.Context, acc Account, days Days) ([]OldReadHourRow, error) {
	return rowsOf(statistics[OldReadHourRow](ctx, c, acc, &statQuery{api: apiOldReadHours, span: 1, days: days}))
}

// OldShareStatistics counts shares of all articles by day and by where they went. 7 days a call; ContentStatistics
// replaces it.
func (c *Client) OldShareStatistics(ctx context.Context, acc Account, days Days) ([]OldShareRow, error) {
	return rowsOf(statistics[OldShareRow](ctx, c, acc, &statQuery{api: apiOldShares, span: 7, days: days}))
}

// OldShareHourStatistics is OldShareStatistics by hour. One day a call.
func (c *Client) OldShareHourStatistics(ctx context.Context, acc Account, days Days) ([]OldShareHourRow, error) {
	return rowsOf(statistics[OldShareHourRow](ctx, c, acc, &statQuery{api: apiOldShareHours, span: 1, days: days}))
}

// statQuery is a range of days, and what one call of its API may ask for.
type statQuery struct {
	api   string
	span  int                             // most days of one call
	parts func(days Days, end Day) []Days // cuts in another way than by span; end is the first day that has not ended
	since string                          // first day with figures, "" for firstStatistics
	days  Days
}

// statRequest and statAnswer are the platform's JSON.
type statRequest struct {
	Begin Day `json:"begin_date"`
	End   Day `json:"end_date"`
}

type statAnswer struct {
	List    json.RawMessage `json:"list"`
	Delayed bool            `json:"is_delay"`
}

// statistics asks for q part by part.
func statistics[T any](ctx context.Context, c *Client, acc Account, q *statQuery) (Statistics[T], error) {
	var out Statistics[T]
	today := DayOf(c.clock.Now())
	if err := q.check(today); err != nil {
		return out, err
	}
	parts := q.days.parts(q.span)
	if q.parts != nil {
		parts = q.parts(q.days, today)
	}
	for _, part := range parts {
		var answer statAnswer
		if err := c.post(ctx, acc, q.api, statRequest{part.From, part.To}, &answer); err != nil {
			return out, fmt.Errorf("statistics of %s to %s: %w", part.From, part.To, err)
		}
		rows, err := decodeRows[T](answer.List)
		if err != nil {
			return out, fmt.Errorf("statistics of %s to %s: %w", part.From, part.To, &Error{API: q.api, HTTPStatus: httpOK, Outcome: OutcomeLost, Err: err})
		}
		out.Rows = append(out.Rows, rows...)
		out.Delayed = out.Delayed || answer.Delayed
	}
	return out, nil
}

// decodeRows reads the list of an answer. Without a list it is not an answer of zero rows, or somebody's mistake would
// be kept as a figure.
func decodeRows[T any](list json.RawMessage) ([]T, error) {
	if len(list) == 0 {
		return nil, errors.New("the answer has no list")
	}
	var rows []T
	if err := json.Unmarshal(list, &rows); err != nil {
		return nil, errors.New("the answer's list has an unexpected form")
	}
	return rows, nil
}

func rowsOf[T any](s Statistics[T], err error) ([]T, error) { return s.Rows, err }

func (q *statQuery) check(today Day) error {
	first, err := ParseDay(cmp.Or(q.since, firstStatistics))
	switch {
	case err != nil:
		return err
	case q.days.From.Before(first):
		return fault.BadField("days.from", "too_early", "the platform has these figures since %s", first)
	case q.days.To.Before(q.days.From):
		return fault.BadField("days.to", "before_from", "the range ends on %s, before it begins", q.days.To)
	case !q.days.To.Before(today):
		return fault.BadField("days.to", "not_over", "the latest day that can be asked for is yesterday in Beijing, %s", today.Add(-1))
	}
	return nil
}

// Day is a day of the platform's calendar, which is Beijing's. Its text and JSON are "2006-01-02".
type Day struct {
	number int32 // days since 1970-01-01
}

const (
	dayLayout   = "2006-01-02"
	daySeconds  = 24 * 60 * 60
	beijingEast = 8 * 60 * 60 // seconds; China keeps no summer time
)

// DayOf is the day in Beijing at t.
func DayOf(t time.Time) Day {
	y, m, d := t.In(time.FixedZone("CST", beijingEast)).Date()
	return dayNumber(y, m, d)
}

func dayNumber(y int, m time.Month, d int) Day {
	return Day{int32(time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix() / daySeconds)}
}

// ParseDay reads "2006-01-02". It answers Invalid.
func ParseDay(text string) (Day, error) {
	t, err := time.Parse(dayLayout, text)
	if err != nil {
		return Day{}, fault.Wrap(fault.Invalid, err, "a day is written like 2006-01-02")
	}
	y, m, d := t.Date()
	return dayNumber(y, m, d), nil
}

func (d Day) utc() time.Time { return time.Unix(int64(d.number)*daySeconds, 0).UTC() }

// String is the day as 2006-01-02.
func (d Day) String() string { return d.utc().Format(dayLayout) }

// Start is the moment at which the day begins in Beijing.
func (d Day) Start() time.Time { return d.utc().Add(-beijingEast * time.Second) }

// Add is the day n days later; n may be negative.
func (d Day) Add(n int) Day { return Day{d.number + int32(n)} }

// Sub is how many days d is after other.
func (d Day) Sub(other Day) int { return int(d.number - other.number) }

// Before reports whether d is earlier than other.
func (d Day) Before(other Day) bool { return d.number < other.number }

// Week is the Monday of d's week.
func (d Day) Week() Day { return d.Add(-(int(d.utc().Weekday()) + 6) % 7) }

// Month is the first day of d's month.
func (d Day) Month() Day { return d.Add(1 - d.utc().Day()) }

// MarshalText implements encoding.TextMarshaler.
func (d Day) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Day) UnmarshalText(text []byte) error {
	day, err := ParseDay(string(text))
	if err == nil {
		*d = day
	}
	return err
}

// Days is a range of days, both ends included, that statistics are asked for (platform.md 11). To is yesterday at the
// latest, and yesterday's figures exist from 08:00 Beijing time on: earlier the platform answers 61503, which is
// ClassRetry. A range longer than one call may ask for is cut into several calls, one after another. When one of them
// fails, the rows of the calls before it are returned beside the error, and the error names the days that failed.
// A day without anything to count may have no row. Only verified accounts have statistics (48001).
//
// A range that the platform would refuse is a fault.Invalid error of "days.from" or "days.to", before any call.
type Days struct{ From, To Day }

// parts cuts the range into ranges of at most span days.
func (d Days) parts(span int) []Days {
	var out []Days
	for from := d.From; span > 0 && !d.To.Before(from); from = from.Add(span) {
		to := from.Add(span - 1)
		if d.To.Before(to) {
			to = d.To
		}
		out = append(out, Days{from, to})
	}
	return out
}

// weeks are the Mondays in the range whose weeks ended before the day end.
func (d Days) weeks(end Day) []Days {
	return d.periods(end, d.From.Add(6).Week(), func(day Day) Day { return day.Add(7) })
}

// months are the first days of months in the range whose months ended before the day end.
func (d Days) months(end Day) []Days {
	next := func(day Day) Day { return day.Add(31).Month() }
	first := d.From.Month()
	if first != d.From {
		first = next(first)
	}
	return d.periods(end, first, next)
}

func (d Days) periods(end, first Day, next func(Day) Day) []Days {
	var out []Days
	for day := first; !d.To.Before(day) && !end.Before(next(day)); day = next(day) {
		out = append(out, Days{day, day})
	}
	return out
}
