package campaigns_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/accounts"
	"hongyan/campaigns"
	"hongyan/guard"
	"hongyan/internal/fault"
	"hongyan/internal/lang"
)

var start = time.Date(2026, 3, 2, 2, 0, 0, 0, time.UTC) // 10:00 in Shanghai, a Monday

// account is an account that may send, with a policy.
func account(t testing.TB, spec guard.PolicySpec) *accounts.Account {
	t.Helper()
	policy, err := spec.Compile("Asia/Shanghai")
	require.NoError(t, err)
	return &accounts.Account{ID: 1, Name: "鸿雁", Verified: true, Zone: "Asia/Shanghai", Spec: spec, Policy: policy}
}

// say is a step's messages: so many texts.
func say(n int) string {
	return `"messages":[` + strings.TrimSuffix(strings.Repeat(`{"msgtype":"text","text":{"content":"hi {{nickname|you}}"}},`, n), ",") + `]`
}

// define is a definition with the given triggers and steps; each step is what follows the messages in it.
func define(triggers string, rest string, steps ...string) string {
	for i, s := range steps {
		if !strings.Contains(s, `"messages"`) {
			s += "," + say(1)
		}
		steps[i] = "{" + s + "}"
	}
	return fmt.Sprintf(`{"triggers":[%s],"steps":[%s]%s}`, triggers, strings.Join(steps, ","), rest)
}

const follow = `{"kind":"follow"}`

func keyword(words ...string) string {
	raw, err := json.Marshal(words)
	if err != nil {
		panic(err)
	}
	return `{"kind":"keyword","keywords":` + string(raw) + `}`
}

func TestACompleteDefinitionIsAccepted(t *testing.T) {
	t.Parallel()
	raw := define(follow+`,{"kind":"keyword","keywords":["价格","help"],"match":"contains"}`,
		`,"re_entry":{"mode":"after","days":30},"daily_cap":2,"weekly_cap":6,"monthly_cap":20,"ends_at":"2026-12-31T00:00:00+08:00"`,
		`"delay":"0s","class":"reply"`, `"delay":"10m","no_grant":"wait","capped":"tomorrow","fit":"as_many","quiet":"earlier","lateness":"2h"`,
		`"at":"09:30","days":3,"class":"service",`+say(5))
	d, err := campaigns.ParseDefinition([]byte(raw), account(t, guard.PolicySpec{DailyCap: new(3)}), start)
	require.NoError(t, err)
	require.Len(t, d.Steps, 3)
	again, err := json.Marshal(d)
	require.NoError(t, err)
	same, err := campaigns.ParseDefinition(again, account(t, guard.PolicySpec{}), start)
	require.NoError(t, err)
	require.Equal(t, d, same)
}

// badDefinition is a definition that is refused, and its problems by field and rule.
type badDefinition struct{ raw, want string }

// refuse checks that definitions are refused as they say.
func refuse(t *testing.T, all map[string]badDefinition) {
	t.Helper()
	for name, c := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := campaigns.ParseDefinition([]byte(c.raw), account(t, guard.PolicySpec{DailyCap: new(3), WeeklyCap: new(10), MonthlyCap: new(30)}), start)
			require.True(t, fault.Is(err, fault.Invalid) || len(fault.Fields(err)) > 0, "%v", err)
			var got []string
			for _, f := range fault.Fields(err) {
				got = append(got, f.Field+" "+f.Rule)
			}
			require.Equal(t, c.want, strings.Join(got, "; "))
		})
	}
}

