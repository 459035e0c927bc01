package fans

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"gorm.io/gorm"

	"hongyan/internal/database"
	"hongyan/internal/fault"
)

// AttributeType says what the values of an attribute are. The names are stored.
type AttributeType string

// The types.
const (
	TypeText   AttributeType = "text"
	TypeNumber AttributeType = "number" // with up to four decimals
	TypeDate   AttributeType = "date"   // a day of the calendar, without a zone
	TypeBool   AttributeType = "bool"
	TypeChoice AttributeType = "choice" // one of a list
)

// The limits of attributes. Lengths are in characters.
const (
	MaxAttributes     = 50 // of an account
	MaxAttributeLabel = 30
	MaxChoices        = 100
	MaxChoice         = 30
	MaxAttributeText  = 200
)

// Attribute is something that an account wants to know of its fans.
type Attribute struct {
	ID        int64
	AccountID int64
	Name      string // by which rules and imports call it: small letters, digits and _; never changed
	Label     string // by which people call it
	Type      AttributeType
	Choices   []Choice // of TypeChoice
	Revision  int64    // grows with every change
	CreatedAt int64
}

// Choice is one of the values that a fan can have. Fans have its number, so that it can be renamed.
type Choice struct {
	ID   int64  `json:"id"` // 0 for one that is new; never used again
	Name string `json:"name"`
}

// NewAttribute is an attribute to make.
type NewAttribute struct {
	Name    string
	Label   string
	Type    AttributeType
	Choices []string // of TypeChoice, 1 to MaxChoices
}

// AttributePatch says what of an attribute changes. What is nil stays.
type AttributePatch struct {
	Label *string
	// Choices renames choices (by ID), puts them into another order, and adds some (without ID). None may be missing: fans may have it.
	Choices []Choice
}

var attributeName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)

// checkText checks a text of people that is not empty.
func checkText(field, text string, most int) error {
	switch n := utf8.RuneCountInString(text); {
	case n == 0:
		return fault.BadField(field, "required", "give it a text")
	case n > most:
		return fault.BadField(field, "length", "the text has %d characters; at most %d are allowed", n, most)
	case !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl):
		return fault.BadField(field, "characters", "the text holds control characters; use letters, digits and signs in one line")
	}
	return nil
}

// validate checks everything about an attribute at once. It trims texts.
func (a *Attribute) validate() error {
	var errs []error
	if !attributeName.MatchString(a.Name) {
		errs = append(errs, fault.BadField("name", "shape", "a name has 1 to 32 small letters, digits and _, and begins with a letter"))
	}
	a.Label = strings.TrimSpace(a.Label)
	errs = append(errs, checkText("label", a.Label, MaxAttributeLabel))
	switch a.Type {
	case TypeText, TypeNumber, TypeDate, TypeBool:
		if len(a.Choices) > 0 {
			errs = append(errs, fault.BadField("choices", "not_allowed", "only an attribute of type choice has choices"))
		}
	case TypeChoice:
		errs = append(errs, a.validateChoices())
	default:
		errs = append(errs, fault.BadField("type", "one_of", "the type is text, number, date, bool or choice"))
	}
	return errors.Join(errs...)
}

func (a *Attribute) validateChoices() error {
	if len(a.Choices) == 0 || len(a.Choices) > MaxChoices {
		return fault.BadField("choices", "count", "give 1 to %d choices", MaxChoices)
	}
	var errs []error
	seen := map[string]bool{}
	for i := range a.Choices {
		c := &a.Choices[i]
		c.Name = strings.TrimSpace(c.Name)
		field := fmt.Sprintf("choices[%d]", i)
		errs = append(errs, checkText(field, c.Name, MaxChoice))
		if seen[c.Name] {
			errs = append(errs, fault.BadField(field, "twice", "the choice %q is there twice", c.Name))
		}
		seen[c.Name] = true
	}
	return errors.Join(errs...)
}

// numberChoices gives new choices their numbers, above all that were ever used: a choice is never removed.
func (a *Attribute) numberChoices(before []Choice) {
	last := int64(0)
	for _, c := range before {
		last = max(last, c.ID)
	}
	for i := range a.Choices {
		if a.Choices[i].ID == 0 {
			last++
			a.Choices[i].ID = last
		}
	}
}

const attributeColumns = "id, account_id, name, label, type, choices, revision, created_at"

func readAttributes(tx *gorm.DB, where string, args ...any) ([]*Attribute, error) {
	var out []*Attribute
	err := database.EachRow(tx, func(rows *sql.Rows) error {
		a := &Attribute{}
		var choices []byte
		if err := rows.Scan(&a.ID, &a.AccountID, &a.Name, &a.Label, &a.Type, &choices, &a.Revision, &a.CreatedAt); err != nil {
			return err
		}
		out = append(out, a)
		return json.Unmarshal(choices, &a.Choices)
	}, "SELECT "+attributeColumns+" FROM attributes WHERE removed_at = 0 AND "+where, args...)
	if err != nil {
		return nil, fmt.Errorf("read attributes: %w", err)
	}
	return out, nil
}

// FindAttributes lists an account's attributes, oldest first.
func (s *Store) FindAttributes(ctx context.Context, accountID int64) ([]*Attribute, error) {
	return readAttributes(s.db.Read(ctx), "account_id = ? ORDER BY id", accountID)
}

