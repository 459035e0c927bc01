package limits

import (
	"strings"

	"hongyan/guard"
)

// counters are the columns that count marketing messages, by guard.Period. Beside them is a column with the last day on which any was counted, from which
// it follows which week and month the others count.
type counters [guard.PeriodCount]string

var (
	capColumns      = counters{"cap_used", "cap_week_used", "cap_month_used"}
	campaignColumns = counters{"used", "week_used", "month_used"}
)

// count is the SQL that counts n messages in the periods of a day: guard.Counted.Add for the rows of a set. MySQL assigns from the left, so the day
// comes last.
func count(dayColumn string, columns counters, day, n int) (string, []any) {
	sets := make([]string, 0, guard.PeriodCount+1)
	args := make([]any, 0, 4*guard.PeriodCount+1)
	for p, column := range columns {
		first, next := guard.Period(p).Span(day)
		sets = append(sets, column+" = CASE WHEN "+dayColumn+" BETWEEN ? AND ? THEN "+column+" + ? ELSE ? END")
		args = append(args, first, next-1, n, n)
	}
	return strings.Join(append(sets, dayColumn+" = ?"), ", "), append(args, day)
}
