package guard

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"
	"strings"
	"time"

	"hongyan/internal/fault"
	"hongyan/internal/lang"
)

// PolicySpec is an account's sending policy as members write it. The zero value limits nothing.
type PolicySpec struct {
	// DailyCap is the most marketing messages per fan and calendar day, 0 to 15; unset means no cap.
	DailyCap *int `json:"daily_cap,omitempty"`
	// WeeklyCap is the most per fan and week, Monday to Sunday, 0 to 105; unset means no cap.
	WeeklyCap *int `json:"weekly_cap,omitempty"`
	// MonthlyCap is the most per fan and calendar month, 0 to 450; unset means no cap.
	MonthlyCap *int `json:"monthly_cap,omitempty"`
	// GapMinutes is the least time between two marketing messages to one fan.
	GapMinutes int `json:"gap_minutes,omitempty"`
	// Quiet are the times in which no marketing message goes out.
	Quiet []QuietRange `json:"quiet_hours,omitempty"`
	// Holidays replace the ranges of their dates.
	Holidays []Holiday `json:"holidays,omitempty"`
	// Workdays are make-up workdays 调休: dates that follow another weekday's ranges.
	Workdays []Workday `json:"workdays,omitempty"`
	// SpreadMinutes is over how long messages held back by quiet hours are spread afterwards; unset means 10.
	SpreadMinutes *int `json:"spread_minutes,omitempty"`
	// HoldForAgents is how many of the messages granted by the fan's own message are kept for human agents, 0 to 5.
	HoldForAgents int `json:"hold_for_agents,omitempty"`
}

// QuietRange is a daily range of quiet hours, start inclusive, end exclusive. An end that is not
// after the start lies on the next day; the range belongs to its start day.
type QuietRange struct {
	Days  []string `json:"days,omitempty"` // mon … sun; none means every day
	Start string   `json:"start"`          // 00:00 … 23:59
	End   string   `json:"end"`            // 00:00 … 24:00
}

// Holiday is a date whose quiet ranges differ; no range means no quiet hours start on it.
type Holiday struct {
	Date  string       `json:"date"` // 2026-10-01
	Quiet []QuietRange `json:"quiet_hours"`
}

// Workday is a date that follows another weekday's quiet ranges.
type Workday struct {
	Date string `json:"date"`
	As   string `json:"as"` // mon … sun
}

