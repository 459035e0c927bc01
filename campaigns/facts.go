package campaigns

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gorm.io/gorm"

	"hongyan/accounts"
	"hongyan/fans"
	"hongyan/guard"
	"hongyan/internal/database"
	"hongyan/limits"
	"hongyan/segments"
)

// The fields that conditions may ask, besides tag.<id> and attribute.<name>.
const (
	fieldSubscribed     = "fan.subscribed"
	fieldFollowSource   = "fan.follow_source"
	fieldScene          = "fan.scene"
	fieldLanguage       = "fan.language"
	fieldSubscribedDays = "fan.subscribed_days" // full days since the latest follow
	fieldNicknameKnown  = "fan.nickname_known"
	fieldRunTrigger     = "run.trigger" // kind of the trigger that began the run
	fieldRunReplied     = "run.replied" // the fan has sent a message since the run began
	fieldRunClicked     = "run.clicked" // the fan has tapped a menu item or a tracked link since the run began
	fieldWindowOpen     = "window.open" // a customer-service message may go to the fan now
	fieldWindowLeft     = "window.left" // how many may

	tagField       = "tag."
	attributeField = "attribute."
)

// fixedFields lists the fields that every account has.
func fixedFields() []segments.Field {
	return []segments.Field{
		{Name: fieldSubscribed, Type: segments.TypeBool}, {Name: fieldFollowSource, Type: segments.TypeText}, {Name: fieldScene, Type: segments.TypeText},
		{Name: fieldLanguage, Type: segments.TypeText}, {Name: fieldSubscribedDays, Type: segments.TypeNumber}, {Name: fieldNicknameKnown, Type: segments.TypeBool},
		{Name: fieldRunTrigger, Type: segments.TypeText}, {Name: fieldRunReplied, Type: segments.TypeBool}, {Name: fieldRunClicked, Type: segments.TypeBool},
		{Name: fieldWindowOpen, Type: segments.TypeBool}, {Name: fieldWindowLeft, Type: segments.TypeNumber},
	}
}

// registry is the fields of an account for package segments.
type registry struct {
	attributes map[string]segments.Type
	tags       map[int64]bool // nil: any
}

// Field implements segments.Registry.
func (r registry) Field(name string) (segments.Field, bool) {
	if attribute, isAttribute := attributeOf(name); isAttribute {
		t, known := r.attributes[attribute]
		return segments.Field{Name: name, Type: t}, known
	}
	if id, isTag := tagOf(name); isTag {
		return segments.Field{Name: name, Type: segments.TypeTag}, r.tags == nil || r.tags[id]
	}
	all := fixedFields()
	i := slices.IndexFunc(all, func(f segments.Field) bool { return f.Name == name })
	if i < 0 {
		return segments.Field{}, false
	}
	return all[i], true
}

// attributeOf is the attribute that a field is about.
func attributeOf(field string) (name string, isAttribute bool) {
	return strings.CutPrefix(field, attributeField)
}

// tagOf is the tag that a field is about.
func tagOf(field string) (int64, bool) {
	digits, isTag := strings.CutPrefix(field, tagField)
	id, err := strconv.ParseInt(digits, 10, 64)
	return id, isTag && err == nil && id > 0 && strconv.FormatInt(id, 10) == digits
}

// attributeType is what conditions see an attribute as: a choice is its name.
func attributeType(t fans.AttributeType) segments.Type {
	switch t {
	case fans.TypeNumber:
		return segments.TypeNumber
	case fans.TypeDate:
		return segments.TypeDate
	case fans.TypeBool:
		return segments.TypeBool
	case fans.TypeText, fans.TypeChoice:
	}
	return segments.TypeText
}

// need says what has to be read of a fan. It is a set of bits.
type need uint8

const (
	needFan need = 1 << iota
	needTags
	needAttributes
	needActs
)

