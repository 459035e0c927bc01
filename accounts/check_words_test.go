package accounts

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/internal/lang"
)

var placeholder = regexp.MustCompile(`\{[a-z]*\}`)

func TestEveryFindingHasWordsInBothLanguagesWithTheSameValues(t *testing.T) {
	t.Parallel()
	seen := map[FindingCode]bool{}
	for _, w := range findingWords() {
		require.False(t, seen[w.code], w.code)
		seen[w.code] = true
		for _, text := range []lang.Text{w.what, w.do} {
			zh, en := placeholder.FindAllString(text.ZH, -1), placeholder.FindAllString(text.EN, -1)
			slices.Sort(zh)
			slices.Sort(en)
			require.Equal(t, zh, en, w.code)
			require.Equal(t, text.ZH == "", text.EN == "", w.code)
		}
		require.NotEmpty(t, w.what.ZH, w.code)
		require.Equal(t, w.severity == SeverityOK, w.do.ZH == "", "%s: what is wrong says what to do", w.code)
	}
	for _, code := range slices.Collect(maps.Values(accessCodes())) {
		require.True(t, seen[code], code)
	}
	for _, why := range []PushRefusal{RefusedSignature, RefusedMode, RefusedCipher, RefusedAppID, RefusedStale, RefusedReceiver} {
		require.True(t, seen[refusalFinding(why)], why)
	}
}

func TestWordsHoldTheValuesAndNothingElse(t *testing.T) {
	t.Parallel()
	f := Finding{Code: findIPNotListed, Values: map[string]string{"ip": "1.2.3.4"}}
	require.Equal(t, "Enter 1.2.3.4 into the API IP whitelist on the WeChat developer platform; it takes up to 10 minutes.", f.Do().EN)
	f.Values = nil
	require.Contains(t, f.Do().ZH, "请查看本机的公网出口 IP")
	f = Finding{Code: findRefused, Values: map[string]string{"errmsg": "{api} {"}}
	require.Equal(t, "WeChat refused the call: {api} {", f.What().EN, "the platform's text is no template")
	f = Finding{Code: findRightsMissing, Values: map[string]string{"capabilities": "tags,flying"}}
	require.Equal(t, "公众号没有这些接口权限：用户标签、flying", f.What().ZH)
	require.Equal(t, "novel", Finding{Code: "novel"}.What().EN, "stored by another version")
	for _, w := range findingWords() {
		f := Finding{Code: w.code}
		for _, text := range []lang.Text{f.What(), f.Do()} {
			require.Empty(t, placeholder.FindString(text.ZH+text.EN), w.code)
		}
	}
}

func TestTheTableOfRightsIsThePlatforms(t *testing.T) {
	t.Parallel()
	columns := []facts{
		{kind: KindSubscription}, {kind: KindSubscription, verified: true}, {kind: KindService}, {kind: KindService, verified: true},
	}
	// no, yes, unknown: for each of the columns above, as platform.md 0.2 has it.
	want := map[Capability]string{
		CustomerService: "nyny", TemplateMessages: "nnny", Notices: "nnnu", MassSend: "nyny", MassByList: "nnny", QRCodes: "nnny", ShortKeys: "nnny",
		Tags: "nyny", UserList: "nyny", Menus: "nyyy", ConditionalMenus: "nyny", OAuth: "nnny", JSSDK: "yyyy", JSShare: "nyny", Material: "nyny",
		Drafts: "nyny", Publishing: "nyny", Datacube: "nyny", Agents: "nuny", LocationEvents: "nnny",
	}
	require.Len(t, want, len(capabilities()))
	letters := map[Permission]string{Allowed: "y", NotAllowed: "n", Unknown: "u"}
	for c, row := range want {
		var got strings.Builder
		for i := range columns {
			right := deriveRights(&columns[i], nil, 7).Of(c)
			require.Equal(t, []any{ByType, int64(7)}, []any{right.Source, right.Since})
			got.WriteString(letters[right.Permission])
		}
		require.Equal(t, row, got.String(), c)
		require.NotEmpty(t, c.Text().ZH)
	}
}

