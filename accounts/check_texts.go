package accounts

import "hongyan/internal/lang"

// findingWords is the table of findings in the order in which they are shown.
func findingWords() []words {
	return append(append(accessWords(), rightsWords()...), append(pushWords(), otherWords()...)...)
}

func accessWords() []words {
	return []words{
		{findAppIDWrong, SeverityError,
			lang.Text{ZH: "微信不认识这个 AppID。", EN: "WeChat does not know this AppID."},
			lang.Text{ZH: "在微信开发者平台核对 AppID，然后重新填写。", EN: "Compare the AppID with the one on the WeChat developer platform and enter it again."}},
		{findSecretWrong, SeverityError,
			lang.Text{ZH: "AppSecret 不正确，可能已被重置。", EN: "The AppSecret is wrong; it may have been reset."},
			lang.Text{ZH: "在微信开发者平台查看或重置 AppSecret，然后在这里更新。", EN: "Look up or reset the AppSecret on the WeChat developer platform, then enter it here."}},
		{findSecretFrozen, SeverityError,
			lang.Text{ZH: "AppSecret 已被冻结。", EN: "The AppSecret is frozen."},
			lang.Text{ZH: "由管理员在微信开发者平台解冻，约 10 分钟后生效。", EN: "Its owner has to unfreeze it on the WeChat developer platform; that takes about 10 minutes."}},
		{findIPNotListed, SeverityError,
			lang.Text{ZH: "本机的出口 IP 不在公众号的 API IP 白名单里：{ip}", EN: "This machine's address is not on the account's API IP whitelist: {ip}"},
			lang.Text{ZH: "在微信开发者平台把 {ip} 加入 API IP 白名单，最多 10 分钟后生效。", EN: "Enter {ip} into the API IP whitelist on the WeChat developer platform; it takes up to 10 minutes."}},
		{findIPWaits, SeverityError,
			lang.Text{ZH: "微信在等管理员确认本机的 IP。", EN: "WeChat waits until the administrator confirms this machine's address."},
			lang.Text{ZH: "请管理员在手机微信上确认。", EN: "Ask the administrator to confirm it in WeChat on the phone."}},
		{findIPDenied, SeverityError,
			lang.Text{ZH: "管理员拒绝了本机的 IP。", EN: "The administrator refused this machine's address."},
			lang.Text{ZH: "1 小时或 24 小时后才能再试；届时请管理员确认。", EN: "It can be tried again after 1 or 24 hours; have the administrator confirm it then."}},
		{findTokenForbidden, SeverityError,
			lang.Text{ZH: "微信禁止此公众号获取 access_token。", EN: "WeChat forbids this account to get access tokens."},
			lang.Text{ZH: "登录公众平台查看处罚通知。", EN: "Log in to the Official Account platform and read its notices."}},
		{findAccountFrozen, SeverityError,
			lang.Text{ZH: "公众号已被冻结。", EN: "The account is frozen."},
			lang.Text{ZH: "登录公众平台查看原因并申诉。", EN: "Log in to the Official Account platform, read why, and appeal."}},
		{findTokenRefused, SeverityError,
			lang.Text{ZH: "微信连新发的 access_token 也不接受。", EN: "WeChat refuses even access tokens that it has just given out."},
			lang.Text{ZH: "检查是否有其他系统在用 force_refresh 刷新同一公众号的 access_token，并让它停止。", EN: "Look for another system that calls stable_token with force_refresh for this account, and stop it."}},
		{findComponentSecret, SeverityError,
			lang.Text{ZH: "第三方平台 {component} 的 AppID 或 AppSecret 不正确。", EN: "AppID or AppSecret of the third-party platform {component} is wrong."},
			lang.Text{ZH: "在微信开放平台核对，然后在这里更新。", EN: "Compare them with the WeChat Open Platform and enter them here again."}},
		{findComponentIP, SeverityError,
			lang.Text{ZH: "本机的出口 IP 不在第三方平台 {component} 的白名单里：{ip}", EN: "This machine's address is not on the whitelist of the third-party platform {component}: {ip}"},
			lang.Text{ZH: "在微信开放平台把 {ip} 加入该第三方平台的白名单。", EN: "Enter {ip} into the whitelist of that third-party platform on the WeChat Open Platform."}},
		{findTicketMissing, SeverityError,
			lang.Text{ZH: "第三方平台 {component} 没有收到新的 component_verify_ticket（最近一次：{at}，北京时间）。", EN: "The third-party platform {component} has not received a new component_verify_ticket (the last one: {at}, Beijing time)."},
			lang.Text{ZH: "微信每 10 分钟推送一次：检查“授权事件接收 URL”是否指向本系统，Token 和 EncodingAESKey 是否一致，然后重新启动推送。", EN: "WeChat pushes one every 10 minutes: check that the authorisation event URL leads here and that Token and EncodingAESKey agree, then start the push again."}},
		{findNotAuthorised, SeverityError,
			lang.Text{ZH: "公众号没有授权给第三方平台 {component}，或已取消授权。", EN: "The account has not authorised the third-party platform {component}, or withdrew."},
			lang.Text{ZH: "请公众号管理员重新扫码授权。", EN: "Ask the account's administrator to scan the code and authorise it again."}},
		{findRefused, SeverityError,
			lang.Text{ZH: "微信拒绝了调用：{errmsg}", EN: "WeChat refused the call: {errmsg}"},
			lang.Text{ZH: "按错误码查阅微信文档；rid 可交给微信客服查询。", EN: "Look the errcode up in WeChat's documentation; its support can look into the rid."}},
		{findUnreachable, SeverityError,
			lang.Text{ZH: "连不上微信平台：{cause}", EN: "WeChat cannot be reached: {cause}"},
			lang.Text{ZH: "检查本机的网络、DNS、代理和防火墙；需能访问 api.weixin.qq.com 的 443 端口。其余各项未检查。", EN: "Check this machine's network, DNS, proxy and firewall; api.weixin.qq.com, port 443, must be open. The rest was not checked."}},
		{findSlow, SeverityWarning,
			lang.Text{ZH: "微信平台应答缓慢或有的调用没有应答：{cause}", EN: "WeChat answers slowly, or did not answer some calls: {cause}"},
			lang.Text{ZH: "部分项目未检查，稍后会自动再查。", EN: "Some things were not checked; the next check will look again."}},
	}
}

