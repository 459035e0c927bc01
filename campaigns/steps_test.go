package campaigns_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/campaigns"
	"hongyan/guard"
	"hongyan/internal/fault"
)

// steps is a definition that a follow starts, with steps as they are written.
func steps(list ...string) string {
	return fmt.Sprintf(`{"triggers":[%s],"steps":[%s]}`, follow, strings.Join(list, ","))
}

// send is a step with one message.
func send(when string) string { return `{"delay":"` + when + `",` + say(1) + `}` }

const exitStep = `{"kind":"exit"}`

func waitFor(what, timeout, then, els string) string {
	return `{"kind":"wait_for","for":` + what + `,"timeout":"` + timeout + `","then":[` + then + `],"else":[` + els + `]}`
}

func iff(condition, then, els string) string {
	return `{"kind":"if","condition":` + condition + `,"then":[` + then + `],"else":[` + els + `]}`
}

const (
	isSubscribed = `{"field":"fan.subscribed","op":"is","value":true}`
	onReply      = `{"on":"replied"}`
)

func TestStepsAreNumberedInTheOrderInWhichTheyAreWritten(t *testing.T) {
	t.Parallel()
	raw := steps(send("0s"),
		iff(isSubscribed, send("1m")+","+waitFor(onReply, "1h", send("0s"), exitStep), send("2m")),
		`{"kind":"split","arms":[{"weight":50,"steps":[]},{"weight":50,"steps":[`+send("3m")+`]}]}`, send("4m"))
	d, err := campaigns.ParseDefinition([]byte(raw), account(t, guard.PolicySpec{}), start)
	require.NoError(t, err)
	var got []string
	for _, n := range d.Numbered() {
		got = append(got, fmt.Sprintf("%d %s", n.No, n.Path))
	}
	require.Equal(t, []string{
		"1 steps[0]", "2 steps[1]", "3 steps[1].then[0]", "4 steps[1].then[1]", "5 steps[1].then[1].then[0]", "6 steps[1].then[1].else[0]",
		"7 steps[1].else[0]", "8 steps[2]", "9 steps[2].arms[1].steps[0]", "10 steps[3]",
	}, got)
}

