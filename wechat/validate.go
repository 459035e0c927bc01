package wechat

import (
	"errors"
	"fmt"
	"strings"

	"hongyan/internal/fault"
)

// Validate checks m against the platform's rules for customer-service messages: the
// right content is there and complete, and a text fits rules.TextBytes (0: no limit).
// Every broken rule is a fault.Invalid error whose field is its path in the JSON, like
// "text.content"; fault.Fields lists them all. Text with variables is checked again
// after rendering, when its length is known.
func (m Message) Validate(rules RuleSet) error {
	c := &checker{}
	m.checkContents(c)
	switch m.Kind {
	case KindText:
		if m.Text != nil {
			c.text("text.content", m.Text.Content, rules.TextBytes)
		}
	case KindImage:
		c.media("image", m.Image)
	case KindVoice:
		c.media("voice", m.Voice)
	case KindMPNews:
		c.media("mpnews", m.MPNews)
	case KindVideo:
		m.Video.check(c)
	case KindMusic:
		m.Music.check(c)
	case KindNews:
		m.News.check(c)
	case KindMPNewsArticle:
		if m.MPNewsArticle != nil {
			c.required("mpnewsarticle.article_id", m.MPNewsArticle.ArticleID)
		}
	case KindMenu:
		m.Menu.check(c)
	case KindCard:
		if m.Card != nil {
			c.required("wxcard.card_id", m.Card.CardID)
		}
	case KindMiniProgramPage:
		m.MiniProgramPage.check(c)
	}
	if m.KfAccount != "" && !strings.Contains(m.KfAccount, "@") {
		c.badf("customservice.kf_account", "kf_account", "an agent's account has the form name@account")
	}
	return errors.Join(c.errs...)
}

// checkContents makes sure that the content of m.Kind is there, and no other.
func (m Message) checkContents(c *checker) {
	known := false
	for _, part := range m.contents() {
		switch {
		case part.kind == m.Kind:
			known = true
			if !part.set {
				c.badf(string(part.kind), "required", "a message of this kind needs its content")
			}
		case part.set:
			c.badf(string(part.kind), "foreign_content", "a message of kind %q cannot hold this", m.Kind)
		}
	}
	if !known {
		c.badf("msgtype", "unknown_kind", "%q is not a kind of customer-service message", m.Kind)
	}
}

type part struct {
	kind Kind
	set  bool
}

func (m Message) contents() []part {
	return []part{
		{KindText, m.Text != nil}, {KindImage, m.Image != nil}, {KindVoice, m.Voice != nil},
		{KindVideo, m.Video != nil}, {KindMusic, m.Music != nil}, {KindNews, m.News != nil},
		{KindMPNews, m.MPNews != nil}, {KindMPNewsArticle, m.MPNewsArticle != nil}, {KindMenu, m.Menu != nil},
		{KindCard, m.Card != nil}, {KindMiniProgramPage, m.MiniProgramPage != nil},
	}
}

type checker struct{ errs []error }

func (c *checker) badf(field, rule, format string, args ...any) {
	c.errs = append(c.errs, fault.BadField(field, rule, format, args...))
}

func (c *checker) required(field, value string) {
	if strings.TrimSpace(value) == "" {
		c.badf(field, "required", "this is needed")
	}
}

func (c *checker) text(field, value string, limit int) {
	c.required(field, value)
	if limit > 0 && len(value) > limit {
		c.badf(field, "text_bytes", "the text has %d bytes, the platform takes at most %d", len(value), limit)
	}
}

func (c *checker) media(field string, m *Media) {
	if m != nil {
		c.required(field+".media_id", m.MediaID)
	}
}

func (v *Video) check(c *checker) {
	if v == nil {
		return
	}
	c.required("video.media_id", v.MediaID)
	c.required("video.thumb_media_id", v.ThumbMediaID)
}

func (m *Music) check(c *checker) {
	if m == nil {
		return
	}
	c.required("music.thumb_media_id", m.ThumbMediaID)
	if m.MusicURL == "" && m.HQMusicURL == "" {
		c.badf("music.musicurl", "required", "music needs a link, plain or in high quality")
	}
}

func (n *News) check(c *checker) {
	if n == nil {
		return
	}
	if len(n.Articles) != 1 {
		c.badf("news.articles", "one_article", "the platform takes exactly one article, here are %d", len(n.Articles))
	}
	for i, a := range n.Articles {
		c.required(fmt.Sprintf("news.articles[%d].title", i), a.Title)
		c.required(fmt.Sprintf("news.articles[%d].url", i), a.URL)
	}
}

func (m *Menu) check(c *checker) {
	if m == nil {
		return
	}
	if len(m.Items) == 0 {
		c.badf("msgmenu.list", "required", "a menu needs at least one item")
	}
	seen := make(map[string]bool, len(m.Items))
	for i, item := range m.Items {
		field := fmt.Sprintf("msgmenu.list[%d]", i)
		c.required(field+".id", item.ID)
		c.required(field+".content", item.Content)
		if item.ID != "" && seen[item.ID] {
			c.badf(field+".id", "duplicate", "two items have the id %q, so their taps could not be told apart", item.ID)
		}
		seen[item.ID] = true
	}
}

func (p *MiniProgramPage) check(c *checker) {
	if p == nil {
		return
	}
	c.required("miniprogrampage.title", p.Title)
	c.required("miniprogrampage.appid", p.AppID)
	c.required("miniprogrampage.pagepath", p.PagePath)
	c.required("miniprogrampage.thumb_media_id", p.ThumbMediaID)
}