func needsOf(rule *segments.Rule) (out need) {
	for _, f := range rule.Fields() {
		switch {
		case strings.HasPrefix(f, tagField):
			out |= needTags
		case strings.HasPrefix(f, attributeField):
			out |= needAttributes
		case strings.HasPrefix(f, "fan."):
			out |= needFan
		case f == fieldRunReplied || f == fieldRunClicked:
			out |= needActs
		}
	}
	return out
}

// person is what is known of a fan within a transaction.
type person struct {
	known      need
	fan        *fans.Fan
	usage      *limits.Usage // nil: no limits, so no grant
	tags       map[int64]bool
	attributes map[string]segments.Value
	days       map[string]segments.Day // of the attributes of type date
	replied    int64                   // when the fan last sent a message
	clicked    int64                   // when the fan last tapped a menu item or a tracked link
}

func (p *person) grants() *guard.Grants {
	if p == nil || p.usage == nil {
		return nil
	}
	return &p.usage.Grants
}

func (p *person) day(attribute string) (segments.Day, bool) {
	if p == nil {
		return 0, false
	}
	day, known := p.days[attribute]
	return day, known
}

// lacks reports whether something that is asked has not been read.
func (p *person) lacks(asks need) bool {
	if p == nil {
		return asks != 0
	}
	return asks&^p.known != 0
}

// asked is what has to be read of fans.
type asked struct {
	needs map[int64]need // by fan
	since int64          // what they did before does not count
}

func (a *asked) add(r *run, n need) {
	if a.needs == nil {
		a.needs, a.since = map[int64]need{}, r.startedAt
	}
	a.needs[r.fanID] |= n
	a.since = min(a.since, r.startedAt)
}

// people reads what is asked of fans, in sets.
func (s *Store) people(tx *gorm.DB, account *accounts.Account, of asked) (map[int64]*person, error) {
	out := make(map[int64]*person, len(of.needs))
	by := map[need][]int64{}
	for id, n := range of.needs {
		out[id] = &person{known: n}
		for bit := needFan; bit <= needActs; bit <<= 1 {
			if n&bit != 0 {
				by[bit] = append(by[bit], id)
			}
		}
	}
	for _, read := range []struct {
		bit  need
		read func(*gorm.DB, *accounts.Account, []int64, map[int64]*person) error
	}{{needFan, s.readFans}, {needTags, s.readTags}, {needAttributes, s.readAttributes}} {
		if ids := by[read.bit]; len(ids) > 0 {
			if err := read.read(tx, account, database.SortedSet(ids), out); err != nil {
				return nil, err
			}
		}
	}
	if len(by[needActs]) == 0 {
		return out, nil
	}
	return out, s.readActs(tx, account, by[needActs], of.since, out)
}

func (s *Store) readFans(tx *gorm.DB, account *accounts.Account, ids []int64, into map[int64]*person) error {
	found, err := s.Fans.ByIDs(tx, account.ID, ids)
	for id, f := range found {
		into[id].fan = f
	}
	return err
}

func (s *Store) readTags(tx *gorm.DB, account *accounts.Account, ids []int64, into map[int64]*person) error {
	found, err := s.Fans.TagsOf(tx, account.ID, ids)
	for _, id := range ids {
		into[id].tags = map[int64]bool{}
		for _, tag := range found[id] {
			into[id].tags[tag] = true
		}
	}
	return err
}

func (s *Store) readAttributes(tx *gorm.DB, account *accounts.Account, ids []int64, into map[int64]*person) error {
	found, err := s.Fans.AttributesOf(tx, account.ID, ids)
	if err != nil || len(found) == 0 {
		return err
	}
	all, err := s.Fans.FindAttributes(tx.Statement.Context, account.ID)
	if err != nil {
		return err
	}
	named := make(map[int64]*fans.Attribute, len(all))
	for _, a := range all {
		named[a.ID] = a
	}
	today := segments.DayOf(s.Clock.Now().UnixMilli(), account.Policy.Zone)
	for id, values := range found {
		p := into[id]
		p.attributes, p.days = map[string]segments.Value{}, map[string]segments.Day{}
		for _, v := range values {
			if a := named[v.AttributeID]; a != nil {
				p.attributes[a.Name] = valueOf(a, v.Value, today)
				if a.Type == fans.TypeDate {
					p.days[a.Name] = segments.Day(v.Number)
				}
			}
		}
	}
	return nil
}