func rightsWords() []words {
	return []words{
		{findStopped, SeverityError,
			lang.Text{ZH: "此公众号已停止发送，原因：{reason}", EN: "Sending is stopped for this account: {reason}"},
			lang.Text{ZH: "先解决这里的其他问题，再恢复发送。等待中的消息没有丢失。", EN: "Solve what else is found here, then resume sending. Messages that wait are not lost."}},
		{findCorrected, SeverityWarning,
			lang.Text{ZH: "已按微信平台的实际情况更正账号：{kind}，{verified}。", EN: "The account was corrected to what WeChat shows: {kind}, {verified}."},
			lang.Text{ZH: "如有误，请在公众平台查看认证状态。", EN: "If that is wrong, look at the verification on the Official Account platform."}},
		{findDoubt, SeverityError,
			lang.Text{ZH: "微信自 {since}（北京时间）起不再承认账号的类型、认证或授权，认证可能已过期。", EN: "Since {since} (Beijing time) WeChat has denied the account's kind, verification or authorisation; the verification may have run out."},
			lang.Text{ZH: "在公众平台查看认证状态并续期。若下一次检查仍如此，账号会被更正，客服消息等将不再发送。", EN: "Look at the verification on the Official Account platform and renew it. If the next check shows the same, the account is corrected, and customer-service messages are no longer sent."}},
		{findUnverified, SeverityWarning,
			lang.Text{ZH: "公众号未认证：只能被动回复，不能发客服消息、模板消息和群发，也没有带参数二维码和用户信息。", EN: "The account is not verified: it can only reply passively; no customer-service or template messages, mass sends, QR codes or fans' data."},
			lang.Text{ZH: "在公众平台申请微信认证。", EN: "Apply for verification (微信认证) on the Official Account platform."}},
		{findRightsMissing, SeverityWarning,
			lang.Text{ZH: "公众号没有这些接口权限：{capabilities}", EN: "The account has no right to: {capabilities}"},
			lang.Text{ZH: "在微信开发者平台的“接口权限”里查看并开通；若写着因违规被封，请先申诉。", EN: "Look at the API permissions (接口权限) on the WeChat developer platform and apply for them; if they were taken away, appeal."}},
		{findSetsMissing, SeverityWarning,
			lang.Text{ZH: "扫码授权时没有授予这些权限：{capabilities}", EN: "The authorisation by scan does not cover: {capabilities}"},
			lang.Text{ZH: "请公众号管理员重新扫码授权，并勾选全部权限集。", EN: "Ask the account's administrator to scan the code again and to grant all permission sets."}},
		{findSuperseded, SeverityWarning,
			lang.Text{ZH: "自 {since}（北京时间）起，access_token 被提前作废 {times} 次：有其他系统在强制刷新。", EN: "Since {since} (Beijing time) access tokens were ended early {times} times: another system forces new ones."},
			lang.Text{ZH: "找到使用同一 AppSecret 的其他系统，让它改用不带 force_refresh 的 stable_token，或重置 AppSecret。", EN: "Find the other system that uses this AppSecret and let it call stable_token without force_refresh, or reset the AppSecret."}},
	}
}

