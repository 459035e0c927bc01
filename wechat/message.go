package wechat

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"

	"hongyan/internal/fault"
)

// Kind is the msgtype of a customer-service message (platform.md 3.1).
type Kind string

// The kinds.
const (
	KindText            Kind = "text"
	KindImage           Kind = "image"
	KindVoice           Kind = "voice"
	KindVideo           Kind = "video"
	KindMusic           Kind = "music"
	KindNews            Kind = "news"
	KindMPNews          Kind = "mpnews"
	KindMPNewsArticle   Kind = "mpnewsarticle"
	KindMenu            Kind = "msgmenu"
	KindCard            Kind = "wxcard"
	KindMiniProgramPage Kind = "miniprogrampage"
)

// Kinds lists all kinds in the order of the documentation.
func Kinds() []Kind {
	return []Kind{
		KindText, KindImage, KindVoice, KindVideo, KindMusic, KindNews, KindMPNews, KindMPNewsArticle,
		KindMenu, KindCard, KindMiniProgramPage,
	}
}

// Message is a customer-service message without its receiver. Exactly the content
// named by Kind is set. Its JSON is the platform's, without touser; decoding refuses
// unknown fields.
type Message struct {
	Kind            Kind
	Text            *Text
	Image           *Media
	Voice           *Media
	Video           *Video
	Music           *Music
	News            *News
	MPNews          *Media
	MPNewsArticle   *PublishedArticle
	Menu            *Menu
	Card            *Card
	MiniProgramPage *MiniProgramPage

	KfAccount  string // agent whose name and picture the fan sees, "" for the account's own
	IsAI       bool   // shows the platform's "AI generated" mark
	BusinessID int64  // of accounts with several businesses, 0 otherwise
}

// Text is the content of a text. It may hold the platform's links (<a href=…>).
type Text struct {
	Content string `json:"content"`
}

// Media is a stored picture, recording or article list, by temporary or permanent id.
type Media struct {
	MediaID string `json:"media_id"`
}

// Video is a stored video with its cover.
type Video struct {
	MediaID      string `json:"media_id"`
	ThumbMediaID string `json:"thumb_media_id"`
	Title        string `json:"title,omitempty"`
	Description  string `json:"description,omitempty"`
}

// Music is a link to a recording with its cover.
type Music struct {
	Title        string `json:"title,omitempty"`
	Description  string `json:"description,omitempty"`
	MusicURL     string `json:"musicurl,omitempty"`
	HQMusicURL   string `json:"hqmusicurl,omitempty"`
	ThumbMediaID string `json:"thumb_media_id"`
}

// News is a card that opens a web page: exactly one article since 2018-10-12.
type News struct {
	Articles []Article `json:"articles"`
}

// Article is one card of News.
type Article struct {
	Title       string `json:"title"`
	Description string `json:"description,omitempty"`
	URL         string `json:"url"`
	PicURL      string `json:"picurl,omitempty"`
}

// PublishedArticle names an article by the id that publishing it returned.
type PublishedArticle struct {
	ArticleID string `json:"article_id"`
}

// Menu is a list of choices inside the chat; a tap comes back as a text with the item's id.
type Menu struct {
	Head  string     `json:"head_content,omitempty"`
	Items []MenuItem `json:"list"`
	Tail  string     `json:"tail_content,omitempty"`
}

// MenuItem is one choice of a Menu.
type MenuItem struct {
	ID      string `json:"id"`
	Content string `json:"content"`
}

// Card is a coupon or membership card.
type Card struct {
	CardID string `json:"card_id"`
}

// MiniProgramPage is a card that opens a mini-program linked to the account.
type MiniProgramPage struct {
	Title        string `json:"title"`
	AppID        string `json:"appid"`
	PagePath     string `json:"pagepath"`
	ThumbMediaID string `json:"thumb_media_id"`
}

// TextMessage is a text message.
func TextMessage(content string) Message {
	return Message{Kind: KindText, Text: &Text{Content: content}}
}