// valueOf is a fan's value as conditions see it.
func valueOf(a *fans.Attribute, v fans.Value, today segments.Day) segments.Value {
	switch a.Type {
	case fans.TypeNumber:
		return segments.Decimal(v.Number)
	case fans.TypeDate:
		return segments.Date(segments.Day(v.Number), today)
	case fans.TypeBool:
		return segments.Bool(v.Number == 1)
	case fans.TypeText, fans.TypeChoice:
	}
	return segments.Text(a.Format(v))
}

func (s *Store) readActs(tx *gorm.DB, account *accounts.Account, ids []int64, since int64, into map[int64]*person) error {
	found, err := s.Fans.LatestActs(tx, account.ID, ids, since)
	for id, latest := range found {
		into[id].replied, into[id].clicked = latest.Message, latest.Menu
	}
	return err
}

// runFacts are those of one run at one moment. It implements segments.Facts.
type runFacts struct {
	person
	run *run
	now int64
}

// Fact implements segments.Facts.
func (f *runFacts) Fact(field string) (segments.Value, bool) {
	if id, isTag := tagOf(field); isTag {
		return segments.Bool(true), f.tags[id]
	}
	if name, isAttribute := attributeOf(field); isAttribute {
		v, known := f.attributes[name]
		return v, known
	}
	switch field {
	case fieldRunTrigger:
		return segments.Text(f.run.beganBy), f.run.beganBy != ""
	case fieldRunReplied:
		return segments.Bool(f.replied > f.run.startedAt), true
	case fieldRunClicked:
		return segments.Bool(f.clicked > f.run.startedAt), true
	case fieldWindowOpen:
		return segments.Bool(f.left() > 0), true
	case fieldWindowLeft:
		return segments.Number(int64(f.left())), true
	default:
		return f.ofFan(field)
	}
}

func (f *runFacts) left() int {
	if f.usage == nil {
		return 0
	}
	return max(0, f.usage.Grants.Available(f.now, 0))
}

func (f *runFacts) ofFan(field string) (segments.Value, bool) {
	if f.fan == nil {
		return segments.Value{}, false
	}
	switch field {
	case fieldSubscribed:
		return segments.Bool(f.fan.Subscribed), true
	case fieldFollowSource:
		return segments.Text(f.fan.FollowSource), f.fan.FollowSource != ""
	case fieldScene:
		return segments.Text(f.fan.Scene), f.fan.Scene != ""
	case fieldLanguage:
		return segments.Text(f.fan.Language), f.fan.Language != ""
	case fieldSubscribedDays:
		return segments.Number((f.now - f.fan.SubscribedAt) / msDay), f.fan.Subscribed && f.fan.SubscribedAt > 0
	case fieldNicknameKnown:
		return segments.Bool(f.fan.Nickname != ""), true
	}
	return segments.Value{}, false
}

// Fields lists what conditions of an account's drips may ask: the fixed fields, its tags and its attributes.
func (s *Store) Fields(tx *gorm.DB, accountID int64) ([]segments.Field, error) {
	out := fixedFields()
	names, err := s.catalogue(tx.Statement.Context, accountID)
	if err != nil {
		return nil, fmt.Errorf("list the fields of conditions: %w", err)
	}
	for _, id := range sortedKeys(names.tags) {
		out = append(out, segments.Field{Name: tagField + strconv.FormatInt(id, 10), Type: segments.TypeTag})
	}
	for _, name := range sortedKeys(names.attributes) {
		out = append(out, segments.Field{Name: attributeField + name, Type: names.attributes[name]})
	}
	return out, nil
}
