package campaigns

import (
	"context"
	"slices"
	"time"

	"hongyan/accounts"
	"hongyan/fans"
	"hongyan/segments"
)

// catalogue is what an account has that definitions name.
type catalogue struct {
	tags       map[int64]bool // value: whether the platform has the tag too
	attributes map[string]segments.Type
	webhooks   []int64
	// longestLink is the most bytes that a tracked address has; 0: nothing can be tracked.
	longestLink int
}

func (s *Store) catalogue(ctx context.Context, accountID int64) (*catalogue, error) {
	tags, err := s.Fans.FindTags(ctx, accountID)
	if err != nil {
		return nil, err
	}
	attributes, err := s.Fans.FindAttributes(ctx, accountID)
	if err != nil {
		return nil, err
	}
	out := &catalogue{tags: map[int64]bool{}, attributes: map[string]segments.Type{}}
	if s.Webhooks != nil {
		if out.webhooks, err = s.Webhooks.WebhookIDs(ctx, accountID); err != nil {
			return nil, err
		}
	}
	if s.Links != nil {
		out.longestLink = s.Links.Longest()
	}
	for _, t := range tags {
		out.tags[t.ID] = t.WeChatID != 0
	}
	for _, a := range attributes {
		out.attributes[a.Name] = attributeType(a.Type)
	}
	return out, nil
}

// parse reads and checks a definition, and that the account has everything that it names.
func (s *Store) parse(ctx context.Context, raw []byte, account *accounts.Account, now time.Time) (Definition, *catalogue, error) {
	names, err := s.catalogue(ctx, account.ID)
	if err != nil {
		return Definition{}, nil, err
	}
	p := &problems{names: names}
	d := p.definition(raw, account, now)
	return d, names, p.err()
}

// registry is the fields that conditions of the account may ask.
func (c *catalogue) registry() registry {
	if c == nil {
		return registry{}
	}
	tags := make(map[int64]bool, len(c.tags))
	for id := range c.tags {
		tags[id] = true
	}
	return registry{attributes: c.attributes, tags: tags}
}

// keep is a checked definition as it is stored, with the types of the attributes that its conditions ask.
func (c *catalogue) keep(d Definition) stored {
	out := stored{Definition: d}
	for _, n := range d.Numbered() {
		if n.kind() != StepIf {
			continue
		}
		rule, err := segments.Parse(n.Path, n.Condition, c.registry())
		if err != nil {
			continue // it was checked
		}
		for _, f := range rule.Fields() {
			out.keepType(f, c.attributes)
		}
	}
	return out
}

func (s *stored) keepType(field string, types map[string]segments.Type) {
	name, isAttribute := attributeOf(field)
	if !isAttribute {
		return
	}
	if s.Attributes == nil {
		s.Attributes = map[string]segments.Type{}
	}
	s.Attributes[name] = types[name]
}

// named checks that the account has the tag, attribute or webhook that a step names. Without a catalogue nothing is known to be missing.
func (p *problems) named(at string, s *Step) {
	c := p.names
	if c == nil {
		return
	}
	if s.kind() == StepTag || s.kind() == StepUntag {
		p.tagNamed(at+".tag", s.Tag, true)
	}
	if s.kind() == StepWebhook && s.Webhook > 0 && !slices.Contains(c.webhooks, s.Webhook) {
		p.addf(at+".webhook", "unknown", "this account has no webhook %d; take one of its own", s.Webhook)
	}
	if s.For != nil && s.For.On == OnTagged {
		p.tagNamed(at+".for.tag", s.For.Tag, false)
	}
	if s.Date == nil || s.Date.Attribute == "" {
		return
	}
	switch t, known := c.attributes[s.Date.Attribute]; {
	case !known:
		p.addf(at+".date.attribute", "unknown", "this account has no attribute named %q; take one of its own", s.Date.Attribute)
	case t != segments.TypeDate:
		p.addf(at+".date.attribute", "not_a_date", "the attribute %q is not of type %s; take one that holds a date", s.Date.Attribute, string(fans.TypeDate))
	}
}

// tagNamed checks that a tag exists, and that it is one that steps may change.
func (p *problems) tagNamed(field string, id int64, change bool) {
	if p.names == nil || id <= 0 {
		return
	}
	platforms, known := p.names.tags[id]
	switch {
	case !known:
		p.addf(field, "unknown", "this account has no tag %d; take one of its own", id)
	case platforms && change:
		p.addf(field, "platform_tag", "the tag %d is one of the platform's, which a step cannot change; take a tag of Hongyan's own", id)
	}
}

// namedActs checks the tags of triggers and exits.
func (p *problems) namedActs(d *Definition) {
	for i, t := range d.Triggers {
		if t.Kind == TriggerTag {
			p.tagNamed(index("triggers", i)+".tag", t.Tag, false)
		}
	}
	for i, e := range d.Exits {
		if e.On == OnTagged {
			p.tagNamed(index("exits", i)+".tag", e.Tag, false)
		}
	}
}