func TestWhatThePlatformAnswersOutweighsSetsAndTheseTheType(t *testing.T) {
	t.Parallel()
	f := facts{kind: KindService, verified: true, component: true, sets: []int{1}}
	rights := deriveRights(&f, nil, 1)
	require.Equal(t, Right{Capability: Tags, Permission: NotAllowed, Source: BySets, Since: 1}, rights.Of(Tags))
	require.Equal(t, Allowed, rights.Of(CustomerService).Permission)
	require.Equal(t, Allowed, rights.Of(Datacube).Permission, "no set is known to cover statistics")
	f.answers = map[Capability]answer{Tags: {permission: Allowed, source: ByAnswer}, CustomerService: {permission: NotAllowed, code: 48001, source: BySend}}
	next := deriveRights(&f, rights, 2)
	require.Equal(t, Right{Capability: Tags, Permission: Allowed, Source: ByAnswer, Since: 2}, next.Of(Tags))
	require.Equal(t, Right{Capability: CustomerService, Permission: NotAllowed, Source: BySend, ErrCode: 48001, Since: 2}, next.Of(CustomerService))
	require.EqualValues(t, 1, next.Of(Datacube).Since)
	f.component, f.sets, f.answers = false, nil, nil
	require.Equal(t, Allowed, deriveRights(&f, nil, 1).Of(Tags).Permission, "an account with its own secret has no sets")
}

func TestTheRefusedAddressIsReadStrictly(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"invalid ip 1.2.3.4 ipv6 ::ffff:1.2.3.4, not in whitelist":     "1.2.3.4",
		"invalid ip 1.2.3.4, not in whitelist":                         "1.2.3.4",
		"invalid ip ::ffff:1.2.3.4, not in whitelist":                  "1.2.3.4",
		"invalid ip 2408:1::2 ipv6 2408:1::2, not in whitelist":        "2408:1::2",
		"access clientip is not registered requestIP: 58.101.200.168":  "58.101.200.168",
		"access clientip is not registered requestIP: 58.101.200.168 ": "58.101.200.168",
		"access clientip is not registered":                            "",
		"invalid ip 1.2.3.4 ipv6 ::ffff:1.2.3.5, not in whitelist":     "",
		"invalid ip 1.2.3.4":                                               "",
		"invalid ip 1.2.3.4/8, not in whitelist":                           "",
		"invalid ip 1.2.3, not in whitelist":                               "",
		"invalid ip fe80::1%eth0, not in whitelist":                        "",
		"invalid ip <b>1.2.3.4</b>, not in whitelist":                      "",
		"access clientip is not registered requestIP: 1.2.3.4 and 5.6.7.8": "",
		"1.2.3.4": "",
		"":        "",
		"invalid ip 1.2.3.4, not in whitelist" + strings.Repeat(" ", maxErrmsg): "",
	} {
		addr, ok := refusedAddress(in)
		require.Equal(t, want != "", ok, in)
		if ok {
			require.Equal(t, want, addr.String(), in)
		}
	}
}

func FuzzRefusedAddress(f *testing.F) {
	for _, seed := range []string{
		"invalid ip 1.2.3.4 ipv6 ::ffff:1.2.3.4, not in whitelist", "invalid ip 2408:1::2 ipv6 2408:1::2, not in whitelist",
		"access clientip is not registered requestIP: 58.101.200.168", "invalid ip , not in whitelist", "requestIP: ",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, errmsg string) {
		addr, ok := refusedAddress(errmsg)
		if !ok {
			return
		}
		require.True(t, addr.IsValid())
		require.Empty(t, addr.Zone())
		require.False(t, addr.Is4In6())
		require.LessOrEqual(t, len(errmsg), maxErrmsg)
		again, ok := refusedAddress("invalid ip " + addr.String() + ", not in whitelist")
		require.True(t, ok)
		require.Equal(t, addr, again)
	})
}
