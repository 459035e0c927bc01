package guard_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/guard"
	"hongyan/internal/fault"
)

// problems parses and compiles, and lists what is wrong as "field rule".
func problems(raw, zone string) []string {
	spec, err := guard.ParsePolicy([]byte(raw))
	if err == nil {
		_, err = spec.Compile(zone)
	}
	var out []string
	for _, f := range fault.Fields(err) {
		out = append(out, f.Field+" "+f.Rule)
	}
	return out
}

// badPolicy is a policy that is refused, and its problems by field and rule.
type badPolicy struct {
	name, raw string
	want      []string
}

// refuse checks that policies are refused as they say.
func refuse(t *testing.T, all []badPolicy) {
	t.Helper()
	for _, c := range all {
		require.Equal(t, c.want, problems(c.raw, "Asia/Shanghai"), c.name)
	}
}

func TestInvalidPoliciesNameFieldAndRule(t *testing.T) {
	t.Parallel()
	refuse(t, []badPolicy{
		{"unknown field", `{"daily_caps":3}`, []string{"policy json"}},
		{"unknown field inside", `{"quiet_hours":[{"start":"22:00","end":"08:00","day":["mon"]}]}`, []string{"policy json"}},
		{"wrong type", `{"daily_cap":"3"}`, []string{"daily_cap type"}},
		{"wrong type inside", `{"quiet_hours":[{"start":22,"end":"08:00"}]}`, []string{"quiet_hours.start type"}},
		{"fraction", `{"daily_cap":2.5}`, []string{"daily_cap type"}},
		{"not an object", `[]`, []string{"policy json"}},
		{"cut short", `{"daily_cap":3`, []string{"policy json"}},
		{"nothing", ``, []string{"policy json"}},
		{"something behind", `{"daily_cap":3}{"daily_cap":4}`, []string{"policy json"}},
		{"rubbish behind", `{"daily_cap":3} x`, []string{"policy json"}},
		{"cap 16", `{"daily_cap":16}`, []string{"daily_cap range"}},
		{"cap -1", `{"daily_cap":-1}`, []string{"daily_cap range"}},
		{"weekly cap 106", `{"weekly_cap":106}`, []string{"weekly_cap range"}},
		{"weekly cap -1", `{"weekly_cap":-1}`, []string{"weekly_cap range"}},
		{"monthly cap 451", `{"monthly_cap":451}`, []string{"monthly_cap range"}},
		{"monthly cap -1", `{"monthly_cap":-1}`, []string{"monthly_cap range"}},
		{"less a week than a day", `{"daily_cap":3,"weekly_cap":2}`, []string{"weekly_cap below_daily"}},
		{"less a month than a week", `{"weekly_cap":3,"monthly_cap":2}`, []string{"monthly_cap below_weekly"}},
		{"less a month than a day", `{"daily_cap":3,"monthly_cap":2}`, []string{"monthly_cap below_daily"}},
		{"less and less", `{"daily_cap":3,"weekly_cap":2,"monthly_cap":1}`, []string{"weekly_cap below_daily", "monthly_cap below_weekly"}},
		{"a cap out of range is compared with none", `{"daily_cap":16,"weekly_cap":2,"monthly_cap":451}`, []string{"daily_cap range", "monthly_cap range"}},
		{"gap -1", `{"gap_minutes":-1}`, []string{"gap_minutes range"}},
		{"gap of more than a week", `{"gap_minutes":10081}`, []string{"gap_minutes range"}},
		{"spread -1", `{"spread_minutes":-1}`, []string{"spread_minutes range"}},
		{"spread 241", `{"spread_minutes":241}`, []string{"spread_minutes range"}},
		{"hold 6", `{"hold_for_agents":6}`, []string{"hold_for_agents range"}},
		{"hold -1", `{"hold_for_agents":-1}`, []string{"hold_for_agents range"}},
		{"all at once", `{"daily_cap":99,"gap_minutes":-5,"quiet_hours":[{"start":"9","end":"10:00"}],
			"holidays":[{"date":"x","quiet_hours":[{"start":"10:00","end":"y"}]}],"workdays":[{"date":"z","as":"?"}]}`, []string{
			"daily_cap range", "gap_minutes range", "quiet_hours[0].start clock_time", "holidays[0].quiet_hours[0].end clock_time",
			"holidays[0].date date", "workdays[0].as weekday", "workdays[0].date date",
		}},
	})
}

