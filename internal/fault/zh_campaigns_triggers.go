package fault

// zhTriggers has the messages of drips' triggers, sources and exits, and of the events that start them.
var zhTriggers = map[string]string{
	"%s does not go with this kind; take it away": "此类型不需要 %s，请删除",
	"WeChat does not say at the follow by what way a fan came, unless it was by a code, so nobody would enter; add %s, or another trigger": "除扫码关注外，微信在关注时不告知来源，因此没有人会进入；请加上 %s，或增加其他触发条件",
	"a key has at most %d bytes":                                                              "菜单 key 最多 %d 字节",
	"a scene has at most %d bytes":                                                            "场景值最多 %d 字节",
	"an event happened at most 30 days ago, and not in the future":                            "事件时间应在最近 30 天内，且不能是将来，请检查",
	"an event's name has 1 to %d small letters, digits and _ . : -, and begins with a letter": "事件名应为 1 到 %d 个小写字母、数字或 _ . : -，并以字母开头",
	"event %d cannot be read":                                                                 "事件 %d 无法读取",
	"event %d is none that can come from %s":                                                  "事件 %[1]d 的来源 %[2]s 不会产生这类事件",
	"give the event a key of its own, 1 to %d printable ASCII characters":                     "请为事件填写唯一的幂等键，1 到 %d 个可见 ASCII 字符",
	"say whom the event is about: either by fan_id or by openid":                              "请用 fan_id 或 openid 之一指明粉丝",
	"something follows the end":                                                               "内容结尾后还有多余的数据，请删除",
	"the data of an event are a JSON object":                                                  "事件数据应为一个 JSON 对象，请检查",
	"the data of an event have at most %d bytes, not %d":                                      "事件数据最多 %d 字节，现在是 %d 字节",
	"the key was used for another event; give each event a key of its own":                    "该幂等键已用于另一个事件；请为每个事件使用不同的键",
	"this account has no fan with the openid %q":                                              "该公众号没有 openid 为 %q 的粉丝",
	"write a scene or the beginning of scenes, not both":                                      "场景值和场景前缀只能填写一个",
	"write after how many hours of silence, 1 to %d":                                          "请填写沉默多少小时后触发，1 到 %d",
	"write how many minutes before the window closes, %d to %d":                               "请填写窗口关闭前多少分钟触发，%d 到 %d",
	"write the id of the tag":                                                                 "请填写标签的 id",
	"write the key of the menu item":                                                          "请填写菜单项的 key",
}
