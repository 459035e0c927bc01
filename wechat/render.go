package wechat

import (
	"strconv"
	"unicode/utf8"

	"hongyan/internal/fault"
)

// AppendKefu appends to dst the body of message/custom/send for one fan. It is written
// by hand because it runs once per delivery, and because the platform refuses the \u
// escapes that encoding/json makes of &, < and > (platform.md 0.3). Control characters
// that have no other escape are left out; a fan could not see them. The error is
// fault.Invalid: the content of m.Kind is missing.
func AppendKefu(dst []byte, openid string, m *Message) ([]byte, error) {
	o := object{append(dst, `{"touser":`...)}
	o.value(openid)
	o.b = append(o.b, `,"msgtype":`...)
	o.value(string(m.Kind))
	o.b = append(append(append(o.b, `,"`...), m.Kind...), `":{`...)
	if !o.content(m) {
		return dst, fault.BadField(string(m.Kind), "required", "a message of kind %q needs its content", m.Kind)
	}
	o.b = append(o.b, '}')
	if m.KfAccount != "" {
		o.b = append(o.b, `,"customservice":{"kf_account":`...)
		o.value(m.KfAccount)
		o.b = append(o.b, '}')
	}
	if m.IsAI {
		o.b = append(o.b, `,"aimsgcontext":{"is_ai_msg":1}`...)
	}
	if m.BusinessID != 0 {
		o.b = append(o.b, `,"businessid":`...)
		o.b = strconv.AppendInt(o.b, m.BusinessID, 10)
	}
	return append(o.b, '}'), nil
}

// object writes the fields of one JSON object.
type object struct{ b []byte }

// content writes the fields of m's content; false when it is missing.
func (o *object) content(m *Message) bool {
	switch {
	case m.Kind == KindText && m.Text != nil:
		o.field("content", m.Text.Content)
	case m.Kind == KindImage && m.Image != nil:
		o.field("media_id", m.Image.MediaID)
	case m.Kind == KindVoice && m.Voice != nil:
		o.field("media_id", m.Voice.MediaID)
	case m.Kind == KindMPNews && m.MPNews != nil:
		o.field("media_id", m.MPNews.MediaID)
	case m.Kind == KindVideo && m.Video != nil:
		o.field("media_id", m.Video.MediaID)
		o.field("thumb_media_id", m.Video.ThumbMediaID)
		o.field("title", m.Video.Title)
		o.field("description", m.Video.Description)
	case m.Kind == KindMusic && m.Music != nil:
		o.field("title", m.Music.Title)
		o.field("description", m.Music.Description)
		o.field("musicurl", m.Music.MusicURL)
		o.field("hqmusicurl", m.Music.HQMusicURL)
		o.field("thumb_media_id", m.Music.ThumbMediaID)
	case m.Kind == KindNews && m.News != nil:
		o.articles(m.News.Articles)
	case m.Kind == KindMPNewsArticle && m.MPNewsArticle != nil:
		o.field("article_id", m.MPNewsArticle.ArticleID)
	case m.Kind == KindMenu && m.Menu != nil:
		o.menu(m.Menu)
	case m.Kind == KindCard && m.Card != nil:
		o.field("card_id", m.Card.CardID)
	case m.Kind == KindMiniProgramPage && m.MiniProgramPage != nil:
		o.field("title", m.MiniProgramPage.Title)
		o.field("appid", m.MiniProgramPage.AppID)
		o.field("pagepath", m.MiniProgramPage.PagePath)
		o.field("thumb_media_id", m.MiniProgramPage.ThumbMediaID)
	default:
		return false
	}
	return true
}

func (o *object) articles(list []Article) {
	o.b = append(o.b, `"articles":[`...)
	for _, a := range list {
		o.open()
		o.field("title", a.Title)
		o.field("description", a.Description)
		o.field("url", a.URL)
		o.field("picurl", a.PicURL)
		o.b = append(o.b, '}')
	}
	o.b = append(o.b, ']')
}

func (o *object) menu(m *Menu) {
	o.field("head_content", m.Head)
	if o.b[len(o.b)-1] != '{' {
		o.b = append(o.b, ',')
	}
	o.b = append(o.b, `"list":[`...)
	for _, item := range m.Items {
		o.open()
		o.field("id", item.ID)
		o.field("content", item.Content)
		o.b = append(o.b, '}')
	}
	o.b = append(o.b, ']')
	o.field("tail_content", m.Tail)
}

// open starts an entry of a list.
func (o *object) open() {
	if o.b[len(o.b)-1] != '[' {
		o.b = append(o.b, ',')
	}
	o.b = append(o.b, '{')
}

// field writes "name":"value", preceded by a comma unless it is the first; an empty
// value is left out.
func (o *object) field(name, value string) {
	if value == "" {
		return
	}
	if o.b[len(o.b)-1] != '{' {
		o.b = append(o.b, ',')
	}
	o.b = append(append(append(o.b, '"'), name...), `":`...)
	o.value(value)
}

// value writes s as a JSON string. Runs that need no escape are copied whole.
func (o *object) value(s string) {
	o.b = append(o.b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		width, replacement := 1, ""
		switch {
		case c >= utf8.RuneSelf:
			r, w := utf8.DecodeRuneInString(s[i:])
			if r != utf8.RuneError || w > 1 {
				i += w
				continue
			}
			replacement = "\ufffd"
		case c == '"':
			replacement = `\"`
		case c == '\\':
			replacement = `\\`
		case c == '\n':
			replacement = `\n`
		case c == '\r':
			replacement = `\r`
		case c == '\t':
			replacement = `\t`
		}
		o.b = append(append(o.b, s[start:i]...), replacement...)
		i += width
		start = i
	}
	o.b = append(append(o.b, s[start:]...), '"')
}