func TestBadStepsNameFieldAndRule(t *testing.T) {
	t.Parallel()
	deep := send("0s")
	for range 4 {
		deep = iff(isSubscribed, deep, "")
	}
	split := func(arms string) string { return steps(`{"kind":"split","arms":[` + arms + `]}`) }
	for name, c := range map[string]struct{ raw, want string }{
		"unknown kind":               {steps(`{"kind":"jump"}`), "steps[0].kind one_of"},
		"nested delay":               {steps(send("0s"), iff(isSubscribed, send("soon"), "")), "steps[1].then[0].delay duration"},
		"nested variable":            {steps(iff(isSubscribed, `{"delay":"0s","messages":[{"msgtype":"text","text":{"content":"{{remark}}"}}]}`, "")), "steps[0].then[0].messages[0].text.content variable_fallback"},
		"nested text too long":       {steps(iff(isSubscribed, "", `{"delay":"0s","messages":[{"msgtype":"text","text":{"content":"`+strings.Repeat("a", 2049)+`"}}]}`)), "steps[0].else[0].messages[0].text.content text_bytes"},
		"nested unknown field":       {split(`{"weight":50,"steps":[{"kind":"exit","why":1}]},{"weight":50,"step":[]}`), "steps[0].arms[0].steps[0].why unknown_field; steps[0].arms[1].step unknown_field"},
		"messages in a tag step":     {steps(`{"kind":"tag","tag":1,` + say(1) + `}`), "steps[0].messages other_kind"},
		"timeout of a message":       {steps(`{"delay":"0s","timeout":"1h",` + say(1) + `}`), "steps[0].timeout other_kind"},
		"then of a split":            {steps(`{"kind":"split","then":[` + exitStep + `],"arms":[{"weight":40,"steps":[` + exitStep + `]},{"weight":60,"steps":[]}]}`), "steps[0].then other_kind"},
		"behind an exit":             {steps(send("0s"), exitStep, send("0s")), "steps[2] unreachable"},
		"behind two exits":           {steps(iff(isSubscribed, exitStep, send("0s")+","+exitStep), send("0s"), send("0s")), "steps[1] unreachable"},
		"behind arms that all exit":  {split(`{"weight":50,"steps":[` + exitStep + `]},{"weight":50,"steps":[` + exitStep + `]}],"delay":"0s"},{"kind":"split","arms":[{"weight":1,"steps":[` + exitStep + `]},{"weight":99,"steps":[]}`), "steps[1] unreachable"},
		"behind a wait that exits":   {steps(waitFor(onReply, "1h", exitStep, exitStep), send("0s")), "steps[1] unreachable"},
		"no branches":                {steps(iff(isSubscribed, "", "")), "steps[0] no_effect"},
		"empty arms":                 {split(`{"weight":50,"steps":[]},{"weight":50,"steps":[]}`), "steps[0] no_effect"},
		"one arm":                    {split(`{"weight":99,"steps":[` + exitStep + `]}`), "steps[0].arms count"},
		"weights not 100":            {split(`{"weight":50,"steps":[` + exitStep + `]},{"weight":49,"steps":[]}`), "steps[0].arms sum"},
		"a weight of nothing":        {split(`{"weight":0,"steps":[` + exitStep + `]},{"weight":100,"steps":[]}`), "steps[0].arms[0].weight range; steps[0].arms[1].weight range"},
		"no condition":               {steps(`{"kind":"if","then":[` + send("0s") + `]}`), "steps[0].condition required"},
		"unknown fact":               {steps(iff(`{"field":"fan.age","op":"is","value":3}`, send("0s"), "")), "steps[0].condition.field unknown"},
		"nothing to wait for":        {steps(`{"kind":"wait_for","timeout":"1h"}`), "steps[0].for required"},
		"waits for a goal":           {steps(waitFor(`{"on":"goal","event":"paid"}`, "1h", send("0s"), "")), "steps[0].for.on one_of"},
		"no timeout":                 {steps(`{"kind":"wait_for","for":` + onReply + `}`), "steps[0].timeout required"},
		"a timeout of nothing":       {steps(waitFor(onReply, "0s", send("0s"), "")), "steps[0].timeout range"},
		"a timeout too long":         {steps(waitFor(onReply, "31d", send("0s"), "")), "steps[0].timeout range"},
		"ask without timeout":        {steps(`{"kind":"ask","delay":"0s",` + say(1) + `}`), "steps[0].timeout required"},
		"ask without messages":       {steps(`{"kind":"ask","delay":"0s","timeout":"1h"}`), "steps[0].messages required"},
		"tag without id":             {steps(`{"kind":"tag"}`), "steps[0].tag required"},
		"webhook without id":         {steps(`{"kind":"webhook"}`), "steps[0].webhook required"},
		"five deep":                  {steps(deep), "steps[0].then[0].then[0].then[0].then depth; steps[0].then[0].then[0].then[0] no_effect"},
		"51 steps in all":            {steps(iff(isSubscribed, strings.TrimSuffix(strings.Repeat(send("0s")+",", 50), ","), "")), "steps count"},
		"date without attribute":     {steps(`{"date":{"at":"09:00"},` + say(1) + `}`), "steps[0].date.attribute required"},
		"date without time":          {steps(`{"date":{"attribute":"birthday"},` + say(1) + `}`), "steps[0].date.at clock_time"},
		"date too far":               {steps(`{"date":{"attribute":"birthday","at":"09:00","days":-366},` + say(1) + `}`), "steps[0].date.days range"},
		"date and delay":             {steps(`{"date":{"attribute":"birthday","at":"09:00"},"delay":"0s",` + say(1) + `}`), "steps[0].date one_of"},
		"reply behind a message":     {steps(send("0s"), iff(isSubscribed, `{"delay":"0s","class":"reply",`+say(1)+`}`, "")), "steps[1].then[0].class reply_first_only"},
		"reply when nobody answered": {steps(waitFor(onReply, "1h", "", `{"delay":"0s","class":"reply",`+say(1)+`}`)), "steps[0].else[0].class reply_first_only"},
		"reply to a tag":             {steps(waitFor(`{"on":"tagged","tag":1}`, "1h", `{"delay":"0s","class":"reply",`+say(1)+`}`, "")), "steps[0].then[0].class reply_first_only"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := campaigns.ParseDefinition([]byte(c.raw), account(t, guard.PolicySpec{}), start)
			var got []string
			for _, f := range fault.Fields(err) {
				got = append(got, f.Field+" "+f.Rule)
			}
			require.Equal(t, c.want, strings.Join(got, "; "), "%v", err)
		})
	}
}

func TestAReplyMayComeFirstOnEveryWay(t *testing.T) {
	t.Parallel()
	reply := `{"delay":"0s","class":"reply",` + say(1) + `}`
	for name, raw := range map[string]string{
		"in a branch":         steps(iff(isSubscribed, reply, reply)),
		"behind a branch":     steps(iff(isSubscribed, `{"kind":"tag","tag":3}`, ""), reply),
		"in an arm":           steps(`{"kind":"split","arms":[{"weight":50,"steps":[` + reply + `]},{"weight":50,"steps":[]}]}`),
		"to who was awaited":  steps(send("0s"), waitFor(onReply, "1h", reply, "")),
		"where others exited": steps(iff(isSubscribed, exitStep, ""), reply),
	} {
		_, err := campaigns.ParseDefinition([]byte(raw), account(t, guard.PolicySpec{}), start)
		require.NoError(t, err, name)
	}
}
