package wechat

import (
	"errors"
	"fmt"
	"strings"
)

// MassKind is the msgtype of a mass send (platform.md 5.2).
type MassKind string

// The kinds. wxcard is not among them: the platform refuses it (45113).
const (
	MassNews  MassKind = "mpnews"
	MassText  MassKind = "text"
	MassVoice MassKind = "voice"
	MassImage MassKind = "image"
	MassVideo MassKind = "mpvideo"
)

// MassKinds lists all kinds in the order of the documentation.
func MassKinds() []MassKind { return []MassKind{MassNews, MassText, MassVoice, MassImage, MassVideo} }

// MassMessage is what a mass send says. Exactly the content named by Kind is set.
type MassMessage struct {
	Kind   MassKind       `json:"msgtype"`
	News   *Media         `json:"mpnews,omitempty"` // the media_id of a draft; it is void after the send
	Text   *Text          `json:"text,omitempty"`
	Voice  *Media         `json:"voice,omitempty"`
	Images *MassImages    `json:"images,omitempty"`
	Video  *MassVideoFile `json:"mpvideo,omitempty"`
}

// MassImages are pictures with a word of recommendation.
type MassImages struct {
	MediaIDs        []string `json:"media_ids"` // 1 to MaxMassImages
	Recommend       string   `json:"recommend,omitempty"`
	OpenComments    ZeroOne  `json:"need_open_comment"`
	FansOnlyComment ZeroOne  `json:"only_fans_can_comment"`
}

// MassVideoFile is a video with the media_id that was made for mass sends.
type MassVideoFile struct {
	MediaID     string `json:"media_id"`
	Title       string `json:"title,omitempty"`
	Description string `json:"description,omitempty"`
}

// Validate checks m against the platform's rules. Every broken rule is a fault.Invalid
// error whose field is its path in the JSON, like "text.content".
func (m *MassMessage) Validate() error {
	c := &checker{}
	known := false
	for _, p := range []struct {
		kind MassKind
		name string
		set  bool
	}{
		{MassNews, "mpnews", m.News != nil}, {MassText, "text", m.Text != nil}, {MassVoice, "voice", m.Voice != nil},
		{MassImage, "images", m.Images != nil}, {MassVideo, "mpvideo", m.Video != nil},
	} {
		switch {
		case p.kind != m.Kind && p.set:
			c.badf(p.name, "foreign_content", "a message of kind %q cannot hold this", m.Kind)
		case p.kind == m.Kind && !p.set:
			c.badf(p.name, "required", "a message of this kind needs its content")
		}
		known = known || p.kind == m.Kind
	}
	if !known {
		c.badf("msgtype", "unknown_kind", "%q is not a kind of mass send", m.Kind)
	}
	c.media("mpnews", m.News)
	c.media("voice", m.Voice)
	if m.Text != nil {
		c.text("text.content", m.Text.Content, 0)
	}
	if m.Video != nil {
		c.required("mpvideo.media_id", m.Video.MediaID)
	}
	m.Images.check(c)
	return errors.Join(c.errs...)
}

func (m *MassImages) check(c *checker) {
	if m == nil {
		return
	}
	if n := len(m.MediaIDs); n < 1 || n > MaxMassImages {
		c.badf("images.media_ids", "count", "1 to %d pictures can be sent, here are %d", MaxMassImages, n)
	}
	for i, id := range m.MediaIDs {
		c.required(fmt.Sprintf("images.media_ids[%d]", i), id)
	}
}

// massRequest is a mass send with its audience: filter or openids.
type massRequest struct {
	send    MassSend
	filter  *wireFilter
	openids []string
}

func (r *massRequest) validate() error {
	c := &checker{}
	if r.filter == nil {
		c.massFans(r.openids)
	} else if r.filter.TagID != nil && *r.filter.TagID <= 0 {
		c.badf("filter.tag_id", "range", "a tag's id is above 0")
	}
	id := r.send.ClientMsgID
	switch {
	case id == "":
		c.badf("clientmsgid", "required", "without an id of its own a lost send could not be repeated")
	case len(id) > MaxClientMsgID:
		c.badf("clientmsgid", "too_long", "the id has %d bytes, the platform takes at most %d", len(id), MaxClientMsgID)
	case strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' }):
		c.badf("clientmsgid", "ascii", "the id is made of visible ASCII characters")
	}
	return errors.Join(append(c.errs, r.send.Message.Validate())...)
}

func (c *checker) massFans(openids []string) {
	if n := len(openids); n < MinMassFans || n > MaxMassFans {
		c.badf("touser", "count", "one mass send is for %d to %d fans, here are %d", MinMassFans, MaxMassFans, n)
		return
	}
	seen := make(map[string]struct{}, len(openids))
	for i, id := range openids {
		field := fmt.Sprintf("touser[%d]", i)
		c.required(field, id)
		if _, twice := seen[id]; twice && id != "" {
			c.badf(field, "duplicate", "this fan stands in the list before")
		}
		seen[id] = struct{}{}
	}
}

func (c *checker) massID(id int64) {
	if id <= 0 {
		c.badf("msg_id", "required", "the id that sending returned is needed")
	}
}

// wireMass is the platform's JSON of a mass send and of a preview.
type wireMass struct {
	ToUser        any            `json:"touser,omitempty"` // a list, of a preview one openid
	ToWxName      string         `json:"towxname,omitempty"`
	Filter        *wireFilter    `json:"filter,omitempty"`
	Kind          MassKind       `json:"msgtype"`
	News          *Media         `json:"mpnews,omitempty"`
	Text          *Text          `json:"text,omitempty"`
	Voice         *Media         `json:"voice,omitempty"`
	Images        *MassImages    `json:"images,omitempty"`
	Image         *Media         `json:"image,omitempty"` // of a preview
	Video         *MassVideoFile `json:"mpvideo,omitempty"`
	IgnoreReprint *ZeroOne       `json:"send_ignore_reprint,omitempty"`
	ClientMsgID   string         `json:"clientmsgid,omitempty"`
}

type wireFilter struct {
	ToAll bool   `json:"is_to_all"`
	TagID *int64 `json:"tag_id,omitempty"`
}

func (m *MassMessage) wire() *wireMass {
	return &wireMass{Kind: m.Kind, News: m.News, Text: m.Text, Voice: m.Voice, Images: m.Images, Video: m.Video}
}

func (r *massRequest) wire() *wireMass {
	w := r.send.Message.wire()
	reprint := ZeroOne(r.send.IgnoreReprint)
	w.Filter, w.IgnoreReprint, w.ClientMsgID = r.filter, &reprint, r.send.ClientMsgID
	if r.filter == nil {
		w.ToUser = r.openids
	}
	return w
}

func (p *MassPreview) wire() *wireMass {
	w := p.Message.wire()
	if p.OpenID != "" {
		w.ToUser = p.OpenID
	}
	w.ToWxName = p.WxName
	if images := p.Message.Images; images != nil {
		w.Images, w.Image = nil, &Media{MediaID: images.MediaIDs[0]}
	}
	return w
}