func TestInvalidQuietHoursAndSpecialDaysNameFieldAndRule(t *testing.T) {
	t.Parallel()
	refuse(t, []badPolicy{
		{"empty range", ranges(`{"start":"08:00","end":"08:00"}`), []string{"quiet_hours[0] quiet_hours_empty"}},
		{"empty at midnight", ranges(`{"start":"00:00","end":"00:00"}`), []string{"quiet_hours[0] quiet_hours_empty"}},
		{"starts at 24:00", ranges(`{"start":"24:00","end":"08:00"}`), []string{"quiet_hours[0].start clock_time"}},
		{"24:30", ranges(`{"start":"22:00","end":"24:30"}`), []string{"quiet_hours[0].end clock_time"}},
		{"25:00", ranges(`{"start":"25:00","end":"08:00"}`), []string{"quiet_hours[0].start clock_time"}},
		{"7:00", ranges(`{"start":"22:00","end":"7:00"}`), []string{"quiet_hours[0].end clock_time"}},
		{"+1:00", ranges(`{"start":"+1:00","end":"07:00"}`), []string{"quiet_hours[0].start clock_time"}},
		{"07:60", ranges(`{"start":"22:00","end":"07:60"}`), []string{"quiet_hours[0].end clock_time"}},
		{"07:0a", ranges(`{"start":"22:00","end":"07:0a"}`), []string{"quiet_hours[0].end clock_time"}},
		{"07.00", ranges(`{"start":"22:00","end":"07.00"}`), []string{"quiet_hours[0].end clock_time"}},
		{"missing end", ranges(`{"start":"22:00"}`), []string{"quiet_hours[0].end clock_time"}},
		{"unknown weekday", ranges(`{"start":"22:00","end":"23:00","days":["monday"]}`), []string{"quiet_hours[0].days weekday"}},
		{"weekday twice", ranges(`{"start":"22:00","end":"23:00","days":["mon","mon"]}`), []string{"quiet_hours[0].days day_twice"}},
		{"overlap", ranges(`{"days":["mon"],"start":"10:00","end":"12:00"},{"days":["mon"],"start":"11:59","end":"13:00"}`), []string{"quiet_hours quiet_hours_overlap"}},
		{"the same twice", ranges(`{"days":["mon"],"start":"10:00","end":"12:00"},{"days":["mon"],"start":"10:00","end":"12:00"}`), []string{"quiet_hours quiet_hours_overlap"}},
		{"overlap across midnight", ranges(`{"days":["mon"],"start":"22:00","end":"08:00"},{"days":["tue"],"start":"07:59","end":"09:00"}`), []string{"quiet_hours quiet_hours_overlap"}},
		{"overlap from Saturday to Sunday", ranges(`{"days":["sat"],"start":"22:00","end":"08:00"},{"days":["sun"],"start":"07:00","end":"09:00"}`), []string{"quiet_hours quiet_hours_overlap"}},
		{"holiday twice", `{"holidays":[{"date":"2026-10-01"},{"date":"2026-10-01"}]}`, []string{"holidays[1].date date_twice"}},
		{"holiday and workday", `{"holidays":[{"date":"2026-10-01"}],"workdays":[{"date":"2026-10-01","as":"mon"}]}`, []string{"workdays[0].date date_twice"}},
		{"no such date", `{"holidays":[{"date":"2026-02-29"}]}`, []string{"holidays[0].date date"}},
		{"date without zeros", `{"workdays":[{"date":"2026-2-9","as":"mon"}]}`, []string{"workdays[0].date date"}},
		{"holiday with days", `{"holidays":[{"date":"2026-10-01","quiet_hours":[{"days":["mon"],"start":"22:00","end":"23:00"}]}]}`, []string{"holidays[0].quiet_hours[0].days no_days"}},
		{"holiday's overlap", `{"holidays":[{"date":"2026-10-01","quiet_hours":[{"start":"10:00","end":"12:00"},{"start":"11:00","end":"13:00"}]}]}`, []string{"holidays[0].quiet_hours quiet_hours_overlap"}},
		{"holiday's empty range", `{"holidays":[{"date":"2026-10-01","quiet_hours":[{"start":"10:00","end":"10:00"}]}]}`, []string{"holidays[0].quiet_hours[0] quiet_hours_empty"}},
		{"workday as no weekday", `{"workdays":[{"date":"2026-10-10","as":"Mon"}]}`, []string{"workdays[0].as weekday"}},
	})
}

func ranges(list string) string { return `{"quiet_hours":[` + list + `]}` }

func TestUnknownFieldsAreNamed(t *testing.T) {
	t.Parallel()
	_, err := guard.ParsePolicy([]byte(`{"daily_caps":3}`))
	require.ErrorContains(t, err, "daily_caps")
	require.Equal(t, fault.Invalid, fault.CodeOf(err))
}

func TestOverlapsNameTheirDay(t *testing.T) {
	t.Parallel()
	spec, err := guard.ParsePolicy([]byte(`{"holidays":[{"date":"2026-10-01","quiet_hours":[{"start":"10:00","end":"12:00"},{"start":"11:00","end":"13:00"}]}]}`))
	require.NoError(t, err)
	_, err = spec.Compile("Asia/Shanghai")
	require.ErrorContains(t, err, "overlap on 2026-10-01")
}