// wireMessage is the platform's JSON of a Message.
type wireMessage struct {
	Kind            Kind              `json:"msgtype"`
	Text            *Text             `json:"text,omitempty"`
	Image           *Media            `json:"image,omitempty"`
	Voice           *Media            `json:"voice,omitempty"`
	Video           *Video            `json:"video,omitempty"`
	Music           *Music            `json:"music,omitempty"`
	News            *News             `json:"news,omitempty"`
	MPNews          *Media            `json:"mpnews,omitempty"`
	MPNewsArticle   *PublishedArticle `json:"mpnewsarticle,omitempty"`
	Menu            *Menu             `json:"msgmenu,omitempty"`
	Card            *Card             `json:"wxcard,omitempty"`
	MiniProgramPage *MiniProgramPage  `json:"miniprogrampage,omitempty"`
	Service         *wireService      `json:"customservice,omitempty"`
	AI              *wireAI           `json:"aimsgcontext,omitempty"`
	BusinessID      int64             `json:"businessid,omitempty"`
}

type wireService struct {
	KfAccount string `json:"kf_account"`
}

type wireAI struct {
	IsAI int `json:"is_ai_msg"`
}

// MarshalJSON implements json.Marshaler.
func (m Message) MarshalJSON() ([]byte, error) {
	w := wireMessage{
		Kind: m.Kind, Text: m.Text, Image: m.Image, Voice: m.Voice, Video: m.Video, Music: m.Music, News: m.News,
		MPNews: m.MPNews, MPNewsArticle: m.MPNewsArticle, Menu: m.Menu, Card: m.Card,
		MiniProgramPage: m.MiniProgramPage, BusinessID: m.BusinessID,
	}
	if m.KfAccount != "" {
		w.Service = &wireService{KfAccount: m.KfAccount}
	}
	if m.IsAI {
		w.AI = &wireAI{IsAI: 1}
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(w); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// UnmarshalJSON implements json.Unmarshaler, strictly: an unknown field or a value of
// the wrong type is a fault.Invalid error that names it.
func (m *Message) UnmarshalJSON(data []byte) error {
	var w wireMessage
	if err := decodeStrict(data, &w); err != nil {
		return err
	}
	*m = Message{
		Kind: w.Kind, Text: w.Text, Image: w.Image, Voice: w.Voice, Video: w.Video, Music: w.Music, News: w.News,
		MPNews: w.MPNews, MPNewsArticle: w.MPNewsArticle, Menu: w.Menu, Card: w.Card,
		MiniProgramPage: w.MiniProgramPage, BusinessID: w.BusinessID,
	}
	if w.Service != nil {
		m.KfAccount = w.Service.KfAccount
	}
	if w.AI != nil {
		if w.AI.IsAI != 0 && w.AI.IsAI != 1 {
			return fault.BadField("aimsgcontext.is_ai_msg", "zero_or_one", "is_ai_msg is 0 or 1")
		}
		m.IsAI = w.AI.IsAI == 1
	}
	return nil
}

func decodeStrict(data []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	err := dec.Decode(into)
	var wrong *json.UnmarshalTypeError
	switch {
	case err == nil:
		if _, err = dec.Token(); errors.Is(err, io.EOF) {
			return nil
		}
		return fault.New(fault.Invalid, "there is text after the message")
	case errors.As(err, &wrong):
		return fault.BadField(wrong.Field, "wrong_type", "a %s cannot stand here", wrong.Value)
	}
	// encoding/json has no type for this error; its text is json: unknown field "name".
	if quoted, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		if kindForMsgtype(data) {
			return fault.BadField("kind", "unknown_field", "a message names its kind in msgtype; write msgtype instead of kind")
		}
		return fault.BadField(strings.Trim(quoted, `"`), "unknown_field", "this field is not known here")
	}
	return fault.Wrap(fault.Invalid, err, "this is not a message in JSON")
}

// kindForMsgtype reports whether a message has the field kind where msgtype is meant.
func kindForMsgtype(data []byte) bool {
	var fields map[string]json.RawMessage
	if json.Unmarshal(data, &fields) != nil {
		return false
	}
	_, kind := fields["kind"]
	_, msgtype := fields["msgtype"]
	return kind && !msgtype
}