func pushWords() []words {
	const compareZH, compareEN = "在微信开发者平台的“消息推送”里核对", "Under 消息推送 on the WeChat developer platform, compare "
	return []words{
		{findNeverSeen, SeverityError,
			lang.Text{ZH: "还没有收到过微信的推送。", EN: "No push of WeChat has ever come."},
			lang.Text{ZH: "在微信开发者平台的“消息推送”里填写 URL：{url}，Token 和 EncodingAESKey 与这里填写的一致，加密方式选{mode}，然后启用。", EN: "Under 消息推送 on the WeChat developer platform enter the URL {url}, the Token and EncodingAESKey that were entered here, and the mode {mode}; then switch it on."}},
		{findComponentNeverSeen, SeverityError,
			lang.Text{ZH: "还没有收到过此公众号经第三方平台 {component} 的推送。", EN: "No push of this account has ever come by way of the third-party platform {component}."},
			lang.Text{ZH: "在微信开放平台把“消息与事件接收 URL”设为 {url}，并确认已授予消息管理权限。", EN: "Set the message and event URL on the WeChat Open Platform to {url}, and see that the permission for messages was granted."}},
		{findSilent, SeverityWarning,
			lang.Text{ZH: "已超过 {hours} 小时没有收到推送（最近一次：{at}，北京时间）。", EN: "No push has come for more than {hours} hours (the last one: {at}, Beijing time)."},
			lang.Text{ZH: "给公众号发一条消息试试；没有收到就核对“消息推送”里的 URL：{url}，是否仍然启用。", EN: "Write to the account; if nothing comes, see whether 消息推送 still has the URL {url} and is switched on."}},
		{findCallbackNotSet, SeverityError,
			lang.Text{ZH: "公众号没有设置接收消息的 URL。", EN: "The account has no URL for messages."},
			lang.Text{ZH: "在微信开发者平台的“消息推送”里填写 {url}，加密方式选{mode}，并启用。", EN: "Enter {url} with the mode {mode} under 消息推送 on the WeChat developer platform and switch it on."}},
		{findHostUnknown, SeverityError,
			lang.Text{ZH: "微信解析不到接收消息的域名。", EN: "WeChat cannot resolve the host that pushes go to."},
			lang.Text{ZH: "检查“消息推送”里 URL 的域名及其 DNS；应为 {url}。", EN: "Check the host of the URL under 消息推送 and its DNS; it should be {url}."}},
		{findHostAway, SeverityWarning,
			lang.Text{ZH: "微信 ping 不通接收消息的服务器 {ip}。", EN: "WeChat cannot ping the server that pushes go to, {ip}."},
			lang.Text{ZH: "检查服务器是否在线、端口 80/443 是否对微信开放。若只是禁了 ping，可忽略。", EN: "See that the server is up and that port 80 or 443 is open to WeChat. If it merely answers no pings, ignore this."}},
		{findKeyDiffers, SeverityError,
			lang.Text{ZH: "推送解不开：EncodingAESKey 与公众号后台的不一致（{at}，北京时间）。", EN: "Pushes cannot be decrypted: the EncodingAESKey differs from the platform's ({at}, Beijing time)."},
			lang.Text{ZH: compareZH + " EncodingAESKey，在这里更新。", EN: compareEN + "the EncodingAESKey, and enter it here."}},
		{findTokenDiffers, SeverityWarning,
			lang.Text{ZH: "有推送签名不符（{at}，北京时间）：Token 可能与公众号后台的不一致，也可能是他人伪造的请求。", EN: "A push had a wrong signature ({at}, Beijing time): the Token may differ from the platform's, or somebody forged a request."},
			lang.Text{ZH: compareZH + " Token，在这里更新。", EN: compareEN + "the Token, and enter it here."}},
		{findModeDiffers, SeverityWarning,
			lang.Text{ZH: "有推送的加密方式与这里设置的不同（{at}，北京时间）。", EN: "A push came in another mode than the one set here ({at}, Beijing time)."},
			lang.Text{ZH: compareZH + "加密方式：这里是{mode}。", EN: compareEN + "the mode; here it is {mode}."}},
		{findAppIDDiffers, SeverityError,
			lang.Text{ZH: "收到的推送是发给另一个 AppID 的（{at}，北京时间）。", EN: "A push was encrypted for another AppID ({at}, Beijing time)."},
			lang.Text{ZH: "另一个公众号填了这个 URL；此公众号的 URL 是 {url}。", EN: "Another account has been given this URL; this account's is {url}."}},
		{findReceiverDiffers, SeverityError,
			lang.Text{ZH: "收到的推送发给的原始 ID 与这里填写的不同（{at}，北京时间）。", EN: "A push was addressed to another original id than the one entered here ({at}, Beijing time)."},
			lang.Text{ZH: "在公众平台核对原始 ID（gh_ 开头），在这里更新。", EN: "Compare the original id (gh_…) with the Official Account platform and enter it here."}},
		{findPushesStale, SeverityError,
			lang.Text{ZH: "推送因时间相差过大被拒绝（{at}，北京时间）。", EN: "A push was refused because its time is too far from ours ({at}, Beijing time)."},
			lang.Text{ZH: "校准本机时钟（NTP）。", EN: "Set this machine's clock (NTP)."}},
	}
}

