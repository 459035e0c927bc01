package accounts

import (
	"slices"
	"strings"

	"hongyan/internal/lang"
)

// FindingCode names what a check found. The names are stored, and programs may rely on them.
type FindingCode string

// The findings, the most telling first.
const (
	findAppIDWrong         FindingCode = "appid_wrong"
	findSecretWrong        FindingCode = "secret_wrong"
	findSecretFrozen       FindingCode = "secret_frozen"
	findIPNotListed        FindingCode = "ip_not_listed"
	findIPWaits            FindingCode = "ip_awaits_confirmation"
	findIPDenied           FindingCode = "ip_denied"
	findTokenForbidden     FindingCode = "token_forbidden"
	findAccountFrozen      FindingCode = "account_frozen"
	findTokenRefused       FindingCode = "token_refused"
	findComponentSecret    FindingCode = "component_credentials_wrong"
	findComponentIP        FindingCode = "component_ip_not_listed"
	findTicketMissing      FindingCode = "component_ticket_missing"
	findNotAuthorised      FindingCode = "not_authorised"
	findRefused            FindingCode = "refused"
	findUnreachable        FindingCode = "platform_unreachable"
	findSlow               FindingCode = "platform_slow"
	findStopped            FindingCode = "account_stopped"
	findCorrected          FindingCode = "account_corrected"
	findDoubt              FindingCode = "account_in_doubt"
	findUnverified         FindingCode = "unverified"
	findRightsMissing      FindingCode = "rights_missing"
	findSetsMissing        FindingCode = "permission_sets_missing"
	findSuperseded         FindingCode = "token_superseded"
	findNeverSeen          FindingCode = "callback_never_seen"
	findComponentNeverSeen FindingCode = "component_pushes_never_seen"
	findSilent             FindingCode = "callback_silent"
	findCallbackNotSet     FindingCode = "callback_not_set"
	findHostUnknown        FindingCode = "callback_host_unknown"
	findHostAway           FindingCode = "callback_host_away"
	findKeyDiffers         FindingCode = "aes_key_differs"
	findTokenDiffers       FindingCode = "callback_token_differs"
	findModeDiffers        FindingCode = "callback_mode_differs"
	findAppIDDiffers       FindingCode = "callback_appid_differs"
	findReceiverDiffers    FindingCode = "original_id_differs"
	findPushesStale        FindingCode = "pushes_stale"
	findClockAhead         FindingCode = "clock_ahead"
	findClockBehind        FindingCode = "clock_behind"
	findQuotaUsedUp        FindingCode = "quota_used_up"
	findQuotaLow           FindingCode = "quota_low"
	findSandbox            FindingCode = "sandbox"
	findAccessOK           FindingCode = "access_ok"
	findRightsOK           FindingCode = "rights_ok"
	findPushesOK           FindingCode = "pushes_ok"
	findQuotaOK            FindingCode = "quota_ok"
)

// words are what a finding says: what is wrong, and what to do about it. {name} stands for a value.
type words struct {
	code     FindingCode
	severity Severity // where the check does not choose another
	what, do lang.Text
}

func (f FindingCode) words() (place int, w words) {
	all := findingWords()
	place = slices.IndexFunc(all, func(w words) bool { return w.code == f })
	if place < 0 { // stored by another version of the program
		return len(all), words{code: f, severity: SeverityWarning, what: lang.Text{ZH: string(f), EN: string(f)}}
	}
	return place, all[place]
}

func (f FindingCode) place() int {
	place, _ := f.words()
	return place
}

func (f FindingCode) severity() Severity {
	_, w := f.words()
	return w.severity
}

// What says what was found.
func (f Finding) What() lang.Text {
	_, w := f.Code.words()
	return f.fill(w.what)
}

// Do says what to do about it; it is empty when there is nothing to do.
func (f Finding) Do() lang.Text {
	_, w := f.Code.words()
	return f.fill(w.do)
}

func (f Finding) fill(t lang.Text) lang.Text {
	return lang.Text{ZH: f.in(t.ZH, lang.ZH), EN: f.in(t.EN, lang.EN)}
}

// in puts the values into a text.
func (f Finding) in(text string, l lang.Lang) string {
	before, rest, opens := strings.Cut(text, "{")
	name, after, closes := strings.Cut(rest, "}")
	if !opens || !closes {
		return text
	}
	value, ok := f.Values[name]
	if !ok {
		value = missingValue(name).In(l)
	}
	// A value is not searched for further names: it may be the platform's text.
	return before + sayValue(name, value).In(l) + f.in(after, l)
}

// missingValue stands where the platform did not name something.
func missingValue(name string) lang.Text {
	switch name {
	case "ip":
		return lang.Text{ZH: "（微信没有给出；请查看本机的公网出口 IP）", EN: "(not told by WeChat; look up this machine's public address)"}
	case "url":
		return lang.Text{
			ZH: "https://<公网地址>/wechat/callback/<AppID>（请先设置 HONGYAN_PUBLIC_URL）",
			EN: "https://<public address>/wechat/callback/<AppID> (set HONGYAN_PUBLIC_URL first)",
		}
	default:
		return lang.Text{ZH: "–", EN: "–"}
	}
}

// sayValue writes a value that is a word of ours in the reader's language.
func sayValue(name, value string) lang.Text {
	plain := lang.Text{ZH: value, EN: value}
	switch name {
	case "capabilities":
		var zh, en []string
		for c := range strings.SplitSeq(value, ",") {
			text := Capability(c).Text()
			zh, en = append(zh, text.ZH), append(en, text.EN)
		}
		return lang.Text{ZH: strings.Join(zh, "、"), EN: strings.Join(en, ", ")}
	case "reason":
		if code, ok := strings.CutPrefix(value, sentRefusal); ok {
			return lang.Text{ZH: "微信返回错误码 " + code, EN: "WeChat answered errcode " + code}
		}
		return plain
	case "kind", "verified", "mode":
		if text, ok := valueWords()[value]; ok {
			return text
		}
	}
	return plain
}

func valueWords() map[string]lang.Text {
	return map[string]lang.Text{
		string(KindService): {ZH: "服务号", EN: "service account"}, string(KindSubscription): {ZH: "订阅号", EN: "subscription account"},
		"yes": {ZH: "已认证", EN: "verified"}, "no": {ZH: "未认证", EN: "not verified"},
		string(ModePlain): {ZH: "明文模式", EN: "plain 明文模式"}, string(ModeCompatible): {ZH: "兼容模式", EN: "compatible 兼容模式"},
		string(ModeSafe): {ZH: "安全模式", EN: "safe 安全模式"},
	}
}
