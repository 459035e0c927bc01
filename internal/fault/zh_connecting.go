package fault

// zhConnecting has the messages about connecting accounts, components and proxies.
var zhConnecting = map[string]string{
	"%q is everybody, who could then claim any address; name your proxies":                                                                                                                                             "%q 包括所有人，任何人都可以冒用地址；请填写代理服务器的地址",
	"%q is neither an address nor a network, as in 10.0.0.5 or 10.0.0.0/8":                                                                                                                                             "%q 不是有效的地址或网段，请按 10.0.0.5 或 10.0.0.0/8 的格式填写",
	"WeChat tells this of an account that is connected by a scan; run a check, which reads it again":                                                                                                                   "扫码接入的公众号，这一项由微信提供；请运行自检重新读取",
	"a component's name has at most %d characters":                                                                                                                                                                     "第三方平台的名称最多 %d 个字符",
	"an account moves to a component when its owner scans: make an authorisation link of the component":                                                                                                                "公众号管理员扫码后才会改为扫码接入，请在第三方平台中发起扫码接入",
	"an account that is connected by a scan has no AppSecret here; change that of its component, or go back to the manual connection in the same request":                                                              "扫码接入的公众号没有自己的 AppSecret；请修改第三方平台的 AppSecret，或在同一请求中改回手动接入",
	"an account that is connected by a scan has no callback of its own; change that of its component, or go back to the manual connection in the same request":                                                         "扫码接入的公众号没有自己的消息接收设置；请修改第三方平台的设置，或在同一请求中改回手动接入",
	"give the callback that the account's own console will have: mode, token and EncodingAESKey":                                                                                                                       "请填写公众号后台将使用的消息接收设置：加解密方式、Token 和 EncodingAESKey",
	"the component has no verify ticket that is good; enter %s as its authorisation event URL in the open platform's console, with the same Token and key as here, and wait for the push that comes every ten minutes": "第三方平台没有有效的推送票据；请在开放平台把授权事件接收 URL 设为 %s，Token 和消息加解密 Key 与此处一致，然后等待微信推送（每十分钟一次）",
	"the platform of a sandbox account is simulated and keeps what it began with; only a real account has this":                                                                                                        "沙箱公众号的平台是模拟的，这一项固定不变；只有真实的公众号才能修改",
	"this server does not know by which address it is reached, to which the owner's browser has to come back; set HONGYAN_PUBLIC_URL and start it anew":                                                                "本服务器不知道自己的公网地址，扫码后浏览器无法返回；请设置 HONGYAN_PUBLIC_URL 后重新启动",
}
