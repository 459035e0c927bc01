package wechat

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// The platform's limits of menus (platform.md 8.1, 8.2).
const (
	MaxMenuButtons     = 3
	MaxSubButtons      = 5
	MaxButtonNameBytes = 16 // clients show about 4 Chinese characters
	MaxSubNameBytes    = 60 // clients show about 8
	MaxButtonKeyBytes  = 128
	MaxButtonURLBytes  = 1024
	MaxMenuDomains     = 3 // that the links of a conditional menu lead to
)

// buttonFields lists what a type of button needs besides its name, by JSON name.
func buttonFields(t ButtonType) ([]string, bool) {
	switch t {
	case ButtonClick, ButtonScanPush, ButtonScanWait, ButtonCamera, ButtonCameraOrAlbum, ButtonAlbum, ButtonLocation:
		return []string{"key"}, true
	case ButtonView:
		return []string{"url"}, true
	case ButtonMedia, ButtonViewLimited:
		return []string{"media_id"}, true
	case ButtonArticle, ButtonArticleView:
		return []string{"article_id"}, true
	case ButtonMiniProgram:
		return []string{"url", "appid", "pagepath"}, true
	}
	return nil, false
}

type buttonField struct{ name, value string }

// fields are the members that belong to some types only.
func (b *MenuButton) fields() []buttonField {
	return []buttonField{
		{"key", b.Key}, {"url", b.URL}, {"appid", b.AppID}, {"pagepath", b.PagePath},
		{"media_id", b.MediaID}, {"article_id", b.ArticleID},
	}
}

// ValidateMenu checks buttons against the platform's rules: their number, the lengths of
// names, keys and addresses in bytes, and that each has what its type needs and nothing
// else. Every broken rule is a fault.Invalid error whose field is its path in the JSON, like
// "button[0].sub_button[1].key"; fault.Fields lists them all.
func ValidateMenu(buttons []MenuButton) error {
	c := &checker{}
	if len(buttons) < 1 || len(buttons) > MaxMenuButtons {
		c.badf("button", "count", "a menu has 1 to %d buttons, here are %d", MaxMenuButtons, len(buttons))
	}
	for i := range buttons {
		b, field := &buttons[i], fmt.Sprintf("button[%d]", i)
		c.buttonName(field, b.Name, MaxButtonNameBytes)
		if len(b.Sub) == 0 {
			c.button(field, b)
			continue
		}
		c.parent(field, b)
		for j := range b.Sub {
			sub, field := &b.Sub[j], fmt.Sprintf("%s.sub_button[%d]", field, j)
			c.buttonName(field, sub.Name, MaxSubNameBytes)
			c.button(field, sub)
			if len(sub.Sub) > 0 {
				c.badf(field+".sub_button", "depth", "a button inside another cannot open more")
			}
		}
	}
	return errors.Join(c.errs...)
}

func (c *checker) buttonName(field, name string, limit int) {
	c.required(field+".name", name)
	if len(name) > limit {
		c.badf(field+".name", "name_bytes", "the name has %d bytes, the platform takes at most %d", len(name), limit)
	}
}

// parent checks a button that opens others.
func (c *checker) parent(field string, b *MenuButton) {
	if len(b.Sub) > MaxSubButtons {
		c.badf(field+".sub_button", "count", "a button opens at most %d others, here are %d", MaxSubButtons, len(b.Sub))
	}
	if b.Type != "" {
		c.badf(field+".type", "parent", "a button that opens others has no type")
	}
	for _, f := range b.fields() {
		if f.value != "" {
			c.badf(field+"."+f.name, "foreign_content", "a button that opens others cannot have this")
		}
	}
}

// button checks what a type of button needs.
func (c *checker) button(field string, b *MenuButton) {
	needs, known := buttonFields(b.Type)
	if !known {
		c.badf(field+".type", "unknown_type", "%q is not a type of button", b.Type)
		return
	}
	for _, f := range b.fields() {
		name := field + "." + f.name
		switch {
		case slices.Contains(needs, f.name):
			c.required(name, f.value)
		case f.value != "":
			c.badf(name, "foreign_content", "a button of type %q cannot have this", b.Type)
		}
	}
	if len(b.Key) > MaxButtonKeyBytes {
		c.badf(field+".key", "key_bytes", "the key has %d bytes, the platform takes at most %d", len(b.Key), MaxButtonKeyBytes)
	}
	c.buttonURL(field+".url", b.URL)
	if b.AppID != strings.ToLower(b.AppID) {
		c.badf(field+".appid", "lower_case", "the appid of a mini-program is written in lower case")
	}
}

func (c *checker) buttonURL(field, address string) {
	if address == "" {
		return
	}
	if len(address) > MaxButtonURLBytes {
		c.badf(field, "url_bytes", "the address has %d bytes, the platform takes at most %d", len(address), MaxButtonURLBytes)
	}
	if u, err := url.Parse(address); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		c.badf(field, "url", "must be an http or https address")
	}
}

func validateRule(r MatchRule) error {
	c := &checker{}
	switch {
	case r == MatchRule{}:
		c.badf("matchrule", "required", "a conditional menu needs a condition")
	case r.TagID < 0:
		c.badf("matchrule.tag_id", "range", "a tag's id is not negative")
	}
	if r.Platform < 0 || r.Platform > PlatformOther {
		c.badf("matchrule.client_platform_type", "range", "must be 1 (iOS), 2 (Android) or 3 (other)")
	}
	return errors.Join(c.errs...)
}

// validateDomains bounds where the links of a conditional menu lead (65316).
func validateDomains(buttons []MenuButton) error {
	c := &checker{}
	if n := len(menuDomains(buttons, nil)); n > MaxMenuDomains {
		c.badf("button", "domains", "the links lead to %d domains, the platform takes at most %d", n, MaxMenuDomains)
	}
	return errors.Join(c.errs...)
}

func menuDomains(buttons []MenuButton, known []string) []string {
	for i := range buttons {
		b := &buttons[i]
		if u, err := url.Parse(b.URL); err == nil && b.Type == ButtonView && !slices.Contains(known, u.Hostname()) {
			known = append(known, u.Hostname())
		}
		known = menuDomains(b.Sub, known)
	}
	return known
}
