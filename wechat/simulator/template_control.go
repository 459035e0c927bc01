package simulator

import (
	"slices"

	"hongyan/internal/fault"
)

// Template is a template of an account, for messages or for notices.
type Template struct {
	ID              string `json:"id"` // "" derives one
	Title           string `json:"title"`
	Content         string `json:"content"` // with markers: "商品:{{thing1.DATA}}\n"
	Example         string `json:"example"`
	PrimaryIndustry string `json:"primary_industry,omitempty"` // of old industry templates
	DeputyIndustry  string `json:"deputy_industry,omitempty"`
	LongTerm        bool   `json:"long_term,omitempty"` // of notices: a consent lasts
}

// TemplateState says whether the platform lets a template be used.
type TemplateState string

// The states.
const (
	TemplateUsable   TemplateState = ""
	TemplateBanned   TemplateState = "banned"   // 43116
	TemplateDisabled TemplateState = "disabled" // 48011
)

// TemplateFaults say what becomes of accepted template messages and notices; shares from 0 to 1, drawn by the seed.
type TemplateFaults struct {
	SystemFailed float64 `json:"system_failed"` // the receipt says "failed: system failed"
	NoReceipt    float64 `json:"no_receipt"`    // the receipt never comes
}

func (f *TemplateFaults) systemFailed(seed uint64, msgID int64) bool {
	return unit(mix(seed, uint64(msgID), 1)) < f.SystemFailed
}

func (f *TemplateFaults) noReceipt(seed uint64, msgID int64) bool {
	return unit(mix(seed, uint64(msgID), 2)) < f.NoReceipt
}

// SetTemplateFaults changes an account's faults from now on. It answers NotFound and Invalid.
func (s *Simulator) SetTemplateFaults(appID string, f TemplateFaults) error {
	if !(f.SystemFailed >= 0 && f.SystemFailed <= 1 && f.NoReceipt >= 0 && f.NoReceipt <= 1) {
		return fault.BadField("faults", "share", "a share lies between 0 and 1")
	}
	return s.changeTemplates(appID, func(a *account) error { a.template.faults = f; return nil })
}

// AddTemplate gives an account a template for messages, such as an old one that the library has no more, and returns
// its id. It answers NotFound, and Conflict when the id exists.
func (s *Simulator) AddTemplate(appID string, t Template) (string, error) {
	return s.giveTemplate(appID, t, func(a *account) *[]*privateTemplate { return &a.template.private })
}

// AddNoticeTemplate gives an account a template for notices and returns its id. It answers as AddTemplate does.
func (s *Simulator) AddNoticeTemplate(appID string, t Template) (string, error) {
	return s.giveTemplate(appID, t, func(a *account) *[]*privateTemplate { return &a.notice.private })
}

func (s *Simulator) giveTemplate(appID string, t Template, of func(*account) *[]*privateTemplate) (string, error) {
	err := s.changeTemplates(appID, func(a *account) error {
		if t.ID == "" {
			t.ID = s.templateID(a)
		}
		if a.templateOf(t.ID) != nil {
			return fault.New(fault.Conflict, "template %s exists", t.ID)
		}
		list := of(a)
		*list = append(*list, &privateTemplate{Template: t})
		return nil
	})
	return t.ID, err
}

// templateOf finds a template for messages or for notices; the account is locked.
func (a *account) templateOf(id string) *privateTemplate {
	if t := findTemplate(a.template.private, id); t != nil {
		return t
	}
	return findTemplate(a.notice.private, id)
}

// SetTemplateState bans or disables a template, or heals it. It answers NotFound and Invalid.
func (s *Simulator) SetTemplateState(appID, templateID string, state TemplateState) error {
	if state != TemplateUsable && state != TemplateBanned && state != TemplateDisabled {
		return fault.BadField("state", "unknown", "a template is usable, banned or disabled")
	}
	return s.changeTemplates(appID, func(a *account) error {
		t := a.templateOf(templateID)
		if t == nil {
			return fault.New(fault.NotFound, "no template %q", templateID)
		}
		t.state = state
		return nil
	})
}

// SetCategories chooses an account's categories, at most five, and deletes the templates of those that go, as the
// website does; five times a month (platform.md 4.3). A fresh account has 616, 307 and 303. It answers NotFound, Invalid
// for categories that do not exist, and Conflict for one change too many.
func (s *Simulator) SetCategories(appID string, ids ...int) error {
	if len(ids) > maxCategories {
		return fault.BadField("categories", "count", "an account has at most %d categories", maxCategories)
	}
	for _, id := range ids {
		if !slices.ContainsFunc(allCategories(), func(c libraryCategory) bool { return c.id == id }) {
			return fault.BadField("categories", "unknown", "there is no category %d", id)
		}
	}
	return s.changeTemplates(appID, func(a *account) error {
		if !a.template.changes.take(monthOf(s.clock.Now()), maxCategories) {
			return fault.New(fault.Conflict, "the categories were changed %d times this month", maxCategories)
		}
		a.template.chosen = append([]int{}, ids...)
		gone := func(t *privateTemplate) bool { return t.category != 0 && !slices.Contains(ids, t.category) }
		a.template.private = slices.DeleteFunc(a.template.private, gone)
		a.notice.private = slices.DeleteFunc(a.notice.private, gone)
		return nil
	})
}

// categories are those of the account, which is locked.
func (a *account) categories() []int {
	if a.template.chosen == nil {
		return freshCategories()
	}
	return a.template.chosen
}

// LinkMiniPrograms replaces the mini-programs that messages of the account may open; at first there are none.
// It answers NotFound.
func (s *Simulator) LinkMiniPrograms(appID string, miniAppIDs ...string) error {
	return s.changeTemplates(appID, func(a *account) error { a.template.linked = slices.Clone(miniAppIDs); return nil })
}

// SetMarketingWords replaces the words by which template messages and notices are taken for marketing (40249). The
// platform does not publish how it judges; the usual words of a simulator are invented. It answers NotFound.
func (s *Simulator) SetMarketingWords(appID string, words ...string) error {
	return s.changeTemplates(appID, func(a *account) error { a.template.marketing = append([]string{}, words...); return nil })
}

// marketingWords are those that the platform looks for; the account is locked.
func (a *account) marketingWords() []string {
	if a.template.marketing == nil {
		return []string{"促销", "特价", "秒杀", "抽奖", "大优惠", "限时折扣", "领红包"}
	}
	return a.template.marketing
}

// TurnTemplateOff lets a fan turn a template message off, or on again. It answers NotFound.
func (s *Simulator) TurnTemplateOff(openID, templateID string, off bool) error {
	var owner *account
	if err := s.withFan(openID, func(f *fan) { owner = f.account }); err != nil {
		return err
	}
	return s.changeTemplates(owner.config().AppID, func(a *account) error {
		if a.template.off == nil {
			a.template.off = map[[2]string]bool{}
		}
		a.template.off[[2]string{openID, templateID}] = off
		return nil
	})
}

// changeTemplates runs change under the account's lock. It answers NotFound.
func (s *Simulator) changeTemplates(appID string, change func(*account) error) error {
	a, err := s.account(appID)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return change(a)
}