func otherWords() []words {
	clockDo := lang.Text{ZH: "校准本机时钟（NTP）；相差 5 分钟以上时推送会被拒绝。", EN: "Set this machine's clock (NTP); from 5 minutes on pushes are refused."}
	return []words{
		{findClockAhead, SeverityError, lang.Text{ZH: "本机时钟比微信快 {seconds} 秒。", EN: "This machine's clock is {seconds} s ahead of WeChat's."}, clockDo},
		{findClockBehind, SeverityError, lang.Text{ZH: "本机时钟比微信慢 {seconds} 秒。", EN: "This machine's clock is {seconds} s behind WeChat's."}, clockDo},
		{findQuotaUsedUp, SeverityError,
			lang.Text{ZH: "今天的调用额度已用完：{api}（每日 {daily}）。", EN: "Today's quota is used up: {api} ({daily} a day)."},
			lang.Text{ZH: "{reset}（北京时间）恢复；急用可在公众平台清零（每月 10 次）。", EN: "It starts anew at {reset} (Beijing time); in a hurry it can be cleared on the Official Account platform, 10 times a month."}},
		{findQuotaLow, SeverityWarning,
			lang.Text{ZH: "今天的调用额度所剩不多：{api} 已用 {used}/{daily}，剩 {remain}。", EN: "Little of today's quota is left: {api}, {used} of {daily} used, {remain} left."},
			lang.Text{ZH: "{reset}（北京时间）恢复；在此之前少发，或联系微信提额。", EN: "It starts anew at {reset} (Beijing time); send less until then, or ask WeChat for more."}},
		{findSandbox, SeverityOK, lang.Text{ZH: "这是沙箱公众号：粉丝是虚构的，消息发往内置模拟器。", EN: "This is a sandbox account: its fans are invented, and messages go to the built-in simulator."}, lang.Text{}},
		{findAccessOK, SeverityOK, lang.Text{ZH: "AppID {appid} 可以获取 access_token，IP 已放行。", EN: "AppID {appid} gets access tokens, and this machine's address is let in."}, lang.Text{}},
		{findRightsOK, SeverityOK, lang.Text{ZH: "接口权限与账号类型相符。", EN: "The rights are those of an account of this kind."}, lang.Text{}},
		{findPushesOK, SeverityOK, lang.Text{ZH: "推送正常，最近一次：{at}（北京时间）。", EN: "Pushes come in; the last one: {at} (Beijing time)."}, lang.Text{}},
		{findQuotaOK, SeverityOK, lang.Text{ZH: "调用额度充足，{reset}（北京时间）重新计数。", EN: "Quotas are ample; they start anew at {reset} (Beijing time)."}, lang.Text{}},
	}
}