func TestBadDefinitionsNameFieldAndRule(t *testing.T) {
	t.Parallel()
	ok := `"delay":"0s"`
	refuse(t, map[string]badDefinition{
		"not an object":          {`[]`, "definition wrong_type"},
		"not JSON":               {`{`, "definition wrong_type"},
		"empty":                  {`{}`, "triggers required; steps required"},
		"unknown field":          {define(follow, `,"colour":1`, ok), "colour unknown_field"},
		"unknown field of step":  {define(follow, "", ok+`,"delya":"1h"`), "steps[0].delya unknown_field"},
		"unknown in a message":   {define(follow, "", ok+`,"messages":[{"msgtype":"text","text":{"contents":"x"}}]`), "steps[0].messages[0].contents unknown_field"},
		"unknown in re-entry":    {define(follow, `,"re_entry":{"mode":"once","day":1}`, ok), "re_entry.day unknown_field"},
		"unknown in trigger":     {define(`{"kind":"follow","word":"x"}`, "", ok), "triggers[0].word unknown_field"},
		"wrong type":             {define(follow, `,"daily_cap":"two"`, `"delay":10`), "steps[0].delay wrong_type; daily_cap wrong_type"},
		"unknown trigger":        {define(`{"kind":"birthday"}`, "", ok), "triggers[0].kind one_of"},
		"no keyword":             {define(`{"kind":"keyword"}`, "", ok), "triggers[0].keywords required"},
		"blank keyword":          {define(keyword("a", " \u3000"), "", ok), "triggers[0].keywords[1] required"},
		"keyword twice":          {define(keyword("Ａ", "a"), "", ok), "triggers[0].keywords[1] duplicate"},
		"long keyword":           {define(keyword(strings.Repeat("雁", 65)), "", ok), "triggers[0].keywords[0] length"},
		"keywords on follow":     {define(`{"kind":"follow","keywords":["a"],"match":"exact"}`, "", ok), "triggers[0].keywords keyword_only; triggers[0].match keyword_only"},
		"unknown match":          {define(`{"kind":"keyword","keywords":["a"],"match":"regex"}`, "", ok), "triggers[0].match one_of"},
		"no time":                {define(follow, "", say(1)), "steps[0].delay required"},
		"delay and clock":        {define(follow, "", `"delay":"1h","at":"09:00"`), "steps[0].at one_of"},
		"delay without unit":     {define(follow, "", `"delay":"10"`), "steps[0].delay duration"},
		"negative delay":         {define(follow, "", `"delay":"-1h"`), "steps[0].delay duration"},
		"fraction":               {define(follow, "", `"delay":"1.5h"`), "steps[0].delay duration"},
		"two units":              {define(follow, "", `"delay":"1h30m"`), "steps[0].delay duration"},
		"too long":               {define(follow, "", `"delay":"366d"`), "steps[0].delay range"},
		"huge":                   {define(follow, "", `"delay":"999999999d"`), "steps[0].delay range"},
		"no such clock time":     {define(follow, "", `"at":"24:00"`), "steps[0].at clock_time"},
		"clock time not padded":  {define(follow, "", `"at":"9:30"`), "steps[0].at clock_time"},
		"days out of range":      {define(follow, "", `"at":"09:30","days":-1`), "steps[0].days range"},
		"days without clock":     {define(follow, "", ok+`,"days":2`), "steps[0].days clock_time_only"},
		"no message":             {define(follow, "", ok+`,"messages":[]`), "steps[0].messages required"},
		"six messages":           {define(follow, "", ok+","+say(6)), "steps[0].messages count"},
		"variable unknown":       {define(follow, "", ok+`,"messages":[{"msgtype":"text","text":{"content":"{{who|x}}"}}]`), "steps[0].messages[0].text.content variable_unknown"},
		"no fallback":            {define(follow, "", ok+`,"messages":[{"msgtype":"text","text":{"content":"{{remark}}"}}]`), "steps[0].messages[0].text.content variable_fallback"},
		"text too long":          {define(follow, "", ok+`,"messages":[{"msgtype":"text","text":{"content":"`+strings.Repeat("a", 2049)+`"}}]`), "steps[0].messages[0].text.content text_bytes"},
		"unknown policies":       {define(follow, "", ok+`,"no_grant":"a","capped":"b","fit":"c","quiet":"d","class":"e"`), "steps[0].class one_of; steps[0].no_grant one_of; steps[0].capped one_of; steps[0].fit one_of; steps[0].quiet one_of"},
		"reply that waits":       {define(follow, "", `"delay":"1s","class":"reply"`), "steps[0].class reply_first_only"},
		"reply later":            {define(follow, "", ok, ok+`,"class":"reply"`), "steps[1].class reply_first_only"},
		"no lateness":            {define(follow, "", ok+`,"lateness":"0s"`), "steps[0].lateness range"},
		"bad lateness":           {define(follow, "", ok+`,"lateness":"soon"`), "steps[0].lateness duration"},
		"everything at once":     {define(`{"kind":"x"}`, `,"daily_cap":-1`, `"delay":"x"`, `"at":"x"`), "triggers[0].kind one_of; steps[0].delay duration; steps[1].at clock_time; daily_cap range"},
		"too many triggers":      {define(strings.TrimSuffix(strings.Repeat(follow+",", 21), ","), "", ok), "triggers count"},
		"triggers not a list":    {`{"triggers":{},"steps":[{` + ok + "," + say(1) + `}]}`, "triggers wrong_type"},
		"a message not a object": {define(follow, "", ok+`,"messages":["hi"]`), "steps[0].messages[0] json"},
	})
}

