package fault

// zhLinks has the messages about tracked links.
var zhLinks = map[string]string{
	"links cannot be tracked, because the server does not know at which address fans reach it; set HONGYAN_PUBLIC_URL and restart, or take track_links away": "无法跟踪链接：服务器不知道粉丝访问它的公网地址。请设置 HONGYAN_PUBLIC_URL 后重新启动，或去掉 track_links",
	"read a link":                 "读取链接",
	"read the delivery of a link": "读取链接的发送记录",
	"read the key of links":       "读取链接的签名密钥",
	"this link leads nowhere":     "该链接无效",
	"with tracked links, which have up to %d bytes each, the message is longer than the platform takes; shorten it, or take track_links away": "跟踪链接最长 %d 字节，替换后消息超出微信的长度限制，请缩短内容，或去掉 track_links",
}
