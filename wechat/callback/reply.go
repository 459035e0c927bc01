package callback

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"strconv"
	"strings"
	"time"

	"hongyan/wechat"
)

// Reply is a passive reply: the answer to a push, in its HTTP response
// (platform.md 2.6). It is one of the Reply types of this package.
type Reply interface {
	// replyType is the MsgType, "" for no reply.
	replyType() string
	replyNodes() []node
}

// ReplyNone acknowledges a push without saying anything to the fan.
type ReplyNone struct{}

// ReplyText answers with a text.
type ReplyText struct{ Content string }

// ReplyImage answers with a picture.
type ReplyImage struct{ MediaID string }

// ReplyVoice answers with a recording.
type ReplyVoice struct{ MediaID string }

// ReplyVideo answers with a video; title and description may be empty.
type ReplyVideo struct{ MediaID, Title, Description string }

// ReplyMusic answers with music; only ThumbMediaID is required.
type ReplyMusic struct{ Title, Description, MusicURL, HQMusicURL, ThumbMediaID string }

// ReplyNews answers with cards. The platform shows one, the first.
type ReplyNews struct{ Articles []wechat.Article }

// ReplyTransfer hands the fan's message to human agents; to KfAccount if it is set, even
// when that agent is offline. Only messages may be handed over, never events.
type ReplyTransfer struct{ KfAccount string }

// ReplyAI hands the fan's message to the platform's own AI reply (grey release).
type ReplyAI struct{}

// acknowledged is the body that tells the platform that there is nothing to say.
const acknowledged = "success"

func (ReplyNone) replyType() string     { return "" }
func (ReplyText) replyType() string     { return "text" }
func (ReplyImage) replyType() string    { return "image" }
func (ReplyVoice) replyType() string    { return "voice" }
func (ReplyVideo) replyType() string    { return "video" }
func (ReplyMusic) replyType() string    { return "music" }
func (ReplyNews) replyType() string     { return "news" }
func (ReplyTransfer) replyType() string { return "transfer_customer_service" }
func (ReplyAI) replyType() string       { return "transfer_biz_ai_ivr" }

func (ReplyNone) replyNodes() []node    { return nil }
func (ReplyAI) replyNodes() []node      { return nil }
func (r ReplyText) replyNodes() []node  { return []node{text("Content", r.Content)} }
func (r ReplyImage) replyNodes() []node { return []node{group("Image", text("MediaId", r.MediaID))} }
func (r ReplyVoice) replyNodes() []node { return []node{group("Voice", text("MediaId", r.MediaID))} }

func (r ReplyVideo) replyNodes() []node {
	video := group("Video", text("MediaId", r.MediaID))
	video.add(optional("Title", r.Title)...)
	video.add(optional("Description", r.Description)...)
	return []node{video}
}

func (r ReplyMusic) replyNodes() []node {
	music := group("Music")
	music.add(optional("Title", r.Title)...)
	music.add(optional("Description", r.Description)...)
	music.add(optional("MusicUrl", r.MusicURL)...)
	music.add(optional("HQMusicUrl", r.HQMusicURL)...)
	music.add(text("ThumbMediaId", r.ThumbMediaID))
	return []node{music}
}

func (r ReplyNews) replyNodes() []node {
	list := group("Articles")
	for _, a := range r.Articles {
		list.add(group("item", text("Title", a.Title), text("Description", a.Description),
			text("PicUrl", a.PicURL), text("Url", a.URL)))
	}
	return []node{number("ArticleCount", int64(len(r.Articles))), list}
}

func (r ReplyTransfer) replyNodes() []node {
	if r.KfAccount == "" {
		return nil
	}
	return []node{group("TransInfo", text("KfAccount", r.KfAccount))}
}

// ReplyMeta is what a reply carries beside its content.
type ReplyMeta struct {
	To, From  string    // the push's FromUser and ToUser
	Now       time.Time // CreateTime, and the time that is signed
	Nonce     string    // of the push
	Encrypted bool      // the push was encrypted (Push.Encrypted); decides in compatible mode
	JSON      bool      // the push came in JSON
}

// RenderReply writes the body of the HTTP response: clear or encrypted as the account's
// mode and the push ask for. ReplyNone, which is "success" in every mode, is always clear.
func RenderReply(cfg *Config, meta ReplyMeta, r Reply) ([]byte, error) {
	if r.replyType() == "" {
		return []byte(acknowledged), nil
	}
	root := group("xml",
		text("ToUserName", meta.To),
		text("FromUserName", meta.From),
		number("CreateTime", unix(meta.Now)),
		text("MsgType", r.replyType()),
	)
	root.add(r.replyNodes()...)
	body := meta.render(&root)
	if cfg.Mode == ModePlain || cfg.Mode == ModeCompatible && !meta.Encrypted {
		return body, nil
	}
	var random [randomLen]byte
	if _, err := rand.Read(random[:]); err != nil {
		return nil, fmt.Errorf("read random bytes: %w", err)
	}
	return cfg.sealReply(meta, random, body)
}