func TestWhatCannotBeReadIsSaidWithoutTheWordsOfGo(t *testing.T) {
	t.Parallel()
	ok := `"delay":"0s"`
	for raw, want := range map[string]struct{ en, zh string }{
		`[]`:          {"this is not a JSON object; write one in braces", "这里不是 JSON 对象，请改为花括号括起来的对象"},
		`"drip"`:      {"this is not a JSON object; write one in braces", "这里不是 JSON 对象，请改为花括号括起来的对象"},
		`{"steps":[}`: {"this is not JSON: it cannot be read from byte 11 on", "这里不是有效的 JSON，从第 11 个字节起无法识别，请检查格式"},
		define(follow, `,"re_entry":{"mode":"once","day":1}`, ok): {"this field is not known here; known are days, mode", "系统不认识这个字段，请检查拼写或删除；可用的字段有 days, mode"},
		define(follow, "", ok+`,"delya":"1h"`):                    {"this field is not known here", "系统不认识这个字段，请检查拼写或删除"},
		define(follow, "", ok+`,"messages":["hi"]`):               {"a string cannot stand here", "这里不能填写 string 类型的值"},
		define(follow, "", ok+`,"messages":[{"kind":"text","text":{"content":"x"}}]`): {
			"a message names its kind in msgtype; write msgtype instead of kind", "消息的类型写在 msgtype 中，请把 kind 改为 msgtype",
		},
	} {
		_, err := campaigns.ParseDefinition([]byte(raw), account(t, guard.PolicySpec{}), start)
		fields := fault.Fields(err)
		require.Len(t, fields, 1, "one mistake, one error: %v", err)
		require.Equal(t, want.en, fields[0].Message, raw)
		require.Contains(t, fault.Words(err, lang.ZH), want.zh, raw)
	}
}

func TestBadReEntryCapsAndEndNameFieldAndRule(t *testing.T) {
	t.Parallel()
	ok := `"delay":"0s"`
	refuse(t, map[string]badDefinition{
		"unknown re-entry":       {define(follow, `,"re_entry":{"mode":"daily"}`, ok), "re_entry.mode one_of"},
		"re-entry without days":  {define(follow, `,"re_entry":{"mode":"after"}`, ok), "re_entry.days range"},
		"days without after":     {define(follow, `,"re_entry":{"mode":"always","days":1}`, ok), "re_entry.days mode_after_only"},
		"cap out of range":       {define(follow, `,"daily_cap":16`, ok), "daily_cap range"},
		"cap above the account":  {define(follow, `,"daily_cap":4`, ok), "daily_cap above_account"},
		"weekly cap too high":    {define(follow, `,"weekly_cap":106`, ok), "weekly_cap range"},
		"weekly above account":   {define(follow, `,"weekly_cap":11`, ok), "weekly_cap above_account"},
		"weekly below daily":     {define(follow, `,"daily_cap":3,"weekly_cap":2`, ok), "weekly_cap below_daily"},
		"monthly cap below zero": {define(follow, `,"monthly_cap":-1`, ok), "monthly_cap range"},
		"monthly above account":  {define(follow, `,"monthly_cap":31`, ok), "monthly_cap above_account"},
		"monthly below weekly":   {define(follow, `,"weekly_cap":9,"monthly_cap":8`, ok), "monthly_cap below_weekly"},
		"caps of a wrong type":   {define(follow, `,"weekly_cap":"9","monthly_cap":1.5`, ok), "weekly_cap wrong_type; monthly_cap wrong_type"},
		"end without zone":       {define(follow, `,"ends_at":"2026-12-31 00:00"`, ok), "ends_at time"},
		"end has passed":         {define(follow, `,"ends_at":"2026-03-02T10:00:00+08:00"`, ok), "ends_at past"},
	})
}

func FuzzParseDefinition(f *testing.F) {
	f.Add(define(follow, `,"re_entry":{"mode":"after","days":3}`, `"delay":"0s"`, `"at":"09:30","days":1`))
	f.Add(`{"triggers":[null],"steps":[{"messages":[null]}]}`)
	f.Add(steps(waitFor(onReply, "1h", send("0s"), exitStep), iff(isSubscribed, send("1m"), ""), `{"kind":"split","arms":[{"weight":50,"steps":[]},{"weight":50,"steps":[{"kind":"tag","tag":1}]}]}`))
	f.Add(`{"triggers":[{"kind":"follow"}],"steps":[{"kind":"if","condition":null,"then":null},{"kind":"wait_for","for":null},{"date":null},{"kind":"split","arms":[null,null]}]}`)
	f.Add(`{"triggers":[{"kind":"keyword","keywords":["a"]}],"steps":null,"daily_cap":null}`)
	a := &accounts.Account{ID: 1, Verified: true, Zone: "UTC", Policy: &guard.Policy{Zone: time.UTC, Caps: guard.NoCaps()}}
	f.Fuzz(func(t *testing.T, raw string) {
		d, err := campaigns.ParseDefinition([]byte(raw), a, start)
		if err != nil {
			require.NotEmpty(t, fault.Fields(err))
			return
		}
		_, err = campaigns.Reaches(d, a, start)
		require.NoError(t, err)
	})
}

func TestStatesMoveOnlyForward(t *testing.T) {
	t.Parallel()
	allowed := map[string]bool{
		"draft running": true, "draft cancelled": true, "running paused": true, "running finished": true, "running cancelled": true,
		"paused running": true, "paused finished": true, "paused cancelled": true,
	}
	for _, from := range campaigns.States() {
		for _, to := range campaigns.States() {
			require.Equal(t, allowed[string(from)+" "+string(to)], campaigns.CanMove(from, to), "%s to %s", from, to)
		}
	}
}