// ParsePolicy reads a policy strictly: an unknown field is refused by name.
func ParsePolicy(raw []byte) (PolicySpec, error) {
	var spec PolicySpec
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	err := dec.Decode(&spec)
	if wrong := (*json.UnmarshalTypeError)(nil); errors.As(err, &wrong) && wrong.Field != "" {
		return PolicySpec{}, fault.BadField(wrong.Field, "type", "a %s does not fit here", wrong.Value)
	}
	if err != nil {
		return PolicySpec{}, fault.BadField("policy", "json", "not a valid policy: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return PolicySpec{}, fault.BadField("policy", "json", "not a valid policy: something follows its closing brace")
	}
	return spec, nil
}

// span is a quiet range in minutes after its start day's midnight; end may lie beyond 1,440.
type span struct{ start, end int }

// Policy is a compiled PolicySpec. It is immutable.
type Policy struct {
	Zone      *time.Location
	Caps      Caps
	Gap       int64 // ms
	Spread    int64 // ms
	Held      int   // messages kept for agents
	week      [7][]span
	dates     map[int][]span // by day number, replaces the weekday's
	hasRanges bool
}

// Compile checks the spec and makes it fit for deciding. zone is an IANA name. All problems are reported at once,
// each with its field and rule.
func (s PolicySpec) Compile(zone string) (*Policy, error) {
	p := &Policy{Gap: int64(s.GapMinutes) * 60_000, Spread: 10 * 60_000, Held: s.HoldForAgents, dates: map[int][]span{}}
	var errs []error
	fail := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	var err error
	p.Zone, err = LoadZone(zone)
	fail(err)
	fail(s.numbers(p))
	p.week, err = compileWeek("quiet_hours", s.Quiet)
	if err == nil {
		err = p.checkMidnights()
	}
	fail(err)
	fail(s.compileDates(p))
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	p.hasRanges = len(s.Quiet) > 0 || len(s.Holidays) > 0
	return p, nil
}

// LoadZone resolves an IANA time zone. "Local" and "" are refused: they would mean another zone on another machine.
func LoadZone(name string) (*time.Location, error) {
	if name == "" || name == "Local" {
		return nil, fault.BadField("time_zone", "unknown_zone", "give an IANA zone such as Asia/Shanghai")
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		return nil, fault.BadField("time_zone", "unknown_zone", "%q is not an IANA time zone such as Asia/Shanghai", name)
	}
	return loc, nil
}

func (s PolicySpec) numbers(p *Policy) error {
	var errs []error
	caps, err := CapsOf(s.DailyCap, s.WeeklyCap, s.MonthlyCap)
	if err != nil {
		errs = append(errs, err)
	}
	p.Caps = caps
	if s.GapMinutes < 0 || s.GapMinutes > 7*24*60 {
		errs = append(errs, fault.BadField("gap_minutes", "range", "a gap is 0 minutes to 7 days, not %d", s.GapMinutes))
	}
	if s.SpreadMinutes != nil {
		p.Spread = int64(*s.SpreadMinutes) * 60_000
		if *s.SpreadMinutes < 0 || *s.SpreadMinutes > 240 {
			errs = append(errs, fault.BadField("spread_minutes", "range", "a spread is 0 to 240 minutes, not %d", *s.SpreadMinutes))
		}
	}
	if s.HoldForAgents < 0 || s.HoldForAgents > 5 {
		errs = append(errs, fault.BadField("hold_for_agents", "range", "0 to 5 messages can be kept for agents, not %d", s.HoldForAgents))
	}
	return errors.Join(errs...)
}

func (s PolicySpec) compileDates(p *Policy) error {
	var errs []error
	put := func(field, date string, spans []span) {
		day, err := parseDate(field, date)
		if err != nil {
			errs = append(errs, err)
			return
		}
		if _, twice := p.dates[day]; twice {
			errs = append(errs, fault.BadField(field, "date_twice", "%s is listed twice", date))
			return
		}
		p.dates[day] = spans
	}
	for i, h := range s.Holidays {
		field := fmt.Sprintf("holidays[%d]", i)
		spans, err := compileHoliday(field+".quiet_hours", h)
		if err != nil {
			errs = append(errs, err)
		}
		put(field+".date", h.Date, spans)
	}
	for i, w := range s.Workdays {
		field := fmt.Sprintf("workdays[%d]", i)
		as, known := weekdays[w.As]
		if !known {
			errs = append(errs, fault.BadField(field+".as", "weekday", "%q is not one of mon, tue, wed, thu, fri, sat, sun", w.As))
		}
		put(field+".date", w.Date, p.week[as])
	}
	return errors.Join(errs...)
}

var weekdays = map[string]time.Weekday{
	"sun": time.Sunday, "mon": time.Monday, "tue": time.Tuesday, "wed": time.Wednesday,
	"thu": time.Thursday, "fri": time.Friday, "sat": time.Saturday,
}

func compileWeek(field string, ranges []QuietRange) (week [7][]span, err error) {
	var errs []error
	for i, r := range ranges {
		at := fmt.Sprintf("%s[%d]", field, i)
		sp, err := r.span(at)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		days, err := r.days(at)
		if err != nil {
			errs = append(errs, err)
		}
		for _, d := range days {
			week[d] = append(week[d], sp)
		}
	}
	for d := range week {
		if week[d], err = joinSpans(field, weekdayWords(time.Weekday(d)), week[d]); err != nil {
			errs = append(errs, err)
		}
	}
	return week, errors.Join(errs...)
}

func compileHoliday(field string, h Holiday) ([]span, error) {
	var errs []error
	var spans []span
	for i, r := range h.Quiet {
		at := fmt.Sprintf("%s[%d]", field, i)
		if len(r.Days) > 0 {
			errs = append(errs, fault.BadField(at+".days", "no_days", "a holiday's ranges hold on its date only"))
		}
		sp, err := r.span(at)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		spans = append(spans, sp)
	}
	spans, err := joinSpans(field, lang.Text{ZH: "在 " + h.Date, EN: "on " + h.Date}, spans)
	if err != nil {
		errs = append(errs, err)
	}
	return spans, errors.Join(errs...)
}

// joinSpans sorts the ranges of a day, refuses those that overlap and merges those that touch.
func joinSpans(field string, when lang.Text, spans []span) ([]span, error) {
	sort.Slice(spans, func(i, j int) bool { return spans[i].start < spans[j].start })
	out := spans[:0]
	for _, s := range spans {
		last := len(out) - 1
		switch {
		case last < 0 || s.start > out[last].end:
			out = append(out, s)
		case s.start < out[last].end:
			return nil, overlap(field, when)
		default:
			out[last].end = s.end
		}
	}
	return out, nil
}

func overlap(field string, when lang.Text) error {
	return fault.BadField(field, "quiet_hours_overlap", "two ranges overlap %s; merge them into one", when)
}

func weekdayWords(d time.Weekday) lang.Text {
	chinese := [...]string{"周日", "周一", "周二", "周三", "周四", "周五", "周六"}
	return lang.Text{ZH: "在" + chinese[d], EN: "on " + d.String()}
}

func (r QuietRange) days(field string) ([]time.Weekday, error) {
	if len(r.Days) == 0 {
		return []time.Weekday{0, 1, 2, 3, 4, 5, 6}, nil
	}
	out := make([]time.Weekday, 0, len(r.Days))
	for _, name := range r.Days {
		d, known := weekdays[name]
		if !known {
			return nil, fault.BadField(field+".days", "weekday", "%q is not one of mon, tue, wed, thu, fri, sat, sun", name)
		}
		if slices.Contains(out, d) {
			return nil, fault.BadField(field+".days", "day_twice", "%q is listed twice", name)
		}
		out = append(out, d)
	}
	return out, nil
}

const dayMinutes = 24 * 60

func (r QuietRange) span(field string) (span, error) {
	start, err := parseMinute(field+".start", r.Start)
	if err != nil {
		return span{}, err
	}
	end, err := parseMinute(field+".end", r.End)
	if err != nil {
		return span{}, err
	}
	if start == dayMinutes {
		return span{}, fault.BadField(field+".start", "clock_time", "a range starts at 00:00 to 23:59")
	}
	if start == end {
		return span{}, fault.BadField(field, "quiet_hours_empty", "the range %s to %s is empty; for a whole day write 00:00 to 24:00", r.Start, r.End)
	}
	if end < start {
		end += dayMinutes
	}
	return span{start, end}, nil
}

func parseMinute(field, s string) (int, error) {
	if len(s) == 5 && s[2] == ':' {
		h, okHour := twoDigits(s[:2])
		m, okMinute := twoDigits(s[3:])
		if okHour && okMinute && m < 60 && h*60+m <= dayMinutes {
			return h*60 + m, nil
		}
	}
	return 0, fault.BadField(field, "clock_time", "%q is not a time of day such as 22:30", s)
}

func twoDigits(s string) (int, bool) {
	a, b := s[0]-'0', s[1]-'0'
	return int(a)*10 + int(b), a <= 9 && b <= 9
}

func parseDate(field, s string) (int, error) {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return 0, fault.BadField(field, "date", "%q is not a date such as 2026-10-01", s)
	}
	return dayNumber(t), nil
}