func TestZonesAreIANANames(t *testing.T) {
	t.Parallel()
	for _, zone := range []string{"", "Local", "Asia/Peking", "UTC+8", "../etc/passwd"} {
		require.Equal(t, []string{"time_zone unknown_zone"}, problems(`{}`, zone), zone)
	}
	for _, zone := range []string{"Asia/Shanghai", "Europe/Berlin", "UTC"} {
		require.Empty(t, problems(`{}`, zone), zone)
	}
}

func TestValidPolicies(t *testing.T) {
	t.Parallel()
	for name, raw := range map[string]string{
		"nothing set":                 `{}`,
		"caps":                        `{"daily_cap":0,"gap_minutes":10080,"spread_minutes":240,"hold_for_agents":5}`,
		"the highest caps":            `{"daily_cap":15,"weekly_cap":105,"monthly_cap":450}`,
		"the same in every period":    `{"daily_cap":3,"weekly_cap":3,"monthly_cap":3}`,
		"nothing at all this week":    `{"daily_cap":3,"weekly_cap":0,"monthly_cap":9}`,
		"nothing a day or month":      `{"daily_cap":0,"weekly_cap":7,"monthly_cap":0}`,
		"a weekly cap alone":          `{"weekly_cap":1}`,
		"touching ranges":             ranges(`{"start":"10:00","end":"12:00"},{"start":"12:00","end":"13:00"}`),
		"touching across midnight":    ranges(`{"start":"22:00","end":"08:00"},{"start":"08:00","end":"09:00"}`),
		"a whole day":                 ranges(`{"days":["sun"],"start":"00:00","end":"24:00"}`),
		"the same hours, other days":  ranges(`{"days":["mon"],"start":"10:00","end":"12:00"},{"days":["tue"],"start":"10:00","end":"12:00"}`),
		"a holiday overlaps its eve":  `{"quiet_hours":[{"start":"22:00","end":"08:00"}],"holidays":[{"date":"2026-10-01","quiet_hours":[{"start":"06:00","end":"10:00"}]}]}`,
		"a workday overlaps its eve":  `{"quiet_hours":[{"days":["fri"],"start":"22:00","end":"08:00"},{"days":["mon"],"start":"07:00","end":"09:00"}],"workdays":[{"date":"2026-10-10","as":"mon"}]}`,
		"a leap day":                  `{"holidays":[{"date":"2028-02-29"}]}`,
		"space behind the last brace": "{}\n\t ",
	} {
		require.Empty(t, problems(raw, "Asia/Shanghai"), name)
	}
}

func TestUnsetIsNotZero(t *testing.T) {
	t.Parallel()
	p := must(t, "Asia/Shanghai", guard.PolicySpec{})
	require.Equal(t, guard.NoCaps(), p.Caps)
	require.Equal(t, []int64{0, 10 * minute, 0}, []int64{p.Gap, p.Spread, int64(p.Held)})
	p = must(t, "Asia/Shanghai", guard.PolicySpec{DailyCap: new(0), MonthlyCap: new(0), SpreadMinutes: new(0), GapMinutes: 5, HoldForAgents: 2})
	require.Equal(t, guard.Caps{0, guard.NoCap, 0}, p.Caps)
	require.Equal(t, []int64{5 * minute, 0, 2}, []int64{p.Gap, p.Spread, int64(p.Held)})
}

func FuzzParsePolicy(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"daily_cap":3,"weekly_cap":9,"monthly_cap":27,"gap_minutes":60,"spread_minutes":5,"hold_for_agents":1}`,
		ranges(`{"days":["mon","sun"],"start":"22:00","end":"08:00"},{"start":"12:00","end":"13:00"}`),
		`{"holidays":[{"date":"2026-10-01","quiet_hours":[{"start":"00:00","end":"24:00"}]}],"workdays":[{"date":"2026-10-10","as":"mon"}]}`,
		`{"quiet_hours":[{"start":"24:00","end":"24:30"}]}`, `{"holidays":[{"date":"0000-01-01","quiet_hours":null}]}`, `null`, `[`,
	} {
		f.Add([]byte(seed))
	}
	at := time.Date(2026, 3, 29, 0, 30, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, raw []byte) {
		spec, err := guard.ParsePolicy(raw)
		if err != nil {
			require.Len(t, fault.Fields(err), 1)
			return
		}
		p, err := spec.Compile("Europe/Berlin")
		if err != nil {
			for _, problem := range fault.Fields(err) {
				require.NotEmpty(t, problem.Rule)
			}
			require.NotEmpty(t, fault.Fields(err))
			return
		}
		if start, end, quiet := p.QuietRangeAt(at); quiet {
			require.False(t, at.Before(start))
			require.True(t, end.IsZero() || at.Before(end))
		}
		again, err := json.Marshal(spec)
		require.NoError(t, err)
		second, err := guard.ParsePolicy(again)
		require.NoError(t, err)
		_, err = second.Compile("Europe/Berlin")
		require.NoError(t, err, "what was valid stays valid when stored")
	})
}