func (m ReplyMeta) render(n *node) []byte {
	if m.JSON {
		return appendJSON(nil, n)
	}
	return appendXML(nil, n)
}

func (c *Config) sealReply(meta ReplyMeta, random [randomLen]byte, body []byte) ([]byte, error) {
	sealed, err := c.encrypt(random, body)
	if err != nil {
		return nil, err
	}
	timestamp := strconv.FormatInt(unix(meta.Now), 10)
	envelope := group("xml",
		text("Encrypt", sealed),
		text("MsgSignature", Sign(c.Token, timestamp, meta.Nonce, sealed)),
		number("TimeStamp", unix(meta.Now)),
		text("Nonce", meta.Nonce),
	)
	return meta.render(&envelope), nil
}

// OpenReply is what the platform does with the body of a response: it returns the clear
// reply, or refuses with ErrSignature, ErrMode (clear in safe mode), or the reasons of
// Decrypt. The simulator stands on it.
func (c *Config) OpenReply(body []byte) ([]byte, error) {
	if nothing(body) {
		return body, nil
	}
	root, err := parseTree(body)
	if err != nil {
		return nil, err
	}
	sealed := root.child("Encrypt")
	if sealed == nil {
		if c.Mode == ModeSafe {
			return nil, ErrMode
		}
		return body, nil
	}
	if !c.signed(root.str("MsgSignature"), root.str("TimeStamp"), root.str("Nonce"), sealed.text) {
		return nil, ErrSignature
	}
	return c.decrypt(sealed.text)
}

func nothing(body []byte) bool {
	trimmed := bytes.TrimSpace(body)
	return len(trimmed) == 0 || string(trimmed) == acknowledged
}

// ParseReply reads a clear passive reply: the inverse of RenderReply in plain mode. It
// fails with ErrMalformed for what the platform would not understand.
func ParseReply(body []byte) (ReplyMeta, Reply, error) {
	if nothing(body) {
		return ReplyMeta{}, ReplyNone{}, nil
	}
	root, err := parseTree(body)
	if err != nil {
		return ReplyMeta{}, nil, err
	}
	var f fields
	meta := ReplyMeta{
		To: root.str("ToUserName"), From: root.str("FromUserName"), Now: f.time(&root, "CreateTime"), JSON: isJSON(body),
	}
	if f.err != nil {
		return ReplyMeta{}, nil, f.err
	}
	r := decodeReply(&root)
	if r == nil {
		return ReplyMeta{}, nil, fmt.Errorf("%w: %.40q is not a type of reply", ErrMalformed, root.str("MsgType"))
	}
	return meta, r, nil
}

func decodeReply(root *node) Reply {
	switch strings.TrimSpace(root.str("MsgType")) {
	case "text":
		return ReplyText{root.str("Content")}
	case "image":
		return ReplyImage{root.child("Image").str("MediaId")}
	case "voice":
		return ReplyVoice{root.child("Voice").str("MediaId")}
	case "video":
		v := root.child("Video")
		return ReplyVideo{v.str("MediaId"), v.str("Title"), v.str("Description")}
	case "music":
		m := root.child("Music")
		return ReplyMusic{
			m.str("Title"), m.str("Description"), m.str("MusicUrl"), m.str("HQMusicUrl"), m.str("ThumbMediaId"),
		}
	case "news":
		var r ReplyNews
		for _, a := range root.items("Articles") {
			r.Articles = append(r.Articles, wechat.Article{
				Title: a.str("Title"), Description: a.str("Description"), URL: a.str("Url"), PicURL: a.str("PicUrl"),
			})
		}
		return r
	case "transfer_customer_service":
		return ReplyTransfer{root.child("TransInfo").str("KfAccount")}
	case "transfer_biz_ai_ivr":
		return ReplyAI{}
	}
	return nil
}

// FromMessage turns a customer-service message into a passive reply, if its kind has
// one. A message under an agent's name or with the AI mark has none: a reply cannot
// carry them.
func FromMessage(m wechat.Message) (Reply, bool) {
	if m.KfAccount != "" || m.IsAI || m.BusinessID != 0 {
		return nil, false
	}
	switch {
	case m.Kind == wechat.KindText && m.Text != nil:
		return ReplyText{m.Text.Content}, true
	case m.Kind == wechat.KindImage && m.Image != nil:
		return ReplyImage{m.Image.MediaID}, true
	case m.Kind == wechat.KindVoice && m.Voice != nil:
		return ReplyVoice{m.Voice.MediaID}, true
	case m.Kind == wechat.KindVideo && m.Video != nil:
		return ReplyVideo{m.Video.MediaID, m.Video.Title, m.Video.Description}, true
	case m.Kind == wechat.KindMusic && m.Music != nil:
		return ReplyMusic{
			m.Music.Title, m.Music.Description, m.Music.MusicURL, m.Music.HQMusicURL, m.Music.ThumbMediaID,
		}, true
	case m.Kind == wechat.KindNews && m.News != nil:
		return ReplyNews{m.News.Articles}, true
	}
	return nil, false
}
