package simulator

import (
	"encoding/json"
	"time"

	"hongyan/wechat"
)

// The codes of statistics (platform.md 11).
const (
	codeBadDate      = 61500
	codeBadDateRange = 61501
	codeDataNotReady = 61503
)

const (
	figuresReady    = 8 * time.Hour // after the end of the day in Beijing
	periodSpan      = 30            // days that the older page allows to a query of weeks or months
	firstFigures    = "2014-12-01"
	firstNewFigures = "2025-11-01" // of the calls that replaced the older ones of articles
)

// statistic is one API of statistics.
type statistic struct {
	name   string
	span   int                                       // most days of a query
	period func(wechat.Day) (first, next wechat.Day) // of weeks and months; nil for days
	recent bool                                      // one of those that replaced the older ones of articles
	rows   func(*statQuery) any                      // makes the list
}

// statQuery is a query that passed the checks.
type statQuery struct {
	s        *Simulator
	a        *account
	from, to wechat.Day
	now      wechat.Day // today
	counted  wechat.Day // the first day of which nothing is told yet
	// bucket is the day that a day's figures are put under: its own, or the first of its week or month. ok is false
	// for a day that is not asked for.
	bucket func(wechat.Day) (day wechat.Day, ok bool)
}

// datacubeState is what an account keeps for statistics (platform.md 11). Fans' acts are counted in the record of pushes,
// and figures of articles follow from the seed. It is guarded by the account's mutex.
type datacubeState struct {
	delayed bool
}

// SetStatisticsDelayed makes the newer statistics of articles say that their figures are not final (is_delay). It
// answers NotFound.
func (s *Simulator) SetStatisticsDelayed(appID string, delayed bool) error {
	a, err := s.account(appID)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.datacube.delayed = delayed
	return nil
}

func (a *account) statisticsDelayed() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.datacube.delayed
}

// datacubeRoutes are statistics (platform.md 11).
//
// Figures of fans, messages and the callback are counted in the record of pushes, so they lack what RecordRing dropped,
// what RecordCompact never kept and what was before ResetRecord. Persons who were added as fans have followed long ago.
// Articles and their readers are invented from the seed.
func datacubeRoutes() []route {
	table := []statistic{
		{name: "getusersummary", span: 7, rows: followRows},
		{name: "getusercumulate", span: 7, rows: fanRows},
		{name: "getupstreammsg", span: 7, rows: messageRows},
		{name: "getupstreammsghour", span: 1, rows: messageHourRows},
		{name: "getupstreammsgweek", span: periodSpan, period: weekOf, rows: messageRows},
		{name: "getupstreammsgmonth", span: periodSpan, period: monthPeriod, rows: messageRows},
		{name: "getupstreammsgdist", span: 15, rows: writerRows},
		{name: "getupstreammsgdistweek", span: periodSpan, period: weekOf, rows: writerRows},
		{name: "getupstreammsgdistmonth", span: periodSpan, period: monthPeriod, rows: writerRows},
		{name: "getinterfacesummary", span: 30, rows: callbackRows},
		{name: "getinterfacesummaryhour", span: 1, rows: callbackHourRows},
		{name: "getarticleread", span: 1, recent: true, rows: readRows},
		{name: "getarticleshare", span: 1, recent: true, rows: shareRows},
		{name: "getbizsummary", span: 30, recent: true, rows: contentRows},
		{name: "getarticletotaldetail", span: 1, recent: true, rows: articleRows},
		{name: "getarticlesummary", span: 1, rows: oldArticleRows},
		{name: "getarticletotal", span: 1, rows: oldArticleTotalRows},
		{name: "getuserread", span: 3, rows: oldReadRows},
		{name: "getuserreadhour", span: 1, rows: oldReadHourRows},
		{name: "getusershare", span: 7, rows: oldShareRows},
		{name: "getusersharehour", span: 1, rows: oldShareHourRows},
	}
	routes := make([]route, len(table))
	for i := range table {
		st := &table[i]
		routes[i] = route{path: "/datacube/" + st.name, serve: func(s *Simulator, c *call) { s.serveStatistic(c, st) }}
	}
	return routes
}

func weekOf(d wechat.Day) (first, next wechat.Day) { return d.Week(), d.Week().Add(7) }

func monthPeriod(d wechat.Day) (first, next wechat.Day) { return d.Month(), d.Month().Add(31).Month() }

func (s *Simulator) serveStatistic(c *call, st *statistic) {
	a, ok := s.enter(c, "POST", true)
	if !ok {
		return
	}
	q := statQuery{s: s, a: a, now: wechat.DayOf(c.at)}
	code := q.read(c.body)
	if code == codeOK {
		code = q.check(st, c.at)
	}
	if code != codeOK {
		c.refuse(code)
		return
	}
	body, err := json.Marshal(st.answer(&q))
	if err != nil {
		c.refuse(codeBusy)
		return
	}
	c.answer = body
}

// answer is the platform's JSON. Reads leave errcode out on success (platform.md 0.3).
func (st *statistic) answer(q *statQuery) any {
	if st.recent {
		return struct {
			List    any  `json:"list"`
			Delayed bool `json:"is_delay"`
		}{st.rows(q), q.a.statisticsDelayed()}
	}
	return struct {
		List any `json:"list"`
	}{st.rows(q)}
}

// read takes the two days out of a body.
func (q *statQuery) read(body []byte) int {
	top, code := parseObject(body)
	if code != codeOK {
		return code
	}
	if q.from, code = readDay(top, "begin_date"); code != codeOK {
		return code
	}
	if q.to, code = readDay(top, "end_date"); code != codeOK {
		return code
	}
	if len(top) != 2 {
		return codeUnknownField
	}
	return codeOK
}

func readDay(from map[string]json.RawMessage, name string) (wechat.Day, int) {
	var text string
	if code := readString(from, name, &text); code != codeOK {
		return wechat.Day{}, code
	}
	day, err := wechat.ParseDay(text)
	if err != nil {
		return wechat.Day{}, codeBadDate
	}
	return day, codeOK
}

// check applies the rules of ranges.
func (q *statQuery) check(st *statistic, at time.Time) int {
	first, span := firstFigures, st.span
	if st.recent {
		first = firstNewFigures
	}
	if st.period != nil && !q.s.switches.Load().LongPeriods {
		span = 1
	}
	switch length := q.to.Sub(q.from) + 1; {
	case length < 1, length > span, q.from.String() < first, !q.to.Before(q.now):
		return codeBadDateRange
	}
	q.counted = q.now
	if at.Before(q.now.Start().Add(figuresReady)) {
		q.counted = q.now.Add(-1)
	}
	if st.period != nil {
		return q.checkPeriods(st.period)
	}
	q.bucket = func(d wechat.Day) (wechat.Day, bool) { return d, !d.Before(q.from) && !q.to.Before(d) }
	if !q.to.Before(q.counted) {
		return codeDataNotReady
	}
	return codeOK
}

// checkPeriods is for weeks and months: those that begin in the range are told when they have ended.
func (q *statQuery) checkPeriods(period func(wechat.Day) (first, next wechat.Day)) int {
	for day := q.from; !q.to.Before(day); day = day.Add(1) {
		if first, next := period(day); first == day && next == q.now && q.counted != q.now {
			return codeDataNotReady
		}
	}
	q.bucket = func(d wechat.Day) (wechat.Day, bool) {
		first, next := period(d)
		return first, !first.Before(q.from) && !q.to.Before(first) && !q.now.Before(next)
	}
	return codeOK
}