// FindAttribute finds an attribute. Errors: NotFound.
func (s *Store) FindAttribute(ctx context.Context, accountID, id int64) (*Attribute, error) {
	return findAttribute(s.db.Read(ctx), accountID, id, "")
}

func findAttribute(tx *gorm.DB, accountID, id int64, suffix string) (*Attribute, error) {
	found, err := readAttributes(tx, "id = ? AND account_id = ?"+suffix, id, accountID)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, fault.New(fault.NotFound, "this account has no attribute %d", id)
	}
	return found[0], nil
}

// CreateAttribute makes an attribute. Errors: Invalid with the fields name (shape, taken), label, type, choices; Conflict when the account has
// MaxAttributes.
func (s *Store) CreateAttribute(ctx context.Context, accountID int64, in NewAttribute) (*Attribute, error) {
	a := &Attribute{AccountID: accountID, Name: in.Name, Label: in.Label, Type: in.Type, Revision: 1, CreatedAt: s.now()}
	for _, name := range in.Choices {
		a.Choices = append(a.Choices, Choice{Name: name})
	}
	if err := a.validate(); err != nil {
		return nil, err
	}
	a.numberChoices(nil)
	err := s.db.Tx(ctx, func(tx *gorm.DB) error {
		has, err := readAttributes(tx, "account_id = ?"+s.db.Dialect().ForUpdate(), accountID)
		if err != nil {
			return err
		}
		if len(has) >= MaxAttributes {
			return fault.New(fault.Conflict, "the account has %d attributes, which is the most; delete one first", MaxAttributes)
		}
		for _, other := range has {
			if other.Name == a.Name {
				return attributeTaken(a.Name)
			}
		}
		return s.insertAttribute(tx, a)
	})
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		err = attributeTaken(a.Name)
	}
	if err != nil {
		return nil, err
	}
	return a, nil
}

func attributeTaken(name string) error {
	return fault.BadField("name", "taken", "the account has an attribute named %q already; take another name", name)
}

func (s *Store) insertAttribute(tx *gorm.DB, a *Attribute) error {
	choices, err := json.Marshal(a.Choices)
	if err != nil {
		return fmt.Errorf("store an attribute: %w", err)
	}
	err = tx.Exec("INSERT INTO attributes (account_id, name, label, type, choices, created_at) VALUES (?, ?, ?, ?, ?, ?)",
		a.AccountID, a.Name, a.Label, a.Type, string(choices), a.CreatedAt).Error
	if err != nil {
		return err
	}
	found, err := readAttributes(tx, "account_id = ? AND name = ?", a.AccountID, a.Name)
	if err == nil {
		a.ID = found[0].ID
	}
	return err
}

// UpdateAttribute changes an attribute that still has this revision. Errors: NotFound; Invalid; Conflict when it has changed meanwhile.
func (s *Store) UpdateAttribute(ctx context.Context, a *Attribute, patch AttributePatch) (*Attribute, error) {
	next := *a
	if patch.Label != nil {
		next.Label = *patch.Label
	}
	if patch.Choices != nil {
		next.Choices = append([]Choice(nil), patch.Choices...)
	}
	if err := errors.Join(next.validate(), keepsChoices(a.Choices, next.Choices)); err != nil {
		return nil, err
	}
	next.numberChoices(a.Choices)
	choices, err := json.Marshal(next.Choices)
	if err != nil {
		return nil, fmt.Errorf("store an attribute: %w", err)
	}
	next.Revision++
	return &next, s.db.Tx(ctx, func(tx *gorm.DB) error {
		if _, err := findAttribute(tx, a.AccountID, a.ID, ""); err != nil {
			return err
		}
		res := tx.Exec("UPDATE attributes SET label = ?, choices = ?, revision = revision + 1 WHERE id = ? AND account_id = ? AND revision = ? AND removed_at = 0",
			next.Label, string(choices), a.ID, a.AccountID, a.Revision)
		if res.Error == nil && res.RowsAffected == 0 {
			return fault.New(fault.Conflict, "the attribute was changed meanwhile; look at it again")
		}
		return res.Error
	})
}

// keepsChoices checks that every choice is still there, once, and that none has an invented number.
func keepsChoices(before, after []Choice) error {
	left := map[int64]bool{}
	for _, c := range before {
		left[c.ID] = true
	}
	for i, c := range after {
		if c.ID != 0 && !left[c.ID] {
			return fault.BadField(fmt.Sprintf("choices[%d]", i), "unknown", "there is no choice %d, or it is named twice; leave the number out for a new one", c.ID)
		}
		delete(left, c.ID)
	}
	for _, c := range before {
		if left[c.ID] {
			return fault.BadField("choices", "choice_removed", "the choice %q is missing; fans may have it, so it can be renamed but not removed", c.Name)
		}
	}
	return nil
}

// DeleteAttribute deletes an attribute with all values: they are out of sight at once, and SweepRemoved removes them. Errors: NotFound.
func (s *Store) DeleteAttribute(ctx context.Context, accountID, id int64) error {
	return s.db.Tx(ctx, func(tx *gorm.DB) error {
		res := tx.Exec("UPDATE attributes SET removed_at = ?, name = NULL WHERE id = ? AND account_id = ? AND removed_at = 0", max(s.now(), 1), id, accountID)
		if res.Error == nil && res.RowsAffected == 0 {
			return fault.New(fault.NotFound, "this account has no attribute %d", id)
		}
		return res.Error
	})
}
