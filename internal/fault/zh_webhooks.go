package fault

// zhWebhooks has the messages of package webhooks.
var zhWebhooks = map[string]string{
	"%s is an address inside of a network; webhooks reach public addresses only, unless the server runs with HONGYAN_WEBHOOKS_INSIDE=on": "%s 是内部网络地址，事件推送只能使用公网地址；如需内网地址，请设置 HONGYAN_WEBHOOKS_INSIDE=on 后重新启动",
	"a secret has %d to %d ASCII letters, digits and signs without spaces; leave it out to have one made":                                "密钥应为 %d 到 %d 个英文字母、数字或符号，不含空格；留空则自动生成",
	"a type of event has 1 to 64 small letters, digits, _ and points, and begins with a letter":                                          "事件类型应为 1 到 64 个小写字母、数字、下划线或点，并以字母开头",
	"an address has at most %d characters":                                                         "网址最多 %d 个字符，请缩短",
	"an address holds neither user name nor password; check the signature of what arrives instead": "网址中不能带用户名和密码，请改为校验推送的签名",
	"an event has %d bytes, more than %d; tell less":                                               "事件有 %d 字节，超过上限 %d，请减少内容",
	"give the webhook a name":                                                                      "请为事件推送地址填写名称",
	"the account has %d webhooks, which is the most; delete one first":                             "该公众号已有 %d 个事件推送地址，达到上限，请先删除一个",
	"the data of an event cannot be written as JSON; use plain values":                             "事件的内容无法写成 JSON，请使用简单的值",
	"the part behind # is never sent; take it away":                                                "网址中 # 之后的部分不会发送，请删除",
	"the webhook was changed meanwhile; look at it again":                                          "事件推送地址刚刚被修改，请刷新后重试",
	"this account has no webhook %d":                                                               "该公众号没有编号为 %d 的事件推送地址",
	"this account has no webhook event %d":                                                         "该公众号没有编号为 %d 的推送事件",
	"write an address that begins with https:// or http://":                                        "请填写以 https:// 或 http:// 开头的网址",
}
