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
	codeArgsCount:        "args count exceed count limit",
	codeComponentExpired: "component_access_token expired",
	codeNotAuthorised:    "component is not authorized by this account",
	codeComponentIP:      "access clientip is not registered",
	codeTicketExpired:    "component ticket is expired",
	codeTicketInvalid:    "component ticket is invalid",
	codeSetMissing:       "api is unauthorized to component",
	codeAuthCodeInvalid:  "code is invalid",
	codeAuthCodeExpired:  "code is expired",
	codeOptionName:       "invalid option name",
	codeOptionValue:      "invalid option value",
	codeNeedsComponent:   "must use component token for component api",
	codeRefreshInvalid:   "refresh_token is invalid",
	codeBadMediaType:     "invalid media type",
	codeBadFileType:      "invalid file type",
	codeImageSize:        "invalid image size",
	codeVoiceSize:        "invalid voice size",
	codeVideoSize:        "invalid video size",
	codeThumbSize:        "invalid thumb size",
	codeUnsupportedFile:  "unsupported file type",
	codeBadImageFormat:   "invalid image format",
	codeMediaMissing:     "media data missing",
	codeEmptyMedia:       "empty media data",
	codeMediaTooLarge:    "media size out of limit",
	codePlayTime:         "playtime out of limit",
	codeMaterialFull:     "material count out of limit",
	codeMaterialInUse:    "forbid to delete material used by auto-reply or menu",
	codeButtonCount:      "invalid button size",
	codeButtonType:       "invalid button type",
	codeButtonName:       "invalid button name size",
	codeButtonKey:        "invalid button key size",
	codeButtonURL:        "invalid button url size",
	codeButtonDepth:      "invalid sub button level",
	codeSubButtonCount:   "invalid sub button size",
	codeSubButtonType:    "invalid sub button type",
	codeSubButtonName:    "invalid sub button name size",
	codeSubButtonKey:     "invalid sub button key size",
	codeSubButtonURL:     "invalid sub button url size",
	codeMenuEscapes:      "invalid charset. please check your request, if include \\uxxxx will create fail",
	codeSubButtonDomain:  "invalid sub button url domain",
	codeButtonDomain:     "invalid button url domain",
	codeMenuNotLinked:    "no permission to use weapp in menu",
	codeNoMenu:           "menu no exist",
	codeNoSuchRuledMenu:  "conditional menu no exist",
	codeNoSuchMenuUser:   "no such user",
	codeNoDefaultMenu:    "there is no selfmenu, please create selfmenu first",
	codeNoMatchRule:      "match rule empty",
	codeRuledMenuLimit:   "menu count limit",
	codeRuledMenuEmpty:   "conditional menu is empty",
	codeTooManyDomains:   "too many domains in menu",
	codeMatchRuleGone:    "match rule no longer supported",
	codeBadTemplateID:    "invalid template_id",
	codeBadIndustry:      "invalid industry id",
	codeBadPagePath:      "invalid weapp pagepath",
	codeNotLinked:        "invalid weapp appid",
	codeBadKeywordList:   "invalid keyword_name_list",
	codeOldTemplate:      "please add a category template",
	codeMarketing:        "marketing content is not allowed in a template message",
	codeIndustryTooOften: "change template too frequently",
	codeNoticeRefused:    "user refuse to accept the msg",
	codeTemplateBanned:   "this template_id is banned",
	codeFanTooOften:      "Sending messages to this openid too frequently,please try later",
	codeTemplateCount:    "template size out of limit",
	codeTemplateConflict: "template conflict with industry",
	codeTemplateDisabled: "disabled template id",
	codeBadArgument:      "argument invalid!",
	codeBadNoticePage:    "invalid page",
	codeNoticeCount:      "private template count out of limit",
	codeNoticeBadTID:     "invalid tid",
	codeNoticeStart:      "invalid start",
	codeNoticeLimit:      "invalid limit",
	codeNoticeNoIDs:      "category ids missing",
	codeNoticeBadIDs:     "invalid category ids",
	codeNoticeKeywords:   "invalid kidList",
	codeNoticeSceneDesc:  "invalid sceneDesc",
	codeDraftTitle:       "title size out of limit",
	codeDraftDigest:      "description size out of limit",
	codeDraftURL:         "url size out of limit",
	codeDraftAuthor:      "author size out of limit",
	codeDraftCrop:        "crop cover failed, please check the crop parameters",
	codeDraftProduct:     "invalid product info",
	codeQRAction:         "invalid action name",
	codeQRInfo:           "action info missing",
	codeQRScene:          "invalid scene",
	codeQRLimit:          "qrcode count out of limit",
	codeShortKeyData:     "long_data size out of limit",
	codeShortKeyExpiry:   "expire_seconds out of limit",
	codeShortKeyUnknown:  "short_key not found or expired",
	codeListSize:         "invalid openid list size",
	codeBadRemark:        "invalid remark name",
	codeOpenIDMissing:    "missing openid",
	codeTagCount:         "too many tags",
	codeTagTooBig:        "can not delete the tag that has more than 100000 fans",
	codeSystemTag:        "can not modify sys tag",
	codeFanTags:          "user has too many tags",
	codeTagName:          "invalid tag name",
	codeTagNameLength:    "invalid tag name size",
	codeTagID:            "invalid tag id",
	codePartlyTagged:     "some of the openids failed",
	codeForeignOpenID:    "not match openid with appid",
	codeUnsubscribed:     "user is unsubscribed",
	codeBadDate:          "date format error",
	codeBadDateRange:     "date range error",
	codeDataNotReady:     "data not ready, please try later",
	codeAgentNoPerson:    "kf_account not bound",
	codeBadNick:          "invalid kf nickname",
	codeBadAgentName:     "illegal kf_account",
	codeTooManyAgents:    "kf_account count out of limit",
	codeAgentExists:      "kf_account exists",
	codeAlreadyAgent:     "already a worker of this account",
	codeAlreadyInvited:   "invitation to this weixin id is waiting",
	codeBadWeChatID:      "invalid weixin id",
	codeInviteOpen:       "kf_account has a waiting invitation",
	codeAgentHasPerson:   "kf_account is bound",
	codeNoSession:        "no effective session",
	codeOtherAgent:       "another worker is serving",
	codeAgentOffline:     "worker is offline",
	codeBadRecordQuery:   "invalid parameter",
	codeRecordRange:      "query time span out of limit",
	codePageDomain:       "redirect_uri域名与后台配置不一致",
	codePageScope:        "Scope 参数错误或没有 Scope 权限",
	codeBadCode:          "invalid code",
	codeBadRefresh:       "invalid refresh_token",
	codeCodeUsed:         "code been used",
	codeRefreshMissing:   "refresh_token missing",
	codeCodeMissing:      "missing code",
	codeRefreshEnded:     "refresh_token expired",
	codeConsentEnded:     "access_token and refresh_token exception, please let user authorize again",
	codeCheckNoURL:       "invalid url, do not set url",
	codeCheckAction:      "invalid action",
	codeCheckOperator:    "invalid check_operator",
	codeRIDUnknown:       "rid not found",
	codeRIDMalformed:     "rid is error",
	codeRIDForeign:       "rid does not belong to this account",
	codeRIDOld:           "rid is expired",
	codeNoBudget:         "could not use this cgi_path, no permission",
	codeMassOpenIDs:      "invalid openid list",
	codeMassNoJob:        "invalid msg id",
	codeMassNoArticle:    "invalid article idx",
	codeMassBadState:     "invalid msg status",
	codeMassFewOpenIDs:   "too few openid, at least two",
	codeMassBadWxName:    "invalid weixin name",
	codeMassBadTag:       "invalid group id",
	codeMassUndeletable:  "article can not be deleted",
	codeMassImageCount:   "invalid image count",
	codeMassManyOpenIDs:  "too many openid",
	codeMassNoQuota:      "has no masssend quota",
	codeMassIDTooSoon:    "clientmsgid retry too fast",
	codeMassSpeedRange:   "invalid mass send speed",
	codeMassSpeedAbsent:  "mass send speed missing",
	codeMassNoCards:      "this message type is not supported any more",
	codeMassAgreement:    "user not agree mass-send protocol",
	codeMassConfirming:   "waiting for the confirmation of the administrator",
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
	out = strconv.AppendQuote(out, refusalText(code)+" rid: "+rid)
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
