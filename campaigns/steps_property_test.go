package campaigns_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"hongyan/campaigns"
	"hongyan/deliveries"
	"hongyan/guard"
	"hongyan/internal/testdb"
)

// randomSteps is a list of steps that the checks accept, at most depth deep.
func randomSteps(t *rapid.T, depth int, name string) string {
	n := rapid.IntRange(1, 3).Draw(t, name+" length")
	kinds := []string{"message", "message", "ask", "tag", "untag", "webhook"}
	if depth < 4 {
		kinds = append(kinds, "if", "split", "wait_for", "if", "wait_for")
	}
	var list []string
	for i := range n {
		at := fmt.Sprintf("%s.%d", name, i)
		delay := rapid.SampledFrom([]string{"0s", "0s", "1m", "3h"}).Draw(t, at+" delay")
		branch := func(which string) string {
			if rapid.Bool().Draw(t, at+which+" empty") {
				return ""
			}
			return randomSteps(t, depth+1, at+which)
		}
		due := `"delay":"` + delay + `"`
		switch kind := rapid.SampledFrom(kinds).Draw(t, at+" kind"); kind {
		case "message":
			list = append(list, `{`+due+`,`+say(1)+`}`)
		case "ask":
			list = append(list, `{"kind":"ask","timeout":"2h",`+due+`,`+say(1)+`}`)
		case "tag", "untag":
			list = append(list, `{"kind":"`+kind+`","tag":8,`+due+`}`)
		case "webhook":
			list = append(list, `{"kind":"webhook","webhook":4,`+due+`}`)
		case "if":
			list = append(list, `{"kind":"if",`+due+`,"condition":{"field":"tag.8","op":"exists"},"then":[`+randomSteps(t, depth+1, at+"then")+`],"else":[`+branch("else")+`]}`)
		case "split":
			list = append(list, `{"kind":"split",`+due+`,"arms":[{"weight":50,"steps":[`+randomSteps(t, depth+1, at+"arm")+`]},{"weight":50,"steps":[`+branch("other")+`]}]}`)
		case "wait_for":
			on := rapid.SampledFrom([]string{`{"on":"replied"}`, `{"on":"clicked"}`}).Draw(t, at+" for")
			list = append(list, `{"kind":"wait_for",`+due+`,"for":`+on+`,"timeout":"1h","then":[`+branch("then")+`],"else":[`+branch("else")+`]}`)
		}
	}
	if rapid.IntRange(0, 5).Draw(t, name+" exits") == 0 {
		list = append(list, exitStep)
	}
	return strings.Join(list, ",")
}

func TestARunOnlyMovesForwardAndAlwaysEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testdb.SQLite(t), guard.PolicySpec{})
	w.people(1)
	w.tag(8)
	w.outbox()
	rapid.Check(t, func(r *rapid.T) {
		raw := steps(randomSteps(r, 1, "s"))
		if _, err := campaigns.ParseDefinition([]byte(raw), w.account, w.clk.Now()); err != nil {
			r.Skip("more than 50 steps, or some that nobody comes to")
		}
		d := w.run(raw, 0)
		w.enter(w.act(1, campaigns.ActFollow, ""))
		at := 0
		forward := func() bool {
			var row struct {
				StepNo int
				State  string
			}
			require.NoError(r, w.db.Read(t.Context()).Raw("SELECT step_no, state FROM enrolments WHERE campaign_id = ?", d.ID).Scan(&row).Error)
			require.GreaterOrEqual(r, row.StepNo, at, raw)
			at = row.StepNo
			return row.State == "running"
		}
		for range rapid.IntRange(0, 12).Draw(r, "acts") {
			switch rapid.IntRange(0, 4).Draw(r, "act") {
			case 0:
				w.sent(d.ID, 1)
			case 1:
				w.end(d.ID, 1, deliveries.StateFailed, guard.ReasonPlatform)
			case 2:
				w.react(w.act(1, campaigns.ActText, "hi"))
			case 3:
				w.react(w.act(1, campaigns.ActMenu, ""))
			default:
				w.after(time.Duration(rapid.IntRange(1, 300).Draw(r, "minutes")) * time.Minute)
			}
			forward()
		}
		for range 60 {
			if !forward() {
				break
			}
			w.sent(d.ID, 1)
			w.after(4 * time.Hour)
		}
		require.False(r, forward(), "a run of %s is still going on in step %d", raw, at)
		require.Zero(r, w.count("enrolments WHERE campaign_id = ? AND (timer_at IS NOT NULL OR wake_at IS NOT NULL OR waiting <> 0)", d.ID))
		require.Zero(r, w.count("deliveries WHERE source_id = ? AND state < ?", d.ID, deliveries.StateSent))
	})
}
