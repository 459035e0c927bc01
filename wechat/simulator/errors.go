package simulator

import "strconv"

// The platform's error codes that the simulator gives (platform.md 1.2, 1.3, 3.5, 12.3).
const (
	codeOK               = 0
	codeBusy             = -1
	codeBadCredential    = 40001
	codeBadGrantType     = 40002
	codeBadOpenID        = 40003
	codeBadMediaID       = 40007
	codeBadMessageType   = 40008
	codeBadAppID         = 40013
	codeBadToken         = 40014
	codeBadParameter     = 40035
	codeBadURL           = 40048
	codeBadPath          = 40066
	codeUnknownField     = 40097
	codeBadSecret        = 40125
	codeBadHref          = 40213
	codeTokenMissing     = 41001
	codeAppIDMissing     = 41002
	codeSecretMissing    = 41004
	codeTokenExpired     = 42001
	codeRequireGet       = 43001
	codeRequirePost      = 43002
	codeRequireSubscribe = 43004
	codeBlacklisted      = 43019
	codeEmptyBody        = 44002
	codeEmptyNews        = 44003
	codeEmptyText        = 44004
	codeTooLong          = 45002
	codeTooManyArticles  = 45008
	codeDailyQuota       = 45009
	codeMinuteQuota      = 45011
	codeWindowClosed     = 45015
	codeGrantUsedUp      = 45047
	codeTypingCommand    = 45072
	codeTypingNoTalk     = 45080
	codeTypingAlready    = 45081
	codeBadMiniAppID     = 45086
	codeMenuList         = 45098
	codeMenuItem         = 45099
	codeBadJSON          = 47001
	codeEscapes          = 47002
	codeUnauthorized     = 48001
	codeFanBlocks        = 48002
	codeClearQuotaLimit  = 48006
	codeFanLimited       = 50002
	codeBadArticleID     = 53600
	codeBadAgent         = 65401
	codeBadCGIPath       = 76021
)

// errText is the platform's wording of a code.
func errText(code int) string {
	if text, ok := errTexts[code]; ok {
		return text
	}
	return "error " + strconv.Itoa(code)
}

var errTexts = map[int]string{
	codeOK:               "ok",
	codeBusy:             "system error",
	codeBadCredential:    "invalid credential, access_token is invalid or not latest",
	codeBadGrantType:     "invalid grant_type",
	codeBadOpenID:        "invalid openid",
	codeBadMediaID:       "invalid media_id",
	codeBadMessageType:   "invalid message type",
	codeBadAppID:         "invalid appid",
	codeBadToken:         "invalid access_token",
	codeBadParameter:     "invalid parameter",
	codeBadURL:           "invalid url",
	codeBadPath:          "invalid url",
	codeUnknownField:     "invalid args",
	codeBadSecret:        "invalid appsecret",
	codeBadHref:          "invalid href",
	codeTokenMissing:     "access_token missing",
	codeAppIDMissing:     "appid missing",
	codeSecretMissing:    "appsecret missing",
	codeTokenExpired:     "access_token expired",
	codeRequireGet:       "require GET method",
	codeRequirePost:      "require POST method",
	codeRequireSubscribe: "require subscribe",
	codeBlacklisted:      "require remove blacklist",
	codeEmptyBody:        "empty post data",
	codeEmptyNews:        "empty news data",
	codeEmptyText:        "empty content",
	codeTooLong:          "content size out of limit",
	codeTooManyArticles:  "article size out of limit",
	codeDailyQuota:       "reach max api daily quota limit",
	codeMinuteQuota:      "api minute-quota reach limit, must slower, retry next minute",
	codeWindowClosed:     "response out of time limit or subscription is canceled",
	codeGrantUsedUp:      "out of response count limit",
	codeTypingCommand:    "command is invalid",
	codeTypingNoTalk:     "user has no interaction in the last 30s",
	codeTypingAlready:    "typing status is set already",
	codeBadMiniAppID:     "invalid data-miniprogram-appid",
	codeMenuList:         "msgmenu list size out of limit",
	codeMenuItem:         "msgmenu item size out of limit",
	codeBadJSON:          "data format error",
	codeEscapes:          "data format error, do NOT use json unicode encode (\\uxxxx\\uxxxx), please use utf8 encoded text instead",
	codeUnauthorized:     "api unauthorized",
	codeFanBlocks:        "user block receive message",
	codeClearQuotaLimit:  "forbid to clear quota because of reaching the limit",
	codeFanLimited:       "user limited",
	codeBadArticleID:     "invalid article_id",
	codeBadAgent:         "invalid kf_account",
	codeBadCGIPath:       "cgi_path not found, please check",
}

// answerBody renders an errcode answer. The platform puts a request id into errmsg of
// every refusal (platform.md 0.3).
func answerBody(code int, rid string) []byte {
	out := make([]byte, 0, 128)
	out = append(out, `{"errcode":`...)
	out = strconv.AppendInt(out, int64(code), 10)
	out = append(out, `,"errmsg":`...)
	if code == codeOK {
		return append(out, `"ok"}`...)
	}
	out = strconv.AppendQuote(out, errText(code)+" rid: "+rid)
	return append(out, '}')
}

// requestID is shaped like the platform's: 61725984-6126f6f9-040f19c4.
func requestID(unix int64, seed, seq uint64) string {
	const hex = "0123456789abcdef"
	h := mix(seed, seq)
	out := make([]byte, 0, 26)
	for i, word := range []uint32{uint32(unix), uint32(h >> 32), uint32(h)} {
		if i > 0 {
			out = append(out, '-')
		}
		for shift := 28; shift >= 0; shift -= 4 {
			out = append(out, hex[word>>shift&15])
		}
	}
	return string(out)
}
